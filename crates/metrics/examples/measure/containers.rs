//! What containers tell, made up from random numbers: the same each time.

use daybook_metrics::store::DAY;
use daybook_metrics::{Labels, NAME};

/// They tell it every 15 seconds.
pub(crate) const STEP: i64 = 15_000;
/// Midnight of some day.
pub(crate) const START: i64 = 1_700_006_400_000;

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From zero to one.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Around zero, most of it within one.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }
}

/// How a value goes on.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// It stays.
    Constant(f64),
    /// It stays, but for one time in so many.
    Seldom(u64),
    /// Seconds of a processor in nanoseconds, by the load.
    Seconds(f64),
    /// Seconds of a processor in hundredths, by the load.
    Hundredths(f64),
    /// Events, by the load.
    Events(f64),
    /// Bytes that grow by the load, in units.
    Bytes(f64, f64),
    /// Bytes of memory in pages, which wander.
    Pages(f64),
    /// A small number that wanders.
    Few(f64),
    /// A share in hundredths of a percent.
    Percent,
    /// A duration in nanoseconds, each on its own.
    Duration(f64),
    /// The sum of durations, added one by one.
    Sum(f64),
    /// The time.
    Now,
}

use Shape::{Bytes, Constant, Duration, Events, Few, Hundredths, Now, Pages, Percent, Seconds, Seldom, Sum};

/// What a container tells, after cAdvisor and a program of its own.
pub(crate) const SERIES: [(&str, &str, &str, Shape); 60] = [
    ("container_cpu_usage_seconds_total", "cpu", "total", Seconds(1.0)),
    ("container_cpu_user_seconds_total", "", "", Hundredths(0.7)),
    ("container_cpu_system_seconds_total", "", "", Hundredths(0.3)),
    ("container_cpu_cfs_periods_total", "", "", Events(150.0)),
    ("container_cpu_cfs_throttled_periods_total", "", "", Seldom(40)),
    ("container_cpu_cfs_throttled_seconds_total", "", "", Seldom(40)),
    ("container_cpu_load_average_10s", "", "", Constant(0.0)),
    ("container_spec_cpu_period", "", "", Constant(100_000.0)),
    ("container_spec_cpu_quota", "", "", Constant(50_000.0)),
    ("container_spec_cpu_shares", "", "", Constant(512.0)),
    ("container_memory_usage_bytes", "", "", Pages(80e6)),
    ("container_memory_working_set_bytes", "", "", Pages(60e6)),
    ("container_memory_rss", "", "", Pages(50e6)),
    ("container_memory_cache", "", "", Pages(20e6)),
    ("container_memory_mapped_file", "", "", Seldom(20)),
    ("container_memory_swap", "", "", Constant(0.0)),
    ("container_memory_kernel_usage", "", "", Pages(3e6)),
    ("container_memory_max_usage_bytes", "", "", Seldom(100)),
    ("container_memory_failcnt", "", "", Constant(0.0)),
    ("container_memory_failures_total", "failure_type", "pgfault", Events(400.0)),
    ("container_memory_failures_total", "failure_type", "pgmajfault", Seldom(200)),
    ("container_spec_memory_limit_bytes", "", "", Constant(268_435_456.0)),
    ("container_spec_memory_reservation_limit_bytes", "", "", Constant(0.0)),
    ("container_spec_memory_swap_limit_bytes", "", "", Constant(0.0)),
    ("container_network_receive_bytes_total", "interface", "eth0", Bytes(40_000.0, 1.0)),
    ("container_network_transmit_bytes_total", "interface", "eth0", Bytes(90_000.0, 1.0)),
    ("container_network_receive_packets_total", "interface", "eth0", Events(120.0)),
    ("container_network_transmit_packets_total", "interface", "eth0", Events(140.0)),
    ("container_network_receive_errors_total", "interface", "eth0", Constant(0.0)),
    ("container_network_transmit_errors_total", "interface", "eth0", Constant(0.0)),
    ("container_network_receive_packets_dropped_total", "interface", "eth0", Constant(0.0)),
    ("container_network_transmit_packets_dropped_total", "interface", "eth0", Constant(0.0)),
    ("container_fs_reads_bytes_total", "device", "/dev/vda", Seldom(10)),
    ("container_fs_writes_bytes_total", "device", "/dev/vda", Bytes(60_000.0, 4096.0)),
    ("container_fs_reads_total", "device", "/dev/vda", Seldom(10)),
    ("container_fs_writes_total", "device", "/dev/vda", Events(12.0)),
    ("container_fs_usage_bytes", "device", "/dev/vda", Seldom(6)),
    ("container_fs_limit_bytes", "device", "/dev/vda", Constant(21_003_583_488.0)),
    ("container_fs_inodes_total", "device", "/dev/vda", Constant(1_310_720.0)),
    ("container_fs_inodes_free", "device", "/dev/vda", Seldom(30)),
    ("container_processes", "", "", Constant(3.0)),
    ("container_threads", "", "", Few(18.0)),
    ("container_file_descriptors", "", "", Few(40.0)),
    ("container_sockets", "", "", Few(12.0)),
    ("container_start_time_seconds", "", "", Constant(1_699_990_000.0)),
    ("container_last_seen", "", "", Now),
    ("container_restarts_total", "", "", Constant(1.0)),
    ("container_cpu_percent", "", "", Percent),
    ("http_requests_total", "code", "200", Events(300.0)),
    ("http_requests_total", "code", "404", Events(2.0)),
    ("http_requests_total", "code", "500", Seldom(60)),
    ("http_request_duration_seconds_bucket", "le", "0.005", Events(120.0)),
    ("http_request_duration_seconds_bucket", "le", "0.05", Events(250.0)),
    ("http_request_duration_seconds_bucket", "le", "0.5", Events(290.0)),
    ("http_request_duration_seconds_bucket", "le", "+Inf", Events(300.0)),
    ("http_request_duration_seconds_count", "", "", Events(300.0)),
    ("http_request_duration_seconds_sum", "", "", Sum(0.02)),
    ("up", "", "", Constant(1.0)),
    ("scrape_duration_seconds", "", "", Duration(0.006)),
    ("scrape_samples_scraped", "", "", Constant(57.0)),
];

