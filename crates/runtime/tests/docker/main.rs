//! What only the Docker runtime does, against a real Docker Engine (`scripts/dockerd`,
//! `scripts/registry`, `scripts/test-images`). What every runtime does is in `tests/contract`.

mod builds;
mod crash;
mod files;
mod images;
mod networks;
mod ownership;
mod replicas;
mod support;
mod volumes;
