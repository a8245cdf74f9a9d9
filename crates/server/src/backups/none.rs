//! A build that makes no backups.

use daybook_api::backup::{BackupsView, OperationView, Restore, RestorePlan, RunDrill, VerifyQuery};
use daybook_api::clone::{CloneEnvironment, ClonePlan, CloneView};
use daybook_api::upgrade::{Upgrade, UpgradePlan};
use daybook_model::backup::Holding;
use daybook_model::{Actor, BackupId, DatabaseName, EnvKey};
use daybook_runtime::{Error, ErrorKind};

use crate::App;
use crate::error::ApiError;

impl App {
    pub(crate) async fn tend_backups(self) {}

    pub(crate) async fn tend_archives(self) {}

    pub(crate) async fn backups(&self, _: &EnvKey) -> Result<BackupsView, ApiError> {
        Err(without())
    }

    pub(crate) async fn back_up(
        &self,
        _: &EnvKey,
        _: &[Holding],
        _: &str,
        _: &Actor,
    ) -> Result<Vec<OperationView>, ApiError> {
        Err(without())
    }

    pub(crate) async fn drill(&self, _: &EnvKey, _: &RunDrill, _: &Actor) -> Result<Vec<OperationView>, ApiError> {
        Err(without())
    }

    pub(crate) async fn plan_restore(&self, _: &EnvKey, _: &Restore) -> Result<RestorePlan, ApiError> {
        Err(without())
    }

    pub(crate) async fn restore(&self, _: &EnvKey, _: &Restore, _: &Actor) -> Result<OperationView, ApiError> {
        Err(without())
    }

    pub(crate) async fn verify_backups(&self, _: &EnvKey, _: VerifyQuery) -> Result<OperationView, ApiError> {
        Err(without())
    }

    pub(crate) async fn plan_clone(&self, _: &EnvKey, _: &CloneEnvironment, _: &Actor) -> Result<ClonePlan, ApiError> {
        Err(without())
    }

    pub(crate) async fn clone_environment(
        &self,
        _: &EnvKey,
        _: &CloneEnvironment,
        _: &Actor,
    ) -> Result<OperationView, ApiError> {
        Err(without())
    }

    pub(crate) async fn clone_view(&self, _: &EnvKey) -> Result<Option<CloneView>, ApiError> {
        Ok(None)
    }

    pub(crate) async fn plan_upgrade(
        &self,
        _: &EnvKey,
        _: &DatabaseName,
        _: &Upgrade,
    ) -> Result<UpgradePlan, ApiError> {
        Err(without())
    }

    pub(crate) async fn rehearse_upgrade(
        &self,
        _: &EnvKey,
        _: &DatabaseName,
        _: &Upgrade,
        _: &Actor,
    ) -> Result<OperationView, ApiError> {
        Err(without())
    }

    pub(crate) async fn upgrade(
        &self,
        _: &EnvKey,
        _: &DatabaseName,
        _: &Upgrade,
        _: &Actor,
    ) -> Result<OperationView, ApiError> {
        Err(without())
    }

    pub(crate) async fn finish_upgrade(
        &self,
        _: &EnvKey,
        _: &DatabaseName,
        _: &Actor,
    ) -> Result<OperationView, ApiError> {
        Err(without())
    }

    pub(crate) async fn refuse_if_upgrading(&self, _: &EnvKey) -> Result<(), ApiError> {
        Ok(())
    }

    pub(crate) fn operation(&self, _: BackupId) -> Result<OperationView, ApiError> {
        Err(without())
    }
}

fn without() -> ApiError {
    let why = "this build of Daybook makes no backups";
    Error::new(ErrorKind::Refused, "work with backups", why).hint("build it with the feature `databases`").into()
}
