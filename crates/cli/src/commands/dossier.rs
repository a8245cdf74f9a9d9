use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use daybook_api::client::Exit;
use daybook_decide::cost::{Catalogue, Demand, Estimate, Model, Terms, estimate};
use daybook_decide::diagram::{Graph, svg};
use daybook_manifest::{Aim, Options};
use daybook_model::spec::{Budget, Kind, RolloutOrder, Service, Tls};
use daybook_model::{Spec, Timestamp};

use super::policy::html::{counts, findings};
use super::policy::{Judged, judged};
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::page::{classed, code, escape, page, table};
use crate::output::style::{GOOD, paint};
use crate::{manifest, output};

/// Labels that say who is called.
const CONTACTS: [&str; 4] = ["team", "owner", "contact", "oncall"];

/// Write one page about the environment, for a reviewer: picture, services, cost, policy, risks and contacts.
///
/// It is one HTML file that needs nothing else, and holds no value of a secret. Needs no server.
#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// Write it to a file. Overwrites.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Whose prices count, where the manifest has no `budget`: `aws/eu-central-1`.
    #[arg(long, value_name = "PROVIDER/REGION", env = "DAYBOOK_COST_AT")]
    at: Option<String>,
    /// What runs it, where neither the manifest nor --target says: `process`, `docker`, `kubernetes`.
    #[arg(long, value_name = "RUNTIME", default_value = "docker")]
    runtime: String,
    /// What the organisation asks of all its apps.
    #[arg(long, value_name = "FILE", env = "DAYBOOK_LANDING_ZONE", value_hint = ValueHint::FilePath)]
    landing_zone: Option<PathBuf>,
}

impl Docs {
    pub(crate) fn run(self, ctx: &Ctx) -> Result<Exit> {
        let zone = self.landing_zone.as_deref().map(manifest::landing_zone).transpose()?;
        let (loaded, bundle) = manifest::read(&ctx.global, Aim::Look)?;
        let spec = loaded.spec.clone().ok_or_else(|| manifest::refused(&loaded.diagnostics, &bundle))?;
        let protected = loaded.environment.protected;
        let options = Options::new(ctx.global.env.clone());
        let judged = judged(&loaded, bundle, &options, &self.runtime, zone.as_ref())?;
        let now = Timestamp::now();
        let cost = self.cost(&spec, now)?;
        let text = render(&spec, protected, &judged, cost.as_ref(), now);
        match &self.out {
            None => output::text(&text)?,
            Some(out) => {
                std::fs::write(out, text)
                    .map_err(|error| CommandError::io(format!("write {}", out.display()), &error))?;
                ctx.say(&format!("{} {} is about {}", paint(GOOD, "✓"), out.display(), spec.key));
                ctx.next(&format!("look at it in a browser: {}", out.display()));
            }
        }
        Ok(Exit::Ok)
    }

    /// What it costs, where somebody says whose prices count.
    fn cost(&self, spec: &Spec, now: Timestamp) -> Result<Option<Estimate>> {
        let budget = spec.budget.as_ref();
        let Some(at) = self.at.as_deref().or(budget.map(|budget| budget.place.as_str())) else { return Ok(None) };
        let unreadable = |_| CommandError::failed("the prices that come along cannot be read");
        let catalogue = Catalogue::built_in().map_err(unreadable)?;
        let place = catalogue.place(at).map_err(CommandError::usage)?;
        let terms = Terms {
            model: Model::Machines,
            headroom: budget.map_or(Budget::HEADROOM, |budget| budget.headroom).into(),
            arm: false,
            egress_bytes: budget.and_then(|budget| budget.egress_bytes),
            today: now.to_zoned(jiff::tz::TimeZone::UTC).date(),
        };
        Ok(Some(estimate(&Demand::of(spec), &catalogue, place, &terms)))
    }
}

fn render(spec: &Spec, protected: bool, judged: &Judged, cost: Option<&Estimate>, now: Timestamp) -> String {
    let target = spec
        .target
        .as_ref()
        .map_or_else(|| "runs where its server runs".to_owned(), |target| format!("runs on {target}"));
    let state = if protected { "protected" } else { "not protected" };
    let beneath = format!("{target}, {state}; as of {}", now.strftime("%Y-%m-%d %H:%M UTC"));
    let body = format!(
        "{}<h2>Picture</h2>\n<div class=\"picture\">{}</div>\n<h2>Services</h2>\n{}<h2>Risks</h2>\n{}<h2>Cost</h2>\n{}\
         <h2>Policy</h2>\n{}<h2>Contacts</h2>\n{}",
        counts(&judged.report),
        svg(&Graph::of(spec), "as described"),
        services(spec),
        risks(spec),
        cost.map_or_else(
            || "<p class=\"dim\">Nobody says whose prices count: add a budget, or give --at.</p>\n".to_owned(),
            costs
        ),
        findings(judged),
        contacts(spec),
    );
    page(&spec.key.to_string(), &beneath, &body)
}

