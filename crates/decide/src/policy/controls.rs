//! Which controls of well-known frameworks a check speaks to.
//!
//! CIS Docker Benchmark 1.6, CIS Kubernetes Benchmark 1.9, the Trust Services Criteria of SOC 2 (2017), and Annex A of
//! ISO/IEC 27001:2022. A check that passes is evidence for a control, and never all of it.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::Report;

use Framework::{CisDocker, CisKubernetes, Iso27001, Soc2};

/// A set of controls that auditors ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framework {
    /// CIS Docker Benchmark 1.6.
    CisDocker,
    /// CIS Kubernetes Benchmark 1.9.
    CisKubernetes,
    /// SOC 2, Trust Services Criteria.
    Soc2,
    /// ISO/IEC 27001:2022, Annex A.
    Iso27001,
}

impl Framework {
    /// All of them.
    pub const ALL: [Self; 4] = [CisDocker, CisKubernetes, Soc2, Iso27001];

    /// Its word for commands: `cis-docker`.
    pub fn as_str(self) -> &'static str {
        match self {
            CisDocker => "cis-docker",
            CisKubernetes => "cis-kubernetes",
            Soc2 => "soc2",
            Iso27001 => "iso27001",
        }
    }
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CisDocker => "CIS Docker Benchmark 1.6",
            CisKubernetes => "CIS Kubernetes Benchmark 1.9",
            Soc2 => "SOC 2 (Trust Services Criteria)",
            Iso27001 => "ISO/IEC 27001:2022, Annex A",
        })
    }
}

/// A control, and the checks that speak to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Whose it is.
    pub framework: Framework,
    /// Its number there: `5.11`, `CC6.6`.
    pub id: &'static str,
    /// What it asks, in our words.
    pub title: &'static str,
    /// Ids of checks.
    pub checks: &'static [&'static str],
}

/// How things stand with a control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The control.
    #[serde(flatten)]
    pub control: &'static Control,
    /// Its checks that found something.
    pub failed: Vec<&'static str>,
    /// Its checks whose findings somebody lives with, and that found nothing else.
    pub waived: Vec<&'static str>,
}

/// How things stand with each control of `framework`, after `report`.
pub fn standings(report: &Report, framework: Framework) -> Vec<Standing> {
    let open: BTreeSet<_> = report.denied().chain(report.warned()).map(|finding| finding.check.as_str()).collect();
    let waived: BTreeSet<_> = report.waived().map(|finding| finding.check.as_str()).collect();
    let standing = |control: &'static Control| {
        let (failed, rest): (Vec<_>, Vec<_>) = control.checks.iter().copied().partition(|check| open.contains(check));
        Standing { control, failed, waived: rest.into_iter().filter(|check| waived.contains(check)).collect() }
    };
    controls(framework).map(standing).collect()
}

/// The controls of `framework` that checks speak to, in its order.
pub fn controls(framework: Framework) -> impl Iterator<Item = &'static Control> {
    CONTROLS.iter().filter(move |control| control.framework == framework)
}

const fn row(framework: Framework, id: &'static str, title: &'static str, checks: &'static [&'static str]) -> Control {
    Control { framework, id, title, checks }
}

