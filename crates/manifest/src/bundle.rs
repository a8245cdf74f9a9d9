//! A manifest with everything that it reads, so that it can be understood elsewhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::context::join;
use crate::diagnostic::Diagnostic;
use crate::load::Options;
use crate::yaml::MAX_BYTES;

/// A manifest, every text file that it reads, and the variables that it mentions. [`crate::load`] needs
/// nothing else, so that a client can send it to a server on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bundle {
    /// Absolute paths of the manifest and of the files that override it, in the order of merging.
    pub entries: Vec<String>,
    /// Absolute path of the directory that relative paths are meant from: the first entry's.
    pub root: String,
    /// Texts by absolute path.
    pub files: BTreeMap<String, String>,
    /// Files that are there and could not be taken along, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable: BTreeMap<String, String>,
    /// Files that are there and whose content is not taken along.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub present: BTreeSet<String>,
    /// Texts of encrypted files, opened by who has the key, by [`Cipher::key`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub opened: BTreeMap<String, String>,
    /// Encrypted files that could not be opened, by the same, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unopened: BTreeMap<String, String>,
    /// Variables of the environment that are set and mentioned; no others.
    pub variables: BTreeMap<String, String>,
}

/// What a file is encrypted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// SOPS, which leaves the names of values readable: opened, it is one JSON object.
    Sops,
    /// age: the whole file.
    Age,
}

impl Cipher {
    const ALL: [(Self, &str); 2] = [(Self::Sops, "sops:"), (Self::Age, "age:")];

    /// What the file at an absolute path is called among [`Bundle::opened`].
    pub fn key(self, path: &str) -> String {
        let name = Self::ALL.iter().find(|(cipher, _)| *cipher == self).map(|(_, name)| *name);
        format!("{}{path}", name.expect("every cipher has a name"))
    }

    /// The cipher and the path of a key.
    pub fn of_key(key: &str) -> Option<(Self, &Path)> {
        Self::ALL.iter().find_map(|(cipher, name)| Some((*cipher, Path::new(key.strip_prefix(name)?))))
    }
}

/// Opens encrypted files: the text, or why there is none.
pub type Open<'a> = dyn Fn(&Path, Cipher) -> Result<String, String> + 'a;

/// How the parser reaches files and variables.
pub(crate) trait Files {
    /// The text of the file at the absolute `path`.
    fn read(&self, path: &str) -> Result<String, ReadError>;
    /// Whether something is at the absolute `path`.
    fn exists(&self, path: &str) -> bool;
    /// The paths of the files that fit the absolute `pattern`, sorted: `*` and `?` stand in the name of the file alone.
    fn matching(&self, pattern: &str) -> Vec<String>;
    /// The text of the encrypted file at the absolute `path`. `None`: nobody tries to open it.
    fn open(&self, path: &str, cipher: Cipher) -> Option<Result<String, ReadError>>;
    /// The environment's value of `name`.
    fn variable(&self, name: &str) -> Option<String>;
}

/// Why a file has no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("there is no such file")]
    Missing,
    #[error("{0}")]
    Unreadable(String),
    /// The manifest reads too much, which has been reported.
    #[error("the manifest reads too much")]
    TooMuch,
}

impl Bundle {
    /// Reads the manifest at `entries` (the files after the first override it) and every file that it
    /// needs in any of its environments. `environment` answers for variables, and `open` for encrypted
    /// files, if they are wanted. What is missing is in the diagnostics, which are those of
    /// [`crate::load`] for every environment together.
    pub fn collect(
        entries: &[PathBuf],
        environment: &dyn Fn(&str) -> Option<String>,
        open: Option<&Open<'_>>,
    ) -> (Self, Vec<Diagnostic>) {
        let entries: Vec<String> = entries.iter().map(|path| absolute(path)).collect();
        let root = entries.first().map_or("/", |entry| crate::context::directory(entry)).to_owned();
        let disk = Disk { environment, open, found: RefCell::default() };
        let mut diagnostics = Vec::new();
        let mut pending: Vec<Option<String>> = vec![None];
        while let Some(name) = pending.pop() {
            let loaded = crate::load::run(&entries, &root, &disk, &Options::collecting(name.as_deref()));
            diagnostics.extend(loaded.diagnostics);
            if name.is_none() {
                pending = loaded.environments.into_iter().map(Some).collect();
            }
        }
        let diagnostics = in_order_once(diagnostics);
        let mut bundle = disk.found.into_inner();
        bundle.entries = entries;
        bundle.root = root;
        (bundle, diagnostics)
    }

    /// Lets `read` read the file at `path`, and others that it names, from the disk; gives along what it read.
    pub(crate) fn while_reading<T>(
        path: &Path,
        read: impl FnOnce(&dyn Files, &str) -> (T, Vec<Diagnostic>),
    ) -> (T, Vec<Diagnostic>, Self) {
        let disk = Disk { environment: &|_| None, open: None, found: RefCell::default() };
        let entry = absolute(path);
        let (value, diagnostics) = read(&disk, &entry);
        let mut bundle = disk.found.into_inner();
        crate::context::directory(&entry).clone_into(&mut bundle.root);
        bundle.entries = vec![entry];
        (value, diagnostics, bundle)
    }

    /// The text of a file of the bundle.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// The path of a file that is known from the root.
    pub fn path(&self, known: &str) -> String {
        join(&self.root, known)
    }

    /// How a path is shown: from the root where it is beneath it.
    pub fn shown<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(&self.root).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
    }
}

