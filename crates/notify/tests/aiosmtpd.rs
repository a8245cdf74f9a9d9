//! E-mail to a server that nobody here wrote: `aiosmtpd` of Debian's package `python3-aiosmtpd` (`scripts/setup`).
#![cfg(feature = "mail-tests")]

mod support;

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daybook_notify::{Channel, Outcome, Sender};
use serde_json::json;
use support::{Names, channel, loopback, notice, now};

/// A server with a mailbox. Ends with this value.
struct Server {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
    authority: String,
}

impl Server {
    /// `options` name the files of the certificate and its key.
    fn start(options: [&str; 2]) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let issued = support::issue(&["mail.example.com"]);
        let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
        fs::write(&certificate, issued.certificate).expect("a file can be written");
        fs::write(&key, issued.key).expect("a file can be written");
        let port = support::free_port();
        let child = Command::new("/usr/bin/aiosmtpd")
            .args(["--nosetuid", "--listen", &format!("127.0.0.1:{port}"), options[0]])
            .arg(&certificate)
            .arg(options[1])
            .arg(&key)
            .args(["--class", "aiosmtpd.handlers.Mailbox"])
            .arg(directory.path().join("mail"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("aiosmtpd is installed: run scripts/setup");
        let server = Self { child, port, directory, authority: issued.authority };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "aiosmtpd does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn channel(&self, encryption: &str) -> Channel {
        let target = json!({"email": {"host": "mail.example.com", "port": self.port, "encryption": encryption,
            "from": "Daybook <daybook@example.com>", "to": ["ops@example.com"]}});
        Channel { authority: Some(self.authority.clone()), ..channel(&target) }
    }

    fn mails(&self) -> Vec<String> {
        texts(&self.directory.path().join("mail/new"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn texts(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory).into_iter().flatten();
    files.map(|file| fs::read_to_string(file.expect("it can be listed").path()).expect("it can be read")).collect()
}

async fn arrives(options: [&str; 2], encryption: &str) {
    let server = Server::start(options);
    let sender = Sender::new(loopback()).with_resolver(Names::new(&["127.0.0.1"]));
    let outcome = sender.send(&server.channel(encryption), &notice(), "17", now()).await;
    assert_eq!(outcome, Outcome::Delivered);
    let mails = server.mails();
    let [mail] = &mails[..] else { panic!("{mails:?}") };
    for part in [
        "Subject: Critical: Checkout fails",
        "From: Daybook <daybook@example.com>",
        "text/html",
        "X-RcptTo: ops@example.com",
    ] {
        assert!(mail.contains(part), "{part} in\n{mail}");
    }
}

#[tokio::test]
async fn a_mail_arrives_encrypted_from_its_first_byte() {
    arrives(["--smtpscert", "--smtpskey"], "implicit").await;
}

#[tokio::test]
async fn a_mail_arrives_after_starttls() {
    arrives(["--tlscert", "--tlskey"], "starttls").await;
}
