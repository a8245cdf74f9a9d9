//! Objectives compiled to rules: burn rates over several windows, after Google's *Site Reliability Workbook*, chapter 5.
//!
//! An objective leaves a budget of requests that may fail. An alert fires when the budget is spent so many times as fast as it
//! would last, over a long window, and over one a twelfth as long, so that it ends soon after the trouble does. Below a number
//! of failures nothing is said, since a share of few requests means nothing; failures that go on are told of all the same.

use daybook_metrics::exposition::format_bound;

use crate::builtin::{Severity, expression, place, template};
use crate::duration;
use crate::rule::{Alerting, Group, Recording, Rule};

/// How many failures in its long window an alert needs.
const LEAST_FAILURES: u32 = 10;

/// Windows over which shares of failures are recorded.
const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

/// A long and a short window, and how many times as fast as it would last the budget of thirty days is spent.
struct Burn {
    long: &'static str,
    short: &'static str,
    factor: f64,
}

/// What pages: 2 % of the budget in an hour, 5 % in six.
const FAST: [Burn; 2] =
    [Burn { long: "1h", short: "5m", factor: 14.4 }, Burn { long: "6h", short: "30m", factor: 6.0 }];
/// What makes a ticket: 10 % of the budget in a day, or in three.
const SLOW: [Burn; 2] = [Burn { long: "1d", short: "2h", factor: 3.0 }, Burn { long: "3d", short: "6h", factor: 1.0 }];

/// What a service promises.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// The app.
    pub app: String,
    /// The environment.
    pub env: String,
    /// The service.
    pub service: String,
    /// The share of requests that do not fail, below one: `0.999`.
    pub availability: Option<f64>,
    /// How long requests take.
    pub latency: Vec<Latency>,
}

/// A share of requests that take no longer than a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// The share: `0.95`.
    pub quantile: f64,
    /// The time in seconds.
    pub seconds: f64,
}

impl Latency {
    /// Of how a manifest has it: `p95` and `300ms`.
    pub fn parse(quantile: &str, time: &str) -> Option<Self> {
        let digits =
            quantile.strip_prefix('p').filter(|digits| digits.chars().all(|c| c.is_ascii_digit() || c == '.'))?;
        let percent = digits.parse::<f64>().ok().filter(|percent| *percent > 0.0 && *percent < 100.0)?;
        let quantile = rounded(percent / 100.0);
        let seconds = duration::parse(time).filter(|time| *time > 0)? as f64 / 1e3;
        Some(Self { quantile, seconds })
    }
}

/// A share below one of how a manifest has it: `99.9%`.
pub fn parse_share(text: &str) -> Option<f64> {
    let percent: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
    (percent > 0.0 && percent < 100.0).then_some(rounded(percent / 100.0))
}

/// The rules of an objective, and what has to be said about them. `bounds` are those of the histogram of latencies.
pub fn compile(objective: &Objective, bounds: &[f64]) -> (Group, Vec<String>) {
    let mut compiler = Compiler { objective, rules: Vec::new(), notes: Vec::new() };
    if let Some(share) = objective.availability {
        compiler.availability(share);
    }
    for latency in &objective.latency {
        compiler.latency(*latency, bounds);
    }
    let group = Group {
        name: format!("slo-{}-{}-{}", objective.app, objective.env, objective.service),
        file: "slo".into(),
        interval: None,
        query_offset: 0,
        limit: 0,
        rules: compiler.rules,
    };
    (group, compiler.notes)
}

/// An alert that fires as long as no series has these labels. The selector is one of a query: `up{job="web"}`. None if it
/// cannot be read.
pub fn absence(name: &str, selector: &str, hold: i64, severity: Severity) -> Option<Rule> {
    let text = format!("absent({selector})");
    daybook_promql::Query::parse(&text).ok()?;
    let summary = "Nothing is heard of what should always be there";
    Some(alert(name, &text, (hold, 0), severity, &[], (summary, "absent"), "No series has these labels any longer."))
}

/// The alert that always fires: who no longer hears of it knows that alerts do not arrive.
pub fn watchdog() -> Rule {
    let description = "It always fires. When it stops, alerts are not evaluated or do not arrive.";
    alert(
        "Watchdog",
        "vector(1)",
        (0, 0),
        Severity::None,
        &[],
        ("Alerts are evaluated and arrive", "watchdog"),
        description,
    )
}

