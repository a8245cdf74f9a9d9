//! Backups, on real disks, with a real `restic`, and on a server that speaks S3.

// Helpers of tests are no tests to the linter.
#![allow(clippy::unwrap_used)]

mod common;
mod damage;
mod directories;
mod restic;
mod s3;
mod save;
mod servers;
