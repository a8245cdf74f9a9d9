//! What measurements look like.
//!
//! - [`Chart`]: series over time, as they are drawn: few, on one grid of times, with gaps where nothing was measured.
//! - [`svg()`]: a chart as a picture that needs nothing else, in light and dark.
//! - [`sparkline()`]: numbers over time as one line of text.
//! - [`Unit`]: what numbers are of, and how people read them.
//! - [`dashboard`]: panels that belong together: ours by default, and those of Grafana.
//!
//! Pure: nothing here reads a clock, a file or a socket, and nobody is asked what a query answers.

mod axis;
mod chart;
pub mod dashboard;
mod spark;
mod svg;
mod unit;

pub use chart::{Chart, Grid, Line, MOST_LINES, last, names};
pub use spark::sparkline;
pub use svg::{escape, short, svg};
pub use unit::Unit;
