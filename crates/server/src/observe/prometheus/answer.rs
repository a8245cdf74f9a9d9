//! Answers in the shapes of Prometheus.

use std::fmt::Write as _;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use daybook_metrics::{Bucket, Histogram, Labels};
use daybook_promql::{Answer, Output, Point, Value};
use serde_json::json;

use super::super::ask::NotAnswered;

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Refused {
    /// What was sent is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_data", message: message.into() }
    }
}

impl From<NotAnswered> for Refused {
    fn from(error: NotAnswered) -> Self {
        let (status, kind) = match &error {
            NotAnswered::Bad(_) => (StatusCode::BAD_REQUEST, "bad_data"),
            NotAnswered::Failed(_) => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            NotAnswered::TooLong(_) => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            NotAnswered::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self { status, kind, message: error.to_string() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({"status": "error", "errorType": self.kind, "error": self.message});
        (self.status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

pub(super) fn success(data: &serde_json::Value) -> Response {
    as_json(json!({"status": "success", "data": data}).to_string())
}

fn as_json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// What a query answers. It is written without a tree in between: an answer may have millions of values.
///
/// `at` is the time of what has one value.
pub(super) fn of_query(output: &Output, at: i64) -> Response {
    as_json(text(output, at))
}

fn text(output: &Output, at: i64) -> String {
    let mut out = String::from(r#"{"status":"success","data":"#);
    match &output.answer {
        Answer::Scalar(value) => {
            out.push_str(r#"{"resultType":"scalar","result":"#);
            point(&mut out, at, &Value::Float(*value));
        }
        Answer::Text(text) => {
            out.push_str(r#"{"resultType":"string","result":["#);
            time(&mut out, at);
            out.push(',');
            string(&mut out, text);
            out.push(']');
        }
        Answer::Vector(elements) => {
            out.push_str(r#"{"resultType":"vector","result":["#);
            each(&mut out, elements, |out, element| {
                metric(out, &element.labels);
                out.push_str(if element.value.float().is_some() { r#","value":"# } else { r#","histogram":"# });
                point(out, at, &element.value);
                out.push('}');
            });
            out.push(']');
        }
        Answer::Matrix(rows) => {
            out.push_str(r#"{"resultType":"matrix","result":["#);
            each(&mut out, rows, |out, row| {
                metric(out, &row.labels);
                points(out, &row.points);
                out.push('}');
            });
            out.push(']');
        }
    }
    out.push('}');
    for (name, notes) in [("warnings", &output.warnings), ("infos", &output.infos)] {
        if !notes.is_empty() {
            let _ = write!(out, r#","{name}":{}"#, json!(notes));
        }
    }
    out.push('}');
    out
}

fn each<T>(out: &mut String, all: &[T], mut one: impl FnMut(&mut String, &T)) {
    for (i, item) in all.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        one(out, item);
    }
}

fn metric(out: &mut String, labels: &Labels) {
    out.push_str(r#"{"metric":{"#);
    for (i, label) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        string(out, &label.name);
        out.push(':');
        string(out, &label.value);
    }
    out.push('}');
}

/// Numbers and histograms apart, as Prometheus has them.
fn points(out: &mut String, all: &[Point]) {
    let (floats, histograms): (Vec<&Point>, Vec<_>) = all.iter().partition(|point| point.value.float().is_some());
    if !floats.is_empty() {
        out.push_str(r#","values":["#);
        each(out, &floats, |out, of| point(out, of.at, &of.value));
        out.push(']');
    }
    if !histograms.is_empty() {
        out.push_str(r#","histograms":["#);
        each(out, &histograms, |out, of| point(out, of.at, &of.value));
        out.push(']');
    }
}

fn point(out: &mut String, at: i64, value: &Value) {
    out.push('[');
    time(out, at);
    out.push(',');
    match value {
        Value::Float(_) => {
            let _ = write!(out, "\"{value}\"");
        }
        Value::Histogram(histogram) => buckets(out, histogram),
    }
    out.push(']');
}

/// Milliseconds as seconds.
fn time(out: &mut String, at: i64) {
    let (sign, at) = (if at < 0 { "-" } else { "" }, at.unsigned_abs());
    let _ = write!(out, "{sign}{}", at / 1000);
    if at % 1000 != 0 {
        let _ = write!(out, ".{:03}", at % 1000);
    }
}

fn buckets(out: &mut String, histogram: &Histogram) {
    let number = |value: f64| Value::Float(value).to_string();
    let _ = write!(out, r#"{{"count":"{}","sum":"{}""#, number(histogram.count), number(histogram.sum));
    let all = histogram.buckets();
    if !all.is_empty() {
        out.push_str(r#","buckets":["#);
        each(out, &all, |out, bucket| {
            let (lower, upper) = (number(bucket.lower), number(bucket.upper));
            let _ = write!(out, r#"[{},"{lower}","{upper}","{}"]"#, boundary(bucket), number(bucket.count));
        });
        out.push(']');
    }
    out.push('}');
}

/// Which bounds belong to a bucket: 0 the upper one, 1 the lower one, 3 both.
fn boundary(bucket: &Bucket) -> u8 {
    match (bucket.lower < 0.0, bucket.upper > 0.0) {
        (true, true) => 3,
        (true, false) => 1,
        (false, _) => 0,
    }
}

fn string(out: &mut String, text: &str) {
    let _ = write!(out, "{}", json!(text));
}

#[cfg(test)]
mod tests {
    use daybook_promql::{Element, Row};

    use super::*;

    fn output(answer: Answer) -> Output {
        Output { answer, warnings: Vec::new(), infos: Vec::new() }
    }

    #[test]
    fn answers_have_the_shapes_that_are_documented() {
        let labels = Labels::new([("__name__", "up"), ("job", "a\"b")]);
        let vector = Answer::Vector(vec![Element { labels, value: 1.0.into() }]);
        assert_eq!(
            text(&output(vector), 1_435_781_451_781),
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a\"b"},"value":[1435781451.781,"1"]}]}}"#
        );
        let points = vec![Point { at: 1000, value: f64::NAN.into() }, Point { at: 2050, value: f64::INFINITY.into() }];
        let matrix = Answer::Matrix(vec![Row { labels: Labels::default(), points }]);
        let mut output = output(matrix);
        output.warnings.push("careful".to_owned());
        assert_eq!(
            text(&output, 0),
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"NaN"],[2.050,"+Inf"]]}]},"warnings":["careful"]}"#
        );
    }

    #[test]
    fn a_histogram_is_told_by_its_buckets() {
        let histogram = Histogram {
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 1.0,
            count: 4.0,
            sum: 3.5,
            positive: vec![(0, 1.0), (1, 2.0)],
            ..Histogram::default()
        };
        let mut out = String::new();
        point(&mut out, 0, &histogram.into());
        assert_eq!(
            out,
            r#"[0,{"count":"4","sum":"3.5","buckets":[[3,"-0.001","0.001","1"],[0,"0.5","1","1"],[0,"1","2","2"]]}]"#
        );
    }
}
