//! What must hold of a table before it is taken.

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::path::Path;

use daybook_model::route::{Backend, Entry, Speaks, Target};
use daybook_model::{EnvKey, RouteTable, ServiceName};

use super::domain::DomainIndex;

/// Why a table cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// It is not newer than the one in force.
    #[error("table {given} is not newer than table {current}, which is in force")]
    NotNewer {
        /// Its version.
        given: u64,
        /// The version in force.
        current: u64,
    },
    /// Two entries claim the same place.
    #[error("{place} is claimed by {first} and by {second}")]
    Conflict {
        /// A host and path, or an address.
        place: String,
        /// One service, as `app/environment/service`.
        first: String,
        /// The other.
        second: String,
    },
    /// An entry leads to a port that an endpoint does not have.
    #[error("{replica} of {service} has no port {port}")]
    NoSuchPort {
        /// The service.
        service: String,
        /// The replica.
        replica: String,
        /// The container port that is asked for.
        port: u16,
    },
    /// The directory of a static site is not absolute.
    #[error("{service} serves files beneath `{root}`, which is not an absolute path")]
    RelativeRoot {
        /// The service.
        service: String,
        /// The directory.
        root: String,
    },
    /// Files are served over HTTP only.
    #[error("{service} serves files, which cannot be done at {address} as bytes")]
    FilesAsBytes {
        /// The service.
        service: String,
        /// The address.
        address: SocketAddr,
    },
    /// A replica is named twice.
    #[error("{service} has two endpoints named {replica}")]
    SameReplica {
        /// The service.
        service: String,
        /// The replica.
        replica: String,
    },
}

/// Checks a table by itself; sockets and files are not looked at.
pub(crate) fn check(table: &RouteTable) -> Result<(), TableError> {
    let mut domains = DomainIndex::new();
    let mut addresses = std::collections::HashMap::new();
    for (key, service, backend) in backends(table) {
        let name = service_name(key, service);
        check_target(&name, backend)?;
        for entry in &backend.entries {
            match entry {
                Entry::Domain { host, path, .. } => {
                    if domains.insert(host, path, name.clone()).is_err() {
                        let first = domains.find(host, path).cloned().unwrap_or_default();
                        return Err(TableError::Conflict { place: format!("{host}{path}"), first, second: name });
                    }
                }
                Entry::Address { listen, .. } => {
                    if let Some(first) = addresses.insert(*listen, name.clone()) {
                        return Err(TableError::Conflict { place: listen.to_string(), first, second: name });
                    }
                }
            }
        }
    }
    Ok(())
}

/// Every backend of every environment.
pub(crate) fn backends(table: &RouteTable) -> impl Iterator<Item = (&EnvKey, &ServiceName, &Backend)> {
    let environments = table.environments.iter();
    environments.flat_map(|(key, routes)| routes.backends.iter().map(move |(service, backend)| (key, service, backend)))
}

/// Every address that the table asks the edge to listen at.
pub(crate) fn addresses(table: &RouteTable) -> BTreeSet<SocketAddr> {
    let entries = backends(table).flat_map(|(_, _, backend)| &backend.entries);
    entries
        .filter_map(|entry| match entry {
            Entry::Address { listen, .. } => Some(*listen),
            Entry::Domain { .. } => None,
        })
        .collect()
}

/// `app/environment/service`.
pub(crate) fn service_name(key: &EnvKey, service: &ServiceName) -> String {
    format!("{key}/{service}")
}

fn check_target(service: &str, backend: &Backend) -> Result<(), TableError> {
    match &backend.target {
        Target::Files { root } if !Path::new(root).is_absolute() => {
            Err(TableError::RelativeRoot { service: service.to_owned(), root: root.clone() })
        }
        Target::Files { .. } => check_files_speak_http(service, backend),
        Target::Endpoints(endpoints) => {
            let mut seen = HashSet::new();
            for endpoint in endpoints {
                let replica = endpoint.replica.to_string();
                if !seen.insert(&endpoint.replica) {
                    return Err(TableError::SameReplica { service: service.to_owned(), replica });
                }
                let wanted = backend.entries.iter().map(entry_port);
                if let Some(port) = wanted.into_iter().find(|port| !endpoint.ports.contains_key(port)) {
                    return Err(TableError::NoSuchPort { service: service.to_owned(), replica, port });
                }
            }
            Ok(())
        }
    }
}