/// A container, and what it told last.
pub(crate) struct Container {
    /// Their labels, which stay.
    pub(crate) series: Vec<Labels>,
    /// By the same order.
    pub(crate) values: Vec<f64>,
    random: Random,
    load: f64,
}

impl Container {
    pub(crate) fn new(number: usize) -> Self {
        let labels = |(name, label, value, _): &(&str, &str, &str, Shape)| {
            let service = format!("service-{}", number / 2);
            let instance = format!("10.0.0.{number}:8080");
            let id = format!("/docker/{:064x}", Random(number as u64).next());
            Labels::new([
                (NAME, *name),
                ("job", "containers"),
                ("instance", &instance),
                ("environment", "production"),
                ("service", &service),
                ("id", &id),
                (label, value),
            ])
        };
        let mut random = Random(number as u64 + 1);
        let values = SERIES.map(|(.., shape)| match shape {
            Constant(value) => value,
            Pages(mean) => (mean / 4096.0).round() * 4096.0,
            Few(mean) => mean,
            Percent => 20.0,
            Seldom(_) => (random.share() * 4096.0).round() * 4096.0,
            _ => (random.share() * 1e6).round(),
        });
        let series: Vec<Labels> = SERIES.iter().map(labels).collect();
        Self { series, values: values.into(), random, load: 0.3 }
    }

    /// What it tells now, some milliseconds after it was asked.
    pub(crate) fn tell(&mut self, at: i64) -> i64 {
        let day = ((at - START) as f64 / DAY as f64 * std::f64::consts::TAU).sin();
        self.load = (self.load * 0.9 + 0.1 * (0.35 + 0.2 * day) + 0.02 * self.random.normal()).clamp(0.01, 2.0);
        for ((.., shape), value) in SERIES.iter().zip(&mut self.values) {
            let (random, load) = (&mut self.random, self.load);
            let noisy =
                |mean: f64, random: &mut Random| (mean * load + (mean * load).sqrt() * random.normal()).max(0.0);
            match *shape {
                Constant(_) => {}
                Seldom(times) => {
                    *value += if random.one_in(times) { (random.share() * 8.0).ceil() * 4096.0 } else { 0.0 }
                }
                Seconds(share) => {
                    *value = round(*value + load * share * 15.0 * (1.0 + 0.1 * random.normal()).max(0.0), 1e9);
                }
                Hundredths(share) => *value = round(*value + noisy(share * 15.0, random) * 0.9, 100.0),
                Events(mean) => *value += noisy(mean, random).round(),
                Bytes(mean, unit) => {
                    *value += (noisy(mean, random) / unit).round() * unit * (1.0 + 9.0 * f64::from(random.one_in(20)));
                }
                Pages(mean) => {
                    if random.one_in(3) {
                        let pull = (mean * (1.0 + 0.2 * load) - *value) * 0.02;
                        *value = ((*value + pull + mean * 0.002 * random.normal()) / 4096.0).round() * 4096.0;
                    }
                }
                Few(mean) => {
                    *value =
                        (*value + if random.one_in(5) { random.normal().round() } else { 0.0 }).clamp(1.0, mean * 2.0);
                }
                Percent => *value = round((load * 100.0 + random.normal()).max(0.0), 100.0),
                Duration(mean) => *value = round(mean * (1.0 + 0.3 * random.normal().abs()), 1e9),
                Sum(mean) => {
                    for _ in 0..noisy(300.0, random) as usize {
                        *value += round(mean * random.share(), 1e9);
                    }
                }
                Now => *value = (at / 1000) as f64,
            }
        }
        at + (self.random.share() * 5.0) as i64
    }
}

fn round(value: f64, units: f64) -> f64 {
    (value * units).round() / units
}
