//! Gathering the evidence that the cause of a service's trouble is concluded from.

use daybook_api::why::{WhyOption, WhyView};
use daybook_decide::why::{Evidence, FailedChange, why};
use daybook_model::event::StepOutcome;
use daybook_model::launch::Role;
use daybook_model::plan::Subject;
use daybook_model::{Entry, EnvKey, Event, Plan, PlanId, SeenReplica, Service, ServiceName};
use daybook_runtime::Answer;
use daybook_store::{Journal as _, Query};
use std::collections::HashMap;

use crate::App;
use crate::change::no_environment;
use crate::error::ApiError;

/// Journal entries that are looked through for failed steps.
const ENTRIES: usize = 400;

/// Lines of log that are looked at.
const LINES: usize = 60;

impl App {
    /// Why a service is as it is.
    pub(crate) async fn why(&self, key: &EnvKey, service: &ServiceName) -> Result<WhyView, ApiError> {
        let store = &self.inner.store;
        if store.environment(key).await?.is_none() {
            return Err(no_environment(key));
        }
        let release = store.current_release(key).await?;
        let query = Query { key: Some(key.clone()), limit: Some(ENTRIES), newest: true, ..Query::default() };
        let entries = store.read(&query).await?;
        let in_release = release.as_ref().and_then(|release| release.spec.services.get(service).map(Box::as_ref));
        let spec = in_release.or_else(|| last_wanted(&entries, service));
        let mut replicas = self.inner.runtime.observe(key).await?.replicas;
        replicas.retain(|replica| &replica.id.service == service);
        if spec.is_none() && replicas.is_empty() {
            return Err(ApiError::not_found(format!("{key} has no service `{service}`")));
        }
        let log = self.last_lines(key, &replicas).await;
        let answers = self.answers(key, &replicas, spec).await;
        // What cannot be asked for is not known, and the rest is told all the same.
        let troubles = self.inner.runtime.troubles(key, service).await.unwrap_or_default();
        let found = why(&Evidence {
            service,
            spec,
            replicas: &replicas,
            troubles: &troubles,
            failures: &failures(&entries, service),
            answers: &answers,
            log: &log,
            released: release.as_ref().map(|release| (release.accepted_at, release.number.0)),
            now: self.now(),
        });
        let option = |choice: daybook_decide::why::Choice| WhyOption {
            text: choice.text,
            command: Some(choice.command).filter(|command| !command.is_empty()),
        };
        Ok(WhyView {
            key: key.clone(),
            service: service.to_string(),
            headline: found.headline,
            cause: found.cause,
            evidence: found.evidence,
            options: found.options.into_iter().map(option).collect(),
            log,
        })
    }

    /// The last lines of the replica that started last.
    async fn last_lines(&self, key: &EnvKey, replicas: &[SeenReplica]) -> Vec<String> {
        let Some(newest) = replicas.iter().max_by_key(|replica| replica.id.ordinal) else { return Vec::new() };
        self.inner.executor.tail(key, &newest.id, newest.role, LINES).await
    }

    /// What each running replica's check answers now; `None` is a good answer.
    async fn answers(
        &self,
        key: &EnvKey,
        replicas: &[SeenReplica],
        spec: Option<&Service>,
    ) -> Vec<(String, Option<String>)> {
        let Some(check) = spec.map(Service::effective_check) else { return Vec::new() };
        let mut answers = Vec::new();
        for replica in replicas.iter().filter(|replica| replica.role == Role::Main && replica.is_running()) {
            let said = match self.inner.runtime.probe(key, replica, &check).await {
                Ok(Answer::Good(_)) => None,
                Ok(Answer::Bad(why)) => Some(why),
                Ok(Answer::NotRunning) | Err(_) => continue,
            };
            answers.push((replica.id.to_string(), said));
        }
        answers
    }
}

/// The service as the last run wanted it, where no release has it yet.
fn last_wanted<'a>(entries: &'a [Entry], service: &ServiceName) -> Option<&'a Service> {
    entries.iter().rev().find_map(|entry| match &entry.event {
        Event::RunStarted { spec, .. } => spec.services.get(service).map(Box::as_ref),
        _ => None,
    })
}

/// Changes of a service that failed, oldest first.
fn failures(entries: &[Entry], service: &ServiceName) -> Vec<FailedChange> {
    let mut plans: HashMap<&PlanId, &Plan> = HashMap::new();
    let mut found = Vec::new();
    for entry in entries {
        match &entry.event {
            Event::Planned { plan, .. } => {
                plans.insert(&plan.id, plan);
            }
            Event::StepFinished { plan, step, outcome: StepOutcome::Failed(failure), .. } => {
                let Some(plan) = plans.get(plan) else { continue };
                if plan.step(*step).and_then(|step| step.action.service()) == Some(service) {
                    let changed = changed(plan, service);
                    found.push(FailedChange { at: entry.at, failure: failure.clone(), changed });
                }
            }
            _ => {}
        }
    }
    found
}

/// What a plan was to change of a service, a line each.
fn changed(plan: &Plan, service: &ServiceName) -> Vec<String> {
    let of_service = plan.changes.iter().filter(|change| change.subject == Subject::Service(service.clone()));
    of_service.flat_map(|change| &change.details).map(|detail| detail.text.clone()).collect()
}
