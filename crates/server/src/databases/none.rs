//! A build that knows no databases.

use daybook_api::database::{DatabaseView, HistoryChange, HistoryChanged, TuneView};
use daybook_model::{Actor, DatabaseName, EnvKey};
use daybook_runtime::{Error, ErrorKind};

use crate::App;
use crate::error::ApiError;

/// Nobody makes backups.
pub(crate) type Handle = std::sync::Arc<std::sync::OnceLock<std::sync::Weak<crate::app::Inner>>>;

impl App {
    pub(crate) async fn database(&self, _: &EnvKey, name: &DatabaseName) -> Result<DatabaseView, ApiError> {
        Err(without(name))
    }

    pub(crate) async fn tune(&self, _: &EnvKey, name: &DatabaseName) -> Result<TuneView, ApiError> {
        Err(without(name))
    }

    #[cfg(feature = "observe")]
    pub(crate) async fn lock_holder(&self, _: &EnvKey, _: &DatabaseName) -> Option<String> {
        None
    }

    pub(crate) async fn change_history(
        &self,
        _: &EnvKey,
        name: &DatabaseName,
        _: &HistoryChange,
        _: Actor,
    ) -> Result<HistoryChanged, ApiError> {
        Err(without(name))
    }
}

fn without(name: &DatabaseName) -> ApiError {
    let why = "this build of Daybook knows no databases";
    Error::new(ErrorKind::Refused, format!("look at {name}"), why).hint("build it with the feature `databases`").into()
}
