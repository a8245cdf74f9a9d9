//! Text to a configuration.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use daybook_metrics::{Matcher, Op};
use jiff::tz::TimeZone;

use super::config::{Config, GroupBy, Inhibition, Integration, KINDS, Receiver, Route, Settings};
use super::interval::{self, TimeInterval};
use super::matchers::{Matchers, parse_matchers};
use crate::problem::{Problem, Problems};
use crate::read::{Fields, Reading};
use crate::yaml::{Entry, Mark, Node, Value};

const ROOT: [&str; 8] =
    ["global", "templates", "route", "receivers", "inhibit_rules", "mute_time_intervals", "time_intervals", "tracing"];
const ROUTE: [&str; 13] = [
    "receiver",
    "group_by",
    "continue",
    "match",
    "match_re",
    "matchers",
    "group_wait",
    "group_interval",
    "repeat_interval",
    "mute_time_intervals",
    "active_time_intervals",
    "routes",
    "labels",
];
const INHIBITION: [&str; 9] = [
    "name",
    "sources",
    "source_match",
    "source_match_re",
    "source_matchers",
    "target_match",
    "target_match_re",
    "target_matchers",
    "equal",
];
const INTERVAL: [&str; 6] = ["times", "weekdays", "days_of_month", "months", "years", "location"];

pub(super) fn config(file: &str, text: &str) -> Result<Config, Problems> {
    let (reading, root) = Reading::of(file, text);
    let empty = Node { at: Mark { line: 1, column: 1 }, value: Value::Null };
    let root = root.unwrap_or(empty);
    let mut reader = Reader { reading: &reading, notes: Vec::new(), named: Vec::new() };
    let config = reader.config(&root);
    let notes = reader.notes;
    reading.finish(Config { notes, ..config })
}

struct Reader<'r> {
    reading: &'r Reading,
    notes: Vec<Problem>,
    /// Receivers and time intervals that routes name, and where.
    named: Vec<(What, String, Mark)>,
}

#[derive(Clone, Copy)]
enum What {
    Receiver,
    Interval,
}

/// What a route has from the one above.
#[derive(Clone)]
struct Inherited {
    receiver: String,
    group_by: GroupBy,
    waits: [i64; 3],
}

