//! `…/approvals`: plans for a protected environment, which a second person has to approve.

use daybook_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A plan that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    /// The plan's id, as it is shown.
    pub plan: String,
    /// What for: "up", "scale web=3".
    pub reason: String,
    /// The plan as people read it.
    pub text: String,
    /// Who asked, and when; the first first.
    pub asked: Vec<Vote>,
    /// Who else approved it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Vote>,
    /// When the question and its answer hold no more.
    #[schema(value_type = String)]
    pub until: Timestamp,
}

/// What somebody said, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vote {
    /// A person's login.
    pub by: String,
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
}

/// Approves a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approve {
    /// The plan's id, or how it begins.
    pub plan: String,
}
