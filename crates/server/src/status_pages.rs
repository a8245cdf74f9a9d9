//! Status pages: written beneath the state directory, from where the edge serves them whether a server lives or not.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daybook_decide::status_page;
use daybook_model::oncall::Window;
use daybook_model::spec::Artifact;
use daybook_model::status_page::StatusPage;
use daybook_model::{EnvKey, Event, ServiceName, Spec};
use tokio::sync::Mutex;

use crate::App;

/// The directory of all pages, beneath the state directory.
pub(crate) const DIRECTORY: &str = "status-pages";
/// Pages are written again after this time, whatever happens.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// Held while pages are written, so that what is older never replaces what is newer.
#[derive(Default)]
pub(crate) struct Writing(Mutex<()>);

/// The files of a page: their names, and what is in them.
type Files = [(&'static str, String); 2];

impl App {
    /// Writes every page again and again, until the server stops.
    pub(crate) async fn tend_status_pages(self) {
        let mut ticks = tokio::time::interval(WRITE_EVERY);
        loop {
            ticks.tick().await;
            match self.inner.store.environments().await {
                Ok(all) => {
                    for environment in all {
                        self.write_status_pages(&environment.key).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "status pages are not written"),
            }
        }
    }

    /// Writes the pages of an environment, and removes those that it has no more.
    pub(crate) async fn write_status_pages(&self, key: &EnvKey) {
        if let Err(error) = self.try_to_write(key).await {
            tracing::warn!(%key, %error, "status pages are not written");
        }
    }

    async fn try_to_write(&self, key: &EnvKey) -> Result<(), Failed> {
        let _writing = self.inner.status_pages.0.lock().await;
        let (incidents, now) = (self.incidents_of(key), self.now());
        let (pages, windows) = self.status_pages(key).await?;
        let render = |(name, settings): (ServiceName, StatusPage)| {
            let page = status_page::page(&settings, &incidents, &windows, now);
            let data = serde_json::to_string_pretty(&page)?;
            Ok((name, [("status.json", data), ("index.html", status_page::render(&page))]))
        };
        let pages = pages.into_iter().map(render).collect::<Result<_, serde_json::Error>>()?;
        let directory = self.inner.state.join(DIRECTORY).join(key.app.as_str()).join(key.env.as_str());
        tokio::task::spawn_blocking(move || keep(&directory, &pages)).await??;
        Ok(())
    }

    /// The pages of an environment: as the release in force has them, and those that an open run is about to serve; and its
    /// maintenance windows.
    async fn status_pages(&self, key: &EnvKey) -> Result<(BTreeMap<ServiceName, StatusPage>, Vec<Window>), Failed> {
        let (mut pages, mut windows) = (BTreeMap::new(), self.made_windows(key));
        let Some(environment) = self.inner.store.environment(key).await? else { return Ok((pages, windows)) };
        if environment.retired {
            return Ok((pages, windows));
        }
        if let Some(run) = environment.open_run
            && let Some(record) = self.inner.store.run(run).await?
            && let Event::RunStarted { spec, .. } = &record.started.event
        {
            pages.extend(pages_in(spec));
        }
        if let Some(release) = self.inner.store.current_release(key).await? {
            pages.extend(pages_in(&release.spec));
            windows.extend(release.spec.maintenance.iter().cloned());
        }
        Ok((pages, windows))
    }
}

fn pages_in(spec: &Spec) -> impl Iterator<Item = (ServiceName, StatusPage)> {
    spec.services.values().filter_map(|service| match &service.artifact {
        Artifact::StatusPage(page) => Some((service.name.clone(), page.as_ref().clone())),
        _ => None,
    })
}

/// Makes the directory of an environment hold just these pages. Each file is replaced as a whole.
fn keep(directory: &Path, pages: &BTreeMap<ServiceName, Files>) -> std::io::Result<()> {
    for (name, files) in pages {
        let place = directory.join(name.as_str());
        std::fs::create_dir_all(&place)?;
        for (file, text) in files {
            replace(&place.join(file), text)?;
        }
    }
    let there = match std::fs::read_dir(directory) {
        Ok(there) => there,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in there {
        let entry = entry?;
        if !pages.keys().any(|name| entry.file_name() == name.as_str()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    if pages.is_empty() {
        std::fs::remove_dir(directory)?;
        // Other environments of the app may have pages.
        let _ = directory.parent().map(std::fs::remove_dir);
    }
    Ok(())
}

fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let unfinished: PathBuf = file.with_extension("tmp");
    let mut written = std::fs::File::create(&unfinished)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    std::fs::rename(&unfinished, file)
}

/// Why a page is not written.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Store(#[from] daybook_store::Error),
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error("it cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("writing it broke off")]
    BrokeOff(#[from] tokio::task::JoinError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_an_environment_holds_its_pages_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("shop/production");
        let page = |text: &str| [("status.json", "{}".to_owned()), ("index.html", text.to_owned())];
        let name = |text: &str| ServiceName::new(text).unwrap();
        keep(&directory, &BTreeMap::new()).unwrap();
        assert!(!directory.exists());
        keep(&directory, &[(name("status"), page("old")), (name("inside"), page("old"))].into()).unwrap();
        keep(&directory, &[(name("status"), page("new"))].into()).unwrap();
        assert_eq!(std::fs::read_to_string(directory.join("status/index.html")).unwrap(), "new");
        assert!(!directory.join("inside").exists());
        keep(&directory, &BTreeMap::new()).unwrap();
        assert!(!state.path().join("shop").exists());
    }
}
