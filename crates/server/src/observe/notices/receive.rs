//! What other tools tell of: alerts in the forms of PagerDuty and Prometheus, and what people did at PagerDuty.
//!
//! An alert of another tool becomes one of ours, as if a rule had found it, so it opens, joins and ends incidents as they do. It is in
//! the store before it is acknowledged. Who sends proves it by the key of an environment (`receive` of the manifest), or by PagerDuty's
//! signature.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use daybook_decide::incident::Incident;
use daybook_model::incident::{Ending, IncidentEvent, IncidentId};
use daybook_model::name::ChannelName;
use daybook_model::{Actor, Alert, AppName, EnvKey, EnvName, Severity, Timestamp};
use daybook_notify::Secret;
use daybook_notify::inbound::pagerduty_events::{self, Event, Rejected};
use daybook_notify::inbound::{Answer, MOST_BYTES, Signal, State as Told, alertmanager, pagerduty_webhook};
use daybook_store::RECEIVED;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::lock;
use crate::App;
use crate::error::ApiError;
use crate::observe::Fired;
use crate::observe::standing::{Row, Rows};

/// Alerts of one environment that are remembered.
const MOST: usize = 1_000;
/// An alert that ended longer ago is forgotten: seconds.
const ENDED_FOR: i64 = 15 * 60;
/// Labels of an alert that are kept, and characters of each.
const LABELS: usize = 30;
const CHARACTERS: usize = 300;
/// How long a sender may take for a body.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// Alerts of other tools by what they are known by.
pub(super) type Alerts = BTreeMap<String, One>;

impl Row for Alerts {
    const OF: &'static str = RECEIVED;
}

/// An alert of another tool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct One {
    alert: Alert,
    description: String,
    /// It is over then, unless it is sent again.
    until: Option<Timestamp>,
}

/// There are too many.
struct TooMany;

/// Takes in what a tool says; `tool` tells its keys from those of others.
fn take(received: &mut Rows<Alerts>, key: &EnvKey, tool: &str, signal: &Signal, now: Timestamp) -> Result<(), TooMany> {
    let alerts = received.begin(key);
    let place = place(tool, signal);
    match (signal.state, alerts.get_mut(&place)) {
        (Told::Firing, Some(known)) if known.alert.ended.is_none() => {
            // By these an incident knows it; details may change.
            let Alert { started, name, labels, .. } = known.alert.clone();
            *known = one(tool, signal, now);
            (known.alert.started, known.alert.name, known.alert.labels) = (started, name, labels);
        }
        (Told::Firing, known) => {
            let ended = known.and_then(|known| known.alert.ended);
            if ended.is_none() && alerts.len() >= MOST {
                return Err(TooMany);
            }
            let mut again = one(tool, signal, now);
            // What is over and comes back begins anew, whatever its sender says of its beginning.
            if ended.is_some_and(|ended| again.alert.started <= ended) {
                again.alert.started = now;
            }
            alerts.insert(place, again);
        }
        (Told::Resolved, Some(known)) => {
            known.alert.ended.get_or_insert(now);
        }
        _ => {}
    }
    Ok(())
}

/// Ends what was not sent again, and forgets what ended long ago.
fn tend(received: &mut Rows<Alerts>, now: Timestamp) {
    for (_, alerts) in received.each() {
        for one in alerts.values_mut() {
            let over = one.until.filter(|until| *until <= now);
            one.alert.ended = one.alert.ended.or(over);
        }
        let ended = |one: &One| one.alert.ended.is_some_and(|at| now.as_second() - at.as_second() > ENDED_FOR);
        alerts.retain(|_, one| !ended(one));
    }
    for key in received.keys() {
        if received.get(&key).is_some_and(BTreeMap::is_empty) {
            received.remove(&key);
        }
    }
}

fn identity(received: &Rows<Alerts>, key: &EnvKey, tool: &str, signal: &Signal) -> Option<String> {
    Some(received.get(key)?.get(&place(tool, signal))?.alert.identity())
}

fn place(tool: &str, signal: &Signal) -> String {
    format!("{tool} {}", signal.key)
}

