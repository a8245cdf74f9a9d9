//! Pure decisions: what to do next, and why.
//!
//! Nothing here reads a clock, a file or a socket, and nothing is random: time and ids are arguments,
//! so the same inputs give the same decision (`clippy.toml` beside this crate bans the rest).
//!
//! - [`plan()`]: the steps from what is there to what should be.
//! - [`run::Run`]: folds a run's journal entries and says what is next.
//! - [`policy`]: what an environment is held to, and what breaks it.
//! - [`approval`]: what a second person has to approve, and whether one has.
//! - [`risk`]: whether a plan can be gone back on, and what came of the last one like it.
//! - [`cost`]: what an environment costs a month, and where it would cost less.
//! - [`diagram`]: an environment as a picture.
//! - [`readiness`], [`probation`]: when a new replica is good enough, and when it is worse.
//! - [`jobs`], [`heal`]: what is due, and when to try again.
//! - [`backups`]: which are due, which stay, and which are proven.
//! - [`archive`]: from what a database can be had as it was at any moment.
//! - [`state_backups`]: the same of Daybook's own state.
//! - [`clone`]: what a clone of an environment is made of, and when it goes.
//! - [`upgrade`]: which versions of a database server take over the files of another, and the way to those that do not.
//! - [`elect`]: which of several servers leads, and until when it may act.
//! - [`anomaly`]: what is unusual in a series.
//! - [`incident`]: which alerts belong together, and what became of them.
//! - [`cause`]: what probably caused an incident.
//! - [`oncall`]: who is on call, whom to wake, and when nobody is to be woken.
//! - [`remedy`]: whether a rule may mend something by itself.
//! - [`postmortem`], [`status_page`]: what is told of an incident, inside and outside.
//! - [`why()`]: the cause of a service's trouble, from evidence.

pub mod anomaly;
pub mod approval;
pub mod archive;
pub mod backups;
pub mod cause;
pub mod clone;
pub mod cost;
pub mod diagram;
pub mod elect;
pub mod heal;
pub mod incident;
pub mod jobs;
pub mod oncall;
pub mod plan;
pub mod policy;
pub mod postmortem;
pub mod probation;
pub mod readiness;
pub mod redact;
pub mod remedy;
pub mod risk;
pub mod routes;
pub mod run;
pub mod state_backups;
pub mod status_page;
pub mod text;
pub mod upgrade;
pub mod why;

pub use plan::{PlanContext, Problem, Progress, plan};
pub use why::{Why, why};
