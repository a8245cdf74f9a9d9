//! This program as an image: the executable, the libraries that it has loaded, and the authorities that this machine trusts.
//!
//! A cluster can only run what a registry has. So that an edge can run there without anything being published
//! anywhere, the server puts the very program that it is into the registry of the target.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use daybook_model::Digest;
use daybook_runtime::{Error, ErrorKind, Result};
use serde_json::json;

/// Where the program is in its image.
pub(crate) const PLACE: &str = "/daybook";

/// Where the certificates of authorities are in the image.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where distributions keep them: Debian and Alpine, Fedora, openSUSE.
const OF_THIS_MACHINE: [&str; 3] = [AUTHORITIES, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// A program, ready to become an image.
pub(crate) struct Program {
    /// Of all of its files.
    pub(crate) digest: Digest,
    /// An archive of its files.
    pub(crate) layer: Vec<u8>,
    /// The image's configuration, as the OCI image specification describes it.
    pub(crate) config: Vec<u8>,
}

impl Program {
    /// This process's own program.
    pub(crate) async fn own() -> Result<Self> {
        let made = tokio::task::spawn_blocking(|| {
            let maps = std::fs::read_to_string("/proc/self/maps")?;
            let authorities = OF_THIS_MACHINE.iter().find_map(|path| std::fs::read(path).ok());
            pack(Path::new("/proc/self/exe"), &libraries(&maps), authorities)
        });
        let failed = |error: io::Error| Error::new(ErrorKind::Internal, "read this program", error);
        made.await.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)
    }
}

/// The shared libraries among the files that are mapped, the dynamic linker with them.
fn libraries(maps: &str) -> Vec<PathBuf> {
    let mapped = maps.lines().filter_map(|line| line.split_once('/').map(|(_, path)| format!("/{path}")));
    let is_library = |path: &String| path.rsplit('/').next().is_some_and(|name| name.contains(".so"));
    let mut all: Vec<_> = mapped.filter(is_library).map(PathBuf::from).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn pack(program: &Path, libraries: &[PathBuf], authorities: Option<Vec<u8>>) -> io::Result<Program> {
    let mut files = BTreeMap::from([(PLACE.trim_start_matches('/').to_owned(), Content::Of(program))]);
    for library in libraries {
        let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Programs name their linker by a path: of those that are usual, one is right.
        if name.starts_with("ld-") {
            files.insert(format!("lib64/{name}"), Content::Of(library));
        }
        files.insert(format!("lib/{name}"), Content::Of(library));
    }
    files.extend(authorities.map(|bytes| (AUTHORITIES.trim_start_matches('/').to_owned(), Content::Bytes(bytes))));
    let layer = archive(&files)?;
    let digest = Digest::of(&layer);
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": [PLACE], "User": "65532:65532", "Env": ["LD_LIBRARY_PATH=/lib", format!("SSL_CERT_FILE={AUTHORITIES}")]},
        "rootfs": {"type": "layers", "diff_ids": [digest.to_string()]},
    });
    Ok(Program { digest, layer, config: serde_json::to_vec(&config)? })
}

/// What a file of the image holds.
enum Content<'a> {
    /// The same as a file of this machine.
    Of(&'a Path),
    Bytes(Vec<u8>),
}

impl Content<'_> {
    fn len(&self) -> io::Result<u64> {
        match self {
            Self::Of(path) => Ok(std::fs::metadata(path)?.len()),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }
}

/// The same files make the same archive. Nothing but the archive is held in memory: a program may be large, and what a
/// server may have in a cluster is little.
fn archive(files: &BTreeMap<String, Content<'_>>) -> io::Result<Vec<u8>> {
    let mut sizes = BTreeMap::new();
    for (path, content) in files {
        sizes.insert(path, content.len()?);
    }
    // Each with its header, in blocks of 512 bytes, and two blocks at the end.
    let all: u64 = sizes.values().map(|size| 512 + size.next_multiple_of(512)).sum::<u64>() + 1_024;
    let mut archive = tar::Builder::new(Vec::with_capacity(usize::try_from(all).map_err(io::Error::other)?));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(sizes[path]);
        header.set_mtime(0);
        match content {
            Content::Of(file) => {
                archive.append_data(&mut header, path, File::open(file)?.take(sizes[path]))?;
            }
            Content::Bytes(bytes) => archive.append_data(&mut header, path, bytes.as_slice())?,
        }
    }
    archive.into_inner()
}

/// As images and nodes name the processor that this program is for.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_what_is_mapped_and_shared() {
        let maps = "55d0-55d1 r--p 00000000 fe:00 1 /usr/bin/daybook\n\
                    7f00-7f01 r-xp 00000000 fe:00 2 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f01-7f02 r--p 00000000 fe:00 2 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f03-7f04 r--p 00000000 fe:00 3 /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2\n\
                    7f05-7f06 rw-p 00000000 00:00 0 [heap]\n";
        let names: Vec<_> = libraries(maps).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(names, ["/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libc.so.6"]);
    }

    #[test]
    fn the_same_program_is_the_same_image() {
        let exe = std::env::current_exe().unwrap();
        let made = || pack(&exe, &[], Some(b"authorities".to_vec())).unwrap();
        let (one, two) = (made(), made());
        assert_eq!((one.digest, one.config), (two.digest, two.config));
        let mut archive = tar::Archive::new(one.layer.as_slice());
        let paths: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(paths, [PathBuf::from("daybook"), PathBuf::from(&AUTHORITIES[1..])]);
    }
}
