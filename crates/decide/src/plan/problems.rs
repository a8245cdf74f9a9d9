//! What makes a plan unfit to be carried out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use daybook_model::spec::{Artifact, Chart};
use daybook_model::{Observed, Service, ServiceName, Spec};
use serde::{Deserialize, Serialize};

use super::PlanContext;

/// Why a plan must not be carried out, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable: `P0101`, ….
    pub code: String,
    /// The service it is about.
    pub service: Option<ServiceName>,
    /// Line of the manifest.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Problem {
    /// Whether it only keeps a plan from being carried out: nobody knows yet what a service should run, or
    /// this runtime cannot run it. Such a plan can be shown.
    pub fn is_open(&self) -> bool {
        matches!(self.code.as_str(), "P0102" | "P0103" | "P0108" | "P0115")
    }
}

pub(super) fn cycle(circle: &[&ServiceName]) -> Problem {
    let names: Vec<_> = circle.iter().map(|name| name.as_str()).collect();
    Problem {
        code: "P0101".to_owned(),
        service: circle.first().map(|name| (*name).clone()),
        line: None,
        message: format!("these services depend on each other in a circle: {}", names.join(", ")),
        hint: "remove one `depends_on` of the circle".to_owned(),
    }
}

pub(super) fn find(spec: &Spec, seen: &Observed, cx: &PlanContext<'_>) -> Vec<Problem> {
    let mut problems = unrunnable(spec, cx);
    problems.extend(charts(spec, cx));
    problems.extend(lost_claims(spec, seen, cx));
    problems.extend(unresolved(spec));
    problems.extend(double_ports(spec));
    problems.extend(super::quota::problems(spec, cx));
    problems.extend(super::databases::problems(spec, seen, cx));
    problems
}

fn unrunnable(spec: &Spec, cx: &PlanContext<'_>) -> Vec<Problem> {
    if cx.able.images {
        return Vec::new();
    }
    // This machine's own database servers take the place of their images.
    let images = spec.services.values().filter(|s| matches!(s.artifact, Artifact::Image { server: None, .. }));
    images
        .map(|service| Problem {
            code: "P0102".to_owned(),
            service: Some(service.name.clone()),
            line: service.line,
            message: format!("`{}` runs an image, and this runtime runs plain processes", service.name),
            hint: "install Docker or Podman and use `--runtime docker`, or give the service a `build:` directory"
                .to_owned(),
        })
        .collect()
}

fn charts(spec: &Spec, cx: &PlanContext<'_>) -> Vec<Problem> {
    let charts = spec.services.values().filter(|service| service.artifact.chart().is_some());
    let problem = |code: &str, service: &Service, message: String, hint: &str| Problem {
        code: code.to_owned(),
        service: Some(service.name.clone()),
        line: service.line,
        message,
        hint: hint.to_owned(),
    };
    charts
        .filter_map(|service| {
            if !cx.able.charts {
                let message = format!("`{}` is a Helm chart, and there is no cluster to release it in", service.name);
                return Some(problem("P0108", service, message, "set `target: kubernetes://CONTEXT`"));
            }
            let message = format!("`{}` is a Helm chart, which cannot be stopped", service.name);
            service
                .stopped
                .then(|| problem("P0109", service, message, "set its values so that it runs nothing, or remove it"))
        })
        .collect()
}

/// Helm removes what a chart no longer makes, claims and all that they hold among it.
fn lost_claims(spec: &Spec, seen: &Observed, cx: &PlanContext<'_>) -> Vec<Problem> {
    let before = cx.current.map(|release| &release.spec.services).into_iter().flatten();
    let charts = before.filter(|(name, _)| seen.charts.contains_key(*name));
    charts
        .filter_map(|(name, before)| {
            let after = spec.services.get(name).and_then(|service| service.artifact.chart());
            let stays = |claim: &str| {
                let named = cx.remove_volumes.iter().any(|volume| volume.as_str() == claim);
                named || after.is_some_and(|chart| chart.made.is_none() || claims(chart).any(|other| other == claim))
            };
            let lost: Vec<_> = claims(before.artifact.chart()?).filter(|claim| !stays(claim)).collect();
            let names = lost.join(",");
            (!lost.is_empty()).then(|| Problem {
                code: "P0111".to_owned(),
                service: Some(name.clone()),
                line: spec.services.get(name).and_then(|service| service.line),
                message: format!("`{name}` keeps data in {names}, which Helm would remove with all that it holds"),
                hint: format!(
                    "let its values annotate the claim `helm.sh/resource-policy: keep`; or let it go by name: \
                     `daybook down --volumes {names}`, or `helm uninstall {name}`"
                ),
            })
        })
        .collect()
}

fn claims(chart: &Chart) -> impl Iterator<Item = &str> {
    let objects = chart.made.iter().flat_map(|made| made.objects.keys());
    objects.filter_map(|name| name.strip_prefix("PersistentVolumeClaim ")).filter(|name| !name.ends_with(" (kept)"))
}

fn unresolved(spec: &Spec) -> Vec<Problem> {
    let open = spec.services.values().filter(|one| one.artifact.is_content() && one.artifact.digest().is_none());
    open.map(|service| Problem {
        code: "P0103".to_owned(),
        service: Some(service.name.clone()),
        line: service.line,
        message: format!("nobody knows which artifact `{}` should run", service.name),
        hint: "check its image name or build directory".to_owned(),
    })
    .collect()
}

/// Two services cannot publish one port of one address.
fn double_ports(spec: &Spec) -> Vec<Problem> {
    let mut taken: BTreeMap<(u16, bool), Vec<(IpAddr, &ServiceName)>> = BTreeMap::new();
    let mut problems = Vec::new();
    for service in spec.services.values() {
        for port in &service.ports {
            let Some((publish, number)) = port.publish.as_ref().and_then(|p| Some((p, p.port?))) else { continue };
            let ip = publish.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let udp = port.protocol == daybook_model::spec::Protocol::Udp;
            let others = taken.entry((number, udp)).or_default();
            let clash = others.iter().find(|(other, name)| {
                *name != &service.name && (other == &ip || other.is_unspecified() || ip.is_unspecified())
            });
            if let Some((_, other)) = clash {
                problems.push(Problem {
                    code: "P0104".to_owned(),
                    service: Some(service.name.clone()),
                    line: service.line,
                    message: format!("`{}` and `{other}` both publish port {number}", service.name),
                    hint: "give one of them another published port".to_owned(),
                });
            }
            others.push((ip, &service.name));
        }
    }
    problems
}
