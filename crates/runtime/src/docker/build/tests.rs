use std::collections::BTreeMap;
use std::fs;

use super::*;

fn build(context: &Path) -> Build {
    Build {
        context: context.display().to_string(),
        dockerfile: None,
        dockerfile_inline: None,
        target: None,
        args: BTreeMap::new(),
        labels: BTreeMap::new(),
        tag: None,
        digest: None,
    }
}

fn digest(build: &Build) -> Digest {
    Inputs::of(build).unwrap().digest(build).unwrap()
}

#[test]
fn every_input_enters_the_digest_and_what_is_ignored_does_not() {
    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("Dockerfile"), "FROM scratch").unwrap();
    fs::write(context.path().join(".dockerignore"), "Dockerfile\n*.log").unwrap();
    let plain = build(context.path());
    let first = digest(&plain);
    fs::write(context.path().join("a.log"), "x").unwrap();
    assert_eq!(digest(&plain), first);

    let with_target = Build { target: Some("x".into()), ..plain.clone() };
    let with_arg = Build { args: [("A".to_owned(), "1".to_owned())].into(), ..plain.clone() };
    let inline = Build { dockerfile_inline: Some("FROM other".into()), ..plain.clone() };
    fs::write(context.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    let all = [first, digest(&plain), digest(&with_target), digest(&with_arg), digest(&inline)];
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
}

#[test]
fn a_dockerfile_may_be_outside_of_the_context() {
    let root = tempfile::tempdir().unwrap();
    let context = root.path().join("app");
    fs::create_dir(&context).unwrap();
    fs::write(root.path().join("Dockerfile"), "FROM x").unwrap();
    let outside = Build { dockerfile: Some("../Dockerfile".into()), ..build(&context) };
    let inputs = Inputs::of(&outside).unwrap();
    assert_eq!((inputs.dockerfile.as_str(), inputs.text.as_deref()), (OUTSIDE_DOCKERFILE, Some("FROM x")));
    assert_eq!(Inputs::of(&build(&context)).unwrap_err().kind, ErrorKind::NotFound);
}
