//! What a query answers.

use std::fmt;
use std::sync::Arc;

use daybook_metrics::{Histogram, Labels};

/// A number or a histogram. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram(Arc<Histogram>),
}

impl Value {
    /// The number, if it is one.
    pub fn float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Histogram(_) => None,
        }
    }

    /// The histogram, if it is one.
    pub fn histogram(&self) -> Option<&Arc<Histogram>> {
        match self {
            Self::Float(_) => None,
            Self::Histogram(histogram) => Some(histogram),
        }
    }
}

/// As Prometheus writes it in answers: `1.5`, `NaN`, `+Inf`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) => f.write_str(&number(*value)),
            Self::Histogram(histogram) => write!(f, "{histogram}"),
        }
    }
}

/// The shortest text without an exponent that is read back as the same number.
pub(crate) fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Histogram> for Value {
    fn from(value: Histogram) -> Self {
        Self::Histogram(Arc::new(value))
    }
}

/// A value at a time, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// When.
    pub at: i64,
    /// What.
    pub value: Value,
}

/// One series of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Its labels.
    pub labels: Labels,
    /// Its value at the time of the query.
    pub value: Value,
}

/// One series of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its labels.
    pub labels: Labels,
    /// Its values, oldest first; a step without one is left out.
    pub points: Vec<Point>,
}

/// What a query answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A number; of an instant query only.
    Scalar(f64),
    /// A text; of an instant query only.
    Text(String),
    /// One value for each series, sorted if the query sorts; of an instant query only.
    Vector(Vec<Element>),
    /// Values over time, by labels.
    Matrix(Vec<Row>),
}

/// An answer and what its reader should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The answer.
    pub answer: Answer,
    /// What probably makes it wrong, sorted.
    pub warnings: Vec<String>,
    /// What may make it wrong, sorted.
    pub infos: Vec<String>,
}
