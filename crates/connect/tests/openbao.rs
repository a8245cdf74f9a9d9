//! What a real OpenBao answers, and what becomes of it.

#![cfg(feature = "vault-tests")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/openbao.rs"]
mod openbao;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

use daybook_connect::vault::{Cause, Error, Vaults};
use daybook_model::SecretName;
use daybook_model::vault::{Kept, Login, Vault};
use openbao::{OpenBao, ROOT};

const PATIENCE: Duration = Duration::from_secs(10);

fn vault(bao: &OpenBao, login: Login) -> Vault {
    at(bao.address(), login)
}

fn at(address: &str, login: Login) -> Vault {
    static TLS: Once = Once::new();
    TLS.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
    let (address, values) = (address.to_owned(), BTreeMap::new());
    Vault { address, namespace: None, authority: None, login, values, line: None }
}

fn by_token() -> Login {
    Login::Token { token: "vault-token".parse().unwrap() }
}

fn by_role(role: &str) -> Login {
    Login::AppRole { mount: "approle".to_owned(), role: role.to_owned(), secret: "secret-id".parse().unwrap() }
}

/// `secret/PATH#FIELD`.
fn kept(place: &str) -> Kept {
    let (path, field) = place.split_once('#').unwrap();
    let (mount, path) = path.split_once('/').unwrap();
    Kept { mount: mount.to_owned(), path: path.to_owned(), field: field.to_owned(), line: None }
}

async fn read_all(vaults: &Vaults, vault: &Vault, credential: &str, places: &[&str]) -> Vec<Result<String, Error>> {
    let name = |number: usize| format!("s{number}").parse::<SecretName>().unwrap();
    let wanted = places.iter().enumerate().map(|(number, place)| (name(number), kept(place))).collect();
    let mut read = vaults.read(vault, Some(credential), &wanted, PATIENCE).await;
    let values = (0..places.len()).map(|number| read.remove(&name(number)).unwrap());
    values.map(|value| value.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())).collect()
}

async fn read(vaults: &Vaults, vault: &Vault, credential: &str, place: &str) -> Result<String, Error> {
    read_all(vaults, vault, credential, &[place]).await.remove(0)
}

/// The error, which says neither the token nor a value.
async fn fails(vault: &Vault, credential: &str, place: &str) -> Error {
    let error = read(&Vaults::default(), vault, credential, place).await.unwrap_err();
    let said = format!("{error:?} {error}");
    assert!(!said.contains("swordfish") && !said.contains(credential), "r31: {said}");
    error
}

#[tokio::test]
async fn fields_are_read_as_they_are() {
    let bao = OpenBao::start();
    bao.run(&["kv", "put", "secret/shop/a b", "password=swordfish ü\n", "empty="]);
    bao.run(&["kv", "put", "secret/other", "key=k"]);
    let data = r#"{"data": {"number": 5, "yes": true, "object": {"a": [1]}}}"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), data).unwrap();
    bao.run(&["write", "secret/data/typed", &format!("@{}", file.path().display())]);
    let places = ["secret/shop/a b#password", "secret/shop/a b#empty", "secret/other#key"];
    let typed = ["secret/typed#number", "secret/typed#yes", "secret/typed#object"];
    let all = read_all(&Vaults::default(), &vault(&bao, by_token()), ROOT, &[&places[..], &typed[..]].concat()).await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all, ["swordfish ü\n", "", "k", "5", "true", r#"{"a":[1]}"#]);
}

#[tokio::test]
async fn an_application_gets_in_and_stays_in() {
    let bao = OpenBao::start();
    bao.run(&["kv", "put", "secret/shop", "password=swordfish"]);
    bao.may_read("shop", "shop");
    let (role, secret) = bao.app_role("shop");
    let (vaults, vault) = (Vaults::default(), vault(&bao, by_role(&role)));
    let tokens = || bao.run(&["list", "-format=json", "auth/token/accessors"]).matches('"').count() / 2;
    assert_eq!(read(&vaults, &vault, &secret, "secret/shop#password").await.unwrap(), "swordfish");
    let before = tokens();
    assert_eq!(read(&vaults, &vault, &secret, "secret/shop#password").await.unwrap(), "swordfish");
    assert_eq!(tokens(), before, "a token is used again");
    bao.run(&["token", "revoke", "-mode=path", "auth/approle"]);
    assert_eq!(read(&vaults, &vault, &secret, "secret/shop#password").await.unwrap(), "swordfish", "it gets in anew");

    let error = fails(&vault, "no-such-secret-id", "secret/shop#password").await;
    assert_eq!(error.cause, Cause::Login, "{error}");
    assert!(error.message.contains("invalid"), "{error}");
    let elsewhere = Vault { login: Login::Kubernetes { mount: "nowhere".to_owned(), role }, ..vault.clone() };
    assert_eq!(fails(&elsewhere, "x-x-x", "secret/shop#password").await.cause, Cause::Login);
}

#[tokio::test]
async fn a_token_that_was_given_is_kept_alive() {
    let bao = OpenBao::start();
    bao.may_read("shop", "shop");
    bao.run(&["kv", "put", "secret/shop", "password=swordfish"]);
    let token = bao.run(&["token", "create", "-policy=shop", "-ttl=4s", "-field=token"]).trim().to_owned();
    let lasts = bao.run(&["token", "create", "-policy=shop", "-ttl=4s", "-field=token"]).trim().to_owned();
    let vaults = Vaults::default();
    let vault = vault(&bao, by_token());
    vaults.hold(&vault, Some(&token)).await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        vaults.renew().await;
    }
    assert_eq!(read(&vaults, &vault, &token, "secret/shop#password").await.unwrap(), "swordfish");
    let error = fails(&vault, &lasts, "secret/shop#password").await;
    assert_eq!(error.cause, Cause::Denied, "the other is over: {error}");
}

