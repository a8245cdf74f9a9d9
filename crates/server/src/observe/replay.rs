//! What rules would have done in the past.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use daybook_api::ErrorCode;
use daybook_api::plan::DiagnosticView;
use daybook_api::rules::{AlertTest, Episode, Replay, RulesText, TestAlerts};
use daybook_metrics::Labels;
use daybook_metrics::store::Store;
use daybook_model::{EnvKey, Timestamp};
use daybook_promql::Options;
use daybook_rules::replay::{self, Range, Replayed};
use daybook_rules::{Environment, Group, Rule, as_map, file};

use super::alerts::EVALUATE_EVERY;
use super::ask::Ends;
use super::rules::{Compiled, Owned, Seen, owned};
use super::unavailable;
use crate::App;
use crate::error::ApiError;

/// How long a replay may take.
const AT_MOST: Duration = Duration::from_secs(120);
/// Evaluations of a replay.
const STEPS: i64 = 10_000;
/// Samples that a query may hold: about 400 MB.
const SAMPLES: usize = 25_000_000;
/// Episodes of one alert that are told.
const MOST: usize = 300;
/// The longest that is looked back, milliseconds: what is kept.
const LONGEST_MS: u64 = 90 * 24 * 3_600_000;

impl App {
    /// Replays rules over what was measured.
    pub(crate) async fn test_alerts(&self, asked: TestAlerts) -> Result<AlertTest, ApiError> {
        let store = self.inner.observatory.store().map_err(unavailable)?;
        if asked.since_ms < 60_000 || asked.since_ms > LONGEST_MS {
            let message = "a replay looks back between a minute and 90 days";
            return Err(ApiError::new(ErrorCode::Usage, message).hint("--since 7d"));
        }
        let groups = match &asked.rules {
            Some(text) => given(&asked.key, text)?,
            None => {
                let all = self.rules(&mut Compiled::default(), &self.try_managed().await?).await?;
                let of = |owned: &&Owned| owned.key.as_ref().is_none_or(|key| *key == asked.key);
                all.iter().filter(of).cloned().collect()
            }
        };
        let groups: Vec<Group> =
            groups.into_iter().filter_map(|owned| only(owned.group, asked.alert.as_deref())).collect();
        if groups.is_empty() {
            let what = asked.alert.as_deref().unwrap_or("rule");
            return Err(ApiError::not_found(format!("there is no alert {what:.80} to be tested"))
                .hint("`daybook explain` lists those by default"));
        }
        let range = range(self.now().as_millisecond(), asked.since_ms);
        let key = asked.key;
        let _turn = self.inner.observatory.questions.acquire().await.map_err(|error| unavailable(error.to_string()))?;
        let ends = Ends::default();
        let ended = ends.flag();
        let replayed = tokio::task::spawn_blocking(move || replayed(&store, &key, &groups, range, &ended)).await;
        let alerts =
            replayed.map_err(|error| ApiError::new(ErrorCode::Internal, format!("the replay broke off: {error}")))?;
        Ok(AlertTest { from: time(range.from), until: time(range.to), step_ms: range.step, alerts })
    }
}

/// The rules of a file that is in no release yet.
fn given(key: &EnvKey, rules: &RulesText) -> Result<Vec<Owned>, ApiError> {
    match file::read(&rules.name, &rules.text) {
        Ok(groups) => Ok(groups.into_iter().map(|group| owned(key, group)).collect()),
        Err(problems) => {
            let mut error = ApiError::invalid(format!("{:.80} has no rules that can be evaluated", rules.name));
            error.0.diagnostics = problems.0.into_iter().map(diagnostic).collect();
            Err(error)
        }
    }
}

fn diagnostic(problem: daybook_rules::Problem) -> DiagnosticView {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    DiagnosticView {
        code: "P0121".to_owned(),
        severity: "error".to_owned(),
        rendered: format!("error[P0121]: {}\n  --> {}\n  help: {}", problem.message, problem.place, problem.help),
        message: problem.message,
        file: problem.place.file.to_string(),
        line: number(problem.place.line),
        column: number(problem.place.column),
    }
}

