//! Lets backups build on what is whole only.

use std::collections::{HashMap, HashSet};

use crate::check::{Damage, Depth, Inventory};
use crate::coder::Coder;
use crate::error::Result;
use crate::hash::Sum;
use crate::index::{Index, IndexFile, IndexedPack};
use crate::lock::Lock;
use crate::pack::{Packer, blobs_of};
use crate::repository::Repository;

/// What a repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Packs that are missing or damaged, and were taken out of the index.
    pub damaged_packs: u64,
    /// Parts that were still whole in damaged packs, and are kept.
    pub kept_parts: u64,
    /// Whole packs that the index did not know.
    pub found_packs: u64,
    /// Files of snapshots that nobody could read, and that were removed.
    pub removed_snapshots: u64,
    /// What is still wrong: snapshots that lack something, until a backup brings it again.
    pub left: Vec<Damage>,
}

impl Repository {
    /// Takes what is missing or damaged out of the index, so that the next backup stores it again where it still is in
    /// what is backed up; that makes older snapshots whole as well. What damaged packs still have is kept.
    ///
    /// With [`Depth::Structure`] only packs that are missing or too short count as damaged, with [`Depth::Everything`]
    /// each is read. [`crate::Error::Locked`] where `restic` works there. Nobody may prune meanwhile.
    pub fn repair(&self, depth: Depth) -> Result<Repaired> {
        let _lock = Lock::exclusive(self)?;
        let session = self.session()?;
        let inventory = self.inventory()?;
        let Sorted { whole: packs, damaged, found } = self.sort(&inventory, depth)?;
        let mut whole = Index::default();
        packs.into_iter().for_each(|pack| whole.add(pack));
        let config = session.repository.config();
        let level = config.zstd().map_err(|error| self.told(&session.link, &error, "reading the file `config`"))?;
        let packer = Packer::new(&session.link, &self.key, config, level, &mut whole);
        let mut repaired = Repaired { damaged_packs: damaged.len() as u64, ..Repaired::default() };
        let mut coder = None;
        for pack in found {
            packer.index_pack(pack)?;
            repaired.found_packs += 1;
        }
        for pack in damaged.values() {
            repaired.kept_parts += self.keep_parts(&packer, &mut coder, pack)?;
        }
        packer.finish()?;
        // From here on all that is whole is in the index twice, or will be.
        self.rewrite_index(&packer, inventory, &damaged)?;
        for (name, _) in self.snapshot_files()?.into_iter().filter(|(_, snapshot)| snapshot.is_none()) {
            self.storage.remove(&format!("snapshots/{name}"))?;
            repaired.removed_snapshots += 1;
        }
        repaired.left = self.check(Depth::Structure)?;
        Ok(repaired)
    }

    fn sort<'a>(&self, inventory: &'a Inventory, depth: Depth) -> Result<Sorted<'a>> {
        let mut sorted = Sorted::default();
        let files = || inventory.index.iter().map(|(_, file)| file);
        let packs = files().flat_map(|file| &file.packs);
        let (mut seen, mut to_read) = (HashSet::new(), Vec::new());
        for pack in packs.filter(|pack| seen.insert(pack.id)) {
            match inventory.fault(pack) {
                Some(_) => _ = sorted.damaged.insert(pack.id, pack.clone()),
                None => to_read.push(pack),
            }
        }
        let unread = match depth {
            Depth::Everything => self.damaged_packs(&to_read)?,
            Depth::Structure => Vec::new(),
        };
        let unread: HashSet<Sum> = unread.into_iter().map(|(id, _)| id).collect();
        for pack in to_read {
            match unread.contains(&pack.id) {
                true => _ = sorted.damaged.insert(pack.id, pack.clone()),
                false => sorted.whole.push(pack),
            }
        }
        seen.extend(files().flat_map(|file| &file.packs_to_delete).map(|pack| pack.id));
        for id in inventory.packs.keys().filter(|id| !seen.contains(id)) {
            sorted.found.extend(self.unknown(*id)?);
        }
        Ok(sorted)
    }

    /// A pack that the index does not know, where it is whole.
    fn unknown(&self, id: Sum) -> Result<Option<IndexedPack>> {
        let Some(content) = self.pack(id)?.filter(|content| Sum::of(content) == id) else { return Ok(None) };
        let blobs = blobs_of(&self.key, &content);
        Ok(blobs.map(|blobs| IndexedPack { id, blobs, time: None, size: None }))
    }

    /// Packs again what is still whole in a damaged pack.
    fn keep_parts(&self, packer: &Packer<'_>, coder: &mut Option<Coder>, pack: &IndexedPack) -> Result<u64> {
        let Some(content) = self.pack(pack.id)? else { return Ok(0) };
        let mut kept = 0;
        for blob in &pack.blobs {
            if let Some(bytes) = self.blob(&content, blob) {
                packer.add(packer.coder(coder)?, blob.kind, bytes)?;
                kept += 1;
            }
        }
        Ok(kept)
    }

    /// Writes those files of the index anew that tell of damaged packs, and removes what nobody can read.
    fn rewrite_index(
        &self,
        packer: &Packer<'_>,
        inventory: Inventory,
        damaged: &HashMap<Sum, IndexedPack>,
    ) -> Result<()> {
        for (listed, file) in inventory.index {
            let packs = file.packs.len() + file.packs_to_delete.len();
            let mut rest = IndexFile { packs: file.packs, packs_to_delete: file.packs_to_delete };
            rest.packs.retain(|pack| !damaged.contains_key(&pack.id));
            rest.packs_to_delete.retain(|pack| inventory.packs.contains_key(&pack.id));
            if rest.packs.len() + rest.packs_to_delete.len() < packs {
                packer.write_index(&rest)?;
                self.storage.remove(&format!("index/{}", listed.name))?;
            }
        }
        for listed in inventory.unread {
            self.storage.remove(&format!("index/{}", listed.name))?;
        }
        Ok(())
    }
}

/// The packs of a repository.
#[derive(Default)]
struct Sorted<'a> {
    whole: Vec<&'a IndexedPack>,
    /// Missing or damaged, and in the index.
    damaged: HashMap<Sum, IndexedPack>,
    /// Whole, and not in the index.
    found: Vec<IndexedPack>,
}
