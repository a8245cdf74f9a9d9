//! Protected environments: a plan is carried out after somebody else than who asked for it has looked at it.
//!
//! An approval is of one plan, made from one basis: what has changed since, in the manifest or in what runs, is another
//! plan. Whatever begins to change the environment ends all that were given before.

use daybook_model::{Entry, Event, PlanId, RunKind, Spec, Timestamp};

/// How long a question and an approval hold, in milliseconds: a day.
pub const HOLDS_MS: i64 = 24 * 60 * 60 * 1000;

/// The name of what acts by itself.
const MACHINE: &str = "daybook";

/// Whether a change has to be approved. What leads back to what was approved before, or to the same again, need not:
/// nobody waits for a second person while users do.
pub fn is_needed(purpose: RunKind, before: Option<&Spec>, after: &Spec) -> bool {
    let guarded = before.is_some_and(|spec| spec.protected) || after.protected;
    match purpose {
        RunKind::Rollback | RunKind::Restart | RunKind::Start | RunKind::Heal | RunKind::Upgrade => false,
        RunKind::Up | RunKind::Scale | RunKind::Rotate | RunKind::Stop | RunKind::Move | RunKind::Down => guarded,
    }
}

/// A plan that somebody asked for, and who has approved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The plan.
    pub plan: PlanId,
    /// Hash of what it was made from.
    pub basis: String,
    /// What for.
    pub reason: String,
    /// The plan as people read it.
    pub text: String,
    /// Who asked, and when; the first first.
    pub by: Vec<(String, Timestamp)>,
    /// Who else approved it, and when.
    pub approved: Option<(String, Timestamp)>,
}

impl Asked {
    /// Whether this person can be the second. That the machine asked as well makes nobody the second of himself.
    pub fn may_be_approved_by(&self, name: &str) -> bool {
        let mut people = self.by.iter().map(|(who, _)| who.as_str()).filter(|who| *who != MACHINE).peekable();
        name != MACHINE && (people.peek().is_none() || people.any(|who| who != name))
    }
}

