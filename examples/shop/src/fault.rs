//! What is broken on purpose, so that people can see what Daybook makes of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A way to be broken, from a time after the start on.
pub(crate) struct Fault {
    kind: Kind,
    started: Instant,
    after: Duration,
    asked: AtomicU64,
}

/// Processors that a busy replica takes, if it gets them.
const BUSY: u32 = 4;
/// Every how manieth request fails of those of which some do.
const SOME: u64 = 5;

/// The ways to be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Errors,
    Some,
    Crash,
    Slow,
    Oom,
    Leak,
    Busy,
    NotReady,
    Migrate,
    WrongPort,
}

const NAMES: [(&str, Kind); 11] = [
    ("none", Kind::None),
    ("errors", Kind::Errors),
    ("some", Kind::Some),
    ("crash", Kind::Crash),
    ("slow", Kind::Slow),
    ("oom", Kind::Oom),
    ("leak", Kind::Leak),
    ("busy", Kind::Busy),
    ("not-ready", Kind::NotReady),
    ("migrate", Kind::Migrate),
    ("wrong-port", Kind::WrongPort),
];

impl Fault {
    /// The fault of this name, which begins `after` the start. Errors list the names.
    pub(crate) fn new(name: &str, after: Duration) -> Result<Self, String> {
        let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        let names = || NAMES.map(|(name, _)| name).join(", ");
        let kind = known.ok_or_else(|| format!("SHOP_FAULT is `{name}`; it can be {}", names()))?;
        Ok(Self { kind, started: Instant::now(), after, asked: AtomicU64::new(0) })
    }

    /// Whether this request to a page or the API is answered with 500.
    pub(crate) fn errors(&self) -> bool {
        match self.kind {
            Kind::Errors => self.begun(),
            Kind::Some => self.begun() && self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(SOME),
            _ => false,
        }
    }

    /// How much longer every answer takes.
    pub(crate) fn delay(&self) -> Duration {
        if self.kind == Kind::Slow && self.begun() { Duration::from_millis(2_500) } else { Duration::ZERO }
    }

    /// Why this replica is not ready, if it is not.
    pub(crate) fn not_ready(&self) -> Option<&'static str> {
        (self.kind == Kind::NotReady).then_some("relation \"coupons\" does not exist")
    }

    /// Why the migration fails, if it does.
    pub(crate) fn migration(&self) -> Option<&'static str> {
        (self.kind == Kind::Migrate).then_some("column \"gift\" of table \"orders\" exists already")
    }

    /// Whether the shop listens on another port than it was told.
    pub(crate) fn wrong_port(&self) -> bool {
        self.kind == Kind::WrongPort
    }

    /// Starts what happens by itself: a crash, memory that grows without bound, or work without end.
    pub(crate) fn begin(&self) {
        let after = self.after;
        match self.kind {
            Kind::Crash => drop(std::thread::spawn(move || crash(after))),
            Kind::Oom => drop(std::thread::spawn(move || grow(after, Duration::from_millis(20)))),
            Kind::Leak => drop(std::thread::spawn(move || grow(after, Duration::from_secs(3)))),
            Kind::Busy => (0..BUSY).for_each(|_| drop(std::thread::spawn(move || busy(after)))),
            _ => {}
        }
    }

    fn begun(&self) -> bool {
        self.started.elapsed() >= self.after
    }
}

/// Takes a processor for good.
fn busy(after: Duration) {
    std::thread::sleep(after);
    crate::work::forever();
}

fn crash(after: Duration) {
    std::thread::sleep(after);
    eprintln!("shop: environment variable COUPON_KEY is missing");
    std::process::exit(3);
}

/// Needs 4 MB more, again and again.
fn grow(after: Duration, every: Duration) {
    std::thread::sleep(after);
    crate::say("loading every picture into memory");
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 4 << 20]);
        std::thread::sleep(every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_breaks_one_thing() {
        let fault = |name| Fault::new(name, Duration::ZERO).unwrap();
        assert!(fault("errors").errors() && !fault("none").errors());
        assert!(fault("slow").delay() > Duration::from_secs(1) && fault("errors").delay().is_zero());
        assert!(fault("not-ready").not_ready().is_some() && fault("crash").not_ready().is_none());
        assert!(fault("migrate").migration().is_some() && fault("oom").migration().is_none());
        assert!(!Fault::new("errors", Duration::from_secs(60)).unwrap().errors());
        let some = fault("some");
        assert_eq!((0..50).filter(|_| some.errors()).count(), 10);
    }
}
