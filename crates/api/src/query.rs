//! Answers to questions in PromQL, in the shapes of Prometheus' HTTP API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// A question about one time: now, if it does not say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InstantQuery {
    /// The question.
    pub query: String,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
}

/// A question about each step of a range.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RangeQuery {
    /// The question.
    pub query: String,
    /// Seconds since 1970.
    pub start: f64,
    /// Seconds since 1970.
    pub end: f64,
    /// Seconds.
    pub step: f64,
}

/// A question whose answer is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PictureQuery {
    /// The question.
    pub query: String,
    /// What stands above it; the question itself by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What its numbers are of: `number`, `s`, `bytes`, `bytes/s`, `share`, `percent`, `requests/s`, `/s`. By default what the names in
    /// the question say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Until when, in seconds since 1970: now by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// Over how many seconds until then: an hour by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<u64>,
    /// Seconds between two values: by default as fine as can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
}

/// What is answered, and what its reader should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryAnswer {
    /// The answer.
    pub data: QueryData,
    /// What probably makes it wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What may make it wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub infos: Vec<String>,
}

/// A value at a time: seconds since 1970, and a number as a text.
pub type Point = (f64, String);

/// The answer, by its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "snake_case")]
pub enum QueryData {
    /// A number.
    Scalar(Point),
    /// A text.
    String(Point),
    /// One value for each series.
    Vector(Vec<VectorElement>),
    /// Values over time.
    Matrix(Vec<MatrixRow>),
}

/// One series of an answer about one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorElement {
    /// Its labels.
    pub metric: BTreeMap<String, String>,
    /// Its value, if that is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Point>,
    /// Its value, if that is a histogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<serde_json::Value>,
}

/// One series of an answer about a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixRow {
    /// Its labels.
    pub metric: BTreeMap<String, String>,
    /// Its numbers, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Point>,
    /// Its histograms, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histograms: Vec<serde_json::Value>,
}

/// A refusal in Prometheus' shape.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) error: String,
}
