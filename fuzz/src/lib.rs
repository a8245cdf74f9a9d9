//! What tests with malformed inputs share: a tally of what they tried, a source of chance that can be
//! repeated, and damage to bytes.
//!
//! No test fails for being slow: machines are noisy. `make fuzz` prints the figures, and `docs/promises.md`
//! keeps them.

mod damage;
mod tally;

pub use damage::{Chance, damage};
pub use tally::Tally;

/// How many inputs a property is tried with: `PROPTEST_CASES`, or what is `usual` for `make test`.
pub fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}
