//! Queries over series, in the language of Prometheus.
//!
//! A [`Query`] is parsed once (by `promql-parser`) and evaluated over any [`Source`](daybook_metrics::Source) of series: at
//! one time with [`Query::instant`], or at each step of a range with [`Query::range`]. The crate does no I/O of its own and
//! reads no clock: times are arguments, and what an evaluation may load, or when it has to stop, is in [`Options`].
//!
//! It behaves as Prometheus 3 does, with one of its options set: names of metrics are dropped at the end of a query, not at
//! each function ("delayed name removal"), which is also how Prometheus' own tests run.
//!
//! How an evaluation goes: an expression is evaluated for all steps at once and becomes rows, one for each series, with one
//! cell for each step ([`rows`]). Selectors make rows of series with a cursor for each ([`selector`], [`window`]); functions,
//! operators and aggregations make rows of rows.

mod aggregate;
mod answer;
mod binary;
mod buckets;
mod call;
mod choose;
mod dates;
mod elementwise;
mod error;
mod eval;
mod info;
mod labels;
mod limits;
mod notes;
mod numbers;
mod over_time;
mod query;
mod quoted;
mod rate;
mod rows;
mod selector;
mod sets;
pub mod testfile;
mod vectors;
mod window;

pub use answer::{Answer, Element, Output, Point, Row, Value};
pub use error::Error;
pub use query::{Options, Query};
pub use quoted::unquote;
