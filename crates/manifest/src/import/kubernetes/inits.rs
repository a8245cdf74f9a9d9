//! Init containers and jobs that are hooks: what has to be done before a version serves.
//!
//! One that runs the service's own image is the `release` hook, which runs once for each version instead of
//! once for each replica. One that waits for another service is a `depends_on`. Any other is a task of its own
//! that the service waits for.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::addresses::Addresses;
use super::draft::{App, Draft, Role, Text};
use super::objects::{Cluster, Object};
use super::pods::{self, Pod, report_sidecar};
use super::{Import, environment};
use crate::import::read::{list, text};
use crate::import::yaml::Yaml;
use crate::tree::{Node, Span};

/// The condition of who waits for a task.
const COMPLETED: &str = "service_completed_successfully";
const HEALTHY: &str = "service_healthy";

/// What becomes of the init containers of one pod.
#[derive(Default)]
pub(super) struct Plan<'n> {
    tasks: Vec<&'n Node>,
    release: Option<(Vec<Text>, &'n Node)>,
}

/// Somebody who waits for others until they answer.
pub(super) struct Wait {
    service: String,
    /// Names of hosts in its words and variables.
    words: Vec<String>,
    namespace: String,
    span: Span,
    what: String,
}

/// Sorts the init containers. Sidecars among them are reported, and who waits is kept for [`wait`].
pub(super) fn plan<'n>(import: &Import<'_, '_>, cluster: &Cluster<'n>, draft: &Draft<'n>, pod: &Pod<'n>) -> Plan<'n> {
    let mut plan = Plan::default();
    for container in list(pod.spec, "initContainers") {
        if text(container, "restartPolicy") == Some("Always") {
            report_sidecar(import, draft, container);
            continue;
        }
        let words = beside(import, cluster, draft, container);
        if is_wait(draft, container, &words) {
            import.waits.borrow_mut().push(to_wait(draft, container, &words));
            continue;
        }
        let release = release(draft, &words);
        match release.filter(|_| plan.release.is_none() && plan.tasks.is_empty() && draft.role == Role::Service) {
            Some(release) => plan.release = Some((release, container)),
            None => plan.tasks.push(container),
        }
    }
    plan
}

/// The container as a draft of its own, with its variables and words.
fn beside<'n>(import: &Import<'_, '_>, cluster: &Cluster<'n>, draft: &Draft<'n>, container: &'n Node) -> Draft<'n> {
    let mut own = Draft::new(draft.name.clone(), draft.object, Role::Task, container);
    own.labels = draft.labels;
    environment::read(import, cluster, &mut own);
    own
}

/// The words of `own` as the release hook of the draft. `None` where the hook would not do the same: it runs
/// in the service's image, with its entrypoint and its variables, and fills no volume of a replica.
fn release(draft: &Draft<'_>, own: &Draft<'_>) -> Option<Vec<Text>> {
    let same = |(name, text): &(String, Text)| draft.variable(name).is_some_and(|known| known.parts == text.parts);
    let alike = own.image == draft.image
        && draft.entrypoint.is_empty() == own.entrypoint.is_empty()
        && list(own.container, "volumeMounts").is_empty()
        && own.environment.iter().all(same);
    let words: Vec<Text> = own.entrypoint.iter().chain(&own.command).cloned().collect();
    (alike && !words.is_empty()).then_some(words)
}

/// Whether a container only waits until others answer.
fn is_wait(draft: &Draft<'_>, container: &Node, own: &Draft<'_>) -> bool {
    const SIGNS: [&str; 8] = ["until ", "while ", "wait", "nc ", "pg_isready", "nslookup", "getent", "redis-cli"];
    let plain = own.entrypoint.iter().chain(&own.command).filter_map(Text::plain);
    let words: Vec<String> = plain.collect();
    let waits = words.iter().any(|word| SIGNS.iter().any(|sign| word.contains(sign))) || own.image.contains("wait");
    waits && own.image != draft.image && list(container, "volumeMounts").is_empty()
}