fn check_files_speak_http(service: &str, backend: &Backend) -> Result<(), TableError> {
    for entry in &backend.entries {
        if let Entry::Address { listen, speaks: Speaks::Tcp, .. } = entry {
            return Err(TableError::FilesAsBytes { service: service.to_owned(), address: *listen });
        }
    }
    Ok(())
}

fn entry_port(entry: &Entry) -> u16 {
    match entry {
        Entry::Domain { port, .. } | Entry::Address { port, .. } => *port,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybook_model::EnvRoutes;
    use daybook_model::route::Endpoint;
    use daybook_model::spec::{Check, CheckTest, Tls};

    fn backend(entries: Vec<Entry>, target: Target) -> Backend {
        let check = Check {
            test: CheckTest::Tcp { port: 80 },
            interval_ms: 1000,
            timeout_ms: 1000,
            retries: 3,
            start_period_ms: 0,
            start_interval_ms: 100,
        };
        Backend { entries, target, check, hold_ms: None, drain_ms: 1000 }
    }

    fn domain(host: &str) -> Entry {
        Entry::Domain { host: host.into(), path: "/".into(), port: 80, tls: Tls::Off }
    }

    fn endpoint(name: &str, port: u16) -> Endpoint {
        let ports = [(port, "127.0.0.1:9".parse().unwrap())].into();
        Endpoint { replica: name.parse().unwrap(), ports, weight: 1 }
    }

    fn table(backends: Vec<(&str, Backend)>) -> RouteTable {
        let backends = backends.into_iter().map(|(name, backend)| (name.parse().unwrap(), backend)).collect();
        RouteTable { version: 1, environments: [("shop/test".parse().unwrap(), EnvRoutes { backends })].into() }
    }

    #[test]
    fn a_sound_table_is_taken() {
        let table =
            table(vec![("web", backend(vec![domain("a.example")], Target::Endpoints(vec![endpoint("web.1", 80)])))]);
        assert_eq!(check(&table), Ok(()));
    }

    #[test]
    fn two_services_at_one_place_are_refused() {
        let none = || Target::Endpoints(vec![]);
        let error =
            check(&table(vec![("a", backend(vec![domain("x")], none())), ("b", backend(vec![domain("X")], none()))]));
        assert_eq!(error.unwrap_err().to_string(), "X/ is claimed by shop/test/a and by shop/test/b");
        let at = || Entry::Address { listen: "127.0.0.1:80".parse().unwrap(), port: 80, speaks: Speaks::Http };
        let error = check(&table(vec![("a", backend(vec![at()], none())), ("b", backend(vec![at()], none()))]));
        assert_eq!(error.unwrap_err().to_string(), "127.0.0.1:80 is claimed by shop/test/a and by shop/test/b");
    }

    #[test]
    fn endpoints_must_have_the_ports_of_the_entries_and_names_of_their_own() {
        let target = Target::Endpoints(vec![endpoint("web.1", 81)]);
        let error = check(&table(vec![("web", backend(vec![domain("x")], target))]));
        assert_eq!(error.unwrap_err().to_string(), "web.1 of shop/test/web has no port 80");
        let target = Target::Endpoints(vec![endpoint("web.1", 80), endpoint("web.1", 80)]);
        let error = check(&table(vec![("web", backend(vec![domain("x")], target))]));
        assert_eq!(error.unwrap_err().to_string(), "shop/test/web has two endpoints named web.1");
    }

    #[test]
    fn files_need_an_absolute_root() {
        let target = Target::Files { root: "site".into() };
        assert!(matches!(
            check(&table(vec![("docs", backend(vec![domain("x")], target))])),
            Err(TableError::RelativeRoot { .. })
        ));
    }
}
