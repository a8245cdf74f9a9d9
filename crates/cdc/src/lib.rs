//! Cuts content into chunks where its own bytes say so, as restic does: content that is like content from before has
//! mostly the chunks that are known from it, wherever it differs.
//!
//! A chunk ends where the fingerprint of the 64 bytes before has zeros in its lowest bits. The fingerprint is Rabin's:
//! the bytes are the coefficients of a polynomial over the field of two elements, and the fingerprint is its remainder
//! by an irreducible polynomial, which each repository has of its own.
//! <https://restic.readthedocs.io/en/stable/100_references.html#backups-and-deduplication>

mod chunks;
mod cutter;
mod tables;

pub use chunks::Chunks;
pub use cutter::{Cutter, Sizes, WINDOW};
