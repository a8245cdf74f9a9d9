//! Looks for damage.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustic_core::CheckOptions;

use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::restore::text_of;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Snapshots, trees and the index; that all packs are there, and as long as they should be.
    Structure,
    /// That, and every byte of every pack that a snapshot needs.
    Everything,
}

/// Something that is wrong with a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What was found.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl Repository {
    /// Looks for damage: nothing, where all is well. An error means that it could not be looked, not that there is
    /// damage.
    ///
    /// That a snapshot was removed cannot be seen, nor what the password's owner has written.
    pub fn check(&self, depth: Depth) -> Result<Vec<Damage>> {
        let mut options = CheckOptions::default();
        options.read_data = depth == Depth::Everything;
        let session = match self.session() {
            Err(Error::Damaged { why, .. }) => return Ok(vec![Damage { what: why }]),
            session => session?,
        };
        // The library panics where what it decompresses is no compressed text.
        let checked = catch_unwind(AssertUnwindSafe(|| session.repository.check(options)));
        if let Some(failure) = session.link.seen().failure.clone() {
            return Err(failure.into());
        }
        let results = match checked {
            Err(panic) => return Ok(vec![Damage { what: text_of(&*panic) }]),
            Ok(Err(error)) => return Ok(vec![Damage { what: error.display_log() }]),
            Ok(Ok(results)) => results,
        };
        // Warnings are of packs that nobody needs, as an interrupted backup leaves them.
        let errors = results.0.iter().filter(|(level, _)| format!("{level:?}") == "Error");
        Ok(errors.map(|(_, error)| Damage { what: tell(error) }).collect())
    }
}

/// The error, and the innermost reason of it.
fn tell(error: &dyn std::error::Error) -> String {
    let reason = error.source().and_then(|source| source.downcast_ref::<rustic_core::RusticError>());
    reason.map_or_else(|| error.to_string(), rustic_core::RusticError::display_log)
}
