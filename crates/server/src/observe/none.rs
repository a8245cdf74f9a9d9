//! A build that measures nothing.

use axum::Router;
use daybook_api::ErrorCode;
use daybook_api::logs::{LogSearch, LogsFound};
use daybook_decide::incident::Incidents;
use daybook_model::oncall::Window;
use daybook_model::{Actor, EnvKey, Observed, RunId};

use crate::App;
use crate::error::ApiError;

/// Nothing is kept.
#[derive(Default)]
pub(crate) struct Observatory(());

impl Observatory {
    pub(crate) fn saw(&self, _: Observed) {}
}

impl App {
    pub(crate) async fn open_metrics(&self) {}

    pub(crate) async fn tend_metrics(self) {}

    pub(crate) fn incidents_of(&self, _: &EnvKey) -> Incidents {
        Incidents::default()
    }

    pub(crate) fn made_windows(&self, _: &EnvKey) -> Vec<Window> {
        Vec::new()
    }

    pub(crate) async fn acted(&self, _: &EnvKey, _: RunId, _: &str, _: &Actor) {}

    pub(crate) async fn search_logs(&self, _: &EnvKey, _: LogSearch) -> Result<LogsFound, ApiError> {
        let why = "this build of Daybook keeps no lines";
        Err(ApiError::new(ErrorCode::Unavailable, why).hint("build it with the feature `observe`"))
    }
}

pub(crate) fn routes() -> Router<App> {
    Router::new()
}
