//! Where environments run.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use daybook_api::doctor::{CheckResult, CheckView};
use daybook_api::target::{AddTarget, TargetView};
use daybook_api::{ErrorBody, ErrorCode};
use daybook_model::{Actor, EnvKey, Event, Target, TargetName};
use daybook_runtime::{Finding, Rank, TargetState};
use daybook_store::{Journal as _, Write};

use crate::App;
use crate::error::{ApiError, Reply};
use crate::request::{Body, Caller, Path};

/// Every target that environments are on, and how it is.
#[utoipa::path(
    get, path = "/v1/targets", tag = "targets",
    responses((status = 200, body = Vec<TargetView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_targets(State(app): State<App>) -> Reply<Vec<TargetView>> {
    let named = app.inner.store.targets().await?;
    let known = app.inner.store.environments().await?;
    let known: BTreeSet<EnvKey> = known.into_iter().filter(|known| !known.retired).map(|known| known.key).collect();
    let mut states = app.inner.runtime.targets().await;
    let elsewhere: BTreeSet<EnvKey> = states.iter().flat_map(|state| state.environments.iter().cloned()).collect();
    if let Some(home) = states.first_mut() {
        home.environments = known.difference(&elsewhere).cloned().collect();
    }
    for target in named.values() {
        if states.iter().all(|state| state.target.as_ref() != Some(target)) {
            states.extend(app.state_of(target).await);
        }
    }
    let name_of =
        |target: Option<&Target>| named.iter().find(|(_, one)| Some(*one) == target).map(|(name, _)| name.clone());
    let views = states.into_iter().map(|state| {
        let name = name_of(state.target.as_ref());
        TargetView { name, ..view(state, &known) }
    });
    Ok(Json(views.collect()))
}

/// Gives a cluster a name. It must answer.
#[utoipa::path(
    post, path = "/v1/targets", tag = "targets", request_body = AddTarget,
    responses((status = 201, description = "it has the name"), (status = "default", body = ErrorBody))
)]
pub(crate) async fn add_target(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(AddTarget { name, target }): Body<AddTarget>,
) -> Result<(StatusCode, Json<()>), ApiError> {
    if !matches!(target, Target::Kubernetes(_)) {
        return Err(ApiError::invalid(format!("{target} needs no name: it is the server's own machine")));
    }
    app.inner.runtime.examine(&target).await?;
    app.journal_target(actor, Event::TargetAdded { name, target }).await?;
    Ok((StatusCode::CREATED, Json(())))
}

/// Takes a cluster's name away. Refused while an environment is there.
#[utoipa::path(
    delete, path = "/v1/targets/{name}", tag = "targets", params(("name" = String, Path)),
    responses((status = 204, description = "it has the name no more"), (status = "default", body = ErrorBody))
)]
pub(crate) async fn remove_target(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(name): Path<TargetName>,
) -> Result<StatusCode, ApiError> {
    let named = app.inner.store.targets().await?;
    let Some(target) = named.get(&name) else {
        let known: Vec<_> = named.keys().map(ToString::to_string).collect();
        let hint =
            if known.is_empty() { "no target has a name".to_owned() } else { format!("there is {}", known.join(", ")) };
        return Err(ApiError::not_found(format!("there is no target `{name}`")).hint(hint));
    };
    for environment in app.inner.store.environments().await?.into_iter().filter(|known| !known.retired) {
        let release = app.inner.store.current_release(&environment.key).await?;
        if release.is_some_and(|release| release.spec.target.as_ref() == Some(target)) {
            let message = format!("{} is on {name}", environment.key);
            return Err(ApiError::new(ErrorCode::Denied, message)
                .hint(format!("move it (`daybook env move {} --to …`) or take it down first", environment.key.env)));
        }
    }
    app.journal_target(actor, Event::TargetRemoved { name }).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl App {
    /// How a target is, also one that does not answer.
    async fn state_of(&self, target: &Target) -> Vec<TargetState> {
        match self.inner.places.at(target).await {
            Ok(side) => side.runtime.targets().await,
            Err(error) => {
                let (target, version) = (Some(target.clone()), Err(error.to_string()));
                vec![TargetState { target, version, machines: None, environments: BTreeSet::new() }]
            }
        }
    }

    async fn journal_target(&self, actor: Actor, event: Event) -> Result<(), ApiError> {
        self.inner.store.append(Write { key: None, run: None, actor, event, expected: None }).await?;
        Ok(())
    }

    /// A target as a person names it, with the settings that were given with its name.
    pub(crate) async fn named_target(&self, target: Target) -> Result<Target, ApiError> {
        let Target::Kubernetes(cluster) = &target else { return Ok(target) };
        let is_plain = cluster.registry.is_none() && !cluster.reaches_pods;
        let name: Option<TargetName> = cluster.place.parse().ok();
        match name.filter(|_| is_plain) {
            Some(name) => Ok(self.inner.store.targets().await?.remove(&name).unwrap_or(target)),
            None => Ok(target),
        }
    }
}

/// Whether everything is at a target that is needed. It needs not be one that an environment is on.
#[utoipa::path(
    post, path = "/v1/targets/check", tag = "targets", request_body = String,
    responses((status = 200, body = Vec<CheckView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn check_target(State(app): State<App>, Body(target): Body<Target>) -> Reply<Vec<CheckView>> {
    let target = app.named_target(target).await?;
    let found = app.inner.runtime.examine(&target).await?;
    Ok(Json(found.into_iter().map(check).collect()))
}

fn view(state: TargetState, known: &BTreeSet<EnvKey>) -> TargetView {
    let (version, error) = match state.version {
        Ok(version) => (Some(version), None),
        Err(error) => (None, Some(error)),
    };
    TargetView {
        name: None,
        target: state.target.map_or_else(|| "this machine".to_owned(), |target| target.to_string()),
        version,
        error,
        machines_ready: state.machines.map(|machines| machines.ready),
        machines: state.machines.map(|machines| machines.all),
        cpu_millis: state.machines.map(|machines| machines.cpu_millis),
        memory_bytes: state.machines.map(|machines| machines.memory_bytes),
        environments: state.environments.intersection(known).cloned().collect(),
    }
}

/// One thing that a runtime looked at.
pub(crate) fn check(found: Finding) -> CheckView {
    let result = match found.rank {
        Rank::Fine => CheckResult::Ok,
        Rank::Lacking => CheckResult::Warn,
        Rank::Missing => CheckResult::Bad,
    };
    CheckView { check: found.check, result, found: found.found, fix: found.fix }
}
