//! Both sides as processes: how they are started, what they take, how they are ended.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Result, http};

/// A process that takes samples and answers queries. It is ended when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens on loopback.
    pub(crate) port: u16,
    /// Where Prometheus has its blocks.
    blocks: Option<PathBuf>,
}

/// What is in blocks.
pub(crate) struct Disk {
    /// Of all files of the blocks.
    pub(crate) bytes: u64,
    /// In the blocks.
    pub(crate) samples: u64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) now: u64,
    /// The same without pages of files, which the kernel may take back.
    pub(crate) anonymous: u64,
    /// The most that was resident.
    pub(crate) peak: u64,
}

impl Server {
    /// Our side.
    pub(crate) fn ours(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let mut command = Command::new(std::env::current_exe()?);
        let child = command.arg("--serve").arg(directory).stdout(Stdio::piped()).spawn()?;
        let mut server = Self { child, port: 0, blocks: None };
        let mut line = String::new();
        BufReader::new(server.child.stdout.take().ok_or("our side has no output")?).read_line(&mut line)?;
        server.port = line.trim().parse()?;
        Ok(server)
    }

    /// Prometheus as it is by default, but for keeping what is old: the samples are.
    pub(crate) fn prometheus(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let (config, data) = (directory.join("prometheus.yml"), directory.join("data"));
        fs::write(&config, "global: {}\n")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--storage.tsdb.retention.time=100y", "--web.enable-remote-write-receiver", "--log.level=error"])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("prometheus cannot be started: {error}"))?;
        let server = Self { child, port, blocks: Some(data) };
        let until = Instant::now() + Duration::from_secs(60);
        while http::send(port, "/-/ready", None).is_err() {
            if Instant::now() > until {
                return Err("prometheus does not come up".into());
            }
            sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    /// The processor time that all its threads have had, in seconds.
    pub(crate) fn processor(&self) -> Result<f64> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread that ends meanwhile has nothing to tell.
            let told = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanoseconds += told.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(nanoseconds as f64 / 1e9)
    }

    /// Waits until it has taken no more than a fiftieth of a processor for five seconds, and at most three minutes. Prometheus
    /// looks each minute whether there is something to compact: that long is waited at least.
    pub(crate) fn rest(&self) -> Result<()> {
        let begun = Instant::now();
        let least = Duration::from_secs(if self.blocks.is_some() { 65 } else { 0 });
        let mut before = self.processor()?;
        while begun.elapsed() < Duration::from_secs(180) {
            sleep(Duration::from_secs(5));
            let now = self.processor()?;
            if now - before < 0.1 && begun.elapsed() > least {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Its memory.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).ok_or("a figure of memory is missing")?;
            Ok::<_, Box<dyn std::error::Error>>(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
        };
        Ok(Memory { now: of("VmRSS:")?, anonymous: of("RssAnon:")?, peak: of("VmHWM:")? })
    }

    /// What it has in blocks.
    pub(crate) fn disk(&self) -> Result<Disk> {
        let number = |value: &Value| value.as_u64().ok_or("a figure of blocks is missing");
        let Some(blocks) = &self.blocks else {
            let told: Value = serde_json::from_slice(&http::send(self.port, "/disk", None)?)?;
            return Ok(Disk { bytes: number(&told["bytes"])?, samples: number(&told["samples"])? });
        };
        let mut disk = Disk { bytes: 0, samples: 0 };
        for entry in fs::read_dir(blocks)? {
            let block = entry?.path();
            let Ok(meta) = fs::read_to_string(block.join("meta.json")) else { continue };
            let meta: Value = serde_json::from_str(&meta)?;
            disk.samples += number(&meta["stats"]["numSamples"])?;
            disk.bytes += bytes_beneath(&block)?;
        }
        Ok(disk)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes_beneath(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { bytes_beneath(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
