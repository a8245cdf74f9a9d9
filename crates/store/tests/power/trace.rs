//! Running a program under strace, and reading what that wrote.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Change, Node, ROOT, Record};

/// Every call that can change a file or a name, but mappings.
const CALLS: &str = "openat,open,creat,close,write,pwrite64,pwritev,pwritev2,writev,lseek,truncate,ftruncate,fallocate,\
                     copy_file_range,fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,\
                     unlinkat,mkdir,mkdirat,rmdir";

/// Longer than any single write; a longer one fails the test.
const LONGEST: &str = "100000";

/// Runs `program` with the path of a directory beneath `root` and returns what it did beneath `root`: what that left is what is there.
///
/// It says `acknowledged N` on standard output as soon as that is promised. Files whose names end with one of `left_out`
/// are left out: nothing needs them after a crash.
pub fn record(program: &Path, root: &Path, left_out: &'static [&'static str]) -> Record {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-xx", "-s", LONGEST, "-e", &format!("trace={CALLS}"), "-o"]).arg(log.path());
    strace.arg(program).arg(root.join("state")).stdout(Stdio::null());
    let status = strace.status().unwrap_or_else(|error| panic!("run strace, which scripts/setup installs: {error}"));
    assert!(status.success(), "{} under strace ended with {status}", program.display());
    let mut reader = Reader { root: root.to_owned(), left_out, ..Reader::default() };
    reader.nodes.insert(root.to_owned(), ROOT);
    let mut begun = BTreeMap::new();
    for line in std::fs::read_to_string(log.path()).unwrap().lines() {
        let (thread, text) = line.split_once(' ').unwrap();
        let text = text.trim_start();
        if let Some(first) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(thread.to_owned(), (first.to_owned(), reader.changes.len()));
        } else if let Some((_, rest)) = text.split_once(" resumed>").filter(|_| text.starts_with("<... ")) {
            let (first, since) = begun.remove(thread).unwrap();
            reader.call(&(first + rest), since);
        } else {
            reader.call(text, reader.changes.len());
        }
    }
    let record = Record { changes: reader.changes };
    for (path, content) in record.last().files() {
        assert!(content == std::fs::read(root.join(&path)).unwrap(), "{} was recorded wrongly", path.display());
    }
    record
}

#[derive(Default)]
struct Reader {
    root: PathBuf,
    left_out: &'static [&'static str],
    changes: Vec<Change>,
    nodes: BTreeMap<PathBuf, Node>,
    made: Node,
    /// Where the next `write` to an open file goes. One that appends has none.
    positions: BTreeMap<String, u64>,
}

