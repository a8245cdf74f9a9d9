//! Static sites: files beneath one directory.
//!
//! A file is opened by `openat2` with `RESOLVE_BENEATH`: the kernel itself keeps `..` and symbolic links from
//! leading out of the directory, with no moment between a check and its use. Links that stay inside work.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode, request};
use http_body::{Body, Frame, SizeHint};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::body::{EdgeBody, Source};

/// How much of a file is read at once.
const PIECE: u64 = 64 * 1024;

/// Answers a request with a file beneath `root`.
pub(super) async fn serve(root: &Path, head: &request::Parts) -> Response<EdgeBody> {
    if head.method != Method::GET && head.method != Method::HEAD {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED);
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let Some(path) = relative_path(head.uri.path()) else { return plain(StatusCode::BAD_REQUEST) };
    let root = root.to_owned();
    let wanted = path.clone();
    let found = tokio::task::spawn_blocking(move || find(&root, &wanted)).await;
    match found.unwrap_or(Found::Failed) {
        Found::File { file, metadata, path } => answer_with(file, &metadata, &path, head),
        Found::Directory => redirect_into(head),
        Found::Nothing => plain(StatusCode::NOT_FOUND),
        Found::Failed => plain(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The path beneath the root that a URL's path means: percent-decoded, without a leading slash. `None` for
/// one that no file can have, or that is written to mean another: with `..`, NUL or broken escapes.
fn relative_path(path: &str) -> Option<String> {
    let decoded = percent_decode(path)?;
    let mut parts = Vec::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part if part.contains('\0') => return None,
            part => parts.push(part),
        }
    }
    let mut joined = parts.join("/");
    if decoded.ends_with('/') && !joined.is_empty() {
        joined.push('/');
    }
    Some(joined)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

enum Found {
    File {
        file: File,
        metadata: Box<Metadata>,
        path: String,
    },
    /// The URL of a directory is to end with a slash, so that relative links in its index work.
    Directory,
    Nothing,
    Failed,
}

fn find(root: &Path, path: &str) -> Found {
    let (open_path, is_index) = match path {
        "" => ("index.html".to_owned(), true),
        path if path.ends_with('/') => (format!("{path}index.html"), true),
        path => (path.to_owned(), false),
    };
    match open_beneath(root, &open_path) {
        Ok((file, metadata)) if metadata.is_file() => {
            Found::File { file, metadata: Box::new(metadata), path: open_path }
        }
        Ok((_, metadata)) if metadata.is_dir() && !is_index => Found::Directory,
        Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::ACCESS | Errno::NAMETOOLONG) => {
            Found::Nothing
        }
        Err(_) => Found::Failed,
    }
}

fn open_beneath(root: &Path, path: &str) -> Result<(File, Metadata), Errno> {
    let directory = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // Without NONBLOCK, opening a named pipe would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve)?);
    let metadata = file.metadata().map_err(|_| Errno::IO)?;
    Ok((file, metadata))
}

fn answer_with(file: File, metadata: &Metadata, path: &str, head: &request::Parts) -> Response<EdgeBody> {
    let size = metadata.len();
    let tag = entity_tag(metadata);
    let mut answer = if head.headers.get_all(header::IF_NONE_MATCH).iter().any(|value| matches_tag(value, &tag)) {
        let mut answer = Response::new(EdgeBody::new(Source::Empty));
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        let mut answer = if head.method == Method::HEAD {
            Response::new(EdgeBody::new(Source::Empty))
        } else {
            Response::new(EdgeBody::new(Source::File(Box::new(FileBody { file: Some(file), left: size, piece: None }))))
        };
        answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
        answer
    };
    let headers = answer.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A tag that changes with the file: its place, size and time of change.
fn entity_tag(metadata: &Metadata) -> HeaderValue {
    let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
    let tag = format!("\"{:x}-{:x}-{seconds:x}{nanos:08x}\"", metadata.ino(), metadata.len());
    HeaderValue::from_str(&tag).expect("hexadecimal digits are a header value")
}

fn matches_tag(value: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(value), Ok(tag)) = (value.to_str(), tag.to_str()) else { return false };
    value.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn redirect_into(head: &request::Parts) -> Response<EdgeBody> {
    let mut answer = plain(StatusCode::PERMANENT_REDIRECT);
    // One slash only at the front: two would name another host.
    let path = format!("/{}/", head.uri.path().trim_matches('/'));
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(location) = HeaderValue::from_str(&format!("{path}{query}")) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

fn plain(status: StatusCode) -> Response<EdgeBody> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut answer = Response::new(EdgeBody::text(format!("{} {reason}\n", status.as_u16())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// Media types by file extension (IANA names).
const CONTENT_TYPES: [(&str, &str); 27] = [
    ("avif", "image/avif"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];

fn content_type(path: &str) -> &'static str {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let extension = extension.to_ascii_lowercase();
    let found = CONTENT_TYPES.binary_search_by(|(name, _)| (*name).cmp(extension.as_str()));
    found.map_or("application/octet-stream", |i| CONTENT_TYPES[i].1)
}

/// A file that is read piece by piece, as the client takes it.
pub(crate) struct FileBody {
    file: Option<File>,
    left: u64,
    piece: Option<JoinHandle<(File, std::io::Result<Vec<u8>>)>>,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let file = &mut this.file;
        let size = this.left.min(PIECE);
        let piece = this.piece.get_or_insert_with(|| {
            let file = file.take().expect("the file is here between two pieces");
            tokio::task::spawn_blocking(move || read_piece(file, size))
        });
        let (file, bytes) = ready!(Pin::new(piece).poll(ctx)).map_err(std::io::Error::other)?;
        this.piece = None;
        this.file = Some(file);
        match bytes {
            Ok(bytes) if bytes.is_empty() => {
                this.left = 0;
                Poll::Ready(Some(Err(std::io::Error::other("the file became shorter while it was sent"))))
            }
            Ok(bytes) => {
                this.left -= bytes.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
            }
            Err(error) => {
                this.left = 0;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn read_piece(mut file: File, size: u64) -> (File, std::io::Result<Vec<u8>>) {
    let mut bytes = Vec::with_capacity(size as usize);
    let result = (&mut file).take(size).read_to_end(&mut bytes).map(|_| bytes);
    (file, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r32_paths_that_lead_up_are_refused() {
        for (path, want) in [
            ("/", Some("")),
            ("/a/b.html", Some("a/b.html")),
            ("/a//./b", Some("a/b")),
            ("/a/", Some("a/")),
            ("/a%20b", Some("a b")),
            ("/..", None),
            ("/a/../b", None),
            ("/%2e%2e/etc/passwd", None),
            ("/a/%2e%2e%2f%2e%2e%2fetc/passwd", None),
            ("/%00", None),
            ("/%zz", None),
            ("/%2", None),
            ("/%ff", None),
            ("/%+1", None),
        ] {
            assert_eq!(relative_path(path).as_deref(), want, "{path}");
        }
    }

    #[test]
    fn r32_links_that_lead_out_are_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("site");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(base.path().join("secret"), "no").unwrap();
        std::fs::write(root.join("page.html"), "yes").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("relative")).unwrap();
        std::os::unix::fs::symlink(base.path().join("secret"), root.join("absolute")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        std::os::unix::fs::symlink("page.html", root.join("inside")).unwrap();
        for outside in ["relative", "absolute", "up/secret", "../secret", "/etc/passwd"] {
            assert!(matches!(find(&root, outside), Found::Nothing), "{outside}");
        }
        for inside in ["page.html", "inside"] {
            assert!(matches!(find(&root, inside), Found::File { .. }), "{inside}");
        }
    }

    #[test]
    fn content_types_are_sorted_and_found() {
        assert!(CONTENT_TYPES.is_sorted());
        assert_eq!(content_type("a/INDEX.HTML"), "text/html; charset=utf-8");
        assert_eq!(content_type("a/b"), "application/octet-stream");
    }

    #[test]
    fn tags_match_weakly_and_in_lists() {
        let tag = HeaderValue::from_static("\"a\"");
        for (value, want) in [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false)]
        {
            assert_eq!(matches_tag(&HeaderValue::from_static(value), &tag), want);
        }
    }
}