/// The alerts of a group with a name, or all, and what is recorded for them. None, if there are no such alerts.
fn only(mut group: Group, name: Option<&str>) -> Option<Group> {
    // The one that always fires would tell nothing.
    let is_wanted = |alert: &str| name.map_or(alert != "Watchdog", |name| alert == name);
    group.rules.retain(|rule| matches!(rule, Rule::Record(_)) || is_wanted(rule.name()));
    let mut kept: Vec<Rule> = Vec::new();
    for rule in group.rules.into_iter().rev() {
        let is_used = |kept: &Rule| kept.query().text.contains(rule.name());
        if matches!(rule, Rule::Alert(_)) || kept.iter().any(is_used) {
            kept.push(rule);
        }
    }
    kept.reverse();
    group.rules = kept;
    group.alerts().next()?;
    Some(group)
}

/// The last so many milliseconds, in steps of which there are not too many.
fn range(now: i64, since_ms: u64) -> Range {
    let (since, every) = (i64::try_from(since_ms).unwrap_or(i64::MAX), EVALUATE_EVERY.as_millis() as i64);
    let step = every * (since / STEPS / every + i64::from(since / STEPS % every > 0)).max(1);
    Range { from: now - since, to: now, step }
}

fn replayed(store: &Store, key: &EnvKey, groups: &[Group], range: Range, ended: &AtomicBool) -> Vec<Replay> {
    let began = Instant::now();
    let is_too_slow = || began.elapsed() > AT_MOST || ended.load(Ordering::Relaxed);
    let options = Options { max_samples: SAMPLES, cancelled: &is_too_slow, ..Options::default() };
    let labels = Labels::default();
    let environment = Environment { interval: range.step, options, ..Environment::new(&labels, "") };
    let seen = Seen::by(store, Some(key));
    let of_group = |group: &Group| -> Vec<Replay> {
        let all = group.replay(&seen, range, &environment);
        all.into_iter().map(|replayed| view(replayed, &group.file)).collect()
    };
    groups.iter().flat_map(of_group).fold(Vec::new(), joined)
}

/// An alert that is different for an environment is two rules, of which each says nothing where the other holds.
fn joined(mut all: Vec<Replay>, more: Replay) -> Vec<Replay> {
    match all.iter_mut().find(|known| known.alert == more.alert && known.file == more.file) {
        None => all.push(more),
        Some(known) => {
            known.fired += more.fired;
            known.error = known.error.take().or(more.error);
            known.episodes.extend(more.episodes);
            known.episodes.sort_by_key(|episode| episode.pending);
        }
    }
    all
}

fn view(replayed: Replayed, file: &str) -> Replay {
    let fired = replayed.notified();
    let skipped = replayed.episodes.len().saturating_sub(MOST);
    Replay {
        alert: replayed.alert,
        file: file.to_owned(),
        fired,
        error: replayed.error.map(|(at, error)| format!("{error}, at {}", time(at))),
        episodes: replayed.episodes.into_iter().skip(skipped).map(episode).collect(),
    }
}

fn episode(episode: replay::Episode) -> Episode {
    Episode {
        labels: as_map(&episode.labels),
        summary: episode.summary,
        pending: time(episode.pending_at),
        fired: episode.fired_at.map(time),
        ended: episode.ended_at.map(time),
        value: Some(episode.value).filter(|value| value.is_finite()),
    }
}

fn time(at: i64) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use daybook_rules::builtin;

    use super::*;

    #[test]
    fn only_what_an_alert_needs_is_recorded() {
        let traffic = || builtin::groups().into_iter().next().unwrap();
        let names = |group: Group| group.rules.iter().map(|rule| rule.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(only(traffic(), Some("HighErrorRate")).unwrap()), ["HighErrorRate"]);
        let spike = names(only(traffic(), Some("TrafficSpike")).unwrap());
        assert_eq!(spike, ["daybook_service:http_requests:rate5m", "TrafficSpike"]);
        assert!(only(traffic(), Some("Nothing")).is_none());
        assert!(
            builtin::groups()
                .into_iter()
                .filter_map(|group| only(group, None))
                .all(|group| group.name != "daybook-watchdog")
        );
    }

    #[test]
    fn a_replay_has_not_too_many_steps() {
        let day = 24 * 3_600_000;
        assert_eq!(range(10 * day, 3_600_000).step, 15_000);
        let week = range(10 * day, 7 * 86_400_000);
        assert_eq!((week.step, week.from), (75_000, 3 * day));
        assert!((week.to - week.from) / week.step <= STEPS);
    }
}
