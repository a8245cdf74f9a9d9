//! What the screen is about, and what becomes of it when something happens. Pure.

use daybook_api::change::{Change, Rollback};
use daybook_api::incident::IncidentView;
use daybook_api::logs::FoundLine;
use daybook_api::plan::{PlanReply, PlanRequest};
use daybook_api::run::{Expect, RunRequest};
use daybook_api::status::{ServiceState, ServiceView, StatusView};
use daybook_model::{EnvKey, ReleaseNumber, Timestamp};

use crate::commands::pulse::Pulse;
use crate::output::style::plain;

/// Columns of a plan, which is wrapped to them.
pub(super) const PLAN_COLUMNS: u16 = 74;
/// The furthest that anything is moved.
const FURTHEST: u16 = 10_000;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    /// What runs.
    Services,
    /// What it prints.
    Logs,
    /// What was measured of it.
    Metrics,
    /// What hurts.
    Incidents,
}

impl Pane {
    /// In the order of their numbers.
    pub(super) const ALL: [Self; 4] = [Self::Services, Self::Logs, Self::Metrics, Self::Incidents];

    fn place(self) -> usize {
        Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0)
    }
}

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A character.
    Char(char),
    /// The others that mean something here.
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Tab,
    BackTab,
    Enter,
    Esc,
    Backspace,
    /// Control and C.
    Interrupt,
}

/// Something happened.
#[derive(Debug)]
pub(super) enum Input {
    /// A person pressed a key.
    Key(Key),
    /// The terminal is of another size.
    Resized,
    /// Time went on.
    Tick(Timestamp),
    /// What runs.
    Status(Result<Box<StatusView>, String>),
    /// What was measured.
    Pulses(Vec<Pulse>),
    /// What was printed, the newest first, for a filter.
    Lines(String, Result<Vec<FoundLine>, String>),
    /// What hurts.
    Incidents(Vec<IncidentView>),
    /// What a rollback would do.
    Planned(Result<Box<(PlanReply, Change)>, String>),
    /// What was done, or why it was not.
    Said(String),
    /// The process is told to end.
    Leave,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    /// End.
    Leave,
    /// Look for other lines.
    Search,
    /// Say that somebody sees to an incident.
    Acknowledge(String),
    /// Ask what a change would do.
    Plan(Box<PlanRequest>),
    /// Carry out what was looked at.
    Run(Box<RunRequest>),
}

/// Something that a person has to say yes or no to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    /// What would be done, in lines of at most [`PLAN_COLUMNS`].
    pub(super) plan: String,
    /// The request that does it.
    pub(super) request: RunRequest,
}

/// What the screen is about.
#[derive(Debug)]
pub(super) struct State {
    pub(super) key: EnvKey,
    pub(super) now: Timestamp,
    pub(super) pane: Pane,
    pub(super) status: Option<StatusView>,
    pub(super) pulses: Vec<Pulse>,
    /// The newest first.
    pub(super) lines: Vec<FoundLine>,
    pub(super) incidents: Vec<IncidentView>,
    /// The service that is chosen.
    pub(super) service: usize,
    /// The incident that is chosen.
    pub(super) incident: usize,
    /// How far what is shown below or behind is moved.
    pub(super) scroll: u16,
    /// Which lines are looked for.
    pub(super) filter: String,
    /// A filter that is being typed.
    pub(super) typing: Option<String>,
    pub(super) helps: bool,
    /// The change whose plan is waited for. Whoever presses a key meanwhile does not wait any more.
    pub(super) planning: Option<Change>,
    pub(super) question: Option<Question>,
    /// The last thing that was said.
    pub(super) said: Option<String>,
    /// Why the server does not answer.
    pub(super) lost: Option<String>,
}

impl State {
    pub(super) fn new(key: EnvKey, now: Timestamp) -> Self {
        Self {
            key,
            now,
            pane: Pane::Services,
            status: None,
            pulses: Vec::new(),
            lines: Vec::new(),
            incidents: Vec::new(),
            service: 0,
            incident: 0,
            scroll: 0,
            filter: String::new(),
            typing: None,
            helps: false,
            planning: None,
            question: None,
            said: None,
            lost: None,
        }
    }

