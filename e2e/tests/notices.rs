//! What happens to incidents is told: to a server that speaks HTTP, and to one that nobody here wrote, by SMTP.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use daybook_bench::shop::free_address;
use daybook_e2e::World;
use daybook_e2e::receiver::Receiver;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";
const HOOK_KEY: &str = "a key that both of us know";
/// What another tool tells of.
const DISK: &str = "the disk of db1 is full";

/// Debian's `aiosmtpd` with a mailbox (`scripts/setup`), and the certificate of its authority.
struct MailServer {
    _child: Child,
    port: u16,
    mailbox: PathBuf,
}

/// Makes a certificate of `localhost` and its key in `directory`; that of its authority is `ca.pem`.
fn certify(directory: &Path) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate of the same name as its authority for one that vouches for itself.
    params.distinguished_name.push(DnType::CommonName, "authority");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key can be made"));
    let issuer = issuer.expect("it can be signed");
    let key = KeyPair::generate().expect("a key can be made");
    let own = CertificateParams::new(vec!["localhost".to_owned()]).expect("it is a name");
    let own = own.signed_by(&key, &issuer).expect("it can be signed");
    let file = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).expect("a file can be written");
        path
    };
    file("ca.pem", issuer.pem());
    (file("own.pem", own.pem()), file("own.key", key.serialize_pem()))
}

impl MailServer {
    /// Its files are in `directory`; the authority is `ca.pem`.
    fn start(directory: &Path) -> Self {
        let (certificate, key) = certify(directory);
        let port = free_address().expect("there is a free port").port();
        let mailbox = directory.join("mail");
        let mut command = Command::new("/usr/bin/aiosmtpd");
        command.args(["--nosetuid", "--listen", &format!("127.0.0.1:{port}"), "--smtpscert"]).arg(certificate);
        command.arg("--smtpskey").arg(key).args(["--class", "aiosmtpd.handlers.Mailbox"]).arg(&mailbox);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().expect("aiosmtpd is installed: run scripts/setup");
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "aiosmtpd does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { _child: child, port, mailbox }
    }

    /// The subjects that it took, in alphabetical order.
    fn subjects(&self) -> Vec<String> {
        let files = fs::read_dir(self.mailbox.join("new")).into_iter().flatten();
        let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
        let subject = |text: String| text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
        let mut subjects: Vec<_> = texts.filter_map(subject).collect();
        subjects.sort();
        subjects
    }
}

/// The shop with these channels.
async fn world(notify: &Value) -> World {
    world_at(notify, free_address().expect("there is a free port")).await
}

/// The same, with an address at which it is told of what others see.
async fn world_at(notify: &Value, receive: SocketAddr) -> World {
    let world = World::telling_this_machine(receive).await;
    world.write("daybook.yaml", &format!("{}\nnotify: {notify}\n", daybook_e2e::manifest()));
    for (name, value) in [("pagerduty", ROUTING_KEY), ("hook-key", HOOK_KEY)] {
        world.run_reading(&["secret", "set", name, "--app", "shop"], value).await.expect(0);
    }
    world
}

fn pager(receiver: &Receiver) -> Value {
    json!({"pagerduty": {"routing_key": {"secret": "pagerduty"}, "server": format!("http://{}", receiver.address)}})
}