fn to_wait(draft: &Draft<'_>, container: &Node, own: &Draft<'_>) -> Wait {
    let texts = own.entrypoint.iter().chain(&own.command).chain(own.environment.iter().map(|(_, text)| text));
    let all: Vec<String> = texts.filter_map(Text::plain).collect();
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let words =
        all.iter().flat_map(|text| text.split(|c| !is_host(c))).filter(|word| !word.is_empty()).map(str::to_owned);
    let name = text(container, "name").unwrap_or_default();
    Wait {
        service: draft.name.clone(),
        words: words.collect(),
        namespace: draft.object.namespace.to_owned(),
        span: container.get("name").map_or(container.span, |name| name.span),
        what: format!("the init container `{name}` of {}", draft.object.shown()),
    }
}

impl<'n> Plan<'n> {
    /// The containers that become tasks.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &'n Node> + '_ {
        self.tasks.iter().copied()
    }

    /// Makes the tasks, and lets the draft wait for them.
    pub(super) fn carry_out(
        self,
        import: &Import<'_, '_>,
        cluster: &Cluster<'n>,
        app: &mut App<'n>,
        draft: &mut Draft<'n>,
        pod: &Pod<'n>,
        shared: &HashSet<&'n str>,
    ) -> Vec<Draft<'n>> {
        if let Some((words, container)) = self.release {
            let name = text(container, "name").unwrap_or_default();
            let what = format!(
                "the init container `{name}` of {}: it is the `release` hook, which runs once for each version and not for each replica",
                draft.object.shown()
            );
            import.notes.changed(container.get("name").map_or(container.span, |name| name.span), what, "");
            set_release(draft, words);
        }
        let mut tasks = Vec::new();
        for container in self.tasks {
            let name = text(container, "name").unwrap_or("init");
            let name = import.services.take(&[&format!("{}-{name}", draft.name)]);
            let mut task = beside(import, cluster, draft, container);
            task.name = name;
            pods::one(import, cluster, app, &mut task, pod, shared);
            task.set("restart", Yaml::Template("no".to_owned()));
            if text(container, "image").is_none() {
                continue;
            }
            let what = format!(
                "the init container `{}` of {}: it is the task `{}`, which runs before the service and not before each replica",
                text(container, "name").unwrap_or_default(),
                draft.object.shown(),
                task.name
            );
            import.notes.changed(container.get("name").map_or(container.span, |name| name.span), what, "");
            // Each waits for the one before, as in the pod.
            if let Some(before) = tasks.last().map(|before: &Draft<'_>| before.name.clone()) {
                task.depends_on.insert(before, COMPLETED);
            }
            draft.depends_on.insert(task.name.clone(), COMPLETED);
            tasks.push(task);
        }
        tasks
    }
}

/// The hook runs behind the service's entrypoint: where the container had one of its own, it goes in front of
/// both commands.
fn set_release(draft: &mut Draft<'_>, words: Vec<Text>) {
    draft.release = words;
    if !draft.entrypoint.is_empty() {
        let entrypoint = std::mem::take(&mut draft.entrypoint);
        draft.command.splice(0..0, entrypoint);
        draft.no_entrypoint = true;
    }
}

/// Makes the job the release hook of a service that runs the same image. Whether there is one.
pub(super) fn become_release<'n>(
    import: &Import<'_, '_>,
    cluster: &Cluster<'n>,
    app: &mut App<'n>,
    object: &Object<'n>,
    pod: &Pod<'n>,
) -> bool {
    let same = |draft: &Draft<'_>| {
        draft.role == Role::Service
            && draft.release.is_empty()
            && draft.object.namespace == object.namespace
            && text(pod.main, "image") == Some(draft.image)
    };
    for draft in app.services.iter_mut().filter(|draft| same(draft)) {
        if !import.ctx.afford(object.at, 1) {
            return false;
        }
        let mut own = beside(import, cluster, draft, pod.main);
        own.object = *object;
        let Some(words) = release(draft, &own) else { continue };
        let what = format!("{}: it is the `release` hook of `{}`", object.shown(), draft.name);
        import.notes.changed(object.at, what, "");
        set_release(draft, words);
        return true;
    }
    false
}

