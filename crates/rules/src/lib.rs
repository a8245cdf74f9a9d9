//! Rules over series: what is recorded, what is alerted about, and who hears of it.
//!
//! A [`file`] of rules in Prometheus' format becomes [`Group`]s. [`Group::evaluate`] evaluates one at a time over any
//! [`Source`](daybook_metrics::Source): what comes out are samples to store, the series `ALERTS` and `ALERTS_FOR_STATE` among
//! them, and [`Notice`]s of alerts that fire or have ended. [`builtin`] has the rules that hold where nobody wrote any,
//! [`slo`] compiles an objective to rules. [`routing`] is Alertmanager's part: routes, groups, inhibition, silences, what was
//! sent when. [`replay`] tells what a rule would have done, [`unit`] runs `promtool`'s test files.
//!
//! The crate does no I/O and reads no clock: times are arguments, in milliseconds since 1970, and everything that has to
//! survive a restart is in a state that can be serialized ([`GroupState`], [`routing::State`]).

mod alerting;
pub mod builtin;
pub mod duration;
pub mod file;
mod group;
mod labels;
mod overlay;
mod problem;
mod read;
mod recording;
pub mod replay;
pub mod routing;
mod rule;
pub mod slo;
mod state;
pub mod template;
pub mod unit;
mod yaml;

pub use alerting::{ALERTNAME, ALERTS, ALERTS_FOR_STATE, Notice};
pub use group::{Environment, Evaluation, Outcome, RuleError, Sample};
pub use labels::as_map;
pub use overlay::Overlay;
pub use problem::{Place, Problem, Problems};
pub use rule::{Alerting, Expression, Group, Recording, Rule};
pub use state::{Active, GroupState, RuleState, State};
