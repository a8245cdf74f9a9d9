//! The index: which blobs there are, and where in which pack.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustic_core::repofile::Tree;
use serde::{Deserialize, Serialize};

use crate::check::existing;
use crate::error::Result;
use crate::hash::Sum;
use crate::key::OVERHEAD;
use crate::repository::{Repository, damaged};
use crate::storage::{Failure, Listed, Part};
use crate::threads::{in_threads, lock, threads};

/// A file of the index.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct IndexFile {
    pub(crate) packs: Vec<IndexedPack>,
    /// Packs that a prune has marked: nobody may build on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) packs_to_delete: Vec<IndexedPack>,
}

/// What is in a pack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct IndexedPack {
    pub(crate) id: Sum,
    pub(crate) blobs: Vec<IndexedBlob>,
    /// When it was written or marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u32>,
}

impl IndexedPack {
    /// How long a pack is that has these blobs.
    pub(crate) fn length(&self) -> u64 {
        let blob = |blob: &IndexedBlob| u64::from(blob.length) + blob.told_in();
        let blobs: u64 = self.blobs.iter().map(blob).sum();
        self.size.map_or(blobs + OVERHEAD + 4, u64::from)
    }
}

/// A blob and its place in the pack.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct IndexedBlob {
    pub(crate) id: Sum,
    #[serde(rename = "type")]
    pub(crate) kind: BlobKind,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    /// Only where it is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uncompressed_length: Option<u32>,
}

impl IndexedBlob {
    /// How many bytes of a pack's header tell of it.
    fn told_in(&self) -> u64 {
        if self.uncompressed_length.is_some() { 41 } else { 37 }
    }
}

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BlobKind {
    /// A part of a file.
    Data,
    /// A directory.
    Tree,
}

/// Which blobs there are.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) data: HashSet<Sum>,
    pub(crate) trees: HashMap<Sum, (Sum, IndexedBlob)>,
}

impl Index {
    pub(crate) fn add(&mut self, pack: &IndexedPack) {
        for blob in &pack.blobs {
            match blob.kind {
                BlobKind::Data => _ = self.data.insert(blob.id),
                BlobKind::Tree => _ = self.trees.insert(blob.id, (pack.id, *blob)),
            }
        }
    }
}

impl Repository {
    /// What backups may build on: what the index has in packs that are there, and as long as they should be.
    pub(crate) fn index(&self) -> Result<Index> {
        let (files, next) = (self.storage.list("index")?, AtomicUsize::new(0));
        let packs = self.storage.list("data")?;
        let lengths: HashMap<Sum, u64> =
            packs.iter().filter_map(|file| Some((Sum::from_text(&file.name)?, file.size))).collect();
        let index = Mutex::new(Index::default());
        in_threads(threads().min(files.len()), || {
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                for pack in self.index_file(file)?.packs {
                    match lengths.get(&pack.id) == Some(&pack.length()) {
                        true => lock(&index).add(&pack),
                        false => tracing::warn!("{} is missing or damaged: repair the backups", pack.id),
                    }
                }
            }
            Ok(())
        })?;
        Ok(std::mem::take(&mut *lock(&index)))
    }

    fn index_file(&self, file: &Listed) -> Result<IndexFile> {
        let content = self.storage.read(&format!("index/{}", file.name), None)?;
        let wrong = || {
            let why = format!("the file index/{} is not what was written; repair the backups", file.name);
            damaged(&*self.storage, "reading the index", &why)
        };
        let text = self.key.open_file(&content).ok_or_else(wrong)?;
        serde_json::from_slice(&text).map_err(|_| wrong())
    }

    /// A tree; none where the index does not know it, or it is not what was saved.
    pub(crate) fn tree(&self, index: &Index, id: Sum) -> Result<Option<Tree>, Failure> {
        let Some((pack, blob)) = index.trees.get(&id) else { return Ok(None) };
        let part = Part { offset: blob.offset.into(), length: blob.length.into() };
        let sealed = existing(self.storage.read(&crate::storage::pack(*pack), Some(part)))?;
        let text = sealed.and_then(|sealed| self.blob(&sealed, &IndexedBlob { offset: 0, ..*blob }));
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }
}
