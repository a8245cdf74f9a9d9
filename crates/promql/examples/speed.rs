//! Says how long a range query takes for each sample it reads: 1,000 series of one sample every 15 seconds, 240 steps.

#![expect(clippy::print_stdout, reason = "it is a program that prints")]

use std::convert::Infallible;
use std::time::Instant;

use daybook_metrics::{Labels, Matcher, NAME, Sample, Series, Source};
use daybook_promql::{Options, Query};

struct Counters(Vec<Series>);

impl Source for Counters {
    type Error = Infallible;

    fn select(&self, _: &[Matcher], from: i64, to: i64) -> Result<Vec<Series>, Infallible> {
        let within = |series: &Series| Series {
            samples: series.samples.iter().filter(|sample| (from..=to).contains(&sample.at)).copied().collect(),
            ..series.clone()
        };
        Ok(self.0.iter().map(within).collect())
    }
}

fn main() {
    let series = |n: usize| Series {
        labels: Labels::new([
            (NAME, "requests_total".to_owned()),
            ("pod", n.to_string()),
            ("job", (n % 20).to_string()),
        ]),
        samples: (0..1_200).map(|at| Sample { at: at * 15_000, value: (at * 7) as f64 }).collect(),
        ..Series::default()
    };
    let source = Counters((0..1_000).map(series).collect());
    let samples = 1_000 * 1_000;
    for text in [
        "requests_total",
        "rate(requests_total[5m])",
        "sum by (job) (rate(requests_total[5m]))",
        "sum by (job) (rate(requests_total[5m])) / on(job) group_left sum by (job) (requests_total)",
        "quantile_over_time(0.9, requests_total[5m])",
        "topk(5, requests_total)",
    ] {
        let query = Query::parse(text).expect("it is a query");
        let start = Instant::now();
        let output = query.range(&source, 3_600_000, 18_000_000, 60_000, &Options::default());
        let took = start.elapsed();
        output.expect("it has an answer");
        println!("{:>6.1} ns a sample, {took:>8.1?}: {text}", took.as_nanos() as f64 / f64::from(samples));
    }
}
