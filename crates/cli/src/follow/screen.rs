//! Where progress is shown: lines that move on a terminal, one line an event elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use daybook_api::run::{RunView, StepState};
use daybook_model::Timestamp;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::progress;
use crate::output::message;
use crate::terminal::{self, Silent};

/// Where progress is shown. It owns standard error until it is dropped.
pub(crate) enum Screen {
    /// Nobody wants to see it.
    Quiet,
    /// One line an event.
    Lines(Option<Box<RunView>>),
    /// A line for each service that moves while it runs.
    Bars(Bars),
}

impl Screen {
    /// The one that suits: none for `quiet`, moving lines on a terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        match quiet {
            true => Self::Quiet,
            false if terminal::shows_progress() => Self::Bars(Bars::new()),
            false => Self::Lines(None),
        }
    }

    /// Shows how far the run is.
    pub(crate) fn show(&mut self, view: &RunView, now: Timestamp) {
        match self {
            Self::Quiet => {}
            Self::Lines(before) => {
                for line in progress::changes(before.as_deref(), view) {
                    message(&line);
                }
                *before = Some(Box::new(view.clone()));
            }
            Self::Bars(bars) => bars.show(view, now),
        }
    }

    /// Says something above the moving lines.
    pub(crate) fn say(&self, text: &str) {
        match self {
            // Lost progress is nobody's concern.
            Self::Bars(bars) => drop(bars.multi.println(text)),
            Self::Quiet | Self::Lines(_) => message(text),
        }
    }

    /// Takes the moving lines away, so that others can be written; the next look brings them back.
    pub(crate) fn clear(&mut self) {
        if let Self::Bars(bars) = self {
            bars.clear();
        }
    }

    /// Leaves the lines as they are and gives standard error back.
    pub(crate) fn end(self, view: &RunView, now: Timestamp) {
        if let Self::Bars(bars) = self {
            bars.end(view, now);
        }
    }
}

/// A line for each service.
pub(crate) struct Bars {
    multi: MultiProgress,
    lines: BTreeMap<String, ProgressBar>,
    _silent: Option<Silent>,
}

impl Bars {
    fn new() -> Self {
        Self { multi: MultiProgress::new(), lines: BTreeMap::new(), _silent: Silent::if_in_front() }
    }

    fn show(&mut self, view: &RunView, now: Timestamp) {
        let lines = progress::services(view, now);
        let widths = progress::Widths::of(&lines);
        for line in lines {
            let bar = self.lines.entry(line.name.clone()).or_insert_with(|| self.multi.add(ProgressBar::new_spinner()));
            let running = line.state == StepState::Running;
            bar.set_style(style(running));
            if running {
                bar.set_message(progress::render(&line, widths));
                bar.enable_steady_tick(Duration::from_millis(100));
            } else {
                bar.set_message(progress::render_still(&line, widths));
                bar.disable_steady_tick();
                bar.tick();
            }
        }
    }

    fn clear(&mut self) {
        self.lines.clear();
        // Lost progress is nobody's concern.
        let _ = self.multi.clear();
        self.multi = MultiProgress::new();
    }

    fn end(mut self, view: &RunView, now: Timestamp) {
        self.clear();
        let lines = progress::services(view, now);
        let widths = progress::Widths::of(&lines);
        for line in &lines {
            message(&progress::render_still(line, widths));
        }
    }
}

fn style(running: bool) -> ProgressStyle {
    let template = if running { "{msg}{spinner:.cyan}" } else { "{msg}" };
    ProgressStyle::with_template(template).expect("the template is a constant").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}