#[tokio::test]
async fn what_cannot_be_had_is_told_with_what_to_do() {
    let bao = OpenBao::start();
    bao.run(&["kv", "put", "secret/shop", "password=swordfish", "user=app"]);
    bao.run(&["kv", "put", "secret/gone", "password=swordfish"]);
    bao.run(&["kv", "delete", "secret/gone"]);
    bao.run(&["secrets", "enable", "-path=old", "-version=1", "kv"]);
    bao.run(&["kv", "put", "old/data/shop", "password=swordfish"]);
    bao.may_read("other", "other");
    let vault = vault(&bao, by_token());
    let told = async |credential: &str, place: &str| {
        let error = fails(&vault, credential, place).await;
        (error.cause, format!("{} ({})", error.message, error.hint).replace(bao.address(), "BAO"))
    };

    let (cause, text) = told(ROOT, "secret/shop#passwort").await;
    assert_eq!(cause, Cause::Missing);
    assert_eq!(
        text,
        "the secret secret/shop at BAO has no field `passwort` (it has `password`, `user`; say which with `field`)"
    );
    let (cause, text) = told(ROOT, "secret/shopp#password").await;
    assert_eq!(cause, Cause::Missing);
    assert!(text.starts_with("BAO has no secret secret/shopp (write it: `bao kv put secret/shopp …`"), "{text}");
    let (cause, text) = told(ROOT, "secret/gone#password").await;
    assert_eq!(cause, Cause::Missing);
    assert!(text.starts_with("the newest version of secret/gone at BAO was deleted (bring it back"), "{text}");
    let (cause, text) = told(ROOT, "old/shop#password").await;
    assert_eq!(cause, Cause::Malformed);
    assert!(text.starts_with("`old` at BAO is no key/value engine of version 2"), "{text}");

    let other = bao.run(&["token", "create", "-policy=other", "-field=token"]);
    let (cause, text) = told(other.trim(), "secret/shop#password").await;
    assert_eq!(cause, Cause::Denied);
    assert!(text.contains(r#"path "secret/data/shop" { capabilities = ["read"] }"#), "{text}");
    let (cause, _) = told("no-such-token", "secret/shop#password").await;
    assert_eq!(cause, Cause::Denied);
    let (cause, text) = told("two\nlines", "secret/shop#password").await;
    assert_eq!(cause, Cause::Login, "{text}");

    bao.run(&["operator", "seal"]);
    let (cause, text) = told(ROOT, "secret/shop#password").await;
    assert_eq!(cause, Cause::Sealed);
    assert!(text.contains("bao operator unseal"), "{text}");
}

#[tokio::test]
async fn a_namespace_is_another_place() {
    let bao = OpenBao::start();
    bao.run(&["namespace", "create", "team"]);
    bao.run(&["secrets", "enable", "-namespace=team", "-path=secret", "-version=2", "kv"]);
    bao.run(&["kv", "put", "-namespace=team", "-mount=secret", "shop", "password=swordfish"]);
    let whole = vault(&bao, by_token());
    let team = Vault { namespace: Some("team".to_owned()), ..whole.clone() };
    let vaults = Vaults::default();
    assert_eq!(read(&vaults, &team, ROOT, "secret/shop#password").await.unwrap(), "swordfish");
    assert_eq!(fails(&whole, ROOT, "secret/shop#password").await.cause, Cause::Missing);
}

#[tokio::test]
async fn a_certificate_is_held_against_the_authority_that_is_named() {
    let bao = OpenBao::start_with_tls();
    bao.run(&["kv", "put", "secret/shop", "password=swordfish"]);
    let unknown = vault(&bao, by_token());
    let error = fails(&unknown, ROOT, "secret/shop#password").await;
    assert_eq!(error.cause, Cause::Unreachable);
    assert!(error.hint.contains("`vault: {ca: FILE}`"), "{error}: {}", error.hint);
    let pem = std::fs::read_to_string(bao.authority()).unwrap();
    let known = Vault { authority: Some(pem), ..unknown.clone() };
    assert_eq!(read(&Vaults::default(), &known, ROOT, "secret/shop#password").await.unwrap(), "swordfish");
    let none = Vault { authority: Some("no certificate".to_owned()), ..unknown };
    assert_eq!(fails(&none, ROOT, "secret/shop#password").await.cause, Cause::Malformed);
}

/// A server that answers each connection with these bytes, or never.
fn answering(bytes: Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let Some(bytes) = bytes else {
                held.push(connection);
                continue;
            };
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(bytes);
        }
    });
    address
}

