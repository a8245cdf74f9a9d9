//! E-mail to a server that speaks SMTP.

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use daybook_notify::{Channel, Guard, Outcome, Sender};
use serde_json::json;
use support::{CANARY, Names, channel, loopback, notice, now};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a server does with a mail.
#[derive(Clone, Copy)]
struct Conduct {
    /// From the first byte, or after `STARTTLS`.
    is_implicit: bool,
    /// Whether it offers `STARTTLS`.
    offers_tls: bool,
    /// The answer to the mail.
    answer: &'static str,
}

const GOOD: Conduct = Conduct { is_implicit: true, offers_tls: true, answer: "250 taken" };

/// All lines that a server was sent.
type Lines = Arc<Mutex<Vec<String>>>;

async fn server(acceptor: TlsAcceptor, conduct: Conduct) -> (SocketAddr, Lines) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    let lines = Lines::default();
    let seen = Arc::clone(&lines);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = serve(stream, &acceptor, conduct, &seen).await;
        }
    });
    (address, lines)
}

async fn serve(stream: TcpStream, acceptor: &TlsAcceptor, conduct: Conduct, lines: &Lines) -> std::io::Result<()> {
    if conduct.is_implicit {
        talk(acceptor.accept(stream).await?, conduct, true, lines).await.map(drop)
    } else if let Some(stream) = talk(stream, conduct, false, lines).await? {
        talk(acceptor.accept(stream).await?, Conduct { is_implicit: true, ..conduct }, false, lines).await.map(drop)
    } else {
        Ok(())
    }
}

/// Speaks until the other side has enough. Gives back the stream where that is to be encrypted.
async fn talk<S>(stream: S, conduct: Conduct, greets: bool, lines: &Lines) -> std::io::Result<Option<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    if greets || !conduct.is_implicit {
        stream.write_all(b"220 mail.example.com ESMTP\r\n").await?;
    }
    let mut is_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        lines.lock().expect("nobody panicked with it").push(line.trim_end().to_owned());
        let verb = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        let reply = match (is_data, verb.as_str()) {
            (true, ".") => {
                is_data = false;
                conduct.answer
            }
            (true, _) => continue,
            (_, "EHLO") if conduct.is_implicit => "250-mail.example.com\r\n250 AUTH PLAIN LOGIN",
            (_, "EHLO") if conduct.offers_tls => "250-mail.example.com\r\n250 STARTTLS",
            (_, "EHLO") => "250 mail.example.com",
            (_, "STARTTLS") => {
                stream.write_all(b"220 go on\r\n").await?;
                return Ok(Some(stream.into_inner()));
            }
            (_, "AUTH") => "235 welcome",
            (_, "DATA") => {
                is_data = true;
                "354 go on"
            }
            (_, "QUIT") => "221 bye",
            _ => "250 ok",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}

fn email(port: u16, encryption: &str, authority: String) -> Channel {
    let target = json!({"email": {"host": "mail.example.com", "port": port, "encryption": encryption,
        "from": "Daybook <daybook@example.com>", "to": ["ops@example.com", "Ada <ada@example.com>"],
        "login": {"user": "daybook", "password": CANARY}}});
    Channel { authority: Some(authority), ..channel(&target) }
}

fn sender() -> Sender {
    Sender::new(loopback()).with_resolver(Names::new(&["127.0.0.1"]))
}

async fn sent(conduct: Conduct, encryption: &str) -> (Outcome, Vec<String>) {
    let (acceptor, authority) = support::certificate(&["mail.example.com"]);
    let (address, lines) = server(acceptor, conduct).await;
    let outcome = sender().send(&email(address.port(), encryption, authority), &notice(), "17", now()).await;
    assert!(!format!("{outcome:?}").contains(CANARY));
    let lines = lines.lock().expect("nobody panicked with it").clone();
    (outcome, lines)
}

#[tokio::test]
async fn a_mail_arrives_encrypted_either_way() {
    for (encryption, is_implicit) in [("implicit", true), ("starttls", false)] {
        let (outcome, lines) = sent(Conduct { is_implicit, ..GOOD }, encryption).await;
        assert_eq!(outcome, Outcome::Delivered, "{encryption}");
        let text = lines.join("\n");
        for part in [
            "MAIL FROM:<daybook@example.com>",
            "RCPT TO:<ops@example.com>",
            "RCPT TO:<ada@example.com>",
            "Subject: Critical: Checkout fails",
            "Content-Type: multipart/alternative",
            "Auto-Submitted: auto-generated",
            "References: <",
        ] {
            assert!(text.contains(part), "{encryption}: {part} in\n{text}");
        }
        assert!(lines.iter().any(|line| line.starts_with("AUTH ")), "{encryption}");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_that_does_not_encrypt() {
    let (outcome, lines) = sent(Conduct { is_implicit: false, offers_tls: false, ..GOOD }, "starttls").await;
    assert_ne!(outcome, Outcome::Delivered);
    assert!(!lines.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{lines:?}");
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let (outcome, _) = sent(Conduct { answer: "451 try later", ..GOOD }, "implicit").await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    let (outcome, _) = sent(Conduct { answer: "554 no such user", ..GOOD }, "implicit").await;
    let Outcome::Refused { why } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("554") && why.contains("no such user"), "{why}");
}

#[tokio::test]
async fn a_server_with_another_certificate_gets_nothing() {
    let (acceptor, _) = support::certificate(&["mail.example.com"]);
    let (address, lines) = server(acceptor, GOOD).await;
    let other = support::certificate(&["mail.example.com"]).1;
    let outcome = sender().send(&email(address.port(), "implicit", other), &notice(), "17", now()).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert!(lines.lock().unwrap().is_empty());
}

#[tokio::test]
async fn r35_a_mail_server_at_a_private_address_is_not_connected_to() {
    let (acceptor, authority) = support::certificate(&["mail.example.com"]);
    let (address, lines) = server(acceptor, GOOD).await;
    let sender = Sender::new(Guard::default()).with_resolver(Names::new(&["127.0.0.1"]));
    let outcome = sender.send(&email(address.port(), "implicit", authority), &notice(), "17", now()).await;
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    assert!(lines.lock().unwrap().is_empty());
}
