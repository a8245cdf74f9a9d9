//! Ports of 127.0.0.1 for replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use daybook_model::spec::{Port, Protocol};

use crate::{Error, ErrorKind, Result};

const FIRST: u16 = 20_000;

/// Gives every port of a replica a free port of 127.0.0.1 that no other replica was given. A port of
/// `before`, from the replica's last start, is given again if it is free. A published UDP port is
/// its own: nobody stands in front of it.
///
/// The ports are below the range that the kernel takes for outgoing connections, so that none is
/// lost between now and when the replica listens.
pub(crate) fn assign(ports: &[Port], before: &BTreeMap<u16, u16>, given: &BTreeSet<u16>) -> Result<BTreeMap<u16, u16>> {
    let last = first_outgoing().filter(|first| *first > FIRST + 100).map_or(u16::MAX, |first| first - 1);
    let mut next = random_between(FIRST, last);
    let mut taken = given.clone();
    let mut assigned = BTreeMap::new();
    for port in ports {
        let published = port.publish.as_ref().and_then(|publish| publish.port);
        let wanted = match (port.protocol, published) {
            (Protocol::Udp, Some(published)) => Some(published),
            _ => before.get(&port.container).copied().filter(|port| !taken.contains(port) && is_free(*port)),
        };
        let found = match wanted {
            Some(wanted) => wanted,
            None => free(&mut next, last, &taken)?,
        };
        taken.insert(found);
        assigned.insert(port.container, found);
    }
    Ok(assigned)
}

fn free(next: &mut u16, last: u16, taken: &BTreeSet<u16>) -> Result<u16> {
    for _ in FIRST..=last {
        let port = *next;
        *next = if port >= last { FIRST } else { port + 1 };
        if !taken.contains(&port) && is_free(port) {
            return Ok(port);
        }
    }
    Err(Error::new(ErrorKind::Unavailable, "find a free port", format!("all from {FIRST} to {last} are taken")))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn first_outgoing() -> Option<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_ascii_whitespace().next()?.parse().ok()
}

/// Two servers that look at the same time should not look at the same port.
fn random_between(first: u16, last: u16) -> u16 {
    let mut bytes = [0; 2];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    first + u16::from_ne_bytes(bytes) % (last - first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(container: u16) -> Port {
        Port { container, protocol: Protocol::Http, publish: None }
    }

    #[test]
    fn ports_are_free_different_and_kept() {
        let ports = [port(80), port(81)];
        let first = assign(&ports, &BTreeMap::new(), &BTreeSet::new()).unwrap();
        assert_ne!(first[&80], first[&81]);
        assert_eq!(assign(&ports, &first, &BTreeSet::new()).unwrap(), first);
    }

    #[test]
    fn a_port_that_is_taken_is_not_given() {
        let first = assign(&[port(80)], &BTreeMap::new(), &BTreeSet::new()).unwrap();
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first[&80])).unwrap();
        assert_ne!(assign(&[port(80)], &first, &BTreeSet::new()).unwrap(), first);
        let given = first.values().copied().collect();
        assert_ne!(assign(&[port(80)], &first, &given).unwrap(), first);
    }
}