impl Reader {
    /// One call that has returned; `since` is how many changes there were when it began.
    fn call(&mut self, text: &str, since: usize) {
        // Strings are all hexadecimal: no other sign of theirs is to be seen.
        let Some((call, result)) = text.rsplit_once(" = ") else { return };
        let (name, arguments) = call.trim_end().trim_end_matches(')').split_once('(').unwrap();
        let Some(result) = number(result) else { return };
        let arguments: Vec<&str> = arguments.split(", ").collect();
        let paths: Vec<PathBuf> =
            arguments.iter().filter(|text| text.starts_with('"')).map(|text| path(text)).collect();
        let node = self.opened(arguments[0]);
        match name {
            "openat" | "open" | "creat" if self.watched(&paths[0]) => self.open(&paths[0], call, result),
            "mkdir" | "mkdirat" if self.watched(&paths[0]) => {
                let node = self.name(&paths[0]);
                self.changes.extend([Change::MakeDirectory { node }, self.link(&paths[0], node)]);
            }
            "write" if arguments[0].starts_with("1<") => {
                let said = String::from_utf8(bytes(arguments[1])).unwrap();
                let number = said.strip_prefix("acknowledged ").unwrap().trim_end().parse().unwrap();
                self.changes.push(Change::Acknowledged(number));
            }
            "write" | "pwrite64" => {
                let Some(node) = node else { return };
                let at = match arguments.get(3) {
                    Some(at) => at.parse().unwrap(),
                    None => self.advance(arguments[0], result),
                };
                let mut bytes = bytes(arguments[1]);
                bytes.truncate(usize::try_from(result).unwrap());
                self.changes.push(Change::Write { node, at, bytes });
            }
            "lseek" if node.is_some() => {
                self.positions.insert(descriptor(arguments[0]), result);
            }
            "ftruncate" => {
                let Some(node) = node else { return };
                self.changes.push(Change::Resize { node, length: arguments[1].parse().unwrap() });
            }
            "fsync" | "fdatasync" => {
                let Some(node) = node else { return };
                // It is sure only of what was done before it began.
                assert_eq!(since, self.changes.len(), "something was written during `{text}`");
                self.changes.push(Change::Sync { node });
            }
            "link" | "linkat" if self.watched(&paths[0]) => {
                let node = self.nodes[&paths[0]];
                self.nodes.insert(paths[1].clone(), node);
                self.changes.push(self.link(&paths[1], node));
            }
            "unlink" | "unlinkat" if self.watched(&paths[0]) => {
                self.nodes.remove(&paths[0]).unwrap();
                let (directory, name) = self.place(&paths[0]);
                self.changes.push(Change::Unlink { directory, name });
            }
            "rename" | "renameat" | "renameat2" if self.watched(&paths[0]) => {
                let node = self.nodes.remove(&paths[0]).unwrap();
                self.nodes.insert(paths[1].clone(), node);
                let ((directory, from), (other, to)) = (self.place(&paths[0]), self.place(&paths[1]));
                assert_eq!(directory, other, "it was moved between directories: `{text}`");
                self.changes.push(Change::Rename { directory, from, to, node });
            }
            "close" => {
                self.positions.remove(&descriptor(arguments[0]));
            }
            "openat" | "open" | "creat" | "lseek" => {}
            _ => assert!(node.is_none() && !paths.iter().any(|path| self.watched(path)), "what does this do: `{text}`"),
        }
    }

    fn open(&mut self, path: &Path, call: &str, descriptor: u64) {
        if !self.nodes.contains_key(path) {
            let node = self.name(path);
            self.changes.extend([Change::MakeFile { node }, self.link(path, node)]);
        } else if call.contains("O_TRUNC") {
            self.changes.push(Change::Resize { node: self.nodes[path], length: 0 });
        }
        if !call.contains("O_APPEND") {
            self.positions.insert(descriptor.to_string(), 0);
        }
    }

    /// Where a `write` of so many bytes begins.
    fn advance(&mut self, file: &str, by: u64) -> u64 {
        let position = self.positions.get_mut(&descriptor(file)).unwrap_or_else(|| panic!("where does {file} write?"));
        *position += by;
        *position - by
    }

    fn watched(&self, path: &Path) -> bool {
        let name = path.as_os_str().as_encoded_bytes();
        path.starts_with(&self.root) && !self.left_out.iter().any(|end| name.ends_with(end.as_bytes()))
    }

    /// Gives a new node a name.
    fn name(&mut self, path: &Path) -> Node {
        self.made += 1;
        self.nodes.insert(path.to_owned(), self.made);
        self.made
    }

    fn link(&self, path: &Path, node: Node) -> Change {
        let (directory, name) = self.place(path);
        Change::Link { directory, name, node }
    }

    fn place(&self, path: &Path) -> (Node, OsString) {
        (self.nodes[path.parent().unwrap()], path.file_name().unwrap().to_owned())
    }

    /// The watched node behind an open file, `9<\x2f…>`; none where its last name is gone: `9<\x2f…>(deleted)`.
    fn opened(&self, file: &str) -> Option<Node> {
        let path = path(file.split_once('<')?.1.strip_suffix('>')?);
        self.watched(&path).then(|| *self.nodes.get(&path).unwrap_or_else(|| panic!("{} is unknown", path.display())))
    }
}

/// The leading digits; none for a call that failed.
fn number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    text[..text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len())].parse().ok()
}

fn descriptor(file: &str) -> String {
    file.split('<').next().unwrap().to_owned()
}

fn path(text: &str) -> PathBuf {
    OsString::from_vec(bytes(text)).into()
}

/// The bytes of `"\x2f\x74"`, with quotes or without.
fn bytes(text: &str) -> Vec<u8> {
    assert!(!text.ends_with("..."), "a string is longer than {LONGEST}");
    let digits = text.trim_matches('"').split("\\x").skip(1);
    digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}
