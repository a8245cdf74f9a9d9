//! Gives streams their sizes.
//!
//! The archiver saves a stream with the size that it was announced with, and nobody knows that of a stream beforehand.
//! `restic restore` makes an empty file of what has no size. So the tree of such a snapshot is read again, and saved
//! once more with the sizes that were seen. The first tree is left for the next prune.

use bytes::Bytes;
use rustic_core::repofile::{SnapshotFile, Tree};
use rustic_core::{IndexedIds, Repository as Library};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::key::hash;
use crate::link::Link;
use crate::repository::{Repository, damaged};
use crate::storage::{How, Part};

/// How a pack says that a blob is a tree, and not compressed.
const TREE: u8 = 1;

impl Repository {
    /// The snapshot with a tree that knows the sizes of its streams, and has just these.
    pub(crate) fn with_sizes<S: IndexedIds>(
        &self,
        link: &Link,
        library: &Library<S>,
        mut file: SnapshotFile,
        sizes: &[(String, u64)],
    ) -> Result<SnapshotFile> {
        let mut tree = self.tree(link, library, &file)?;
        if tree.nodes.len() != sizes.len() {
            return Err(Error::Incomplete { what: format!("one of {} streams", sizes.len()) });
        }
        let mut is_right = true;
        for (name, bytes) in sizes {
            let named = |node: &&mut rustic_core::repofile::Node| &*node.name() == name.as_str();
            let Some(node) = tree.nodes.iter_mut().find(named).filter(|node| node.content.is_some()) else {
                return Err(Error::Incomplete { what: format!("`{name}`") });
            };
            is_right &= node.meta.size == *bytes;
            node.meta.size = *bytes;
        }
        if !is_right {
            let id = self.save_tree(link, &tree)?;
            file.tree = id.parse().map_err(|error: Box<_>| self.told(link, &error, "saving a tree"))?;
        }
        Ok(file)
    }

    /// The tree of a snapshot: from what was just written, or from what was there.
    fn tree<S: IndexedIds>(&self, link: &Link, library: &Library<S>, file: &SnapshotFile) -> Result<Tree> {
        let wanted = file.tree.to_hex();
        let written = link.seen().index.clone();
        let place = written.iter().find_map(|index| {
            let index: Value = serde_json::from_slice(&self.key.open_file(index)?).ok()?;
            find(&index, wanted.as_str())
        });
        let Some(place) = place else {
            return library.get_tree(&file.tree).map_err(|error| self.told(link, &error, "reading a tree"));
        };
        let name = format!("data/{}/{}", &place.pack[..2], place.pack);
        let sealed = self.storage.read(&name, Some(place.part))?;
        let wrong = || damaged(&*self.storage, "reading a tree", "it is not what was just written");
        let mut text = self.key.open(&sealed).ok_or_else(wrong)?;
        if place.is_compressed {
            text = zstd::decode_all(&text[..]).map_err(|_| wrong())?;
        }
        serde_json::from_slice(&text).map_err(|_| wrong())
    }

    /// Saves a tree in a pack of its own, and says so in the index.
    fn save_tree(&self, link: &Link, tree: &Tree) -> Result<String> {
        let mut text = serde_json::to_vec(tree).expect("a tree is JSON");
        text.push(b'\n');
        let id = hash(&text);
        let blob = self.key.seal(&text);
        let length = u32::try_from(blob.len()).expect("a tree of streams is short");
        let header = self.key.seal(&header(length, &id));
        let header_length = u32::try_from(header.len()).expect("a header of one blob is short");
        let pack: Bytes = [&blob[..], &header, &header_length.to_le_bytes()].concat().into();
        let pack_id = hash(&pack);
        link.write(&format!("data/{}/{pack_id}", &pack_id[..2]), &[pack], How::Lasting)?;
        let blob = json!({ "id": id, "type": "tree", "offset": 0, "length": length });
        let index = json!({ "packs": [{ "id": pack_id, "blobs": [blob] }] });
        let index: Bytes = self.key.seal(index.to_string().as_bytes()).into();
        link.write(&format!("index/{}", hash(&index)), &[index], How::Lasting)?;
        Ok(id)
    }
}

fn header(length: u32, id: &str) -> Vec<u8> {
    let id = id.parse::<rustic_core::Id>().expect("a hash is an id");
    let mut bytes = vec![TREE];
    bytes.extend(length.to_le_bytes());
    let hex = id.to_hex();
    let digits = hex.as_str().as_bytes().chunks_exact(2);
    bytes.extend(digits.map(|pair| {
        let pair = std::str::from_utf8(pair).expect("digits are text");
        u8::from_str_radix(pair, 16).expect("an id is hexadecimal")
    }));
    bytes
}

/// Where a blob is.
struct Found {
    pack: String,
    part: Part,
    is_compressed: bool,
}

/// Looks for a blob in a file of the index.
fn find(index: &Value, wanted: &str) -> Option<Found> {
    index["packs"].as_array()?.iter().find_map(|pack| {
        let blob = pack["blobs"].as_array()?.iter().find(|blob| blob["id"] == wanted)?;
        let part = Part { offset: blob["offset"].as_u64()?, length: blob["length"].as_u64()? };
        let is_compressed = blob["uncompressed_length"].as_u64().is_some();
        Some(Found { pack: pack["id"].as_str()?.to_owned(), part, is_compressed })
    })
}
