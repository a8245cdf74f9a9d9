//! Restores a backup of a state into a scratch directory, and sees whether it could be lived with.

use std::path::Path;
use std::time::Instant;

use daybook_decide::text::plural;
use daybook_model::Timestamp;
use daybook_store::KeySource;
use uuid::Uuid;

use super::restore::{compare, unpack};
use super::{Destination, KeyKept, Listed, Record, Scratch, StateError, find};

/// The key for a backup that has none.
#[derive(Debug, Clone)]
pub struct KeyForDrill {
    /// Where it is from. `None`: nobody said.
    pub source: Option<KeySource>,
    /// The passphrase under which the key is sealed, that of the backup too.
    pub passphrase: Option<String>,
}

/// What came of a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drilled {
    /// The backup.
    pub listed: Listed,
    /// What was looked at and is as it was, in words.
    pub checks: Vec<String>,
    /// What is wrong with the backup.
    pub wrong: Option<String>,
    /// From the beginning until the state could have been served, milliseconds.
    pub took_ms: u64,
}

/// Restores the backup whose name begins with `wanted`, or the newest, into a directory of its own beneath `scratch`, and
/// looks through it. What is found to be wrong with the backup is no error of this function.
///
/// # Errors
/// It could not be tried, which says nothing of the backup.
pub async fn drill(
    destination: &Destination,
    wanted: Option<&str>,
    scratch: &Path,
    key: &KeyForDrill,
) -> Result<Drilled, StateError> {
    let listed = find(destination, wanted).await?;
    let began = Instant::now();
    let scratch = Scratch::make(scratch.join(format!("daybook-drill-{}", Uuid::now_v7().simple())))?;
    let looked = look(destination, &listed, &scratch.0, key).await;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match looked {
        Ok(checks) => Ok(Drilled { listed, checks, wrong: None, took_ms }),
        Err(error) if error.is_of_the_backup() => {
            Ok(Drilled { listed, checks: Vec::new(), wrong: Some(error.to_string()), took_ms })
        }
        Err(error) => Err(error),
    }
}

/// Remembers in a state directory that its newest backup was proven.
pub(super) fn remember(state: &Path, drilled: &Drilled, now: Timestamp) -> Result<(), StateError> {
    match Record::of(state) {
        Some(record) if record.snapshot == drilled.listed.snapshot => {
            Record { proven: Some(now), ..record }.keep(state)
        }
        _ => Ok(()),
    }
}

async fn look(
    destination: &Destination,
    listed: &Listed,
    into: &Path,
    key: &KeyForDrill,
) -> Result<Vec<String>, StateError> {
    let facts = unpack(destination, listed, into).await?;
    let source = match (facts.key, &key.source) {
        (KeyKept::Included, _) => Some(&KeySource::Own),
        (_, source) => source.as_ref(),
    };
    let held = daybook_store::examine(into, source, key.passphrase.as_deref()).await?;
    compare(&facts, &held)?;
    if source.is_none() && held.secrets > 0 {
        return Err(StateError::Differs(format!(
            "nothing opens its {}: the master key is not in the backup, and was not given. Where it is kept: `--key-file`, \
             `--key-from`",
            plural(held.secrets, "sealed secret")
        )));
    }
    let mut checks = vec![
        "every page of the database is sound".to_owned(),
        format!("{}, each after the one before", plural(held.entries, "line") + " of the journal"),
        plural(held.releases, "release"),
    ];
    if held.secrets > 0 {
        checks.push(format!("{} opened with the key", plural(held.secrets, "secret")));
    }
    Ok(checks)
}
