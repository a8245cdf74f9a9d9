//! A load generator that counts on both ends, and what the benchmarks share.
//!
//! [`load`] keeps six kinds of clients busy against the example shop at a constant rate. Every request
//! has an id that its answer must carry, and a failure is whatever a user would have noticed.

pub mod cluster;
pub mod compare;
pub mod daybook;
pub mod fake_nodes;
pub mod load;
pub mod process;
pub mod shop;
pub mod statistics;
pub mod usage;
