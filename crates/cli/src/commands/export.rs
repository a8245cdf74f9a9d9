use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use daybook_api::client::Exit;
use daybook_kubernetes::export::{DIFFERENCES, Exported, Note, NoteKind, Object, Settings, Version, export};
use daybook_manifest::{Aim, Bundle};
use daybook_model::spec::{EnvValue, SecretRef};
use daybook_model::{Spec, Target};
use serde_json::{Value, json};

use crate::args::{Format, Global};
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::style::{DIM, GOOD, STRONG, WARN, paint};
use crate::output::words::plural;
use crate::output::{self, yaml};
use crate::{context, manifest};

/// Write what the manifest describes for tools other than Daybook.
#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(subcommand)]
    to: To,
}

#[derive(Debug, Subcommand)]
enum To {
    Kubernetes(Kubernetes),
    Server(Server),
}

/// Write the objects that run Daybook's own server in a cluster, highly available. What they need first is said at
/// their head. Needs no server.
#[derive(Debug, Args)]
struct Server {
    /// The image of Daybook. Without it, this very program is put into the registry of `--target`.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// How many servers: one leads, the others stand by.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    replicas: u8,
}

/// What `export server` writes, as it is documented.
const SERVER: &str = include_str!("../../../../examples/kubernetes/server.yaml");

/// Write the manifest's objects of Kubernetes as plain YAML. Needs no server and no cluster.
///
/// One stream goes to standard output. It begins with what is to be done before it is applied, what is not in it, and
/// where it differs from what Daybook applies itself. Values of secrets are not in it. `-o json` writes a List.
#[derive(Debug, Args)]
struct Kubernetes {
    /// Write to a file (`.yaml`, `.yml` or `.json`), or a file for each service to a directory. What is there is left
    /// alone.
    #[arg(long, value_name = "DIR|FILE", value_hint = ValueHint::AnyPath)]
    out: Option<PathBuf>,
    /// The version of Kubernetes to write for, from 1.29 to 1.34.
    #[arg(long = "for", value_name = "VERSION", default_value_t)]
    version: Version,
    /// Overwrite what is there.
    #[arg(long, requires = "out")]
    force: bool,
}

/// The file of a directory that names the others.
const KUSTOMIZATION: &str = "kustomization.yaml";
/// The file of a directory with what belongs to no service.
const NAMESPACE: &str = "namespace.yaml";

impl Export {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        match self.to {
            To::Kubernetes(command) => command.run(ctx),
            To::Server(command) => command.run(ctx).await,
        }
    }
}

impl Server {
    async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let image = match self.image {
            Some(image) => image,
            None => published(ctx).await?,
        };
        output::text(&servers(&image, self.replicas))?;
        ctx.next("apply it: daybook export server … | kubectl apply -f -      then: daybook --server kubernetes://CONTEXT status");
        Ok(Exit::Ok)
    }
}

