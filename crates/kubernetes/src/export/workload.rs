//! What keeps the pods of a whole service.

use daybook_model::launch::Role;
use daybook_model::spec::{Kind, Restart, Rollout, Schedule};
use daybook_model::{Digest, Launch, Service};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, StatefulSet, StatefulSetSpec};
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
    ResourceMetricSource,
};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Export, NoteKind, SLEEPS};
use crate::names;
use crate::objects::{self, Surroundings, pod, workload};

/// Says in a pod's template which texts it was made with: other texts are another pod.
const TEXTS: &str = "daybook.dev/texts";
/// Annotations by which Helm and Argo CD run a Job for each version. Before an installation there is no ConfigMap and
/// no claim yet, so it runs after the first one, and before each upgrade.
const HOOK: [(&str, &str); 4] = [
    ("argocd.argoproj.io/hook", "Sync"),
    ("argocd.argoproj.io/hook-delete-policy", "BeforeHookCreation"),
    ("helm.sh/hook", "post-install,pre-upgrade"),
    ("helm.sh/hook-delete-policy", "before-hook-creation"),
];
/// Lets Argo CD apply a workload once its hook has ended.
const WAVE: (&str, &str) = ("argocd.argoproj.io/sync-wave", "1");
/// The label by which `kubectl` is told to leave such a workload for later.
const AFTER: (&str, &str) = ("daybook.dev/after", "release");
/// Where a service scales and nothing says when: this part of its processor time, in percent.
const BUSY: u64 = 70;

impl Export<'_> {
    /// The workload of a service, what may be missing of it, and what scales it.
    pub(super) fn workload(&mut self, service: &Service, launch: &Launch, around: &Surroundings) {
        let Some(template) = self.template(launch, around) else { return };
        let metadata = || annotated(workload::metadata(launch, around), service.release_hook.is_some());
        if let Kind::Job(schedule) = &service.kind {
            self.cron(service, schedule, &CronJob { metadata: metadata(), ..cron(schedule, launch, template) });
        } else if launch.restart != Restart::Always {
            let job = JobSpec {
                completions: replicas(service),
                parallelism: replicas(service),
                ..workload::job(launch.restart, template)
            };
            self.push(Some(service), &once(metadata(), job));
        } else {
            let selector = workload::selector(launch, around);
            if let Some(volume) = service.single_writer(&self.spec.volumes) {
                let set = workload::stateful_set(selector, template, names::resource(service.name.as_str()));
                let spec = StatefulSetSpec { replicas: replicas(service), revision_history_limit: None, ..set };
                self.push(Some(service), &StatefulSet { metadata: metadata(), spec, ..StatefulSet::default() });
                if service.scale.max > 1 {
                    let what = format!("all replicas write to the volume `{volume}`, which one machine at a time has");
                    self.note(NoteKind::Changed, Some(service), what, Vec::new());
                }
            } else {
                let spec = self.deployment(service, workload::deployment(selector, template));
                self.push(Some(service), &Deployment { metadata: metadata(), spec, ..Deployment::default() });
                self.scaler(service, launch, around);
            }
            if let Some(budget) = objects::budget(launch, around) {
                self.push(Some(service), &budget);
            }
        }
    }

    /// The Job of a release hook.
    pub(super) fn hook(&mut self, service: &Service, around: &Surroundings) {
        let Some(launch) = self.launch(service, Role::Hook) else { return };
        let Some(template) = self.template(&launch, around) else { return };
        let mut metadata = workload::metadata(&launch, around);
        let annotations = HOOK.map(|(name, value)| (name.to_owned(), value.to_owned()));
        metadata.annotations.get_or_insert_default().extend(annotations);
        let job = once(metadata, workload::job(launch.restart, template));
        let name = job.metadata.name.clone().unwrap_or_default();
        self.push(Some(service), &job);
        let what = "its release hook is a Job: Helm and Argo CD run it for each version; with kubectl, wait for it";
        let namespace = &self.namespace;
        let commands = vec![
            format!("kubectl apply --filename <FILE> --selector '{}!={}'", AFTER.0, AFTER.1),
            format!("kubectl wait --namespace {namespace} --for=condition=complete --timeout=10m job/{name}"),
            "kubectl apply --filename <FILE>".to_owned(),
        ];
        self.note(NoteKind::ToDo, Some(service), what.to_owned(), commands);
    }

    /// The pod of a launch. `None`: it is refused.
    fn template(&mut self, launch: &Launch, around: &Surroundings) -> Option<PodTemplateSpec> {
        let made = pod::template(launch, around)
            .map_err(|error| self.refused.push(format!("{}: {}", launch.id.service, error.message)));
        let mut template = made.ok()?;
        if let Some(texts) = objects::config_map(launch, around) {
            let digest = Digest::of_json(&(texts.data, texts.binary_data)).short();
            let metadata = template.metadata.get_or_insert_default();
            metadata.annotations.get_or_insert_default().insert(TEXTS.to_owned(), digest);
        }
        if self.settings.version < SLEEPS {
            let containers = template.spec.iter_mut().flat_map(|pod| pod.containers.iter_mut());
            containers.for_each(|container| container.lifecycle = None);
        }
        Some(template)
    }

    /// Two versions of what stops first must not run at once. Whoever scales it says how many there are.
    fn deployment(&self, service: &Service, one: DeploymentSpec) -> DeploymentSpec {
        let recreate = DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
        let ready = service.rollout.ready_ms;
        DeploymentSpec {
            replicas: if service.scale.min < service.scale.max { None } else { replicas(service) },
            revision_history_limit: None,
            progress_deadline_seconds: (ready != Rollout::default().ready_ms)
                .then(|| i32::try_from(ready.div_ceil(1000).max(1)).unwrap_or(i32::MAX)),
            strategy: if service.stop_first(&self.spec.volumes) { Some(recreate) } else { one.strategy },
            ..one
        }
    }

    /// What reserves a tenth of its limit would seem busy at once, so the limit is what is measured by.
    fn scaler(&mut self, service: &Service, launch: &Launch, around: &Surroundings) {
        if service.scale.min >= service.scale.max {
            return;
        }
        let limit = service.container.resources.cpu_millis;
        let target = match limit {
            Some(limit) => MetricTarget {
                type_: "AverageValue".to_owned(),
                average_value: Some(Quantity(format!("{}m", (limit * BUSY / 100).max(1)))),
                ..MetricTarget::default()
            },
            None => MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: i32::try_from(BUSY).ok(),
                ..MetricTarget::default()
            },
        };
        let resource = Some(ResourceMetricSource { name: "cpu".to_owned(), target });
        let metadata = workload::metadata(launch, around);
        let scale_target_ref = CrossVersionObjectReference {
            api_version: Some("apps/v1".to_owned()),
            kind: "Deployment".to_owned(),
            name: metadata.name.clone().unwrap_or_default(),
        };
        let number = |number: u32| i32::try_from(number.max(1)).unwrap_or(i32::MAX);
        let spec = HorizontalPodAutoscalerSpec {
            max_replicas: number(service.scale.max),
            metrics: Some(vec![MetricSpec { type_: "Resource".to_owned(), resource, ..MetricSpec::default() }]),
            min_replicas: Some(number(service.scale.min)),
            scale_target_ref,
            ..HorizontalPodAutoscalerSpec::default()
        };
        self.push(Some(service), &HorizontalPodAutoscaler { metadata, spec, status: None });
        let reserved = service.container.resources.reserve_cpu_millis;
        let (kind, what) = match (limit, reserved) {
            (None, None) => {
                (NoteKind::ToDo, "give `resources: {cpu: …}`, or nothing can be measured that it scales by".to_owned())
            }
            _ => (
                NoteKind::Changed,
                format!("it scales at {BUSY} % of its processor time, whatever `scale` says beside"),
            ),
        };
        self.note(kind, Some(service), what, Vec::new());
    }

    fn cron(&mut self, service: &Service, schedule: &Schedule, job: &CronJob) {
        self.push(Some(service), job);
        if !is_common(&schedule.cron) {
            let what = format!("Kubernetes may not read the schedule `{}`: write it with numbers", schedule.cron);
            self.note(NoteKind::ToDo, Some(service), what, Vec::new());
        }
    }
}