/// The plans that were asked for and still hold, from what the journal of an environment says last; the oldest first.
pub fn asked<'e>(entries: impl IntoIterator<Item = &'e Entry>, now: Timestamp) -> Vec<Asked> {
    let mut all: Vec<Asked> = Vec::new();
    let holds = |at: Timestamp| now.as_millisecond().saturating_sub(at.as_millisecond()) < HOLDS_MS;
    for entry in entries {
        match &entry.event {
            Event::RunStarted { purpose, .. } if *purpose != RunKind::Heal => all.clear(),
            Event::ApprovalAsked { plan, basis, reason, text } if holds(entry.at) => {
                let who = (entry.actor.name.clone(), entry.at);
                match all.iter_mut().find(|one| one.plan == *plan && one.basis == *basis) {
                    Some(known) => known.by.push(who),
                    None => all.push(Asked {
                        plan: plan.clone(),
                        basis: basis.clone(),
                        reason: reason.clone(),
                        text: text.clone(),
                        by: vec![who],
                        approved: None,
                    }),
                }
            }
            Event::PlanApproved { plan, basis } if holds(entry.at) => {
                let meant = all.iter_mut().find(|one| one.plan == *plan && one.basis == *basis);
                if let Some(one) = meant.filter(|one| one.may_be_approved_by(&entry.actor.name)) {
                    one.approved = Some((entry.actor.name.clone(), entry.at));
                }
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use daybook_model::{Actor, Digest, ReleaseNumber};

    use super::*;

    const NOW: &str = "2026-11-30T12:00:00Z";

    fn plan(of: &str) -> PlanId {
        PlanId(Digest::of(of.as_bytes()))
    }

    fn entry(at: &str, who: &str, event: Event) -> Entry {
        let nothing = Digest::of(b"");
        Entry {
            seq: 1,
            at: at.parse().unwrap(),
            key: Some("shop/production".parse().unwrap()),
            run: None,
            actor: Actor { name: who.to_owned(), origin: "cli".to_owned() },
            event,
            previous: nothing,
            hash: nothing,
        }
    }

    fn asks(at: &str, who: &str, of: &str) -> Entry {
        let event = Event::ApprovalAsked {
            plan: plan(of),
            basis: "b".to_owned(),
            reason: "up".to_owned(),
            text: String::new(),
        };
        entry(at, who, event)
    }

    fn approves(at: &str, who: &str, of: &str, basis: &str) -> Entry {
        entry(at, who, Event::PlanApproved { plan: plan(of), basis: basis.to_owned() })
    }

    fn approved_by(entries: &[Entry]) -> Vec<Option<String>> {
        let asked = asked(entries, NOW.parse().unwrap());
        asked.into_iter().map(|one| one.approved.map(|(who, _)| who)).collect()
    }

    #[test]
    fn somebody_else_approves_this_plan_made_from_this() {
        let question = asks("2026-11-30T11:00:00Z", "ann", "a");
        let answer = |who, of, basis| approves("2026-11-30T11:30:00Z", who, of, basis);
        assert_eq!(approved_by(std::slice::from_ref(&question)), [None]);
        assert_eq!(approved_by(&[question.clone(), answer("bob", "a", "b")]), [Some("bob".to_owned())]);
        assert_eq!(approved_by(&[question.clone(), answer("ann", "a", "b")]), [None], "nobody is his own second");
        assert_eq!(approved_by(&[question.clone(), answer("bob", "other", "b")]), [None], "another plan");
        assert_eq!(approved_by(&[question.clone(), answer("bob", "a", "stale")]), [None], "made from something else");
        let again = asks("2026-11-30T11:10:00Z", "bob", "a");
        assert_eq!(approved_by(&[question, again, answer("ann", "a", "b")]), [Some("ann".to_owned())], "both asked");
    }

    #[test]
    fn the_machine_is_nobody_s_second() {
        let question = asks("2026-11-30T11:00:00Z", "ann", "a");
        let by_itself = asks("2026-11-30T11:10:00Z", MACHINE, "a");
        let answer = |who| approves("2026-11-30T11:30:00Z", who, "a", "b");
        let both = [question.clone(), by_itself.clone()];
        assert_eq!(approved_by(&[&both[..], &[answer("ann")]].concat()), [None], "ann asked");
        assert_eq!(approved_by(&[&both[..], &[answer("bob")]].concat()), [Some("bob".to_owned())]);
        assert_eq!(approved_by(&[by_itself, answer("ann")]), [Some("ann".to_owned())], "no person asked");
        assert_eq!(approved_by(&[question, answer(MACHINE)]), [None]);
    }

    #[test]
    fn an_approval_ends_with_the_next_change_and_after_a_day() {
        let question = asks("2026-11-30T11:00:00Z", "ann", "a");
        let answer = approves("2026-11-30T11:30:00Z", "bob", "a", "b");
        let run = |purpose| {
            let event = serde_json::json!({
                "kind": "run_started", "purpose": purpose, "reason": "up", "to": ReleaseNumber(2), "from": null,
                "spec": Spec::empty("shop/production".parse().unwrap()), "manifest": null, "remove_volumes": [],
            });
            entry("2026-11-30T11:40:00Z", "ann", serde_json::from_value(event).unwrap())
        };
        let both = [question.clone(), answer.clone()];
        assert_eq!(approved_by(&[&both[..], &[run("heal")]].concat()), [Some("bob".to_owned())]);
        assert_eq!(approved_by(&[&both[..], &[run("up")]].concat()), Vec::<Option<String>>::new());
        let old = [asks("2026-11-29T11:00:00Z", "ann", "a"), answer];
        assert_eq!(approved_by(&old), Vec::<Option<String>>::new());
    }

    #[test]
    fn what_goes_back_waits_for_nobody() {
        let (free, guarded) = (Spec::empty("shop/production".parse().unwrap()), true);
        let guarded = Spec { protected: guarded, ..free.clone() };
        assert!(!is_needed(RunKind::Up, Some(&free), &free));
        assert!(is_needed(RunKind::Up, Some(&guarded), &free), "protection is not taken away by one person");
        assert!(is_needed(RunKind::Up, None, &guarded) && is_needed(RunKind::Down, Some(&guarded), &free));
        assert!(!is_needed(RunKind::Rollback, Some(&guarded), &guarded));
        assert!(!is_needed(RunKind::Heal, Some(&guarded), &guarded));
    }
}