    /// Takes in what happened, and says what is to be done about it.
    pub(super) fn update(&mut self, input: Input) -> Option<Effect> {
        match input {
            Input::Key(Key::Interrupt) | Input::Leave => return Some(Effect::Leave),
            Input::Key(key) => return self.pressed(key),
            Input::Resized => {}
            Input::Tick(now) => self.now = now,
            Input::Status(Ok(status)) => {
                let serves =
                    |service: &ServiceView| !matches!(service.state, ServiceState::Scheduled | ServiceState::Completed);
                match &self.status {
                    Some(_) => self.service = self.service.min(status.services.len().saturating_sub(1)),
                    // What is measured is of more interest than what runs at its times.
                    None => self.service = status.services.iter().position(serves).unwrap_or(0),
                }
                (self.status, self.lost) = (Some(*status), None);
            }
            Input::Status(Err(why)) => self.lost = Some(why),
            Input::Pulses(pulses) => self.pulses = pulses,
            // What was looked for before something else was typed is late.
            Input::Lines(filter, found) if filter == self.filter => match found {
                Ok(lines) => {
                    self.lines = lines;
                    self.scroll = self.scroll.min(self.furthest());
                }
                Err(why) => (self.lines, self.said) = (Vec::new(), Some(why)),
            },
            Input::Lines(..) => {}
            Input::Incidents(incidents) => {
                let chosen = self.incidents.get(self.incident).map(|incident| incident.id.clone());
                let place = chosen.and_then(|id| incidents.iter().position(|incident| incident.id == id));
                self.incident = place.unwrap_or(self.incident.min(incidents.len().saturating_sub(1)));
                self.incidents = incidents;
            }
            Input::Planned(Ok(planned)) => self.planned(*planned),
            Input::Planned(Err(why)) | Input::Said(why) => self.said = Some(why),
        }
        None
    }

    /// The chosen incident, where there is one.
    pub(super) fn chosen_incident(&self) -> Option<&IncidentView> {
        self.incidents.get(self.incident)
    }

    /// The chosen service, where there is one.
    pub(super) fn chosen_service(&self) -> Option<&str> {
        Some(&self.status.as_ref()?.services.get(self.service)?.name)
    }

    /// The lines that are looked for; nothing where nobody looks at any.
    pub(super) fn wanted(&self) -> Option<String> {
        (self.pane == Pane::Logs).then(|| self.filter.clone())
    }

    fn planned(&mut self, (plan, change): (PlanReply, Change)) {
        // A plan that nobody waits for must not take the keys that are meant for something else.
        if self.planning.as_ref() != Some(&change) {
            self.said = Some("the plan came late: r asks for it again".to_owned());
            return;
        }
        self.planning = None;
        if plan.empty {
            self.said = Some("nothing would change".to_owned());
            return;
        }
        let expect = Some(Expect { plan_id: plan.plan_id, basis: plan.basis });
        (self.scroll, self.said) = (0, None);
        self.question = Some(Question {
            plan: folded(&plain(&plan.text), PLAN_COLUMNS.into()),
            request: RunRequest { change, expect },
        });
    }

    fn pressed(&mut self, key: Key) -> Option<Effect> {
        (self.said, self.planning) = (None, None);
        if self.question.is_some() {
            return self.answered(key);
        }
        if self.helps {
            self.helps = false;
            return None;
        }
        if self.typing.is_some() {
            return self.typed(key);
        }
        match key {
            Key::Char('q') => return Some(Effect::Leave),
            Key::Char('?' | 'h') => self.helps = true,
            Key::Char(digit @ '1'..='4') => self.look_at(Pane::ALL[digit as usize - '1' as usize]),
            Key::Tab | Key::Right => self.look_at(Pane::ALL[(self.pane.place() + 1) % Pane::ALL.len()]),
            Key::BackTab | Key::Left => {
                self.look_at(Pane::ALL[(self.pane.place() + Pane::ALL.len() - 1) % Pane::ALL.len()]);
            }
            Key::Up | Key::Char('k') => self.choose(-1),
            Key::Down | Key::Char('j') => self.choose(1),
            Key::PageUp => self.move_by(-10),
            Key::PageDown => self.move_by(10),
            Key::Char('/') => {
                self.look_at(Pane::Logs);
                self.typing = Some(self.filter.clone());
            }
            Key::Enter if self.pane == Pane::Services => self.look_at(Pane::Metrics),
            Key::Esc if self.pane == Pane::Logs && !self.filter.is_empty() => return self.search(""),
            Key::Char('a') if self.pane == Pane::Incidents => return self.acknowledge(),
            Key::Char('r') if self.pane == Pane::Incidents => return Some(self.roll_back()),
            _ => {}
        }
        None
    }

    fn look_at(&mut self, pane: Pane) {
        (self.pane, self.scroll) = (pane, 0);
    }