impl Reader<'_> {
    fn config(&mut self, root: &Node) -> Config {
        let fields = self.reading.fields(root, "the configuration", &ROOT);
        let mut intervals = BTreeMap::new();
        for key in ["time_intervals", "mute_time_intervals"] {
            for node in fields.items(key) {
                self.named_interval(node, &mut intervals);
            }
        }
        let mut receivers: Vec<Receiver> = Vec::new();
        for node in fields.items("receivers") {
            let Some(receiver) = self.receiver(node) else { continue };
            if receivers.iter().any(|known| known.name == receiver.name) {
                let message = format!("the receiver `{}` is there twice", receiver.name);
                self.reading.problem(node.at, message, "give it another name");
            }
            receivers.push(receiver);
        }
        let route = self.root_route(&fields);
        self.check_names(&receivers, &intervals);
        let global = fields.get("global").map(|node| (node, self.settings(node)));
        let timeout = global.as_ref().and_then(|(node, _)| {
            let resolve = self.reading.entries(node, "`global`").iter().find(|entry| entry.key == "resolve_timeout")?;
            self.reading.duration(&resolve.value, "`resolve_timeout`")
        });
        let text = |node: &Node| self.reading.text(node, "a template").map(ToOwned::to_owned);
        Config {
            route,
            receivers,
            inhibitions: fields.items("inhibit_rules").iter().map(|node| self.inhibition(node)).collect(),
            intervals,
            resolve_timeout: timeout.unwrap_or(300_000),
            global: global.map(|(_, settings)| settings).unwrap_or_default(),
            templates: fields.items("templates").iter().filter_map(text).collect(),
            notes: Vec::new(),
        }
    }

    fn note(&mut self, at: Mark, message: String, help: &str) {
        self.notes.push(Problem { place: self.reading.place(at), message, help: help.to_owned() });
    }

    fn root_route(&mut self, fields: &Fields<'_, '_>) -> Route {
        let defaults = Inherited {
            receiver: String::new(),
            group_by: GroupBy::Labels(BTreeSet::new()),
            waits: [30_000, 300_000, 14_400_000],
        };
        let empty = Node { at: fields.at, value: Value::Null };
        let node = fields.get("route").unwrap_or_else(|| {
            self.reading.problem(fields.at, "there is no `route`", "add `route:` with a `receiver`");
            &empty
        });
        let mut used = HashSet::new();
        let route = self.route(node, &defaults, "", &mut used);
        if !route.matchers.0.is_empty() || !route.mute.is_empty() || !route.active.is_empty() || route.goes_on {
            let message = "the root route is for all alerts at all times";
            self.reading.problem(node.at, message, "move matchers, time intervals and `continue` into `routes`");
        }
        if route.receiver.is_empty() && fields.has("route") {
            self.reading.problem(node.at, "the root route has no `receiver`", "add `receiver: NAME`");
        }
        route
    }

    fn route(&mut self, node: &Node, above: &Inherited, parent: &str, used: &mut HashSet<String>) -> Route {
        let fields = self.reading.fields(node, "a route", &ROUTE);
        let mut inherited = above.clone();
        if let (Some(receiver), Some(node)) = (fields.text("receiver"), fields.get("receiver")) {
            receiver.clone_into(&mut inherited.receiver);
            self.named.push((What::Receiver, receiver.to_owned(), node.at));
        }
        if let Some(by) = fields.get("group_by") {
            inherited.group_by = self.group_by(by);
        }
        for (wait, key) in inherited.waits.iter_mut().zip(["group_wait", "group_interval", "repeat_interval"]) {
            let Some(given) = fields.duration(key) else { continue };
            *wait = given;
            if given == 0 && key != "group_wait" {
                self.reading.problem(fields.at, format!("`{key}` cannot be zero"), "write a duration like `5m`");
            }
        }
        let matchers = self.matchers(&fields, "");
        let base = if parent.is_empty() { matchers.to_string() } else { format!("{parent}/{matchers}") };
        let mut key = base.clone();
        let mut count = 1;
        while !used.insert(key.clone()) {
            count += 1;
            key = format!("{base}#{count}");
        }
        let mut names = |key: &str| {
            let mut names = Vec::new();
            for item in fields.items(key) {
                let Some(name) = self.reading.text(item, "the name of a time interval") else { continue };
                self.named.push((What::Interval, name.to_owned(), item.at));
                names.push(name.to_owned());
            }
            names
        };
        let (mute, active) = (names("mute_time_intervals"), names("active_time_intervals"));
        let goes_on = fields.boolean("continue").unwrap_or(false);
        let below = fields.items("routes");
        let routes = below.iter().map(|node| self.route(node, &inherited, &key, used)).collect();
        let [group_wait, group_interval, repeat_interval] = inherited.waits;
        let (receiver, group_by) = (inherited.receiver, inherited.group_by);
        Route {
            key,
            receiver,
            matchers,
            goes_on,
            group_by,
            group_wait,
            group_interval,
            repeat_interval,
            mute,
            active,
            routes,
        }
    }

    fn group_by(&self, node: &Node) -> GroupBy {
        let mut names = BTreeSet::new();
        for item in self.reading.items(node, "`group_by`") {
            let Some(name) = self.reading.text(item, "a label of `group_by`") else { continue };
            if name.is_empty() || !names.insert(name.to_owned()) {
                self.reading.problem(item.at, format!("`{name}` is no label, or there twice"), "remove it");
            }
        }
        match names.contains("...") {
            true if names.len() > 1 => {
                self.reading.problem(node.at, "`...` is all labels already", "write `...` alone, or names");
                GroupBy::All
            }
            true => GroupBy::All,
            false => GroupBy::Labels(names),
        }
    }

    /// The matchers of a route, or with a prefix those of one side of an inhibition.
    fn matchers(&self, fields: &Fields<'_, '_>, prefix: &str) -> Matchers {
        let mut all = Vec::new();
        for (key, op) in [("match", Op::Equal), ("match_re", Op::Like)] {
            let Some(node) = fields.get(&format!("{prefix}{key}")) else { continue };
            for (name, at, value) in self.reading.texts(node, &format!("`{prefix}{key}`")) {
                match Matcher::new(name, op, value) {
                    Ok(matcher) => all.push(matcher),
                    Err(error) => self.reading.problem(at, error.to_string(), "correct the pattern"),
                }
            }
        }
        if let Some(node) = fields.get(&format!("{prefix}matchers")) {
            let one = [node.clone()];
            let items =
                if matches!(node.value, Value::Text { .. }) { &one } else { self.reading.items(node, "matchers") };
            for item in items {
                let Some(text) = self.reading.text(item, "a matcher") else { continue };
                match parse_matchers(text) {
                    Ok(matchers) => all.extend(matchers.0),
                    Err(why) => self.reading.problem(item.at, why, "write it like `severity=\"page\"`"),
                }
            }
        }
        Matchers(all)
    }

    fn inhibition(&mut self, node: &Node) -> Inhibition {
        let fields = self.reading.fields(node, "an inhibition", &INHIBITION);
        if let Some(entry) = fields.entry("sources") {
            self.note(entry.at, "`sources` of an inhibition are not looked at".to_owned(), "write `source_matchers`");
        }
        let text = |node: &Node| self.reading.text(node, "a label of `equal`").map(ToOwned::to_owned);
        Inhibition {
            source: self.matchers(&fields, "source_"),
            target: self.matchers(&fields, "target_"),
            equal: fields.items("equal").iter().filter_map(text).collect(),
        }
    }

    fn receiver(&mut self, node: &Node) -> Option<Receiver> {
        let mut name = None;
        let mut integrations = Vec::new();
        for entry in self.reading.entries(node, "a receiver") {
            if entry.key == "name" {
                name = self.reading.text(&entry.value, "`name`").filter(|name| !name.is_empty());
                continue;
            }
            if entry.key == "labels" {
                continue;
            }
            let Some(kind) = KINDS.iter().find(|kind| kind.key == entry.key) else {
                self.unknown_kind(entry);
                continue;
            };
            for item in self.reading.items(&entry.value, &format!("`{}`", entry.key)) {
                if !kind.supported {
                    let message = format!("Daybook cannot notify through {}", kind.name);
                    self.note(item.at, message, "use webhook_configs with a bridge, or another receiver");
                }
                let entries = self.reading.entries(item, "an integration");
                let given = entries.iter().find(|entry| entry.key == "send_resolved");
                let given = given.and_then(|entry| self.reading.boolean(&entry.value, "`send_resolved`"));
                let send_resolved = given.unwrap_or(kind.send_resolved);
                integrations.push(Integration { kind, send_resolved, settings: self.settings(item) });
            }
        }
        if name.is_none() {
            self.reading.problem(node.at, "a receiver has no name", "add `name: …`");
        }
        Some(Receiver { name: name?.to_owned(), integrations })
    }

    fn unknown_kind(&mut self, entry: &Entry) {
        if entry.key.ends_with("_configs") {
            self.note(entry.at, format!("`{}` are of no kind that is known", entry.key), "nobody is told this way");
            return;
        }
        let message = format!("a receiver has no field `{}`", entry.key);
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.key).collect();
        self.reading.problem(entry.at, message, format!("remove it; known are name, {}", known.join(", ")));
    }

    fn settings(&self, node: &Node) -> Settings {
        match json(node) {
            serde_json::Value::Object(map) => Settings(map),
            _ => Settings::default(),
        }
    }

    fn named_interval(&mut self, node: &Node, into: &mut BTreeMap<String, Vec<TimeInterval>>) {
        let fields = self.reading.fields(node, "a named time interval", &["name", "time_intervals"]);
        let name = fields.text("name").unwrap_or_default();
        let intervals = fields.items("time_intervals").iter().map(|node| self.interval(node)).collect();
        if name.is_empty() || into.insert(name.to_owned(), intervals).is_some() {
            let message = format!("the name `{name}` of a time interval is empty or there twice");
            self.reading.problem(fields.at, message, "give it a name of its own");
        }
    }

    fn interval(&mut self, node: &Node) -> TimeInterval {
        let fields = self.reading.fields(node, "a time interval", &INTERVAL);
        let mut interval = TimeInterval::any();
        for item in fields.items("times") {
            let times = self.reading.fields(item, "a range of times", &["start_time", "end_time"]);
            let minutes = |key| times.text(key).and_then(interval::minutes);
            match (minutes("start_time"), minutes("end_time")) {
                (Some(start), Some(end)) if start < end => interval.times.push((start, end)),
                _ => self.reading.problem(
                    item.at,
                    "this is no range of times",
                    "write `{start_time: '09:00', end_time: '17:00'}`, the end after the start",
                ),
            }
        }
        type Ranges = Vec<(i64, i64)>;
        type Parse = fn(&str) -> Option<(i64, i64)>;
        let kinds: [(&str, Parse, &mut Ranges, &str); 4] = [
            ("weekdays", interval::weekdays, &mut interval.weekdays, "write it like `monday:friday`"),
            ("days_of_month", interval::days_of_month, &mut interval.days_of_month, "write it like `1:5` or `-3:-1`"),
            ("months", interval::months, &mut interval.months, "write it like `january:march` or `1:3`"),
            ("years", interval::years, &mut interval.years, "write it like `2026:2028`"),
        ];
        for (key, parse, ranges, help) in kinds {
            for item in fields.items(key) {
                let Some(text) = self.reading.text(item, key) else { continue };
                match parse(text) {
                    Some(range) => ranges.push(range),
                    None => self.reading.problem(item.at, format!("`{text}` is no range of `{key}`"), help),
                }
            }
        }
        match fields.text("location") {
            None | Some("UTC") => {}
            Some("Local") => {
                let message = "`Local` depends on the machine, so UTC is taken".to_owned();
                self.note(fields.at, message, "name a zone, like `Europe/Paris`");
            }
            Some(name) => match TimeZone::get(name) {
                Ok(zone) => interval.zone = zone,
                Err(_) => {
                    let help = "write a name like `Europe/Paris`";
                    self.reading.problem(fields.at, format!("no time zone is called `{name}`"), help);
                }
            },
        }
        interval
    }

    fn check_names(&self, receivers: &[Receiver], intervals: &BTreeMap<String, Vec<TimeInterval>>) {
        for (what, name, at) in &self.named {
            let (known, message, help) = match what {
                What::Receiver => (
                    receivers.iter().any(|receiver| receiver.name == *name),
                    format!("no receiver is called `{name}`"),
                    "add it to `receivers`",
                ),
                What::Interval => (
                    intervals.contains_key(name),
                    format!("no time interval is called `{name}`"),
                    "add it to `time_intervals`",
                ),
            };
            if !known {
                self.reading.problem(*at, message, help);
            }
        }
    }
}

/// A node as JSON has it.
fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Text { text, plain: true } => match text.as_str() {
            "true" => true.into(),
            "false" => false.into(),
            text => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) if number.is_finite() && text.starts_with(|c: char| c.is_ascii_digit()) => {
                    number.into()
                }
                _ => text.into(),
            },
        },
        Value::Text { text, .. } => text.as_str().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}
