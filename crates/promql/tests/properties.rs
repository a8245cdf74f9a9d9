//! What holds for every series: a range is an instant query at each step, and ways to say the same agree.

use std::convert::Infallible;

use daybook_metrics::{Labels, Matcher, NAME, STALE, Sample, Series, Source};
use daybook_promql::{Answer, Element, Error, Options, Query, Value};
use proptest::prelude::*;

#[derive(Debug)]
struct Fixed(Vec<Series>);

impl Source for Fixed {
    type Error = Infallible;

    fn select(&self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Series>, Infallible> {
        let chosen = self.0.iter().filter(|series| matchers.iter().all(|matcher| matcher.chooses(&series.labels)));
        let within = |series: &Series| Series {
            samples: series.samples.iter().filter(|sample| (from..=to).contains(&sample.at)).copied().collect(),
            ..series.clone()
        };
        Ok(chosen.map(within).filter(|series| !series.samples.is_empty()).collect())
    }
}

/// Up to five series of one metric, with gaps, ends and values of all kinds.
fn source() -> impl Strategy<Value = Fixed> {
    let value = prop_oneof![
        8 => (-100..100_i32).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(STALE),
    ];
    let samples = prop::collection::vec((1_000..90_000_i64, value), 0..40);
    prop::collection::vec(samples, 0..5).prop_map(|all| {
        let series = all.into_iter().enumerate().map(|(n, samples)| {
            let labels = Labels::new([(NAME, "m".to_owned()), ("n", n.to_string()), ("odd", (n % 2).to_string())]);
            let mut at = 0;
            let samples = samples.into_iter().map(|(gap, value)| {
                at += gap;
                Sample { at, value }
            });
            Series { labels, samples: samples.collect(), ..Series::default() }
        });
        Fixed(series.collect())
    })
}

/// Texts that are nearly queries with durations and numbers of all kinds.
fn broken() -> impl Strategy<Value = String> {
    let parts = [
        "m",
        "[",
        "]",
        ":",
        " offset ",
        "-",
        "+",
        " ",
        "1e40",
        "inf",
        "NaN",
        "5m",
        "0x7fffffffffffffff",
        "99999999999y",
        ".5",
        "1e",
        "@",
        "#\n",
        "(",
        ")",
        "rate(",
        "'",
        "{a=\"[\"}",
        "ms",
        "077",
        "1.5e+300",
        "d",
        "_offset",
        "by (offset)",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..12).prop_map(|parts| parts.concat())
}

thread_local! {
    static PANICS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Whether a text is parsed without a panic, also one that is caught.
fn parse_without_a_net(text: &str) -> bool {
    static COUNT: std::sync::Once = std::sync::Once::new();
    COUNT.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            usual(info);
        }));
    });
    let before = PANICS.get();
    _ = Query::parse(text);
    PANICS.get() == before
}

const QUERIES: [&str; 16] = [
    "m",
    "m offset 1m",
    "rate(m[3m])",
    "increase(m[2m])",
    "delta(m[4m])",
    "irate(m[5m])",
    "avg_over_time(m[3m])",
    "quantile_over_time(0.3, m[5m])",
    "sum by (odd) (m)",
    "topk(2, m)",
    "m + on(n) m offset 30s",
    "m > 10 or m < -10",
    "max_over_time(sum(m)[3m:20s])",
    "absent(m)",
    "count_values(\"v\", m)",
    "predict_linear(m[5m], 60)",
];

fn vector(answer: Answer) -> Vec<(String, u64)> {
    let Answer::Vector(elements) = answer else { panic!("{answer:?}") };
    let bits = |element: Element| match element.value {
        Value::Float(value) if value.is_nan() => (element.labels.to_string(), f64::NAN.to_bits()),
        Value::Float(value) => (element.labels.to_string(), value.to_bits()),
        Value::Histogram(histogram) => panic!("{histogram}"),
    };
    let mut all: Vec<_> = elements.into_iter().map(bits).collect();
    all.sort();
    all
}

