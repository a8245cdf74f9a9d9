//! What is backed up: the same bytes in each run.

use std::fs::{File, read_dir};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

const FILES_IN_A_DIRECTORY: u32 = 50;
const DIRECTORIES_IN_A_DIRECTORY: u32 = 40;
/// Text of which files and rows are made.
const WORDS: [&str; 16] = [
    "order",
    "customer",
    "invoice",
    "shipped",
    "pending",
    "street",
    "amount",
    "currency",
    "product",
    "colour",
    "warehouse",
    "return",
    "discount",
    "address",
    "payment",
    "basket",
];
/// One row in so many is one that was there before, as where a table is copied into another.
const REPEATED: u64 = 8;
/// How many rows come again together.
const ROWS_TOGETHER: u64 = 40_000;

/// A generator of numbers, the same for a seed: xorshift64.
struct Numbers(u64);

impl Numbers {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn word(&mut self) -> &'static str {
        WORDS[(self.next() >> 60) as usize]
    }
}

/// Writes small files of 1 to 8 KiB: half text, half bytes that do not compress. Returns their size in all.
pub(super) fn write_files(root: &Path, files: u32) -> Result<u64> {
    let mut bytes = 0;
    for number in 0..files {
        let directory = number / FILES_IN_A_DIRECTORY;
        let (outer, inner) = (directory / DIRECTORIES_IN_A_DIRECTORY, directory % DIRECTORIES_IN_A_DIRECTORY);
        let directory = root.join(format!("{outer}/{inner}"));
        if number % FILES_IN_A_DIRECTORY == 0 {
            std::fs::create_dir_all(&directory).context("make a directory")?;
        }
        let content = small_file(u64::from(number) + 1);
        bytes += content.len() as u64;
        std::fs::write(directory.join(format!("{number}.txt")), content).context("write a small file")?;
    }
    Ok(bytes)
}

fn small_file(seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let size = 1024 + (numbers.next() % (7 * 1024)) as usize;
    let mut content = Vec::with_capacity(size + 16);
    while content.len() < size / 2 {
        content.extend_from_slice(numbers.word().as_bytes());
        content.push(b' ');
    }
    while content.len() < size {
        content.extend_from_slice(&numbers.next().to_le_bytes());
    }
    content.truncate(size);
    content
}

/// Writes what a dump of a table looks like: rows of text, of which some come again. Returns its size.
pub(super) fn write_dump(path: &Path, at_least: u64) -> Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).context("make the dump")?);
    file.write_all(b"COPY public.orders (id, customer, at, amount, status, note, token) FROM stdin;\n")?;
    let (mut bytes, mut group) = (0, 0);
    while bytes < at_least {
        let first = if group % REPEATED == REPEATED - 1 { group / REPEATED } else { group };
        for row in first * ROWS_TOGETHER..(first + 1) * ROWS_TOGETHER {
            bytes += write_row(&mut file, row)?;
        }
        group += 1;
    }
    file.write_all(b"\\.\n")?;
    file.flush()?;
    size(path)
}

fn write_row(file: &mut impl io::Write, row: u64) -> Result<u64> {
    let mut numbers = Numbers::new(row + 1);
    let (customer, amount, seconds, token) =
        (numbers.next() % 90_000, numbers.next() % 100_000, row % 60, numbers.next());
    let (status, one, other) = (numbers.word(), numbers.word(), numbers.word());
    let text = format!(
        "{row}\t{customer}\t2026-11-{:02} 12:{:02}:{seconds:02}+00\t{}.{:02}\t{status}\t{one} {other}\t{token:016x}\n",
        1 + row / 100_000 % 28,
        row / 60 % 60,
        amount / 100,
        amount % 100,
    );
    file.write_all(text.as_bytes()).context("write a row")?;
    Ok(text.len() as u64)
}

/// Reads everything once, so that each side finds it in memory.
pub(super) fn read_all(path: &Path) -> Result<()> {
    each_file(path, &mut |file| {
        io::copy(&mut File::open(file)?, &mut io::sink())?;
        Ok(())
    })
}

/// The bytes of all files beneath a path.
pub(super) fn size(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    each_file(path, &mut |file| {
        bytes += file.metadata()?.len();
        Ok(())
    })?;
    Ok(bytes)
}

pub(super) fn is_same_file(one: &Path, other: &Path) -> Result<bool> {
    let open = |path: &Path| File::open(path).map(|file| BufReader::with_capacity(1 << 20, file));
    let (mut one, mut other) = (open(one)?, open(other)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        one.by_ref().take(1 << 20).read_to_end(&mut left)?;
        other.by_ref().take(1 << 20).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}

/// Whether all files of one are in the other with the same content, and as many.
pub(super) fn is_same_tree(one: &Path, other: &Path) -> Result<bool> {
    let (mut is_same, mut files, mut others) = (true, 0_u64, 0_u64);
    each_file(one, &mut |file| {
        files += 1;
        let restored = other.join(file.strip_prefix(one)?);
        is_same &= restored.exists() && std::fs::read(file)? == std::fs::read(restored)?;
        Ok(())
    })?;
    each_file(other, &mut |_| {
        others += 1;
        Ok(())
    })?;
    Ok(is_same && files == others)
}

fn each_file(path: &Path, act: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    if !path.is_dir() {
        return act(path);
    }
    for entry in read_dir(path).with_context(|| format!("list {}", path.display()))? {
        each_file(&entry?.path(), act)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_the_same_each_time_and_no_more_than_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let bytes = write_files(&path("one"), 120).unwrap();
        assert_eq!(bytes, write_files(&path("other"), 120).unwrap());
        assert_eq!(bytes, size(&path("one")).unwrap());
        assert!((120 * 1024..120 * 8 * 1024).contains(&bytes), "{bytes}");
        assert!(is_same_tree(&path("one"), &path("other")).unwrap());
        std::fs::write(path("other/0/0/7.txt"), "another").unwrap();
        assert!(!is_same_tree(&path("one"), &path("other")).unwrap());

        let bytes = write_dump(&path("dump"), 1 << 20).unwrap();
        assert!((1 << 20..8 << 20).contains(&bytes), "{bytes}");
        assert!(is_same_file(&path("dump"), &path("dump")).unwrap());
        assert!(!is_same_file(&path("dump"), &path("one/0/0/7.txt")).unwrap());
    }
}
