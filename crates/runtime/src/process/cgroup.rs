//! Control groups: limits of memory, processor time and processes, for versions 1 and 2.
//!
//! A replica's group is a leaf beneath `daybook/` in each hierarchy. Without the right to make groups
//! (another user than root) there are none, and [`available`] says so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use daybook_model::spec::Resources;

const MOUNT: &str = "/sys/fs/cgroup";
const PERIOD_US: u64 = 100_000;

/// The controllers that replicas can be put under: empty when groups cannot be made.
pub(crate) fn available() -> &'static [&'static str] {
    static FOUND: OnceLock<Vec<&'static str>> = OnceLock::new();
    FOUND.get_or_init(|| match version() {
        Some(Version::Two) => handed_down(),
        Some(Version::One) => ["memory", "pids", "cpu", "cpuacct"].into_iter().filter(|c| is_writable(c)).collect(),
        None => Vec::new(),
    })
}

/// The controllers that groups beneath the root can have. In a container whose own processes are in
/// the root group the kernel hands none down.
fn handed_down() -> Vec<&'static str> {
    let root = Path::new(MOUNT);
    hand_down(root);
    let text = fs::read_to_string(root.join("daybook/cgroup.controllers")).unwrap_or_default();
    ["memory", "pids", "cpu"].into_iter().filter(|c| text.split_ascii_whitespace().any(|there| there == *c)).collect()
}

/// A controller that cannot be handed down is missing below, which is where it is looked for.
fn hand_down(group: &Path) {
    for controller in ["+memory", "+pids", "+cpu"] {
        let _ = fs::write(group.join("cgroup.subtree_control"), controller);
    }
}

/// Makes the groups of one replica, sets their limits, and returns their directories, which a
/// process joins by [`join`].
pub(crate) fn create(place: &Path, resources: &Resources) -> io::Result<Vec<PathBuf>> {
    let groups = directories(place);
    for group in &groups {
        make(group)?;
    }
    match version() {
        Some(Version::Two) => groups.iter().try_for_each(|group| limit_two(group, place, resources))?,
        Some(Version::One) => groups.iter().try_for_each(|group| limit_one(group, resources))?,
        None => {}
    }
    Ok(groups)
}

/// A replica that ends meanwhile may remove a group above, because it has become empty.
fn make(group: &Path) -> io::Result<()> {
    let again = (0..10).find_map(|_| match fs::create_dir_all(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        result => Some(result),
    });
    again.unwrap_or_else(|| fs::create_dir_all(group))
}

/// Moves the calling process into a group.
pub(crate) fn join(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), std::process::id().to_string())
}

