//! Finding the manifest, as Compose finds its files.

use std::path::{Path, PathBuf};

use daybook_api::change::Up;
use daybook_api::client::Exit;
use daybook_manifest::{Aim, Bundle, Diagnostic, LandingZone, Loaded, Open, Options};
use daybook_model::{AppName, Spec};

use crate::args::Global;
use crate::context::Ctx;
use crate::encrypted;
use crate::error::{CommandError, Result};

/// Names that a manifest may have, best first.
const NAMES: [&str; 6] =
    ["daybook.yaml", "daybook.yml", "compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// The manifest's files in the order in which they are merged: those given, or the first found here
/// and in the directories above, with its override file.
///
/// # Errors
/// A file that was given is not there; or none was given and none was found.
pub(crate) fn files(global: &Global) -> Result<Vec<PathBuf>> {
    let here = std::env::current_dir().map_err(|error| CommandError::io("find the current directory", &error))?;
    if global.file.is_empty() {
        return find(&here).ok_or_else(|| {
            CommandError::failed(format!("no daybook.yaml or compose.yaml in {} or above it", here.display()))
                .hint("write one: daybook init    or name it: -f FILE")
        });
    }
    for file in &global.file {
        if !file.is_file() {
            return Err(CommandError::failed(format!("{}: no such file", file.display())));
        }
    }
    Ok(global.file.iter().map(|file| here.join(file)).collect())
}

/// The app that the manifest describes; none where no manifest is found and none was given.
///
/// # Errors
/// The manifest has errors: they are shown.
pub(crate) fn app(global: &Global) -> Result<Option<AppName>> {
    let here = std::env::current_dir().map_err(|error| CommandError::io("find the current directory", &error))?;
    if global.file.is_empty() && find(&here).is_none() {
        return Ok(None);
    }
    match load(global, Aim::Look) {
        Ok((spec, _)) => Ok(Some(spec.key.app)),
        Err(error) => Err(error.hint("this needs only the app's name: --app NAME does without the manifest")),
    }
}

/// Reads the manifest with every file that it needs, and understands it.
///
/// # Errors
/// The manifest has errors: they are shown, with the lines they are about.
pub(crate) fn load(global: &Global, aim: Aim) -> Result<(Spec, Bundle)> {
    of_spec(read(global, aim)?)
}

fn of_spec((loaded, bundle): (Loaded, Bundle)) -> Result<(Spec, Bundle)> {
    match loaded.spec {
        Some(spec) => Ok((spec, bundle)),
        None => Err(refused(&loaded.diagnostics, &bundle)),
    }
}

/// A manifest's errors, with the lines they are about.
pub(crate) fn refused(found: &[Diagnostic], bundle: &Bundle) -> CommandError {
    CommandError {
        diagnostics: vec![daybook_manifest::render(found, bundle, true)],
        ..CommandError::said(Exit::Failed)
    }
}

/// Reads what an organisation asks of all its apps.
///
/// # Errors
/// It is not there, or has errors: they are shown.
pub(crate) fn landing_zone(path: &Path) -> Result<LandingZone> {
    if !path.is_file() {
        return Err(CommandError::failed(format!("{}: no such file", path.display())));
    }
    let (zone, diagnostics, bundle) = LandingZone::read(path);
    zone.ok_or_else(|| refused(&diagnostics, &bundle))
}

/// Reads the manifest and says what it means, errors and all. Encrypted files stay closed.
pub(crate) fn read(global: &Global, aim: Aim) -> Result<(Loaded, Bundle)> {
    read_opening(global, aim, None)
}

fn read_opening(global: &Global, aim: Aim, open: Option<&Open<'_>>) -> Result<(Loaded, Bundle)> {
    let (bundle, _) = Bundle::collect(&files(global)?, &|name| std::env::var(name).ok(), open);
    let options = Options {
        profiles: global.profile.clone(),
        app: global.app.clone(),
        target: global.target.clone(),
        aim,
        ..Options::new(global.env.clone())
    };
    let mut loaded = daybook_manifest::load(&bundle, &options);
    if let Some(spec) = &loaded.spec {
        let found = daybook_server::rules::check(spec, &bundle);
        loaded.spec = loaded.spec.filter(|_| !found.iter().any(Diagnostic::is_error));
        loaded.diagnostics.extend(found);
    }
    Ok((loaded, bundle))
}

/// What `up` asks for. A manifest with errors is refused before any server is asked, and with
/// [`Aim::Act`] so is one that misses what it needs.
pub(crate) fn up(ctx: &Ctx, aim: Aim) -> Result<Up> {
    up_by(&ctx.global, aim)
}

/// The same, by other arguments than those that were given. Encrypted files are opened here, where the keys are.
pub(crate) fn up_by(global: &Global, aim: Aim) -> Result<Up> {
    let (_, bundle) = of_spec(read_opening(global, aim, Some(&encrypted::open))?)?;
    let unsendable = |error: serde_json::Error| CommandError::failed(format!("send the manifest: {error}"));
    Ok(Up {
        bundle: daybook_api::change::Bundle::encode(&bundle).map_err(unsendable)?,
        environment: global.env.clone(),
        profiles: global.profile.clone(),
        app: global.app.clone(),
        target: global.target.clone(),
    })
}

/// The first manifest in `directory` or above it, and its override file.
fn find(directory: &Path) -> Option<Vec<PathBuf>> {
    directory.ancestors().find_map(|directory| {
        let manifest = NAMES.iter().map(|name| directory.join(name)).find(|path| path.is_file())?;
        let mut files = vec![manifest];
        files.extend(override_of(&files[0]));
        Some(files)
    })
}

/// `compose.override.yaml` beside `compose.yaml`, and so on for each name; with either ending.
fn override_of(manifest: &Path) -> Option<PathBuf> {
    let stem = manifest.file_stem()?.to_str()?;
    let names = ["yaml", "yml"].map(|ending| manifest.with_file_name(format!("{stem}.override.{ending}")));
    names.into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str], from: &str) -> Option<Vec<String>> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        for file in files {
            std::fs::write(root.path().join(file), "").unwrap();
        }
        let found = find(&root.path().join(from))?;
        Some(found.iter().map(|path| path.strip_prefix(root.path()).unwrap().display().to_string()).collect())
    }

    #[test]
    fn the_nearest_manifest_is_taken_with_its_override() {
        let files = ["compose.yaml", "compose.override.yml", "a/docker-compose.yml"];
        assert_eq!(found(&files, "a/b").unwrap(), ["a/docker-compose.yml"]);
        assert_eq!(found(&files, "").unwrap(), ["compose.yaml", "compose.override.yml"]);
    }

    #[test]
    fn a_bundle_goes_over_the_wire_whole() {
        let texts = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "text".to_owned())).collect();
        let bundle = Bundle {
            entries: vec!["/a/daybook.yaml".to_owned()],
            root: "/a".to_owned(),
            files: texts(&["/a/daybook.yaml"]),
            unreadable: texts(&["/a/secret.env"]),
            present: ["/a/data".to_owned()].into(),
            opened: texts(&["sops:/a/secrets.enc.yaml"]),
            unopened: texts(&["age:/a/key.age"]),
            variables: texts(&["TAG"]),
        };
        let wire = daybook_api::change::Bundle::encode(&bundle).unwrap();
        assert_eq!(wire.decode::<Bundle>().unwrap(), bundle);
    }

    #[test]
    fn our_own_name_goes_before_the_others() {
        assert_eq!(found(&["compose.yaml", "daybook.yml", "compose.override.yaml"], "a").unwrap(), ["daybook.yml"]);
    }
}
