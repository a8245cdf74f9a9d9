//! What a replica's process is told.

use std::collections::BTreeMap;

use daybook_model::Launch;

use super::layout::{Layout, ReplicaDir};
use super::leftovers::MARK;
use super::record::{Record, role_name};
use super::workdir;
use crate::Result;

/// What a replica's environment holds: a few defaults, what the manifest says, and, above that, what
/// only Daybook can know.
pub(crate) fn environment(
    layout: &Layout,
    dir: &ReplicaDir,
    launch: &Launch,
    record: &Record,
    socket: &str,
) -> Result<Vec<(String, String)>> {
    let work = dir.work().display().to_string();
    let mut all = BTreeMap::new();
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    all.insert("PATH".to_owned(), path);
    all.insert("HOME".to_owned(), work.clone());
    all.extend(launch.environment.iter().cloned());
    if let Some(first) = launch.ports.first() {
        all.insert("PORT".to_owned(), record.ports[&first.container].to_string());
        all.insert("HOST".to_owned(), "127.0.0.1".to_owned());
    }
    for (container, port) in &record.ports {
        all.insert(format!("PORT_{container}"), port.to_string());
    }
    for (host, address) in &launch.hosts {
        all.insert(format!("DAYBOOK_HOST_{}", variable(host)), address.to_string());
    }
    for name in &record.volumes {
        let directory = workdir::volume_directory(layout, launch, name)?;
        all.insert(format!("DAYBOOK_VOLUME_{}", variable(name.as_str())), directory.display().to_string());
    }
    let facts = [
        ("DAYBOOK_ROOT", work),
        ("DAYBOOK_APP", launch.key.app.to_string()),
        ("DAYBOOK_ENV", launch.key.env.to_string()),
        ("DAYBOOK_SERVICE", launch.id.service.to_string()),
        ("DAYBOOK_REPLICA", launch.id.to_string()),
        ("DAYBOOK_ROLE", role_name(launch.role).to_owned()),
        ("DAYBOOK_RELEASE", launch.release.to_string()),
        (MARK, socket.to_owned()),
    ];
    all.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    Ok(all.into_iter().collect())
}

/// A name as a part of a variable's name.
fn variable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_variables() {
        assert_eq!(variable("api-2.internal"), "API_2_INTERNAL");
    }
}
