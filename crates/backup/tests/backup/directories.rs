//! Directories, saved and restored.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::common::{World, about, noise};
use daybook_backup::{Depth, Error};

/// A directory with one of everything.
fn volume(world: &World) -> PathBuf {
    let root = world.path("volume");
    std::fs::create_dir_all(root.join("deep/er")).unwrap();
    std::fs::create_dir(root.join("empty")).unwrap();
    std::fs::write(root.join("large"), noise(1, 3_000_000)).unwrap();
    std::fs::write(root.join("deep/er/small"), "small").unwrap();
    std::fs::write(root.join("nothing"), "").unwrap();
    std::fs::write(root.join(".gitignore"), "*").unwrap();
    symlink("large", root.join("link")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    std::fs::hard_link(root.join("large"), root.join("deep/same")).unwrap();
    std::fs::set_permissions(root.join("deep/er/small"), std::fs::Permissions::from_mode(0o4750)).unwrap();
    std::fs::set_permissions(root.join("empty"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o700)).unwrap();
    root
}

/// Everything that is to be the same.
fn look(root: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let meta = path.symlink_metadata().unwrap();
        let content = match meta.file_type() {
            kind if kind.is_symlink() => format!("-> {}", path.read_link().unwrap().display()),
            kind if kind.is_dir() => {
                left.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
                "directory".to_owned()
            }
            _ => format!("{} links, {} bytes, {:x?}", meta.nlink(), meta.len(), sum(&std::fs::read(&path).unwrap())),
        };
        let name = path.strip_prefix(root).unwrap().display();
        let time = (meta.mtime(), meta.mtime_nsec());
        seen.push(format!("{name} {:o} {} {} {time:?} {content}", meta.mode(), meta.uid(), meta.gid()));
    }
    seen.sort();
    seen
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

#[test]
fn a_directory_is_restored_as_it_was() {
    let world = World::new();
    let (root, repository) = (volume(&world), world.repository());
    let saved = repository.save_directory(&about("volume", 0), &root).unwrap();
    assert_eq!((saved.vanished, saved.changed), (0, 0));
    let to = world.path("restored");
    let restored = repository.restore_directory(&saved.snapshot.id, &to).unwrap();
    assert_eq!(restored.not_as_saved, [] as [PathBuf; 0]);
    assert_eq!((restored.files, restored.directories), (7, 3));
    assert_eq!(look(&to), look(&root));
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
    // And by restic, which restores the whole path.
    let whole = world.path("whole");
    world.restic(&["restore", &saved.snapshot.id, "--target", whole.to_str().unwrap()]);
    let beneath = whole.join(root.canonicalize().unwrap().strip_prefix("/").unwrap());
    assert_eq!(look(&beneath), look(&root));
}

#[test]
fn what_has_not_changed_is_not_read_again() {
    let world = World::new();
    let (root, repository) = (volume(&world), world.repository());
    repository.save_directory(&about("volume", 0), &root).unwrap();
    std::fs::write(root.join("new"), "new").unwrap();
    let saved = repository.save_directory(&about("volume", 1), &root).unwrap();
    let second = &saved.snapshot;
    assert!(second.added_bytes.unwrap() < 10_000, "{second:?}");
    // Two names of the large file, three small files, an empty one and two links; and what is new.
    assert_eq!((saved.unchanged, second.size_bytes), (7, Some(6_000_000 + 5 + 1 + 3)));
    std::fs::write(root.join("deep/er/small"), "other").unwrap();
    let third = repository.save_directory(&about("volume", 2), &root).unwrap();
    assert_eq!(third.unchanged, 7);
    let path = root.canonicalize().unwrap().join("deep/er/small");
    assert_eq!(world.restic(&["dump", &third.snapshot.id, path.to_str().unwrap()]), "other");
    // Another label is another directory.
    assert_eq!(repository.save_directory(&about("other", 3), &root).unwrap().unchanged, 0);
}

#[test]
fn what_is_left_out_is_not_even_looked_at() {
    let world = World::new();
    let (root, repository) = (volume(&world), world.repository());
    let odd = "odd [name] *?!";
    for name in ["logs/old", odd, "kept/logs"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
        std::fs::write(root.join(name).join("file"), name).unwrap();
    }
    let without = [PathBuf::from("logs"), PathBuf::from(odd), PathBuf::from("not there")];
    let saved = repository.save_directory_without(&about("volume", 0), &root, &without).unwrap();
    let to = world.path("restored");
    repository.restore_directory(&saved.snapshot.id, &to).unwrap();
    assert!(!to.join("logs").exists() && !to.join(odd).exists());
    assert!(to.join("kept/logs/file").exists() && to.join("new").exists() == root.join("new").exists());
}

#[test]
fn what_cannot_be_read_fails_the_backup() {
    let world = World::new();
    let (root, repository) = (volume(&world), world.repository());
    // Nobody, not even root, can read the memory of a process at address 0: the file opens, and reading it fails.
    std::fs::remove_file(root.join("nothing")).unwrap();
    let target = root.join("nothing");
    std::fs::write(&target, "").unwrap();
    let bind = std::process::Command::new("mount").args(["--bind", "/proc/self/mem"]).arg(&target).status();
    let is_bound = bind.is_ok_and(|status| status.success());
    if !is_bound {
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o0)).unwrap();
    }
    let saved = repository.save_directory(&about("volume", 0), &root);
    if is_bound {
        assert!(std::process::Command::new("umount").arg(&target).status().unwrap().success());
    }
    match saved {
        Err(Error::Unreadable { files: 1, first: Some(first), .. }) => assert!(first.path.ends_with("nothing")),
        other => panic!("{other:?}"),
    }
    assert_eq!(repository.snapshots().unwrap(), []);
}

