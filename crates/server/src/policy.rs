//! What an environment is held to: the checks, the landing zone, and rules of one's own.

use std::fmt::Write as _;
use std::path::Path;

use daybook_api::ErrorCode;
use daybook_api::plan::{DiagnosticView, FindingView, PolicyView};
use daybook_decide::policy::{self, Report, Rules, Subject};
use daybook_manifest::{Bundle, EnvironmentSettings, LandingZone, Options, Place, Texts};
use daybook_model::Spec;
use daybook_model::policy::{Author, Fate, Finding, Policy, Remarks};
use jiff::civil::Date;

use crate::change::Desired;
use crate::error::ApiError;

/// What is judged, and by what.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What the manifest makes of the environment, before its secrets are sealed.
    pub spec: &'a Spec,
    /// What only its text shows.
    pub remarks: &'a Remarks,
    /// What it says of the environment itself.
    pub settings: &'a EnvironmentSettings,
    /// What runs it: `process`, `docker`, `kubernetes`.
    pub runtime: &'a str,
    /// What the organisation asks.
    pub zone: Option<&'a LandingZone>,
    /// The day on which waivers are looked at.
    pub today: Date,
}

/// Rules that cannot be asked, or words of a policy that mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unfit {
    /// Why.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// Asks every check, guard rail and rule about `case`.
///
/// # Errors
/// A rule is no Rego or does not end; a policy denies what nobody knows.
pub fn judge(case: &Case<'_>) -> Result<Report, Unfit> {
    let subject = Subject {
        spec: case.spec,
        remarks: case.remarks,
        runtime: policy::Runtime::named(case.runtime),
        protected: case.settings.protected,
    };
    let rules = Rules { manifest: &case.settings.policy, organisation: case.zone.map(|zone| &zone.policy) };
    let organisation = own(case, rules.organisation, Author::Organisation)?;
    let manifest = own(case, Some(rules.manifest), Author::Manifest)?;
    let (mut findings, asked) = organisation;
    findings.extend(manifest.0);
    let report = policy::check(&subject, rules, findings, asked + manifest.1, case.today);
    match report.remarks.iter().find(|remark| remark.is_error) {
        Some(remark) => {
            let whose = match remark.policy {
                Author::Manifest => "manifest",
                Author::Organisation => "landing zone",
            };
            let why = format!("{whose} line {}: {}", remark.line, remark.message);
            Err(Unfit { why, hint: "checks have ids and names: daybook policy --list".to_owned() })
        }
        None => Ok(report),
    }
}

/// What the rules of a policy find, and how many they are.
#[cfg(feature = "rego")]
fn own(case: &Case<'_>, policy: Option<&Policy>, author: Author) -> Result<(Vec<Finding>, usize), Unfit> {
    let Some(policy) = policy.filter(|policy| !policy.rules.is_empty()) else { return Ok((Vec::new(), 0)) };
    let about =
        daybook_rego::About { runtime: case.runtime, protected: case.settings.protected, remarks: case.remarks };
    let input = daybook_rego::input(case.spec, about);
    let ran = daybook_rego::run(&policy.rules, &input, author);
    let ran = ran.map_err(|broken| Unfit { why: broken.why, hint: broken.hint })?;
    Ok((ran.findings, ran.asked))
}

/// This build knows no Rego.
#[cfg(not(feature = "rego"))]
fn own(_: &Case<'_>, policy: Option<&Policy>, _: Author) -> Result<(Vec<Finding>, usize), Unfit> {
    match policy.and_then(|policy| policy.rules.first()) {
        None => Ok((Vec::new(), 0)),
        Some(rule) => Err(Unfit {
            why: format!("{} is not asked: this build of Daybook has no Rego", rule.name),
            hint: "build it with the feature `rego`".to_owned(),
        }),
    }
}

/// Findings that a plan holds: a plan of ten thousand services would hold a hundred thousand.
const MOST_SHOWN: usize = 500;

/// A report, with where each of its first findings stands.
pub(crate) struct Judged {
    pub(crate) report: Report,
    places: Vec<Option<Place>>,
    bundle: Bundle,
}

