//! Requests to servers that answer badly, and names that lead where nobody may go.

mod support;

use std::time::Duration;

use daybook_notify::channel::Login;
use daybook_notify::send::{Post, Proof};
use daybook_notify::signature::{WINDOW, verify};
use daybook_notify::{Guard, Outcome, Secret, Sender};
use serde_json::{Value, json};
use support::{CANARY, Names, answer, channel, http, loopback, notice, now, provider, webhook};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

fn sender() -> Sender {
    provider();
    Sender::new(loopback())
}

/// Sends to a server with this answer.
async fn answered(answer: String) -> Outcome {
    let (address, _) = http(answer).await;
    let outcome = sender().send(&webhook(&format!("http://{address}")), &notice(), "17", now()).await;
    assert!(!format!("{outcome:?}").contains(CANARY), "{outcome:?}");
    outcome
}

fn refused(outcome: Outcome) -> String {
    let Outcome::Refused { why } = outcome else { panic!("{outcome:?}") };
    why
}

fn retried(outcome: Outcome) -> (Option<Duration>, String) {
    let Outcome::Retry { after, why } = outcome else { panic!("{outcome:?}") };
    (after, why)
}

#[tokio::test]
async fn a_webhook_arrives_as_it_was_signed() {
    let (address, requests) = http(answer("204 No Content", "", "")).await;
    let outcome = sender().send(&webhook(&format!("http://{address}")), &notice(), "17", now()).await;
    assert_eq!(outcome, Outcome::Delivered);
    let (head, body) = requests.lock().unwrap().remove(0);
    assert!(head.starts_with(&format!("post /{CANARY} http/1.1")), "{head}");
    assert!(head.contains("content-type: application/json") && head.contains("user-agent: daybook/"), "{head}");
    let signature = head.lines().find_map(|line| line.strip_prefix("x-daybook-signature: ")).unwrap();
    assert_eq!(verify(&[Secret::new(CANARY)], signature, &body, now(), WINDOW), Ok(now()));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["delivery"], &body["notice"]["title"]), (&json!("17"), &json!("Checkout fails")));
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again() {
    let (after, why) = retried(answered(answer("503 Service Unavailable", "retry-after: 120\r\n", "later")).await);
    assert_eq!(after, Some(Duration::from_mins(2)));
    assert_eq!(why, "webhook at 127.0.0.1: it answers 503 Service Unavailable: later");
    let (after, _) = retried(answered(answer("429 Too Many Requests", "retry-after: 7\r\n", "")).await);
    assert_eq!(after, Some(Duration::from_secs(7)));
    let (after, _) = retried(answered(answer("500 Internal Server Error", "", "")).await);
    assert_eq!(after, None);
}

#[tokio::test]
async fn a_server_that_refuses_is_not_asked_again_and_what_it_says_is_told() {
    let body = r#"{"status":"invalid event","message":"Event object is invalid","errors":["no"]}"#;
    let why = refused(answered(answer("400 Bad Request", "", body)).await);
    assert!(why.ends_with(&format!("it answers 400 Bad Request: {body}")), "{why}");
}

#[tokio::test]
async fn r31_a_server_that_echoes_secrets_does_not_get_them_shown() {
    let body = format!("no hook /{CANARY}, key {CANARY}");
    let why = refused(answered(answer("404 Not Found", "", &body)).await);
    assert!(why.contains("no hook") && why.contains("[secret]"), "{why}");
}

#[tokio::test]
async fn r31_a_server_that_cannot_be_reached_does_not_get_its_url_shown() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (_, why) = retried(sender().send(&webhook(&format!("http://{gone}")), &notice(), "17", now()).await);
    assert!(why.contains("refused") && !why.contains(CANARY), "{why}");
}

#[tokio::test]
async fn a_huge_answer_is_neither_read_nor_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        support::request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 1000000000000\r\n\r\n").await.unwrap();
        // It writes until the other side is gone.
        let chunk = vec![b'x'; 1 << 20];
        while stream.write_all(&chunk).await.is_ok() {}
    });
    let why = refused(sender().send(&webhook(&format!("http://{address}")), &notice(), "17", now()).await);
    assert_eq!(why, "webhook at 127.0.0.1: it answers 400 Bad Request");
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sender = sender().with_patience(Duration::from_millis(200));
    let (_, why) = retried(sender.send(&webhook(&format!("http://{address}")), &notice(), "17", now()).await);
    assert!(why.starts_with("webhook at 127.0.0.1: "), "{why}");
}

