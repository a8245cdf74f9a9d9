//! A server that takes what Daybook tells.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that takes what is posted, or answers with another status.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it took: the path, the head and the body.
    pub taken: Arc<Mutex<Vec<(String, String, Value)>>>,
    /// What it answers.
    status: Arc<AtomicU16>,
    refused: Arc<AtomicUsize>,
}

impl Receiver {
    /// Starts one that answers 202.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let receiver = Self {
            address: listener.local_addr().expect("a bound socket has an address"),
            taken: Arc::default(),
            status: Arc::new(AtomicU16::new(202)),
            refused: Arc::default(),
        };
        let (taken, status, refused) = (receiver.taken.clone(), receiver.status.clone(), receiver.refused.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some((head, body)) = request(&mut stream).await else { continue };
                let status = status.load(Ordering::SeqCst);
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                if status < 300 {
                    let body = serde_json::from_slice(&body).expect("what is sent is JSON");
                    taken.lock().expect("nobody panicked with it").push((path, head, body));
                } else {
                    refused.fetch_add(1, Ordering::SeqCst);
                }
                let body = if status < 300 { "Event processed" } else { "not now" };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        receiver
    }

    /// Lets it answer with another status.
    pub fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// How often it refused something.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// What PagerDuty was told of incidents, without tests: each action with the key of its incident.
    pub fn paged(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = self.at("/v2/enqueue").into_iter();
        let events = events.map(|event| (text(&event["event_action"]), text(&event["dedup_key"])));
        events.filter(|(_, key)| !key.starts_with("daybook-test")).collect()
    }

    /// What a webhook was told of incidents, without tests and notes: each kind with its title.
    pub fn hooked(&self, path: &str) -> Vec<(String, String)> {
        let notices = self.at(path).into_iter().map(|body| body["notice"].clone());
        let moving = notices.filter(|notice| {
            notice["kind"] != "note" && !notice["key"].as_str().unwrap_or_default().starts_with("daybook-test")
        });
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        moving.map(|notice| (text(&notice["kind"]), text(&notice["title"]))).collect()
    }

    /// What was taken at a path.
    pub fn at(&self, path: &str) -> Vec<Value> {
        let taken = self.taken.lock().expect("nobody panicked with it");
        taken.iter().filter(|(to, ..)| to == path).map(|(.., body)| body.clone()).collect()
    }
}

/// The head of a request in lower case, and its body. `None`: it broke off.
pub async fn request(stream: &mut tokio::net::TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if bytes.len() - end - 4 >= length.unwrap_or_default() {
                return Some((head, bytes[end + 4..].to_vec()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
