//! What the store asks of a directory. Tests put another one here, which fails and dies where they say.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A directory of files without directories in it.
pub(crate) trait Files: Send + Sync {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A new file, in the place of an old one; its name is told to the disk.
    fn create(&self, name: &str) -> io::Result<Box<dyn Output>>;
    /// A file to read.
    fn open(&self, name: &str) -> io::Result<Box<dyn Input>>;
    /// Another name, in the place of what has it, told to the disk.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// No file any more.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A file that is written.
pub(crate) trait Output: Send + Sync {
    /// Appends all of it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it to so many bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Tells it to the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is read.
pub(crate) trait Input: Send + Sync {
    /// How many bytes it has.
    fn size(&self) -> io::Result<u64>;
    /// So many bytes from there.
    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;
}

/// A directory of the system, which only one store has at a time.
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes it where it is not there.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        let lock = File::create(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::Error::new(io::ErrorKind::ResourceBusy, "another process has it open"),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self { path, _lock: lock })
    }

    /// Tells the names in it to the disk.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Files for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Output>> {
        let file = File::create(self.path.join(name))?;
        self.sync()?;
        Ok(Box::new(Written(file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Input>> {
        Ok(Box::new(Read(File::open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))?;
        self.sync()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }
}

struct Written(File);

impl Output for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)?;
        self.0.seek(SeekFrom::Start(length)).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

struct Read(File);

impl Input for Read {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}