fn hook(receiver: &Receiver) -> Value {
    json!({"webhook": {"url": format!("http://{}/hook", receiver.address), "key": {"secret": "hook-key"}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_told_in_order_whoever_fails_or_is_killed_meanwhile() {
    let receiver = Receiver::start().await;
    let directory = tempfile::tempdir().expect("a directory can be made");
    let mail = MailServer::start(directory.path());
    let email = json!({
        "email": {"host": "localhost", "port": mail.port, "from": "Daybook <daybook@example.com>", "to": "ops@example.com"},
        "ca": directory.path().join("ca.pem"),
    });
    let notify = json!({"pager": pager(&receiver), "hook": hook(&receiver), "mail": email});
    let mut world = world(&notify).await;
    world.up(1, &[]).await.expect(0);
    world.until("the release is told", async |_| receiver.at("/v2/change/enqueue").len() == 1).await;
    let change = &receiver.at("/v2/change/enqueue")[0];
    assert_eq!(change["payload"]["summary"], "Release 1 of shop/production is in force: up", "{change}");

    for channel in ["pager", "hook", "mail"] {
        let tested = world.run(&["channel", "test", channel]).await.expect(0);
        assert!(tested.out.contains("✓ triggered: 2") && tested.out.contains("✓ resolved: 2"), "{tested}");
    }
    assert!(receiver.taken.lock().unwrap().iter().any(|(_, head, _)| head.contains("x-daybook-signature: t=")));

    // Nobody takes anything, and the server is killed while it tries.
    receiver.answers(500);
    world.run(&["incident", "open", "checkout fails", "--severity", "page"]).await.expect(0);
    world.until("it is tried", async |_| receiver.refused() >= 2).await;
    let tested = world.run(&["channel", "test", "hook"]).await.expect(1);
    assert!(tested.out.contains("500") && tested.out.contains("not now"), "{tested}");
    world.run(&["incident", "ack"]).await.expect(0);
    world.daybook.kill_server().await.expect("the server is killed");
    world.daybook.serve().await.expect("the server starts again");
    world.run(&["incident", "resolve", "--note", "it was the disk"]).await.expect(0);
    let listed = world.run(&["channel", "ls", "-o", "json"]).await.expect(0).json();
    assert!(receiver.paged().is_empty() && receiver.hooked("/hook").is_empty(), "nothing was taken yet");
    assert!(listed[0]["waiting"].as_u64() >= Some(1), "{listed}");

    receiver.answers(202);
    world.until("all is told", async |_| receiver.paged().len() >= 3 && receiver.hooked("/hook").len() >= 3).await;
    let paged = receiver.paged();
    let actions: Vec<_> = paged.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["trigger", "acknowledge", "resolve"], "one page, in order: {paged:?}");
    assert!(paged.iter().all(|(_, key)| *key == paged[0].1), "of one incident: {paged:?}");
    let hooked = receiver.hooked("/hook");
    let kinds: Vec<_> = hooked.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["triggered", "acknowledged", "resolved"], "{hooked:?}");
    let subjects = |mail: &MailServer| {
        let all = mail.subjects().into_iter();
        all.filter(|subject| subject.contains("checkout fails")).collect::<Vec<_>>()
    };
    world.until("the mails are there", async |_| subjects(&mail).len() >= 3).await;
    assert!(subjects(&mail).iter().any(|subject| subject.starts_with("Critical")), "{:?}", mail.subjects());

    world
        .until("the channels work again", async |world| {
            let listed = world.run(&["channel", "ls", "-o", "json"]).await.expect(0).json();
            listed.as_array().expect("a list").iter().all(|one| one["state"] == "works" && one["waiting"] == 0)
        })
        .await;
    let events = world.run(&["events", "--limit", "100"]).await.expect(0);
    assert!(events.out.contains("channel pager: told: resolved: checkout fails"), "{events}");
    assert!(!events.all().contains(ROUTING_KEY) && !events.all().contains(HOOK_KEY), "secrets are not in the journal");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_channel_is_told_of_through_another() {
    let (good, bad) = (Receiver::start().await, Receiver::start().await);
    let world = world(&json!({"hook": hook(&bad), "pager": pager(&good)})).await;
    world.up(1, &[]).await.expect(0);
    bad.answers(404);
    world.run(&["incident", "open", "checkout fails", "--severity", "page"]).await.expect(0);
    world
        .until("the other channel tells of it", async |_| {
            good.paged().iter().any(|(action, key)| action == "trigger" && key == "daybook-channel-hook")
        })
        .await;
    assert!(good.paged().iter().any(|(_, key)| key != "daybook-channel-hook"), "the incident itself is told as well");
    let alerts = world.run(&["alert"]).await.expect(0);
    assert!(alerts.out.contains("ChannelDead") && alerts.out.contains("hook"), "{alerts}");
    let listed = world.run(&["channel", "ls"]).await.expect(0);
    assert!(listed.out.contains("dead") && listed.err.contains("404"), "{listed}");

    bad.answers(200);
    world.run(&["incident", "resolve"]).await.expect(0);
    world
        .until("the other channel tells that it works", async |_| {
            good.paged().iter().any(|(action, key)| action == "resolve" && key == "daybook-channel-hook")
        })
        .await;
    world.end().await;
}

/// What curl is answered: the body, and the status after it.
async fn post(address: SocketAddr, path: &str, headers: &[String], body: &str) -> String {
    let headers: Vec<_> = headers.iter().flat_map(|header| ["--header", header]).collect();
    curl(&format!("http://{address}{path}"), &headers, body).await
}

/// The same, where it is told more. The status is 000 where there was no answer.
async fn curl(url: &str, arguments: &[&str], body: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "60", "--write-out", "%{http_code}", "--data-binary", body]);
    let said = curl.args(arguments).arg(url).output().await.expect("curl is installed");
    String::from_utf8_lossy(&said.stdout).into_owned()
}

/// Incidents of this title that go on; the machine may have some of its own.
async fn open_incidents(world: &World, title: &str) -> Vec<Value> {
    let listed = world.run(&["incident", "ls", "-o", "json"]).await.expect(0).json();
    let all = listed.as_array().into_iter().flatten();
    all.filter(|incident| incident["title"] == title).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_tools_tell_of_becomes_an_incident() {
    let address = free_address().expect("there is a free port");
    let receiver = Receiver::start().await;
    let pager = json!({"pagerduty": {
        "routing_key": {"secret": "pagerduty"},
        "server": format!("http://{}", receiver.address),
        "webhooks": {"secret": "hook-key"},
    }});
    let mut world = world_at(&json!({"pager": pager}), address).await;
    let manifest = fs::read_to_string(world.path().join("daybook.yaml")).expect("it was written");
    world.write("daybook.yaml", &format!("{manifest}receive: {{secret: pagerduty}}\n"));
    world.up(1, &[]).await.expect(0);

    // A tool that can page PagerDuty can page us, with the key of the environment.
    let event = |key: &str, action: &str| {
        json!({"routing_key": key, "event_action": action, "dedup_key": "disk",
            "payload": {"summary": DISK, "source": "db1", "severity": "critical"}})
        .to_string()
    };
    let foreign = post(address, "/v2/enqueue", &[], &event(&"f".repeat(32), "trigger")).await;
    assert!(foreign.ends_with("400") && foreign.contains("Invalid routing key"), "{foreign}");
    world
        .until("the key is known", async |_| {
            post(address, "/v2/enqueue", &[], &event(ROUTING_KEY, "trigger")).await.ends_with("202")
        })
        .await;
    world.daybook.kill_server().await.expect("the server is killed");
    world.daybook.serve().await.expect("the server starts again");
    world.until("an incident is open", async |world| open_incidents(world, DISK).await.len() == 1).await;
    let incident = &open_incidents(&world, DISK).await[0];
    assert_eq!(incident["severity"], "page", "{incident}");
    assert_eq!(incident["alerts"][0]["summary"], DISK, "{incident}");
    world.until("it is told", async |_| receiver.paged().iter().any(|(action, _)| action == "trigger")).await;
    world
        .until("it is acknowledged", async |world| {
            post(address, "/v2/enqueue", &[], &event(ROUTING_KEY, "acknowledge")).await;
            open_incidents(world, DISK).await.iter().any(|incident| incident["state"] == "acknowledged")
        })
        .await;

    // What somebody does at PagerDuty is done here, if PagerDuty has signed it.
    let deed = json!({"event": {"id": "e1", "event_type": "incident.resolved", "occurred_at": now(),
        "agent": {"summary": "Ann"}, "data": {"type": "incident", "id": "P1", "incident_key": incident["id"]}}})
    .to_string();
    let signed = |key: &str| vec![format!("x-pagerduty-signature: v1={}", mac(key, &deed))];
    let path = "/pagerduty/shop/production/pager";
    let forged = post(address, path, &signed("another key"), &deed).await;
    assert!(forged.ends_with("403"), "{forged}");
    let taken = post(address, path, &signed(HOOK_KEY), &deed).await;
    assert!(taken.ends_with("200"), "{taken}");
    assert!(open_incidents(&world, DISK).await.is_empty());

    // An Alertmanager tells of a group.
    let group = json!({"receiver": "daybook", "status": "firing", "version": "4", "groupKey": "g",
        "externalURL": "http://am.example.com", "alerts": [{"status": "firing", "fingerprint": "aa",
        "labels": {"alertname": "Down", "severity": "warning", "service": "web"}, "annotations": {"summary": "web is down"},
        "startsAt": now(), "endsAt": "0001-01-01T00:00:00Z", "generatorURL": ""}]})
    .to_string();
    assert!(post(address, "/alertmanager", &[], &group).await.ends_with("401"));
    assert_eq!(answer_before_the_body(address), "HTTP/1.1 401");
    let bearer = vec![format!("authorization: Bearer {ROUTING_KEY}")];
    assert!(post(address, "/alertmanager", &bearer, &group).await.ends_with("200"));
    world.until("an incident is open", async |world| open_incidents(world, "web is down").await.len() == 1).await;
    let incident = &open_incidents(&world, "web is down").await[0];
    assert_eq!((&incident["title"], &incident["severity"]), (&json!("web is down"), &json!("ticket")), "{incident}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tools_tell_over_tls_where_others_can_listen() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let (cert, key) = certify(directory.path());
    let port = free_address().expect("there is a free port").port();
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let world = World::receiving_over_tls(address, &cert, &key).await;
    world.write("daybook.yaml", &format!("{}\nreceive: {{secret: pagerduty}}\n", daybook_e2e::manifest()));
    world.run_reading(&["secret", "set", "pagerduty", "--app", "shop"], ROUTING_KEY).await.expect(0);
    world.up(1, &[]).await.expect(0);

    let event = json!({"routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": "disk",
        "payload": {"summary": DISK, "source": "db1", "severity": "critical"}})
    .to_string();
    let url = format!("https://localhost:{port}/v2/enqueue");
    let trusted = async || {
        let authority = directory.path().join("ca.pem").display().to_string();
        curl(&url, &["--cacert", &authority], &event).await
    };
    world.until("the key is known", async |_| trusted().await.ends_with("202")).await;
    world.until("an incident is open", async |world| open_incidents(world, DISK).await.len() == 1).await;
    let unknown = curl(&url, &[], &event).await;
    assert!(unknown.ends_with("000"), "nobody vouches for it: {unknown}");
    let clear = format!("http://localhost:{port}/v2/enqueue");
    let clear = curl(&clear, &[], &event).await;
    assert!(clear.ends_with("000"), "nothing is taken in clear: {clear}");

    // A certificate that is renewed, here by another authority, is used without a restart.
    certify(directory.path());
    let renewed = trusted().await;
    assert!(renewed.ends_with("202"), "{renewed}");

    let refused = world.run(&["serve", "--receive", &address.to_string()]).await.expect(64);
    assert!(refused.err.contains("in clear") && refused.err.contains("--receive-cert"), "{refused}");
    let half = world.run(&["serve", "--receive", &address.to_string(), "--receive-key", "own.key"]).await.expect(64);
    assert!(half.err.contains("--receive-cert"), "{half}");
    world.end().await;
}

/// How whoever has a wrong key is answered before anything of a body came.
fn answer_before_the_body(address: SocketAddr) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("it is longer than nothing");
    let head =
        "POST /alertmanager HTTP/1.1\r\nhost: daybook\r\nauthorization: Bearer wrong\r\ncontent-length: 9000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the server reads");
    let mut said = [0; 12];
    stream.read_exact(&mut said).expect("the server answers");
    String::from_utf8_lossy(&said).into_owned()
}

/// Now, as RFC 3339 has it.
fn now() -> String {
    let said = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().expect("date is there");
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

/// HMAC-SHA-256 in hexadecimal digits, by OpenSSL.
fn mac(key: &str, text: &str) -> String {
    use std::io::Write as _;
    let mut openssl = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", key, "-r"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    openssl.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("openssl reads");
    let said = openssl.wait_with_output().expect("openssl ends");
    String::from_utf8_lossy(&said.stdout).split(' ').next().unwrap_or_default().to_owned()
}