struct Compiler<'a> {
    objective: &'a Objective,
    rules: Vec<Rule>,
    notes: Vec<String>,
}

/// What is measured: its name, and queries for the rate of failures and of requests over a window.
struct Indicator<'a> {
    name: &'a str,
    budget: f64,
    failures: &'a dyn Fn(&str) -> String,
    requests: &'a dyn Fn(&str) -> String,
    promise: String,
}

const BY: &str = "sum by (app, env, service)";

impl Compiler<'_> {
    fn selector(&self, more: &str) -> String {
        let Objective { app, env, service, .. } = self.objective;
        format!("{{app={app:?}, env={env:?}, service={service:?}{more}}}")
    }

    fn availability(&mut self, share: f64) {
        let (all, bad) = (self.selector(""), self.selector(r#", code=~"5..""#));
        let rate =
            |selector: &str, window: &str| format!("{BY} (rate(daybook_http_requests_total{selector}[{window}]))");
        self.indicator(&Indicator {
            name: "availability",
            budget: 1.0 - share,
            // Where nothing ever failed there is no series of failures.
            failures: &|window| format!("({} or 0 * {})", rate(&bad, window), rate(&all, window)),
            requests: &|window| rate(&all, window),
            promise: format!("{} of requests do not fail", percent(share)),
        });
    }

    fn latency(&mut self, latency: Latency, bounds: &[f64]) {
        let name = format!("latency-p{}", rounded(latency.quantile * 100.0));
        let below = bounds.iter().copied().filter(|bound| *bound <= latency.seconds && bound.is_finite());
        let bound = below.fold(f64::NEG_INFINITY, f64::max);
        if !bound.is_finite() {
            let note = format!("{name}: no bucket ends at {} s or before, so it cannot be measured", latency.seconds);
            self.notes.push(note);
            return;
        }
        if bound != latency.seconds {
            let note = format!("{name}: requests are counted as slow from {bound} s on, the next bound of a bucket");
            self.notes.push(note);
        }
        let all = self.selector("");
        let fast = self.selector(&format!(", le={:?}", format_bound(bound)));
        let rate = |part: &str, selector: &str, window: &str| {
            format!("{BY} (rate(daybook_http_request_duration_seconds_{part}{selector}[{window}]))")
        };
        self.indicator(&Indicator {
            name: &name,
            budget: 1.0 - latency.quantile,
            failures: &|window| format!("({} - {})", rate("count", &all, window), rate("bucket", &fast, window)),
            requests: &|window| rate("count", &all, window),
            promise: format!("{} of requests take at most {} s", percent(latency.quantile), latency.seconds),
        });
    }

    fn indicator(&mut self, indicator: &Indicator<'_>) {
        for window in WINDOWS {
            let query = format!("{} / {}", (indicator.failures)(window), (indicator.requests)(window));
            self.record(&ratio(window), &query, indicator.name);
            let seconds = duration::parse(window).unwrap_or_default() / 1_000;
            self.record(&failures(window), &format!("{} * {seconds}", (indicator.failures)(window)), indicator.name);
        }
        let fast = self.burns(&FAST, indicator);
        let slow = self.burns(&SLOW, indicator);
        let slo = [("slo", indicator.name)];
        let name = &self.objective.service;
        let text = format!("{name} promises that {}.", indicator.promise);
        let share = "{{ $value | humanizePercentage }} of requests";
        if let Some(query) = fast {
            let summary = format!("{name} in {} misses {} fast: {share}", self.objective.env, indicator.name);
            let text = format!("{text} The budget of thirty days would be spent within days.");
            let times = (120_000, 300_000);
            self.rules.push(alert("SloBurnsFast", &query, times, Severity::Page, &slo, (&summary, "slo-burn"), &text));
        }
        if let Some(query) = slow {
            let summary = format!("{name} in {} misses {}: {share}", self.objective.env, indicator.name);
            let text = format!("{text} The budget of thirty days would not last.");
            let times = (900_000, 1_800_000);
            self.rules.push(alert(
                "SloBurnsSlowly",
                &query,
                times,
                Severity::Ticket,
                &slo,
                (&summary, "slo-burn"),
                &text,
            ));
        }
        let at = format!("{{{}}}", self.labels(indicator.name));
        let query = format!(
            "{ratio1}{at} >= 0.5 and {ratio2}{at} >= 0.5 and {count}{at} >= 3",
            ratio1 = ratio("1h"),
            ratio2 = ratio("30m"),
            count = failures("1h"),
        );
        let summary = format!("{name} in {} fails most of its few requests: {share}", self.objective.env);
        let text =
            format!("{text} There are too few requests for a burn rate, and most of them have failed for a while.");
        let times = (900_000, 300_000);
        self.rules.push(alert("SloFailsSteadily", &query, times, Severity::Page, &slo, (&summary, "slo-burn"), &text));
    }

    fn labels(&self, indicator: &str) -> String {
        let Objective { app, env, service, .. } = self.objective;
        format!("app={app:?}, env={env:?}, service={service:?}, slo={indicator:?}")
    }

    fn record(&mut self, name: &str, query: &str, indicator: &str) {
        self.rules.push(Rule::Record(Recording {
            name: name.to_owned(),
            query: expression(query),
            labels: vec![("slo".to_owned(), indicator.to_owned())],
            place: place(),
        }));
    }

    /// A query that is true when the budget burns as fast as any of these; none if none of them can ever be.
    fn burns(&mut self, burns: &[Burn], indicator: &Indicator<'_>) -> Option<String> {
        let at = format!("{{{}}}", self.labels(indicator.name));
        let mut parts = Vec::new();
        for Burn { long, short, factor } in burns {
            let limit = rounded(factor * indicator.budget);
            if factor * indicator.budget >= 1.0 {
                let note =
                    format!("{}: even if all requests failed, {factor} times the budget is not spent", indicator.name);
                self.notes.push(note);
                continue;
            }
            parts.push(format!(
                "({}{at} > {limit} and {}{at} > {limit} and {}{at} >= {LEAST_FAILURES})",
                ratio(long),
                ratio(short),
                failures(long),
            ));
        }
        (!parts.is_empty()).then(|| parts.join(" or "))
    }
}

fn ratio(window: &str) -> String {
    format!("app_env_service:daybook_slo_failures:ratio_rate{window}")
}

fn failures(window: &str) -> String {
    format!("app_env_service:daybook_slo_failures:increase{window}")
}

fn alert(
    name: &str,
    query: &str,
    (hold, keep): (i64, i64),
    severity: Severity,
    labels: &[(&str, &str)],
    (summary, runbook): (&str, &str),
    description: &str,
) -> Rule {
    let labels = labels.iter().copied().chain([("severity", severity.word())]);
    let mut labels: Vec<_> = labels.map(|(name, value)| (name.to_owned(), template(value))).collect();
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    let annotations = [("description", description), ("runbook", runbook), ("summary", summary)];
    Rule::Alert(Alerting {
        name: name.to_owned(),
        query: expression(query),
        hold,
        keep,
        labels,
        annotations: annotations.into_iter().map(|(name, text)| (name.to_owned(), template(text))).collect(),
        place: place(),
    })
}

/// Without the last digits, which come of computing with binary fractions.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

fn percent(share: f64) -> String {
    format!("{}%", rounded(share * 100.0))
}

#[cfg(test)]
mod tests {
    use daybook_metrics::Labels;
    use daybook_promql::testfile::{self, Storage};

    use super::*;
    use crate::group::Environment;
    use crate::replay::Range;

    fn objective() -> Objective {
        Objective {
            app: "shop".to_owned(),
            env: "production".to_owned(),
            service: "web".to_owned(),
            availability: parse_share("99.9%"),
            latency: vec![Latency::parse("p95", "300ms").unwrap()],
        }
    }

    /// The alerts that fire within three hours of a minute each.
    fn fires(series: &[&str]) -> Vec<String> {
        let mut storage = Storage::default();
        for line in series {
            let (labels, items) = testfile::series(line).unwrap();
            let values = (0..).zip(items).filter_map(|(n, item): (i64, _)| Some((n * 60_000, item?)));
            storage.append(labels, values);
        }
        let (group, notes) = compile(&objective(), &[0.1, 0.3, 1.0]);
        assert!(notes.is_empty(), "{notes:?}");
        let range = Range { from: 0, to: 180 * 60_000, step: 60_000 };
        let external = Labels::default();
        let replayed = group.replay(&storage, range, &Environment::new(&external, ""));
        let loud = replayed.into_iter().filter(|replayed| replayed.notified() > 0);
        loud.map(|replayed| format!("{} {}", replayed.alert, replayed.episodes[0].labels.get("slo"))).collect()
    }

    #[test]
    fn a_budget_that_burns_is_told_by_how_fast() {
        let requests = |good: &str, bad: &str| {
            [("200", good), ("500", bad)].map(|(code, values)| {
                format!(r#"daybook_http_requests_total{{app="shop", env="production", service="web", code="{code}"}} {values}"#)
            })
        };
        let told = |good: &str, bad: &str| {
            let series = requests(good, bad);
            fires(&series.each_ref().map(String::as_str))
        };
        // 5 % of requests: fifty times the budget.
        assert_eq!(told("0+950x180", "0+50x180"), ["SloBurnsFast availability", "SloBurnsSlowly availability"]);
        // 0.5 %: five times.
        assert_eq!(told("0+995x180", "0+5x180"), ["SloBurnsSlowly availability"]);
        // 0.05 %: half of it.
        assert!(told("0+1999x180", "0+1x180").is_empty());
        // Two failures of four requests an hour are no burn rate.
        assert!(told("0x30 1x60 2x90", "0x40 1x100 2x40").is_empty());
        // Everything fails, at four requests an hour and then at one in five minutes.
        let few = "0x9 1x4 2x4 3x4 4x4 5x4 6x4 7x4 8x4";
        assert_eq!(told("0x180", few), ["SloFailsSteadily availability"]);
    }

    #[test]
    fn slow_requests_are_failures_too() {
        let bucket = |le: &str, values: &str| {
            format!(
                r#"daybook_http_request_duration_seconds_bucket{{app="shop", env="production", service="web", le="{le}"}} {values}"#
            )
        };
        let count =
            r#"daybook_http_request_duration_seconds_count{app="shop", env="production", service="web"} 0+100x180"#;
        let slow = [bucket("0.3", "0+20x180"), bucket("+Inf", "0+100x180"), count.to_owned()];
        assert!(fires(&slow.each_ref().map(String::as_str)).contains(&"SloBurnsFast latency-p95".to_owned()));
        let fast = [bucket("0.3", "0+96x180"), bucket("+Inf", "0+100x180"), count.to_owned()];
        assert!(fires(&fast.each_ref().map(String::as_str)).is_empty());
    }

    #[test]
    fn what_cannot_be_measured_is_said() {
        let (group, notes) = compile(&Objective { availability: None, ..objective() }, &[0.5]);
        assert!(group.rules.is_empty() && notes[0].contains("cannot be measured"), "{notes:?}");
        let (_, notes) = compile(&objective(), &[0.25, 1.0]);
        assert!(notes[0].contains("from 0.25 s on"), "{notes:?}");
        let median =
            Objective { latency: vec![Latency { quantile: 0.5, seconds: 1.0 }], availability: None, ..objective() };
        let (_, notes) = compile(&median, &[1.0]);
        assert_eq!(notes.len(), 3, "{notes:?}");
    }

    #[test]
    fn shares_and_times_are_those_of_a_manifest() {
        assert_eq!(parse_share("99.9%"), Some(0.999));
        assert_eq!(Latency::parse("p99.5", "1s"), Some(Latency { quantile: 0.995, seconds: 1.0 }));
        assert!(["100%", "0%", "99", "x%"].into_iter().all(|text| parse_share(text).is_none()));
        assert!(Latency::parse("95", "1s").is_none() && Latency::parse("p95", "fast").is_none());
    }

    #[test]
    fn the_rules_are_a_file_that_is_read_back() {
        let (group, _) = compile(&objective(), &[0.3]);
        let always = Group { name: "always".to_owned(), rules: vec![watchdog()], ..group.clone() };
        let text = crate::file::write(&[group, always]);
        assert_eq!(crate::file::write(&crate::file::read("slo.yml", &text).unwrap()), text);
        assert!(
            absence("Gone", "up{job=\"x\"}", 0, Severity::Ticket).is_some()
                && absence("Gone", "up{", 0, Severity::Page).is_none()
        );
    }
}
