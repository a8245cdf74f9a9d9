mod fix;
pub(super) mod html;
mod sarif;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use daybook_api::client::Exit;
use daybook_decide::policy::{self, Framework, Report, Standing, standings};
use daybook_manifest::{Aim, Bundle, LandingZone, Loaded, Options, Place, Texts};
use daybook_model::policy::Finding;
use daybook_model::{EnvKey, Timestamp};
use daybook_server::policy::{Case, judge};
use serde::Serialize;

use crate::args::Format;
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::style::{BAD, GOOD, WARN, paint};
use crate::output::table::Table;
use crate::{manifest, output};

/// Check the manifest against 40 built-in checks, guard rails and rules of your own. Needs no server.
///
/// Exits with 3 when the manifest's `policy`, or the organisation's, denies what was found.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_value_name = "COMMAND")]
pub(crate) struct Policy {
    #[command(subcommand)]
    command: Option<Sub>,
    /// Mend the manifest: what these checks found, by id or name; without any, whatever can be mended. Comments and
    /// layout stay.
    #[arg(long, value_name = "CHECK", num_args = 0.., value_delimiter = ',')]
    fix: Option<Vec<String>>,
    /// With --fix: show what would change, and change nothing.
    #[arg(long, requires = "fix")]
    dry_run: bool,
    /// List every check, with what others call it.
    #[arg(long, conflicts_with = "fix")]
    list: bool,
    /// How things stand with the controls of a framework.
    #[arg(long, value_name = "FRAMEWORK", conflicts_with_all = ["fix", "list"])]
    framework: Option<Named>,
    /// Write a report for others: SARIF for code hosts, or one HTML page for a reviewer.
    #[arg(long = "as", value_name = "FORM", conflicts_with_all = ["fix", "list", "framework"])]
    form: Option<Form>,
    /// What runs it, where neither the manifest nor --target says: `process`, `docker`, `kubernetes`.
    #[arg(long, value_name = "RUNTIME", default_value = "docker")]
    runtime: String,
    /// What the organisation asks of all its apps. A server has its own, which counts for plans.
    #[arg(long, value_name = "FILE", env = "DAYBOOK_LANDING_ZONE", value_hint = ValueHint::FilePath)]
    landing_zone: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Sub {
    Test(RuleTests),
}

/// Run the tests of your own rules: every rule whose name begins with `test_`.
///
/// Without files, those of the manifest's `policy: {rules: …}`.
#[derive(Debug, Args)]
struct RuleTests {
    /// Files in Rego: the rules and their tests.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
}

/// A report for others.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Sarif,
    Html,
}

/// A framework by its name. The variants are documented where they are decided about.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Named {
    CisDocker,
    CisKubernetes,
    Soc2,
    Iso27001,
    All,
}

impl Named {
    fn frameworks(self) -> Vec<Framework> {
        match self {
            Self::CisDocker => vec![Framework::CisDocker],
            Self::CisKubernetes => vec![Framework::CisKubernetes],
            Self::Soc2 => vec![Framework::Soc2],
            Self::Iso27001 => vec![Framework::Iso27001],
            Self::All => Framework::ALL.to_vec(),
        }
    }
}

/// What was found, and where.
pub(super) struct Judged {
    key: EnvKey,
    pub(super) report: Report,
    places: HashMap<String, Place>,
    bundle: Bundle,
}

/// A finding with its place, for machines.
#[derive(Serialize)]
struct Placed<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    can_be_fixed: bool,
}

/// The report for machines.
#[derive(Serialize)]
struct Machine<'a> {
    key: &'a EnvKey,
    asked: usize,
    passed: usize,
    denied: bool,
    findings: Vec<Placed<'a>>,
    remarks: &'a [policy::Remark],
}

