//! Where environments run.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use daybook_api::ErrorBody;
use daybook_api::doctor::{CheckResult, CheckView};
use daybook_api::target::TargetView;
use daybook_model::{EnvKey, Target};
use daybook_runtime::{Finding, Rank, TargetState};

use crate::App;
use crate::error::Reply;
use crate::request::Body;

/// Every target that environments are on, and how it is.
#[utoipa::path(
    get, path = "/v1/targets", tag = "targets",
    responses((status = 200, body = Vec<TargetView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_targets(State(app): State<App>) -> Reply<Vec<TargetView>> {
    let known = app.inner.store.environments().await?;
    let known: BTreeSet<EnvKey> = known.into_iter().filter(|known| !known.retired).map(|known| known.key).collect();
    let mut states = app.inner.runtime.targets().await;
    let elsewhere: BTreeSet<EnvKey> = states.iter().flat_map(|state| state.environments.iter().cloned()).collect();
    if let Some(home) = states.first_mut() {
        home.environments = known.difference(&elsewhere).cloned().collect();
    }
    Ok(Json(states.into_iter().map(|state| view(state, &known)).collect()))
}

/// Whether everything is at a target that is needed. It needs not be one that an environment is on.
#[utoipa::path(
    post, path = "/v1/targets/check", tag = "targets", request_body = String,
    responses((status = 200, body = Vec<CheckView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn check_target(State(app): State<App>, Body(target): Body<Target>) -> Reply<Vec<CheckView>> {
    let found = app.inner.runtime.examine(&target).await?;
    Ok(Json(found.into_iter().map(check).collect()))
}

fn view(state: TargetState, known: &BTreeSet<EnvKey>) -> TargetView {
    let (version, error) = match state.version {
        Ok(version) => (Some(version), None),
        Err(error) => (None, Some(error)),
    };
    TargetView {
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

fn check(found: Finding) -> CheckView {
    let result = match found.rank {
        Rank::Fine => CheckResult::Ok,
        Rank::Lacking => CheckResult::Warn,
        Rank::Missing => CheckResult::Bad,
    };
    CheckView { check: found.check, result, found: found.found, fix: found.fix }
}
