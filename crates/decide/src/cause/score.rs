//! The score of one change.

use daybook_model::{ReleaseNumber, ServiceName, Timestamp};

use super::{Change, Symptom, Taker, What, Who, tables};
use crate::incident::Related;

/// What there is to compare.
pub(super) struct Scene<'a> {
    pub(super) symptoms: &'a [Symptom],
    pub(super) changes: &'a [Change],
    pub(super) related: &'a Related,
    pub(super) onset: Timestamp,
}

/// A change with its factors.
pub(super) struct Scored<'a> {
    pub(super) change: &'a Change,
    pub(super) prior: f64,
    pub(super) time: f64,
    pub(super) near: f64,
    pub(super) fit: f64,
    pub(super) releases: f64,
    pub(super) chain: f64,
    /// What it explains.
    pub(super) explains: Vec<&'a Change>,
    /// What explains it.
    pub(super) explained_by: Option<&'a Change>,
}

impl Scored<'_> {
    pub(super) fn score(&self) -> f64 {
        self.factors().iter().map(|(_, factor)| factor).product()
    }

    pub(super) fn factors(&self) -> [(&'static str, f64); 6] {
        [
            ("kind", self.prior),
            ("time", self.time),
            ("nearness", self.near),
            ("fit", self.fit),
            ("releases", self.releases),
            ("chain", self.chain),
        ]
    }
}

/// What is done may be noted a little late: a clock of another machine, a rule that looks every 30 seconds.
const SLACK_S: i64 = 90;
/// What is seen may be seen a little after what it causes.
const SEEN_SLACK_S: i64 = 300;
/// One change may bring another about within this time.
const CHAIN_S: i64 = 30 * 60;
/// Nearer than this in the graph, one may bring the other about.
const CHAIN_NEAR: f64 = 0.5;
/// What began long before and goes on has at least this.
const GOES_ON: f64 = 0.4;