    /// Moves what is chosen, or what is shown.
    fn choose(&mut self, by: isize) {
        let moved = |place: usize, count: usize| place.saturating_add_signed(by).min(count.saturating_sub(1));
        match self.pane {
            Pane::Services | Pane::Metrics => {
                let count = self.status.as_ref().map_or(0, |status| status.services.len());
                self.service = moved(self.service, count);
            }
            Pane::Logs => self.move_by(if by < 0 { -1 } else { 1 }),
            Pane::Incidents => {
                (self.incident, self.scroll) = (moved(self.incident, self.incidents.len()), 0);
            }
        }
    }

    /// Moves what is shown by so many lines.
    fn move_by(&mut self, lines: i16) {
        // The newest line of a log is at the bottom, and it is counted from there.
        let is_upwards = self.question.is_none() && self.pane == Pane::Logs;
        let by = if is_upwards { -lines } else { lines };
        self.scroll = self.scroll.saturating_add_signed(by).min(self.furthest());
    }

    /// How far what is shown may be moved: a line of it stays.
    fn furthest(&self) -> u16 {
        let lines = match &self.question {
            Some(question) => question.plan.lines().count(),
            None if self.pane == Pane::Logs => self.lines.len(),
            None => return FURTHEST,
        };
        u16::try_from(lines.saturating_sub(1)).map_or(FURTHEST, |furthest| furthest.min(FURTHEST))
    }

    fn typed(&mut self, key: Key) -> Option<Effect> {
        let typed = self.typing.as_mut()?;
        match key {
            Key::Char(character) if typed.chars().count() < 200 => typed.push(character),
            Key::Backspace => _ = typed.pop(),
            Key::Esc => self.typing = None,
            Key::Enter => {
                let filter = self.typing.take()?;
                return self.search(&filter);
            }
            _ => {}
        }
        None
    }

    fn search(&mut self, filter: &str) -> Option<Effect> {
        (self.filter, self.scroll) = (filter.trim().to_owned(), 0);
        self.lines.clear();
        Some(Effect::Search)
    }

    fn acknowledge(&mut self) -> Option<Effect> {
        let incident = self.chosen_incident()?;
        if incident.state != "open" {
            self.said = Some(format!("{} is {}", incident.short, incident.state));
            return None;
        }
        Some(Effect::Acknowledge(incident.id.clone()))
    }

    /// The plan of a rollback: to the release that is proposed, or to the one before.
    fn roll_back(&mut self) -> Effect {
        let proposed = self.chosen_incident().into_iter().flat_map(|incident| &incident.suspects);
        let proposed = proposed.filter_map(|suspect| suspect.command.as_deref()?.strip_prefix("daybook rollback "));
        let to = proposed.filter_map(|rest| rest.split_whitespace().next()?.parse().ok()).next();
        self.said = Some("planning…".to_owned());
        let change = Change::Rollback(Rollback { key: self.key.clone(), to: to.map(ReleaseNumber) });
        self.planning = Some(change.clone());
        Effect::Plan(Box::new(PlanRequest { change, carry_out: true }))
    }

    fn answered(&mut self, key: Key) -> Option<Effect> {
        match key {
            Key::Char('y') => {
                (self.said, self.scroll) = (Some("it begins…".to_owned()), 0);
                return self.question.take().map(|question| Effect::Run(Box::new(question.request)));
            }
            Key::Char('n' | 'q') | Key::Esc => (self.question, self.scroll) = (None, 0),
            Key::Up | Key::Char('k') => self.move_by(-1),
            Key::Down | Key::Char('j') => self.move_by(1),
            Key::PageUp => self.move_by(-10),
            Key::PageDown => self.move_by(10),
            _ => {}
        }
        None
    }
}

