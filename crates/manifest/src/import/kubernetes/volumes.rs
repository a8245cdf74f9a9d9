//! Volumes of a pod, as far as the main container mounts them.

use std::collections::{HashMap, HashSet};

use super::Import;
use super::draft::{App, Draft};
use super::fields::{self, Fate, Field};
use super::files::Source;
use super::objects::Cluster;
use super::quantity::{Quantity, size};
use crate::import::read::{flag, list, text};
use crate::import::yaml::Yaml;
use crate::tree::{Map, Node, Span};

const MOUNT: &[Field] = &[
    ("name", Fate::Read),
    ("mountPath", Fate::Read),
    ("readOnly", Fate::Read),
    ("subPath", Fate::Read),
    ("mountPropagation", Fate::LostUnless("None", "mounts beneath it do not follow", "see `bind: {propagation: …}`")),
    ("subPathExpr", Fate::Lost("a path cannot hold variables", "write the path in `volume: {subpath: …}`")),
    ("recursiveReadOnly", Fate::LostUnless("Disabled", "mounts beneath it are not looked into", "")),
];

/// One volume as the main container mounts it.
pub(super) struct Use<'n> {
    pub(super) volume: &'n Node,
    mount: &'n Node,
    pub(super) path: &'n str,
    pub(super) subpath: Option<&'n str>,
    /// ``the volume `data` of Deployment web``.
    pub(super) what: String,
}

/// What is at hand while the volumes of one service are read.
pub(super) struct Volumes<'i, 'c, 'a, 'n, 'm> {
    pub(super) import: &'i Import<'c, 'a>,
    pub(super) cluster: &'i Cluster<'n>,
    pub(super) app: &'m mut App<'n>,
    pub(super) pod: &'n Node,
    /// Volumes of the pod that its init containers mount as well.
    pub(super) shared: &'m HashSet<&'n str>,
}

impl<'n> Volumes<'_, '_, '_, 'n, '_> {
    /// Mounts what the draft's container mounts.
    pub(super) fn mount_all(&mut self, draft: &mut Draft<'n>) {
        let shown = draft.object.shown();
        let templates = draft.object.spec().map(|spec| list(spec, "volumeClaimTemplates")).unwrap_or_default();
        let templates: HashMap<&str, &'n Node> = templates
            .iter()
            .filter_map(|template| Some((text(template.get("metadata")?, "name")?, template)))
            .collect();
        let volumes: HashMap<&str, &'n Node> =
            list(self.pod, "volumes").iter().filter_map(|volume| Some((text(volume, "name")?, volume))).collect();
        for mount in list(draft.container, "volumeMounts") {
            fields::check(&self.import.notes, mount, MOUNT, &format!("a mount of {shown}"));
            let (Some(name), Some(path)) = (text(mount, "name"), text(mount, "mountPath")) else { continue };
            let subpath = text(mount, "subPath");
            if !path.starts_with('/') || path.contains([':', ',']) {
                let what = format!("the mount at `{path}` of {shown}");
                self.lost(mount.span, &what, "its path cannot be written here", "");
            } else if let Some(template) = templates.get(name) {
                let volume = self.claim_template(draft, name, template);
                draft.push("volumes", named(&volume, path, subpath, flag(mount, "readOnly")));
            } else if let Some(volume) = volumes.get(name) {
                let what = format!("the volume `{name}` of {shown}");
                self.volume(draft, &Use { volume, mount, path, subpath, what });
            } else {
                self.lost(mount.span, &format!("the mount `{name}` of {shown}"), "the pod has no such volume", "");
            }
        }
    }

    pub(super) fn lost(&self, span: Span, what: &str, why: &str, advice: &str) {
        self.import.notes.not_carried(span, format!("{what}: {why}"), advice);
    }

    fn volume(&mut self, draft: &mut Draft<'n>, used: &Use<'n>) {
        let read_only = flag(used.mount, "readOnly");
        let Some(source) = used.volume.map().into_iter().flat_map(Map::iter).find(|entry| entry.key != "name") else {
            // A volume of nothing but a name is an empty directory.
            return draft.push("volumes", Yaml::text(used.path));
        };
        let node = &source.value;
        match source.key.as_str() {
            "emptyDir" => self.empty(draft, used, node),
            "hostPath" => self.host_path(draft, used, node, read_only),
            "persistentVolumeClaim" => self.claim(draft, used, node, read_only),
            "configMap" => self.config_map(draft, used, &Source::new(node, "name")),
            "secret" => self.secret(draft, used, &Source::new(node, "secretName")),
            "projected" => self.projected(draft, used, node),
            "nfs" => self.nfs(draft, used, node, read_only),
            "ephemeral" => {
                self.import.notes.changed(
                    source.key_span,
                    format!("{}: it is a volume of each replica", used.what),
                    "",
                );
                draft.push("volumes", Yaml::text(used.path));
            }
            "downwardAPI" => self.lost(
                source.key_span,
                &used.what,
                "what a pod knows of itself is not written to files",
                "`DAYBOOK_SERVICE` and `DAYBOOK_REPLICA` are variables",
            ),
            other => self.lost(
                source.key_span,
                &used.what,
                &format!("volumes of the kind `{other}` cannot be mounted"),
                "a volume may name a driver of the container engine",
            ),
        }
    }

