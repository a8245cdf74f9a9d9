//! A server that speaks S3, and a proxy in front of it that does not always do its work.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Moto's server, of a package: scripts/setup installs it.
pub(crate) struct Moto {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Moto {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new("python3");
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        command.env("PYTHONPATH", tools().join("moto")).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("the tests need `python3`: run scripts/setup");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(process.try_wait().unwrap().is_none(), "the tests need moto: run scripts/setup");
            assert!(started.elapsed() < Duration::from_secs(60), "moto does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { process, address }
    }

    /// Makes a bucket, with object lock or without.
    pub(crate) fn bucket(&self, name: &str, is_locked: bool) {
        let lock = if is_locked { "x-amz-bucket-object-lock-enabled: true\r\n" } else { "" };
        let answer = ask(self.address, &format!("PUT /{name}"), lock);
        assert!(answer.contains(" 200 "), "{answer}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // One that has ended by itself is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tools() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    set("DAYBOOK_TOOLS").or_else(|| cache().map(|cache| cache.join("daybook/tools"))).expect("there is a home")
}

/// One request, as plain as can be.
pub(crate) fn ask(address: SocketAddr, what: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let text = format!("{what} HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// What the proxy does with some requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers 500 without asking the server.
    Refuses,
    /// Never answers.
    Hangs,
    /// Lets the server do it, and ends the connection within the answer.
    Cuts,
    /// Lists two objects in one answer, where a server lists 1,000.
    ShortPages,
    /// Counts, and does no harm.
    None,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Proxy {
    /// One of `every` requests goes wrong.
    pub(crate) fn start(server: SocketAddr, fault: Fault, every: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || {
                    // A client that has gone away is fine.
                    let _ = serve(client, server, |()| {
                        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                        if number.is_multiple_of(every) { fault } else { Fault::None }
                    });
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// One request on one connection.
fn serve(mut client: TcpStream, server: SocketAddr, decide: impl Fn(()) -> Fault) -> std::io::Result<()> {
    let (head, body) = request(&mut client)?;
    if head.is_empty() {
        return Ok(());
    }
    let fault = decide(());
    match fault {
        Fault::Refuses => {
            let refusal = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return client.write_all(refusal.as_bytes());
        }
        Fault::Hangs => {
            // Until the client gives up.
            client.read_to_end(&mut Vec::new())?;
            return Ok(());
        }
        Fault::Cuts | Fault::ShortPages | Fault::None => {}
    }
    let mut head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    if fault == Fault::ShortPages {
        // That the signature does not fit any more is nothing to moto.
        head = head.replacen("list-type=2", "list-type=2&max-keys=2", 1);
    }
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(head.as_bytes())?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    let kept = if fault == Fault::Cuts { answer.len() / 2 } else { answer.len() };
    client.write_all(&answer[..kept])?;
    client.shutdown(Shutdown::Both)
}

fn request(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end + 4]).into_owned();
            let mut body = bytes.split_off(end + 4);
            let lower = head.to_lowercase();
            let length = lower.split_once("content-length: ").and_then(|(_, rest)| rest.split("\r\n").next());
            let length = length.map_or(0, |length| length.parse().unwrap());
            while body.len() < length {
                let read = client.read(&mut buffer)?;
                body.extend_from_slice(&buffer[..read]);
                if read == 0 {
                    break;
                }
            }
            return Ok((head, body));
        }
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return Ok((String::new(), Vec::new()));
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}