impl Judged {
    /// What comes of a manifest.
    pub(crate) fn of(case: &Case<'_>, bundle: Bundle, options: &Options) -> Result<Self, ApiError> {
        let report = judge(case).map_err(|unfit| ApiError::invalid(unfit.why).hint(unfit.hint))?;
        let places = if report.findings.is_empty() {
            Vec::new()
        } else {
            let texts = Texts::of(&bundle, options);
            report.findings.iter().take(MOST_SHOWN).map(|finding| texts.place(&finding.path)).collect()
        };
        Ok(Self { report, places, bundle })
    }

    /// The first findings, with their places.
    fn each(&self) -> impl Iterator<Item = (&Finding, Option<&Place>)> {
        self.report.findings.iter().zip(self.places.iter().map(Option::as_ref))
    }

    /// The lines of a plan.
    pub(crate) fn lines(&self) -> Vec<String> {
        policy::line(&self.report, &|finding| {
            let (_, place) = self.each().find(|(other, _)| std::ptr::eq(*other, finding))?;
            place.map(|place| place.line)
        })
    }

    /// In the API's words.
    pub(crate) fn view(&self) -> PolicyView {
        let finding = |(finding, place): (&Finding, Option<&Place>)| FindingView {
            check: finding.check.clone(),
            name: finding.name.clone(),
            severity: finding.severity.to_string(),
            service: finding.service.as_ref().map(ToString::to_string),
            path: finding.path.to_string(),
            message: finding.message.clone(),
            help: finding.help.clone(),
            can_be_fixed: !finding.fix.is_empty(),
            file: place.map(|place| self.bundle.shown(&place.file).to_owned()),
            line: place.map(|place| place.line),
            fate: match finding.fate {
                Fate::Warned => "warned",
                Fate::Denied { .. } => "denied",
                Fate::Waived { .. } => "waived",
            }
            .to_owned(),
        };
        PolicyView {
            asked: self.report.asked,
            passed: self.report.passed,
            findings: self.each().map(finding).collect(),
            left_out: self.report.findings.len().saturating_sub(MOST_SHOWN),
        }
    }

    /// What denies it, with the lines that are at fault.
    fn diagnostics(&self) -> Vec<DiagnosticView> {
        let denied = self.each().filter(|(finding, _)| matches!(finding.fate, Fate::Denied { .. }));
        let view = |(finding, place): (&Finding, Option<&Place>)| {
            let file = place.map(|place| self.bundle.shown(&place.file).to_owned()).unwrap_or_default();
            let (line, column) = place.map_or((0, 0), |place| (place.line, place.column));
            let mut rendered = format!("denied[{}]: {}", finding.check, finding.message);
            if line > 0 {
                let _ = write!(rendered, "\n  --> {file}:{line}:{column}");
            }
            let _ = write!(rendered, "\n  help: {}", finding.help);
            DiagnosticView {
                code: finding.check.clone(),
                severity: "error".to_owned(),
                message: finding.message.clone(),
                file,
                line,
                column,
                rendered,
            }
        };
        denied.map(view).collect()
    }
}

/// A policy that denies is a rule: exit 3.
pub(crate) fn refuse_denied(desired: &Desired) -> Result<(), ApiError> {
    let Some(judged) = &desired.policy else { return Ok(()) };
    let Some(first) = judged.report.denied().next() else { return Ok(()) };
    let more = match judged.report.denied().count() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let message = format!("policy denies {}: {} {}{more}", desired.key, first.check, first.message);
    let mut error = ApiError::new(ErrorCode::Denied, message)
        .hint("`daybook policy` shows all of it, `daybook policy --fix` mends what it can; a waiver needs a reason and an end");
    error.0.diagnostics = judged.diagnostics();
    Err(error)
}

/// What the organisation asks, as its file says now.
///
/// # Errors
/// It cannot be read: then nobody knows what is allowed, and nothing is planned.
pub(crate) fn landing_zone(path: Option<&Path>) -> Result<Option<LandingZone>, ApiError> {
    let Some(path) = path else { return Ok(None) };
    let (zone, diagnostics, bundle) = LandingZone::read(path);
    match zone {
        Some(zone) => Ok(Some(zone)),
        None => {
            let first = diagnostics
                .iter()
                .find(|one| one.is_error())
                .map(|one| format!("{}:{}: {}", bundle.shown(&one.place.file), one.place.line, one.message));
            let message = format!("the landing zone cannot be kept to: {}", first.unwrap_or_default());
            Err(ApiError::new(ErrorCode::Internal, message).hint("who runs the server gave it: --landing-zone FILE"))
        }
    }
}
