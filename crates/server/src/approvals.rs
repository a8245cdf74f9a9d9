//! Plans for protected environments: asked for by one person, approved by another.

use daybook_api::ErrorCode;
use daybook_api::approval::{ApprovalView, Vote};
use daybook_decide::approval::{Asked, HOLDS_MS, asked, is_needed};
use daybook_model::{Actor, EnvKey, Event, Plan, PlanId, Timestamp};
use daybook_store::{Journal as _, Query, Write};

use crate::App;
use crate::change::Desired;
use crate::error::ApiError;

/// Entries of the journal, the newest, among which questions and answers are looked for. What is older has been followed
/// by something that ended it, or waits to be asked again.
const LOOKED_AT: usize = 5_000;

/// The login of whoever could not be told.
const UNKNOWN: &str = "unknown";

/// How a plan stands with a second person.
pub(crate) enum Approval {
    /// Nobody has to approve it.
    NotNeeded,
    /// Somebody has to, and was not asked.
    NotAsked,
    /// Somebody was asked, and may have approved it.
    Asked(Asked),
}

impl Approval {
    /// Whether it must not be carried out yet.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::NotNeeded => false,
            Self::NotAsked => true,
            Self::Asked(asked) => asked.approved.is_none(),
        }
    }

    fn was_asked_by(&self, name: &str) -> bool {
        matches!(self, Self::Asked(asked) if asked.by.iter().any(|(who, _)| who == name))
    }

    /// What is said of it beside a plan. `None`: nothing.
    pub(crate) fn words(&self) -> Option<String> {
        Some(match self {
            Self::NotNeeded => return None,
            Self::NotAsked => "a second person has to approve it: the environment is protected".to_owned(),
            Self::Asked(asked) => match &asked.approved {
                Some((who, _)) => format!("{who} has approved it"),
                None => format!("a second person has to approve it: daybook approve {}", asked.plan),
            },
        })
    }
}

impl App {
    /// Plans of an environment that were asked for and still hold.
    pub(crate) async fn approvals(&self, key: &EnvKey) -> Result<Vec<ApprovalView>, ApiError> {
        Ok(self.asked(key).await?.into_iter().map(view).collect())
    }

    async fn asked(&self, key: &EnvKey) -> Result<Vec<Asked>, ApiError> {
        let query = Query { key: Some(key.clone()), limit: Some(LOOKED_AT), newest: true, ..Query::default() };
        let entries = self.inner.store.read(&query).await?;
        Ok(asked(&entries, self.now()))
    }

    /// Approves the plan whose id begins so.
    pub(crate) async fn approve(&self, key: &EnvKey, plan: &str, actor: &Actor) -> Result<ApprovalView, ApiError> {
        let planning = self.planning(key);
        let _planning = planning.lock().await;
        let all = self.asked(key).await?;
        let meant: Vec<_> = all.iter().filter(|one| one.plan.to_string().starts_with(plan)).collect();
        let one = match meant[..] {
            [one] if !plan.is_empty() => one,
            [] => {
                let error =
                    ApiError::not_found(format!("no plan of {key} that begins with `{plan:.80}` waits for anybody"));
                return Err(error.hint(format!("`daybook approve --list -e {}` shows those that do", key.env)));
            }
            _ => return Err(ApiError::new(ErrorCode::Usage, format!("several plans begin with `{plan}`"))),
        };
        if actor.name == UNKNOWN || !one.may_be_approved_by(&actor.name) {
            let message = format!("{} asked for plan {}: a second person has to approve it", actor.name, one.plan);
            return Err(ApiError::new(ErrorCode::Denied, message).hint("somebody with a login of his own"));
        }
        self.note(key, actor, Event::PlanApproved { plan: one.plan.clone(), basis: one.basis.clone() }).await?;
        let approved = Some((actor.name.clone(), self.now()));
        Ok(view(Asked { approved, ..one.clone() }))
    }

    /// How a plan stands with a second person.
    pub(crate) async fn approval(&self, desired: &Desired, plan: &Plan, basis: &str) -> Result<Approval, ApiError> {
        if !needs(desired) || plan.is_empty() {
            return Ok(Approval::NotNeeded);
        }
        let all = self.asked(&desired.key).await?;
        let known = all.into_iter().find(|one| one.plan == plan.id && one.basis == basis);
        Ok(known.map_or(Approval::NotAsked, Approval::Asked))
    }

    /// Asks for the approval of a plan, unless this person has, and refuses it.
    pub(crate) async fn refuse_unapproved(
        &self,
        desired: &Desired,
        plan: &PlanId,
        basis: String,
        text: String,
        approval: &Approval,
        actor: &Actor,
    ) -> ApiError {
        let key = &desired.key;
        if !approval.was_asked_by(&actor.name) {
            let (plan, reason) = (plan.clone(), desired.reason.clone());
            if let Err(error) = self.note(key, actor, Event::ApprovalAsked { plan, basis, reason, text }).await {
                return error;
            }
        }
        let message = format!("{key} is protected: a second person has to approve plan {plan}");
        let env = &key.env;
        ApiError::new(ErrorCode::Denied, message)
            .hint(format!("somebody else: `daybook approve {plan} -e {env}`; then this again, within a day"))
    }

    async fn note(&self, key: &EnvKey, actor: &Actor, event: Event) -> Result<(), ApiError> {
        let write = Write { key: Some(key.clone()), run: None, actor: actor.clone(), event, expected: None };
        self.inner.store.append(write).await?;
        Ok(())
    }
}

fn needs(desired: &Desired) -> bool {
    let before = desired.current.as_ref().map(|release| &release.spec);
    is_needed(desired.purpose, before, &desired.spec)
}

fn view(asked: Asked) -> ApprovalView {
    let vote = |(by, at): (String, Timestamp)| Vote { by, at };
    let last = asked.by.iter().map(|(_, at)| *at).max().unwrap_or_default();
    let until = Timestamp::from_millisecond(last.as_millisecond().saturating_add(HOLDS_MS)).unwrap_or(last);
    ApprovalView {
        plan: asked.plan.to_string(),
        reason: asked.reason,
        text: asked.text,
        asked: asked.by.into_iter().map(vote).collect(),
        approved: asked.approved.map(vote),
        until,
    }
}
