//! Having the daemon build an image.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, TagImageOptionsBuilder};
use daybook_model::Digest;
use daybook_model::name::EnvKey;
use daybook_model::spec::Build;
use futures::StreamExt;

use super::{Inputs, context};
use crate::docker::engine::Engine;
use crate::docker::error::failed;
use crate::docker::{DockerRuntime, names};
use crate::files::blocking;
use crate::reference::Reference;
use crate::{Error, ErrorKind, Progress, Result, labels};

/// The daemon answers when it has the whole context.
const CONTEXT_PATIENCE: Duration = Duration::from_secs(1800);
/// Lines of output in the error of a failed build.
const LAST_LINES: usize = 20;
/// Weight of a build's processes against a replica's 1024 when both want the processor.
const CPU_SHARES: i32 = 128;
/// Microseconds over which processor time is counted.
const CPU_PERIOD: i32 = 100_000;

impl DockerRuntime {
    /// Builds the image unless an image of these inputs is here.
    pub(in crate::docker) async fn build(&self, key: &EnvKey, build: &Build, progress: Progress<'_>) -> Result<()> {
        let wanted = build.clone();
        let (inputs, digest) = blocking("read a build's context", move || {
            let inputs = Inputs::of(&wanted)?;
            let digest = inputs.digest(&wanted)?;
            Ok((inputs, digest))
        })
        .await?;
        let operation = format!("build {}", build.context);
        if build.digest.as_ref().is_some_and(|planned| *planned != digest) {
            let message = "its files have changed since this was planned";
            return Err(Error::new(ErrorKind::Conflict, operation, message).hint("plan again"));
        }
        if self.built_image(&digest).await?.is_none() {
            let tag = format!("{}:{}", names::repository(key), digest.short());
            let options = options(&self.engine, key, build, &digest, &inputs, &tag);
            self.run_build(&operation, options, inputs, progress).await?;
            if let Some(name) = &build.tag {
                self.tag_build(&tag, name).await?;
            }
        }
        Ok(())
    }

    async fn run_build(
        &self,
        operation: &str,
        options: BuildImageOptions,
        inputs: Inputs,
        progress: Progress<'_>,
    ) -> Result<()> {
        let (pieces, making) = context::archive(inputs);
        let pieces = futures::stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) });
        let docker = self.engine.patient(CONTEXT_PATIENCE);
        let mut said = Said::default();
        let mut result = Ok(());
        {
            let (logins, pieces) = (self.logins.all().await, bollard::body_try_stream(pieces));
            let mut answers = std::pin::pin!(docker.build_image(options, Some(logins), Some(pieces)));
            while let Some(answer) = answers.next().await {
                match answer {
                    Ok(info) => said.add(&info, progress),
                    Err(error) => {
                        result = Err(said.failure(operation, &error));
                        break;
                    }
                }
            }
        }
        // Why the context could not be read says more than that the request broke off.
        match making.await {
            Ok(Err(error)) if result.is_err() && error.kind != ErrorKind::Internal => Err(error),
            _ => result,
        }
    }

    async fn tag_build(&self, built: &str, name: &str) -> Result<()> {
        let operation = format!("tag {built} as {name}");
        let reference = Reference::parse(name);
        let named = reference.as_ref().and_then(|reference| Some((&reference.repository, reference.tag.as_ref()?)));
        let Some((repository, tag)) = named else {
            return Err(Error::new(ErrorKind::Refused, operation, "it is not a name for an image"));
        };
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.engine.docker.tag_image(built, Some(options)).await.map_err(|e| failed(operation, &e))
    }
}

fn options(
    engine: &Engine,
    key: &EnvKey,
    build: &Build,
    digest: &Digest,
    inputs: &Inputs,
    tag: &str,
) -> BuildImageOptions {
    let mut labels: HashMap<String, String> = build.labels.clone().into_iter().collect();
    labels.insert(labels::ARTIFACT.to_owned(), digest.to_string());
    labels.insert(labels::APP.to_owned(), key.app.to_string());
    labels.insert(labels::ENV.to_owned(), key.env.to_string());
    let args: HashMap<String, String> = build.args.clone().into_iter().collect();
    let memory = memory_bound(engine.memory);
    let options = BuildImageOptionsBuilder::default()
        .dockerfile(&inputs.dockerfile)
        .t(tag)
        .rm(true)
        .forcerm(true)
        .buildargs(&args)
        .labels(&labels)
        .cpushares(CPU_SHARES)
        .cpuperiod(CPU_PERIOD)
        .cpuquota(cpu_bound(engine.cores))
        .memory(memory)
        .memswap(memory);
    match &build.target {
        Some(target) => options.target(target).build(),
        None => options.build(),
    }
}

/// Half of the machine's cores, but one at least: what serves users keeps the rest.
fn cpu_bound(cores: u64) -> i32 {
    let cores = i32::try_from((cores / 2).max(1)).unwrap_or(1);
    CPU_PERIOD.saturating_mul(cores)
}

/// Half of the machine's memory. The client cannot say more than 2 GiB.
fn memory_bound(memory: u64) -> i32 {
    i32::try_from(memory / 2).unwrap_or(i32::MAX)
}

/// What a build has printed.
#[derive(Default)]
struct Said {
    open: String,
    last: VecDeque<String>,
}

impl Said {
    fn add(&mut self, info: &BuildInfo, progress: Progress<'_>) {
        if let Some(text) = &info.stream {
            self.open.push_str(text);
        }
        // A pull of a base image reports a state for each layer, many times a second.
        if let (Some(status), None) = (&info.status, &info.id) {
            self.open.push_str(status);
            self.open.push('\n');
        }
        while let Some(end) = self.open.find('\n') {
            let line: String = self.open.drain(..=end).collect();
            self.line(line.trim_end(), progress);
        }
    }

    fn line(&mut self, line: &str, progress: Progress<'_>) {
        if line.is_empty() {
            return;
        }
        progress(line);
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    fn failure(&mut self, operation: &str, said: &bollard::errors::Error) -> Error {
        let error = failed(operation, said);
        if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Full) {
            return error;
        }
        let mut lines: Vec<String> = std::mem::take(&mut self.last).into();
        if !self.open.is_empty() {
            lines.push(std::mem::take(&mut self.open));
        }
        lines.push(error.message);
        Error::new(ErrorKind::BuildFailed, operation, lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r38_a_build_is_bounded() {
        assert_eq!((cpu_bound(1), cpu_bound(2), cpu_bound(8)), (100_000, 100_000, 400_000));
        assert_eq!((memory_bound(1 << 30), memory_bound(64 << 30)), (1 << 29, i32::MAX));
    }

    #[test]
    fn a_failure_shows_the_last_lines() {
        let mut said = Said::default();
        let printed = |text: String| BuildInfo { stream: Some(text), ..Default::default() };
        for number in 0..30 {
            said.add(&printed(format!("line {number}\n")), &|_| {});
        }
        let error = bollard::errors::Error::DockerStreamError { error: "returned a non-zero code: 1".into() };
        let failure = said.failure("build x", &error);
        assert_eq!(failure.kind, ErrorKind::BuildFailed);
        let lines: Vec<&str> = failure.message.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[20]), (21, "line 10", "returned a non-zero code: 1"));
    }
}