impl Files for Bundle {
    fn read(&self, path: &str) -> Result<String, ReadError> {
        if let Some(why) = self.unreadable.get(path) {
            return Err(ReadError::Unreadable(why.clone()));
        }
        self.files.get(path).cloned().ok_or(ReadError::Missing)
    }

    fn exists(&self, path: &str) -> bool {
        self.present.contains(path) || self.files.contains_key(path)
    }

    fn matching(&self, pattern: &str) -> Vec<String> {
        // Whoever collected the bundle read each of them.
        let all = self.files.keys().chain(self.unreadable.keys()).filter(|path| fits_path(pattern, path));
        all.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn open(&self, path: &str, cipher: Cipher) -> Option<Result<String, ReadError>> {
        let key = cipher.key(path);
        let opened = self.opened.get(&key).map(|text| Ok(text.clone()));
        opened.or_else(|| self.unopened.get(&key).map(|why| Err(ReadError::Unreadable(why.clone()))))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

/// The file system, which keeps what was asked of it.
struct Disk<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    open: Option<&'a Open<'a>>,
    found: RefCell<Bundle>,
}

impl Files for Disk<'_> {
    fn read(&self, path: &str) -> Result<String, ReadError> {
        let known = self.found.borrow().read(path);
        if known != Err(ReadError::Missing) {
            return known;
        }
        let read = read_text(Path::new(path));
        let mut found = self.found.borrow_mut();
        match &read {
            Ok(text) => drop(found.files.insert(path.to_owned(), text.clone())),
            Err(ReadError::Unreadable(why)) => drop(found.unreadable.insert(path.to_owned(), why.clone())),
            Err(ReadError::Missing | ReadError::TooMuch) => {}
        }
        read
    }

    fn exists(&self, path: &str) -> bool {
        let exists = Path::new(path).exists();
        if exists {
            self.found.borrow_mut().present.insert(path.to_owned());
        }
        exists
    }

    fn matching(&self, pattern: &str) -> Vec<String> {
        let directory = crate::context::directory(pattern);
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| Some(join(directory, entry.file_name().to_str()?)));
        let mut found: Vec<String> =
            names.filter(|path| fits_path(pattern, path) && Path::new(path).is_file()).collect();
        found.sort();
        found
    }

    fn open(&self, path: &str, cipher: Cipher) -> Option<Result<String, ReadError>> {
        let open = self.open?;
        let known = self.found.borrow().open(path, cipher);
        if known.is_some() {
            return known;
        }
        let opened = open(Path::new(path), cipher);
        let mut found = self.found.borrow_mut();
        match &opened {
            Ok(text) => drop(found.opened.insert(cipher.key(path), text.clone())),
            Err(why) => drop(found.unopened.insert(cipher.key(path), why.clone())),
        }
        Some(opened.map_err(ReadError::Unreadable))
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = (self.environment)(name)?;
        self.found.borrow_mut().variables.insert(name.to_owned(), value.clone());
        Some(value)
    }
}

fn read_text(path: &Path) -> Result<String, ReadError> {
    use std::io::Read as _;
    let wrong = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => ReadError::Missing,
        _ => ReadError::Unreadable(error.to_string()),
    };
    let unreadable = |why: &str| ReadError::Unreadable(why.to_owned());
    let metadata = std::fs::metadata(path).map_err(wrong)?;
    if !metadata.is_file() {
        return Err(unreadable(if metadata.is_dir() { "it is a directory" } else { "it is not a regular file" }));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(wrong)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() > MAX_BYTES {
        return Err(unreadable("it is larger than 8 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        ReadError::Unreadable(format!("it is not UTF-8 text (line {line})"))
    })
}

/// Whether a path is in the directory of a pattern, and its name fits.
fn fits_path(pattern: &str, path: &str) -> bool {
    let split = |text: &'_ str| text.rfind('/').unwrap_or(0);
    let ((directory, pattern), (of, name)) = (pattern.split_at(split(pattern)), path.split_at(split(path)));
    directory == of && fits(pattern, name)
}

/// Whether a name fits a pattern: `*` is any text, `?` any byte. A pattern is only as long as a person writes one.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut of, mut star) = (0, 0, None);
    while at < name.len() {
        match pattern.get(of) {
            Some(b'*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[at] => {
                at += 1;
                of += 1;
            }
            _ => {
                let Some((back, taken)) = star else { return false };
                star = Some((back, taken + 1));
                at = taken + 1;
                of = back + 1;
            }
        }
    }
    pattern[of..].iter().all(|byte| *byte == b'*')
}

fn absolute(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    join("/", &path.to_string_lossy())
}

fn in_order_once(all: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut kept: Vec<Diagnostic> = Vec::with_capacity(all.len());
    for diagnostic in all {
        if !kept.contains(&diagnostic) {
            kept.push(diagnostic);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_in_the_name_alone() {
        let fits = fits_path;
        assert!(
            fits("/a/*.rules.yaml", "/a/web.rules.yaml") && fits("/a/r?.yml", "/a/r1.yml") && fits("/a/**b", "/a/ab")
        );
        assert!(!fits("/a/*.yaml", "/b/web.yaml") && !fits("/a/*.yaml", "/a/b/web.yaml") && !fits("/a/?", "/a/"));
        assert!(!fits("/*/web.yaml", "/a/web.yaml") && !fits("/a/*.yaml", "/a/web.yml"));
    }
}
