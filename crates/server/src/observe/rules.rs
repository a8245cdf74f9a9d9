//! The rules that are evaluated: those by default, what services promise, and what manifests bring along.

use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_metrics::store::Store;
use daybook_metrics::{Matcher, Op, Series, Source};
use daybook_model::rules::{Adjustment, Rules};
use daybook_model::spec::Slo;
use daybook_model::traffic::LATENCY_BOUNDS_MS;
use daybook_model::{EnvKey, Release, Severity};
use daybook_rules::builtin::{self, Wish};
use daybook_rules::slo::{Latency, Objective, compile};
use daybook_rules::{Group, file};

use crate::App;

/// Whole, in millionths.
const WHOLE: f64 = 1e6;

/// A group of rules, and whose manifest it is from.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    /// The environment; none for rules by default, which are about all.
    pub(crate) key: Option<EnvKey>,
    /// The rules.
    pub(crate) group: Group,
}

impl Owned {
    /// What its state is known by.
    pub(crate) fn name(&self) -> String {
        match &self.key {
            Some(key) => format!("{key}:{}:{}", self.group.file, self.group.name),
            None => format!("{}:{}", self.group.file, self.group.name),
        }
    }
}

/// All rules, as long as nobody wants others.
#[derive(Default)]
pub(super) struct Compiled {
    of: Wanted,
    groups: Arc<Vec<Owned>>,
}

/// What rules are made of.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    objectives: BTreeMap<(EnvKey, String), Objective>,
    rules: BTreeMap<EnvKey, Rules>,
}

impl App {
    /// The rules of now for the environments that are there.
    ///
    /// # Errors
    /// What is in force cannot be read: without its rules what they know of alerts would be lost.
    pub(super) async fn rules(
        &self,
        compiled: &mut Compiled,
        there: &[EnvKey],
    ) -> Result<Arc<Vec<Owned>>, daybook_store::Error> {
        let mut wanted = Wanted::default();
        for key in there {
            if let Some(release) = self.inner.store.current_release(key).await? {
                wanted.objectives.extend(objectives(&release));
                if !release.spec.rules.is_empty() {
                    wanted.rules.insert(key.clone(), release.spec.rules.clone());
                }
            }
        }
        if compiled.groups.is_empty() || compiled.of != wanted {
            *compiled = Compiled { groups: groups(&wanted).into(), of: wanted };
        }
        Ok(compiled.groups.clone())
    }
}

fn groups(wanted: &Wanted) -> Vec<Owned> {
    let wishes = wanted.rules.iter().flat_map(|(key, rules)| wishes(key, rules));
    let wishes: Vec<_> = wishes.map(|(wish, _)| wish).collect();
    let mut all: Vec<_> = builtin::groups_for(&wishes).into_iter().map(|group| Owned { key: None, group }).collect();
    let bounds: Vec<f64> = LATENCY_BOUNDS_MS.iter().map(|ms| *ms as f64 / 1000.0).collect();
    for objective in wanted.objectives.values() {
        let (group, notes) = compile(objective, &bounds);
        notes.iter().for_each(|note| tracing::warn!(service = objective.service, "{note}"));
        all.push(Owned { key: None, group });
    }
    for (key, rules) in &wanted.rules {
        all.extend(of_files(key, rules));
    }
    all
}

/// What the files of a release hold. They were read when it was planned; one of another version of Daybook that cannot be
/// read now is told in the log.
fn of_files(key: &EnvKey, rules: &Rules) -> Vec<Owned> {
    let mut all = Vec::new();
    for one in &rules.files {
        match file::read(&one.name, &one.text) {
            Ok(groups) => all.extend(groups.into_iter().map(|group| owned(key, group))),
            Err(problems) => tracing::error!(%key, file = one.name, "rules are not evaluated: {problems}"),
        }
    }
    all
}

/// A group of an environment: what it records and alerts about says whose it is.
pub(super) fn owned(key: &EnvKey, mut group: Group) -> Owned {
    group.label("app", key.app.as_str());
    group.label("env", key.env.as_str());
    Owned { key: Some(key.clone()), group }
}

/// What an environment wants different about rules by default, as far as it can be; each with its line of the manifest.
pub(crate) fn wishes<'a>(key: &'a EnvKey, rules: &'a Rules) -> impl Iterator<Item = (Wish<'a>, u32)> {
    rules.adjusted.iter().flat_map(move |(alert, adjusted)| {
        let of_services = adjusted.services.iter().map(|(service, own)| (Some(service.as_str()), own));
        let all = std::iter::once((None, adjusted)).chain(of_services);
        all.map(move |(service, own)| (wish(key, alert, service, own), own.line))
    })
}

fn wish<'a>(key: &'a EnvKey, alert: &'a str, service: Option<&'a str>, adjusted: &'a Adjustment) -> Wish<'a> {
    Wish {
        app: key.app.as_str(),
        env: key.env.as_str(),
        service,
        alert,
        off: adjusted.off,
        threshold: adjusted.threshold.as_deref(),
        hold: adjusted.hold_ms.and_then(|ms| i64::try_from(ms).ok()),
        severity: adjusted.severity.map(|severity| match severity {
            Severity::Page => builtin::Severity::Page,
            Severity::Ticket => builtin::Severity::Ticket,
            Severity::Info => builtin::Severity::Info,
        }),
    }
}

fn objectives(release: &Release) -> BTreeMap<(EnvKey, String), Objective> {
    let key = &release.spec.key;
    let services =
        release.spec.services.values().filter_map(|service| Some((service.name.to_string(), service.slo.as_ref()?)));
    services.map(|(service, slo)| ((key.clone(), service.clone()), objective(key, service, slo))).collect()
}

fn objective(key: &EnvKey, service: String, slo: &Slo) -> Objective {
    let latency = slo
        .latency
        .iter()
        .map(|goal| Latency { quantile: f64::from(goal.share) / WHOLE, seconds: goal.within_ms as f64 / 1000.0 });
    Objective {
        app: key.app.to_string(),
        env: key.env.to_string(),
        service,
        availability: slo.availability.map(|share| f64::from(share) / WHOLE),
        latency: latency.collect(),
    }
}

/// What rules see: everything, or what is of an environment and of none.
pub(super) struct Seen<'a> {
    store: &'a Store,
    only: Vec<Matcher>,
}

impl<'a> Seen<'a> {
    /// What the rules of an environment see; everything, for those that are of none.
    pub(super) fn by(store: &'a Store, key: Option<&EnvKey>) -> Self {
        // A series without the label has an empty one.
        let of = |name: &str, value: &str| Matcher::new(name, Op::Like, format!("|{}", regex_escape(value)));
        let only = key.map(|key| [of("app", key.app.as_str()), of("env", key.env.as_str())]);
        Self { store, only: only.into_iter().flatten().flatten().collect() }
    }
}

/// Names have letters, digits, `-`, `_` and `.`: of these only the dot means something in a pattern.
fn regex_escape(name: &str) -> String {
    name.replace('.', "\\.")
}

impl Source for Seen<'_> {
    type Error = <Store as Source>::Error;

    fn select(&self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Series>, Self::Error> {
        if self.only.is_empty() {
            return self.store.select(matchers, from, to);
        }
        let all: Vec<Matcher> = matchers.iter().chain(&self.only).cloned().collect();
        self.store.select(&all, from, to)
    }
}
