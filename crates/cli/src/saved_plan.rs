//! A plan that a person looked at and saved, for `apply` to carry out exactly.
//!
//! The file is JSON with a digest of the rest: what was shown and what is carried out belong together, so a file
//! that was cut off or changed is not read at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use daybook_api::change::Change;
use daybook_api::plan::PlanReply;
use daybook_manifest::Cipher;
use daybook_model::{Digest, EnvKey};
use serde::{Deserialize, Serialize};

use crate::encrypted;
use crate::error::{CommandError, Result};

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// The largest file that is read, in bytes: more than the server takes, written out.
const MAX_BYTES: u64 = 32 << 20;

/// A plan and what it was made from.
#[derive(Serialize, Deserialize)]
pub(crate) struct SavedPlan {
    format: u32,
    /// The environment.
    pub(crate) key: EnvKey,
    /// What was asked for, without the texts of encrypted files.
    change: Change,
    /// Encrypted files that were open, and are opened again: what they hold is in no other file.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    encrypted: BTreeSet<String>,
    /// What was shown.
    pub(crate) plan_id: String,
    /// What it was made from.
    pub(crate) basis: String,
    /// As it was shown.
    pub(crate) text: String,
    /// Of all the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
}

impl SavedPlan {
    pub(crate) fn of(reply: &PlanReply, mut change: Change) -> Self {
        let opened = opened(&mut change).map(std::mem::take).unwrap_or_default();
        let mut saved = Self {
            format: FORMAT,
            key: reply.key.clone(),
            change,
            encrypted: opened.into_keys().collect(),
            plan_id: reply.plan_id.clone(),
            basis: reply.basis.clone(),
            text: reply.text.clone(),
            digest: None,
        };
        saved.digest = Some(saved.digest_of_rest());
        saved
    }

    /// What was asked for, with the texts of encrypted files as they are now: other values are another plan, which is
    /// refused.
    pub(crate) fn change(&self) -> Result<Change> {
        let mut change = self.change.clone();
        for key in &self.encrypted {
            let Some((cipher, path)) = Cipher::of_key(key) else { continue };
            let text = encrypted::open(path, cipher)
                .map_err(|why| CommandError::failed(format!("cannot open {}: {why}", path.display())))?;
            if let Some(opened) = opened(&mut change) {
                opened.insert(key.clone(), text);
            }
        }
        Ok(change)
    }

    /// Writes it to a file that only its owner may read: a manifest's variables may be in it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).expect("a saved plan is plain data");
        let failed = |error: io::Error| CommandError::io(format_args!("save the plan to {}", path.display()), &error);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(failed)?;
        file.write_all(&text).map_err(failed)
    }

    /// Reads it back, unless it is not exactly what was written.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let wrong = |why: String| {
            let message = format!("{} is not a saved plan: {why}", path.display());
            CommandError::failed(message).hint("save one: daybook plan --out FILE")
        };
        let failed = |error: io::Error| CommandError::io(format_args!("read the plan {}", path.display()), &error);
        let file = File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(wrong(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
        }
        let mut saved: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if saved.format != FORMAT {
            return Err(wrong(format!("format {} is not {FORMAT}", saved.format)));
        }
        let digest = saved.digest.take();
        if digest.as_ref() != Some(&saved.digest_of_rest()) {
            return Err(wrong("it was changed after it was saved, or is damaged".to_owned()));
        }
        saved.digest = digest;
        Ok(saved)
    }

    /// The digest of everything but the digest, which must not be there.
    fn digest_of_rest(&self) -> Digest {
        debug_assert!(self.digest.is_none());
        Digest::of(&serde_json::to_vec(self).expect("a saved plan is plain data"))
    }
}