    fn empty(&mut self, draft: &mut Draft<'n>, used: &Use<'n>, node: &Node) {
        let limit = text(node, "sizeLimit").and_then(Quantity::read).and_then(|limit| limit.in_parts(1));
        let limit = limit.filter(|limit| (1..1 << 53).contains(limit)).map(size);
        let name = text(used.volume, "name").unwrap_or_default();
        if self.shared.contains(name) {
            let volume = self.import.volume_name(draft.object.namespace, &format!("{}-{name}", draft.object.name));
            self.app.volumes.insert(volume.clone(), Yaml::Flow(vec![("shared", Yaml::boolean(true))]));
            let what = format!("{}: it is kept, since a task of its own fills it", used.what);
            self.import.notes.changed(used.volume.span, what, "");
            return draft.push("volumes", mounted(&volume, used, flag(used.mount, "readOnly")));
        }
        if text(node, "medium") == Some("Memory") {
            let limit = limit.map(|limit| format!(":size={limit}")).unwrap_or_default();
            return draft.push("tmpfs", Yaml::text(&format!("{}{limit}", used.path)));
        }
        if let Some(span) = node.get("sizeLimit").map(|limit| limit.span) {
            self.lost(span, &format!("`sizeLimit` of {}", used.what), "the size of a volume is not bounded", "");
        }
        draft.push("volumes", Yaml::text(used.path));
    }

    fn host_path(&self, draft: &mut Draft<'n>, used: &Use<'n>, node: &Node, read_only: bool) {
        let Some(source) = text(node, "path").filter(|path| path.starts_with('/')) else { return };
        let source =
            used.subpath.map_or_else(|| source.to_owned(), |below| format!("{}/{below}", source.trim_end_matches('/')));
        let must_exist = !matches!(text(node, "type"), None | Some("" | "DirectoryOrCreate" | "FileOrCreate"));
        let mut entries =
            vec![("type", Yaml::text("bind")), ("source", Yaml::text(&source)), ("target", Yaml::text(used.path))];
        if read_only {
            entries.push(("read_only", Yaml::boolean(true)));
        }
        if must_exist {
            entries.push(("bind", Yaml::Flow(vec![("create_host_path", Yaml::boolean(false))])));
        }
        let what = format!("{}: `{source}` is a path of the machine that Daybook runs on", used.what);
        self.import.notes.changed(used.volume.span, what, "copy there what the nodes of the cluster have");
        draft.push("volumes", Yaml::Flow(entries));
    }

    fn nfs(&mut self, draft: &mut Draft<'n>, used: &Use<'n>, node: &Node, read_only: bool) {
        let (Some(server), Some(path)) = (text(node, "server"), text(node, "path")) else { return };
        let volume = self.import.volume_name(
            draft.object.namespace,
            &format!("{}-{}", draft.object.name, text(used.volume, "name").unwrap_or_default()),
        );
        let options = vec![
            ("type", Yaml::text("nfs")),
            ("o", Yaml::text(&format!("addr={server}"))),
            ("device", Yaml::text(&format!(":{path}"))),
        ];
        let keys = vec![("driver_opts", Yaml::Flow(options)), ("shared", Yaml::boolean(true))];
        self.app.volumes.insert(volume.clone(), Yaml::Flow(keys));
        self.import.notes.changed(
            used.volume.span,
            format!("{}: the container engine mounts it", used.what),
            "NFS must be installed on the machine",
        );
        draft.push("volumes", mounted(&volume, used, read_only));
    }
}

pub(super) fn mounted(volume: &str, used: &Use<'_>, read_only: bool) -> Yaml {
    named(volume, used.path, used.subpath, read_only)
}

fn named(volume: &str, path: &str, subpath: Option<&str>, read_only: bool) -> Yaml {
    let Some(subpath) = subpath else {
        let option = if read_only { ":ro" } else { "" };
        return Yaml::text(&format!("{volume}:{path}{option}"));
    };
    let mut entries =
        vec![("type", Yaml::text("volume")), ("source", Yaml::text(volume)), ("target", Yaml::text(path))];
    if read_only {
        entries.push(("read_only", Yaml::boolean(true)));
    }
    entries.push(("volume", Yaml::Flow(vec![("subpath", Yaml::text(subpath))])));
    Yaml::Flow(entries)
}
