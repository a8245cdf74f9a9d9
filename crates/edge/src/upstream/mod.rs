//! The edge as a client of replicas.

mod bound;
pub(crate) mod check;
pub(crate) mod connection;
pub(crate) mod exchange;
pub(crate) mod pool;