#[test]
fn files_that_vanish_meanwhile_are_left_out() {
    let world = World::new();
    let (root, repository) = (world.path("volume"), world.repository());
    std::fs::create_dir(&root).unwrap();
    for number in 0..3_000 {
        std::fs::write(root.join(format!("{number:04}")), number.to_string()).unwrap();
    }
    let saved = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in (0..3_000).rev() {
                std::fs::remove_file(root.join(format!("{number:04}"))).unwrap();
            }
        });
        repository.save_directory(&about("volume", 0), &root)
    });
    let saved = saved.unwrap();
    let restored = repository.restore_directory(&saved.snapshot.id, &world.path("restored")).unwrap();
    assert!(restored.files + saved.vanished <= 3_000, "{restored:?} {saved:?}");
    assert_eq!(repository.check(Depth::Everything).unwrap(), []);
}

#[test]
fn a_directory_that_is_not_there_is_refused() {
    let world = World::new();
    let saved = world.repository().save_directory(&about("volume", 0), &world.path("volume"));
    assert!(matches!(saved, Err(Error::Invalid { .. })), "{saved:?}");
}

#[test]
fn r20_any_change_of_a_restored_directory_is_found() {
    let world = World::new();
    let (root, repository) = (volume(&world), world.repository());
    let saved = repository.save_directory(&about("volume", 0), &root).unwrap().snapshot;
    let tree = repository.tree_of(&saved.id).unwrap();
    let other = repository.save_directory(&about("volume", 1), &root).unwrap().snapshot;
    assert_eq!(repository.tree_of(&other.id).unwrap(), tree, "the same has the same sum");
    type Change<'a> = (&'a str, &'a dyn Fn(&Path));
    let changes: [Change<'_>; 6] = [
        ("another mode", &|to| {
            std::fs::set_permissions(to.join("large"), std::fs::Permissions::from_mode(0o600)).unwrap();
        }),
        ("other content", &|to| {
            // Of the same size and time: only its bytes tell.
            let path = to.join("large");
            let time = std::fs::metadata(&path).unwrap().modified().unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            std::fs::File::open(&path).unwrap().set_modified(time).unwrap();
        }),
        ("another size", &|to| std::fs::write(to.join("large"), "short").unwrap()),
        ("it is missing", &|to| std::fs::remove_file(to.join("large")).unwrap()),
        ("it is no file", &|to| {
            std::fs::remove_file(to.join("large")).unwrap();
            std::fs::create_dir(to.join("large")).unwrap();
        }),
        ("more things are there", &|to| std::fs::write(to.join("one more"), "").unwrap()),
    ];
    for (told, change) in changes {
        let to = world.path("restored");
        repository.restore_directory(&saved.id, &to).unwrap();
        let same = repository.compare_directory(&saved.id, &to).unwrap();
        assert_eq!((same.differences, &same.tree), (Vec::new(), &tree));
        change(&to);
        let found = repository.compare_directory(&saved.id, &to).unwrap().differences;
        assert!(found.iter().any(|one| one.contains(told)), "{told}: {found:?}");
        std::fs::remove_dir_all(&to).unwrap();
    }
}
