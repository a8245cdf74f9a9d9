//! What an environment is held to: built-in checks, guard rails, and what own rules found.
//!
//! [`check`] asks every row of the [`catalogue`] about what a manifest makes of an environment. What comes of a finding
//! is decided here too: it is said, it refuses the plan, or somebody lives with it for a while.

mod catalogue;
mod checks;
mod controls;
mod images;
mod rails;
mod secrets;
mod text;
mod words;

use daybook_model::policy::{Author, Edit, Fate, Finding, KeyPath, Policy, Remarks, Severity, Waiver};
use daybook_model::spec::Service;
use daybook_model::{ServiceName, Spec};
use jiff::civil::Date;
use serde::Serialize;

use catalogue::Run;
pub use catalogue::{CHECKS, Check, all, find};
pub use controls::{Control, Framework, Standing, controls, standings};
pub use text::{line, render, summary};

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What the manifest makes of the environment, before its secrets are sealed.
    pub spec: &'a Spec,
    /// What only its text shows.
    pub remarks: &'a Remarks,
    /// What runs it.
    pub runtime: Runtime,
    /// Somebody said that it matters.
    pub protected: bool,
}

/// What runs replicas, as far as checks care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// Plain processes: settings of containers mean nothing.
    Process,
    /// Docker or Podman, which give what is not asked against.
    Container,
    /// A cluster, where Daybook asks for as little as the "restricted" standard allows.
    Cluster,
}

impl Runtime {
    /// By its name: `process`, `docker`, `podman`, `kubernetes`.
    pub fn named(name: &str) -> Self {
        match name {
            "process" => Self::Process,
            "kubernetes" => Self::Cluster,
            _ => Self::Container,
        }
    }
}

/// Whose rules count.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The manifest's.
    pub manifest: &'a Policy,
    /// The organisation's, for all apps.
    pub organisation: Option<&'a Policy>,
}

impl<'a> Rules<'a> {
    /// Each policy with whose it is, the organisation's first.
    fn each(self) -> impl Iterator<Item = (Author, &'a Policy)> {
        let organisation = self.organisation.map(|policy| (Author::Organisation, policy));
        organisation.into_iter().chain([(Author::Manifest, self.manifest)])
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Everything, the worst first: what denies before what warns before what is waived.
    pub findings: Vec<Finding>,
    /// Checks and rules that were asked.
    pub asked: usize,
    /// How many of them found nothing that counts.
    pub passed: usize,
    /// What is wrong with the policies themselves: unknown words, waivers that are over.
    pub remarks: Vec<Remark>,
}

/// Something to be said about a policy itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Whose.
    pub policy: Author,
    /// Line of its file, from 1.
    pub line: u32,
    /// What.
    pub message: String,
    /// Nobody knows what was meant, so that it cannot be kept to.
    pub is_error: bool,
}

impl Report {
    /// Whether the plan is refused.
    pub fn is_denied(&self) -> bool {
        self.denied().next().is_some()
    }

    /// What refuses it.
    pub fn denied(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.fate, Fate::Denied { .. }))
    }

    /// What is said and refuses nothing.
    pub fn warned(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.fate == Fate::Warned)
    }

    /// What somebody lives with.
    pub fn waived(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.fate, Fate::Waived { .. }))
    }
}

/// The well-known data store that a service is, by its image.
pub fn database_of(service: &Service) -> Option<String> {
    images::database(service).map(|database| database.to_string())
}

/// Asks everything about `subject`. `own` is what the organisation's and the manifest's own rules found, of `own_rules`
/// rules; `today` decides which waivers count.
pub fn check(subject: &Subject<'_>, rules: Rules<'_>, own: Vec<Finding>, own_rules: usize, today: Date) -> Report {
    let mut found = Found { findings: own, check: &CHECKS[0] };
    let mut asked = own_rules;
    for check in catalogue::all() {
        found.check = check;
        match check.run {
            Run::Always(run) => {
                run(subject, &mut found);
                asked += 1;
            }
            Run::Rail(run) => {
                for (by, policy) in rules.each() {
                    let before = found.findings.len();
                    asked += usize::from(run(subject, &policy.rails, &mut found));
                    found.findings[before..].iter_mut().for_each(|finding| finding.fate = Fate::Denied { by });
                }
            }
        }
    }
    let (waivers, mut remarks) = waivers(rules, today);
    for (author, policy) in rules.each() {
        remarks.extend(words::unknown(policy, author, &found.findings));
    }
    let mut findings = found.findings;
    for finding in &mut findings {
        finding.fate = fate(finding, rules, &waivers);
    }
    findings.sort_by(|a, b| (rank(a), &a.check, &a.service, &a.path).cmp(&(rank(b), &b.check, &b.service, &b.path)));
    let open = findings.iter().filter(|finding| !matches!(finding.fate, Fate::Waived { .. }));
    let failed: std::collections::BTreeSet<_> = open.map(|finding| finding.check.as_str()).collect();
    let passed = asked.saturating_sub(failed.len());
    Report { asked, passed, findings, remarks }
}

