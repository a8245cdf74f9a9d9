//! What a pod and its main container say, but variables, volumes and checks.

use super::Import;
use super::draft::{Draft, Listening, Role};
use super::fields::{self, Fate, Field};
use super::quantity::{Quantity, cores, size};
use crate::import::read::{flag, list, map, number, port, text, texts};
use crate::import::yaml::Yaml;
use crate::tree::{Map, Node};

/// How many ports a container may have: they are looked through one by one.
const MOST_PORTS: usize = 200;

const RESOURCES: &[Field] = &[
    ("limits", Fate::Read),
    ("requests", Fate::Read),
    ("claims", Fate::Lost("devices are not claimed", "see `gpus` and `devices`")),
];

const LIFECYCLE: &[Field] = &[
    ("preStop", Fate::Read),
    ("postStart", Fate::Lost("replicas start alike every time", "use `release`, which runs once for each new version")),
    ("stopSignal", Fate::Read),
];

/// Reads the keys of the pod and of the container.
pub(super) fn read(import: &Import<'_, '_>, draft: &mut Draft<'_>, pod: &Node) {
    let container = draft.container;
    let what = format!("the container of {}", draft.object.shown());
    fields::check(&import.notes, container, fields::CONTAINER, &what);
    draft.listening = listening(import, container, &what);
    image(import, draft);
    if let Some(directory) = text(container, "workingDir") {
        draft.set("working_dir", Yaml::text(directory));
    }
    for (key, name) in [("stdin", "stdin_open"), ("tty", "tty")] {
        if flag(container, key) {
            draft.set(name, Yaml::boolean(true));
        }
    }
    resources(import, draft, &what);
    lifecycle(import, draft, pod, &what);
    pod_keys(import, draft, pod);
}

fn image(import: &Import<'_, '_>, draft: &mut Draft<'_>) {
    let Some(node) = draft.container.get("imagePullPolicy") else { return };
    match node.scalar() {
        Some("Always") => {
            let what = format!("{}: the image is asked for by `daybook up`, not by each start", draft.object.shown());
            import.notes.changed(node.span, what, "");
            draft.set("pull_policy", Yaml::text("always"));
        }
        Some("Never") => draft.set("pull_policy", Yaml::text("never")),
        _ => {}
    }
}

fn listening(import: &Import<'_, '_>, container: &Node, what: &str) -> Vec<Listening> {
    const PORT: &[Field] = &[
        ("name", Fate::Read),
        ("containerPort", Fate::Read),
        ("protocol", Fate::Read),
        ("hostPort", Fate::Read),
        ("hostIP", Fate::Read),
    ];
    let items = list(container, "ports");
    if let Some(item) = items.get(MOST_PORTS) {
        import.notes.not_carried(item.span, format!("the further ports of {what}: there are too many"), "");
    }
    let mut all = Vec::new();
    for item in items.iter().take(MOST_PORTS) {
        fields::check(&import.notes, item, PORT, &format!("a port of {what}"));
        let Some(number) = text(item, "containerPort").and_then(port) else { continue };
        if text(item, "protocol") == Some("SCTP") {
            import.notes.not_carried(item.span, format!("port {number} of {what}: no runtime here carries SCTP"), "");
            continue;
        }
        let udp = text(item, "protocol") == Some("UDP");
        all.push(Listening { name: text(item, "name").map(str::to_owned), number, udp });
    }
    all
}

/// Ports of this machine that the container itself asks for, as items of `ports`.
pub(super) fn host_ports(container: &Node) -> Vec<(Option<&str>, u16, u16, bool, &Node)> {
    let asked = |item| {
        let (host, inside) = (text(item, "hostPort").and_then(port)?, text(item, "containerPort").and_then(port)?);
        let address = text(item, "hostIP").filter(|address| address.parse::<std::net::Ipv4Addr>().is_ok());
        Some((address, host, inside, text(item, "protocol") == Some("UDP"), item))
    };
    list(container, "ports").iter().take(MOST_PORTS).filter_map(asked).collect()
}

fn resources(import: &Import<'_, '_>, draft: &mut Draft<'_>, what: &str) {
    let Some(node) = draft.container.get("resources") else { return };
    fields::check(&import.notes, node, RESOURCES, &format!("`resources` of {what}"));
    let limits = amounts(import, draft, node, ("limits", "cpu"), what);
    let requests = amounts(import, draft, node, ("requests", "cpus"), what);
    draft.set("resources", limits);
    let reservations = Yaml::Map(vec![("reservations".to_owned(), requests)]);
    draft.set("deploy", Yaml::Map(vec![("resources".to_owned(), reservations)]));
}

