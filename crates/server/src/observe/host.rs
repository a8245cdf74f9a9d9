//! What the machine says of itself, by `/proc`.

use std::path::Path;

use super::samples::{Base, Samples};

/// A tick of the kernel's clock, in seconds.
const TICK: f64 = 0.01;

/// Modes of the processors in `/proc/stat`, in its order.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// Texts of `/proc`. What cannot be read is empty, and told nothing of.
#[derive(Debug, Default)]
pub(super) struct Proc {
    pub(super) stat: String,
    pub(super) meminfo: String,
    pub(super) loadavg: String,
    pub(super) net: String,
    pub(super) own: String,
}

impl Proc {
    /// Reads them; they are small, and never wait for a disk.
    pub(super) fn read() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            stat: read("/proc/stat"),
            meminfo: read("/proc/meminfo"),
            loadavg: read("/proc/loadavg"),
            net: read("/proc/net/dev"),
            own: read("/proc/self/status"),
        }
    }
}

pub(super) fn machine(proc: &Proc, host: &str, out: &mut Samples) {
    let of = Base::new([("host", &host)]);
    let cpu = proc.stat.lines().find_map(|line| line.strip_prefix("cpu "));
    for (mode, ticks) in MODES.into_iter().zip(cpu.into_iter().flat_map(numbers)) {
        out.add(&of.with([("mode", &mode)]), "daybook_host_cpu_seconds_total", ticks * TICK);
    }
    let cores = proc.stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    out.add(&of, "daybook_host_cpus", cores as f64);
    for (name, metric) in [
        ("MemTotal:", "daybook_host_memory_total_bytes"),
        ("MemAvailable:", "daybook_host_memory_available_bytes"),
        ("SwapTotal:", "daybook_host_swap_total_bytes"),
        ("SwapFree:", "daybook_host_swap_free_bytes"),
    ] {
        if let Some(bytes) = kilobytes(&proc.meminfo, name) {
            out.add(&of, metric, bytes);
        }
    }
    for (metric, load) in
        ["daybook_host_load1", "daybook_host_load5", "daybook_host_load15"].into_iter().zip(numbers(&proc.loadavg))
    {
        out.add(&of, metric, load);
    }
    for line in proc.net.lines().skip(2) {
        let Some((device, counts)) = line.trim().split_once(':') else { continue };
        if is_virtual(device) {
            continue;
        }
        let counts: Vec<_> = numbers(counts).collect();
        let of = of.with([("device", &device)]);
        for (metric, at) in
            [("daybook_host_network_receive_bytes_total", 0), ("daybook_host_network_transmit_bytes_total", 8)]
        {
            if let Some(bytes) = counts.get(at) {
                out.add(&of, metric, *bytes);
            }
        }
    }
    if let Some(bytes) = kilobytes(&proc.own, "VmRSS:") {
        out.add(&of, "daybook_server_memory_bytes", bytes);
    }
}

/// The file system of a directory.
pub(super) fn file_system(directory: &Path, host: &str, out: &mut Samples) {
    let Ok(stat) = rustix::fs::statvfs(directory) else { return };
    let of = Base::new([("host", &host), ("mountpoint", &directory.display())]);
    out.add(&of, "daybook_host_filesystem_size_bytes", (stat.f_blocks * stat.f_frsize) as f64);
    out.add(&of, "daybook_host_filesystem_avail_bytes", (stat.f_bavail * stat.f_frsize) as f64);
    out.add(&of, "daybook_host_filesystem_files", stat.f_files as f64);
    out.add(&of, "daybook_host_filesystem_files_free", stat.f_favail as f64);
}

/// Devices that come and go with replicas, and the loop.
fn is_virtual(device: &str) -> bool {
    device == "lo" || ["veth", "br-", "docker", "cni", "virbr"].iter().any(|begin| device.starts_with(begin))
}

fn numbers(text: &str) -> impl Iterator<Item = f64> + '_ {
    text.split_whitespace().map_while(|word| word.parse().ok())
}

/// The bytes of a line `name  number kB`.
fn kilobytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    numbers(line).next().map(|number| number * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_from_its_own_texts() {
        let proc = Proc {
            stat: "cpu  100 0 50 800 10 0 0 1 0 0\ncpu0 50 0 25 400\ncpu1 50 0 25 400\nintr 5\n".to_owned(),
            meminfo: "MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n".to_owned(),
            loadavg: "0.50 0.25 0.10 1/100 4242\n".to_owned(),
            net: "Inter-|\n face |\n    lo: 5 0 0 0 0 0 0 0 5 0\n  eth0: 700 1 0 0 0 0 0 0 900 2\nveth1: 1 1 0 0 0 0 0 0 9 2\n".to_owned(),
            own: "Name: daybook\nVmRSS:\t   300 kB\n".to_owned(),
        };
        let mut out = Samples::default();
        machine(&proc, "one", &mut out);
        let text = out.text();
        for line in [
            r#"daybook_host_cpu_seconds_total{host="one",job="daybook",mode="system"} 0.5"#,
            r#"daybook_host_cpus{host="one",job="daybook"} 2"#,
            r#"daybook_host_memory_available_bytes{host="one",job="daybook"} 1048576"#,
            r#"daybook_host_load5{host="one",job="daybook"} 0.25"#,
            r#"daybook_host_network_transmit_bytes_total{device="eth0",host="one",job="daybook"} 900"#,
            r#"daybook_server_memory_bytes{host="one",job="daybook"} 307200"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\nis not in\n{text}");
        }
        assert!(!text.contains("veth1") && !text.contains(r#""lo""#));
        out.all_are_listed();
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let mut out = Samples::default();
        machine(&Proc::default(), "one", &mut out);
        assert_eq!(out.text(), "daybook_host_cpus{host=\"one\",job=\"daybook\"} 0\n");
        machine(&Proc::read(), "one", &mut out);
        file_system(Path::new("/"), "one", &mut out);
        out.all_are_listed();
    }
}