static CONTROLS: &[Control] = &[
    row(CisDocker, "4.1", "containers run as a user of their own", &["DB007"]),
    row(CisDocker, "4.6", "images and containers have a health check", &["DB022", "DB023", "DB024"]),
    row(CisDocker, "4.10", "no secrets in Dockerfiles", &["DB014", "DB015", "DB016"]),
    row(CisDocker, "5.2", "an AppArmor profile is in force", &["DB011"]),
    row(CisDocker, "5.4", "capabilities are kept to what is needed", &["DB009"]),
    row(CisDocker, "5.5", "no privileged containers", &["DB001"]),
    row(CisDocker, "5.6", "no directories of the system are mounted", &["DB006"]),
    row(CisDocker, "5.8", "no privileged ports without need", &["DB033"]),
    row(CisDocker, "5.9", "only needed ports are open", &["DB032", "DB033", "DB035"]),
    row(CisDocker, "5.10", "containers have a network of their own", &["DB005"]),
    row(CisDocker, "5.11", "memory is bounded", &["DB019"]),
    row(CisDocker, "5.12", "processor time is shared out", &["DB020"]),
    row(CisDocker, "5.13", "the root file system is read-only", &["DB010"]),
    row(CisDocker, "5.14", "what comes in is bound to an address", &["DB033"]),
    row(CisDocker, "5.16", "processes have a namespace of their own", &["DB003"]),
    row(CisDocker, "5.17", "shared memory has a namespace of its own", &["DB004"]),
    row(CisDocker, "5.22", "a seccomp profile is in force", &["DB011"]),
    row(CisDocker, "5.26", "no new privileges can be gained", &["DB008"]),
    row(CisDocker, "5.27", "health is checked while containers run", &["DB022", "DB023"]),
    row(CisDocker, "5.28", "what a pull brings is known", &["DB017", "DB018"]),
    row(CisDocker, "5.29", "the number of processes is bounded", &["DB021"]),
    row(CisDocker, "5.30", "not on the bridge that all share", &["DB029"]),
    row(CisDocker, "5.32", "the engine's socket is in no container", &["DB002"]),
    row(CisKubernetes, "5.1.1", "cluster-admin is bound only where it is needed", &["DB031"]),
    row(CisKubernetes, "5.1.3", "no wildcards in roles", &["DB031", "DB039"]),
    row(CisKubernetes, "5.1.6", "tokens are mounted only where they are needed", &["DB030"]),
    row(CisKubernetes, "5.2.2", "no privileged containers", &["DB001"]),
    row(CisKubernetes, "5.2.3", "no containers in the host's process namespace", &["DB003"]),
    row(CisKubernetes, "5.2.4", "no containers in the host's IPC namespace", &["DB004"]),
    row(CisKubernetes, "5.2.5", "no containers in the host's network namespace", &["DB005"]),
    row(CisKubernetes, "5.2.6", "no privilege escalation", &["DB008"]),
    row(CisKubernetes, "5.2.7", "no root containers", &["DB007"]),
    row(CisKubernetes, "5.2.8", "no NET_RAW", &["DB009"]),
    row(CisKubernetes, "5.2.9", "no added capabilities", &["DB009"]),
    row(CisKubernetes, "5.2.12", "no volumes of the host's paths", &["DB002", "DB006"]),
    row(CisKubernetes, "5.3.2", "every namespace has network policies", &["DB029"]),
    row(CisKubernetes, "5.4.1", "secrets come as files rather than variables", &["DB012", "DB013"]),
    row(CisKubernetes, "5.7.2", "a seccomp profile is in force", &["DB011"]),
    row(CisKubernetes, "5.7.3", "pods have a security context", &["DB007", "DB008", "DB010"]),
    row(Soc2, "A1.1", "capacity is planned and watched", &["DB019", "DB020", "DB021", "LZ004"]),
    row(
        Soc2,
        "A1.2",
        "what protects availability is in place",
        &["DB022", "DB023", "DB027", "DB028", "DB038", "LZ006"],
    ),
    row(
        Soc2,
        "CC6.1",
        "access to data and systems is restricted",
        &["DB012", "DB013", "DB015", "DB016", "DB030", "DB036"],
    ),
    row(Soc2, "CC6.3", "rights follow least privilege", &["DB001", "DB007", "DB008", "DB009", "DB031", "DB039"]),
    row(
        Soc2,
        "CC6.6",
        "the boundary to the outside is protected",
        &["DB005", "DB029", "DB032", "DB033", "DB035", "DB037", "DB040"],
    ),
    row(Soc2, "CC6.7", "data is protected on its way", &["DB034"]),
    row(
        Soc2,
        "CC6.8",
        "unauthorised software is kept out",
        &["DB002", "DB006", "DB010", "DB011", "DB017", "DB018", "LZ001"],
    ),
    row(Soc2, "CC7.1", "configurations are watched for weaknesses", &["DB003", "DB004", "DB024", "DB025", "DB026"]),
    row(Soc2, "CC8.1", "changes are authorised and tested", &["DB014", "DB017", "DB018"]),
    row(Iso27001, "A.5.15", "access control", &["DB030", "DB031", "DB039"]),
    row(Iso27001, "A.5.17", "authentication information", &["DB012", "DB013", "DB014", "DB015", "DB016"]),
    row(Iso27001, "A.5.23", "use of cloud services", &["DB037", "DB040", "LZ002", "LZ003"]),
    row(Iso27001, "A.8.2", "privileged access rights", &["DB001", "DB002", "DB007", "DB008", "DB009"]),
    row(Iso27001, "A.8.3", "restriction of access to information", &["DB006", "DB035", "DB037"]),
    row(Iso27001, "A.8.6", "capacity management", &["DB019", "DB020", "DB021", "LZ004"]),
    row(
        Iso27001,
        "A.8.9",
        "configuration management",
        &["DB010", "DB017", "DB018", "DB024", "DB025", "DB026", "LZ005"],
    ),
    row(Iso27001, "A.8.13", "backup of information", &["DB038", "LZ006"]),
    row(Iso27001, "A.8.14", "redundancy", &["DB027", "DB028"]),
    row(Iso27001, "A.8.16", "monitoring", &["DB022", "DB023"]),
    row(Iso27001, "A.8.19", "installation of software", &["DB017", "DB018", "LZ001"]),
    row(Iso27001, "A.8.20", "security of networks", &["DB005", "DB032", "DB033", "DB040"]),
    row(Iso27001, "A.8.22", "segregation of networks", &["DB003", "DB004", "DB029"]),
    row(Iso27001, "A.8.24", "use of cryptography", &["DB034", "DB036"]),
    row(Iso27001, "A.8.28", "secure coding and hardening", &["DB011", "DB014"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy;

    #[test]
    fn every_check_speaks_to_a_control_and_every_control_to_checks_that_are_there() {
        for control in CONTROLS {
            for check in control.checks {
                assert!(policy::find(check).is_some(), "{} names {check}", control.id);
            }
        }
        for check in policy::all() {
            assert!(
                CONTROLS.iter().any(|control| control.checks.contains(&check.id)),
                "{} is in no framework",
                check.id
            );
        }
    }
}
