use super::*;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

fn names(root: &Path, ignore: &str) -> Vec<String> {
    let found = files(root, &Ignore::parse(ignore)).unwrap();
    found.into_iter().map(|found| found.path.display().to_string()).collect()
}

fn digest_of(root: &Path) -> Digest {
    digest(root, &Ignore::nothing(), b"").unwrap()
}

#[test]
fn the_digest_follows_content_modes_and_names() {
    let root = tree(&[("a", "1"), ("b/c", "2")]);
    let first = digest_of(root.path());
    assert_eq!(first, digest_of(root.path()));
    assert_ne!(first, digest(root.path(), &Ignore::nothing(), b"ARG=1").unwrap());

    fs::write(root.path().join("a"), "x").unwrap();
    let changed = digest_of(root.path());
    assert_ne!(first, changed);
    fs::set_permissions(root.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    let executable = digest_of(root.path());
    assert_ne!(changed, executable);
    fs::rename(root.path().join("a"), root.path().join("z")).unwrap();
    assert_ne!(executable, digest_of(root.path()));
}

#[test]
fn the_digest_does_not_depend_on_the_place_or_the_time() {
    let (one, two) = (tree(&[("a/b", "1")]), tree(&[("a/b", "1")]));
    assert_eq!(digest_of(one.path()), digest_of(two.path()));
}

#[test]
fn a_missing_directory_is_not_found() {
    let error = digest(Path::new("/nowhere/at/all"), &Ignore::nothing(), b"").unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[test]
fn rules_are_those_of_dockerignore() {
    let root = tree(&[("a.log", ""), ("keep.log", ""), ("src/a.log", ""), ("src/main", ""), ("target/x/y", "")]);
    assert_eq!(names(root.path(), "*.log\ntarget"), ["src", "src/a.log", "src/main"]);
    assert_eq!(names(root.path(), "**/*.log\n/target/\n!keep.log"), ["keep.log", "src", "src/main"]);
    assert_eq!(names(root.path(), "# all but one\n*\n!src/main"), ["src", "src/main"]);
    assert_eq!(names(root.path(), "s?c/[a-c].log\nta*\n*.log"), ["src", "src/main"]);
    assert_eq!(names(root.path(), "**"), Vec::<String>::new());
}

#[test]
fn a_daybookignore_goes_before_a_dockerignore() {
    let root = tree(&[(".dockerignore", "a"), ("a", ""), ("b", "")]);
    assert!(Ignore::of(root.path()).unwrap().excludes(Path::new("a")));
    fs::write(root.path().join(".daybookignore"), "b").unwrap();
    let ignore = Ignore::of(root.path()).unwrap();
    assert!(!ignore.excludes(Path::new("a")) && ignore.excludes(Path::new("b/c")));
    assert!(!ignore.keeping("b").excludes(Path::new("b")));
}

#[test]
fn a_stored_copy_is_whole_and_has_the_digest_of_its_source() {
    let root = tree(&[("bin/x", "#!"), ("secret", "s"), (".daybookignore", "secret")]);
    fs::set_permissions(root.path().join("bin/x"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(root.path().join("bin"), fs::Permissions::from_mode(0o555)).unwrap();
    let ignore = Ignore::of(root.path()).unwrap();
    let into = tempfile::tempdir().unwrap();

    let stored = store(root.path(), &ignore, b"x", into.path()).unwrap();
    assert_eq!(stored, digest(root.path(), &ignore, b"x").unwrap());
    assert_eq!(stored, store(root.path(), &ignore, b"x", into.path()).unwrap());
    let copy = into.path().join(stored.hex());
    assert_eq!(fs::read_to_string(copy.join("bin/x")).unwrap(), "#!");
    assert_eq!(fs::metadata(copy.join("bin/x")).unwrap().permissions().mode() & 0o777, 0o555);
    assert!(!copy.join("secret").exists());
    assert_eq!(fs::read_dir(into.path()).unwrap().count(), 1, "nothing unfinished is left");
}

#[test]
fn r32_links_are_kept_and_never_followed() {
    let outside = tree(&[("secret", "s")]);
    let root = tree(&[("a", "")]);
    symlink(outside.path(), root.path().join("out")).unwrap();
    symlink("a", root.path().join("in")).unwrap();
    let into = tempfile::tempdir().unwrap();
    let stored = store(root.path(), &Ignore::nothing(), b"", into.path()).unwrap();
    let copy = into.path().join(stored.hex());
    assert_eq!(names(&copy, ""), ["a", "in", "out"]);
    assert_eq!(fs::read_link(copy.join("out")).unwrap(), outside.path());

    let work = into.path().join("work");
    super::copy(&copy, &work).unwrap();
    assert_eq!(digest_of(&work), stored);
}
