//! The cause of a service's trouble, from evidence.
//!
//! Causes are tried from the most telling evidence to the least: what the cluster says is in the way of replicas
//! that do not run, what the kernel said (out of memory), what the runtime said (no such command, no such image), what
//! the program said in its log (a missing variable, a port in use, calls that nobody answers), what its check said (a
//! wrong port, an error), and last the bare exit code.

mod answers;
mod exits;
mod hope;
mod troubles;

pub use daybook_model::event::Choice;
use daybook_model::event::Failure;
use daybook_model::trouble::Trouble;
use daybook_model::{ReplicaState, SeenReplica, Service, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::text::seconds;
pub use exits::{never_starts, start_error};
pub use hope::{GROWS_WITHIN_MS, no_use};
pub use troubles::{cause, in_the_way};

/// What is known of a service.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Its name.
    pub service: &'a ServiceName,
    /// Its configuration in the release in force, or in the release that failed last.
    pub spec: Option<&'a Service>,
    /// Its replicas.
    pub replicas: &'a [SeenReplica],
    /// What the runtime knows to be in its way.
    pub troubles: &'a [Trouble],
    /// Changes of it that failed, oldest first.
    pub failures: &'a [FailedChange],
    /// The answers of its check just now, by replica; `None` is a good answer.
    pub answers: &'a [(String, Option<String>)],
    /// The last lines of its log, oldest first.
    pub log: &'a [String],
    /// When it was last released, and as which release.
    pub released: Option<(Timestamp, u64)>,
    /// The time.
    pub now: Timestamp,
}

impl<'a> Evidence<'a> {
    /// Nothing is known of a service yet.
    pub fn of(service: &'a ServiceName) -> Self {
        Self {
            service,
            spec: None,
            replicas: &[],
            troubles: &[],
            failures: &[],
            answers: &[],
            log: &[],
            released: None,
            now: Timestamp::UNIX_EPOCH,
        }
    }
}

/// A change of a service that failed.
#[derive(Debug, Clone)]
pub struct FailedChange {
    /// When.
    pub at: Timestamp,
    /// How.
    pub failure: Failure,
    /// What was to change, as the plan told it: "LOG_LEVEL info → debug".
    pub changed: Vec<String>,
}

/// Why a service is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// How it is, to be read after the service's name.
    pub headline: String,
    /// What causes it; `None` if nothing is wrong.
    pub cause: Option<String>,
    /// What that is concluded from.
    pub evidence: Vec<String>,
    /// What a person may do.
    pub options: Vec<Choice>,
}

/// Concludes why a service is as it is.
pub fn why(evidence: &Evidence<'_>) -> Why {
    let found = troubles::from_troubles(evidence)
        .or_else(|| exits::from_exits(evidence))
        .or_else(|| from_log(evidence))
        .or_else(|| from_calls(evidence))
        .or_else(|| answers::from_answers(evidence))
        .or_else(|| exits::from_bare_exit(evidence))
        .or_else(|| from_failures(evidence));
    match found {
        Some(found) => Why {
            headline: headline(evidence),
            cause: Some(found.cause),
            evidence: found.evidence.into_iter().chain(context(evidence)).collect(),
            options: found.options,
        },
        None => Why { headline: fine(evidence), cause: None, evidence: context(evidence), options: Vec::new() },
    }
}

struct Found {
    cause: String,
    evidence: Vec<String>,
    options: Vec<Choice>,
}

fn choice(text: impl Into<String>, command: impl Into<String>) -> Choice {
    Choice { text: text.into(), command: command.into() }
}

fn from_log(evidence: &Evidence<'_>) -> Option<Found> {
    exits::last_exit(evidence)?;
    told(evidence.service, evidence.log)
}

/// What it says of calls that nobody answers, where policies of others may keep them from getting through.
fn from_calls(evidence: &Evidence<'_>) -> Option<Found> {
    const SIGNS: [&str; 6] =
        ["connection timed out", "connect timeout", "connection timeout", "i/o timeout", "etimedout", "dial timeout"];
    let policies = troubles::outward(evidence)?;
    let complains = |line: &&String| SIGNS.iter().any(|sign| line.to_lowercase().contains(sign));
    let line = evidence.log.iter().rev().find(complains)?;
    let name = evidence.service;
    Some(Found {
        cause: format!("its calls are not answered, and network policies of others say whom it may reach: {policies}"),
        evidence: vec![format!("its log says: {}", clip(line))],
        options: vec![
            choice("see what they permit", "kubectl describe networkpolicy -A"),
            choice("read its log", format!("daybook logs {name} --tail 50")),
        ],
    })
}

