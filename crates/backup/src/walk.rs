//! Saves the tree of a directory.
//!
//! One thread walks and looks whether a file is as it was in the snapshot before, some read the others, and one makes
//! trees in the order of the walk, once their files are packed.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

use rustic_core::repofile::{Metadata, Node, NodeType, SnapshotFile, SnapshotSummary, Tree};
use rustic_core::{DataId, ReadSource as _, ReadSourceOpen as _, TreeId};

use crate::coder::Coder;
use crate::contents::{Contents, Piece, Stopped, collect, incomplete};
use crate::error::Result;
use crate::hash::Sum;
use crate::index::Index;
use crate::pack::Packer;
use crate::repository::Repository;
use crate::save::save_tree;
use crate::threads::{lock, threads};
use crate::tree::{Directory, Open};

/// How many steps of the walk wait to become trees.
const STEPS: usize = 1_000;

/// A directory that was saved.
pub(crate) struct Walked {
    pub(crate) tree: TreeId,
    pub(crate) summary: SnapshotSummary,
}

/// A step of the walk.
enum Step {
    Enter(Node),
    Other(Node, Content),
    Leave,
}

/// What is in something that is no directory.
enum Content {
    /// What was in it before.
    Known,
    /// It never has any, and is new or another than before.
    None { has_changed: bool },
    /// A file that was not there before, or has changed.
    Read { has_changed: bool, pieces: Receiver<Piece> },
}

/// A file that is to be read.
struct ToRead {
    open: Open,
    about: u64,
    to: Sender<Piece>,
}

/// Saves all that is in a directory, and the directories above it.
pub(crate) fn walk(
    source: &Directory,
    before: Option<Before<'_>>,
    packer: &Packer<'_>,
    contents: &Contents<'_>,
) -> Result<Walked> {
    let (files, to_read) = mpsc::sync_channel(threads());
    let (steps, walked) = mpsc::sync_channel(STEPS);
    let to_read = Mutex::new(to_read);
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| read_all(contents, &to_read));
        }
        scope.spawn(move || Walk { before, packer, files, steps }.all(source));
        make_trees(packer, walked)
    })
}

/// Reads files until there are no more.
fn read_all(contents: &Contents<'_>, files: &Mutex<Receiver<ToRead>>) {
    let mut coder = None;
    loop {
        let received = lock(files).recv();
        let Ok(ToRead { open, about, to }) = received else { return };
        let read = match open.open() {
            Ok(file) => contents.read(&mut coder, file, about, &to),
            Err(_) => Err(Stopped::Elsewhere),
        };
        if read.is_err() {
            // Why is in the tally, or the packer knows it.
            let _ = to.send(Piece::Lost);
        }
    }
}

/// The thread that walks.
struct Walk<'a> {
    before: Option<Before<'a>>,
    packer: &'a Packer<'a>,
    files: SyncSender<ToRead>,
    steps: SyncSender<Step>,
}

impl Walk<'_> {
    /// Walks to the end, or until nobody wants to know more.
    fn all(mut self, source: &Directory) {
        let mut at = PathBuf::new();
        for entry in source.entries() {
            // What cannot be read is in the tally.
            let Ok(entry) = entry else { continue };
            let inside = if entry.node.is_dir() { Some(&*entry.path) } else { entry.path.parent() };
            let Some(inside) = inside else { continue };
            let own = Some(&entry.node).filter(|node| node.is_dir());
            let went = self.go(&mut at, inside, own).and_then(|()| match entry.node.is_dir() {
                true => Some(()),
                false => self.give(entry.node, entry.open),
            });
            if went.is_none() {
                return;
            }
        }
        let _ = self.go(&mut at, Path::new(""), None);
    }

    /// Leaves and enters directories until it is in that one, of which `own` tells what it is.
    fn go(&mut self, at: &mut PathBuf, inside: &Path, own: Option<&Node>) -> Option<()> {
        let inside: PathBuf = inside.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        while !inside.starts_with(&*at) {
            at.pop();
            self.send(Step::Leave)?;
            self.before.as_mut().map(Before::leave);
        }
        let missing: Vec<_> = inside.strip_prefix(&*at).ok()?.iter().map(OsStr::to_owned).collect();
        for name in missing {
            at.push(&name);
            let node = own.filter(|_| *at == inside);
            self.send(Step::Enter(node.cloned().unwrap_or_else(|| above(&name))))?;
            if let Some(before) = &mut self.before {
                before.enter(&name);
            }
        }
        Some(())
    }

    fn give(&mut self, mut node: Node, open: Option<Open>) -> Option<()> {
        let before = self.before.as_mut().and_then(|before| before.like(&node));
        let is_there = |content: &Vec<DataId>| self.packer.has_all(content.iter().map(|id| Sum::from(**id)));
        let content = match before {
            Some(before) if before.is_same(&node) && before.0.content.as_ref().is_none_or(is_there) => {
                node.content = before.0.content;
                Content::Known
            }
            before if !node.is_file() => Content::None { has_changed: before.is_some() },
            before => {
                let (to, pieces) = mpsc::channel();
                let (open, about) = (open?, node.meta.size);
                self.files.send(ToRead { open, about, to }).ok()?;
                Content::Read { has_changed: before.is_some(), pieces }
            }
        };
        self.send(Step::Other(node, content))
    }

    fn send(&self, step: Step) -> Option<()> {
        self.steps.send(step).ok()
    }
}