fn instant(source: &Fixed, text: &str, at: i64) -> Vec<(String, u64)> {
    let query = Query::parse(text).expect("it is a query");
    vector(query.instant(source, at, &Options::default()).expect("it has an answer").answer)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_range_is_an_instant_query_at_each_step(source in source(), query in 0..QUERIES.len(), step in 1_000..400_000_i64) {
        let text = QUERIES[query];
        let (from, steps) = (-60_000, 12);
        let output = Query::parse(text).unwrap();
        let output = output.range(&source, from, from + step * steps, step, &Options::default()).unwrap();
        let Answer::Matrix(rows) = output.answer else { panic!() };
        for at in (0..=steps).map(|n| from + n * step) {
            let value = |row: &daybook_promql::Row| Some(Element {
                labels: row.labels.clone(),
                value: row.points.iter().find(|point| point.at == at)?.value.clone(),
            });
            let of_step = vector(Answer::Vector(rows.iter().filter_map(value).collect()));
            prop_assert_eq!(of_step, instant(&source, text, at), "{} at {}", text, at);
        }
    }

    #[test]
    fn aggregating_by_all_labels_changes_nothing(source in source(), at in 0..2_000_000_i64) {
        let plain = instant(&source, "m + 0", at);
        for op in ["sum", "avg", "min", "max", "quantile"] {
            let param = if op == "quantile" { "0.5, " } else { "" };
            prop_assert_eq!(&instant(&source, &format!("{op} by (n, odd) ({param}m)"), at), &plain);
            prop_assert_eq!(&instant(&source, &format!("{op} without () ({param}m)"), at), &plain);
        }
    }

    #[test]
    fn a_vector_is_what_is_in_another_and_what_is_not(source in source(), at in 0..2_000_000_i64, bound in -100..100_i32) {
        let both = format!("(m and m > {bound}) or (m unless m > {bound})");
        prop_assert_eq!(instant(&source, &both, at), instant(&source, "m", at));
        prop_assert_eq!(instant(&source, "limit_ratio(0.25, m) or limit_ratio(-0.75, m)", at), instant(&source, "m", at));
    }

    #[test]
    fn a_window_that_is_pinned_is_the_same_at_every_step(source in source(), at in 0..2_000_000_i64) {
        let pinned = format!("rate(m[5m] @ {})", at as f64 / 1e3);
        let there = instant(&source, "rate(m[5m])", at);
        prop_assert_eq!(&instant(&source, &pinned, at), &there);
        prop_assert_eq!(&instant(&source, &pinned, 0), &there);
    }

    #[test]
    fn no_text_breaks_the_parser(text in broken()) {
        prop_assert!(parse_without_a_net(&text), "{text}");
    }

    #[test]
    fn no_text_panics(text in "[a-z0-9(){}\\[\\]\"'=~!<>+*/^%@:., -]{0,40}") {
        if let Ok(query) = Query::parse(&text) {
            let _ = query.instant(&Fixed(Vec::new()), 0, &Options::default());
        }
    }
}

#[test]
fn a_query_that_would_take_too_much_is_refused() {
    let samples = (0..1_000).map(|n| Sample { at: n * 1_000, value: 1.0 }).collect();
    let source = Fixed(vec![Series { labels: Labels::new([(NAME, "m")]), samples, ..Series::default() }]);
    let few = Options { max_samples: 500, max_steps: 100, ..Options::default() };
    let ask = |text: &str, options: &Options<'_>| Query::parse(text).unwrap().instant(&source, 1_000_000, options);
    assert!(matches!(ask("sum_over_time(m[1h])", &few), Err(Error::TooManySamples(500))));
    assert!(matches!(ask("sum_over_time(m[1h:1s])", &few), Err(Error::TooManySteps { most: 100, .. })));
    assert!(ask("sum_over_time(m[1m])", &few).is_ok());
    let stopped = Options { cancelled: &|| true, ..Options::default() };
    assert!(matches!(ask("m", &stopped), Err(Error::Cancelled)));
    let range = Query::parse("m").unwrap().range(&source, 0, 1_000_000, 1, &few);
    assert!(matches!(range, Err(Error::TooManySteps { .. })));
    assert!(matches!(Query::parse("m").unwrap().range(&source, 0, 1, 0, &few), Err(Error::Evaluate(_))));
}

#[test]
fn a_query_that_would_break_the_parser_is_refused() {
    for text in ["m[1e40]", "m[-1e3]", "m offset 1e30", "m[NaN]"] {
        assert!(matches!(Query::parse(text), Err(Error::Parse(_))), "{text}");
        assert!(parse_without_a_net(text), "{text}");
    }
    let nested = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(matches!(Query::parse(&nested), Err(Error::Parse(_))));
    let chain = format!("1{}", "+1".repeat(4_000));
    assert!(matches!(Query::parse(&chain), Err(Error::Parse(_))));
    assert!(matches!(Query::parse(&"m".repeat(2 << 20)), Err(Error::Parse(_))));
}
