//! What the replicas of an environment may have together.
//!
//! A quota is kept by whoever can: a cluster refuses a replica that does not fit. So that nobody is told of it in the
//! middle of a rollout, a plan that cannot fit is refused before anything moves, whatever runs it.

use daybook_model::fingerprint::Fingerprint;
use daybook_model::spec::{Kind, Quota};
use daybook_model::{Action, Service, Spec};

use super::builder::Builder;
use super::problems::Problem;
use super::{PlanContext, World};
use crate::text::amount;

/// What some replicas may use at most.
#[derive(Debug, Clone, Copy, Default)]
struct Use {
    cpu_millis: u64,
    memory_bytes: u64,
}

impl Use {
    /// All replicas of a service at once.
    fn of(service: &Service) -> Self {
        let count = match service.kind {
            Kind::Service => u64::from(service.scale.max.max(service.scale.min)),
            Kind::Task | Kind::Job(_) => 1,
        };
        let count = if service.stopped { 0 } else { count };
        let resources = &service.container.resources;
        Self {
            cpu_millis: resources.cpu_millis.unwrap_or(0).saturating_mul(count),
            memory_bytes: resources.memory_bytes.unwrap_or(0).saturating_mul(count),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    fn at_least(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.min(other.cpu_millis),
            memory_bytes: self.memory_bytes.min(other.memory_bytes),
        }
    }

    /// What of it a quota does not allow, in words.
    fn beyond(self, quota: &Quota) -> Option<String> {
        let cpu = quota.cpu_millis.filter(|most| self.cpu_millis > *most);
        let cpu = cpu.map(|most| format!("{} of {}", amount("cpu", self.cpu_millis), amount("cpu", most)));
        let memory = quota.memory_bytes.filter(|most| self.memory_bytes > *most);
        let memory =
            memory.map(|most| format!("{} of {}", amount("memory", self.memory_bytes), amount("memory", most)));
        let all: Vec<_> = cpu.into_iter().chain(memory).collect();
        (!all.is_empty()).then(|| all.join(" and "))
    }
}

impl World<'_> {
    /// Bounds the environment before anything starts in it.
    pub(super) fn bound(&self, builder: &mut Builder) {
        if self.cx.able.quotas && self.seen.quota != self.spec.quota {
            let why = match (&self.seen.quota, &self.spec.quota) {
                (None, _) => "the environment is not bounded yet",
                (_, None) => "the manifest no longer bounds the environment",
                _ => "the quota changed",
            };
            let id = builder.step(Action::SetQuota { quota: self.spec.quota.clone() }, why, None, &[]);
            builder.ground(id);
        }
    }
}

/// Whatever of a quota cannot be kept.
pub(super) fn problems(spec: &Spec, cx: &PlanContext<'_>) -> Vec<Problem> {
    let Some(quota) = &spec.quota else { return Vec::new() };
    let mut all: Vec<_> = spec.services.values().filter_map(|service| unbounded(service, quota)).collect();
    let total = spec.services.values().fold(Use::default(), |sum, service| sum.and(Use::of(service)));
    if let Some(beyond) = total.beyond(quota) {
        all.push(Problem {
            code: "P0112".to_owned(),
            service: None,
            line: None,
            message: format!("the services may use {beyond} that the environment's quota allows"),
            hint: "give them smaller `resources` or fewer replicas, or raise the `quota`".to_owned(),
        });
        return all;
    }
    all.extend(spec.services.values().find_map(|service| crowded(service, spec, cx, quota)));
    all
}

/// A service that could use everything.
fn unbounded(service: &Service, quota: &Quota) -> Option<Problem> {
    let resources = &service.container.resources;
    let cpu = quota.cpu_millis.is_some() && resources.cpu_millis.is_none();
    let memory = quota.memory_bytes.is_some() && resources.memory_bytes.is_none();
    let missing = match (cpu, memory) {
        (true, true) => "cpu: …, memory: …",
        (true, false) => "cpu: …",
        (false, true) => "memory: …",
        (false, false) => return None,
    };
    service.artifact.has_replicas().then(|| Problem {
        code: "P0114".to_owned(),
        service: Some(service.name.clone()),
        line: service.line,
        message: format!("`{}` has no limit, and the environment's quota counts it", service.name),
        hint: format!("give it `resources: {{{missing}}}`"),
    })
}

/// A rollout during which old and new replicas together do not fit, whatever else has been rolled out by then.
fn crowded(service: &Service, spec: &Spec, cx: &PlanContext<'_>, quota: &Quota) -> Option<Problem> {
    let before = &cx.current?.spec.services;
    let old = before.get(&service.name)?;
    if service.stop_first(&spec.volumes) || Fingerprint::of(old) == Fingerprint::of(service) {
        return None;
    }
    let others = spec.services.values().filter(|other| other.name != service.name);
    let least = |other: &Service| {
        let now = Use::of(other);
        before.get(&other.name).map_or(Use::default(), |old| Use::of(old).at_least(now))
    };
    let others = others.fold(Use::default(), |sum, other| sum.and(least(other)));
    let beyond = others.and(Use::of(old)).and(Use::of(service)).beyond(quota)?;
    Some(Problem {
        code: "P0113".to_owned(),
        service: Some(service.name.clone()),
        line: service.line,
        message: format!(
            "while `{}` is rolled out, old and new replicas may use {beyond} that the environment's quota allows",
            service.name
        ),
        hint: "raise the `quota` by what its new replicas need for that time, or let old ones go first \
               (`rollout: {order: stop-first}`)"
            .to_owned(),
    })
}
