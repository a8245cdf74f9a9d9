//! How many replicas there are, and how a new version replaces the old.

use std::collections::HashMap;

use super::Import;
use super::draft::Draft;
use super::fields;
use super::objects::{Cluster, Object};
use crate::import::read::{list, number, text};
use crate::import::yaml::Yaml;
use crate::tree::Node;

/// The most replicas that a service may have.
const MOST: u32 = daybook_model::spec::Scale::MOST;

/// Every autoscaler by the namespace, kind and name of what it scales.
pub(super) struct Autoscalers<'n>(HashMap<(&'n str, &'n str, &'n str), Object<'n>>);

impl<'n> Autoscalers<'n> {
    pub(super) fn of(cluster: &Cluster<'n>) -> Self {
        let target = |object: Object<'n>| {
            let target = object.spec()?.get("scaleTargetRef")?;
            Some(((object.namespace, text(target, "kind")?, text(target, "name")?), object))
        };
        Self(cluster.of_kind("HorizontalPodAutoscaler").filter_map(target).collect())
    }

    /// Gives the draft its number of replicas.
    pub(super) fn scale(&mut self, import: &Import<'_, '_>, draft: &mut Draft<'n>) {
        let object = draft.object;
        let spec = object.spec();
        let written = spec.and_then(|spec| number(spec, "replicas")).unwrap_or(1);
        draft.replicas = bounded(import, draft, written);
        if object.kind == "DaemonSet" {
            let what = format!("{}: it runs on every node, and there is one machine: one replica", object.shown());
            import.notes.changed(object.at, what, "");
        }
        let Some(scaler) = self.0.remove(&(object.namespace, object.kind, object.name)) else { return };
        let Some(spec) = scaler.spec() else { return };
        let shown = scaler.shown();
        fields::check(&import.notes, spec, fields::AUTOSCALER, &format!("`spec` of {shown}"));
        let most = bounded(import, draft, number(spec, "maxReplicas").unwrap_or(1));
        draft.replicas = bounded(import, draft, number(spec, "minReplicas").unwrap_or(1)).min(most);
        let shares = shares(import, spec, &shown);
        let what =
            format!("{shown}: Daybook does not scale by load yet: `{}` has {} replicas", draft.name, draft.replicas);
        import.notes.changed(scaler.at, what, format!("daybook scale {}=NUMBER", draft.name));
        draft.autoscale = Some((most, shares));
    }

    /// Reports the autoscalers of what was not imported.
    pub(super) fn report_unused(self, import: &Import<'_, '_>) {
        for object in self.0.into_values() {
            let what = format!("{}: what it scales is not among what was imported", object.shown());
            import.notes.not_carried(object.at, what, "import its file as well");
        }
    }
}

fn bounded(import: &Import<'_, '_>, draft: &Draft<'_>, replicas: u32) -> u32 {
    if replicas > MOST {
        let what =
            format!("{}: {replicas} replicas are more than the {MOST} that a service may have", draft.object.shown());
        import.notes.changed(draft.object.at, what, "");
    }
    replicas.min(MOST)
}

/// The loads at which there are more replicas.
fn shares(import: &Import<'_, '_>, spec: &Node, shown: &str) -> Vec<(&'static str, Yaml)> {
    let percent = |share: u32| Yaml::Word(format!("{}%", share.min(100)));
    let mut shares = Vec::new();
    if let Some(share) = number(spec, "targetCPUUtilizationPercentage") {
        shares.push(("cpu", percent(share)));
    }
    for metric in list(spec, "metrics") {
        let resource = metric.get("resource");
        let share = resource.and_then(|resource| number(resource.get("target")?, "averageUtilization"));
        let key = match resource.and_then(|resource| text(resource, "name")) {
            Some("cpu") => Some("cpu"),
            Some("memory") => Some("memory"),
            _ => None,
        };
        match key.zip(share).filter(|(key, _)| !shares.iter().any(|(known, _)| known == key)) {
            Some((key, share)) => shares.push((key, percent(share))),
            None => {
                let what = format!("a metric of {shown}: only shares of cpu and memory have a word here");
                import.notes.not_carried(metric.span, what, "");
            }
        }
    }
    shares
}

/// `strategy` and `updateStrategy`.
pub(super) fn strategy(import: &Import<'_, '_>, draft: &mut Draft<'_>) {
    let Some(spec) = draft.object.spec() else { return };
    let shown = draft.object.shown();
    let mut rollout = Vec::new();
    if let Some(node) = spec.get("strategy").or_else(|| spec.get("updateStrategy")) {
        match text(node, "type") {
            Some("Recreate") => rollout.push(("order", Yaml::text("stop-first"))),
            Some("OnDelete") => {
                let what = format!("the strategy of {shown}: `daybook up` itself replaces the old version");
                import.notes.not_carried(node.span, what, "");
            }
            _ => {
                if let Some(details) = node.get("rollingUpdate") {
                    rolling(import, details, &shown);
                }
            }
        }
    }
    if let Some(seconds) = number(spec, "progressDeadlineSeconds").filter(|seconds| *seconds != 600 && *seconds > 0) {
        rollout.push(("ready", Yaml::Word(format!("{seconds}s"))));
    }
    if !rollout.is_empty() {
        draft.set("rollout", Yaml::Flow(rollout));
    }
}

/// Everything starts beside the old, so the numbers of a rolling update mean little.
fn rolling(import: &Import<'_, '_>, details: &Node, shown: &str) {
    let surge = text(details, "maxSurge");
    if matches!(surge, Some("0" | "0%")) {
        let what = format!("`maxSurge: 0` of {shown}: new replicas start beside the old, which needs room for both");
        import.notes.changed(details.span, what, "`rollout: {order: stop-first}` stops the old first");
    }
    let usual = |key: &str| matches!(text(details, key), None | Some("25%" | "1" | "0" | "0%"));
    if !usual("maxSurge") || !usual("maxUnavailable") {
        let what =
            format!("`rollingUpdate` of {shown}: new replicas all start beside the old, and none is missing meanwhile");
        import.notes.changed(details.span, what, "for a share first see `rollout: {canary: 10%}`");
    }
    for key in ["partition", "podUpdatePolicy"] {
        if let Some(node) = details.get(key).filter(|node| node.scalar() != Some("0")) {
            let what = format!("`{key}` of {shown}: all replicas get the new version");
            import.notes.not_carried(node.span, what, "for a share first see `rollout: {canary: 10%}`");
        }
    }
}
