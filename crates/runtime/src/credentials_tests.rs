//! What of a configuration of Docker is used for which registry.

use super::*;

async fn of(file: &str, registry: &str) -> Option<(Option<String>, Option<String>, Option<String>)> {
    let file: File = serde_json::from_str(file).unwrap();
    credentials(&file, registry).await.map(|found| (found.username, found.password, found.identitytoken))
}

fn password(user: &str, password: &str) -> Option<(Option<String>, Option<String>, Option<String>)> {
    Some((Some(user.to_owned()), Some(password.to_owned()), None))
}

#[tokio::test]
async fn a_login_is_for_its_own_registry() {
    // `ada:se:cret`
    let file = r#"{"auths": {"r.example:5000": {"auth": "YWRhOnNlOmNyZXQ="}, "https://old.example/v1/": {"username": "bob", "password": "p"},
        "https://index.docker.io/v1/": {"auth": "YWRhOnNlOmNyZXQ="}, "kept.elsewhere": {}}, "HttpHeaders": {"x": "y"}}"#;
    assert_eq!(of(file, "r.example:5000").await, password("ada", "se:cret"));
    assert_eq!(of(file, "old.example").await, password("bob", "p"));
    assert_eq!(of(file, "docker.io").await, password("ada", "se:cret"));
    for other in ["r.example", "r.example:5001", "kept.elsewhere", "other"] {
        assert_eq!(of(file, other).await, None, "{other}");
    }
    assert_eq!(of("{}", "docker.io").await, None);
}

#[tokio::test]
async fn a_token_is_used_instead_of_a_password() {
    let file = r#"{"auths": {"r": {"auth": "YWRhOg==", "identitytoken": "t"}}}"#;
    assert_eq!(of(file, "r").await, Some((Some("ada".to_owned()), None, Some("t".to_owned()))));
}

#[tokio::test]
async fn r32_a_helper_is_a_program_of_its_own_name_and_nothing_else() {
    for helper in ["../evil", "a b", "a;b", "$(x)", "a/b"] {
        assert!(ask(helper, "r").await.is_err(), "{helper}");
    }
    // One that is not there leaves what the file says.
    let file = r#"{"auths": {"r": {"auth": "YWRhOnNlOmNyZXQ="}}, "credsStore": "daybook-no-such-helper"}"#;
    assert_eq!(of(file, "r").await, password("ada", "se:cret"));
}

#[tokio::test]
async fn a_helper_is_asked_for_one_registry() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let helper = |name: &str, body: &str| {
        let (script, program) = (directory.path().join(format!("{name}.new")), directory.path().join(name));
        std::fs::write(&script, format!("#!/usr/bin/env python3\nimport sys\n{body}\n")).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&script, &program).unwrap();
        program
    };
    let knows = helper(
        "knows",
        "assert sys.argv[1:] == ['get'] and sys.stdin.read() == 'r:5000'\n\
         print('{\"ServerURL\": \"r:5000\", \"Username\": \"<token>\", \"Secret\": \"t\"}')",
    );
    let found = of_helper(run(&knows, "r:5000").await.unwrap().unwrap(), "r:5000");
    assert_eq!((found.username, found.identitytoken.as_deref()), (None, Some("t")));
    assert!(run(&knows, "other").await.is_err());
    let knows_not = helper("knows-not", "print('credentials not found in native keychain')\nsys.exit(1)");
    assert!(run(&knows_not, "r").await.unwrap().is_none());
    let chats = helper("chats", "print('se:cret')");
    assert!(!run(&chats, "r").await.err().unwrap().to_string().contains("se:cret"));
}

#[tokio::test]
async fn a_refusal_tells_where_to_log_in() {
    let directory = tempfile::tempdir().unwrap();
    let logins = Logins::new(Some(directory.path().to_owned()));
    let error = || Error::new(ErrorKind::Internal, "pull r:5000/a", "Head: no basic auth credentials");
    let told = logins.explain(error(), "r:5000").await;
    assert_eq!(told.kind, ErrorKind::NotFound);
    assert!(told.hint.unwrap().ends_with("`docker login r:5000`"));
    std::fs::write(directory.path().join("config.json"), r#"{"auths": {"r:5000": {"auth": "YWRhOnNlOmNyZXQ="}}}"#)
        .unwrap();
    let told = logins.explain(error(), "r:5000").await;
    assert!(told.hint.as_ref().unwrap().contains("is not accepted"), "{told:?}");
    let other = Error::new(ErrorKind::Unavailable, "pull", "connection refused");
    assert_eq!(logins.explain(other, "r:5000").await.hint, None);
}

#[test]
fn r31_a_file_that_cannot_be_read_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    std::fs::write(&file, r#"{"auths": {"r": "se:cret"}}"#).unwrap();
    let error = read(&file).err().unwrap();
    assert!(!error.to_string().contains("se:cret"), "{error}");
}
