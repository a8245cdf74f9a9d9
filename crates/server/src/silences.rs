//! Silences: alerts that nobody is told of for a time. They are in the journal, and end by themselves.

use std::sync::{Mutex, MutexGuard, PoisonError};

use daybook_api::ErrorCode;
use daybook_api::silence::{AddSilence, SilenceView};
use daybook_model::rules::Silence;
use daybook_model::{Actor, Entry, EnvKey, Event, Timestamp};
use daybook_rules::State;
use daybook_rules::routing::{self, Matchers, parse_matchers};
use daybook_store::{Journal as _, Write};
use uuid::Uuid;

use crate::App;
use crate::error::ApiError;
use crate::observe::Fired;

/// How long one that has ended is listed, milliseconds.
const LISTED_FOR: i64 = 120 * 3_600_000;
/// The longest: whoever wants an alert never to fire changes its rule.
const LONGEST_MS: u64 = 90 * 24 * 3_600_000;

/// All silences that hold, are to hold, or ended not long ago.
#[derive(Default)]
pub(crate) struct Silences(Mutex<Vec<Kept>>);

#[derive(Debug, Clone)]
struct Kept {
    key: EnvKey,
    by: String,
    silence: Silence,
    matchers: Matchers,
}

impl Silences {
    fn all(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what an entry of the journal says of silences.
    pub(crate) fn record(&self, entry: &Entry) {
        match (&entry.event, &entry.key) {
            (Event::Silenced { silence }, Some(key)) => {
                // What cannot be read any more silences nothing.
                let Ok(matchers) = parse_matchers(&silence.matchers) else { return };
                let kept = Kept { key: key.clone(), by: entry.actor.name.clone(), silence: silence.clone(), matchers };
                let mut all = self.all();
                let since = entry.at.as_millisecond() - LISTED_FOR;
                all.retain(|kept| kept.silence.ends.as_millisecond() > since);
                all.push(kept);
            }
            (Event::SilenceEnded { id }, _) => {
                for kept in self.all().iter_mut().filter(|kept| kept.silence.id == *id && kept.silence.ends > entry.at)
                {
                    kept.silence.ends = entry.at;
                }
            }
            _ => {}
        }
    }
}

impl Kept {
    /// A silence of a whole environment is not about the machine, which others share.
    fn silences(&self, fired: &Fired, now: Timestamp) -> bool {
        let is_of_it = match &fired.key {
            Some(key) => *key == self.key,
            None => !self.matchers.0.is_empty(),
        };
        is_of_it && self.is_active(now) && self.matchers.choose(&fired.labels)
    }

    fn is_active(&self, now: Timestamp) -> bool {
        self.silence.starts <= now && now < self.silence.ends
    }
}

impl App {
    /// The silence by which nobody is told of an alert now.
    pub(crate) fn silenced(&self, fired: &Fired) -> Option<String> {
        let now = self.now();
        let all = self.inner.silences.all();
        all.iter().find(|kept| kept.silences(fired, now)).map(|kept| kept.silence.id.clone())
    }

    /// Silences of an environment, or of all: those that hold or are to, or also those that ended not long ago.
    pub(crate) fn silences(&self, key: Option<&EnvKey>, also_ended: bool) -> Vec<SilenceView> {
        let (now, fired) = (self.now(), self.fired());
        let all = self.inner.silences.all();
        let wanted = all.iter().filter(|kept| key.is_none_or(|key| kept.key == *key));
        let mut views: Vec<_> =
            wanted.filter(|kept| also_ended || kept.silence.ends > now).map(|kept| view(kept, &fired, now)).collect();
        views.sort_by_key(|silence| silence.ends);
        views
    }

    /// Makes a silence.
    pub(crate) async fn add_silence(&self, asked: AddSilence, actor: &Actor) -> Result<SilenceView, ApiError> {
        let usage = |message: String| ApiError::new(ErrorCode::Usage, message);
        let mut matchers = Matchers::default();
        for text in &asked.matchers {
            let read =
                parse_matchers(text).map_err(|why| usage(format!("{why:.200}")).hint("write it as service=web"))?;
            matchers.0.extend(read.0);
        }
        if asked.all != matchers.0.is_empty() {
            let message = match asked.all {
                true => "a silence of everything needs no matchers",
                false => "a silence says which alerts it is about",
            };
            return Err(usage(message.to_owned()).hint("give matchers such as service=web, or `--all`"));
        }
        if asked.for_ms == 0 || asked.for_ms > LONGEST_MS {
            return Err(usage("a silence is between a second and 90 days long".to_owned())
                .hint("for an alert that is never wanted, write `alerts: {NAME: off}` in the manifest"));
        }
        let (now, id) = (self.now(), Uuid::now_v7().simple().to_string());
        let starts = asked.starts.unwrap_or(now);
        let length = jiff::SignedDuration::from_millis(i64::try_from(asked.for_ms).unwrap_or(i64::MAX));
        let ends = starts.checked_add(length).map_err(|_| usage("it would never end".to_owned()))?;
        let silence =
            Silence { id: id[id.len() - 8..].to_owned(), matchers: matchers.to_string(), starts, ends, why: asked.why };
        if !asked.all {
            check(&silence, &matchers, actor, now).map_err(usage)?;
        } else if silence.why.trim().is_empty() {
            return Err(usage("a silence says why".to_owned()).hint("--why TEXT"));
        }
        let id = silence.id.clone();
        self.note_silence(&asked.key, actor, Event::Silenced { silence }).await?;
        self.silences(Some(&asked.key), false)
            .into_iter()
            .find(|silence| silence.id == id)
            .ok_or_else(|| ApiError::new(ErrorCode::Internal, "the silence was not kept"))
    }

