//! Addresses of this machine that belong to services: a registry in one file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use daybook_model::name::{EnvKey, ServiceName};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::files::{failed, lock, write_atomically};
use crate::{Error, ErrorKind, Result};

/// A range of IPv4 addresses, by its first address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    first: Ipv4Addr,
    prefix: u32,
}

impl Range {
    /// `127.64.0.0/10`: loopback addresses that nothing else uses.
    pub const LOOPBACK: Self = Self { first: Ipv4Addr::new(127, 64, 0, 0), prefix: 10 };

    /// `first/prefix`; the prefix is at most 30.
    pub const fn new(first: Ipv4Addr, prefix: u32) -> Self {
        assert!(prefix <= 30, "a range holds more than its own network and broadcast addresses");
        Self { first, prefix }
    }

    /// How many addresses hosts may have.
    fn count(self) -> u32 {
        (1_u32 << (32 - self.prefix)) - 2
    }

    /// The `place`th address, from 1; `None` past the last one that a host may have.
    fn at(self, place: u32) -> Option<Ipv4Addr> {
        (1..=self.count()).contains(&place).then(|| Ipv4Addr::from(u32::from(self.first) + place))
    }
}

/// Gives each service an address of a range for as long as it is not given back. The registry is one
/// file, written whole; several processes may use it at once.
#[derive(Debug)]
pub struct Addresses {
    file: PathBuf,
    range: Range,
    ours: Mutex<()>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Registry {
    /// `app/environment/service` → address.
    addresses: BTreeMap<String, Ipv4Addr>,
}

impl Addresses {
    /// The registry in `file`, which is made when the first address is given.
    pub fn new(file: impl Into<PathBuf>, range: Range) -> Self {
        Self { file: file.into(), range, ours: Mutex::new(()) }
    }

    /// The service's address: the one it has, or else the first that is free. Where the search begins
    /// follows from the registry's path, so that two servers of one machine do not meet.
    pub fn get(&self, key: &EnvKey, service: &ServiceName) -> Result<Ipv4Addr> {
        let name = format!("{key}/{service}");
        if let Some(known) = self.read()?.addresses.get(&name) {
            return Ok(*known);
        }
        self.change(|registry| {
            if let Some(known) = registry.addresses.get(&name) {
                return Ok(*known);
            }
            let free = self.free(registry)?;
            registry.addresses.insert(name.clone(), free);
            Ok(free)
        })
    }

    /// Makes an address that a service is seen to have its own, if nobody else's: how a lost registry
    /// is rebuilt.
    pub fn adopt(&self, key: &EnvKey, service: &ServiceName, address: Ipv4Addr) -> Result<()> {
        self.change(|registry| {
            if !registry.addresses.values().any(|known| *known == address) {
                registry.addresses.insert(format!("{key}/{service}"), address);
            }
            Ok(())
        })
    }

    /// The addresses that services of an environment have.
    pub fn of(&self, key: &EnvKey) -> Result<BTreeMap<ServiceName, Ipv4Addr>> {
        let prefix = format!("{key}/");
        let registry = self.read()?;
        let ours = registry
            .addresses
            .iter()
            .filter_map(|(name, address)| Some((name.strip_prefix(&prefix)?.parse::<ServiceName>().ok()?, *address)));
        Ok(ours.collect())
    }

    /// Gives back the addresses of an environment's services.
    pub fn release(&self, key: &EnvKey) -> Result<()> {
        let prefix = format!("{key}/");
        if !self.read()?.addresses.keys().any(|name| name.starts_with(&prefix)) {
            return Ok(());
        }
        self.change(|registry| {
            registry.addresses.retain(|name, _| !name.starts_with(&prefix));
            Ok(())
        })
    }

    fn free(&self, registry: &Registry) -> Result<Ipv4Addr> {
        let taken: std::collections::BTreeSet<_> = registry.addresses.values().collect();
        let full =
            || Error::new(ErrorKind::Refused, "give a service an address", "every address of the range is taken");
        let count = self.range.count();
        let places = (0..count).map(|step| 1 + (self.start() % count + step) % count);
        places.filter_map(|place| self.range.at(place)).find(|address| !taken.contains(address)).ok_or_else(full)
    }

    /// A number that follows from the registry's path.
    fn start(&self) -> u32 {
        let hash = Sha256::digest(self.file.as_os_str().as_encoded_bytes());
        u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) / 2
    }

    fn read(&self) -> Result<Registry> {
        match fs::read(&self.file) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|e| Error::new(ErrorKind::Internal, format!("read {}", self.file.display()), e)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Registry::default()),
            Err(error) => Err(failed("read", &self.file, &error)),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Registry) -> Result<T>) -> Result<T> {
        let _ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        let parent = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|e| failed("make", parent, &e))?;
        let _everybodys = lock(&self.file.with_extension("lock"))?;
        let mut registry = self.read()?;
        let result = change(&mut registry)?;
        let text = serde_json::to_vec_pretty(&registry).expect("a registry is plain data");
        write_atomically(&self.file, &text, 0o600)?;
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> EnvKey {
        text.parse().unwrap()
    }

    fn service(text: &str) -> ServiceName {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_stays_with_its_service() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Addresses::new(dir.path().join("addresses.json"), Range::LOOPBACK);
        let web = open().get(&key("shop/a"), &service("web")).unwrap();
        let api = open().get(&key("shop/a"), &service("api")).unwrap();
        let other = open().get(&key("shop/b"), &service("web")).unwrap();
        assert_eq!(web.octets()[0], 127);
        assert!(web != api && web != other && api != other);
        assert_eq!(open().get(&key("shop/a"), &service("web")).unwrap(), web);

        open().release(&key("shop/a")).unwrap();
        assert!(open().of(&key("shop/a")).unwrap().is_empty());
        assert_eq!(open().get(&key("shop/b"), &service("web")).unwrap(), other);
        assert_eq!(open().get(&key("shop/c"), &service("new")).unwrap(), web, "the first free one");
    }

    #[test]
    fn two_registries_do_not_begin_at_the_same_address() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| Addresses::new(dir.path().join(name), Range::LOOPBACK);
        let [one, other] = ["a.json", "b.json"].map(|name| open(name).get(&key("x/y"), &service("web")).unwrap());
        assert_ne!(one, other);
    }

    #[test]
    fn a_range_ends() {
        let dir = tempfile::tempdir().unwrap();
        let range = Range::new(Ipv4Addr::new(198, 18, 0, 0), 30);
        let addresses = Addresses::new(dir.path().join("a.json"), range);
        for name in ["a", "b"] {
            addresses.get(&key("x/y"), &service(name)).unwrap();
        }
        assert_eq!(addresses.get(&key("x/y"), &service("c")).unwrap_err().kind, ErrorKind::Refused);
    }

    #[test]
    fn r14_a_lost_registry_takes_over_what_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let addresses = Addresses::new(dir.path().join("a.json"), Range::LOOPBACK);
        let seen = Ipv4Addr::new(127, 64, 0, 9);
        addresses.adopt(&key("x/y"), &service("web"), seen).unwrap();
        assert_eq!(addresses.get(&key("x/y"), &service("web")).unwrap(), seen);
        addresses.adopt(&key("x/z"), &service("web"), seen).unwrap();
        assert_ne!(addresses.get(&key("x/z"), &service("web")).unwrap(), seen);
    }
}