/// The alert that a signal is.
fn one(tool: &str, signal: &Signal, now: Timestamp) -> One {
    let cut = |text: &str| text.chars().take(CHARACTERS).collect::<String>();
    let own = ["alertname", "severity"];
    let labels = signal.labels.iter().filter(|(name, _)| !own.contains(&name.as_str())).take(LABELS);
    let mut labels: BTreeMap<_, _> = labels.map(|(name, value)| (cut(name), cut(value))).collect();
    labels.insert("received_from".to_owned(), tool.to_owned());
    labels.insert("received_key".to_owned(), signal.key.clone());
    labels.extend(signal.source.iter().map(|source| ("source".to_owned(), cut(source))));
    let name = signal.labels.get("alertname").or(signal.labels.get("class")).map_or("Received", String::as_str);
    let severity = match signal.severity {
        // As urgent as PagerDuty takes them by default.
        Some(daybook_notify::Severity::Critical | daybook_notify::Severity::Error) => Severity::Page,
        Some(daybook_notify::Severity::Warning) | None => Severity::Ticket,
        Some(daybook_notify::Severity::Info) => Severity::Info,
    };
    let service = signal.labels.get("service").or(signal.labels.get("component"));
    let runbook = signal.links.iter().find(|link| link.text() == "runbook").map(|link| link.url().to_owned());
    let alert = Alert {
        name: cut(name),
        labels,
        severity,
        summary: signal.title.chars().take(1_000).collect(),
        started: signal.at.filter(|at| *at <= now).unwrap_or(now),
        ended: None,
        service: service.and_then(|name| name.parse().ok()),
        host: None,
        runbook,
    };
    let description = signal.text.iter().flat_map(|text| text.chars()).take(4_000).collect();
    One { alert, description, until: signal.until }
}

/// The paths that take something from other tools. Bodies may be larger where their sender is known before they are read.
pub(crate) fn routes() -> Router<App> {
    let alerts = Router::new()
        .route("/alertmanager", post(alertmanager_webhook))
        .route("/api/v2/alerts", post(prometheus_alerts))
        .layer(DefaultBodyLimit::max(alertmanager::MOST_ALERTS_BYTES + 1));
    Router::new()
        .route("/v2/enqueue", post(enqueue))
        .route("/v2/change/enqueue", post(enqueue_change))
        .route("/pagerduty/{app}/{env}/{channel}", post(pagerduty_webhook))
        .layer(DefaultBodyLimit::max(MOST_BYTES + 1))
        .merge(alerts)
}

/// Who sends with the key of this environment, which is looked at before anything of the body is read.
struct Keyed(EnvKey);

impl FromRequestParts<App> for Keyed {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        app.sender_of(&parts.headers).map(Self).map_err(Failed::respond)
    }
}

/// A body that came in time.
struct Whole(Bytes);

impl FromRequest<App> for Whole {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        match tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, app)).await {
            Ok(Ok(body)) => Ok(Self(body)),
            Ok(Err(rejection)) => Err(rejection.into_response()),
            Err(_) => Err(refuse(408, "the body came too slowly".to_owned())),
        }
    }
}

fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(answer.body)).into_response()
}

fn refuse(status: u16, message: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, message + "\n").into_response()
}

async fn enqueue(State(app): State<App>, Whole(body): Whole) -> Response {
    match app.take_event(pagerduty_events::enqueue(&body, || Uuid::now_v7().to_string())).await {
        Ok(event) => respond(event.accepted()),
        Err(Failed::Rejected(rejected)) => respond(rejected.answer()),
        Err(failed) => failed.respond(),
    }
}

async fn enqueue_change(State(app): State<App>, Whole(body): Whole) -> Response {
    match app.take_event(pagerduty_events::enqueue_change(&body, || Uuid::now_v7().to_string())).await {
        Ok(event) => respond(event.accepted()),
        Err(Failed::Rejected(rejected)) => respond(rejected.answer()),
        Err(failed) => failed.respond(),
    }
}

async fn alertmanager_webhook(State(app): State<App>, Keyed(key): Keyed, Whole(body): Whole) -> Response {
    match alertmanager::webhook(&body) {
        Ok(group) => app.take_alerts(&key, &group.signals).await,
        Err(error) => refuse(error.status(), error.to_string()),
    }
}