impl<'a> Scene<'a> {
    pub(super) fn score(&self, index: usize) -> Scored<'a> {
        let change = &self.changes[index];
        let explains: Vec<_> = self.changes.iter().filter(|other| self.brings(change, other)).collect();
        let explained_by = self.changes.iter().find(|other| self.brings(other, change));
        // What grew slowly after a release counts from when it began to grow.
        let effect = explains.iter().map(|other| other.at).filter(|at| *at >= change.at).min();
        let onset = effect.map_or(self.onset, |at| at.min(self.onset));
        let mut chain =
            tables::EXPLAINS.powi(i32::try_from(explains.len()).unwrap_or(i32::MAX)).min(tables::EXPLAINS_MOST);
        if explained_by.is_some() {
            chain *= tables::EXPLAINED;
        }
        Scored {
            change,
            prior: tables::prior(&change.what),
            time: time(change, onset, self.onset),
            near: self.nearness(change),
            fit: self.fit(change),
            releases: self.releases(change),
            chain,
            explains,
            explained_by,
        }
    }

    /// Whether one change may have brought the other about.
    fn brings(&self, one: &Change, other: &Change) -> bool {
        if std::ptr::eq(one, other) || !tables::may_bring(&one.what, &other.what) {
            return false;
        }
        let after = other.at.as_second() - one.at.as_second();
        let slack = if tables::is_seen(&one.what) { SEEN_SLACK_S } else { SLACK_S };
        let is_late = after > CHAIN_S && !(one.ended.is_none() && tables::is_seen(&one.what));
        let is_over =
            one.ended.is_some_and(|ended| ended > one.at && ended.as_second() + SLACK_S < other.at.as_second());
        if after < -slack || is_late || is_over {
            return false;
        }
        let places = places(other);
        let is_near = |service: &ServiceName, least: f64| self.near(one, Some(service), None) >= least;
        match &other.host {
            // What a machine lacks was used by what runs on it.
            Some(host) if places.is_empty() => {
                one.host.as_ref() == Some(host) || self.related.on(host).any(|service| is_near(service, 1.0))
            }
            _ => places.is_empty() || places.iter().any(|service| is_near(service, CHAIN_NEAR)),
        }
    }

    /// How near a change is to where something is felt: over all symptoms, so that what explains more is nearer.
    fn nearness(&self, change: &Change) -> f64 {
        let all = self.symptoms.iter().map(|one| self.near(change, one.service.as_ref(), one.host.as_deref()));
        let mean = all.sum::<f64>() / (self.symptoms.len().max(1)) as f64;
        let (hit, services) = change.host.as_deref().map_or((0, 0), |host| self.hit_on(host));
        // That everything of a machine suffers at once is hardly chance.
        if hit >= 2 && hit == services { mean * 1.3 } else { mean }
    }

    /// How many services of a machine suffer, and how many it has.
    pub(super) fn hit_on(&self, host: &str) -> (usize, usize) {
        let suffers = |name: &&ServiceName| self.symptoms.iter().any(|one| one.service.as_ref() == Some(*name));
        (self.related.on(host).filter(suffers).count(), self.related.on(host).count())
    }

    fn near(&self, change: &Change, service: Option<&ServiceName>, host: Option<&str>) -> f64 {
        if let (Some(here), Some(there)) = (change.host.as_deref(), host)
            && here == there
        {
            return 1.0;
        }
        let Some(service) = service else { return 0.8 };
        let mut places = places(change);
        if let Some(host) = change.host.as_deref() {
            if self.related.on(host).any(|here| here == service) {
                return 1.0;
            }
            places.extend(self.related.on(host));
        }
        if places.is_empty() {
            return 0.7;
        }
        places.into_iter().map(|place| self.between(service, place)).fold(0.05, f64::max)
    }

    /// How much trouble of `cause` tells of trouble of `service`.
    fn between(&self, service: &ServiceName, cause: &ServiceName) -> f64 {
        match (self.related.distance(service, cause), self.related.distance(cause, service)) {
            (Some(0), _) => 1.0,
            (Some(1), _) => 0.85,
            (Some(2), _) => 0.7,
            (Some(_), _) => 0.55,
            // Who asks more than before may be too much for what is asked.
            (None, Some(1)) => 0.5,
            (None, Some(_)) => 0.3,
            (None, None) if self.related.are_related(service, cause) => 0.3,
            (None, None) => 0.05,
        }
    }

    fn fit(&self, change: &Change) -> f64 {
        let weight: f64 = self.symptoms.iter().map(|one| tables::weight(one.felt)).sum();
        if weight == 0.0 {
            return 0.5;
        }
        let fit = |one: &Symptom| tables::weight(one.felt) * tables::fit(&change.what, one.felt);
        self.symptoms.iter().map(fit).sum::<f64>() / weight
    }

    /// Whether replicas of the new release fail and others do not, or all alike.
    fn releases(&self, change: &Change) -> f64 {
        let Some((newest, new, old)) = self.by_release() else { return 1.0 };
        let (alone, alike) = (new >= 3.0 * old.max(0.1), new < 1.5 * old);
        match &change.what {
            What::Release { number, .. } if *number == newest => match (alone, alike) {
                (true, _) => 2.0,
                (_, true) => 0.25,
                _ => 1.0,
            },
            // Another release, or something that releases know nothing of.
            _ if alone && !matches!(change.what, What::OutOfMemory { .. } | What::Crash { .. }) => 0.4,
            _ => 1.0,
        }
    }

    /// The newest release that answered, and the worst share of failures of it and of those before, percent.
    pub(super) fn by_release(&self) -> Option<(ReleaseNumber, f64, f64)> {
        let newest = self.symptoms.iter().flat_map(|one| one.by_release.keys()).max().copied()?;
        let shares = self.symptoms.iter().flat_map(|one| &one.by_release);
        let (new, old): (Vec<_>, Vec<_>) = shares.partition(|(number, _)| **number == newest);
        let worst = |of: Vec<(&ReleaseNumber, &f64)>| of.into_iter().map(|(_, share)| *share).reduce(f64::max);
        Some((newest, worst(new)?, worst(old)?))
    }
}

/// The services that a change is about.
pub(super) fn places(change: &Change) -> Vec<&ServiceName> {
    let more = match &change.what {
        What::Job { job } => Some(job),
        What::Host { most: Some(Taker { who: Who::Service(service), .. }), .. } => Some(service),
        _ => None,
    };
    change.services.iter().chain(more).collect()
}

/// How well the time of a change fits. `effect` is when something that it explains began, at latest the onset.
fn time(change: &Change, effect: Timestamp, onset: Timestamp) -> f64 {
    let seen = tables::is_seen(&change.what);
    let before = effect.as_second() - change.at.as_second();
    let slack = if seen { SEEN_SLACK_S } else { SLACK_S };
    if change.at.as_second() - onset.as_second() > slack {
        return 0.0;
    }
    let minutes = before.max(0) as f64 / 60.0;
    let decay = tables::decay(&change.what, minutes);
    match change.ended {
        // What was over before cannot have gone on hurting.
        Some(ended) if ended > change.at && ended.as_second() + SLACK_S < onset.as_second() => decay * 0.15,
        Some(_) => decay,
        None if seen => decay.max(GOES_ON),
        None => decay,
    }
}
