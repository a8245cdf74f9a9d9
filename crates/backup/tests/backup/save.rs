//! What is saved, and what is not.

use std::io;
use std::time::{Duration, Instant};

use crate::common::{PASSWORD, World, about, entry, failing, noise, read};
use daybook_backup::{Depth, Entry, Error, Limits, Place, Repository};

#[test]
fn streams_are_read_as_they_were_saved() {
    let world = World::new();
    assert!(Repository::open(&world.place(), PASSWORD).unwrap().is_none());
    let repository = world.repository();
    let (dump, facts) = (noise(1, 5_000_000), b"{}".to_vec());
    let entries = vec![entry("shop.dump", dump.clone()), entry("facts.json", facts.clone()), entry("empty", "")];
    let saved = repository.save(&about("shop", 0), entries).unwrap();
    assert_eq!(saved.size_bytes, Some(5_000_002));
    let again = repository.save(&about("shop", 1), vec![entry("facts.json", "[]")]).unwrap();
    assert_eq!(repository.snapshots().unwrap(), [saved.clone(), again]);
    assert_eq!(
        saved.paths.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(),
        ["/empty", "/facts.json", "/shop.dump"]
    );
    assert_eq!((saved.label.as_str(), &saved.tags[..]), ("shop", &["nightly".to_owned()][..]));
    assert!(read(&repository, &saved.id, "shop.dump").unwrap() == dump);
    assert_eq!(read(&repository, &saved.id[..8], "/facts.json").unwrap(), facts);
    assert_eq!(read(&repository, &saved.id, "empty").unwrap(), b"");
    assert!(matches!(read(&repository, &saved.id, "other"), Err(Error::NoEntry { .. })));
    assert!(matches!(read(&repository, "0123", "other"), Err(Error::NoSnapshot { .. })));
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
}

#[test]
fn several_snapshots_become_one_with_all_of_their_streams() {
    let world = World::new();
    let repository = world.repository();
    let (one, two) = (noise(1, 3_000_000), noise(2, 2_000_000));
    let save = |second, name: &str, bytes: &[u8]| {
        repository.save(&about("shop", second), vec![entry(name, bytes)]).unwrap().id
    };
    let ids = [save(0, "a", &one), save(1, "b", &one), save(2, "b", &two), save(3, "c", &two)];
    let merged = repository.merge(&about("shop", 3), &ids).unwrap();
    assert_eq!(merged.paths.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(), ["/a", "/b", "/c"]);
    assert_eq!((merged.time, merged.label.as_str()), (about("shop", 3).time, "shop"));
    repository.forget(&ids).unwrap();
    repository.prune().unwrap();
    assert_eq!(repository.snapshots().unwrap(), std::slice::from_ref(&merged));
    let (mut all, mut begun) = (Vec::new(), Vec::new());
    let wanted = ["a", "b", "c"].map(|name| (merged.id.clone(), name.to_owned()));
    repository
        .read_each(&wanted, &mut all, &mut |name, bytes, to| {
            begun.push((name.to_owned(), bytes));
            to.write_all(b"|")
        })
        .unwrap();
    assert_eq!(begun.iter().map(|(_, bytes)| *bytes).collect::<Vec<_>>(), [3_000_000, 2_000_000, 2_000_000]);
    assert!(all == [b"|", &one[..], b"|", &two, b"|", &two].concat());
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
    let restored = world.path("restored");
    let said = crate::common::restic(
        &world.path("repository"),
        &["restore", "latest", "--target", restored.to_str().unwrap()],
    );
    assert!(said.status.success());
    assert!(std::fs::read(restored.join("b")).unwrap() == two);
}

#[test]
fn tags_that_are_known_late_are_there() {
    let world = World::new();
    let repository = world.repository();
    let saved = repository.save_saying(&about("shop", 0), vec![entry("a", "x")], || vec!["whole:now".to_owned()]);
    assert_eq!(saved.unwrap().tags, ["nightly", "whole:now"]);
    assert_eq!(repository.snapshots().unwrap()[0].tags, ["nightly", "whole:now"]);
}

#[test]
fn a_source_that_fails_leaves_no_snapshot_and_its_own_error() {
    let world = World::new();
    let repository = world.repository();
    for bytes in [0, 1_000, 3_000_000, 20_000_000] {
        let entries = vec![entry("facts.json", "{}"), failing("shop.dump", bytes)];
        match repository.save(&about("shop", 0), entries) {
            Err(Error::Source { entry, why }) => {
                assert_eq!((entry.as_str(), why.to_string().as_str()), ("shop.dump", "pg_dump has ended with 1"));
            }
            other => panic!("after {bytes} bytes: {other:?}"),
        }
        assert_eq!(repository.snapshots().unwrap(), []);
    }
    assert_eq!(crate::common::files(&world.path("repository/snapshots")).len(), 0);
    assert_eq!(crate::common::files(&world.path("repository/locks")).len(), 0);
    // What was written is of use to the next backup, or to a prune.
    repository.save(&about("shop", 0), vec![entry("shop.dump", noise(9, 3_000_000))]).unwrap();
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
}