async fn prometheus_alerts(State(app): State<App>, Keyed(key): Keyed, Whole(body): Whole) -> Response {
    match alertmanager::alerts(&body, app.now()) {
        Ok(alerts) => {
            let taken = app.take_alerts(&key, &alerts.signals).await;
            if alerts.problems.is_empty() { taken } else { refuse(400, alerts.problems.join("; ")) }
        }
        Err(error) => refuse(error.status(), error.to_string()),
    }
}

/// By which PagerDuty says what people did there; signed with what the channel has for that.
async fn pagerduty_webhook(
    State(app): State<App>,
    Path((env_app, env, channel)): Path<(AppName, EnvName, ChannelName)>,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Response {
    let key = EnvKey::new(env_app, env);
    let secrets = app.webhook_secrets(&key, &channel);
    let header = headers.get(pagerduty_webhook::HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let webhook = {
        let mut standing = app.notices().standing.lock();
        pagerduty_webhook::take(&secrets, header, &body, &mut standing.change().webhooks, app.now())
    };
    let webhook = match webhook {
        Ok(webhook) => webhook,
        Err(error) => return refuse(error.status(), error.to_string()),
    };
    if let Some(signal) = &webhook.signal
        && let Err(error) = app.take_deed(&key, signal).await
    {
        // It is sent again, and taken in then.
        app.notices().standing.lock().change().webhooks.forget(&webhook.id);
        return refuse(500, error.0.message);
    }
    app.keep_notices().await;
    StatusCode::OK.into_response()
}

fn nobody() -> Response {
    let answer = (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "the key is of no environment\n");
    answer.into_response()
}

/// Why an event is not taken.
enum Failed {
    /// It never will be.
    Rejected(Rejected),
    /// It may be if it is sent again.
    Later(String),
    /// Nobody knows whoever sent it.
    Nobody,
}

impl Failed {
    fn respond(self) -> Response {
        match self {
            Self::Rejected(rejected) => refuse(rejected.answer().status, rejected.to_string()),
            Self::Later(why) => refuse(500, why),
            Self::Nobody => nobody(),
        }
    }
}

impl From<Rejected> for Failed {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl App {
    /// Reads what was received before.
    pub(in crate::observe) async fn read_received(&self) -> Result<(), daybook_store::Error> {
        let alerts = Rows::read(&self.inner.store).await?;
        *self.notices().received.lock() = alerts;
        Ok(())
    }

    /// Alerts of other tools, as those of rules are.
    pub(crate) fn received(&self) -> Vec<Fired> {
        let now = self.now();
        let mut received = self.notices().received.lock();
        tend(&mut received, now);
        let all = received.iter().flat_map(|(key, alerts)| alerts.values().map(move |one| (key, one)));
        let fired =
            |(key, one): (&EnvKey, &One)| Fired::told(key.clone(), one.alert.clone(), one.description.clone(), 1.0);
        all.map(fired).collect()
    }

    /// The environment whose key this is. Before keys were read for the first time nobody is refused for good.
    fn environment_of(&self, key: &str) -> Result<Option<EnvKey>, Failed> {
        let keys = lock(&self.notices().keys);
        let keys = keys.as_ref().ok_or_else(|| Failed::Later("the server has just begun".to_owned()))?;
        Ok(keys.get(&super::digest(key)).cloned())
    }

    fn sender_of(&self, headers: &HeaderMap) -> Result<EnvKey, Failed> {
        let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = said.and_then(|said| said.strip_prefix("Bearer ")).ok_or(Failed::Nobody)?;
        self.environment_of(key.trim())?.ok_or(Failed::Nobody)
    }

    async fn take_event(&self, event: Result<Event, Rejected>) -> Result<Event, Failed> {
        let event = event?;
        let key = self.environment_of(event.routing_key.expose())?.ok_or(Rejected::RoutingKey)?;
        match event.signal.state {
            Told::Firing | Told::Resolved => {
                self.keep_alerts(&key, "pagerduty", std::slice::from_ref(&event.signal)).await?;
            }
            _ => self.take_signal(&key, "pagerduty", &event.signal).await?,
        }
        Ok(event)
    }

    async fn take_alerts(&self, key: &EnvKey, signals: &[Signal]) -> Response {
        match self.keep_alerts(key, "alertmanager", signals).await {
            Ok(()) => StatusCode::OK.into_response(),
            Err(failed) => failed.respond(),
        }
    }

    /// Takes in alerts that begin or end, and answers once they are kept. Those that end come first, so that there
    /// is room for others; where there is none, as many as fit are taken in.
    async fn keep_alerts(&self, key: &EnvKey, tool: &str, signals: &[Signal]) -> Result<(), Failed> {
        let mut fits = true;
        {
            let mut received = self.notices().received.lock();
            let ended = signals.iter().filter(|signal| signal.state == Told::Resolved);
            for signal in ended.chain(signals.iter().filter(|signal| signal.state == Told::Firing)) {
                fits &= take(&mut received, key, tool, signal, self.now()).is_ok();
            }
        }
        let kept = self.notices().received.write(&self.inner.store).await;
        kept.map_err(|error| Failed::Later(format!("it cannot be kept: {error}")))?;
        if fits { Ok(()) } else { Err(Rejected::Throttled.into()) }
    }

    async fn take_signal(&self, key: &EnvKey, tool: &str, signal: &Signal) -> Result<(), Failed> {
        match signal.state {
            Told::Acknowledged => {
                let identity = identity(&self.notices().received.lock(), key, tool, signal);
                let Some(identity) = identity else { return Ok(()) };
                let incidents = self.inner.incidents.of(Some(key));
                let has = |alert: &Alert| alert.identity() == identity;
                let Some(incident) = incidents.open().find(|incident| incident.alerts.iter().any(has)) else {
                    return Ok(());
                };
                if incident.is_seen_to() {
                    return Ok(());
                }
                let by = Actor { name: by(signal), origin: tool.to_owned() };
                let noted = self.note_incident(Some(key), &by, incident.id, IncidentEvent::Acknowledged).await;
                noted.map_err(|error| Failed::Later(error.0.message))
            }
            Told::Change => self.note_change(key, signal).await.map_err(|error| Failed::Later(error.0.message)),
            Told::Firing | Told::Resolved | Told::Unacknowledged | Told::Note => Ok(()),
        }
    }

    async fn note_change(&self, key: &EnvKey, signal: &Signal) -> Result<(), ApiError> {
        let event = daybook_model::Event::ChangedElsewhere {
            what: signal.title.chars().take(1_000).collect(),
            source: signal.source.clone().map(|source| source.chars().take(CHARACTERS).collect()),
        };
        let actor = Actor { name: by(signal), origin: "pagerduty".to_owned() };
        let write = daybook_store::Write { key: Some(key.clone()), run: None, actor, event, expected: None };
        daybook_store::Journal::append(&self.inner.store, write).await?;
        Ok(())
    }

    /// What PagerDuty signs its webhooks with, by what the release says of the channel.
    fn webhook_secrets(&self, key: &EnvKey, channel: &ChannelName) -> Vec<Secret> {
        let channels = lock(&self.notices().channels);
        let mut all = channels.get(key).into_iter().flatten();
        let secret = all.find(|one| one.described.name == *channel).and_then(|one| one.webhooks.clone());
        secret.into_iter().collect()
    }

    /// What somebody did at PagerDuty about an incident that we told it of.
    async fn take_deed(&self, of: &EnvKey, signal: &Signal) -> Result<(), ApiError> {
        let Ok(id) = signal.key.parse::<IncidentId>() else { return Ok(()) };
        // Whoever signs for one environment says nothing about another.
        let is_its = |place: &Option<EnvKey>| place.as_ref().is_none_or(|place| place == of);
        let found = self.inner.incidents.whole(id).filter(|(place, incident)| is_its(place) && incident.is_open());
        let Some((key, incident)) = found else { return Ok(()) };
        let Some((id, event)) = deed(signal, id, &incident) else { return Ok(()) };
        let by = Actor { name: by(signal), origin: "pagerduty".to_owned() };
        self.note_incident(key.as_ref(), &by, id, event).await
    }
}

/// What a deed about the incident `told` does here, and to which: to `whole`, which is what it is a part of now, or else itself.
fn deed(signal: &Signal, told: IncidentId, whole: &Incident) -> Option<(IncidentId, IncidentEvent)> {
    let event = match signal.state {
        Told::Acknowledged if !whole.is_seen_to() => IncidentEvent::Acknowledged,
        // The end of a part is not that of the whole.
        Told::Resolved if whole.id == told => {
            IncidentEvent::Resolved { ending: Ending::ByHand, note: "at PagerDuty".to_owned() }
        }
        Told::Note => {
            let text = signal.text.iter().flat_map(|text| text.chars()).take(4_000).collect();
            IncidentEvent::Noted { text }
        }
        _ => return None,
    };
    Some((whole.id, event))
}

/// Who did it, as the tool says.
fn by(signal: &Signal) -> String {
    let said = signal.by.as_deref().or(signal.source.as_deref()).unwrap_or("another tool");
    said.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use daybook_decide::incident::Incidents;

    use super::*;

    fn signal(action: &str) -> Signal {
        let body = format!(
            r#"{{"routing_key": "{}", "event_action": "{action}", "dedup_key": "disk", "payload":
                {{"summary": "the disk is full", "source": "db1", "severity": "error", "component": "web"}}}}"#,
            "a".repeat(32)
        );
        pagerduty_events::enqueue(body.as_bytes(), String::new).expect("it is an event").signal
    }

    #[test]
    fn an_alert_of_another_tool_is_one_of_ours_until_it_is_over() {
        let key: EnvKey = "shop/production".parse().unwrap();
        let at = |seconds| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let mut received = Rows::default();
        let alert = |received: &Rows<Alerts>| received.get(&key).unwrap().values().next().unwrap().alert.clone();
        assert!(take(&mut received, &key, "pagerduty", &signal("trigger"), at(0)).is_ok());
        assert!(take(&mut received, &key, "pagerduty", &signal("trigger"), at(60)).is_ok());
        let first = alert(&received);
        assert_eq!((first.severity, first.started, first.ended), (Severity::Page, at(0), None));
        assert_eq!(first.service.as_ref().map(ToString::to_string).as_deref(), Some("web"));
        let mut detailed = signal("trigger");
        detailed.labels.insert("load".to_owned(), "2".to_owned());
        assert!(take(&mut received, &key, "pagerduty", &detailed, at(90)).is_ok());
        assert_eq!(alert(&received).identity(), first.identity(), "details make no other alert of it");
        assert_eq!(identity(&received, &key, "pagerduty", &signal("acknowledge")), Some(first.identity()));
        assert!(take(&mut received, &key, "pagerduty", &signal("resolve"), at(120)).is_ok());
        assert_eq!(alert(&received).ended, Some(at(120)));
        let mut again = signal("trigger");
        again.at = Some(at(0));
        assert!(take(&mut received, &key, "pagerduty", &again, at(180)).is_ok());
        let second = alert(&received);
        assert_eq!(
            (second.started, second.ended),
            (at(180), None),
            "it is back, whatever its sender says of its start"
        );
        assert!(take(&mut received, &key, "pagerduty", &signal("resolve"), at(240)).is_ok());
        tend(&mut received, at(240 + ENDED_FOR + 1));
        assert!(received.keys().is_empty());
    }

    #[test]
    fn what_is_done_about_a_part_at_pagerduty_is_done_to_the_whole() {
        let [part, whole] = [7, 8].map(|id| IncidentId(Uuid::from_u128(id)));
        let (at, by) = (Timestamp::from_second(1_800_000_000).unwrap(), Actor::daybook("test"));
        let mut incidents = Incidents::default();
        for id in [part, whole] {
            let (title, services) = ("web fails".to_owned(), BTreeSet::new());
            let opened = IncidentEvent::Opened { title, severity: Severity::Page, services, alert: None };
            incidents.record(at, &by, id, &opened).unwrap();
        }
        let merged = IncidentEvent::MergedInto { other: whole, why: String::new() };
        incidents.record(at, &by, part, &merged).unwrap();
        let deed = |incidents: &Incidents, action| deed(&signal(action), part, incidents.whole(part).unwrap());
        assert_eq!(deed(&incidents, "resolve"), None, "the whole goes on");
        let (id, event) = deed(&incidents, "acknowledge").unwrap();
        incidents.record(at, &by, id, &event).unwrap();
        assert!(incidents.get(whole).unwrap().is_seen_to());
        assert_eq!(deed(&incidents, "acknowledge"), None, "that changes nothing any more");
    }
}
