//! Looks for damage.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rustic_core::repofile::{Node, SnapshotFile};

use crate::error::{Error, Result};
use crate::hash::Sum;
use crate::index::{Index, IndexFile, IndexedBlob, IndexedPack};
use crate::pack::{header, header_of};
use crate::repository::Repository;
use crate::storage::{self, Failure, Kind, Listed};
use crate::threads::{in_threads, lock, threads};

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
    /// What was found, in one line.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// What there is, as far as it can be read.
pub(crate) struct Inventory {
    pub(crate) index: Vec<(Listed, IndexFile)>,
    /// Files of the index that are not what was written.
    pub(crate) unread: Vec<Listed>,
    /// The packs that are there, and how long they are.
    pub(crate) packs: HashMap<Sum, u64>,
}

impl Repository {
    /// Looks for damage: nothing, where all is well. An error means that it could not be looked, not that there is
    /// damage.
    ///
    /// That a snapshot was removed cannot be seen, nor what the password's owner has written.
    pub fn check(&self, depth: Depth) -> Result<Vec<Damage>> {
        match self.session() {
            Err(Error::Damaged { why, .. }) => return Ok(vec![Damage { what: why }]),
            session => session?,
        };
        let inventory = self.inventory()?;
        let mut found: Vec<String> =
            inventory.unread.iter().map(|file| format!("index/{} is not what was written", file.name)).collect();
        let (mut indexed, mut index) = (HashMap::new(), Index::default());
        for pack in inventory.index.iter().flat_map(|(_, file)| &file.packs) {
            index.add(pack);
            indexed.entry(pack.id).or_insert(pack);
        }
        let faults = indexed.values().filter_map(|pack| Some((pack.id, inventory.fault(pack)?)));
        let faults: HashMap<Sum, String> = faults.collect();
        found.extend(faults.values().cloned());
        let mut walk = Walk { repository: self, index: &index, needed: HashSet::new(), found: Vec::new() };
        for (name, snapshot) in self.snapshot_files()? {
            match snapshot {
                Some(snapshot) => walk.snapshot(&name, &snapshot)?,
                None => found.push(format!("snapshots/{name} is not what was written")),
            }
        }
        let Walk { needed, found: in_trees, .. } = walk;
        if depth == Depth::Everything {
            let is_needed = |pack: &IndexedPack| pack.blobs.iter().any(|blob| needed.contains(&blob.id));
            let to_read = indexed.into_values().filter(|pack| !faults.contains_key(&pack.id) && is_needed(pack));
            found.extend(self.damaged_packs(&to_read.collect::<Vec<_>>())?.into_iter().map(|(_, what)| what));
        }
        found.sort();
        found.extend(in_trees);
        Ok(found.into_iter().map(|what| Damage { what }).collect())
    }

    pub(crate) fn inventory(&self) -> Result<Inventory> {
        let (mut index, mut unread) = (Vec::new(), Vec::new());
        for file in self.storage.list("index")? {
            match self.content("index", &file)?.and_then(|text| serde_json::from_slice(&text).ok()) {
                Some(content) => index.push((file, content)),
                None => unread.push(file),
            }
        }
        let listed = self.storage.list("data")?;
        let packs = listed.iter().filter_map(|file| Some((Sum::from_text(&file.name)?, file.size))).collect();
        Ok(Inventory { index, unread, packs })
    }

    /// The names of snapshots, and the snapshots; none where a file is not what was written.
    pub(crate) fn snapshot_files(&self) -> Result<Vec<(String, Option<SnapshotFile>)>> {
        let files = self.storage.list("snapshots")?;
        let read = files.into_iter().map(|file| {
            let text = self.content("snapshots", &file)?;
            Ok((file.name, text.and_then(|text| serde_json::from_slice(&text).ok())))
        });
        read.collect()
    }

    /// What is in a file that is no pack; none where it is not what was written.
    fn content(&self, folder: &str, file: &Listed) -> Result<Option<Vec<u8>>> {
        let sealed = existing(self.storage.read(&format!("{folder}/{}", file.name), None))?;
        let whole = sealed.filter(|sealed| Sum::of(sealed).to_string() == file.name);
        Ok(whole.and_then(|sealed| self.key.open_file(&sealed)))
    }

