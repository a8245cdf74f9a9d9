//! How long clients and replicas may take.

use std::time::Duration;

/// How long clients and replicas may take, each counted from the last progress. Nothing bounds how long a transfer may
/// go on that makes any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The head of a request, from its first byte to its last.
    pub head: Duration,
    /// A connection may wait for its next request.
    pub idle: Duration,
    /// An upload may bring nothing.
    pub upload: Duration,
    /// A replica may give no head of an answer, once it has been sent the whole request.
    pub answer: Duration,
    /// A client may take nothing of what there is for it.
    pub stall: Duration,
}

/// How often a connection is looked at where no bound is shorter: the grain of the bounds that have no timer.
const LONGEST_LOOK: Duration = Duration::from_secs(3);

impl Default for Limits {
    fn default() -> Self {
        let [head, idle, upload, answer, stall] = [20, 75, 30, 60, 60].map(Duration::from_secs);
        Self { head, idle, upload, answer, stall }
    }
}

impl Limits {
    /// How often a connection is to be looked at.
    pub(crate) fn look_every(&self) -> Duration {
        LONGEST_LOOK.min(self.head / 4).min(self.idle / 4).max(Duration::from_millis(1))
    }

    /// Those that are not the usual ones, as `NAME=MILLISECONDS`.
    pub(crate) fn unusual(self) -> impl Iterator<Item = String> {
        let values = |mut limits: Self| limits.by_name().map(|(name, limit)| (name, *limit));
        let pairs = values(self).into_iter().zip(values(Self::default()));
        let unusual = pairs.filter(|(mine, usual)| mine != usual).map(|(mine, _)| mine);
        unusual.map(|(name, limit)| format!("{name}={}", limit.as_millis()))
    }

    /// Takes one in its text form; `None` where there is no such limit or no number.
    pub(crate) fn take(&mut self, text: &str) -> Option<()> {
        let (name, value) = text.split_once('=')?;
        let millis = value.parse().ok().filter(|millis| *millis > 0)?;
        let (_, limit) = self.by_name().into_iter().find(|(known, _)| *known == name)?;
        *limit = Duration::from_millis(millis);
        Some(())
    }

    fn by_name(&mut self) -> [(&'static str, &mut Duration); 5] {
        let Self { head, idle, upload, answer, stall } = self;
        [("head", head), ("idle", idle), ("upload", upload), ("answer", answer), ("stall", stall)]
    }
}

/// Returns when `waited` says that something has been waited for as long as `within`, which it may say anew at any time.
pub(crate) async fn overdue(within: Duration, waited: impl Fn() -> Duration) {
    let mut wait = within;
    while !wait.is_zero() {
        tokio::time::sleep(wait).await;
        wait = within.saturating_sub(waited());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusual_limits_are_written_and_read_back() {
        let mut limits = Limits::default();
        assert_eq!(limits.unusual().next(), None);
        limits.upload = Duration::from_millis(250);
        assert_eq!(limits.unusual().collect::<Vec<_>>(), ["upload=250"]);
        let mut read = Limits::default();
        assert_eq!(read.take("upload=250"), Some(()));
        assert_eq!(read, limits);
        for wrong in ["upload", "upload=", "upload=0", "upload=1s", "uploads=1"] {
            assert_eq!(read.take(wrong), None, "{wrong}");
        }
    }
}
