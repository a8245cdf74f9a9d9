//! Addresses that may be connected to, so that a channel is no way into our own networks.
//!
//! A name may resolve to anything, and to something else the next time. So a name is resolved once, *every* address of it is
//! checked, and the connection goes to one that was checked. No redirect is followed.
//!
//! The ranges are those of IANA's registries of special-purpose addresses that are not globally reachable, and the services
//! of clouds that answer on addresses of their own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an address is that nobody may be led to.
const SPECIAL_V4: &[(Ipv4Addr, u8, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "of this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a carrier (CGNAT)"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud's own service"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local, where clouds keep metadata"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "of 6to4 relays"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// What is global unicast (`2000::/3`) and yet nobody may be led to.
const SPECIAL_V6: &[(Ipv6Addr, u8, &str)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "for protocols"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
];

/// Names of what is outside of global unicast, for messages.
const NAMED_V6: &[(Ipv6Addr, u8, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "of this network"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique local"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

/// A network: `10.1.0.0/16`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// It is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network: write one like `10.1.0.0/16`, or an address")]
pub struct NotANetwork(String);

impl Network {
    /// Whether the address is in it. An address of IPv4 is the same however it is written.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                same(first.to_bits().into(), address.to_bits().into(), 32, self.bits)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => same(first.to_bits(), address.to_bits(), 128, self.bits),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let bad = || NotANetwork(text.to_owned());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let first: IpAddr = address.parse().map_err(|_| bad())?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| bits.parse().map_err(|_| bad()))?;
        if bits > width { Err(bad()) } else { Ok(Self { first, bits }) }
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

/// What may be connected to. By default, what is public.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<Network>,
    hosts: Vec<String>,
}

/// What who runs the server allows beside what is public: a network, or a host by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// All addresses of a network.
    Network(Network),
    /// A host, wherever its name leads.
    Host(String),
}

/// It is neither a network nor the name of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0:.80}` is neither a network like `10.1.0.0/16`, nor an address, nor the name of a host")]
pub struct NotAllowed(String);

impl FromStr for Allowed {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let host = text.trim_end_matches('.').to_ascii_lowercase();
        // What ends in digits is an address that is written wrongly.
        let is_name = host.split('.').all(is_label)
            && !host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if is_name { Ok(Self::Host(host)) } else { Err(NotAllowed(text.to_owned())) }
    }
}

/// Why an address is not connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not public, and nobody allowed its network.
    #[error("{address} is {what}; who runs the server may allow it: `daybook serve --notify-allow`")]
    NotPublic {
        /// The address.
        address: IpAddr,
        /// What it is.
        what: &'static str,
    },
    /// It is public, and the connection would not be encrypted.
    #[error("{0} is public, and the URL is not of `https:`")]
    InClear(IpAddr),
    /// The name has no address.
    #[error("the name has no address")]
    NoAddress,
}

impl Guard {
    /// What is public, and these networks; to them also without encryption.
    pub fn allowing(networks: impl IntoIterator<Item = Network>) -> Self {
        Self { allowed: networks.into_iter().collect(), hosts: Vec::new() }
    }

    /// What is public, and what is allowed beside.
    pub fn with(allowed: impl IntoIterator<Item = Allowed>) -> Self {
        let mut guard = Self::default();
        for one in allowed {
            match one {
                Allowed::Network(network) => guard.allowed.push(network),
                Allowed::Host(host) => guard.hosts.push(host),
            }
        }
        guard
    }

    /// Checks every address of a host; one that is allowed by its name may have any.
    ///
    /// # Errors
    /// There is none, or there is one that may not be connected to.
    pub fn check_host(&self, host: &str, addresses: &[IpAddr], is_encrypted: bool) -> Result<(), Refused> {
        let host = host.trim_end_matches('.');
        if !addresses.is_empty() && self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
            return Ok(());
        }
        self.check(addresses, is_encrypted)
    }

    /// Checks every address of a name.
    ///
    /// # Errors
    /// There is none, or there is one that may not be connected to.
    pub fn check(&self, addresses: &[IpAddr], is_encrypted: bool) -> Result<(), Refused> {
        if addresses.is_empty() {
            return Err(Refused::NoAddress);
        }
        addresses.iter().try_for_each(|address| self.check_one(address.to_canonical(), is_encrypted))
    }

    fn check_one(&self, address: IpAddr, is_encrypted: bool) -> Result<(), Refused> {
        if self.allowed.iter().any(|network| network.holds(address)) {
            return Ok(());
        }
        match special(address) {
            Some(what) => Err(Refused::NotPublic { address, what }),
            None if !is_encrypted => Err(Refused::InClear(address)),
            None => Ok(()),
        }
    }
}