/// The texts of encrypted files that a change brings.
fn opened(change: &mut Change) -> Option<&mut BTreeMap<String, String>> {
    match change {
        Change::Up(up) => Some(&mut up.bundle.opened),
        Change::Move(wanted) => Some(&mut wanted.up.bundle.opened),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use daybook_api::change::{Bundle, Up};
    use daybook_fuzz::{Chance, Tally, cases, damage};

    use super::*;

    fn saved() -> SavedPlan {
        let path = "/work/shop/daybook.yaml".to_owned();
        let bundle = Bundle {
            entries: vec![path.clone()],
            root: "/work/shop".to_owned(),
            files: BTreeMap::from([(path, "services: {web: {image: \"shop:1\"}}\n".to_owned())]),
            variables: BTreeMap::from([("TAG".to_owned(), "1\u{e9}\n".to_owned())]),
            ..Bundle::default()
        };
        let environment = "production".parse().unwrap();
        let up = Up { bundle, environment, profiles: vec!["a".to_owned()], app: None, target: None };
        let mut saved = SavedPlan {
            format: FORMAT,
            key: "shop/production".parse().unwrap(),
            change: Change::Up(up),
            encrypted: BTreeSet::from(["sops:/work/shop/secrets.yaml".to_owned()]),
            plan_id: "plan".to_owned(),
            basis: "basis".to_owned(),
            text: "shop/production: 1 change\n".to_owned(),
            digest: None,
        };
        saved.digest = Some(saved.digest_of_rest());
        saved
    }

    /// Writes `bytes` where a plan should be, and tells why it is refused. What is read must be what was saved.
    fn refused(tally: &Tally, path: &Path, bytes: &[u8]) -> Option<String> {
        std::fs::write(path, bytes).unwrap();
        match tally.measure(bytes, || SavedPlan::read(path)) {
            Ok(read) => {
                assert_eq!(read.digest, saved().digest, "{}", String::from_utf8_lossy(bytes));
                None
            }
            Err(error) => {
                assert!(error.message.contains(&path.display().to_string()), "{}", error.message);
                assert!(error.message.len() < 10_000 && error.hint.is_some(), "{}", error.message);
                Some(error.message)
            }
        }
    }

    #[test]
    fn r36_a_damaged_saved_plan_is_refused_or_is_the_one_that_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan");
        saved().write(&path).unwrap();
        let good = std::fs::read(&path).unwrap();
        let tally = Tally::start("damaged saved plans");
        assert_eq!(refused(&tally, &path, &good), None);
        for length in 0..good.len() {
            assert!(refused(&tally, &path, &good[..length]).is_some(), "cut at {length}");
        }
        for seed in 0..u64::from(cases(2_000)) {
            refused(&tally, &path, &damage(&good, &mut Chance::new(seed)));
        }
        let text = String::from_utf8(good).unwrap();
        let other = text.replace("1 change", "0 changes");
        assert!(refused(&tally, &path, other.as_bytes()).unwrap().contains("was changed"));
        let newer = text.replacen("\"format\": 1", "\"format\": 2", 1);
        assert!(refused(&tally, &path, newer.as_bytes()).unwrap().contains("format 2"));
    }

    #[test]
    fn r36_what_never_was_a_saved_plan_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan");
        let tally = Tally::start("files that are no saved plans");
        let deep = "[".repeat(1 << 20);
        let many = format!("{{{}}}", "\"format\": 1,".repeat(1 << 16));
        let inputs: [&[u8]; 10] = [
            b"",
            b"{}",
            b"null",
            b"services: {web: {image: a}}\n",
            b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
            b"../../etc/passwd\0\0\0\0",
            b"\xff\xfe{\0}\0",
            &[0; 1 << 20],
            deep.as_bytes(),
            many.as_bytes(),
        ];
        for input in inputs {
            assert!(refused(&tally, &path, input).is_some());
        }
        // As large as a disk, and without an end.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        for path in [&path, Path::new("/dev/zero")] {
            let error = tally.measure(b"endless", || SavedPlan::read(path)).err().unwrap();
            assert!(error.message.contains("larger than 32 MiB"), "{}", error.message);
        }
        assert!(SavedPlan::read(dir.path()).is_err());
    }
}
