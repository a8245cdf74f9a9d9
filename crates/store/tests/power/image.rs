//! What a loss of power could leave.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use super::{Change, Node, ROOT, Record};

/// A disk writes sectors whole; larger writes may be torn between any two of them.
const SECTOR: usize = 512;

/// How many images are checked at once.
const THREADS: usize = 4;

/// How many images between everything and nothing there are of a moment.
const SEEDS: u64 = 2;

/// What becomes of changes that are not sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// They are lost.
    Everything,
    /// They are kept, as if the disk had been in a hurry.
    Nothing,
    /// Each sector and each name is kept or lost by chance.
    Seeded(u64),
}

/// A directory as the power left it.
#[derive(Debug, Clone)]
pub struct Image {
    /// How many changes had been made.
    pub moment: usize,
    /// What became of those that were not sure.
    pub loss: Loss,
    /// The last number that was acknowledged before.
    pub acknowledged: u64,
    nodes: Nodes,
}

type Nodes = BTreeMap<Node, Present>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Present {
    File(Vec<u8>),
    Directory(BTreeMap<OsString, Node>),
}

impl Record {
    /// Calls `check` with the images of every moment just before something was made sure (when most can be lost), and
    /// just after something was acknowledged (when it must not be); with each once.
    pub fn images(&self, mut check: impl FnMut(Image)) {
        let mut sure = start();
        let mut unsure: Vec<&Change> = Vec::new();
        let (mut acknowledged, mut anew) = (0, true);
        for (moment, change) in self.changes.iter().enumerate() {
            if let Change::Acknowledged(number) = change {
                (acknowledged, anew) = (*number, true);
            }
            if matches!(change, Change::Acknowledged(_) | Change::Sync { .. }) {
                let lost = anew.then_some(Loss::Everything);
                let seeds = (0..SEEDS).map(|seed| Loss::Seeded(moment as u64 * SEEDS + seed));
                let kept = std::iter::once(Loss::Nothing).chain(seeds).filter(|_| !unsure.is_empty());
                anew = false;
                for loss in lost.into_iter().chain(kept) {
                    check(Image { moment, loss, acknowledged, nodes: lose(sure.clone(), &unsure, loss) });
                }
            }
            match change {
                Change::Sync { node } => {
                    anew |= unsure.iter().any(|change| concerns(change, *node));
                    unsure.iter().filter(|change| concerns(change, *node)).for_each(|change| apply(&mut sure, change));
                    unsure.retain(|change| !concerns(change, *node));
                }
                // Without a name it is nowhere to be seen.
                Change::MakeFile { .. } | Change::MakeDirectory { .. } => apply(&mut sure, change),
                _ => unsure.push(change),
            }
        }
    }

    /// Calls `check` with each of the images, in a few threads, for it waits for the disk. Returns how many there were.
    pub fn check(&self, check: impl Fn(&Image) + Sync) -> usize {
        let mut given = 0;
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel::<Image>(THREADS);
            let receiver = Arc::new(Mutex::new(receiver));
            for _ in 0..THREADS {
                let (receiver, check) = (Arc::clone(&receiver), &check);
                scope.spawn(move || {
                    let next = || receiver.lock().unwrap().recv();
                    while let Ok(image) = next() {
                        check(&image);
                    }
                });
            }
            drop(receiver);
            self.images(|image| {
                given += 1;
                sender.send(image).expect("no check has failed");
            });
        });
        given
    }

    /// The directory at the end, if the power stays.
    pub fn last(&self) -> Image {
        let mut nodes = start();
        self.changes.iter().for_each(|change| apply(&mut nodes, change));
        Image { moment: self.changes.len(), loss: Loss::Nothing, acknowledged: 0, nodes }
    }
}

fn start() -> Nodes {
    BTreeMap::from([(ROOT, Present::Directory(BTreeMap::new()))])
}

/// Whether syncing `node` makes `change` sure.
fn concerns(change: &Change, node: Node) -> bool {
    match change {
        Change::Write { node: of, .. } | Change::Resize { node: of, .. } => *of == node,
        Change::Link { directory, .. } | Change::Unlink { directory, .. } | Change::Rename { directory, .. } => {
            *directory == node
        }
        _ => false,
    }
}

