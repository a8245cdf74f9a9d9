//! Work on large specifications that more than one core can share. The results do not depend on how many did.

use std::num::NonZero;
use std::thread;

use daybook_model::fingerprint::Fingerprint;
use daybook_model::{Service, Spec};

/// How many services are worth a thread.
const WORTH_A_THREAD: usize = 500;

/// The fingerprint of each service, in their order.
pub(super) fn fingerprints(spec: &Spec) -> Vec<Fingerprint> {
    let services: Vec<&Service> = spec.services.values().map(Box::as_ref).collect();
    let of_each = |part: &[&Service]| part.iter().map(|service| Fingerprint::of(service)).collect::<Vec<_>>();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let part = services.len().div_ceil(cores).max(WORTH_A_THREAD);
    if services.len() <= part {
        return of_each(&services);
    }
    thread::scope(|scope| {
        let parts: Vec<_> = services.chunks(part).map(|part| scope.spawn(move || of_each(part))).collect();
        parts.into_iter().flat_map(joined).collect()
    })
}

/// What `first` and `second` give, made at the same time where there are `services` enough for it.
pub(super) fn both<A: Send, B>(
    services: usize,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B,
) -> (A, B) {
    if services < WORTH_A_THREAD {
        return (first(), second());
    }
    thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        (joined(first), second)
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
