//! A scratch copy is brought to a moment: the files of a base backup, and what was written since.

use std::io::Write as _;

use daybook_backup::{Error, Repository};
use daybook_data::archive as commands;
use daybook_decide::archive::{Point, segment_at};
use daybook_decide::text::size;
use daybook_model::database::RECOVERED;
use daybook_model::spec::EnvValue;
use daybook_model::{DatabaseName, EnvKey, Release, ReplicaId, Timestamp};

use super::archive::actor;
use super::base::FILES;
use super::drill::{Wrong, of_repository};
use super::operations::Operation;
use super::pipe::{Outlet, fill, hear, outlet};
use super::repository::Home;
use super::save::Door;
use super::scratch::scratch_spec;
use crate::App;
use crate::error::ApiError;

/// A scratch copy that was brought to a moment, and answers.
pub(super) struct Recovered {
    pub(super) door: Door,
    /// When the last transaction in it was, as its server tells.
    pub(super) last: Option<String>,
}

impl App {
    /// Brings a scratch copy, which was raised before, to a moment; to the last of all without.
    #[allow(clippy::too_many_arguments, reason = "what, from where, to where, and who is told")]
    pub(super) async fn recover(
        &self,
        release: &Release,
        name: &DatabaseName,
        scratch: &EnvKey,
        home: &Home,
        point: &Point,
        at: Option<Timestamp>,
        operation: &Operation,
    ) -> Result<Recovered, Wrong> {
        let door = self.door(scratch, name).await?;
        let base = point.base.snapshot.clone();
        operation.note("takes in the base backup");
        self.feed(scratch, &door.replica, commands::take_base(RECOVERED), home, operation, move |repository, to| {
            repository.read(&base, FILES, to).map(drop)
        })
        .await?;
        operation.note("takes in what was written since");
        let files = point.files.clone();
        self.feed(scratch, &door.replica, commands::take_segments(), home, operation, move |repository, to| {
            let mut left = 0;
            repository.read_each(&files, to, &mut |name, bytes, to| {
                to.write_all(&vec![0; left])?;
                left = padding(bytes);
                to.write_all(&tar_header(name, bytes))
            })?;
            to.write_all(&vec![0; left + 1024]).map_err(|why| Error::Destination { why })
        })
        .await?;
        operation.note("brings it to the moment");
        let target = at.map(|at| at.strftime("%Y-%m-%d %H:%M:%S.%6f+00").to_string());
        let exec = self.run_beside(scratch, &door.replica, commands::recover(&door.admin, target.as_deref())).await?;
        let told = hear(exec, format!("{}\n", door.password).as_bytes(), "the recovery").await;
        let told = told.map_err(|why| Wrong::Backup(vec![why]))?;
        let (place, last) = commands::came_to(&told);
        let reached = place.and_then(|place| segment_at(&place, 1, point.segment_bytes, false));
        if at.is_none() && reached.is_none_or(|reached| reached.number < point.last) {
            return Err(Wrong::Backup(vec![
                "not all that was written came back: the recovery ended before".to_owned(),
            ]));
        }
        operation.note("starts it");
        drop(door);
        let mut spec = scratch_spec(&release.spec, scratch.clone(), name)
            .ok_or_else(|| ApiError::invalid(format!("nothing says how `{name}` is run")))?;
        for service in spec.services.values_mut() {
            if let Some(EnvValue::Text(place)) = service.container.environment.get_mut("PGDATA") {
                *place = commands::recovered(place);
            }
        }
        self.bring(spec, &format!("recovery of {name}"), &actor()).await?;
        let door = self.door(scratch, name).await?;
        Ok(Recovered { door, last })
    }

    /// Lets a command beside a server read what the repository has.
    async fn feed(
        &self,
        key: &EnvKey,
        replica: &ReplicaId,
        argv: Vec<String>,
        home: &Home,
        operation: &Operation,
        write: impl FnOnce(&Repository, &mut Outlet) -> daybook_backup::Result<()> + Send + 'static,
    ) -> Result<(), Wrong> {
        let exec = self.run_beside(key, replica, argv).await?;
        let (mut to, from) = outlet();
        let reading = home.open(move |repository| Ok(write(repository, &mut to)));
        let filling = fill(exec, "", "tar", from, |sent| operation.note(format!("{} taken in", size(sent))));
        let (read, filled) = tokio::join!(reading, filling);
        match read? {
            // A command that ends early reads no more: its own words say why.
            Some(Err(Error::Destination { .. }) | Ok(())) => {}
            Some(Err(error)) => return Err(of_repository(error)),
            None => return Err(Wrong::Backup(vec![format!("there is no repository in {}", home.shown)])),
        }
        // The scratch copy may have no room: that says nothing of the backup.
        filled.map_err(|why| Wrong::Else(ApiError::invalid(why)))
    }
}

const BLOCK: u64 = 512;

/// How many bytes follow a file of so many.
fn padding(bytes: u64) -> usize {
    usize::try_from(bytes.next_multiple_of(BLOCK) - bytes).unwrap_or(0)
}

/// The header of a file in an archive, in the format `ustar` of POSIX.
fn tar_header(name: &str, bytes: u64) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{bytes:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    // While the sum is taken, its own place counts as blanks.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_read_by_tar() {
        let directory = tempfile::tempdir().unwrap();
        let (name, content) = ("000000010000000000000002", vec![7_u8; 1_000]);
        let mut all = tar_header(name, 1_000).to_vec();
        all.extend(&content);
        all.extend(vec![0; padding(1_000) + 1024]);
        let file = directory.path().join("all.tar");
        std::fs::write(&file, all).unwrap();
        let mut tar = std::process::Command::new("tar");
        let ended = tar.arg("-xf").arg(&file).arg("-C").arg(directory.path()).status().unwrap();
        assert!(ended.success());
        assert_eq!(std::fs::read(directory.path().join(name)).unwrap(), content);
        assert_eq!(padding(512), 0);
    }
}
