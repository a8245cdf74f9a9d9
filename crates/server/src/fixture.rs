//! What a journal says, for tests.

use daybook_model::{Actor, Digest, Entry, Event};

/// What Daybook wrote down about `shop/production` at a time, as the first entry.
pub(crate) fn entry(event: Event, at: &str) -> Entry {
    Entry {
        seq: 1,
        at: at.parse().unwrap(),
        key: Some("shop/production".parse().unwrap()),
        run: None,
        actor: Actor::daybook("test"),
        event,
        previous: Digest::of(b""),
        hash: Digest::of(b""),
    }
}
