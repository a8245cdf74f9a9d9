//! Who is on call, whom to wake next, and when nobody is to be woken at all.
//!
//! - [`schedule`]: layers of rotations, overrides, and who is on call at a moment.
//! - [`escalation`]: levels with delays, which an acknowledgement stops.
//! - [`maintenance`]: windows in which alerts open nothing.
//!
//! A hand-over is at a time of day where the team is: across a change of the clocks it stays at that time.

pub mod escalation;
pub mod maintenance;
pub mod schedule;

pub use escalation::{Due, due, left_to, passed_over, policy_for};
pub use maintenance::{muted, muted_incident};
pub use schedule::{Begun, Shift, begun, next_hand_over, on_call, shifts};