/// Lets services wait for those that their init containers asked for. Who would wait in a circle does not wait.
pub(super) fn wait(import: &Import<'_, '_>, app: &mut App<'_>, addresses: &Addresses<'_>) {
    let waits = import.waits.take();
    let mut edges: BTreeMap<String, Vec<(String, usize)>> = BTreeMap::new();
    for (index, wait) in waits.iter().enumerate() {
        let hosts = wait.words.iter().filter_map(|word| addresses.host(&wait.namespace, word));
        let mut hosts: Vec<&str> = hosts.filter(|host| *host != wait.service).collect();
        hosts.sort_unstable();
        hosts.dedup();
        if hosts.is_empty() {
            let what = format!("{}: it waits for something that is not among what was imported", wait.what);
            import.notes.not_carried(wait.span, what, "let the program try again until it answers");
        }
        let known = edges.entry(wait.service.clone()).or_default();
        known.extend(hosts.into_iter().map(|host| (host.to_owned(), index)));
    }
    let circular = in_circles(&edges);
    for draft in &mut app.services {
        for (host, index) in edges.remove(&draft.name).unwrap_or_default() {
            let wait = &waits[index];
            if circular.contains(&draft.name) && circular.contains(&host) {
                let what = format!("{}: `{host}` waits for `{}` in turn", wait.what, draft.name);
                import.notes.not_carried(wait.span, what, "let the program try again until it answers");
                continue;
            }
            let what = format!("{}: it waits for `{host}`, which is a `depends_on` here", wait.what);
            import.notes.changed(wait.span, what, "");
            draft.depends_on.insert(host, HEALTHY);
        }
    }
}

/// Who waits for whom.
type Graph<'g> = BTreeMap<&'g str, Vec<&'g str>>;

/// The services that wait for each other in a circle: what is left without those that lead to none, and then
/// without those that none leads to.
fn in_circles(edges: &BTreeMap<String, Vec<(String, usize)>>) -> HashSet<String> {
    let graph: Graph<'_> =
        edges.iter().map(|(from, all)| (from.as_str(), all.iter().map(|(to, _)| to.as_str()).collect())).collect();
    let turned = turned(&without_ends(graph));
    without_ends(turned).into_keys().map(str::to_owned).collect()
}

/// The graph without nodes from which none leads on, however often some become such.
fn without_ends(graph: Graph<'_>) -> Graph<'_> {
    let back = turned(&graph);
    let mut open: HashMap<&str, usize> = graph.iter().map(|(from, to)| (*from, to.len())).collect();
    let mut ends: VecDeque<&str> =
        back.keys().copied().filter(|to| open.get(to).is_none_or(|left| *left == 0)).collect();
    let mut gone: HashSet<&str> = ends.iter().copied().collect();
    while let Some(end) = ends.pop_front() {
        for from in back.get(end).into_iter().flatten() {
            let left = open.entry(from).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 && gone.insert(from) {
                ends.push_back(from);
            }
        }
    }
    let stays = |name: &&str| !gone.contains(*name);
    let kept = graph.into_iter().filter(|(from, _)| stays(from));
    kept.map(|(from, to)| (from, to.into_iter().filter(|to| stays(to)).collect())).collect()
}

/// The graph with every edge turned around.
fn turned<'g>(graph: &Graph<'g>) -> Graph<'g> {
    let mut turned = Graph::new();
    for (from, to) in graph {
        to.iter().for_each(|to| turned.entry(to).or_default().push(from));
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_waits_in_a_circle_is_in_one() {
        let edges = |all: &[(&str, &[&str])]| {
            let to = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 0)).collect();
            all.iter().map(|(from, names)| ((*from).to_owned(), to(names))).collect()
        };
        let circles = |all: &[(&str, &[&str])]| {
            let mut found: Vec<String> = in_circles(&edges(all)).into_iter().collect();
            found.sort();
            found.join(" ")
        };
        assert_eq!(circles(&[("a", &["b"]), ("b", &["c"])]), "");
        assert_eq!(circles(&[("a", &["b"]), ("b", &["a"])]), "a b");
        assert_eq!(circles(&[("x", &["a"]), ("a", &["b", "end"]), ("b", &["a"])]), "a b");
        assert_eq!(circles(&[("a", &["a"]), ("b", &["c"])]), "a");
    }
}
