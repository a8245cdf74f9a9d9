//! What only the Docker runtime does, against a real Docker Engine (`scripts/dockerd`,
//! `scripts/registry`, `scripts/test-images`). What every runtime does is in `tests/contract`.

#![allow(clippy::unwrap_used, reason = "all of this is a test, though not every function is marked as one")]

mod builds;
mod crash;
mod files;
mod images;
mod logins;
mod networks;
mod ownership;
mod replicas;
mod support;
mod volumes;