/// The processes in the groups of one replica.
pub(crate) fn processes(place: &Path) -> Vec<i32> {
    let mut pids: Vec<i32> = directories(place).iter().flat_map(|group| processes_of(group)).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Removes the groups of one replica; one that still has processes stays.
pub(crate) fn remove(place: &Path) {
    for group in directories(place) {
        let _ = fs::remove_dir(&group);
        let mut parent = group.parent();
        // The environment's, the app's and the state directory's, when they have become empty.
        for _ in 0..3 {
            let Some(group) = parent.filter(|group| fs::remove_dir(group).is_ok()) else { break };
            parent = group.parent();
        }
    }
}

/// How often the kernel killed a process of the replica because its memory was used up.
pub(crate) fn oom_kills(place: &Path) -> u64 {
    let file = match version() {
        Some(Version::Two) => place_in(None, place).join("memory.events"),
        Some(Version::One) => place_in(Some("memory"), place).join("memory.oom_control"),
        None => return 0,
    };
    fs::read_to_string(file).ok().and_then(|text| field(&text, "oom_kill")).unwrap_or(0)
}

/// Processor time used so far, in nanoseconds.
pub(crate) fn cpu_nanos(place: &Path) -> Option<u64> {
    match version()? {
        Version::Two => {
            let text = fs::read_to_string(place_in(None, place).join("cpu.stat")).ok()?;
            field(&text, "usage_usec").map(|micros| micros * 1_000)
        }
        Version::One => {
            let text = fs::read_to_string(place_in(Some("cpuacct"), place).join("cpuacct.usage")).ok()?;
            text.trim().parse().ok()
        }
    }
}

/// Bytes of memory that cannot be dropped.
pub(crate) fn memory_bytes(place: &Path) -> Option<u64> {
    let (controller, anonymous, shared) = match version()? {
        Version::Two => (None, "anon", "shmem"),
        Version::One => (Some("memory"), "total_rss", "total_shmem"),
    };
    let text = fs::read_to_string(place_in(controller, place).join("memory.stat")).ok()?;
    Some(field(&text, anonymous)? + field(&text, shared).unwrap_or(0))
}

/// Processes and threads.
pub(crate) fn pids(place: &Path) -> Option<u64> {
    let controller = (version()? == Version::One).then_some("pids");
    fs::read_to_string(place_in(controller, place).join("pids.current")).ok()?.trim().parse().ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

fn version() -> Option<Version> {
    // Neither the mount nor our rights change while we run.
    static FOUND: OnceLock<Option<Version>> = OnceLock::new();
    *FOUND.get_or_init(find_version)
}

fn find_version() -> Option<Version> {
    if Path::new(MOUNT).join("cgroup.controllers").exists() {
        is_writable("").then_some(Version::Two)
    } else {
        is_writable("pids").then_some(Version::One)
    }
}

fn is_writable(controller: &str) -> bool {
    use rustix::fs::{Access, access};
    let path = Path::new(MOUNT).join(controller);
    // Root may write everywhere by its rights; whether it may here, only a try can tell.
    access(&path, Access::WRITE_OK).is_ok() && fs::create_dir_all(path.join("daybook")).is_ok()
}

fn directories(place: &Path) -> Vec<PathBuf> {
    match version() {
        Some(Version::Two) => vec![place_in(None, place)],
        Some(Version::One) => available().iter().map(|c| place_in(Some(c), place)).collect(),
        None => Vec::new(),
    }
}

fn place_in(controller: Option<&str>, place: &Path) -> PathBuf {
    Path::new(MOUNT).join(controller.unwrap_or_default()).join(place)
}

fn processes_of(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn limit_one(group: &Path, resources: &Resources) -> io::Result<()> {
    if group.starts_with(Path::new(MOUNT).join("memory"))
        && let Some(bytes) = resources.memory_bytes
    {
        fs::write(group.join("memory.limit_in_bytes"), bytes.to_string())?;
        // Without this the limit is one of memory, and swap takes the rest. Not every kernel has it.
        let _ = fs::write(group.join("memory.memsw.limit_in_bytes"), bytes.to_string());
    }
    if group.starts_with(Path::new(MOUNT).join("pids"))
        && let Some(pids) = resources.pids
    {
        fs::write(group.join("pids.max"), pids.to_string())?;
    }
    if group.starts_with(Path::new(MOUNT).join("cpu"))
        && let Some(millis) = resources.cpu_millis
    {
        fs::write(group.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
        fs::write(group.join("cpu.cfs_quota_us"), quota_us(millis).to_string())?;
    }
    Ok(())
}

fn limit_two(group: &Path, place: &Path, resources: &Resources) -> io::Result<()> {
    let mut parent = PathBuf::from(MOUNT);
    for part in place {
        hand_down(&parent);
        parent.push(part);
    }
    if let Some(bytes) = resources.memory_bytes.filter(|_| available().contains(&"memory")) {
        fs::write(group.join("memory.max"), bytes.to_string())?;
        let _ = fs::write(group.join("memory.swap.max"), "0");
        let _ = fs::write(group.join("memory.oom.group"), "1");
    }
    if let Some(pids) = resources.pids.filter(|_| available().contains(&"pids")) {
        fs::write(group.join("pids.max"), pids.to_string())?;
    }
    if let Some(millis) = resources.cpu_millis.filter(|_| available().contains(&"cpu")) {
        fs::write(group.join("cpu.max"), format!("{} {PERIOD_US}", quota_us(millis)))?;
    }
    Ok(())
}

/// The kernel refuses less than a millisecond.
fn quota_us(millis: u64) -> u64 {
    (millis * PERIOD_US / 1_000).max(1_000)
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "oom 3\noom_kill_disable 0\noom_kill 2\n";
        assert_eq!(field(text, "oom_kill"), Some(2));
        assert_eq!(field(text, "oom_group_kill"), None);
    }

    #[test]
    fn a_quota_is_never_less_than_the_kernel_takes() {
        assert_eq!(quota_us(500), 50_000);
        assert_eq!(quota_us(1), 1_000);
    }
}
