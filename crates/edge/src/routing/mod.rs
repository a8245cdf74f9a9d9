//! The decisions of the edge, without I/O: which route a request takes, which endpoint answers it, and
//! whether an endpoint may be used. Nothing here opens a socket or reads a clock.

pub(crate) mod balance;
pub(crate) mod domain;
pub(crate) mod health;
pub(crate) mod sniff;
pub(crate) mod table;
