//! How a sender goes on: what it reads next, and what an answer means.

use super::Version;

/// How far a sender is: all from before a time was sent, or is not to be sent again. It is all that has to be remembered across
/// restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// That time, in milliseconds since 1970. It is not sent itself.
    pub before: i64,
}

impl Progress {
    /// The times that are to be read and sent next, both included: at most `longest` milliseconds, and nothing from the last `settle`
    /// ones, so that what comes a little late is sent as well. None if it is too early.
    pub fn next(&self, now: i64, settle: i64, longest: i64) -> Option<(i64, i64)> {
        let last = now.saturating_sub(settle).min(self.before.saturating_add(longest)).saturating_sub(1);
        (last >= self.before).then_some((self.before, last))
    }

    /// All until a time, which is included, was sent or given up.
    #[must_use]
    pub fn sent(self, until: i64) -> Self {
        Self { before: self.before.max(until.saturating_add(1)) }
    }
}

/// How long a sender waits before it tries again: twice as long each time, within bounds. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first try.
    pub least: i64,
    /// At most.
    pub most: i64,
}

/// That of Prometheus.
impl Default for Backoff {
    fn default() -> Self {
        Self { least: 30, most: 5_000 }
    }
}

impl Backoff {
    /// How long to wait after so many failed tries.
    pub fn wait(&self, tries: u32) -> i64 {
        let doubled = self.least.checked_shl(tries.saturating_sub(1)).filter(|wait| *wait >= self.least);
        if tries > 40 { self.most } else { doubled.unwrap_or(self.most).min(self.most) }
    }
}

/// What a sender does after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken: go on.
    Taken,
    /// Try the same again after so many milliseconds.
    Again(i64),
    /// It will never be taken: go on, and say so.
    GiveUp,
    /// The receiver does not understand it: send the same in this protocol, and all that follows.
    Speak(Version),
}

/// What a try means, by the status of its answer, if there was one. `retry_after` is the header of the answer, if it has one,
/// and `written` the header that says how many samples were written. `tries` counts this one.
pub fn verdict(
    version: Version,
    status: Option<u16>,
    retry_after: Option<&str>,
    written: Option<&str>,
    tries: u32,
    backoff: Backoff,
) -> Verdict {
    let asked =
        retry_after.and_then(|text| text.trim().parse::<i64>().ok()).map(|seconds| seconds.saturating_mul(1000));
    let wait = backoff.wait(tries).max(asked.unwrap_or(0).clamp(0, 600_000));
    match (status, version) {
        // Who knows 2.0 says what was written. Who does not took nothing of it.
        (Some(200..=299), Version::Two) if written.is_none() => Verdict::Speak(Version::One),
        (Some(200..=299), _) => Verdict::Taken,
        (Some(415), Version::Two) => Verdict::Speak(Version::One),
        (None | Some(429 | 500..=599), _) => Verdict::Again(wait),
        (Some(_), _) => Verdict::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_times_are_sent_once_and_in_order() {
        let mut progress = Progress { before: 1_000 };
        let mut sent = Vec::new();
        for now in (1_000..60_000).step_by(700) {
            while let Some((from, to)) = progress.next(now, 5_000, 2_000) {
                sent.push((from, to));
                progress = progress.sent(to);
                assert!(to < now - 5_000 + 1);
            }
        }
        assert_eq!(sent[0].0, 1_000);
        assert!(sent.windows(2).all(|two| two[0].1 + 1 == two[1].0));
        assert!(sent.iter().all(|(from, to)| to - from < 2_000));
        assert_eq!(progress.sent(0), progress);
    }

    #[test]
    fn what_an_answer_means() {
        let backoff = Backoff::default();
        let of = |version, status, after, written| verdict(version, status, after, written, 3, backoff);
        assert_eq!(of(Version::One, Some(204), None, None), Verdict::Taken);
        assert_eq!(of(Version::Two, Some(204), None, Some("7")), Verdict::Taken);
        assert_eq!(of(Version::Two, Some(204), None, None), Verdict::Speak(Version::One));
        assert_eq!(of(Version::Two, Some(415), None, None), Verdict::Speak(Version::One));
        assert_eq!(of(Version::One, Some(415), None, None), Verdict::GiveUp);
        assert_eq!(of(Version::One, Some(400), None, None), Verdict::GiveUp);
        assert_eq!(of(Version::One, Some(503), None, None), Verdict::Again(120));
        assert_eq!(of(Version::One, Some(429), Some("2"), None), Verdict::Again(2_000));
        assert_eq!(of(Version::One, None, Some("soon"), None), Verdict::Again(120));
        assert_eq!([1, 2, 8, 9, 100].map(|tries| backoff.wait(tries)), [30, 60, 3_840, 5_000, 5_000]);
    }
}
