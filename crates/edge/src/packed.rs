//! A table in few bytes, for places that bound what they keep: an object of a cluster holds one mebibyte, which is a
//! few thousand services as plain JSON, and some tens of thousands packed.

use std::io::{self, Read as _, Write as _};

use daybook_model::RouteTable;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// What a packed table may be as JSON.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A table as JSON, packed by gzip.
pub fn pack(table: &RouteTable) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&serde_json::to_vec(table)?)?;
    packed.finish()
}

/// Reads a table that was packed. An error of bytes that are none, and of a table beyond 64 MiB.
pub fn unpack(bytes: &[u8]) -> io::Result<RouteTable> {
    let mut json = Vec::new();
    GzDecoder::new(bytes).take(LARGEST).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use daybook_model::route::{Backend, Endpoint, Target};
    use daybook_model::spec::{Check, CheckTest};
    use daybook_model::{EnvRoutes, ReplicaId};

    use super::*;

    /// As many services as differ in what services differ in.
    fn table(services: u16) -> RouteTable {
        let check = Check {
            test: CheckTest::Http { path: "/health".to_owned(), port: 8080 },
            interval_ms: 10_000,
            timeout_ms: 2_000,
            retries: 3,
            start_period_ms: 0,
            start_interval_ms: 1_000,
        };
        let backend = |number: u16| {
            let replica = ReplicaId::new(format!("s{number}").parse().unwrap(), 1);
            let address = SocketAddr::from(([10, 64, (number >> 8) as u8, number as u8], 8080));
            Backend {
                entries: Vec::new(),
                target: Target::Endpoints(vec![Endpoint { replica, ports: [(8080, address)].into(), weight: 1 }]),
                check: check.clone(),
                hold_ms: None,
                drain_ms: 1_000,
            }
        };
        let backends = (0..services).map(|number| (format!("s{number}").parse().unwrap(), backend(number))).collect();
        RouteTable { version: 7, environments: [("shop/test".parse().unwrap(), EnvRoutes { backends })].into() }
    }

    #[test]
    fn a_packed_table_is_read_back_and_twenty_thousand_services_fit_into_an_object() {
        let table = table(20_000);
        let packed = pack(&table).unwrap();
        assert!(packed.len() < 1_000_000, "{} bytes", packed.len());
        assert_eq!(unpack(&packed).unwrap(), table);
    }

    #[test]
    fn what_is_no_packed_table_is_an_error() {
        let packed = pack(&table(3)).unwrap();
        assert!(unpack(&packed[..packed.len() - 9]).is_err());
        assert!(unpack(b"{}").is_err());
        assert!(unpack(b"").is_err());
    }
}
