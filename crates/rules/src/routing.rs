//! Who hears of which alert, and when: the semantics of Alertmanager.
//!
//! A [`Config`] is read from an `alertmanager.yml`. A [`Dispatcher`] is told of alerts ([`Dispatcher::observe`]), says what is
//! to be sent ([`Dispatcher::due`]), and is told what was ([`Dispatcher::sent`]). Alerts are grouped by route and labels; a
//! group is notified about first after `group_wait`, again at multiples of `group_interval` if something changed, and every
//! `repeat_interval` if nothing did. What was sent is remembered by receiver, so that a restart repeats nothing.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/>

mod alert;
mod config;
mod dispatch;
mod inhibit;
mod interval;
mod matchers;
mod notification;
mod read;
mod silence;

pub use alert::Alert;
pub use config::{Config, GroupBy, Inhibition, Integration, KINDS, Kind, Receiver, Route, Settings};
pub use dispatch::{Dispatcher, Entry, Grouped, Standing, State};
pub use interval::TimeInterval;
pub use matchers::{Matchers, parse_matchers};
pub use notification::{Notification, Reason, Status, Told};
pub use silence::{BadSilence, Silence};

use crate::problem::Problems;

/// The configuration where nobody wrote one: what concerns one service is one notification, what has to be seen to now says
/// nothing of what can wait, and what ends a service says nothing of its consequences. Its receiver `default` has no way to be
/// told; whoever runs it adds some.
pub const DEFAULT: &str = include_str!("routing/default.yml");

/// Reads the text of an `alertmanager.yml`; `file` is what it is called in problems.
pub fn read(file: &str, text: &str) -> Result<Config, Problems> {
    read::config(file, text)
}

#[cfg(test)]
mod tests;
