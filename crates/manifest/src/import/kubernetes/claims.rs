//! Claims of volumes: those of a workload, and those that it makes for each replica.

use super::draft::Draft;
use super::fields;
use super::volumes::{Use, Volumes, mounted};
use crate::import::read::{flag, placed, texts};
use crate::import::yaml::Yaml;
use crate::tree::{Node, Span};

impl<'n> Volumes<'_, '_, '_, 'n, '_> {
    pub(super) fn claim(&mut self, draft: &mut Draft<'n>, used: &Use<'n>, node: &'n Node, read_only: bool) {
        let Some((claim, span)) = placed(node, "claimName") else { return };
        let namespace = draft.object.namespace;
        let object = self.cluster.find("PersistentVolumeClaim", namespace, claim);
        let volume = self.import.volume_name(namespace, claim);
        if !self.app.volumes.contains_key(&volume) {
            let at = object.map_or(span, |object| object.at);
            if let Some(spec) = object.and_then(|object| object.spec()) {
                fields::check(&self.import.notes, spec, fields::CLAIM, &format!("PersistentVolumeClaim {claim}"));
            }
            let keys = keys_of_claim(object.and_then(|object| object.spec()));
            self.declare(&volume, keys, at);
        }
        draft.push("volumes", mounted(&volume, used, read_only || flag(node, "readOnly")));
    }

    /// The volume of a template, which is one for each replica there and one for all here.
    pub(super) fn claim_template(&mut self, draft: &mut Draft<'n>, name: &str, template: &'n Node) -> String {
        let volume = self.import.volume_name(draft.object.namespace, &format!("{name}-{}", draft.object.name));
        if self.app.volumes.contains_key(&volume) {
            return volume;
        }
        let at =
            template.get("metadata").and_then(|metadata| metadata.get("name")).map_or(template.span, |name| name.span);
        let spec = template.get("spec");
        if let Some(spec) = spec {
            fields::check(
                &self.import.notes,
                spec,
                fields::CLAIM,
                &format!("the claim `{name}` of {}", draft.object.shown()),
            );
        }
        if draft.most_replicas() > 1 {
            let what = format!(
                "{}: its {} replicas have a volume each, and here they would share one, so there is one replica",
                draft.object.shown(),
                draft.replicas
            );
            self.import.notes.changed(at, what, "replicate with services of their own, each with its volume");
            draft.comments.push(format!("{} replicas in Kubernetes, each with a volume of its own.", draft.replicas));
            draft.only_one();
        }
        self.declare(&volume, keys_of_claim(spec), at);
        volume
    }

    fn declare(&mut self, volume: &str, keys: Vec<(&'static str, Yaml)>, at: Span) {
        let comment = "It begins empty: copy the data in.".to_owned();
        let value = if keys.is_empty() { Yaml::Word(String::new()) } else { Yaml::Flow(keys) };
        self.app.volumes.insert(volume.to_owned(), Yaml::Noted(vec![comment], Box::new(value)));
        let what = format!("the volume `{volume}` begins empty: its data stays in the cluster");
        self.import.notes.to_do(at, what, "copy the data before users come, for example with a dump and a restore");
    }
}

/// A volume that many may write is shared.
fn keys_of_claim(spec: Option<&Node>) -> Vec<(&'static str, Yaml)> {
    let modes = spec.map(|spec| texts(spec, "accessModes")).unwrap_or_default();
    if modes.contains(&"ReadWriteMany") { vec![("shared", Yaml::boolean(true))] } else { Vec::new() }
}