/// The example with an image and a number of replicas of one's own.
fn servers(image: &str, replicas: u8) -> String {
    let lines = SERVER.lines().filter(|line| !line.contains("To be changed"));
    let lines = lines.map(|line| match line.trim_start() {
        text if text.starts_with("image: ") => format!("{}image: {image}", indent(line)),
        text if text.starts_with("replicas: ") => format!("{}replicas: {replicas}", indent(line)),
        _ => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// Puts this program where the target's cluster finds it.
async fn published(ctx: &Ctx) -> Result<String> {
    let registry = match &ctx.global.target {
        Some(Target::Kubernetes(cluster)) => cluster.registry.clone(),
        _ => None,
    };
    let registry = registry.ok_or_else(|| {
        CommandError::usage("nobody knows where the cluster gets Daybook's image from")
            .hint("name it: --image IMAGE; or a registry to put this program into: --target kubernetes://CONTEXT?registry=HOST/PATH")
    })?;
    let published = daybook_kubernetes::publish_program(&registry).await;
    published.map_err(|error| CommandError::failed(format!("{}: {}", error.operation, error.message)))
}

impl Kubernetes {
    fn run(self, ctx: &Ctx) -> Result<Exit> {
        let is_yaml = matches!(ctx.format(), Format::Table | Format::Yaml);
        let directory = self.out.as_deref().filter(|out| is_directory(out));
        if directory.is_some() && !is_yaml {
            return Err(CommandError::usage("a directory holds YAML only").hint("write one file: --out objects.json"));
        }
        let (head, exported) = exported(ctx, self.version)?;
        let files = match (&self.out, directory) {
            (None, _) if is_yaml => return output::text(&stream(&head, &exported.objects)).map(|()| Exit::Ok),
            (None, _) => Vec::new(),
            (Some(_), Some(directory)) => files(directory, &head, &exported.objects),
            (Some(out), None) if is_yaml => vec![(out.clone(), stream(&head, &exported.objects))],
            (Some(out), None) => vec![(out.clone(), format!("{:#}\n", list(&exported.objects)))],
        };
        report(ctx, &exported.notes);
        let Some(out) = &self.out else { return print(ctx, &exported.objects).map(|()| Exit::Ok) };
        if let Some(directory) = directory {
            let failed = |error| CommandError::io(format_args!("make {}", directory.display()), &error);
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        write(&files, self.force)?;
        ctx.say(&format!("{} wrote {}", paint(GOOD, "✓"), out.display()));
        let flag = if directory.is_some() { "-k" } else { "-f" };
        ctx.next(&format!("try it: kubectl apply --dry-run=server {flag} {}", out.display()));
        Ok(Exit::Ok)
    }
}

/// The objects of the manifest and environment that are meant, and the comment that goes before them.
fn exported(ctx: &Ctx, version: Version) -> Result<(String, Exported)> {
    // Wherever it runs otherwise: what is asked for is a cluster.
    let global = Global { target: Some(Target::Kubernetes(Default::default())), ..ctx.global.clone() };
    let (loaded, bundle) = manifest::read(&global, Aim::Look)?;
    let rendered = daybook_manifest::render(&loaded.diagnostics, &bundle, true);
    let Some(mut spec) = loaded.spec else {
        return Err(CommandError { diagnostics: vec![rendered], ..CommandError::said(Exit::Failed) });
    };
    if !rendered.is_empty() {
        ctx.say(&rendered);
    }
    seal(&mut spec);
    let shown = |path: &str| if path == bundle.root { ".".to_owned() } else { bundle.shown(path).to_owned() };
    let exported = export(&spec, &Settings { version, shown: &shown }).map_err(refused)?;
    Ok((head(&spec, &bundle, version, &exported.notes), exported))
}

/// What the server does before it carries out a manifest: values in clear that are secrets become references, under
/// the names by which it seals them.
fn seal(spec: &mut Spec) {
    for (name, service) in &mut spec.services {
        for (variable, value) in &mut service.container.environment {
            if matches!(value, EnvValue::Text(text) if daybook_model::secrecy::is_secret(variable, text)) {
                let secret = daybook_manifest::secret_of(name, variable);
                *value = EnvValue::Secret(SecretRef { name: secret, version: None, generate: false });
            }
        }
    }
}

fn refused(reasons: Vec<String>) -> CommandError {
    let count = plural(reasons.len() as u64, "thing");
    CommandError {
        diagnostics: reasons,
        ..CommandError::failed(format!("Kubernetes cannot do {count} that the manifest asks for; nothing was written"))
    }
}

/// Comments that say what made the objects, of what, and what else there is to know.
fn head(spec: &Spec, bundle: &Bundle, version: Version, notes: &[Note]) -> String {
    let files: Vec<_> = bundle.entries.iter().map(|entry| bundle.shown(entry)).collect();
    let command = context::command("export kubernetes", spec.key.env.as_str());
    let mut lines = vec![
        format!("Made by `{command}` of {}: {}, for Kubernetes {version}.", files.join(", "), spec.key),
        String::new(),
        "Where it differs from what Daybook applies itself:".to_owned(),
    ];
    lines.extend(DIFFERENCES.iter().map(|difference| format!("- {difference}")));
    if !notes.is_empty() {
        lines.push(String::new());
    }
    lines.extend(notes.iter().flat_map(|note| text_of(note, &note.kind.to_string())));
    lines.iter().map(|line| comment(line)).collect()
}

/// A note as lines of text, which begin with `kind`.
fn text_of(note: &Note, kind: &str) -> Vec<String> {
    let services: Vec<_> = note.services.iter().map(ToString::to_string).collect();
    let services = if services.is_empty() { String::new() } else { format!("{}: ", services.join(", ")) };
    let first = format!("{kind}: {services}{}", note.what);
    std::iter::once(first).chain(note.commands.iter().map(|command| format!("    {command}"))).collect()
}

/// A line of comment. What would end it, or could not be seen in it, is escaped.
fn comment(line: &str) -> String {
    let shown: String =
        line.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect();
    format!("# {shown}").trim_end().to_owned() + "\n"
}

fn stream(head: &str, objects: &[Object]) -> String {
    let documents = objects.iter().map(|object| format!("---\n{}", yaml::render(&object.value)));
    std::iter::once(head.to_owned()).chain(documents).collect()
}

fn list(objects: &[Object]) -> Value {
    let items: Vec<&Value> = objects.iter().map(|object| &object.value).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn print(ctx: &Ctx, objects: &[Object]) -> Result<()> {
    if ctx.format() == Format::Jsonl {
        let items: Vec<&Value> = objects.iter().map(|object| &object.value).collect();
        return ctx.data(&items, |_| String::new());
    }
    ctx.data(&list(objects), |_| String::new())
}

/// The files of a directory: the environment's, one for each service, and the one that names them all.
fn files(directory: &Path, head: &str, objects: &[Object]) -> Vec<(PathBuf, String)> {
    let mut grouped: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    for object in objects {
        let name = object.service.as_ref().map_or(NAMESPACE.to_owned(), |service| file_name(service.as_str()));
        grouped.entry(name).or_default().push(object.clone());
    }
    let environment = grouped.remove_entry(NAMESPACE).into_iter();
    let grouped: Vec<(String, Vec<Object>)> = environment.chain(grouped).collect();
    let names: Vec<&String> = grouped.iter().map(|(name, _)| name).collect();
    let kustomization =
        json!({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": names});
    let mut files = vec![(directory.join(KUSTOMIZATION), format!("{head}---\n{}", yaml::render(&kustomization)))];
    let note = comment(&format!("See {KUSTOMIZATION} for what made this, and what is to be done."));
    files.extend(grouped.iter().map(|(name, objects)| (directory.join(name), stream(&note, objects))));
    files
}

/// The file of a service, which must not be one of the others.
fn file_name(service: &str) -> String {
    let name = format!("{service}.yaml");
    if [NAMESPACE, KUSTOMIZATION].contains(&name.to_ascii_lowercase().as_str()) {
        format!("service-{name}")
    } else {
        name
    }
}

/// Whether a path means a directory: one that is there, or a name without the ending of a file.
fn is_directory(out: &Path) -> bool {
    let ending = out.extension().and_then(|ending| ending.to_str());
    out.is_dir() || !ending.is_some_and(|ending| matches!(ending, "yaml" | "yml" | "json"))
}

/// Writes all files, or none where one is there already. One that another process made meanwhile is not overwritten.
fn write(files: &[(PathBuf, String)], force: bool) -> Result<()> {
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists() && !force) {
        return Err(exists(path));
    }
    for (path, text) in files {
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => exists(path),
            _ => CommandError::io(format_args!("write {}", path.display()), &error),
        };
        let mut options = OpenOptions::new();
        let options = options.write(true).create(force).truncate(force).create_new(!force);
        options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
    }
    Ok(())
}

fn exists(path: &Path) -> CommandError {
    let error = CommandError::failed(format!("{} is here already; nothing was changed", path.display()));
    error.hint("overwrite it: --force")
}

/// Tells a person every note, where they are not in what is printed, and how many there are of each kind.
fn report(ctx: &Ctx, notes: &[Note]) {
    let mut out = String::new();
    for note in notes {
        let style = match note.kind {
            NoteKind::ToDo => STRONG,
            NoteKind::NotExported => WARN,
            NoteKind::Changed => DIM,
        };
        for line in text_of(note, &paint(style, note.kind)) {
            let _ = writeln!(out, "{line}");
        }
    }
    let kinds = [NoteKind::ToDo, NoteKind::NotExported, NoteKind::Changed];
    let counts = kinds.map(|kind| (notes.iter().filter(|note| note.kind == kind).count(), kind));
    let counts: Vec<_> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    if !counts.is_empty() {
        ctx.say(&format!("{out}\n{}", counts.join(", ")));
    }
}

#[cfg(test)]
mod tests;
