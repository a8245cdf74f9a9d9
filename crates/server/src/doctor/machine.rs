//! What of this machine stands in the way of many connections, many replicas, or certificates.

use std::time::Duration;

use daybook_api::doctor::CheckView;

use super::{ok, warn};

/// How long a name may take to resolve, and a program to say its version.
const PATIENCE: Duration = Duration::from_secs(3);

/// A limit of the kernel: its file beneath `/proc/sys`, what it should be at least, and who runs into it.
struct Limit {
    name: &'static str,
    least: u64,
    why: &'static str,
}

const LIMITS: [Limit; 4] = [
    Limit { name: "net.core.somaxconn", least: 1_024, why: "connections that come at once are refused" },
    Limit { name: "fs.inotify.max_user_instances", least: 128, why: "containers that watch files fail" },
    Limit { name: "kernel.pid_max", least: 32_768, why: "processes of many replicas cannot be started" },
    Limit { name: "kernel.threads-max", least: 32_768, why: "threads of many replicas cannot be started" },
];

/// Of the ports that connections to replicas come from, fewer than these are few.
const FEW_PORTS: u64 = 16_000;
/// So full a table of connections is nearly full, percent.
const NEARLY_FULL: u64 = 80;

/// The kernel's limits, by the texts of files beneath `/proc/sys`. One that the kernel does not have is left out.
pub(super) fn kernel(read: impl Fn(&str) -> Option<String>) -> Vec<CheckView> {
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let mut amiss: Vec<CheckView> = LIMITS
        .iter()
        .filter_map(|limit| {
            let found = number(limit.name).filter(|found| *found < limit.least)?;
            let fix = format!("`sysctl -w {}={}`: otherwise {}", limit.name, limit.least, limit.why);
            Some(warn(limit.name, found.to_string(), Some(&fix)))
        })
        .collect();
    let range = read("net.ipv4.ip_local_port_range");
    let ports: Vec<u64> =
        range.iter().flat_map(|text| text.split_whitespace()).filter_map(|n| n.parse().ok()).collect();
    if let [first, last] = ports[..]
        && last.saturating_sub(first) < FEW_PORTS
    {
        let fix = "`sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\"`: each connection to a replica needs one";
        amiss.push(warn("net.ipv4.ip_local_port_range", format!("{first} to {last}"), Some(fix)));
    }
    if let (Some(count), Some(most)) =
        (number("net.netfilter.nf_conntrack_count"), number("net.netfilter.nf_conntrack_max"))
        && most > 0
        && count * 100 >= most * NEARLY_FULL
    {
        let fix = format!("`sysctl -w net.netfilter.nf_conntrack_max={}`: what is beyond it is dropped", most * 2);
        amiss.push(warn("net.netfilter.nf_conntrack_max", format!("{count} of {most} are taken"), Some(&fix)));
    }
    if amiss.is_empty() { vec![ok("kernel limits", "none is too low".to_owned())] } else { amiss }
}

/// Whether the clock is kept right, where systemd tells it: certificates, tokens and the journal go by it.
pub(super) async fn clock() -> Option<CheckView> {
    let said = output("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).await?;
    clock_by(&said)
}

fn clock_by(said: &str) -> Option<CheckView> {
    match said.trim() {
        "yes" => Some(ok("clock", "synchronized".to_owned())),
        "no" => Some(warn("clock", "not synchronized", Some("`timedatectl set-ntp true`, or install chrony"))),
        _ => None,
    }
}

/// Whether the public names of environments lead anywhere.
pub(super) async fn names(hosts: impl IntoIterator<Item = String>) -> Vec<CheckView> {
    let looked_up = hosts.into_iter().filter(|host| is_public(host)).map(|host| async move {
        let answer = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host.as_str(), 443))).await;
        let check = format!("name {host}");
        match answer {
            Ok(Ok(addresses)) => {
                let addresses: Vec<_> = addresses.map(|address| address.ip().to_string()).collect();
                ok(check, format!("leads to {}", addresses.join(", ")))
            }
            Ok(Err(_)) => warn(check, "leads nowhere", Some("make a DNS record of it that leads to this machine")),
            Err(_) => warn(check, format!("no answer within {} s", PATIENCE.as_secs()), Some("see /etc/resolv.conf")),
        }
    });
    futures::future::join_all(looked_up).await
}

/// A name that somebody else has to know: neither of this machine alone, nor a pattern.
fn is_public(host: &str) -> bool {
    let local =
        host == "localhost" || [".localhost", ".local", ".internal", ".test"].iter().any(|end| host.ends_with(end));
    host.contains('.') && !local && !host.contains('*') && host.parse::<std::net::IpAddr>().is_err()
}

/// The version of a program that Daybook drives. `needed_by` says what is not possible without it.
pub(super) async fn tool(program: &str, arguments: &[&str], needed_by: &str) -> CheckView {
    match output(program, arguments).await {
        Some(said) => ok(program, said.lines().next().unwrap_or_default().trim().to_owned()),
        None => ok(program, format!("not here; only {needed_by} need it")),
    }
}

async fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use daybook_api::doctor::CheckResult;

    use super::*;

    fn with(low: &[(&str, &str)]) -> Vec<CheckView> {
        let usual = [
            ("net.core.somaxconn", "4096\n"),
            ("fs.inotify.max_user_instances", "1024"),
            ("kernel.pid_max", "4194304"),
            ("net.ipv4.ip_local_port_range", "32768\t60999\n"),
            ("net.netfilter.nf_conntrack_count", "200"),
            ("net.netfilter.nf_conntrack_max", "262144"),
        ];
        let find = |name: &str| low.iter().chain(&usual).find(|(known, _)| *known == name);
        kernel(|name| find(name).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn limits_that_are_too_low_are_told_with_what_to_do() {
        let all_is_well = with(&[]);
        assert_eq!((all_is_well.len(), all_is_well[0].result), (1, CheckResult::Ok));
        for (name, text) in [
            ("net.core.somaxconn", "128"),
            ("fs.inotify.max_user_instances", "64"),
            ("kernel.threads-max", "4000"),
            ("net.ipv4.ip_local_port_range", "50000 60999"),
            ("net.netfilter.nf_conntrack_count", "250000"),
        ] {
            let found = with(&[(name, text)]);
            assert_eq!((found.len(), found[0].result), (1, CheckResult::Warn), "{name}");
            assert!(found[0].fix.as_ref().is_some_and(|fix| fix.starts_with("`sysctl -w ")), "{name}");
        }
        assert_eq!(with(&[("net.core.somaxconn", "?")])[0].result, CheckResult::Ok, "what cannot be read is not told");
    }

    #[test]
    fn a_clock_is_told_of_where_somebody_knows() {
        assert_eq!(clock_by("yes\n").unwrap().result, CheckResult::Ok);
        assert_eq!(clock_by("no\n").unwrap().result, CheckResult::Warn);
        assert!(clock_by("").is_none());
    }

    #[test]
    fn names_that_only_this_machine_knows_are_not_looked_up() {
        for host in ["shop.localhost", "web", "*.example.com", "printer.local", "10.0.0.1", "*"] {
            assert!(!is_public(host), "{host}");
        }
        assert!(is_public("shop.example.com"));
    }
}