impl Policy {
    pub(crate) fn run(self, ctx: &Ctx) -> Result<Exit> {
        if let Some(Sub::Test(command)) = self.command {
            return command.run(ctx);
        }
        if self.list {
            return list(ctx);
        }
        let judged = self.judged(ctx)?;
        if let Some(named) = self.framework {
            return compliance(ctx, &judged, &named.frameworks());
        }
        if let Some(checks) = &self.fix {
            return fix::run(ctx, &judged, checks, self.dry_run);
        }
        match self.form {
            Some(Form::Sarif) => output::text(&sarif::render(&judged))?,
            Some(Form::Html) => output::text(&html::render(&judged, Timestamp::now()))?,
            None => ctx.data(&judged.machine(), |_| judged.text())?,
        }
        let mendable = judged.report.denied().chain(judged.report.warned()).any(|finding| !finding.fix.is_empty());
        if self.form.is_none() && mendable {
            ctx.next(&format!("mend what can be mended: {}", ctx.command("policy --fix --dry-run")));
        }
        Ok(if judged.report.is_denied() { Exit::Denied } else { Exit::Ok })
    }

    fn judged(&self, ctx: &Ctx) -> Result<Judged> {
        let zone = self.landing_zone.as_deref().map(manifest::landing_zone).transpose()?;
        let (loaded, bundle) = manifest::read(&ctx.global, Aim::Look)?;
        let options = Options::new(ctx.global.env.clone());
        judged(&loaded, bundle, &options, &self.runtime, zone.as_ref())
    }
}

/// What comes of a manifest.
///
/// # Errors
/// It has errors, or its policy cannot be kept to.
pub(super) fn judged(
    loaded: &Loaded,
    bundle: Bundle,
    options: &Options,
    runtime: &str,
    zone: Option<&LandingZone>,
) -> Result<Judged> {
    let Some(spec) = &loaded.spec else { return Err(manifest::refused(&loaded.diagnostics, &bundle)) };
    let case = Case {
        spec,
        remarks: &loaded.remarks,
        settings: &loaded.environment,
        runtime: spec.target.as_ref().map_or(runtime, |target| target.runtime()),
        zone,
        today: Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
    };
    let report = judge(&case).map_err(|unfit| CommandError::failed(unfit.why).hint(unfit.hint))?;
    let texts = Texts::of(&bundle, options);
    let place = |finding: &Finding| Some((finding.path.to_string(), texts.place(&finding.path)?));
    let places = report.findings.iter().filter_map(place).collect();
    drop(texts);
    Ok(Judged { key: spec.key.clone(), report, places, bundle })
}

impl Judged {
    fn place(&self, finding: &Finding) -> Option<&Place> {
        self.places.get(&finding.path.to_string())
    }

    /// `daybook.yaml:14`.
    fn shown(&self, finding: &Finding) -> Option<String> {
        let place = self.place(finding)?;
        Some(format!("{}:{}", self.bundle.shown(&place.file), place.line))
    }

    fn text(&self) -> String {
        let text = policy::render(&self.key, &self.report, &|finding| self.shown(finding));
        text.lines().map(|line| format!("{}\n", painted(line))).collect()
    }

    fn machine(&self) -> Machine<'_> {
        let placed = |finding| {
            let place = self.place(finding);
            Placed {
                finding,
                file: place.map(|place| self.bundle.shown(&place.file)),
                line: place.map(|place| place.line),
                column: place.map(|place| place.column),
                can_be_fixed: !finding.fix.is_empty(),
            }
        };
        Machine {
            key: &self.key,
            asked: self.report.asked,
            passed: self.report.passed,
            denied: self.report.is_denied(),
            findings: self.report.findings.iter().map(placed).collect(),
            remarks: &self.report.remarks,
        }
    }
}

/// A line of the report with its head coloured.
fn painted(line: &str) -> String {
    let Some(rest) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) else { return line.to_owned() };
    let severity = rest.split_whitespace().nth(1).unwrap_or_default();
    let style = match severity {
        _ if rest.ends_with("denied") || rest.ends_with("for all apps") => BAD,
        "critical" | "high" => BAD,
        "medium" | "low" => WARN,
        _ => return line.to_owned(),
    };
    format!("  {}", paint(style, rest))
}

