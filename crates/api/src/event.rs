//! `/v1/events`: the journal as people and programs read it, live or from the start.

use daybook_model::{Entry, EnvKey, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::run::ActorView;

/// The kind of an [`EventView`] that is a running step's progress and not a journal entry.
pub const PROGRESS: &str = "progress";

/// A journal entry, or a note about a step that is being carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Place in the journal; progress notes have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// The environment it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "shop/production")]
    pub key: Option<EnvKey>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub run: Option<RunId>,
    /// Who caused it.
    pub actor: ActorView,
    /// The kind of event: `step_started`, `run_finished`, …, or `progress`.
    pub kind: String,
    /// The service it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What happened, in words.
    pub text: String,
    /// The event itself; null for progress notes.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub event: serde_json::Value,
}

impl EventView {
    /// The view of a journal entry. `text` says in words what happened: the words for a step need
    /// its plan, which only the server has.
    pub fn of(entry: &Entry, service: Option<String>, text: String) -> Self {
        let event = serde_json::to_value(&entry.event).expect("an event is plain data");
        let kind = event.get("kind").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        Self {
            seq: Some(entry.seq),
            at: entry.at,
            key: entry.key.clone(),
            run: entry.run,
            actor: (&entry.actor).into(),
            kind,
            service,
            text,
            event,
        }
    }
}

/// `GET /v1/events`: which events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only of this environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub key: Option<EnvKey>,
    /// Only of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub run: Option<RunId>,
    /// Only after this sequence number. With `after`, the first ones come; without, the last ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many of those that are there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Go on with new ones, as an event stream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}
