//! Where a replica listens, asked inside of it.

use std::time::Duration;

use daybook_model::trouble::{Trouble, TroubleKind};
use daybook_model::{EnvKey, ReplicaId};
use futures::TryStreamExt as _;

use crate::{ExecRequest, Runtime};

/// How long a replica may take to say it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where a running replica listens, if its image has a program that can tell.
pub async fn listening(runtime: &impl Runtime, key: &EnvKey, id: &ReplicaId) -> Option<Trouble> {
    let argv = ["cat", "/proc/net/tcp", "/proc/net/tcp6"].map(str::to_owned).to_vec();
    let request = ExecRequest { argv, tty: None, user: None, working_dir: None };
    let told = async {
        let mut exec = runtime.exec(key, id, &request).await.ok()?;
        drop(exec.input);
        let mut tables = Vec::new();
        while let Some(piece) = exec.output.try_next().await.ok()? {
            tables.extend_from_slice(&piece.bytes);
        }
        Some(String::from_utf8_lossy(&tables).into_owned())
    };
    let tables = tokio::time::timeout(PATIENCE, told).await.ok()??;
    let (ports, inside) = read(&tables);
    (!ports.is_empty() || !inside.is_empty())
        .then(|| Trouble { kind: TroubleKind::Listens { ports, inside }, said: String::new() })
}

/// The ports that are listened at, from the kernel's tables of sockets: those for everybody, and those at loopback.
fn read(tables: &str) -> (Vec<u16>, Vec<u16>) {
    let mut all: Vec<(bool, u16)> = tables.lines().filter_map(listened_at).collect();
    all.sort_unstable();
    all.dedup();
    let (inside, outside): (Vec<_>, Vec<_>) = all.into_iter().partition(|(is_loopback, _)| *is_loopback);
    let ports = |all: Vec<(bool, u16)>| all.into_iter().map(|(_, port)| port).collect();
    (ports(outside), ports(inside))
}

fn listened_at(line: &str) -> Option<(bool, u16)> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, state) = (fields.next()?, fields.nth(1)?);
    let (address, port) = local.rsplit_once(':')?;
    // A byte of the address is written last that comes first: 127 in 127.0.0.0/8.
    let is_loopback = (address.len() == 8 && address.ends_with("7F")) || address == LOOPBACK_6;
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == LISTEN && address != NAMES_OF_DOCKER).then_some((is_loopback, port))
}

/// The state of a socket that listens, as the kernel writes it.
const LISTEN: &str = "0A";
/// 127.0.0.11, where Docker itself answers for names.
const NAMES_OF_DOCKER: &str = "0B00007F";
/// `::1`, as the kernel writes it.
const LOOPBACK_6: &str = "00000000000000000000000001000000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_ports_are_read_from_the_kernels_tables() {
        let tables = "  sl  local_address rem_address   st tx_queue
   0: 00000000:1F91 00000000:0000 0A 00000000:00000000
   1: 0100007F:0050 00000000:0000 0A 00000000:00000000
   2: 0100007F:1F91 0100007F:9C40 01 00000000:00000000
   3: 0B00007F:A0B1 00000000:0000 0A 00000000:00000000
   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 0:0
   1: 00000000000000000000000001000000:0BB9 00000000000000000000000000000000:0000 0A 0:0";
        assert_eq!(read(tables), (vec![3000, 8081], vec![80, 3001]));
        assert_eq!(read("cat: can't open '/proc/net/tcp6': No such file\n : : 0A"), (vec![], vec![]));
    }
}
