//! Backups on a server that speaks S3, and on one that does not always answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use daybook_backup::{Depth, Error, ObjectLock, ObjectLockMode, Place, Repository, S3};

use crate::common::{PASSWORD, about, entry, failing, noise, read};
use crate::servers::{Fault, Moto, Proxy, ask};

/// The server looks whether a request is signed, and not by whom.
const SIGNED: &str = "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n";

fn s3(address: SocketAddr, bucket: &str) -> S3 {
    // Where another test has installed it already, that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    S3 {
        endpoint: format!("http://{address}").parse().unwrap(),
        region: "us-east-1".to_owned(),
        bucket: bucket.to_owned(),
        prefix: "of/shop".to_owned(),
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: "not to be told".to_owned().into(),
        lock: None,
        patience: S3::PATIENCE,
    }
}

#[test]
fn a_bucket_is_as_good_as_a_directory() {
    let moto = Moto::start();
    moto.bucket("backups", false);
    let s3 = s3(moto.address, "backups");
    assert!(!format!("{s3:?}").contains("not to be told"));
    let place = Place::S3(Box::new(s3));
    assert!(Repository::open(&place, PASSWORD).unwrap().is_none());
    let repository = Repository::open_or_create(&place, PASSWORD).unwrap();
    let dump = noise(1, 6_000_000);
    let saved = repository.save(&about("shop", 0), vec![entry("shop.dump", dump.clone()), entry("two", "2")]).unwrap();
    assert!(matches!(
        repository.save(&about("shop", 1), vec![failing("shop.dump", 5_000_000)]),
        Err(Error::Source { .. })
    ));
    assert_eq!(repository.snapshots().unwrap(), std::slice::from_ref(&saved));
    assert!(read(&repository, &saved.id, "shop.dump").unwrap() == dump);
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
    repository.forget(&[saved.id]).unwrap();
    assert!(repository.prune().unwrap().marked_bytes > 5_900_000);
    assert_eq!(repository.snapshots().unwrap(), []);
    assert!(matches!(Repository::open(&place, "another"), Err(Error::WrongPassword { .. })));
    let keys = ask(moto.address, "GET /backups?list-type=2", "");
    assert!(keys.contains("<Key>of/shop/config</Key>") && !keys.contains("/locks/"), "{keys}");
}

#[test]
fn long_lists_come_in_pages() {
    let moto = Moto::start();
    moto.bucket("backups", false);
    let proxy = Proxy::start(moto.address, Fault::ShortPages, 1);
    let repository = Repository::open_or_create(&Place::S3(Box::new(s3(proxy.address, "backups"))), PASSWORD).unwrap();
    let saved = [0, 1, 2].map(|second| repository.save(&about("shop", second), vec![entry("one", "1")]).unwrap());
    let page = ask(proxy.address, "GET /backups?list-type=2&prefix=of/shop/snapshots/", "");
    assert!(page.contains("<NextContinuationToken>"), "one page has it all: {page}");
    assert_eq!(repository.snapshots().unwrap(), saved);
}

#[test]
fn what_is_written_is_locked_where_that_is_asked_for() {
    let moto = Moto::start();
    moto.bucket("backups", true);
    let lock = Some(ObjectLock { mode: ObjectLockMode::Compliance, days: 7 });
    let place = Place::S3(Box::new(S3 { lock, ..s3(moto.address, "backups") }));
    let repository = Repository::open_or_create(&place, PASSWORD).unwrap();
    let saved = repository.save(&about("shop", 0), vec![entry("one", "1")]).unwrap();
    let head = ask(moto.address, &format!("HEAD /backups/of/shop/snapshots/{}", saved.id), SIGNED).to_lowercase();
    assert!(head.contains("x-amz-object-lock-mode: compliance"), "{head}");
    assert!(head.contains("x-amz-object-lock-retain-until-date: "), "{head}");
    assert_eq!(read(&repository, &saved.id, "one").unwrap(), b"1");
}

#[test]
fn a_server_that_fails_now_and_then_is_asked_again() {
    let moto = Moto::start();
    for (number, fault) in [Fault::Refuses, Fault::Hangs, Fault::Cuts].into_iter().enumerate() {
        let bucket = format!("backups{number}");
        moto.bucket(&bucket, false);
        let proxy = Proxy::start(moto.address, fault, 3);
        let place = Place::S3(Box::new(S3 { patience: Duration::from_millis(500), ..s3(proxy.address, &bucket) }));
        let repository = Repository::open_or_create(&place, PASSWORD).unwrap();
        let dump = noise(1, 3_000_000);
        let saved = repository.save(&about("shop", 0), vec![entry("shop.dump", dump.clone())]).unwrap();
        assert!(read(&repository, &saved.id, "shop.dump").unwrap() == dump, "{fault:?}");
        let direct = Repository::open(&Place::S3(Box::new(s3(moto.address, &bucket))), PASSWORD).unwrap().unwrap();
        assert_eq!(direct.check(Depth::Everything).unwrap(), [], "{fault:?}");
        assert_eq!(direct.snapshots().unwrap(), [saved], "{fault:?}");
    }
}

#[test]
fn a_server_that_always_fails_is_given_up() {
    let moto = Moto::start();
    moto.bucket("backups", false);
    for (fault, said) in [
        (Fault::Refuses, "the server answers 500 Internal Server Error, and so 5 times; try again when the server"),
        (Fault::Hangs, "there is no answer within 1 s, and so 5 times; check the endpoint and the network"),
        (Fault::Cuts, ", and so 5 times; check the endpoint and the network"),
    ] {
        let proxy = Proxy::start(moto.address, fault, 1);
        let place = Place::S3(Box::new(S3 { patience: Duration::from_secs(1), ..s3(proxy.address, "backups") }));
        let started = Instant::now();
        let error = Repository::open_or_create(&place, PASSWORD).unwrap_err().to_string();
        assert!(started.elapsed() < Duration::from_secs(15), "{fault:?} took {:?}", started.elapsed());
        assert!(error.contains(said), "{error}");
        assert!(!error.contains("Signature"), "{error}");
        assert_eq!(proxy.requests(), 5, "{fault:?}");
    }
}

#[test]
fn a_server_that_refuses_is_not_asked_again() {
    let moto = Moto::start();
    let proxy = Proxy::start(moto.address, Fault::None, 1);
    let error = Repository::open(&Place::S3(Box::new(s3(proxy.address, "nowhere"))), PASSWORD).unwrap_err();
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    assert_eq!(proxy.requests(), 1);
}