fn list(ctx: &Ctx) -> Result<Exit> {
    #[derive(Serialize)]
    struct Row {
        id: &'static str,
        name: &'static str,
        severity: &'static str,
        title: &'static str,
        sources: &'static [&'static str],
    }
    let row = |check: &'static policy::Check| Row {
        id: check.id,
        name: check.name,
        severity: check.severity.as_str(),
        title: check.title,
        sources: check.sources,
    };
    let rows: Vec<_> = policy::all().map(row).collect();
    ctx.data(&rows, |rows| {
        let mut table = Table::new(&["ID", "NAME", "SEVERITY", "FINDS"]);
        for row in rows {
            table.row([row.id, row.name, row.severity, row.title].map(str::to_owned));
        }
        table.render()
    })?;
    ctx.next("see why one matters: daybook explain DB001");
    Ok(Exit::Ok)
}

fn compliance(ctx: &Ctx, judged: &Judged, frameworks: &[Framework]) -> Result<Exit> {
    let all: Vec<Standing> = frameworks.iter().flat_map(|one| standings(&judged.report, *one)).collect();
    ctx.data(&all, |all| {
        let mut out = format!("{}  {}\n", judged.key, policy::summary(&judged.report));
        for framework in frameworks {
            out.push_str(&format!("\n  {framework}\n"));
            for standing in all.iter().filter(|standing| standing.control.framework == *framework) {
                out.push_str(&standing_line(standing));
            }
        }
        out
    })?;
    if ctx.format() == Format::Table {
        ctx.say("\nA check that passes is evidence for a control, and never all of it.");
    }
    ctx.next(&format!("hand it on as a page: {}", ctx.command("policy --as html > policy.html")));
    Ok(if judged.report.is_denied() { Exit::Denied } else { Exit::Ok })
}

fn standing_line(standing: &Standing) -> String {
    let (mark, style) = match (standing.failed.is_empty(), standing.waived.is_empty()) {
        (true, true) => ("✓", GOOD),
        (true, false) => ("~", WARN),
        (false, _) => ("✗", BAD),
    };
    let said = match (standing.failed.as_slice(), standing.waived.as_slice()) {
        ([], []) => standing.control.checks.join(" "),
        ([], waived) => format!("waived: {}", waived.join(" ")),
        (failed, _) => format!("open: {}", failed.join(" ")),
    };
    format!("    {} {:<7} {:<52} {said}\n", paint(style, mark), standing.control.id, standing.control.title)
}

impl RuleTests {
    #[cfg(feature = "rego")]
    fn run(self, ctx: &Ctx) -> Result<Exit> {
        use daybook_model::policy::RuleFile;
        let files = if self.files.is_empty() {
            manifest::read(&ctx.global, Aim::Look)?.0.environment.policy.rules
        } else {
            let read = |path: &PathBuf| {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| CommandError::io(format!("read {}", path.display()), &error))?;
                Ok(RuleFile { name: path.display().to_string(), text })
            };
            self.files.iter().map(read).collect::<Result<Vec<_>>>()?
        };
        let broken = |broken: daybook_rego::Broken| CommandError::failed(broken.why).hint(broken.hint);
        let tests = daybook_rego::test(&files).map_err(broken)?;
        for test in &tests {
            let (mark, why) = match &test.failure {
                None => (paint(GOOD, "✓"), String::new()),
                Some(why) => (paint(BAD, "✗"), format!(": {why}")),
            };
            output::text(&format!("{mark} {}  {}:{}{why}\n", test.name, test.file, test.line))?;
        }
        let failed = tests.iter().filter(|test| test.failure.is_some()).count();
        ctx.say(&format!("{} passed, {failed} failed", tests.len() - failed));
        if tests.is_empty() {
            return Err(
                CommandError::failed("the rules have no tests").hint("a test is a rule whose name begins with `test_`")
            );
        }
        Ok(if failed == 0 { Exit::Ok } else { Exit::Failed })
    }

    /// This build knows no Rego.
    #[cfg(not(feature = "rego"))]
    fn run(self, _: &Ctx) -> Result<Exit> {
        let Self { files: _ } = self;
        Err(CommandError::failed("this build of Daybook has no Rego").hint("build it with the feature `rego`"))
    }
}
