//! How a daemon is set up: what of it costs requests, disk or limits.

use bollard::models::SystemInfo;
use daybook_model::Target;

use super::DockerRuntime;
use super::engine::Flavour;
use super::error::failed;
use crate::{Finding, Rank, Result};

impl DockerRuntime {
    /// Looks at the daemon of this machine.
    pub(super) async fn examine_daemon(&self, target: &Target) -> Result<Vec<Finding>> {
        let operation = format!("examine {target}");
        let info = self.engine.docker.info().await.map_err(|error| failed(&operation, &error))?;
        Ok(findings(&info, self.engine.flavour == Flavour::Docker))
    }
}

fn findings(info: &SystemInfo, is_docker: bool) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut find = |check: &str, rank: Rank, found: &str, fix: Option<&str>| {
        let (check, found, fix) = (check.to_owned(), found.to_owned(), fix.map(str::to_owned));
        all.push(Finding { check, rank, found, fix });
    };
    // Podman has no daemon that replicas would end with.
    if is_docker {
        match info.live_restore_enabled {
            Some(true) => find("Docker live-restore", Rank::Fine, "replicas outlive the daemon", None),
            _ => find(
                "Docker live-restore",
                Rank::Lacking,
                "off: replicas end with the daemon, at each upgrade of it",
                Some("write {\"live-restore\": true} into /etc/docker/daemon.json, then `systemctl reload docker`"),
            ),
        }
    }
    match info.driver.as_deref() {
        Some("vfs") => find(
            "storage of images",
            Rank::Lacking,
            "vfs: every replica has a copy of its whole image",
            Some("use a file system that overlay2 works on"),
        ),
        Some(driver) => find("storage of images", Rank::Fine, driver, None),
        None => {}
    }
    if info.memory_limit == Some(false) {
        let fix = "boot with `cgroup_enable=memory`, or with version 2 of control groups";
        find("memory limits", Rank::Lacking, "the kernel keeps none", Some(fix));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(info: &SystemInfo, is_docker: bool) -> Vec<(String, Rank)> {
        findings(info, is_docker).into_iter().map(|finding| (finding.check, finding.rank)).collect()
    }

    #[test]
    fn settings_that_cost_something_are_told() {
        let good = SystemInfo {
            live_restore_enabled: Some(true),
            driver: Some("overlay2".to_owned()),
            memory_limit: Some(true),
            ..SystemInfo::default()
        };
        assert!(ranks(&good, true).iter().all(|(_, rank)| *rank == Rank::Fine));
        let poor = SystemInfo {
            live_restore_enabled: Some(false),
            driver: Some("vfs".to_owned()),
            memory_limit: Some(false),
            ..SystemInfo::default()
        };
        assert_eq!(ranks(&poor, true).len(), 3);
        assert!(ranks(&poor, true).iter().all(|(_, rank)| *rank == Rank::Lacking));
        assert!(ranks(&poor, false).iter().all(|(check, _)| check != "Docker live-restore"), "Podman has no daemon");
    }
}