/// A directory above the one that is saved: nothing is said of it.
fn above(name: &OsStr) -> Node {
    Node::new_node(name, NodeType::Dir, Metadata { mode: Some(0o755), ..Metadata::default() })
}

/// Makes trees of the steps.
fn make_trees(packer: &Packer<'_>, steps: Receiver<Step>) -> Result<Walked> {
    let mut summary = SnapshotSummary::default();
    let mut coder = None;
    let (mut tree, mut above) = (Tree::default(), Vec::new());
    for step in steps {
        match step {
            Step::Enter(node) => above.push((node, std::mem::take(&mut tree))),
            Step::Other(node, content) => tree.nodes.extend(whole(node, content, &mut summary)),
            Step::Leave => {
                let (mut node, outer): (Node, Tree) = above.pop().ok_or_else(|| incomplete("a directory"))?;
                node.subtree = Some(saved(packer, &mut coder, &tree, &mut summary)?);
                tree = outer;
                tree.nodes.push(node);
            }
        }
        if packer.has_failed() {
            return Err(incomplete("a directory"));
        }
    }
    if !above.is_empty() {
        return Err(incomplete("a directory"));
    }
    Ok(Walked { tree: saved(packer, &mut coder, &tree, &mut summary)?, summary })
}

fn saved(packer: &Packer<'_>, coder: &mut Option<Coder>, tree: &Tree, summary: &mut SnapshotSummary) -> Result<TreeId> {
    summary.total_dirs_processed += 1;
    save_tree(packer, coder, tree)
}

/// The node with its content; none where it could not be read.
fn whole(mut node: Node, content: Content, summary: &mut SnapshotSummary) -> Option<Node> {
    let mut read = if node.is_file() { node.meta.size } else { 0 };
    let has_changed = match content {
        Content::Known => None,
        Content::None { has_changed } => Some(has_changed),
        Content::Read { has_changed, pieces } => {
            let (content, size) = collect(pieces)?;
            (node.content, read) = (Some(content), size);
            Some(has_changed)
        }
    };
    match has_changed {
        None => summary.files_unmodified += 1,
        Some(true) => summary.files_changed += 1,
        Some(false) => summary.files_new += 1,
    }
    summary.total_bytes_processed += read;
    summary.total_files_processed += 1;
    Some(node)
}

/// The snapshot before, at the directory where the walk is.
pub(crate) struct Before<'a> {
    repository: &'a Repository,
    index: &'a Index,
    /// The directory and those above it, each with how many nodes come before what is looked for.
    trees: Vec<(Tree, usize)>,
}

/// A node of the snapshot before.
struct Earlier(Node);

impl<'a> Before<'a> {
    pub(crate) fn new(repository: &'a Repository, index: &'a Index, snapshot: &SnapshotFile) -> Self {
        let root = tree(repository, index, Some(snapshot.tree));
        Self { repository, index, trees: vec![(root, 0)] }
    }

    fn enter(&mut self, name: &OsStr) {
        let id = self.named(name).and_then(|node| node.subtree);
        self.trees.push((tree(self.repository, self.index, id), 0));
    }

    fn leave(&mut self) {
        self.trees.pop();
    }

    /// What had the same name.
    fn like(&mut self, node: &Node) -> Option<Earlier> {
        self.named(&node.name()).cloned().map(Earlier)
    }

    /// Names come in their order.
    fn named(&mut self, name: &OsStr) -> Option<&Node> {
        let (tree, passed) = self.trees.last_mut()?;
        *passed += tree.nodes[*passed..].iter().take_while(|node| *node.name() < *name).count();
        tree.nodes.get(*passed).filter(|node| *node.name() == *name)
    }
}

impl Earlier {
    /// Whether nobody seems to have written to it since.
    fn is_same(&self, node: &Node) -> bool {
        let (before, now) = (&self.0.meta, &node.meta);
        let changed_alike = before.ctime.zip(now.ctime).is_none_or(|(before, now)| before == now);
        self.0.node_type == node.node_type && before.size == now.size && before.mtime == now.mtime && changed_alike
    }
}

/// A tree of the snapshot before. Where it cannot be read, all in it is read from the directory.
fn tree(repository: &Repository, index: &Index, id: Option<TreeId>) -> Tree {
    id.and_then(|id| repository.tree(index, Sum::from(*id)).ok()?).unwrap_or_default()
}