/// The amounts of a section, whose cores are called `cpu` here.
fn amounts(
    import: &Import<'_, '_>,
    draft: &mut Draft<'_>,
    node: &Node,
    (section, cpu): (&str, &'static str),
    what: &str,
) -> Yaml {
    let mut amounts = Vec::new();
    for entry in map(node, section).into_iter().flat_map(Map::iter) {
        let quantity = entry.value.scalar().and_then(Quantity::read);
        let read = match entry.key.as_str() {
            "cpu" => quantity.and_then(millis).map(|millis| amounts.push((cpu, Yaml::Word(cores(millis))))),
            "memory" => quantity.and_then(bytes).map(|bytes| amounts.push(("memory", Yaml::Word(size(bytes))))),
            key if key.ends_with("/gpu") => quantity.and_then(gpus).map(|gpus| draft.set("gpus", Yaml::number(gpus))),
            key => {
                let what = format!("`{key}` in `{section}` of {what}: it is not bounded");
                import.notes.not_carried(entry.key_span, what, "");
                continue;
            }
        };
        if read.is_none() {
            let what = format!("`{}` in `{section}` of {what} is no amount", entry.key);
            import.notes.not_carried(entry.value.span, what, "for example `500m` of cpu, `256Mi` of memory");
        }
    }
    Yaml::Flow(amounts)
}

fn millis(quantity: Quantity) -> Option<u64> {
    quantity.in_parts(1_000).filter(|millis| *millis < 1_000_000_000)
}

/// As many as a number of the manifest is exact for.
fn bytes(quantity: Quantity) -> Option<u64> {
    quantity.in_parts(1).filter(|bytes| *bytes < 1 << 53)
}

fn gpus(quantity: Quantity) -> Option<u64> {
    quantity.in_parts(1).filter(|gpus| *gpus <= 1_000)
}

fn lifecycle(import: &Import<'_, '_>, draft: &mut Draft<'_>, pod: &Node, what: &str) {
    if let Some(seconds) = number(pod, "terminationGracePeriodSeconds") {
        draft.set("stop_grace_period", Yaml::Word(format!("{seconds}s")));
    } else if draft.role == Role::Service {
        // What Kubernetes waits where nothing is written; Compose waits 10 s.
        draft.set("stop_grace_period", Yaml::Word("30s".to_owned()));
    }
    let Some(node) = draft.container.get("lifecycle") else { return };
    fields::check(&import.notes, node, LIFECYCLE, &format!("`lifecycle` of {what}"));
    if let Some(hook) = node.get("preStop") {
        let words = hook.get("exec").map(|exec| texts(exec, "command")).unwrap_or_default();
        let sleeps = hook.get("sleep").is_some()
            || words.iter().any(|word| word.split_whitespace().any(|part| part.ends_with("sleep")));
        let (why, advice) = if sleeps {
            (
                "the edge moves traffic away and counts requests to their end before a replica is stopped, so it need not sleep",
                "",
            )
        } else {
            ("nothing runs before the stop signal", "handle the signal in the program")
        };
        import.notes.not_carried(hook.span, format!("`preStop` of {what}: {why}"), advice);
    }
    if let Some(signal) = node.get("stopSignal") {
        import.notes.not_carried(signal.span, format!("`stopSignal` of {what}"), "set `stop_signal`");
    }
}

/// What the pod says for all of its containers.
fn pod_keys(import: &Import<'_, '_>, draft: &mut Draft<'_>, pod: &Node) {
    let shown = draft.object.shown();
    for (key, name) in [("hostNetwork", "network_mode"), ("hostPID", "pid"), ("hostIPC", "ipc")] {
        if flag(pod, key) {
            draft.set(name, Yaml::text("host"));
        }
    }
    if flag(pod, "hostNetwork") {
        let span = pod.get("hostNetwork").map_or(pod.span, |node| node.span);
        let what = format!(
            "{shown}: it is on the machine's own network, where other services find it at the machine's address"
        );
        import.notes.changed(span, what, "remove `network_mode` to have it found by its name");
        if draft.most_replicas() > 1 {
            import.notes.changed(span, format!("{shown}: only one replica can have the ports of the machine"), "");
            draft.only_one();
        }
    }
    if let Some(name) = text(pod, "hostname") {
        draft.set("hostname", Yaml::text(name));
    }
    for item in list(pod, "hostAliases") {
        let Some(address) = text(item, "ip") else { continue };
        for name in texts(item, "hostnames") {
            draft.push("extra_hosts", Yaml::text(&format!("{name}={address}")));
        }
    }
    if let Some(dns) = pod.get("dnsConfig") {
        draft.set("dns", Yaml::texts(texts(dns, "nameservers")));
        draft.set("dns_search", Yaml::texts(texts(dns, "searches")));
        if let Some(options) = dns.get("options") {
            import.notes.not_carried(options.span, format!("`options` of `dnsConfig` of {shown}"), "see `dns_opt`");
        }
    }
    if let Some(logins) = pod.get("imagePullSecrets").filter(|node| !node.items().is_empty()) {
        for login in logins.items() {
            if let Some(name) = text(login, "name") {
                import.secrets.mark_used(draft.object.namespace, name);
            }
        }
        let registry = draft.image.split('/').next().filter(|host| host.contains(['.', ':'])).unwrap_or("the registry");
        let what = format!("`imagePullSecrets` of {shown}: the logins of `docker login` are used");
        import.notes.changed(logins.span, what, format!("log in to {registry} on the machine that runs it"));
    }
}
