//! What the screen is about, and what becomes of it when something happens. Pure.

use daybook_api::change::{Change, Rollback};
use daybook_api::incident::IncidentView;
use daybook_api::logs::FoundLine;
use daybook_api::plan::{PlanReply, PlanRequest};
use daybook_api::run::{Expect, RunRequest};
use daybook_api::status::{ServiceState, ServiceView, StatusView};
use daybook_model::{EnvKey, ReleaseNumber, Timestamp};

use crate::commands::pulse::Pulse;

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
    /// What would be done.
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
                Ok(lines) => self.lines = lines,
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

    fn planned(&mut self, (plan, change): (PlanReply, Change)) {
        if plan.empty {
            self.said = Some("nothing would change".to_owned());
            return;
        }
        let expect = Some(Expect { plan_id: plan.plan_id, basis: plan.basis });
        (self.scroll, self.said) = (0, None);
        self.question = Some(Question { plan: plan.text, request: RunRequest { change, expect } });
    }

    fn pressed(&mut self, key: Key) -> Option<Effect> {
        self.said = None;
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
            Key::PageUp => self.scroll = self.scroll.saturating_sub(10),
            Key::PageDown => self.scroll = self.scroll.saturating_add(10).min(10_000),
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
            // Lines are read upwards.
            Pane::Logs => self.scroll = self.scroll.saturating_add_signed(if by < 0 { 1 } else { -1 }).min(10_000),
            Pane::Incidents => {
                (self.incident, self.scroll) = (moved(self.incident, self.incidents.len()), 0);
            }
        }
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
        Effect::Plan(Box::new(PlanRequest { change, carry_out: true }))
    }

    fn answered(&mut self, key: Key) -> Option<Effect> {
        match key {
            Key::Char('y') => {
                self.said = Some("it begins…".to_owned());
                return self.question.take().map(|question| Effect::Run(Box::new(question.request)));
            }
            Key::Char('n' | 'q') | Key::Esc => self.question = None,
            Key::Up | Key::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            Key::Down | Key::Char('j') => self.scroll = self.scroll.saturating_add(1).min(10_000),
            _ => {}
        }
        None
    }
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
        let reply = || -> PlanReply {
            serde_json::from_str(
                r#"{"plan_id": "p", "key": "shop/production", "from": 42, "to": 43, "empty": false, "destructive": false,
                    "text": "~ web  release 42 → 41", "steps": [], "changes": [], "basis": "b"}"#,
            )
            .unwrap()
        };
        state.update(Input::Planned(Ok(Box::new((reply(), request.change.clone())))));
        assert_eq!(press(&mut state, "n"), None);
        assert!(state.question.is_none(), "no is no");
        state.update(Input::Planned(Ok(Box::new((reply(), request.change.clone())))));
        let Some(Effect::Run(run)) = press(&mut state, "y") else { panic!("it is carried out") };
        assert_eq!(run.expect.unwrap().plan_id, "p", "what was looked at, and nothing else");
        assert!(state.question.is_none());
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
