//! ConfigMaps and Secrets as files of a container.

use super::draft::{Config, Draft, Text};
use super::objects::Object;
use super::secrets;
use super::volumes::{Use, Volumes};
use crate::import::read::{flag, list, map, mode, placed, text};
use crate::import::yaml::Yaml;
use crate::tree::{Map, Node, Span};

/// The longest text that is put into the manifest as a file, in bytes.
const LONGEST: usize = 512 << 10;
/// What a use of a file weighs: it is written for each key of each mount.
const USE_WEIGHT: usize = 8;

/// A volume of files.
pub(super) struct Source<'n> {
    node: &'n Node,
    /// The key under which the object is named.
    key: &'static str,
    /// The permission bits of files that have none of their own.
    mode: Option<String>,
}

/// One file of a volume.
struct Item<'n> {
    key: &'n str,
    path: &'n str,
    mode: Option<String>,
}

impl<'n> Source<'n> {
    pub(super) fn new(node: &'n Node, key: &'static str) -> Self {
        Self { node, key, mode: mode(node, "defaultMode") }
    }

    fn named(&self) -> Option<(&'n str, Span)> {
        placed(self.node, self.key)
    }

    /// What `items` chooses, or all of `keys`, each as a file of its own name.
    fn items(&self, keys: impl Iterator<Item = &'n str>) -> Vec<Item<'n>> {
        let item = |item: &'n Node| {
            let mode = mode(item, "mode").or_else(|| self.mode.clone());
            Some(Item { key: text(item, "key")?, path: text(item, "path")?, mode })
        };
        match self.node.get("items") {
            Some(_) => list(self.node, "items").iter().filter_map(item).collect(),
            None => keys.map(|key| Item { key, path: key, mode: self.mode.clone() }).collect(),
        }
    }
}

impl Item<'_> {
    /// Where the file is in the container. `None` for one that `subPath` leaves out.
    fn target(&self, used: &Use<'_>) -> Option<String> {
        let base = used.path.trim_end_matches('/');
        match used.subpath {
            None => Some(format!("{base}/{}", self.path)),
            Some(below) if below == self.path => Some(used.path.to_owned()),
            Some(below) => Some(format!("{base}/{}", self.path.strip_prefix(below)?.strip_prefix('/')?)),
        }
    }

    fn yaml(&self, source: &str, target: &str) -> Yaml {
        let mut entries = vec![("source", Yaml::text(source)), ("target", Yaml::text(target))];
        entries.extend(self.mode.as_deref().map(|mode| ("mode", Yaml::text(mode))));
        Yaml::Flow(entries)
    }
}

impl<'n> Volumes<'_, '_, '_, 'n, '_> {
    /// The files of a ConfigMap, each as a file of its own.
    pub(super) fn config_map(&mut self, draft: &mut Draft<'n>, used: &Use<'n>, source: &Source<'n>) {
        let Some((name, span)) = source.named() else { return };
        let Some(object) = self.import.config_map(self.cluster, draft.object.namespace, name) else {
            let optional = if flag(source.node, "optional") { " (it is optional)" } else { "" };
            let why = format!("ConfigMap {name} is not among what was imported{optional}");
            return self.lost(span, &used.what, &why, "import its file as well");
        };
        let data = map(object.node, "data");
        let mut found = false;
        for item in source.items(data.into_iter().flat_map(Map::iter).map(|entry| entry.key.as_str())) {
            let Some(target) = item.target(used) else { continue };
            found = true;
            let Some(content) = data.and_then(|data| data.get(item.key)).filter(|node| node.scalar().is_some()) else {
                self.lost(span, &used.what, &format!("ConfigMap {name} has no text `{}`", item.key), "");
                continue;
            };
            let Some(config) = self.config(&object, used, item.key, content) else { continue };
            draft.push("configs", item.yaml(&config, &target));
        }
        if !found {
            self.lost(span, &used.what, &format!("ConfigMap {name} has no such file"), "");
        }
    }

    /// The config of one key, which is declared once. `None` for one that is too long.
    fn config(&mut self, object: &Object<'n>, used: &Use<'n>, key: &str, content: &Node) -> Option<String> {
        let text = content.scalar().unwrap_or_default();
        if text.len() > LONGEST {
            let why = format!("`{key}` is too long for a manifest");
            self.lost(content.span, &used.what, &why, "give it as a file: `configs: {NAME: {file: FILE}}`");
            return None;
        }
        let (name, new) = self.import.config_name(object, key);
        if new {
            let content = Text::new(text, content.span);
            if !self.import.afford(content.span, &content) {
                return None;
            }
            self.app.configs.push(Config { name: name.clone(), namespace: object.namespace, content });
        }
        self.import.ctx.afford(content.span, USE_WEIGHT).then_some(name)
    }

    /// The keys of a Secret, each as a file of its own.
    pub(super) fn secret(&mut self, draft: &mut Draft<'n>, used: &Use<'n>, source: &Source<'n>) {
        let Some((name, span)) = source.named() else { return };
        let namespace = draft.object.namespace;
        self.import.secrets.mark_used(namespace, name);
        let object = secrets::find(self.cluster, namespace, name);
        let known = object.map(|object| secrets::keys(&object)).unwrap_or_default();
        let mut found = false;
        for item in source.items(known.iter().map(|(key, _)| *key)) {
            let Some(target) = item.target(used) else { continue };
            if !self.import.ctx.afford(span, USE_WEIGHT) {
                return;
            }
            found = true;
            let secret = self.import.secrets.of_key(self.cluster, (namespace, name), item.key, span);
            self.app.secret_files.insert(secret.clone());
            draft.push("secrets", item.yaml(&secret, &target));
        }
        if !found {
            let why = format!("the keys of Secret {name} are not among what was imported");
            self.lost(span, &used.what, &why, "import its file as well, or write `secrets` by hand");
        }
    }

    /// Files of several sources in one directory.
    pub(super) fn projected(&mut self, draft: &mut Draft<'n>, used: &Use<'n>, node: &'n Node) {
        let usual = mode(node, "defaultMode");
        let sources = list(node, "sources").iter().filter_map(Node::map).flat_map(Map::iter);
        for entry in sources {
            let source = Source { node: &entry.value, key: "name", mode: usual.clone() };
            match entry.key.as_str() {
                "configMap" => self.config_map(draft, used, &source),
                "secret" => self.secret(draft, used, &source),
                "serviceAccountToken" => {
                    self.lost(entry.key_span, &used.what, "there is no API server to log in to", "");
                }
                other => self.lost(entry.key_span, &used.what, &format!("`{other}` is not written to files"), ""),
            }
        }
    }
}
