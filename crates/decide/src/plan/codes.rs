//! What the codes mean that a plan may be refused with.

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The code: `P0115`.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it matters and what to do.
    pub text: &'static str,
}

const fn row(code: &'static str, title: &'static str, text: &'static str) -> Explanation {
    Explanation { code, title, text }
}

/// Every code, in order.
pub const CODES: &[Explanation] = &[
    row(
        "P0101",
        "a circle of dependencies",
        "Each of these services waits for the next, and the last for the first: none could ever start. Remove the dependency that is not needed at the start.",
    ),
    row(
        "P0102",
        "an image where there are only processes",
        "The environment runs as plain processes, which cannot run images. Use Docker, Podman or a cluster, or give the service a directory to run from (`build:`). Databases of the manifest are run by the servers that the machine has.",
    ),
    row(
        "P0103",
        "nobody knows what to run",
        "The artifact of a service, or the migrations of a database, could not be identified: the registry has no such image or does not answer, the directory cannot be read. The plan shows the rest; nothing is carried out before it is known.",
    ),
    row(
        "P0104",
        "one port for two services",
        "Two services publish the same port of this machine. Give one of them another, or none: with `domain`, many services share the edge's ports.",
    ),
    row(
        "P0105",
        "what a plain process cannot be given",
        "A setting of the service needs a container, and the environment runs as plain processes. It has no effect here.",
    ),
    row(
        "P0106",
        "data that a move would leave behind",
        "A move carries no data along: the volume would begin empty at the new target. Bring the data to an external volume there first, or say that it may begin empty.",
    ),
    row(
        "P0107",
        "a service that must not run twice, while it would",
        "While an environment moves, clients come in at both targets for a while, and this service may run once only. Stop it for the move, or let it overlap.",
    ),
    row(
        "P0108",
        "a chart without a cluster",
        "Helm charts are released in Kubernetes clusters. Name one: `target: kubernetes://CONTEXT`.",
    ),
    row(
        "P0109",
        "a chart that should be stopped",
        "A chart is released or removed as a whole: there is nothing of it to stop. Change its values so that it runs nothing, or remove it.",
    ),
    row(
        "P0110",
        "a chart that should move",
        "What a chart has made may hold anything, and is not known well enough to run twice. Take it out of the manifest for the move.",
    ),
    row(
        "P0111",
        "data that Helm would remove",
        "With the chart, or with its new values, Helm would remove claims and all that they hold. Let the values keep them, or let them go by name.",
    ),
    row(
        "P0112",
        "more than the quota allows",
        "The services together may use more than the environment's `quota`. Raise it, or lower limits and replicas.",
    ),
    row(
        "P0113",
        "a rollout that does not fit into the quota",
        "Old and new replicas run side by side for a while, and together they may use more than the quota allows. Raise it by that much, or let the old ones go first.",
    ),
    row(
        "P0114",
        "no limit where there is a quota",
        "A quota counts what each replica may use at most, and this service could use everything. Give it a limit.",
    ),
    row(
        "P0115",
        "a database that cannot be asked",
        "Somebody else runs the database, and the server cannot reach it. Its migrations are run before anything changes, so nothing is begun. Look at its URL, at who may connect, and whether it is up.",
    ),
    row(
        "P0116",
        "files that are no migrations",
        "A file in the directory of migrations looks like a migration and is misnamed, is there twice, or cannot be read. `V1__what_it_does.sql` runs once, `R__what_it_is.sql` whenever it has changed.",
    ),
    row(
        "P0117",
        "a history that does not fit the files",
        "What was run on the database and what the files say differ: a file was changed, renamed or removed after it was run, one came below a version that was run, or a migration was broken off. Undo the change and write a new migration; or accept the files as they are with `daybook db repair NAME`.",
    ),
    row(
        "P0118",
        "a version behind its database",
        "The database has a migration that the release does not know, and that renamed, dropped or narrowed something which the release uses. Going back would break it. Write a migration that brings back what is missing, and roll out both; what only adds is no hindrance.",
    ),
    row(
        "P0119",
        "files that the server could not read",
        "Another engine, another major version of PostgreSQL, another series of MySQL or MariaDB, or an older version would be started, which does not take over the files that are there. `daybook db upgrade NAME` carries a newer one over, and rehearses that on a copy first. For another engine, give the new database another name.",
    ),
    row(
        "P0120",
        "a secret that nobody has set",
        "A service or a database needs a secret of the sealed store, and it has no value. `daybook secret set NAME`, or let one be made: `{secret: generate}`.",
    ),
    row(
        "P0121",
        "rules that cannot be evaluated",
        "A file of `rules` has the format of Prometheus' rule files: groups of rules that record or alert, with queries in PromQL. `promtool check rules` tells the same.",
    ),
    row(
        "P0122",
        "an alert that is not there by default",
        "`alerts` changes alerts that are there by default: `off`, or another `threshold`, `for` or `severity`, for all or, below `services`, for one. `daybook explain` lists them. What is about a database, a backup or a domain is not changed for a service. What is about a machine concerns all that runs on it, and is not changed by the manifest of one app: silence it.",
    ),
];

/// What a code means, in either case.
pub fn explain(code: &str) -> Option<&'static Explanation> {
    CODES.iter().find(|row| row.code.eq_ignore_ascii_case(code.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_each_once() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert_eq!(explain("p0118").map(|row| row.code), Some("P0118"));
    }
}