/// Text in lines of at most so many columns, broken after blanks where there are any.
fn folded(text: &str, columns: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut rest: Vec<char> = line.chars().collect();
        while rest.len() > columns {
            let blank = rest[..columns].iter().rposition(|character| *character == ' ').filter(|at| *at > columns / 2);
            let next = rest.split_off(blank.map_or(columns, |at| at + 1));
            lines.push(rest.into_iter().collect());
            rest = next;
        }
        lines.push(rest.into_iter().collect());
    }
    lines.join("\n")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::commands::pulse::tests::shop;
    use crate::commands::status::tests::status;
    use crate::follow::fixture;

    pub(in crate::commands::ui) fn state() -> State {
        let mut state = State::new("shop/production".parse().unwrap(), fixture::now());
        state.update(Input::Status(Ok(Box::new(status()))));
        state.update(Input::Pulses(shop()));
        state.update(Input::Incidents(incidents()));
        let line = |second: u8, level: &str, text: &str| {
            serde_json::from_value::<FoundLine>(serde_json::json!({
                "at": format!("2026-11-24T11:59:{second:02}Z"), "service": "web", "replica": "web.3", "release": "42",
                "level": level, "text": text,
            }))
            .unwrap()
        };
        let lines = vec![line(30, "error", "payment refused: timeout"), line(29, "info", "GET /orders 200")];
        state.update(Input::Lines(String::new(), Ok(lines)));
        state
    }

    fn incidents() -> Vec<IncidentView> {
        let incident = r#"{"id": "0a1a2b3c4d", "short": "1a2b3c4d", "key": "shop/production", "title": "10 % of requests to web fail", "severity": "page",
            "state": "open", "opened": "2026-11-24T11:58:30Z", "onset": "2026-11-24T11:58:00Z", "services": ["web"],
            "alerts": [{"name": "HighErrorRate", "severity": "page", "summary": "10 % fail", "labels": {}, "started": "2026-11-24T11:58:00Z"}],
            "impact": {"requests": 1000, "failed": 98, "p95_ms": [12, 40]},
            "suspects": [{"kind": "release", "title": "release 42 of web", "at": "2026-11-24T11:57:00Z", "share": 84,
                "evidence": ["it came into force 1 min before"], "next": "go back to release 41", "command": "daybook rollback 41"}],
            "timeline": [{"at": "2026-11-24T11:58:30Z", "by": "daybook", "text": "opened"}]}"#;
        vec![serde_json::from_str(incident).unwrap()]
    }

    fn press(state: &mut State, keys: &str) -> Option<Effect> {
        keys.chars().fold(None, |_, key| state.update(Input::Key(Key::Char(key))))
    }

    #[test]
    fn panes_are_reached_by_number_and_in_order() {
        let mut state = state();
        press(&mut state, "3");
        assert_eq!(state.pane, Pane::Metrics);
        state.update(Input::Key(Key::Tab));
        state.update(Input::Key(Key::Tab));
        assert_eq!(state.pane, Pane::Services);
        state.update(Input::Key(Key::BackTab));
        assert_eq!(state.pane, Pane::Incidents);
        assert_eq!(press(&mut state, "q"), Some(Effect::Leave));
        assert_eq!(state.update(Input::Leave), Some(Effect::Leave));
    }

    #[test]
    fn a_filter_is_typed_and_what_is_late_is_not_shown() {
        let mut state = state();
        assert_eq!(press(&mut state, "/level>=warn q"), None);
        assert_eq!(state.typing.as_deref(), Some("level>=warn q"));
        state.update(Input::Key(Key::Backspace));
        assert_eq!(state.update(Input::Key(Key::Enter)), Some(Effect::Search));
        assert_eq!((state.filter.as_str(), state.lines.len()), ("level>=warn", 0));
        let late = self::state().lines;
        state.update(Input::Lines(String::new(), Ok(late.clone())));
        assert!(state.lines.is_empty());
        state.update(Input::Lines("level>=warn".to_owned(), Ok(late)));
        assert_eq!(state.lines.len(), 2);
        assert_eq!(state.update(Input::Key(Key::Esc)), Some(Effect::Search));
        assert_eq!(state.filter, "");
    }

    #[test]
    fn a_rollback_shows_its_plan_before_anything_is_done() {
        let mut state = state();
        assert_eq!(press(&mut state, "r"), None, "only where incidents are looked at");
        let Some(Effect::Plan(request)) = press(&mut state, "4r") else { panic!("a plan is asked for") };
        let Change::Rollback(rollback) = &request.change else { panic!("it is a rollback") };
        assert_eq!(rollback.to, Some(ReleaseNumber(41)), "what is proposed");
        state.update(Input::Planned(Ok(Box::new((reply("~ web  release 42 → 41"), request.change.clone())))));
        assert_eq!(press(&mut state, "n"), None);
        assert!(state.question.is_none(), "no is no");
        press(&mut state, "r");
        state.update(Input::Planned(Ok(Box::new((reply("~ web  release 42 → 41"), request.change.clone())))));
        let Some(Effect::Run(run)) = press(&mut state, "y") else { panic!("it is carried out") };
        assert_eq!(run.expect.unwrap().plan_id, "p", "what was looked at, and nothing else");
        assert!(state.question.is_none());
    }

    fn reply(text: &str) -> PlanReply {
        serde_json::from_value(serde_json::json!({
            "plan_id": "p", "key": "shop/production", "from": 42, "to": 43, "empty": false, "destructive": false,
            "text": text, "steps": [], "changes": [], "basis": "b",
        }))
        .unwrap()
    }

    #[test]
    fn a_plan_that_comes_late_takes_no_keys() {
        let mut state = state();
        let Some(Effect::Plan(request)) = press(&mut state, "4r") else { panic!("a plan is asked for") };
        press(&mut state, "/da");
        state.update(Input::Planned(Ok(Box::new((reply("~ web"), request.change.clone())))));
        assert!(state.question.is_none() && state.said.as_deref().is_some_and(|said| said.contains("late")));
        assert_eq!(press(&mut state, "y"), None);
        assert_eq!(state.typing.as_deref(), Some("day"));
        // Nor does one of another change than the one that is waited for.
        state.update(Input::Key(Key::Esc));
        press(&mut state, "4r");
        let other = Change::Rollback(Rollback { key: state.key.clone(), to: Some(ReleaseNumber(7)) });
        state.update(Input::Planned(Ok(Box::new((reply("~ web"), other)))));
        assert!(state.question.is_none());
        state.update(Input::Planned(Ok(Box::new((reply("~ web"), request.change)))));
        assert!(state.question.is_some(), "it is still waited for");
    }

    #[test]
    fn a_plan_is_shown_whole_and_moved_no_further_than_its_end() {
        let mut state = state();
        let Some(Effect::Plan(request)) = press(&mut state, "4r") else { panic!("a plan is asked for") };
        let text = format!("  ~ web   {}\n  ~ {}", "a word ".repeat(20), "x".repeat(200));
        state.update(Input::Planned(Ok(Box::new((reply(&text), request.change)))));
        let plan = state.question.as_ref().unwrap().plan.clone();
        assert!(plan.lines().all(|line| line.chars().count() <= usize::from(PLAN_COLUMNS)), "{plan}");
        assert_eq!(plan.replace('\n', ""), text.replace('\n', ""), "nothing is cut");
        (0..9).for_each(|_| _ = state.update(Input::Key(Key::PageDown)));
        assert_eq!(usize::from(state.scroll), plan.lines().count() - 1);
        state.update(Input::Key(Key::Up));
        assert_eq!(usize::from(state.scroll), plan.lines().count() - 2);
        press(&mut state, "n");
        assert_eq!(state.scroll, 0);
    }

    #[test]
    fn pages_of_lines_go_up_to_the_oldest_and_down_to_the_newest() {
        let mut state = state();
        press(&mut state, "2");
        let line = state.lines[0].clone();
        state.update(Input::Lines(String::new(), Ok(vec![line.clone(); 15])));
        let mut press = |key, scroll| {
            state.update(Input::Key(key));
            assert_eq!(state.scroll, scroll, "{key:?}");
        };
        press(Key::PageUp, 10);
        press(Key::Up, 11);
        press(Key::PageUp, 14);
        press(Key::PageDown, 4);
        press(Key::Down, 3);
        press(Key::PageDown, 0);
        press(Key::PageUp, 10);
        state.update(Input::Lines(String::new(), Ok(vec![line; 3])));
        assert_eq!(state.scroll, 2, "there are fewer");
        assert_eq!(state.wanted().as_deref(), Some(""));
        state.update(Input::Key(Key::Tab));
        assert_eq!(state.wanted(), None, "nobody looks at them");
    }

    #[test]
    fn only_an_open_incident_is_acknowledged() {
        let mut state = state();
        assert_eq!(press(&mut state, "4a"), Some(Effect::Acknowledge("0a1a2b3c4d".to_owned())));
        state.incidents[0].state = "acknowledged".to_owned();
        assert_eq!(press(&mut state, "a"), None);
        assert_eq!(state.said.as_deref(), Some("1a2b3c4d is acknowledged"));
        state.update(Input::Incidents(Vec::new()));
        assert_eq!(press(&mut state, "a"), None);
    }

    #[test]
    fn what_is_chosen_stays_within_what_is_there() {
        let mut state = state();
        press(&mut state, "jjjjjjjjjj");
        assert_eq!(state.service, state.status.as_ref().unwrap().services.len() - 1);
        let mut fewer = status();
        fewer.services.truncate(1);
        state.update(Input::Status(Ok(Box::new(fewer))));
        assert_eq!(state.chosen_service(), Some("web"));
        state.update(Input::Status(Err("it does not answer".to_owned())));
        assert!(state.status.is_some() && state.lost.is_some(), "what was seen last stays");
    }
}
