//! The program `restic` and this crate on one repository.

use std::io::Write as _;

use crate::common::{PASSWORD, World, about, entry, noise, read};
use daybook_backup::{Depth, Error, Place, Repository};
use daybook_cdc::{Cutter, Sizes, WINDOW};

#[test]
fn restic_reads_what_was_saved_here() {
    let world = World::new();
    let repository = world.repository();
    let dump = noise(1, 9_000_000);
    let entries = vec![entry("shop.dump", dump.clone()), entry("facts.json", "{}"), entry("empty", "")];
    let saved = repository.save(&about("shop", 0), entries).unwrap();
    let listed = world.restic(&["snapshots", "--json"]);
    assert!(listed.contains(&saved.id) && listed.contains("\"hostname\":\"one\""), "{listed}");
    world.restic(&["check", "--read-data"]);
    let target = world.path("restored");
    world.restic(&["restore", &saved.id, "--target", target.to_str().unwrap()]);
    assert!(std::fs::read(target.join("shop.dump")).unwrap() == dump);
    assert_eq!(std::fs::read(target.join("facts.json")).unwrap(), b"{}");
    assert_eq!(std::fs::read(target.join("empty")).unwrap(), b"");
    assert_eq!(world.restic(&["dump", &saved.id, "/facts.json"]), "{}");
}

#[test]
fn each_goes_on_with_the_repository_of_the_other() {
    let world = World::new();
    std::fs::create_dir(world.path("volume")).unwrap();
    std::fs::write(world.path("volume/large"), noise(2, 3_000_000)).unwrap();
    let volume = world.path("volume").canonicalize().unwrap();
    world.restic(&["init"]);
    world.restic(&["backup", "--host", "one", volume.to_str().unwrap()]);
    let repository = Repository::open(&world.place(), PASSWORD).unwrap().unwrap();
    let theirs = repository.snapshots().unwrap().remove(0);
    assert_eq!((theirs.host.as_str(), &theirs.paths[..]), ("one", &[volume.clone()][..]));
    let path = volume.join("large");
    assert!(read(&repository, &theirs.id, path.to_str().unwrap()).unwrap() == noise(2, 3_000_000));
    repository.restore_directory(&theirs.id, &world.path("restored")).unwrap();
    assert!(std::fs::read(world.path("restored/large")).unwrap() == noise(2, 3_000_000));
    // What they have is not added again, by us or by them.
    let ours = repository.save(&about("shop", 0), vec![entry("large", noise(2, 3_000_000))]).unwrap();
    assert!(ours.added_bytes.unwrap() < 10_000, "{ours:?}");
    let summary = world.restic(&["backup", "--json", "--host", "one", volume.to_str().unwrap()]);
    assert!(summary.contains("\"files_unmodified\":1"), "{summary}");
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
    world.restic(&["check", "--read-data"]);
    world.restic(&["forget", "--prune", &theirs.id]);
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
    assert!(read(&repository, &ours.id, "large").unwrap() == noise(2, 3_000_000));
}

/// Where content is cut near the shortest and the longest chunk, which noise alone hardly tries.
#[test]
fn content_is_cut_where_restic_cuts_it() {
    let world = World::new();
    world.restic(&["init"]);
    let config: serde_json::Value = serde_json::from_str(&world.restic(&["cat", "config"])).unwrap();
    let polynomial = u64::from_str_radix(config["chunker_polynomial"].as_str().unwrap(), 16).unwrap();
    let sizes = Sizes::RESTIC;
    let mark = mark(polynomial, sizes.average);
    let (volume, mut entries) = (world.path("volume"), Vec::new());
    std::fs::create_dir(&volume).unwrap();
    for (seed, end) in (1..).zip([
        sizes.least - 1,
        sizes.least,
        sizes.least + 1,
        sizes.least + 63,
        sizes.least + 64,
        sizes.least + 65,
        sizes.least + (256 << 10),
    ]) {
        let mut content = noise(seed, 3_000_000);
        content[end - mark.len()..end].copy_from_slice(&mark);
        entries.push((format!("marked-{end}"), content));
    }
    entries.push(("zeros".to_owned(), vec![0; 3_000_000]));
    entries.push(("ones".to_owned(), vec![1; 20_000_000]));
    for (name, content) in &entries {
        std::fs::write(volume.join(name), content).unwrap();
    }
    world.restic(&["backup", "--host", "one", volume.to_str().unwrap()]);
    let repository = Repository::open(&world.place(), PASSWORD).unwrap().unwrap();
    let streams = entries.into_iter().map(|(name, content)| entry(&name, content)).collect();
    let ours = repository.save(&about("shop", 0), streams).unwrap();
    assert!(ours.added_bytes.unwrap() < 5_000, "{ours:?}");
    let ours = repository.save_directory(&about("volume", 1), &volume).unwrap().snapshot;
    assert!(ours.added_bytes.unwrap() < 5_000, "{ours:?}");
    world.restic(&["check", "--read-data"]);
}

/// Bytes that a chunk may end with.
fn mark(polynomial: u64, average: usize) -> Vec<u8> {
    let anywhere = Sizes { least: WINDOW + 1, average, most: usize::MAX };
    let cutter = Cutter::new(polynomial, anywhere).unwrap();
    let noise = noise(99, 64 << 20);
    let end = cutter.end(&noise, 0).expect("one place in a million is such");
    noise[end - WINDOW..end].to_vec()
}

/// What a lock of restic forbids: it holds one as long as its standard input is open.
#[test]
fn nothing_is_pruned_while_restic_works() {
    let world = World::new();
    let repository = world.repository();
    let mut backup = std::process::Command::new("restic");
    backup.args(["--no-cache", "-r"]).arg(world.path("repository")).args(["backup", "--stdin"]);
    backup.env("RESTIC_PASSWORD", PASSWORD).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut backup = backup.spawn().expect("the tests need `restic`: run scripts/setup");
    while crate::common::files(&world.path("repository/locks")).is_empty() {
        std::thread::yield_now();
    }
    let pruned = repository.prune();
    repository.save(&about("shop", 0), vec![entry("one", "1")]).unwrap();
    backup.stdin.take().unwrap().write_all(b"rows").unwrap();
    assert!(backup.wait().unwrap().success());
    match pruned {
        Err(error @ Error::Locked { .. }) => assert!(error.to_string().contains("restic unlock"), "{error}"),
        other => panic!("{other:?}"),
    }
    repository.prune().unwrap();
    world.restic(&["check"]);
}

#[test]
fn another_password_is_told_as_such() {
    let world = World::new();
    world.repository();
    let opened = Repository::open(&world.place(), "another");
    assert!(matches!(opened, Err(Error::WrongPassword { .. })), "{opened:?}");
    assert!(matches!(Repository::open_or_create(&world.place(), ""), Err(Error::WrongPassword { .. })));
    let elsewhere = Place::Directory(world.path("elsewhere"));
    assert!(Repository::open(&elsewhere, PASSWORD).unwrap().is_none());
}
