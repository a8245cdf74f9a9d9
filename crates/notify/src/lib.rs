//! Messages about incidents, out to channels and in from other tools.
//!
//! A [`Notice`] says what happened; a [`Channel`] is where it is told. [`render()`] makes the one into what the other
//! takes, a [`Queue`] says what is to be sent when, and a [`Sender`] sends it, past a [`Guard`] that keeps requests out of
//! networks that nobody allowed. [`inbound`] reads and checks what others send to us. All but [`send`] is pure: time and chance
//! are arguments.

pub mod channel;
pub mod delivery;
pub mod guard;
pub mod inbound;
mod message;
pub mod render;
mod secret;
pub mod send;
pub mod signature;
mod text;

pub use channel::{Channel, Target};
pub use delivery::{Outcome, Queue};
pub use guard::{Allowed, Guard, Network};
pub use message::{Kind, Link, Moment, NotALink, Notice, Severity, trial};
pub use render::render;
pub use secret::Secret;
pub use send::{Reply, Sender};