fn replicas(service: &Service) -> Option<i32> {
    i32::try_from(service.replicas()).ok()
}

fn annotated(mut metadata: ObjectMeta, has_hook: bool) -> ObjectMeta {
    if has_hook {
        metadata.annotations.get_or_insert_default().insert(WAVE.0.to_owned(), WAVE.1.to_owned());
        metadata.labels.get_or_insert_default().insert(AFTER.0.to_owned(), AFTER.1.to_owned());
    }
    metadata
}

/// A Job cannot be changed: each configuration has one of its own, which runs once however often it is applied.
fn once(mut metadata: ObjectMeta, job: JobSpec) -> Job {
    let digest = Digest::of_json(&job).short();
    metadata.name = metadata.name.map(|name| format!("{name}-{}", &digest[..8]));
    Job { metadata, spec: Some(job), status: None }
}

/// One run at a time.
fn cron(schedule: &Schedule, launch: &Launch, template: PodTemplateSpec) -> CronJob {
    let spec = CronJobSpec {
        concurrency_policy: Some("Forbid".to_owned()),
        job_template: JobTemplateSpec { metadata: None, spec: Some(workload::job(launch.restart, template)) },
        schedule: schedule.cron.clone(),
        time_zone: Some(schedule.zone.clone()),
        ..CronJobSpec::default()
    };
    CronJob { spec, ..CronJob::default() }
}

/// Whether every reader of cron expressions takes it alike: Kubernetes knows no `L`, `W` and `#`, and no day 7.
fn is_common(cron: &str) -> bool {
    let fields: Vec<&str> = cron.split_whitespace().collect();
    match fields.as_slice() {
        [name] => name.starts_with('@'),
        [.., day, _, weekday] if fields.len() == 5 => {
            let number = |c: char| c.is_ascii_digit() || "*/,-".contains(c);
            day.chars().all(number) && !weekday.contains(['#', '7']) && !weekday.ends_with(['L', 'l'])
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_that_kubernetes_reads_otherwise_are_told_apart() {
        for common in ["0 3 * * *", "*/5 0-6 1,15 * mon-fri", "@daily", "0 0 * jan sun"] {
            assert!(is_common(common), "{common}");
        }
        for odd in ["0 3 L * *", "0 3 15W * *", "0 3 * * 7", "0 3 * * mon#2", "0 3 * * 5L", "0 0 3 * * *"] {
            assert!(!is_common(odd), "{odd}");
        }
    }
}