/// What an address is, if it is not public.
fn special(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let is_in =
        |(first, bits, _): &&(Ipv4Addr, u8, _)| same(first.to_bits().into(), address.to_bits().into(), 32, *bits);
    SPECIAL_V4.iter().find(is_in).map(|(.., what)| *what)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let find = |table: &'static [(Ipv6Addr, u8, &'static str)]| {
        let is_in = |(first, bits, _): &&(Ipv6Addr, u8, _)| same(first.to_bits(), address.to_bits(), 128, *bits);
        table.iter().find(is_in).map(|(.., what)| *what)
    };
    if let Some(inner) = carried(address) {
        return special_v4(inner);
    }
    let is_global = address.segments()[0] & 0xe000 == 0x2000;
    find(if is_global { SPECIAL_V6 } else { NAMED_V6 }).or((!is_global).then_some("not global"))
}

/// The address of IPv4 that this one leads to, by translation (`64:ff9b::/96`) or by 6to4 (`2002::/16`).
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(bits(high, low)),
        [0x2002, high, low, ..] => Some(bits(high, low)),
        _ => None,
    }
}

/// Whether the first `bits` of two numbers of `width` bits are the same.
fn same(one: u128, other: u128, width: u8, bits: u8) -> bool {
    let ignored = u32::from(width - bits);
    one.checked_shr(ignored).unwrap_or(0) == other.checked_shr(ignored).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(address: &str) -> Result<(), Refused> {
        Guard::default().check(&[address.parse().unwrap()], true)
    }

    #[test]
    fn what_is_allowed_is_a_network_or_a_host() {
        assert_eq!("10.1.0.0/16".parse(), Ok(Allowed::Network("10.1.0.0/16".parse().unwrap())));
        assert_eq!("Mail.example.com.".parse(), Ok(Allowed::Host("mail.example.com".to_owned())));
        for bad in ["", "10.0.0.0/33", "10.0.0", "a b", "http://a", "a..b"] {
            assert!(bad.parse::<Allowed>().is_err(), "{bad}");
        }
        let guard = Guard::with(["hooks.test".parse().unwrap(), "192.168.7.0/24".parse().unwrap()]);
        let check = |host, address: &str| guard.check_host(host, &[address.parse().unwrap()], false);
        assert_eq!((check("hooks.test", "10.0.0.1"), check("other.test", "192.168.7.9")), (Ok(()), Ok(())));
        assert!(check("other.test", "10.0.0.1").is_err());
        assert_eq!(guard.check_host("hooks.test", &[], true), Err(Refused::NoAddress));
    }

    #[test]
    fn r35_what_is_not_public_is_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(matches!(check(address), Err(Refused::NotPublic { .. })), "{address}");
        }
    }

    #[test]
    fn what_is_public_is_not_refused() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn r35_one_bad_address_of_a_name_is_enough() {
        let addresses = ["8.8.8.8", "10.0.0.1"].map(|address| address.parse().unwrap());
        let refused = Guard::default().check(&addresses, true).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "10.0.0.1 is private; who runs the server may allow it: `daybook serve --notify-allow`"
        );
        assert_eq!(Guard::default().check(&[], true), Err(Refused::NoAddress));
    }

    #[test]
    fn r35_a_network_is_reached_once_it_is_allowed_and_no_other() {
        let guard = Guard::allowing(["10.1.0.0/16", "fd00::/64"].map(|network| network.parse().unwrap()));
        let check = |address: &str| guard.check(&[address.parse().unwrap()], false);
        assert_eq!(check("10.1.2.3"), Ok(()));
        assert_eq!(check("::ffff:10.1.2.3"), Ok(()));
        assert_eq!(check("fd00::5"), Ok(()));
        assert!(check("10.2.0.1").is_err() && check("fd00:0:0:1::5").is_err());
        assert_eq!(check("8.8.8.8"), Err(Refused::InClear("8.8.8.8".parse().unwrap())));
    }

    #[test]
    fn networks_are_read_and_written() {
        for text in ["10.1.0.0/16", "::/0", "0.0.0.0/0", "fd00::/8"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        assert_eq!("10.1.2.3".parse::<Network>().unwrap().to_string(), "10.1.2.3/32");
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "a/8", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn r35_an_address_is_the_same_however_it_is_written(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            let carriers = [format!("::ffff:{address}"), format!("64:ff9b::{address}")];
            for carrier in carriers {
                prop_assert_eq!(special(carrier.parse().unwrap()), special(address.into()), "{}", carrier);
            }
        }
    }
}
