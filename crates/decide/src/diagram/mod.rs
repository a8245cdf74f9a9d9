//! An environment as a picture: who reaches what, across which boundary, and where data lies.
//!
//! [`Graph::of`] reads a specification; [`Graph::mark_service`] and [`Graph::mark_live`] lay a plan or
//! what runs over it.
//! [`svg`] draws it by a layered layout of our own ([`layout`], after Sugiyama, Tagawa and Toda, 1981); [`mermaid`],
//! [`d2`] and [`c4`] say the same in the languages of others. The same graph gives the same bytes.

mod graph;
mod layout;
mod svg;
mod words;

pub use graph::{Flow, Graph, Kind, Mark, Node, Zone};
pub use svg::svg;
pub use words::{c4, d2, mermaid};
