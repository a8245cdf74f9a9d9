//! Who has a port, as `/proc` shows it.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::listeners::overlap;

/// The process that listens at an address which overlaps `address`, in words; sockets in `ours` do not count.
pub(crate) fn holder(address: SocketAddr, ours: &BTreeSet<u64>) -> Option<String> {
    let (_, inode) =
        listening().into_iter().find(|(there, inode)| overlap(*there, address) && !ours.contains(inode))?;
    Some(process_with(inode).unwrap_or_else(|| "another process".to_owned()))
}

/// Listening sockets with their inodes.
fn listening() -> Vec<(SocketAddr, u64)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(parse_line).collect()
}

/// One line of `/proc/net/tcp`, if it is a listening socket: `sl local remote state … inode` (proc(5)).
fn parse_line(line: &str) -> Option<(SocketAddr, u64)> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(parse_address(address)?, port), fields.get(9)?.parse().ok()?))
}

/// Words of the address in the machine's byte order, each as eight hexadecimal digits.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    if text.len() == 8 {
        return Some(IpAddr::V4(Ipv4Addr::from(word(0)?)));
    }
    let mut bytes = [0; 16];
    for i in 0..4 {
        bytes[4 * i..4 * i + 4].copy_from_slice(&word(8 * i)?);
    }
    Some(IpAddr::V6(Ipv6Addr::from(bytes)))
}

fn process_with(inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let pids =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        if open.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str())) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            return Some(format!("process {pid} ({})", name.trim_end()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0";
        assert_eq!(parse_line(line), Some(("127.0.0.1:8080".parse().unwrap(), 4242)));
        assert_eq!(parse_line(&line.replace(" 0A ", " 01 ")), None);
        let line = "   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7 1";
        assert_eq!(parse_line(line), Some(("[::1]:80".parse().unwrap(), 7)));
    }

    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let holder = holder(address, &BTreeSet::new()).unwrap();
        assert!(holder.starts_with(&format!("process {} (", std::process::id())), "{holder}");
    }
}