    /// Ends a silence before its time.
    pub(crate) async fn end_silence(&self, id: &str, actor: &Actor) -> Result<SilenceView, ApiError> {
        let known = self.silences(None, false).into_iter().find(|silence| silence.id == id);
        let mut known = known.ok_or_else(|| {
            ApiError::not_found(format!("no silence {id:.80} holds or is to hold")).hint("see `daybook silence ls`")
        })?;
        self.note_silence(&known.key, actor, Event::SilenceEnded { id: known.id.clone() }).await?;
        "expired".clone_into(&mut known.state);
        known.silenced = 0;
        Ok(known)
    }

    async fn note_silence(&self, key: &EnvKey, actor: &Actor, event: Event) -> Result<(), ApiError> {
        let write = Write { key: Some(key.clone()), run: None, actor: actor.clone(), event, expected: None };
        let entry = self.inner.store.append(write).await?;
        self.inner.silences.record(&entry);
        Ok(())
    }
}

/// What Alertmanager asks of a silence.
fn check(silence: &Silence, matchers: &Matchers, actor: &Actor, now: Timestamp) -> Result<(), String> {
    let asked = routing::Silence {
        id: silence.id.clone(),
        matchers: matchers.clone(),
        starts_at: silence.starts.as_millisecond(),
        ends_at: silence.ends.as_millisecond(),
        created_by: actor.name.clone(),
        comment: silence.why.trim().to_owned(),
    };
    asked.check(now.as_millisecond()).map_err(|why| why.to_string())
}

fn view(kept: &Kept, fired: &[Fired], now: Timestamp) -> SilenceView {
    let Silence { id, matchers, starts, ends, why } = kept.silence.clone();
    let state = match (kept.is_active(now), starts > now) {
        (true, _) => "active",
        (false, true) => "pending",
        (false, false) => "expired",
    };
    let silenced = fired.iter().filter(|fired| fired.state != State::Inactive && kept.silences(fired, now)).count();
    let (key, by) = (kept.key.clone(), kept.by.clone());
    SilenceView { id, key, matchers, state: state.to_owned(), starts, ends, by, why, silenced }
}

#[cfg(test)]
mod tests {
    use daybook_metrics::Labels;
    use daybook_model::Severity;

    use super::*;
    use crate::fixture::entry;

    fn silence(matchers: &str) -> Event {
        let at = |text: &str| text.parse().unwrap();
        let (starts, ends) = (at("2026-12-01T10:00:00Z"), at("2026-12-01T12:00:00Z"));
        let (id, why) = ("s1".to_owned(), "an upgrade".to_owned());
        Event::Silenced { silence: Silence { id, matchers: matchers.to_owned(), starts, ends, why } }
    }

    fn fired(key: Option<&str>) -> Fired {
        let labels = Labels::new([("alertname", "Slow"), ("service", "web"), ("severity", "page")]);
        let alert = daybook_model::Alert {
            name: "Slow".to_owned(),
            labels: Default::default(),
            severity: Severity::Page,
            summary: String::new(),
            started: Timestamp::UNIX_EPOCH,
            ended: None,
            service: None,
            host: None,
            runbook: None,
        };
        let key = key.map(|key| key.parse().unwrap());
        Fired { key, state: State::Firing, alert, labels, description: String::new(), value: 1.0, muted: None }
    }

    #[test]
    fn a_silence_holds_for_its_environment_and_its_time() {
        let silences = Silences::default();
        silences.record(&entry(silence("{service=\"web\"}"), "2026-12-01T10:00:00Z"));
        let holds =
            |fired: &Fired, at: &str| silences.all().iter().any(|kept| kept.silences(fired, at.parse().unwrap()));
        let ours = fired(Some("shop/production"));
        assert!(holds(&ours, "2026-12-01T10:00:00Z") && holds(&ours, "2026-12-01T11:59:59Z"));
        assert!(!holds(&ours, "2026-12-01T12:00:00Z"), "it ends by itself");
        assert!(!holds(&fired(Some("shop/staging")), "2026-12-01T11:00:00Z"));
        assert!(holds(&fired(None), "2026-12-01T11:00:00Z"), "a machine is of nobody");
        silences.record(&entry(Event::SilenceEnded { id: "s1".to_owned() }, "2026-12-01T10:30:00Z"));
        assert!(!holds(&ours, "2026-12-01T11:00:00Z"));
    }

    #[test]
    fn a_silence_of_all_is_not_about_the_machine() {
        let silences = Silences::default();
        silences.record(&entry(silence("{}"), "2026-12-01T10:00:00Z"));
        let at = "2026-12-01T11:00:00Z".parse().unwrap();
        let holds = |fired: &Fired| silences.all().iter().any(|kept| kept.silences(fired, at));
        assert!(holds(&fired(Some("shop/production"))) && !holds(&fired(None)));
    }
}