fn lose(mut nodes: Nodes, unsure: &[&Change], loss: Loss) -> Nodes {
    let mut chance = match loss {
        Loss::Everything => return nodes,
        Loss::Nothing => None,
        Loss::Seeded(seed) => Some(Chance::new(seed)),
    };
    let mut kept = || chance.as_mut().is_none_or(Chance::keeps);
    for change in unsure {
        match change {
            Change::Write { node, at, bytes } => {
                for (at, bytes) in sectors(*at, bytes).filter(|_| kept()) {
                    apply(&mut nodes, &Change::Write { node: *node, at, bytes: bytes.to_vec() });
                }
            }
            change if kept() => apply(&mut nodes, change),
            _ => {}
        }
    }
    nodes
}

/// A write cut where the sectors of the file meet.
fn sectors(at: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let head = (SECTOR - usize::try_from(at % SECTOR as u64).unwrap()).min(bytes.len());
    let (head, rest) = bytes.split_at(head);
    let parts = std::iter::once(head).chain(rest.chunks(SECTOR));
    parts.scan(at, |next, part| {
        let at = *next;
        *next += part.len() as u64;
        Some((at, part))
    })
}

/// The same for the same seed (splitmix64): few are kept, half, or most.
struct Chance {
    state: u64,
    of_eight: u64,
}

impl Chance {
    fn new(seed: u64) -> Self {
        Self { state: seed, of_eight: [1, 4, 7][usize::try_from(seed % 3).unwrap()] }
    }

    fn keeps(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % 8 < self.of_eight
    }
}

fn apply(nodes: &mut Nodes, change: &Change) {
    match change {
        Change::MakeFile { node } => {
            nodes.insert(*node, Present::File(Vec::new()));
        }
        Change::MakeDirectory { node } => {
            nodes.insert(*node, Present::Directory(BTreeMap::new()));
        }
        Change::Write { node, at, bytes } => {
            let (content, at) = (content(nodes, *node), usize::try_from(*at).unwrap());
            content.resize(content.len().max(at + bytes.len()), 0);
            content[at..at + bytes.len()].copy_from_slice(bytes);
        }
        Change::Resize { node, length } => content(nodes, *node).resize(usize::try_from(*length).unwrap(), 0),
        Change::Link { directory, name, node } => {
            names(nodes, *directory).insert(name.clone(), *node);
        }
        Change::Unlink { directory, name } => {
            names(nodes, *directory).remove(name);
        }
        Change::Rename { directory, from, to, node } => {
            names(nodes, *directory).remove(from);
            names(nodes, *directory).insert(to.clone(), *node);
        }
        Change::Sync { .. } | Change::Acknowledged(_) => {}
    }
}

fn content(nodes: &mut Nodes, node: Node) -> &mut Vec<u8> {
    let Some(Present::File(content)) = nodes.get_mut(&node) else { panic!("{node} is no file") };
    content
}

fn names(nodes: &mut Nodes, node: Node) -> &mut BTreeMap<OsString, Node> {
    let Some(Present::Directory(names)) = nodes.get_mut(&node) else { panic!("{node} is no directory") };
    names
}

impl Image {
    /// Which one it is, for a failure.
    pub fn said(&self) -> String {
        format!("at change {}, {:?}", self.moment, self.loss)
    }

    /// Every file with its path and content.
    pub fn files(&self) -> Vec<(PathBuf, &[u8])> {
        let mut files = Vec::new();
        let mut left = vec![(PathBuf::new(), ROOT)];
        while let Some((path, node)) = left.pop() {
            match &self.nodes[&node] {
                Present::File(content) => files.push((path, content.as_slice())),
                Present::Directory(names) => left.extend(names.iter().map(|(name, node)| (path.join(name), *node))),
            }
        }
        files
    }

    /// Writes it into an empty directory; every file readable by the owner alone, as ours are.
    pub fn write_to(&self, directory: &Path) {
        for (path, content) in self.files() {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}