#[tokio::test]
async fn what_is_no_vault_or_does_not_answer_is_told() {
    let html = answering(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>"));
    let error = fails(&at(&html, by_token()), "a-token", "secret/shop#password").await;
    assert_eq!(error.cause, Cause::Malformed, "{error}");
    let elsewhere = answering(Some(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: https://127.0.0.1:1/\r\n\r\n"));
    let error = fails(&at(&elsewhere, by_token()), "a-token", "secret/shop#password").await;
    assert_eq!(error.cause, Cause::Malformed, "{error}");
    let cut = answering(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 600\r\n\r\n{"));
    assert_eq!(fails(&at(&cut, by_token()), "a-token", "secret/shop#password").await.cause, Cause::Unreachable);

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fails(&at(&format!("http://{closed}"), by_token()), "a-token", "secret/shop#password").await;
    assert_eq!(error.cause, Cause::Unreachable);
    assert!(error.message.contains("refused"), "{error}");

    let silent = at(&answering(None), by_token());
    let wanted = BTreeMap::from([("s".parse().unwrap(), kept("secret/shop#password"))]);
    let patience = Duration::from_secs(1);
    let read = Vaults::default().read(&silent, Some("a-token"), &wanted, patience).await.into_values().next().unwrap();
    let error = read.unwrap_err();
    assert_eq!(error.cause, Cause::Unreachable);
    assert!(error.message.ends_with("has not answered within 1 s"), "{error}");
}

fn kubectl(arguments: &[&str]) -> String {
    let cluster = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/cluster");
    let output = Command::new(cluster).arg("kubectl").args(arguments).output().unwrap();
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The cluster of `scripts/cluster` says whose token it is.
#[tokio::test]
async fn a_service_account_gets_in() {
    let bao = OpenBao::start();
    bao.run(&["kv", "put", "secret/shop", "password=swordfish"]);
    bao.may_read("shop", "shop");
    let account = "daybook-vault-test";
    let subject = format!("--serviceaccount=default:{account}");
    kubectl(&["delete", "serviceaccount", account, "--ignore-not-found"]);
    kubectl(&["delete", "clusterrolebinding", account, "--ignore-not-found"]);
    kubectl(&["create", "serviceaccount", account]);
    kubectl(&["create", "clusterrolebinding", account, "--clusterrole=system:auth-delegator", &subject]);
    let jwt = kubectl(&["create", "token", account]);
    let view = |path: &str| kubectl(&["config", "view", "--raw", "--minify", "-o", &format!("jsonpath={path}")]);
    let host = view("{.clusters[0].cluster.server}");
    let authority = kubectl(&["get", "configmap", "kube-root-ca.crt", "-o", "jsonpath={.data.ca\\.crt}"]);
    bao.run(&["auth", "enable", "kubernetes"]);
    let (host, authority) = (format!("kubernetes_host={host}"), format!("kubernetes_ca_cert={authority}"));
    bao.run(&["write", "auth/kubernetes/config", &host, &authority, "disable_local_ca_jwt=true"]);
    let names = format!("bound_service_account_names={account}");
    let role = "auth/kubernetes/role/shop";
    bao.run(&["write", role, &names, "bound_service_account_namespaces=default", "token_policies=shop", "ttl=1h"]);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{jwt}\n")).unwrap();
    let login = |role: &str| Login::Kubernetes { mount: "kubernetes".to_owned(), role: role.to_owned() };
    let vaults = Vaults::with_service_account(file.path());
    let value = read(&vaults, &vault(&bao, login("shop")), "", "secret/shop#password").await;
    let none = read(&vaults, &vault(&bao, login("other")), "", "secret/shop#password").await.unwrap_err();
    kubectl(&["delete", "serviceaccount", account]);
    kubectl(&["delete", "clusterrolebinding", account]);
    assert_eq!(value.unwrap(), "swordfish");
    assert_eq!(none.cause, Cause::Login, "{none}");
}