/// What denies first, then by severity.
fn rank(finding: &Finding) -> (u8, std::cmp::Reverse<Severity>) {
    let fate = match finding.fate {
        Fate::Denied { .. } => 0,
        Fate::Warned => 1,
        Fate::Waived { .. } => 2,
    };
    (fate, std::cmp::Reverse(finding.severity))
}

/// The waivers that count today, and what is to be said about the others.
fn waivers(rules: Rules<'_>, today: Date) -> (Vec<(Author, &Waiver)>, Vec<Remark>) {
    let all = rules.each().flat_map(|(author, policy)| policy.waive.iter().map(move |waiver| (author, waiver)));
    let (good, over): (Vec<_>, Vec<_>) = all.partition(|(_, waiver)| waiver.until >= today);
    let over = over.into_iter().map(|(policy, waiver)| Remark {
        policy,
        line: waiver.line,
        message: format!("the waiver of `{}` is over since {}: {}", waiver.check, waiver.until, waiver.reason),
        is_error: false,
    });
    (good, over.collect())
}

/// A waiver of a manifest lifts what the manifest denies, and not what the organisation does.
fn fate(finding: &Finding, rules: Rules<'_>, waivers: &[(Author, &Waiver)]) -> Fate {
    let denied = match finding.fate {
        Fate::Denied { by } => Some(by),
        _ => rules.each().find(|(_, policy)| denies(policy, finding)).map(|(author, _)| author),
    };
    let fits = |waiver: &Waiver| {
        words::means(&waiver.check, finding)
            && waiver.service.as_ref().is_none_or(|service| finding.service.as_ref() == Some(service))
    };
    let may = |author: Author| denied != Some(Author::Organisation) || author == Author::Organisation;
    match waivers.iter().find(|(author, waiver)| may(*author) && fits(waiver)) {
        Some((_, waiver)) => Fate::Waived { reason: waiver.reason.clone(), until: waiver.until },
        None => denied.map_or(Fate::Warned, |by| Fate::Denied { by }),
    }
}

fn denies(policy: &Policy, finding: &Finding) -> bool {
    policy.deny.iter().any(|ruled| {
        let severity = words::severity(&ruled.word);
        severity.is_some_and(|least| finding.severity >= least) || words::means(&ruled.word, finding)
    })
}

/// Where checks put what they find.
struct Found {
    findings: Vec<Finding>,
    /// The check that is asked at present.
    check: &'static Check,
}

impl Found {
    /// Something about a service, at `keys` beneath it.
    fn at(&mut self, service: &ServiceName, keys: &[&str], message: impl Into<String>) -> &mut Finding {
        self.add(Some(service), KeyPath::service(service, keys), message.into())
    }

    /// Something at a place.
    fn add(&mut self, service: Option<&ServiceName>, path: KeyPath, message: String) -> &mut Finding {
        self.findings.push(Finding {
            check: self.check.id.to_owned(),
            name: self.check.name.to_owned(),
            severity: self.check.severity,
            service: service.cloned(),
            path,
            message,
            help: self.check.help.to_owned(),
            fix: Vec::new(),
            fate: Fate::Warned,
        });
        self.findings.last_mut().expect("one was put in just now")
    }
}

/// Says how a finding is mended.
trait Mend {
    /// What is there goes.
    fn remove(&mut self, path: KeyPath) -> &mut Self;
    /// A list has one item more.
    fn append(&mut self, path: KeyPath, value: &str) -> &mut Self;
    /// A value is another.
    fn set(&mut self, paths: Vec<KeyPath>, value: impl ToString) -> &mut Self;
}

impl Mend for Finding {
    fn remove(&mut self, path: KeyPath) -> &mut Self {
        self.fix.push(Edit::Remove { path });
        self
    }

    fn append(&mut self, path: KeyPath, value: &str) -> &mut Self {
        self.fix.push(Edit::Append { path, value: value.to_owned() });
        self
    }

    fn set(&mut self, paths: Vec<KeyPath>, value: impl ToString) -> &mut Self {
        self.fix.push(Edit::Set { paths, value: value.to_string() });
        self
    }
}

impl<'a> Subject<'a> {
    /// Services that have replicas.
    fn replicated(&self) -> impl Iterator<Item = &'a Service> {
        let services = self.spec.services.values().map(Box::as_ref);
        services.filter(|service| service.artifact.has_replicas())
    }

    /// Services whose containers can be set up: none where there are no containers.
    fn contained(&self) -> impl Iterator<Item = &'a Service> {
        let process = self.runtime == Runtime::Process;
        self.replicated().filter(move |_| !process)
    }

    /// Whether a plan for it is a plan for users: it is protected, or called production.
    fn is_production(&self) -> bool {
        self.protected || self.spec.key.env.as_str().starts_with("prod")
    }
}
