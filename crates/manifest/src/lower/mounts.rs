//! Mounts: `volumes` in both forms, and `tmpfs`.

use std::collections::{BTreeMap, HashMap};

use daybook_model::VolumeName;
use daybook_model::spec::{Mount, MountSource, Volume};

use super::Manifest;
use super::read::{boolean, bytes, flag, text};
use crate::context::Problem;
use crate::tree::{Node, Span};
use crate::units;

/// The mounts of a service. A long form without `source` is anonymous.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, service: &Node, volumes: &BTreeMap<VolumeName, Volume>) -> Vec<Mount> {
    let mut mounts = Mounts::default();
    for item in service.get("volumes").map(Node::items).unwrap_or_default() {
        let mount = match item.scalar() {
            Some(short) => short_form(manifest, short, item.span, volumes),
            None => long_form(manifest, item, volumes),
        };
        if let Some(mount) = mount {
            mounts.add(manifest, mount, item.span);
        }
    }
    for item in service.get("tmpfs").map(Node::items).unwrap_or_default() {
        if let Some(mount) = item.scalar().and_then(|short| tmpfs(manifest, short, item.span)) {
            mounts.add(manifest, mount, item.span);
        }
    }
    mounts.all
}

/// The mounts of a service, and where the one of each path inside is: there may be very many.
#[derive(Default)]
struct Mounts {
    all: Vec<Mount>,
    places: HashMap<String, usize>,
}

impl Mounts {
    /// One path inside is one mount: the later one counts, as in Compose.
    fn add(&mut self, manifest: &Manifest<'_, '_>, mount: Mount, span: Span) {
        let target = mount.target.trim_end_matches('/').to_owned();
        let Some(at) = self.places.get(&target) else {
            self.places.insert(target, self.all.len());
            return self.all.push(mount);
        };
        let known = &mut self.all[*at];
        if *known != mount {
            let message = format!("something else is mounted at `{}` before", mount.target);
            let problem = Problem::new("M0523", span, message);
            manifest.ctx.report(problem.label("this one counts").help("remove one of the two"));
            *known = mount;
        }
    }
}

fn absolute(manifest: &Manifest<'_, '_>, target: &str, span: Span) -> Option<String> {
    if target.starts_with('/') {
        return Some(target.to_owned());
    }
    let problem = Problem::new("M0505", span, format!("`{target}` is no absolute path"));
    manifest.ctx.report(problem.label("a path inside the replica begins with `/`"));
    None
}

fn short_form(
    manifest: &Manifest<'_, '_>,
    written: &str,
    span: Span,
    volumes: &BTreeMap<VolumeName, Volume>,
) -> Option<Mount> {
    let parts: Vec<&str> = written.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => ("", *target, ""),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => {
            let problem = Problem::new("M0506", span, format!("`{written}` is no volume"));
            manifest.ctx.report(problem.label("the form is SOURCE:TARGET[:OPTIONS]"));
            return None;
        }
    };
    if parts.len() > 1 && source.is_empty() {
        let problem = Problem::new("M0506", span, format!("`{written}` is no volume"));
        manifest.ctx.report(problem.label("nothing stands before the colon").help("give a path or a volume's name"));
        return None;
    }
    let target = absolute(manifest, target, span)?;
    let mut mount = Mount { target, source: source_of(manifest, source, span, volumes)?, read_only: false };
    options.split(',').filter(|option| !option.is_empty()).for_each(|option| apply(manifest, &mut mount, option, span));
    Some(mount)
}

/// A path where it looks like one, a declared volume otherwise.
fn source_of(
    manifest: &Manifest<'_, '_>,
    source: &str,
    span: Span,
    volumes: &BTreeMap<VolumeName, Volume>,
) -> Option<MountSource> {
    if source.is_empty() {
        return Some(MountSource::Anonymous);
    }
    if source.starts_with(['.', '/', '~']) {
        let path = manifest.ctx.resolve(span, source);
        look_for(manifest, source, &path, true, span);
        return Some(MountSource::Bind { path, create: true, propagation: None, selinux: None });
    }
    named(manifest, source, span, volumes).map(|name| MountSource::Volume { name, subpath: None, nocopy: false })
}

/// Reports a path of this machine that is not there. One that may be made is made without a word, as
/// Compose does, unless it looks like a file that belongs beside the manifest.
fn look_for(manifest: &Manifest<'_, '_>, written: &str, path: &str, create: bool, span: Span) {
    let last = path.rsplit('/').next().unwrap_or_default();
    let like_a_file = written.starts_with('.') && last.trim_start_matches('.').contains('.') && !last.ends_with(".d");
    if (create && !like_a_file) || manifest.ctx.files.exists(path) {
        return;
    }
    let (code, help) = if create {
        ("M0406", "a directory is made there, as Compose does; if it is a file, write it first")
    } else {
        ("M0407", "make it, or leave `create_host_path` out")
    };
    manifest.ctx.report(Problem::new(code, span, "a path to mount is not there").label("no such file").help(help));
}

