//! The outside: servers of others that keep something we need.

pub mod vault;
