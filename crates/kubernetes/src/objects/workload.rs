//! The object that keeps one replica: a Deployment or StatefulSet of one pod, or a Job.

use daybook_model::Launch;
use daybook_model::launch::Role;
use daybook_model::spec::{MountSource, Restart};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment, StatefulSet, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use super::{Surroundings, annotations, meta, pod};
use crate::names;
use daybook_runtime::Result;

/// What keeps a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Tended running, wherever there is room.
    Deployment,
    /// Tended running, and never twice at once: it writes to a volume.
    StatefulSet,
    /// Ends by itself.
    Job,
}

/// The object that keeps a replica.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Workload {
    /// See [`Kind::Deployment`].
    Deployment(Box<Deployment>),
    /// See [`Kind::StatefulSet`].
    StatefulSet(Box<StatefulSet>),
    /// See [`Kind::Job`].
    Job(Box<Job>),
}

impl Kind {
    /// What keeps the replica of a launch.
    ///
    /// One object for each replica, not one for each service: which replica starts, gets requests and ends is decided
    /// here, step by step; Kubernetes keeps each running, also while no Daybook looks.
    pub(crate) fn of(launch: &Launch) -> Self {
        let writes = launch.container.mounts.iter().any(|mount| match &mount.source {
            MountSource::Volume { .. } => !mount.read_only,
            MountSource::Anonymous | MountSource::Bind { .. } | MountSource::Tmpfs { .. } => false,
        });
        match (launch.role, launch.restart, writes) {
            (Role::Main, Restart::Always, false) => Self::Deployment,
            (Role::Main, Restart::Always, true) => Self::StatefulSet,
            _ => Self::Job,
        }
    }
}

/// The object that keeps the replica of a launch. `ErrorKind::Refused` for what Kubernetes cannot do.
pub(crate) fn workload(launch: &Launch, around: &Surroundings) -> Result<Workload> {
    let metadata = metadata(launch, around);
    let selector = selector(launch, around);
    let template = pod::template(launch, around)?;
    Ok(match Kind::of(launch) {
        Kind::Deployment => {
            let spec = deployment(selector, template);
            Workload::Deployment(Box::new(Deployment { metadata, spec, ..Deployment::default() }))
        }
        Kind::StatefulSet => {
            let spec = stateful_set(selector, template, names::resource(launch.id.service.as_str()));
            Workload::StatefulSet(Box::new(StatefulSet { metadata, spec, ..StatefulSet::default() }))
        }
        Kind::Job => {
            let spec = Some(job(launch.restart, template));
            Workload::Job(Box::new(Job { metadata, spec, ..Job::default() }))
        }
    })
}

/// What a launch's workload is called, and what it is.
pub(crate) fn metadata(launch: &Launch, around: &Surroundings) -> ObjectMeta {
    meta(around, &around.workload(launch), around.of_replica(launch), annotations(launch, around))
}

/// By which a launch's workload finds its pods.
pub(crate) fn selector(launch: &Launch, around: &Surroundings) -> LabelSelector {
    LabelSelector { match_labels: Some(around.of_replica(launch)), ..LabelSelector::default() }
}

/// Its template never changes: another configuration is another replica.
pub(crate) fn deployment(selector: LabelSelector, template: PodTemplateSpec) -> DeploymentSpec {
    let one_more =
        RollingUpdateDeployment { max_surge: Some(IntOrString::Int(1)), max_unavailable: Some(IntOrString::Int(0)) };
    DeploymentSpec {
        replicas: Some(1),
        revision_history_limit: Some(0),
        selector,
        strategy: Some(DeploymentStrategy { type_: Some("RollingUpdate".to_owned()), rolling_update: Some(one_more) }),
        template,
        ..DeploymentSpec::default()
    }
}

pub(crate) fn stateful_set(selector: LabelSelector, template: PodTemplateSpec, service: String) -> StatefulSetSpec {
    StatefulSetSpec {
        replicas: Some(1),
        revision_history_limit: Some(0),
        selector,
        service_name: Some(service),
        template,
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("RollingUpdate".to_owned()),
            ..StatefulSetUpdateStrategy::default()
        }),
        ..StatefulSetSpec::default()
    }
}

/// Attempts beyond the first are counted, so that a task which failed is not tried for ever.
pub(crate) fn job(restart: Restart, template: PodTemplateSpec) -> JobSpec {
    let attempts = match restart {
        Restart::OnFailure(limit) => limit.and_then(|limit| i32::try_from(limit).ok()).unwrap_or(i32::MAX),
        Restart::Always | Restart::No => 0,
    };
    JobSpec {
        backoff_limit: Some(attempts),
        completions: Some(1),
        parallelism: Some(1),
        pod_replacement_policy: Some("Failed".to_owned()),
        template,
        ..JobSpec::default()
    }
}