#[test]
fn a_second_backup_of_nearly_the_same_adds_little() {
    let world = World::new();
    let repository = world.repository();
    let mut bytes = noise(2, 40_000_000);
    let first = repository.save(&about("shop", 0), vec![entry("shop.dump", bytes.clone())]).unwrap();
    bytes.splice(20_000_000..20_000_000, *b"one more row");
    let second = repository.save(&about("shop", 1), vec![entry("shop.dump", bytes.clone())]).unwrap();
    assert!(first.added_bytes.unwrap() > 39_000_000, "{first:?}");
    assert!(second.added_bytes.unwrap() < 9_000_000, "{second:?}");
    assert!(read(&repository, &second.id, "shop.dump").unwrap() == bytes);
}

#[test]
fn what_no_snapshot_needs_is_marked_and_not_removed_at_once() {
    let world = World::new();
    let repository = world.repository();
    let first = repository.save(&about("shop", 0), vec![entry("shop.dump", noise(3, 4_000_000))]).unwrap();
    let second = repository.save(&about("shop", 1), vec![entry("shop.dump", noise(4, 4_000_000))]).unwrap();
    assert!(matches!(repository.forget(&["00".to_owned()]), Err(Error::NoSnapshot { .. })));
    repository.forget(std::slice::from_ref(&first.id)).unwrap();
    assert_eq!(repository.snapshots().unwrap(), std::slice::from_ref(&second));
    let pruned = repository.prune().unwrap();
    assert!(pruned.marked_bytes > 3_900_000, "{pruned:?}");
    assert_eq!(pruned.freed_bytes, 0);
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
    assert!(read(&repository, &second.id, "shop.dump").unwrap() == noise(4, 4_000_000));
    // A backup that needs it again has it again.
    let third = repository.save(&about("shop", 2), vec![entry("shop.dump", noise(3, 4_000_000))]).unwrap();
    repository.prune().unwrap();
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
    assert!(read(&repository, &third.id, "shop.dump").unwrap() == noise(3, 4_000_000));
}

#[test]
fn two_that_make_a_repository_at_once_have_the_same_one() {
    let world = World::new();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let world = &world;
            scope.spawn(move || {
                let repository = world.repository();
                repository.save(&about("shop", number), vec![entry("one", number.to_string())]).unwrap();
            });
        }
    });
    assert_eq!(world.repository().snapshots().unwrap().len(), 4);
    assert_eq!(crate::common::files(&world.path("repository/keys")).len(), 1);
    assert_eq!(world.repository().check(Depth::Everything).unwrap(), []);
}

#[test]
fn streams_that_cannot_be_named_so_are_refused() {
    let world = World::new();
    let repository = world.repository();
    let refused =
        |entries: Vec<Entry>| matches!(repository.save(&about("shop", 0), entries), Err(Error::Invalid { .. }));
    assert!(refused(vec![]));
    assert!(refused(vec![entry("a/b", "")]));
    assert!(refused(vec![entry("..", "")]));
    assert!(refused(vec![entry("a", ""), entry("a", "")]));
}

#[test]
fn a_limit_spreads_what_is_written() {
    let world = World::new();
    let limits = Limits { bytes_per_second: Some(2_000_000), is_in_background: true };
    let repository = world.repository().with_limits(limits);
    let started = Instant::now();
    repository.save(&about("shop", 0), vec![entry("shop.dump", noise(5, 4_000_000))]).unwrap();
    assert!(started.elapsed() > Duration::from_millis(1_900), "{:?}", started.elapsed());
}

/// A disk of a few megabytes, where this user may make one.
#[test]
fn a_full_disk_is_told_and_leaves_no_snapshot() {
    let world = World::new();
    let disk = world.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let place = Place::Directory(disk.join("repository"));
    let mount = |arguments: &[&str]| std::process::Command::new("mount").args(arguments).arg(&disk).status();
    let is_mounted = mount(&["-t", "tmpfs", "-o", "size=3m", "none"]).is_ok_and(|status| status.success());
    if !is_mounted {
        // The next best: the system's own error, as it would be told.
        let full = io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        return;
    }
    let repository = Repository::open_or_create(&place, PASSWORD).unwrap();
    let saved = repository.save(&about("shop", 0), vec![entry("shop.dump", noise(6, 60_000_000))]);
    let (snapshots, unfinished) = (repository.snapshots(), crate::common::files(&disk));
    drop(repository);
    let unmounted = std::process::Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    match saved {
        Err(Error::Storage(failure)) => {
            assert!(failure.is_full(), "{failure}");
            assert!(failure.to_string().contains("no space is left on the disk; make room there"), "{failure}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(snapshots.unwrap(), []);
    assert!(unfinished.iter().all(|path| !path.to_str().unwrap().contains(".unfinished")), "{unfinished:?}");
}