fn services(spec: &Spec) -> String {
    let row = |service: &Service| {
        let resources = &service.container.resources;
        let limit =
            |value: Option<u64>, unit: &dyn Fn(u64) -> String| value.map_or_else(|| "no limit".to_owned(), unit);
        let kind = match &service.kind {
            Kind::Service => "service".to_owned(),
            Kind::Task => "task".to_owned(),
            Kind::Job(schedule) => format!("job, {} {}", schedule.cron, schedule.zone),
        };
        let hosts = service.routes.iter().map(|route| {
            let scheme = if route.tls == Tls::Off { "http" } else { "https" };
            format!("{scheme}://{}{}", route.host, if route.path == "/" { "" } else { &route.path })
        });
        let replicas = match (&service.kind, service.artifact.has_replicas()) {
            (Kind::Service, true) if service.scale.min != service.scale.max => {
                format!("{} to {}", service.scale.min, service.scale.max)
            }
            (Kind::Service, true) => service.scale.min.to_string(),
            _ => String::new(),
        };
        vec![
            format!("<b>{}</b><br>{}", escape(service.name.as_str()), classed("dim", &kind)),
            code(&artifact(service)),
            escape(&replicas),
            escape(&format!(
                "{}, {}",
                limit(resources.cpu_millis, &|millis| format!("{millis}m")),
                limit(resources.memory_bytes, &|bytes| format!("{} MiB", bytes >> 20)),
            )),
            hosts.map(|host| code(&host)).collect::<Vec<_>>().join("<br>"),
        ]
    };
    let rows: Vec<_> = spec.services.values().map(|service| row(service)).collect();
    table(&["Service", "Runs", "Replicas", "Limits", "Reached at"], &rows)
}

fn artifact(service: &Service) -> String {
    use daybook_model::spec::Artifact;
    match &service.artifact {
        Artifact::Image { reference, .. } => reference.clone(),
        Artifact::Build(_) => "built from its directory".to_owned(),
        Artifact::Static { .. } => "files that the edge serves".to_owned(),
        Artifact::StatusPage(_) => "the status page".to_owned(),
        Artifact::Chart(chart) => format!("chart {}", chart.reference.rsplit('/').next().unwrap_or_default()),
    }
}

/// What a change of each service interrupts, and why.
fn risks(spec: &Spec) -> String {
    let row = |service: &Service| {
        let (class, said) = match (service.single_writer(&spec.volumes), service.rollout.order) {
            (Some(volume), _) => (
                "warn",
                format!(
                    "stops before its new version starts: only one replica may write to {volume}; the edge holds requests meanwhile"
                ),
            ),
            (None, RolloutOrder::StopFirst) => {
                ("warn", "stops before its new version starts, as the manifest asks".to_owned())
            }
            (None, _) if service.release_hook.is_some() => {
                ("dim", "overlaps; its release command runs once before, and is not undone by a rollback".to_owned())
            }
            (None, _) => ("good", "overlaps: no request fails, and a worse version is swapped back".to_owned()),
        };
        vec![format!("<b>{}</b>", escape(service.name.as_str())), classed(class, &said)]
    };
    let always =
        spec.services.values().filter(|service| service.kind == Kind::Service && service.artifact.has_replicas());
    let rows: Vec<_> = always.map(|service| row(service)).collect();
    table(&["Service", "What a new version does"], &rows)
}

fn costs(estimate: &Estimate) -> String {
    let amount = |money| escape(&estimate.currency.show(money));
    let mut rows: Vec<Vec<String>> = (estimate.lines.iter())
        .map(|line| vec![escape(&line.subject.to_string()), amount(line.monthly), classed("dim", &line.how)])
        .collect();
    rows.push(vec!["<b>together</b>".to_owned(), format!("<b>{}</b>", amount(estimate.total)), String::new()]);
    let unpriced: String = (estimate.unpriced.iter())
        .map(|lacks| format!("<li>{}: {}</li>\n", escape(&lacks.what), classed("dim", &lacks.why)))
        .collect();
    let unpriced = if unpriced.is_empty() {
        unpriced
    } else {
        format!("<p>Without a price, and in no amount:</p>\n<ul>\n{unpriced}</ul>\n")
    };
    let place = escape(&estimate.place.to_string());
    format!("<p class=\"dim\">A month at {place}.</p>\n{}{unpriced}", table(&["What", "A month", "How"], &rows))
}

/// Who is called, as labels say.
fn contacts(spec: &Spec) -> String {
    let mut whom: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for service in spec.services.values() {
        for label in CONTACTS {
            if let Some(value) = service.container.labels.get(label) {
                whom.entry((label, value)).or_default().push(service.name.as_str());
            }
        }
    }
    if whom.is_empty() {
        let labels = CONTACTS.join("</code>, <code>");
        return format!("<p class=\"dim\">No service has a label <code>{labels}</code>.</p>\n");
    }
    let row = |((label, value), services): ((&str, &str), Vec<&str>)| {
        vec![escape(label), escape(value), escape(&services.join(", "))]
    };
    let rows: Vec<_> = whom.into_iter().map(row).collect();
    table(&["Label", "Who", "Services"], &rows)
}