/// What a process that ended says of its own trouble.
fn told(name: &ServiceName, log: &[String]) -> Option<Found> {
    log.iter().rev().find_map(|line| {
        if let Some(variable) = missing_variable(line) {
            return Some(Found {
                cause: format!("the environment variable {variable} is missing"),
                evidence: vec![format!("its log says: {}", clip(line))],
                options: vec![
                    choice("set it in the manifest", format!("environment: {{{variable}: …}}")),
                    choice("or as a secret", format!("daybook secret set {variable}")),
                ],
            });
        }
        let lower = line.to_lowercase();
        let taken = lower.contains("address already in use") || lower.contains("eaddrinuse");
        taken.then(|| Found {
            cause: "the port that it wants to listen on is taken".to_owned(),
            evidence: vec![format!("its log says: {}", clip(line))],
            options: vec![choice("let it listen on $PORT, or give it another port", format!("daybook logs {name}"))],
        })
    })
}

/// The variable that a line complains about, in the words that common languages and people use.
fn missing_variable(line: &str) -> Option<&str> {
    const SIGNS: [&str; 9] = [
        "environment variable",
        "env var",
        "is not set",
        "not set in the environment",
        "must be set",
        "is required",
        "keyerror:",
        "missing required",
        "unbound variable",
    ];
    let lower = line.to_lowercase();
    if !SIGNS.iter().any(|sign| lower.contains(sign)) {
        return None;
    }
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).find(|word| {
        let shouts = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        shouts && word.len() >= 4 && word.starts_with(|c: char| c.is_ascii_uppercase()) && !is_level(word)
    })
}

fn is_level(word: &str) -> bool {
    matches!(word, "ERROR" | "FATAL" | "WARN" | "WARNING" | "INFO" | "DEBUG" | "PANIC" | "TRACE" | "CRITICAL")
}

/// Nothing of it runs badly now; perhaps the last attempt to change it failed.
fn from_failures(evidence: &Evidence<'_>) -> Option<Found> {
    let FailedChange { at, failure, changed } = evidence.failures.last()?;
    let stale = evidence.released.is_some_and(|(released, _)| released > *at);
    if stale {
        return None;
    }
    let when = format!("{} ago", ago(*at, evidence.now));
    // A program that ended tells why; one that goes on only complains.
    let ended = failure.evidence.iter().any(|line| line.contains("exit code"));
    let root = if ended { told(evidence.service, &failure.log) } else { None };
    let first = match (&root, &failure.cause) {
        (Some(_), _) | (None, Some(_)) => format!("its last change failed {when}: {}", failure.why),
        (None, None) => format!("its last change failed {when}"),
    };
    let mut lines = vec![first];
    lines.extend(failure.evidence.iter().cloned());
    let (new, changed): (Vec<_>, Vec<_>) = changed.iter().cloned().partition(|detail| detail.starts_with("new "));
    for (verb, details) in [("was a", new), ("changed", changed)] {
        if !details.is_empty() {
            lines.push(format!("it {verb} {}", clip(&details.join(", "))));
        }
    }
    let (cause, mut options) = match root {
        Some(root) => {
            lines.extend(root.evidence);
            (root.cause, root.options)
        }
        None => {
            lines.extend(last_lines(&failure.log).into_iter().map(|line| format!("log: {line}")));
            (failure.cause.clone().unwrap_or_else(|| failure.why.clone()), failure.options.clone())
        }
    };
    lines.retain(|line| *line != cause);
    if options.is_empty() {
        options.push(choice("correct it and try again", "daybook up"));
    }
    options.push(choice("see all of it", "daybook history"));
    Some(Found { cause, evidence: lines, options })
}

/// The last five different lines of a log, oldest first; one that came often is told once.
fn last_lines(log: &[String]) -> Vec<String> {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for line in log.iter().rev().map(|line| clip(line)) {
        if let Some((_, count)) = lines.iter_mut().find(|(known, _)| *known == line) {
            *count += 1;
        } else if lines.len() < 5 {
            lines.push((line, 1));
        }
    }
    let told = lines.into_iter().rev();
    told.map(|(line, count)| if count > 1 { format!("{line} ({count} times)") } else { line }).collect()
}

