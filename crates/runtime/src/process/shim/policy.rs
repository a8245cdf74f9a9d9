//! Whether a process that ended is started again, and when. Pure.

use std::time::Duration;

use daybook_model::launch::Role;
use daybook_model::spec::Restart;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);
/// A process that lived so long is taken to have worked: the waiting starts from the shortest again.
pub(crate) const SETTLED: Duration = Duration::from_secs(10);

/// What follows the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It stays ended.
    End,
    /// It is started again after so long.
    Restart(Duration),
}

/// How long to wait before the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// After a life of `lived`. Doubles from one short life to the next.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= SETTLED {
            self.next = FIRST;
        }
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        wait
    }
}

/// What follows an end with `code` after a life of `lived`. Hooks, jobs and commands of a person run
/// once, whatever the service's policy says.
pub(super) fn after_exit(
    role: Role,
    restart: Restart,
    code: i32,
    restarts: u32,
    lived: Duration,
    backoff: &mut Backoff,
) -> Next {
    let again = role == Role::Main
        && match restart {
            Restart::Always => true,
            Restart::OnFailure(None) => code != 0,
            Restart::OnFailure(Some(most)) => code != 0 && restarts < most,
            Restart::No => false,
        };
    if again { Next::Restart(backoff.after(lived)) } else { Next::End }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(role: Role, restart: Restart, code: i32, restarts: u32) -> bool {
        after_exit(role, restart, code, restarts, Duration::ZERO, &mut Backoff::new()) != Next::End
    }

    #[test]
    fn r07_waits_double_up_to_a_bound_and_start_over_after_a_settled_life() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..11).map(|_| backoff.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(backoff.after(SETTLED).as_millis(), 100);
        assert_eq!(backoff.after(Duration::ZERO).as_millis(), 200);
    }

    #[test]
    fn the_policy_decides() {
        assert!(again(Role::Main, Restart::Always, 0, 99));
        assert!(!again(Role::Main, Restart::OnFailure(None), 0, 0));
        assert!(again(Role::Main, Restart::OnFailure(None), 1, 99));
        assert!(again(Role::Main, Restart::OnFailure(Some(2)), 1, 1));
        assert!(!again(Role::Main, Restart::OnFailure(Some(2)), 1, 2));
        assert!(!again(Role::Main, Restart::No, 1, 0));
    }

    #[test]
    fn what_must_run_once_runs_once() {
        for role in [Role::Hook, Role::Job, Role::OneOff] {
            assert!(!again(role, Restart::Always, 1, 0), "{role:?}");
        }
    }
}
