//! The edge as a client of replicas.

pub(crate) mod check;
pub(crate) mod connection;
pub(crate) mod exchange;
pub(crate) mod pool;
