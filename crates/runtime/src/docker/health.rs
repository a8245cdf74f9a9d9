//! The daemon's own health check of a container.

use bollard::models::HealthConfig;
use daybook_model::spec::{Check, CheckTest};

/// What the daemon asks: a command of the manifest. `None` leaves the image its own `HEALTHCHECK`,
/// which is reported as the replica's health. A check of the manifest that Daybook asks from outside
/// (a path), and `disable: true`, switch the image's off.
pub(super) fn config(check: &Check, knows_start_interval: bool) -> Option<HealthConfig> {
    match &check.test {
        CheckTest::Command(argv) => Some(command(check, argv, knows_start_interval)),
        CheckTest::Http { .. } | CheckTest::Disabled => {
            Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() })
        }
        CheckTest::Tcp { .. } | CheckTest::Running => None,
    }
}

fn command(check: &Check, argv: &[String], knows_start_interval: bool) -> HealthConfig {
    let test = std::iter::once("CMD".to_owned()).chain(argv.iter().cloned()).collect();
    HealthConfig {
        test: Some(test),
        interval: Some(nanoseconds(check.interval_ms)),
        timeout: Some(nanoseconds(check.timeout_ms)),
        retries: Some(i64::from(check.retries)),
        start_period: Some(nanoseconds(check.start_period_ms)),
        // Engines before API 1.44 do not know it, and ask every `interval` from the start.
        start_interval: knows_start_interval.then(|| nanoseconds(check.start_interval_ms)),
    }
}

fn nanoseconds(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: CheckTest) -> Check {
        Check { test, interval_ms: 2000, timeout_ms: 1000, retries: 3, start_period_ms: 0, start_interval_ms: 100 }
    }

    #[test]
    fn only_a_command_is_asked_by_the_daemon() {
        let asked = config(&check(CheckTest::Command(vec!["ok".into()])), false).unwrap();
        assert_eq!(asked.test.unwrap(), ["CMD", "ok"]);
        assert_eq!((asked.interval, asked.start_interval), (Some(2_000_000_000), None));
        assert_eq!(config(&check(CheckTest::Disabled), true).unwrap().test.unwrap(), ["NONE"]);
        assert_eq!(config(&check(CheckTest::Running), true), None);
    }
}
