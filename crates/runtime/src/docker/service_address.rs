//! Addresses of services: on the machine's loopback interface, out of the range that RFC 2544 sets
//! apart, where containers on bridges reach them through their gateway and nobody outside does.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

use daybook_model::name::{EnvKey, ServiceName};
use tokio::process::Command;

use super::DockerRuntime;
use super::engine::{Engine, Reach};
use crate::addresses::{Addresses, Range};
use crate::identity::of_environment;
use crate::{Error, ErrorKind, Result};

const RANGE: Range = Range::new(Ipv4Addr::new(198, 18, 0, 0), 15);
const IP: [&str; 4] = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];

/// Gives services addresses, and puts them on the loopback interface.
pub(super) struct ServiceAddresses {
    registry: Addresses,
    ip: PathBuf,
}

impl ServiceAddresses {
    /// `None` where containers could not reach such an address, or we may not configure interfaces.
    pub(super) fn open(engine: &Engine, state: &Path) -> Result<Option<Self>> {
        let ip = IP.iter().map(PathBuf::from).find(|path| path.exists());
        let Some(ip) = ip.filter(|_| engine.reach == Reach::Bridge && may_configure_interfaces()) else {
            return Ok(None);
        };
        Ok(Some(Self { registry: Addresses::new(state.join("docker/addresses.json"), RANGE), ip }))
    }

    /// The service's address, which is on the interface when this returns.
    pub(super) async fn of(&self, key: &EnvKey, service: &ServiceName) -> Result<IpAddr> {
        let address = self.registry.get(key, service)?;
        self.put(address).await?;
        Ok(address.into())
    }

    /// Whether the service has an address, so that the edge may answer for it.
    pub(super) fn has(&self, key: &EnvKey, service: &ServiceName) -> bool {
        self.registry.of(key).is_ok_and(|known| known.contains_key(service))
    }

    /// Takes over what containers of ours were told, so that a lost registry gives the same again.
    pub(super) fn adopt(&self, key: &EnvKey, service: &ServiceName, address: Ipv4Addr) -> Result<()> {
        if daybook_model::route::is_service_address(address.into()) {
            self.registry.adopt(key, service, address)?;
        }
        Ok(())
    }

    /// Puts an environment's addresses on the interface: a reboot takes them away.
    pub(super) async fn restore(&self, key: &EnvKey) -> Result<()> {
        for address in self.registry.of(key)?.into_values() {
            self.put(address).await?;
        }
        Ok(())
    }

    pub(super) async fn release(&self, key: &EnvKey) -> Result<()> {
        for address in self.registry.of(key)?.into_values().filter(|address| is_ours(*address)) {
            self.ip("del", address).await?;
        }
        self.registry.release(key)
    }

    async fn put(&self, address: Ipv4Addr) -> Result<()> {
        if is_ours(address) { Ok(()) } else { self.ip("replace", address).await }
    }

    async fn ip(&self, verb: &str, address: Ipv4Addr) -> Result<()> {
        let operation = format!("ip address {verb} {address}/32 dev lo");
        let command = Command::new(&self.ip).args(["address", verb, &format!("{address}/32"), "dev", "lo"]).output();
        let output = command.await.map_err(|e| Error::new(ErrorKind::Internal, operation.as_str(), e))?;
        let said = String::from_utf8_lossy(&output.stderr);
        // Two of us may do the same at once: what counts is how it is now.
        if output.status.success() || is_ours(address) == (verb == "replace") {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Internal, operation, said.trim()))
    }
}

impl DockerRuntime {
    /// Learns from our containers what the registry may have lost, and puts back what a reboot took.
    pub(super) async fn restore_addresses(&self) -> Result<()> {
        for key in self.our_environments().await? {
            self.restore_addresses_of(&key).await?;
        }
        Ok(())
    }

    pub(super) async fn restore_addresses_of(&self, key: &EnvKey) -> Result<()> {
        let Some(addresses) = &self.addresses else { return Ok(()) };
        for (service, address) in self.hosts_told(key).await? {
            addresses.adopt(key, &service, address)?;
        }
        addresses.restore(key).await
    }

    /// What the environment's containers have in `/etc/hosts` for its services.
    async fn hosts_told(&self, key: &EnvKey) -> Result<HashMap<ServiceName, Ipv4Addr>> {
        let mut told = HashMap::new();
        for (id, _) in self.list_containers(&of_environment(key)).await? {
            let found = self.inspect_settled(&format!("look at container {id}"), &id).await?;
            let Some(found) = found else { continue };
            let lines = found.host_config.and_then(|host| host.extra_hosts).unwrap_or_default();
            told.extend(lines.iter().filter_map(|line| told_host(line)));
        }
        Ok(told)
    }
}

fn told_host(line: &str) -> Option<(ServiceName, Ipv4Addr)> {
    let (name, address) = line.split_once(':')?;
    Some((name.parse().ok()?, address.parse().ok()?))
}

/// Only an address of this machine can be bound.
fn is_ours(address: Ipv4Addr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Whether we have the capability CAP_NET_ADMIN.
fn may_configure_interfaces() -> bool {
    const CAP_NET_ADMIN: u32 = 12;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    bits >> CAP_NET_ADMIN & 1 == 1
}