#[tokio::test]
async fn r35_a_redirect_is_not_followed() {
    let (inner, requests) = http(answer("200 OK", "", "")).await;
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        for location in [format!("http://{inner}/{CANARY}"), "http://169.254.169.254/latest/meta-data/".to_owned()] {
            let why = refused(answered(answer(status, &format!("location: {location}\r\n"), "")).await);
            assert!(why.contains("redirects are not followed"), "{why}");
        }
    }
    assert!(requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn r35_a_private_address_is_not_connected_to() {
    provider();
    let (address, requests) = http(answer("200 OK", "", "")).await;
    let port = address.port();
    let sender = Sender::new(Guard::default());
    for host in
        ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "localhost"]
    {
        let channel = webhook(&format!("http://{host}:{port}"));
        let why = refused(sender.send(&channel, &notice(), "17", now()).await);
        assert!(why.contains("is not connected to"), "{host}: {why}");
    }
    assert!(requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn r35_a_name_that_leads_to_a_private_address_is_not_connected_to() {
    provider();
    for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::ffff:127.0.0.1", "fd00::1", "fe80::1"]
    {
        let names = Names::new(&["93.184.215.14", address]);
        let sender = Sender::new(Guard::default()).with_resolver(names.clone());
        let why = refused(sender.send(&webhook("https://hooks.example.com"), &notice(), "17", now()).await);
        assert!(why.starts_with("webhook at hooks.example.com: hooks.example.com is not connected to: "), "{why}");
        assert_eq!(names.asked.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn r35_the_connection_goes_to_the_address_that_was_checked() {
    provider();
    let (address, requests) = http(answer("200 OK", "", "")).await;
    let names = Names::new(&["127.0.0.1"]);
    let sender = Sender::new(loopback()).with_resolver(names.clone());
    let channel = webhook(&format!("http://hooks.example.invalid:{}", address.port()));
    assert_eq!(sender.send(&channel, &notice(), "17", now()).await, Outcome::Delivered);
    assert_eq!(*names.asked.lock().unwrap(), ["hooks.example.invalid"], "asked once, and nobody else was");
    let (head, _) = requests.lock().unwrap().remove(0);
    assert!(head.contains("host: hooks.example.invalid:"), "{head}");
}

#[tokio::test]
async fn r35_a_public_address_is_not_spoken_to_in_clear() {
    provider();
    let sender = Sender::new(Guard::default()).with_resolver(Names::new(&["93.184.215.14"]));
    let why = refused(sender.send(&webhook("http://hooks.example.com"), &notice(), "17", now()).await);
    assert!(why.ends_with("93.184.215.14 is public, and the URL is not of `https:`"), "{why}");
}

#[tokio::test]
async fn a_name_without_an_address_may_get_one_later() {
    provider();
    let sender = Sender::new(Guard::default()).with_resolver(Names::new(&[]));
    let (_, why) = retried(sender.send(&webhook("https://hooks.example.com"), &notice(), "17", now()).await);
    assert!(why.contains("has no address"), "{why}");
}

#[tokio::test]
async fn a_certificate_has_to_be_of_the_authority_that_is_named() {
    let (acceptor, authority) = support::certificate(&["hooks.example.com"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.write_all(answer("200 OK", "", "").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let sender = Sender::new(loopback()).with_resolver(Names::new(&["127.0.0.1"]));
    let mut channel = webhook(&format!("https://hooks.example.com:{port}"));
    channel.authority = Some(authority);
    assert_eq!(sender.send(&channel, &notice(), "17", now()).await, Outcome::Delivered);
    channel.authority = Some(support::certificate(&["hooks.example.com"]).1);
    let (_, why) = retried(sender.send(&channel, &notice(), "17", now()).await);
    assert!(why.contains("certificate"), "{why}");
    channel.authority = Some("nothing".to_owned());
    let why = refused(sender.send(&channel, &notice(), "17", now()).await);
    assert!(why.contains("no certificate in PEM form"), "{why}");
}

#[tokio::test]
async fn each_service_gets_its_path() {
    let (address, requests) = http(answer("202 Accepted", "", "")).await;
    let server = format!("http://{address}");
    for target in [
        json!({"pagerduty": {"routing_key": "canary00000000000000000000000000", "server": server}}),
        json!({"slack": {"webhook": format!("{server}/services/T/B/x")}}),
        json!({"teams": {"webhook": format!("{server}/workflows?sig=x")}}),
        json!({"ntfy": {"server": server, "topic": "t", "token": "tk"}}),
    ] {
        assert_eq!(sender().send(&channel(&target), &notice(), "17", now()).await, Outcome::Delivered);
    }
    let heads: Vec<_> = requests.lock().unwrap().iter().map(|(head, _)| head.clone()).collect();
    let paths: Vec<_> = heads.iter().map(|head| head.split(' ').nth(1).unwrap()).collect();
    assert_eq!(paths, ["/v2/enqueue", "/services/t/b/x", "/workflows?sig=x", "/"]);
    assert!(heads[3].contains("authorization: bearer tk"));
}

#[tokio::test]
async fn what_is_no_notice_is_posted_as_it_is_and_its_answer_told_without_secrets() {
    let (address, requests) =
        http(answer("429 Too Many Requests", "retry-after: 7\r\n", &format!("no, {CANARY}"))).await;
    let url = Secret::new(format!("http://{address}/write"));
    let login = Proof::Login(Login { user: "u".to_owned(), password: Secret::new(CANARY) });
    let token = Proof::Token(Secret::new(CANARY));
    for (proof, shown) in [(&login, "authorization: basic "), (&token, "authorization: bearer canary0000000000")] {
        let headers = vec![("content-type", "application/x-protobuf"), ("x-scope-orgid", "shops")];
        let post = Post { url: &url, headers, proof: Some(proof), body: vec![0, 255], authority: None };
        let told = sender().deliver(post).await.unwrap();
        assert_eq!((told.status, told.retry_after.as_deref()), (429, Some("7")));
        assert!(told.said.contains("Too Many Requests") && !told.said.contains(CANARY), "{told:?}");
        let (head, body) = requests.lock().unwrap().remove(0);
        assert!(head.starts_with("post /write ") && head.contains(shown), "{head}");
        assert!(
            head.contains("content-type: application/x-protobuf") && head.contains("x-scope-orgid: shops"),
            "{head}"
        );
        assert_eq!(body, [0, 255]);
    }
}

#[tokio::test]
async fn r35_what_is_no_notice_leads_nowhere_else_either() {
    let (address, requests) = http(answer("204 No Content", "", "")).await;
    provider();
    let url = Secret::new(format!("http://{address}/write"));
    let post = Post { url: &url, headers: Vec::new(), proof: None, body: Vec::new(), authority: None };
    let why = Sender::new(Guard::default()).deliver(post).await.unwrap_err();
    assert!(why.contains("127.0.0.1 is loopback"), "{why}");
    assert!(requests.lock().unwrap().is_empty());
}
