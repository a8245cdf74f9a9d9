//! What makes a plan unfit to be carried out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use daybook_model::spec::Artifact;
use daybook_model::{ServiceName, Spec};
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
        matches!(self.code.as_str(), "P0102" | "P0103")
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

pub(super) fn find(spec: &Spec, cx: &PlanContext<'_>) -> Vec<Problem> {
    let mut problems = unrunnable(spec, cx);
    problems.extend(unresolved(spec));
    problems.extend(double_ports(spec));
    problems
}

fn unrunnable(spec: &Spec, cx: &PlanContext<'_>) -> Vec<Problem> {
    let images = spec.services.values().filter(|s| matches!(s.artifact, Artifact::Image { .. }));
    if cx.able.images {
        return Vec::new();
    }
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

fn unresolved(spec: &Spec) -> Vec<Problem> {
    let open = spec.services.values().filter(|service| service.artifact.digest().is_none());
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
