//! Whatever is done to a repository is found.

use std::path::{Path, PathBuf};

use crate::common::{PASSWORD, World, about, entry, files, noise, read};
use daybook_backup::{Depth, Error, Repaired, Repository};

/// The largest file of a folder: of the packs, one with data.
fn largest(repository: &Path, folder: &str) -> PathBuf {
    let all = files(&repository.join(folder));
    all.into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

/// The other packs: those with trees.
fn trees(repository: &Path) -> Vec<PathBuf> {
    let data = largest(repository, "data");
    files(&repository.join("data")).into_iter().filter(|path| *path != data).collect()
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let place = at(bytes.len());
    bytes[place] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, keep: impl Fn(usize) -> usize) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..keep(bytes.len())]).unwrap();
}

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

type Harm = fn(&Path);

const HARMS: [(&str, Harm); 15] = [
    ("one bit of a pack, in the middle", |r| flip(&largest(r, "data"), |length| length / 2)),
    ("one bit of a pack, at its beginning", |r| flip(&largest(r, "data"), |_| 0)),
    ("one bit of a pack, in its last byte", |r| flip(&largest(r, "data"), |length| length - 1)),
    ("one bit of each pack with a tree", |r| trees(r).iter().for_each(|path| flip(path, |length| length / 2))),
    ("a pack without its end", |r| cut(&largest(r, "data"), |length| length - 100)),
    ("an empty pack", |r| cut(&largest(r, "data"), |_| 0)),
    ("no pack", |r| remove(&largest(r, "data"))),
    ("an empty file of the index", |r| cut(&largest(r, "index"), |_| 0)),
    ("one bit of the index", |r| flip(&largest(r, "index"), |length| length / 2)),
    ("no index", |r| files(&r.join("index")).iter().for_each(|path| remove(path))),
    ("half a snapshot", |r| cut(&largest(r, "snapshots"), |length| length / 2)),
    ("one bit of a snapshot", |r| flip(&largest(r, "snapshots"), |length| length / 2)),
    ("half a config", |r| cut(&r.join("config"), |length| length / 2)),
    ("no config", |r| remove(&r.join("config"))),
    ("no key", |r| files(&r.join("keys")).iter().for_each(|path| remove(path))),
];

/// Whether opening, checking or reading tells of damage; never what is wrong.
fn tells(world: &World, snapshot: &str, dump: &[u8]) -> bool {
    let repository = match Repository::open(&world.place(), PASSWORD) {
        Ok(Some(repository)) => repository,
        Err(Error::Damaged { .. }) => return true,
        other => panic!("{other:?}"),
    };
    let found = repository.check(Depth::Everything).unwrap();
    for damage in &found {
        assert!(damage.what.lines().count() == 1 && damage.what.len() < 200, "{damage}");
    }
    // What is read is what was saved, or an error.
    if let Ok(bytes) = read(&repository, snapshot, "shop.dump") {
        assert!(bytes == dump);
    }
    !found.is_empty()
}

#[test]
fn r20_every_kind_of_damage_is_found() {
    let dump = noise(1, 6_000_000);
    let mut found = 0;
    for (what, harm) in HARMS {
        let world = World::new();
        let repository = world.repository();
        let saved = repository.save(&about("shop", 0), vec![entry("shop.dump", dump.clone())]).unwrap();
        assert_eq!(repository.check(Depth::Everything).unwrap(), []);
        harm(&world.path("repository"));
        if tells(&world, &saved.id, &dump) {
            found += 1;
        } else {
            println!("not found: {what}");
        }
    }
    assert_eq!(found, HARMS.len());
}

#[test]
fn r20_a_damaged_stream_is_not_read_as_if_it_were_whole() {
    let world = World::new();
    let repository = world.repository();
    let saved = repository.save(&about("shop", 0), vec![entry("shop.dump", noise(1, 6_000_000))]).unwrap();
    flip(&largest(&world.path("repository"), "data"), |length| length / 2);
    let result = read(&repository, &saved.id, "shop.dump");
    assert!(matches!(result, Err(Error::Damaged { .. })), "{:?}", result.map(|bytes| bytes.len()));
}

#[test]
fn r20_a_damaged_directory_is_not_restored_as_if_it_were_whole() {
    let world = World::new();
    let (repository, volume) = (world.repository(), world.path("volume"));
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(volume.join("large"), noise(1, 6_000_000)).unwrap();
    let saved = repository.save_directory(&about("volume", 0), &volume).unwrap().snapshot;
    flip(&largest(&world.path("repository"), "data"), |length| length / 2);
    let result = repository.restore_directory(&saved.id, &world.path("restored"));
    assert!(matches!(result, Err(Error::Damaged { .. })), "{result:?}");
}

