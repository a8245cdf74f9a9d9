//! The checks themselves: each looks at the whole of a subject.

pub(super) mod cloud;
pub(super) mod confinement;
pub(super) mod data;
pub(super) mod health;
pub(super) mod network;
pub(super) mod resources;