fn headline(evidence: &Evidence<'_>) -> String {
    let restarts: u32 = evidence.replicas.iter().map(|replica| replica.restarts).sum();
    let running = evidence.replicas.iter().filter(|replica| replica.is_running()).count();
    let since = evidence
        .released
        .map_or(String::new(), |(at, number)| format!("; release {number} came {} ago", ago(at, evidence.now)));
    if restarts > 0 {
        return format!("keeps ending: its processes were started again {restarts} times{since}.");
    }
    if evidence.answers.iter().any(|(_, bad)| bad.is_some()) {
        return format!("runs and does not answer its check{since}.");
    }
    let starting = evidence.replicas.iter().filter(|replica| replica.state == ReplicaState::Starting).count();
    let then = if evidence.failures.is_empty() { "" } else { "; its last change failed" };
    let is_chart = evidence.spec.is_some_and(|spec| spec.artifact.chart().is_some());
    match (running, evidence.replicas.len()) {
        (0, 0) if is_chart => format!("is a chart, and something is in its way{since}{then}."),
        (0, 0) => "does not run: nothing of it is there.".to_owned(),
        (0, all) if starting == all => format!("does not run yet{since}."),
        (0, 1) => format!("does not run: its replica has ended{since}."),
        (0, all) => format!("does not run: {all} replicas have ended{since}."),
        (1, _) => format!("serves with 1 replica{then}."),
        (n, _) => format!("serves with {n} replicas{then}."),
    }
}

fn fine(evidence: &Evidence<'_>) -> String {
    let name = evidence.service;
    let running = evidence.replicas.iter().filter(|replica| replica.is_running()).count();
    match evidence.spec {
        Some(spec) if spec.stopped => format!("was stopped. It starts again with: daybook start {name}"),
        Some(spec) if spec.artifact.chart().is_some() => {
            format!("is a chart, and nothing is known to be in its way. What it made: helm status {name}")
        }
        Some(spec) if spec.replicas() == 0 => "has nothing that runs all the time; that is as wanted.".to_owned(),
        _ if running == 1 => "is fine: its replica runs and answers.".to_owned(),
        _ if running > 1 => format!("is fine: {running} replicas run and answer."),
        _ => "has nothing wrong with it that is known.".to_owned(),
    }
}

fn context(evidence: &Evidence<'_>) -> Vec<String> {
    let states = evidence.replicas.iter().map(|replica| {
        let state = format!("{:?}", replica.state).to_lowercase();
        let restarts =
            if replica.restarts > 0 { format!(", started again {} times", replica.restarts) } else { String::new() };
        format!("{} of release {}: {state}{restarts}", replica.id, replica.release)
    });
    states.collect()
}

fn ago(then: Timestamp, now: Timestamp) -> String {
    seconds(u64::try_from(now.as_millisecond() - then.as_millisecond()).unwrap_or(0))
}

fn clip(line: &str) -> String {
    let short: String = line.trim().chars().take(160).collect();
    if short.len() < line.trim().len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(evidence: &[&str], log: &[&str]) -> Why {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let failure = Failure {
            why: "web.3 never became ready".to_owned(),
            evidence: owned(evidence),
            log: owned(log),
            ..Failure::default()
        };
        let change = FailedChange {
            at: Timestamp::from_second(60).unwrap(),
            failure,
            changed: vec!["LEVEL info → debug".to_owned()],
        };
        why(&Evidence {
            failures: &[change],
            released: Some((Timestamp::from_second(30).unwrap(), 2)),
            now: Timestamp::from_second(90).unwrap(),
            ..Evidence::of(&"web".parse().unwrap())
        })
    }

    #[test]
    fn r07_a_failed_change_is_told_by_what_its_program_said_as_it_ended() {
        let log = ["web listens", "env var API_TOKEN is missing", "web listens", "env var API_TOKEN is missing"];
        let why = failed(&["it ended with exit code 3"], &log);
        assert_eq!(why.cause.as_deref(), Some("the environment variable API_TOKEN is missing"));
        assert_eq!(
            why.evidence,
            [
                "its last change failed 30 s ago: web.3 never became ready",
                "it ended with exit code 3",
                "it changed LEVEL info → debug",
                "its log says: env var API_TOKEN is missing",
            ]
        );
    }

    #[test]
    fn lines_that_come_often_are_told_once() {
        let why = failed(&["GET / answers 500"], &["ERROR a", "ERROR b", "ERROR a", "ERROR a"]);
        assert_eq!(why.cause.as_deref(), Some("web.3 never became ready"));
        assert_eq!(why.evidence[3..], ["log: ERROR b", "log: ERROR a (3 times)"]);
    }

    #[test]
    fn r07_a_missing_variable_is_read_from_the_words_of_many_languages() {
        for (line, variable) in [
            ("KeyError: 'DATABASE_URL'", Some("DATABASE_URL")),
            ("Error: DATABASE_URL is not set", Some("DATABASE_URL")),
            ("ERROR: the environment variable SECRET_KEY_BASE must be set", Some("SECRET_KEY_BASE")),
            ("thread 'main' panicked: env var API_TOKEN: NotPresent", Some("API_TOKEN")),
            ("listening on 8080", None),
            ("ERROR it is required", None),
        ] {
            assert_eq!(missing_variable(line), variable, "{line}");
        }
    }
}
