//! `securityContext`, of the pod and of its container.

use super::Import;
use super::draft::Draft;
use super::fields;
use crate::import::read::{flag, list, number, text, texts};
use crate::import::yaml::Yaml;
use crate::tree::Node;

/// What the container says counts over what the pod says.
pub(super) fn read(import: &Import<'_, '_>, draft: &mut Draft<'_>, pod: &Node) {
    let both = [draft.container.get("securityContext"), pod.get("securityContext")];
    let shown = draft.object.shown();
    for node in both.into_iter().flatten() {
        fields::check(&import.notes, node, fields::SECURITY, &format!("`securityContext` of {shown}"));
    }
    let first = |key: &str| both.into_iter().flatten().find(|node| node.get(key).is_some());
    user(import, draft, first("runAsUser"), first("runAsGroup"));
    groups(import, draft, both[1]);
    for (key, name) in [("readOnlyRootFilesystem", "read_only"), ("privileged", "privileged")] {
        if first(key).is_some_and(|node| flag(node, key)) {
            draft.set(name, Yaml::boolean(true));
        }
    }
    if let Some(capabilities) = first("capabilities").and_then(|node| node.get("capabilities")) {
        draft.set("cap_add", Yaml::texts(texts(capabilities, "add")));
        draft.set("cap_drop", Yaml::texts(texts(capabilities, "drop")));
    }
    if first("allowPrivilegeEscalation").and_then(|node| text(node, "allowPrivilegeEscalation")) == Some("false") {
        draft.push("security_opt", Yaml::text("no-new-privileges:true"));
    }
    if let Some(profile) = first("seccompProfile").and_then(|node| node.get("seccompProfile")) {
        match text(profile, "type") {
            Some("Unconfined") => draft.push("security_opt", Yaml::text("seccomp=unconfined")),
            // The engine's own profile is the usual one.
            Some("RuntimeDefault") => {}
            _ => {
                let what = format!("`seccompProfile` of {shown}: the file of a profile belongs to a node");
                import.notes.not_carried(profile.span, what, "give it in `security_opt`: `seccomp=FILE`");
            }
        }
    }
    let settings = both[1].map(|node| list(node, "sysctls")).unwrap_or_default();
    let setting = |item: &Node| Some((text(item, "name")?.to_owned(), Yaml::text(text(item, "value")?)));
    draft.set("sysctls", Yaml::Map(settings.iter().filter_map(setting).collect()));
}

fn user(import: &Import<'_, '_>, draft: &mut Draft<'_>, user: Option<&Node>, group: Option<&Node>) {
    let user = user.and_then(|node| number(node, "runAsUser"));
    match (user, group.and_then(|node| Some((number(node, "runAsGroup")?, node)))) {
        (Some(user), Some((group, _))) => draft.set("user", Yaml::Template(format!("{user}:{group}"))),
        (Some(user), None) => draft.set("user", Yaml::Template(user.to_string())),
        (None, Some((group, node))) => {
            let what = format!("`runAsGroup` of {}: a group needs a user", draft.object.shown());
            import.notes.not_carried(node.span, what, format!("set `user: \"USER:{group}\"`"));
        }
        (None, None) => {}
    }
}

fn groups(import: &Import<'_, '_>, draft: &mut Draft<'_>, pod: Option<&Node>) {
    let Some(pod) = pod else { return };
    if let Some(group) = number(pod, "fsGroup") {
        draft.push("group_add", Yaml::Template(group.to_string()));
        let span = pod.get("fsGroup").map_or(pod.span, |node| node.span);
        let what = format!(
            "`fsGroup` of {}: the program is in the group, and volumes keep their owners",
            draft.object.shown()
        );
        import.notes.changed(
            span,
            what,
            format!("where a volume must be writable, `chown` it to the group {group} once"),
        );
    }
    for group in
        list(pod, "supplementalGroups").iter().filter_map(Node::scalar).filter(|group| group.parse::<u32>().is_ok())
    {
        draft.push("group_add", Yaml::text(group));
    }
}
