//! The client against a small server on a Unix socket.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "test helpers outside of #[test] functions")]

use std::path::PathBuf;

use bytes::Bytes;
use daybook_api::client::{Client, Error, Exit};
use daybook_api::event::EventsQuery;
use daybook_api::exec::{ExecRequest, Frame};
use daybook_api::run::{RunReply, RunRequest};
use daybook_model::RunId;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;

type Answer = Response<Full<Bytes>>;

/// Runs `test` with a client of a server that answers with `answer`.
fn with_server<F>(answer: fn(Request<Incoming>) -> Answer, test: impl FnOnce(Client) -> F)
where
    F: Future<Output = ()>,
{
    let dir = tempfile::tempdir().unwrap();
    let socket: PathBuf = dir.path().join("daybook.sock");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service_fn(move |request| async move { Ok::<_, hyper::Error>(answer(request)) });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
            }
        });
        test(Client::unix(&socket)).await;
    });
}

fn answer(status: u16, body: &'static str) -> Answer {
    Response::builder().status(status).body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
}

fn run_id() -> RunId {
    RunId(uuid::Uuid::from_u128(7))
}

fn scale() -> RunRequest {
    serde_json::from_str(r#"{"change": {"scale": {"key": "shop/production", "services": {"web": 3}}}}"#).unwrap()
}

#[test]
fn a_request_says_where_it_comes_from_and_escapes_its_path() {
    fn echo(request: Request<Incoming>) -> Answer {
        assert_eq!(request.headers()["x-daybook-origin"], "cli");
        assert_eq!(request.uri().path(), "/v1/environments/shop/production/why/web");
        answer(200, r#"{"key": "shop/production", "service": "web", "headline": "runs", "unknown": 1}"#)
    }
    with_server(echo, async |client| {
        let why = client.why(&"shop/production".parse().unwrap(), &"web".parse().unwrap()).await.unwrap();
        assert_eq!((why.headline.as_str(), why.cause), ("runs", None));
    });
}

#[test]
fn a_run_that_begins_and_nothing_to_do_are_told_apart_by_status() {
    fn started(_: Request<Incoming>) -> Answer {
        let body =
            r#"{"run": "00000000-0000-0000-0000-000000000007", "key": "shop/production", "to": 42, "plan_id": "p"}"#;
        answer(202, body)
    }
    with_server(started, async |client| {
        let RunReply::Started(run) = client.run(&scale()).await.unwrap() else { panic!("nothing began") };
        assert_eq!((run.run, run.to.0), (run_id(), 42));
    });
    with_server(
        |_| answer(200, r#"{"empty": true, "key": "shop/production", "release": 41}"#),
        async |client| {
            assert!(matches!(client.run(&scale()).await.unwrap(), RunReply::Nothing(nothing) if nothing.empty));
        },
    );
}

#[test]
fn r15_a_refusal_names_the_run_in_the_way() {
    fn locked(_: Request<Incoming>) -> Answer {
        let body = r#"{"code": "locked", "message": "a run is open", "run": "00000000-0000-0000-0000-000000000007"}"#;
        answer(409, body)
    }
    with_server(locked, async |client| {
        let error = client.run(&scale()).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Locked);
        assert_eq!(error.refusal().unwrap().run, Some(run_id()));
    });
}

#[test]
fn a_refusal_without_a_body_of_ours_is_still_told() {
    with_server(
        |_| answer(502, "bad gateway\n"),
        async |client| {
            let error = client.version().await.unwrap_err();
            assert_eq!(error.to_string(), "502 Bad Gateway: bad gateway");
            assert!(error.refusal().unwrap().retry);
        },
    );
}

#[test]
fn an_answer_that_is_not_json_is_unreadable() {
    with_server(
        |_| answer(200, "<html>"),
        async |client| {
            assert!(matches!(client.version().await.unwrap_err(), Error::Unreadable(_)));
        },
    );
}

#[test]
fn no_server_is_told_apart_from_other_failures() {
    let dir = tempfile::tempdir().unwrap();
    let client = Client::unix(dir.path().join("daybook.sock"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(client.version()).unwrap_err().is_no_server());
}

#[test]
fn events_stream_until_the_server_ends_them_or_reports_an_error() {
    fn stream(request: Request<Incoming>) -> Answer {
        assert_eq!(request.uri().query(), Some("after=3&follow=true"));
        let event = |seq: u64| {
            format!(
                "id: {seq}\ndata: {{\"seq\":{seq},\"at\":\"2026-11-24T00:00:00Z\",\"actor\":{{\"name\":\"ada\",\"origin\":\"cli\"}},\"kind\":\"run_resumed\",\"text\":\"resumed\"}}\n\n"
            )
        };
        let error = "event: error\ndata: {\"code\":\"unavailable\",\"message\":\"disk full\"}\n\n";
        let body = format!(": hello\n\n{}{}{error}{}", event(4), event(5), event(6));
        Response::new(Full::new(body.into()))
    }
    with_server(stream, async |client| {
        let query = EventsQuery { after: Some(3), ..EventsQuery::default() };
        let events: Vec<_> = client.follow_events(&query).await.unwrap().collect().await;
        let seqs: Vec<_> = events.iter().map(|event| event.as_ref().ok().and_then(|event| event.seq)).collect();
        assert_eq!(seqs, [Some(4), Some(5), None]);
        assert_eq!(events[2].as_ref().unwrap_err().to_string(), "disk full");
    });
}

#[test]
fn a_stream_that_is_refused_never_begins() {
    with_server(
        |_| answer(404, r#"{"code": "not_found", "message": "no such environment"}"#),
        async |client| {
            let error = client.follow_events(&EventsQuery::default()).await.err().unwrap();
            assert_eq!(error.to_string(), "no such environment");
        },
    );
}

#[test]
fn exec_echoes_through_an_upgraded_connection() {
    fn upgrade(mut request: Request<Incoming>) -> Answer {
        assert_eq!(request.headers()["upgrade"], "daybook-exec");
        tokio::spawn(async move {
            let body = request.body_mut().collect().await.unwrap().to_bytes();
            assert_eq!(body, r#"{"argv":["cat"]}"#);
            let mut io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            while let Some(frame) = Frame::read(&mut io).await.unwrap() {
                match frame {
                    Frame::Stdin(bytes) => Frame::Stdout(bytes).write(&mut io).await.unwrap(),
                    _ => break,
                }
            }
            Frame::Exit(3).write(&mut io).await.unwrap();
        });
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        response.header("connection", "upgrade").header("upgrade", "daybook-exec").body(Full::default()).unwrap()
    }
    with_server(upgrade, async |client| {
        let request = ExecRequest { argv: vec!["cat".to_owned()], tty: None, user: None, workdir: None };
        let replica = "web.3".parse().unwrap();
        let mut session = client.exec(&"shop/production".parse().unwrap(), &replica, &request).await.unwrap();
        session.input.send(&Frame::Stdin(Bytes::from_static(b"hello"))).await.unwrap();
        assert_eq!(session.output.next().await.unwrap(), Some(Frame::Stdout(Bytes::from_static(b"hello"))));
        session.input.send(&Frame::StdinEnd).await.unwrap();
        assert_eq!(session.output.next().await.unwrap(), Some(Frame::Exit(3)));
        assert_eq!(session.output.next().await.unwrap(), None);
    });
}

#[test]
fn a_stream_that_breaks_is_lost_and_not_ended() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("daybook.sock");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let half = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n: hi\n\r\n";
            stream.write_all(half).await.unwrap();
        });
        let stream = Client::unix(&socket).follow_events(&EventsQuery::default()).await.unwrap();
        let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
        assert!(error.is_connection(), "{error}");
    });
}