/// A repository without its config is not taken for none.
#[test]
fn r20_no_second_repository_is_made_over_a_damaged_one() {
    let world = World::new();
    world.repository().save(&about("shop", 0), vec![entry("one", "1")]).unwrap();
    remove(&world.path("repository/config"));
    let opened = Repository::open_or_create(&world.place(), PASSWORD);
    assert!(matches!(opened, Err(Error::Damaged { .. })), "{opened:?}");
}

/// Those that leave a repository that can be opened.
fn mendable() -> impl Iterator<Item = (&'static str, Harm)> {
    HARMS.into_iter().filter(|(what, _)| !what.contains("config") && !what.contains("key"))
}

#[test]
fn r20_a_backup_after_a_repair_has_again_what_was_damaged() {
    let dump = noise(1, 6_000_000);
    for (what, harm) in mendable() {
        let world = World::new();
        let (repository, volume) = (world.repository(), world.path("volume"));
        std::fs::create_dir(&volume).unwrap();
        std::fs::write(volume.join("large"), noise(2, 3_000_000)).unwrap();
        let first = repository.save(&about("shop", 0), vec![entry("shop.dump", dump.clone())]).unwrap();
        repository.save_directory(&about("volume", 1), &volume).unwrap();
        harm(&world.path("repository"));
        let repaired = repository.repair(Depth::Everything).unwrap();
        assert!(repaired != Repaired::default(), "{what}");
        let second = repository.save(&about("shop", 2), vec![entry("shop.dump", dump.clone())]).unwrap();
        let third = repository.save_directory(&about("volume", 3), &volume).unwrap().snapshot;
        assert!(read(&repository, &second.id, "shop.dump").unwrap() == dump, "{what}");
        repository.restore_directory(&third.id, &world.path("restored")).unwrap();
        assert!(std::fs::read(world.path("restored/large")).unwrap() == noise(2, 3_000_000), "{what}");
        if what.contains("with a tree") {
            // It tells when it was saved: no other backup has the same.
            let lost = format!("/ of snapshot {} is missing with all that is in it", &first.id[..8]);
            assert_eq!(repository.check(Depth::Everything).unwrap()[0].what, lost);
            repository.forget(&[first.id]).unwrap();
        } else if repaired.removed_snapshots == 0 {
            let bytes = read(&repository, &first.id, "shop.dump").unwrap();
            assert!(bytes == dump, "what it lacked is there again: {what}");
        }
        assert_eq!(repository.check(Depth::Everything).unwrap(), [], "{what}");
        world.restic(&["check", "--read-data"]);
    }
}

#[test]
fn what_a_damaged_pack_still_has_is_kept_and_what_it_lacks_is_told() {
    let world = World::new();
    let repository = world.repository();
    let dump = noise(1, 12_000_000);
    let saved = repository.save(&about("shop", 0), vec![entry("shop.dump", dump.clone())]).unwrap();
    flip(&largest(&world.path("repository"), "data"), |_| 100);
    assert_eq!(repository.repair(Depth::Structure).unwrap(), Repaired::default(), "a bit is not seen in a listing");
    let repaired = repository.repair(Depth::Everything).unwrap();
    assert!(repaired.damaged_packs == 1 && repaired.kept_parts > 3, "{repaired:?}");
    let parts = repaired.kept_parts + 1;
    let told = format!("/shop.dump of snapshot {} lacks 1 of its {parts} parts", &saved.id[..8]);
    assert_eq!(repaired.left.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
    assert!(matches!(read(&repository, &saved.id, "shop.dump"), Err(Error::Damaged { .. })));
    let again = repository.save(&about("shop", 1), vec![entry("shop.dump", dump.clone())]).unwrap();
    assert!(again.added_bytes.unwrap() < 9_000_000, "{again:?}");
    assert!(read(&repository, &saved.id, "shop.dump").unwrap() == dump);
    assert_eq!(repository.repair(Depth::Everything).unwrap(), Repaired::default(), "there is nothing left to do");
}

/// A pack that is missing is seen by the backup itself, and what it had is stored again.
#[test]
fn a_backup_does_not_build_on_a_pack_that_is_missing() {
    let world = World::new();
    let repository = world.repository();
    let dump = noise(1, 6_000_000);
    repository.save(&about("shop", 0), vec![entry("shop.dump", dump.clone())]).unwrap();
    remove(&largest(&world.path("repository"), "data"));
    let second = repository.save(&about("shop", 1), vec![entry("shop.dump", dump.clone())]).unwrap();
    assert!(second.added_bytes.unwrap() > 5_900_000, "{second:?}");
    let repaired = repository.repair(Depth::Structure).unwrap();
    assert_eq!(repaired, Repaired { damaged_packs: 1, ..Repaired::default() });
    assert!(read(&repository, &second.id, "shop.dump").unwrap() == dump);
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
}
