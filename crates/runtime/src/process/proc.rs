//! What `/proc` tells about processes and sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::record::ProcessId;

/// The part of `/proc/<pid>/stat` that we need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) state: char,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    /// Clock ticks in user and system mode, of itself and of children that were waited for.
    pub(crate) ticks: u64,
    pub(crate) threads: u64,
    /// Clock ticks from the machine's start to its own.
    pub(crate) start: u64,
}

/// `None` when there is no such process.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    let pid = text.split(' ').next()?.parse().ok()?;
    // The name in parentheses may hold spaces and parentheses.
    let rest = &text[text.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |place: usize| -> Option<u64> { fields.get(place)?.parse().ok() };
    Some(Stat {
        pid,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        threads: number(17)?,
        start: number(19)?,
    })
}

/// Every process of the machine.
pub(crate) fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(stat).collect()
}

/// The identity of a process that runs now.
pub(crate) fn identity(pid: i32) -> Option<ProcessId> {
    stat(pid).filter(|stat| stat.state != 'Z').map(|stat| ProcessId { pid, start: stat.start })
}

/// Whether exactly this process runs.
pub(crate) fn runs(id: ProcessId) -> bool {
    identity(id.pid) == Some(id)
}

/// Processes beneath `root`, without zombies and without `root` itself.
pub(crate) fn descendants(root: i32) -> Vec<i32> {
    descendants_among(&all(), root)
}

fn descendants_among(all: &[Stat], root: i32) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<&Stat>> = BTreeMap::new();
    for stat in all {
        children.entry(stat.parent).or_default().push(stat);
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            open.push(child.pid);
            if child.state != 'Z' {
                found.push(child.pid);
            }
        }
    }
    found.sort_unstable();
    found
}

/// Whether the environment that a process was started with has this variable with this value.
pub(crate) fn has_variable(pid: i32, name: &str, value: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let line = format!("{name}={value}");
    environment.split(|byte| *byte == 0).any(|variable| variable == line.as_bytes())
}

/// Bytes of memory of a process that cannot be dropped: anonymous and shared memory.
pub(crate) fn memory_bytes(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    (kib("RssAnon:") + kib("RssShmem:")) << 10
}

/// Where some processes listen for TCP connections.
pub(crate) fn listening(pids: &[i32]) -> BTreeSet<SocketAddr> {
    let inodes: BTreeSet<u64> = pids.iter().flat_map(|pid| socket_inodes(*pid)).collect();
    let mut addresses = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        let lines = text.lines().skip(1).filter_map(parse_listener);
        addresses.extend(lines.filter(|(_, inode)| inodes.contains(inode)).map(|(address, _)| address));
    }
    addresses
}

fn socket_inodes(pid: i32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

/// A line of `/proc/net/tcp` or `tcp6`, if it is of a socket that listens: its address and inode.
fn parse_listener(line: &str) -> Option<(SocketAddr, u64)> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(parse_address(address)?, port), fields.get(9)?.parse().ok()?))
}

/// Addresses are written as 32-bit words in the machine's byte order.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (i, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(i * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// Names of abstract sockets that somebody listens at and that begin with `prefix`.
pub(crate) fn abstract_listeners(prefix: &str) -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let names = text.lines().filter_map(|line| line.split_ascii_whitespace().nth(7)?.strip_prefix('@'));
    names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = "42 (a) (b c) S 7 42 9 0 -1 4194304 1 0 0 0 10 5 2 1 20 0 3 0 777 1 1";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.pid, stat.state, stat.parent, stat.session), (42, 'S', 7, 9));
        assert_eq!((stat.ticks, stat.threads, stat.start), (18, 3, 777));
    }

    #[test]
    fn descendants_are_found_through_every_generation() {
        let make = |pid, parent, state| Stat { pid, state, parent, session: 0, ticks: 0, threads: 1, start: 0 };
        let all = [make(2, 1, 'S'), make(3, 2, 'Z'), make(4, 3, 'R'), make(5, 1, 'S'), make(6, 5, 'S')];
        assert_eq!(descendants_among(&all, 2), [4]);
        assert_eq!(descendants_among(&all, 1), [2, 4, 5, 6]);
    }

    #[test]
    fn listeners_are_read_from_both_tables() {
        let four = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 991 1";
        assert_eq!(parse_listener(four), Some(("127.0.0.1:8080".parse().unwrap(), 991)));
        let six =
            "   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 7";
        assert_eq!(parse_listener(six), Some(("[::]:3000".parse().unwrap(), 7)));
        assert_eq!(parse_listener(&four.replace(" 0A ", " 01 ")), None);
    }

    #[test]
    fn this_process_is_itself() {
        let me = identity(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(runs(me));
        assert!(!runs(ProcessId { start: me.start + 1, ..me }));
    }

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = listening(&[i32::try_from(std::process::id()).unwrap()]);
        assert!(found.contains(&listener.local_addr().unwrap()));
    }
}