fn named(
    manifest: &Manifest<'_, '_>,
    name: &str,
    span: Span,
    volumes: &BTreeMap<VolumeName, Volume>,
) -> Option<VolumeName> {
    if !manifest.declared("volumes", "volume", name, span) {
        return None;
    }
    volumes.keys().find(|known| known.as_str() == name).cloned()
}

fn apply(manifest: &Manifest<'_, '_>, mount: &mut Mount, option: &str, span: Span) {
    match (option, &mut mount.source) {
        ("ro" | "readonly", _) => mount.read_only = true,
        ("rw", _) => mount.read_only = false,
        ("nocopy", MountSource::Volume { nocopy, .. }) => *nocopy = true,
        ("z" | "Z", MountSource::Bind { selinux, .. }) => *selinux = option.chars().next(),
        ("shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate", MountSource::Bind { propagation, .. }) => {
            *propagation = Some(option.to_owned());
        }
        // Hints for shared folders of desktop machines; they change nothing on Linux, nor do the
        // others where they have no meaning.
        (
            "cached" | "delegated" | "consistent" | "default" | "copy" | "nocopy" | "z" | "Z" | "U" | "volume-nocopy",
            _,
        ) => {}
        _ => {
            let problem = Problem::new("M0507", span, format!("unknown option `{option}` of a volume"));
            manifest.ctx.report(problem.label("`ro`, `rw`, `z`, `Z`, `nocopy` and propagation modes are known"));
        }
    }
}

fn long_form(manifest: &Manifest<'_, '_>, item: &Node, volumes: &BTreeMap<VolumeName, Volume>) -> Option<Mount> {
    let Some(target) = text(item, "target") else {
        let problem = Problem::new("M0119", item.span, "`target` is missing");
        manifest.ctx.report(problem.label("where in the replica?"));
        return None;
    };
    let target = absolute(manifest, &target, item.get("target").map_or(item.span, |node| node.span))?;
    let source = item.get("source").and_then(|node| Some((node.scalar()?.to_owned(), node.span)));
    let kind = text(item, "type");
    let kind = kind.as_deref().unwrap_or_else(|| match &source {
        Some((path, _)) if path.starts_with(['.', '/', '~']) => "bind",
        _ => "volume",
    });
    let source = match (kind, source) {
        ("volume", None) => MountSource::Anonymous,
        ("volume", Some((name, span))) => {
            let name = named(manifest, &name, span, volumes)?;
            let options = item.get("volume");
            let subpath = options.and_then(|options| text(options, "subpath"));
            MountSource::Volume { name, subpath, nocopy: options.is_some_and(|options| flag(options, "nocopy")) }
        }
        ("bind", Some((path, span))) => {
            let options = item.get("bind");
            let create = options.and_then(|options| boolean(options, "create_host_path")).unwrap_or(true);
            let propagation = options.and_then(|options| text(options, "propagation"));
            let selinux = options.and_then(|options| text(options, "selinux")?.chars().next());
            let written = path;
            let path = manifest.ctx.resolve(span, &written);
            look_for(manifest, &written, &path, create, span);
            MountSource::Bind { path, create, propagation, selinux }
        }
        ("tmpfs", _) => {
            let options = item.get("tmpfs");
            let size = options.and_then(|options| bytes(options, "size"));
            let mode = options.and_then(|options| units::mode(options.get("mode")?.scalar()?));
            MountSource::Tmpfs { size, mode }
        }
        ("bind", None) => {
            let problem = Problem::new("M0119", item.span, "`source` is missing");
            manifest.ctx.report(problem.label("which path of this machine?"));
            return None;
        }
        (other, _) => {
            let problem = Problem::new("M0508", item.span, format!("mounts of type `{other}` cannot be made here"));
            manifest.ctx.report(problem.label("use `volume`, `bind` or `tmpfs`"));
            return None;
        }
    };
    Some(Mount { target, source, read_only: flag(item, "read_only") })
}

/// `/run`, or `/run:size=64m,mode=1777`. Other options are for the kernel and change no behaviour.
fn tmpfs(manifest: &Manifest<'_, '_>, written: &str, span: Span) -> Option<Mount> {
    let (target, options) = written.split_once(':').unwrap_or((written, ""));
    let target = absolute(manifest, target, span)?;
    let option = |name: &str| options.split(',').find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
    let size = option("size").and_then(units::bytes);
    let mode = option("mode").and_then(|mode| u32::from_str_radix(mode, 8).ok());
    let read_only = options.split(',').any(|option| option == "ro");
    Some(Mount { target, source: MountSource::Tmpfs { size, mode }, read_only })
}
