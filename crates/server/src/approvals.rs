//! Plans for protected environments: asked for by one person, approved by another.

use daybook_api::ErrorCode;
use daybook_api::approval::{ApprovalView, Vote};
use daybook_decide::approval::{Asked, HOLDS_MS, asked, is_needed};
use daybook_model::{Actor, EnvKey, Event, Plan, Timestamp};
use daybook_store::{Journal as _, Query, Write};

use crate::App;
use crate::change::Desired;
use crate::error::ApiError;

/// Entries of the journal, the newest, among which questions and answers are looked for. What is older has been followed
/// by something that ended it, or waits to be asked again.
const LOOKED_AT: usize = 5_000;

/// The login of whoever could not be told.
const UNKNOWN: &str = "unknown";

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
                    ApiError::not_found(format!("no plan of {key} that begins with `{plan}` waits for anybody"));
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

    /// What is said of it beside a plan. `None`: nobody has to approve it.
    pub(crate) async fn approval_words(
        &self,
        desired: &Desired,
        plan: &Plan,
        basis: &str,
    ) -> Result<Option<String>, ApiError> {
        if !needs(desired) || plan.is_empty() {
            return Ok(None);
        }
        let all = self.asked(&desired.key).await?;
        let known = all.iter().find(|one| one.plan == plan.id && one.basis == basis);
        Ok(Some(match known.map(|one| (one, &one.approved)) {
            Some((_, Some((who, _)))) => format!("{who} has approved it"),
            Some((one, None)) => format!("a second person has to approve it: daybook approve {}", one.plan),
            None => "a second person has to approve it: the environment is protected".to_owned(),
        }))
    }

    /// Refuses a plan for a protected environment that nobody else has approved, and asks for it.
    pub(crate) async fn refuse_unapproved(
        &self,
        desired: &Desired,
        plan: &Plan,
        basis: &str,
        text: &str,
        actor: &Actor,
    ) -> Result<(), ApiError> {
        if !needs(desired) || plan.is_empty() {
            return Ok(());
        }
        let (key, id) = (&desired.key, plan.id.clone());
        let all = self.asked(key).await?;
        let known = all.iter().find(|one| one.plan == id && one.basis == basis);
        if known.is_some_and(|one| one.approved.is_some()) {
            return Ok(());
        }
        if !known.is_some_and(|one| one.by.iter().any(|(who, _)| *who == actor.name)) {
            let (basis, reason, text) = (basis.to_owned(), desired.reason.clone(), text.to_owned());
            self.note(key, actor, Event::ApprovalAsked { plan: id.clone(), basis, reason, text }).await?;
        }
        let message = format!("{key} is protected: a second person has to approve plan {id}");
        let env = &key.env;
        Err(ApiError::new(ErrorCode::Denied, message)
            .hint(format!("somebody else: `daybook approve {id} -e {env}`; then this again, within a day")))
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