    /// Reads packs, and tells which are damaged.
    pub(crate) fn damaged_packs(&self, packs: &[&IndexedPack]) -> Result<Vec<(Sum, String)>> {
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        in_threads(threads().min(packs.len()), || {
            while let Some(pack) = packs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let content = self.pack(pack.id)?;
                if let Some(what) = content.map_or(Some("is missing"), |content| self.fault_in(pack, &content)) {
                    lock(&found).push((pack.id, format!("{} {what}", storage::pack(pack.id))));
                }
            }
            Ok(())
        })?;
        Ok(std::mem::take(&mut *lock(&found)))
    }

    /// A pack as it is there; none where it is missing.
    pub(crate) fn pack(&self, id: Sum) -> Result<Option<Bytes>> {
        Ok(existing(self.storage.read(&storage::pack(id), None))?)
    }

    fn fault_in(&self, pack: &IndexedPack, content: &[u8]) -> Option<&'static str> {
        if Sum::of(content) != pack.id {
            return Some("is not what was written");
        }
        let mut blobs = pack.blobs.clone();
        blobs.sort_by_key(|blob| blob.offset);
        let told = header_of(content).and_then(|sealed| self.key.open(sealed));
        if told.is_none_or(|told| told != header(&blobs)) {
            return Some("holds something else than the index says");
        }
        let is_whole = blobs.iter().all(|blob| self.blob(content, blob).is_some());
        (!is_whole).then_some("holds something else than its names say")
    }

    /// A blob of a pack; none where it is not what was saved.
    pub(crate) fn blob(&self, pack: &[u8], blob: &IndexedBlob) -> Option<Vec<u8>> {
        let begin = blob.offset as usize;
        let mut text = self.key.open(pack.get(begin..begin.checked_add(blob.length as usize)?)?)?;
        if let Some(length) = blob.uncompressed_length {
            text = zstd::bulk::decompress(&text, length as usize).ok()?;
        }
        (Sum::of(&text) == blob.id).then_some(text)
    }
}

impl Inventory {
    /// What is wrong with a pack, as far as a listing tells.
    pub(crate) fn fault(&self, pack: &IndexedPack) -> Option<String> {
        let name = storage::pack(pack.id);
        match self.packs.get(&pack.id) {
            None => Some(format!("{name} is missing")),
            Some(size) if *size != pack.length() => {
                Some(format!("{name} has {size} bytes instead of {}", pack.length()))
            }
            Some(_) => None,
        }
    }
}

/// Goes through snapshots.
struct Walk<'a> {
    repository: &'a Repository,
    index: &'a Index,
    needed: HashSet<Sum>,
    found: Vec<String>,
}

impl Walk<'_> {
    fn snapshot(&mut self, id: &str, snapshot: &SnapshotFile) -> Result<()> {
        let mut trees = vec![(PathBuf::from("/"), Sum::from(*snapshot.tree))];
        while let Some((path, tree)) = trees.pop() {
            // What is wrong in a tree is told with the first snapshot that has it.
            if !self.needed.insert(tree) {
                continue;
            }
            let Some(read) = self.repository.tree(self.index, tree)? else {
                self.tell(id, &path, "is missing with all that is in it");
                continue;
            };
            for node in read.nodes {
                let path = path.join(&*node.name());
                match node.subtree {
                    Some(inner) => trees.push((path, Sum::from(*inner))),
                    None => self.file(id, &path, &node),
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, id: &str, path: &Path, node: &Node) {
        let parts: Vec<Sum> = node.content.iter().flatten().map(|part| Sum::from(**part)).collect();
        let missing = parts.iter().filter(|part| !self.index.data.contains(part)).count();
        if missing > 0 {
            self.tell(id, path, &format!("lacks {missing} of its {} parts", parts.len()));
        }
        self.needed.extend(parts);
    }

    fn tell(&mut self, id: &str, path: &Path, what: &str) {
        self.found.push(format!("{} of snapshot {} {what}", path.display(), id.get(..8).unwrap_or(id)));
    }
}

/// What was read; none where it is missing.
pub(crate) fn existing<T>(read: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match read {
        Err(failure) if failure.kind == Kind::Missing => Ok(None),
        read => read.map(Some),
    }
}
