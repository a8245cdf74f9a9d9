//! The proxy in front of all replicas.
