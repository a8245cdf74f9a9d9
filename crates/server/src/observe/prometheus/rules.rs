//! `/api/v1/rules` and `/api/v1/alerts`.

use axum::extract::State;
use daybook_metrics::Labels;
use daybook_model::Timestamp;
use daybook_rules::{Active, Rule, RuleState, as_map};
use serde_json::{Value, json};

use super::super::alerts::EVALUATE_EVERY;
use super::super::lock;
use super::super::rules::Owned;
use super::answer::{self, Refused};
use super::parameters::Parameters;
use super::{Answered, App};

/// All groups with their rules, and how they stand.
pub(super) async fn rules(State(app): State<App>, asked: Parameters) -> Answered {
    let wanted = Chosen::of(&asked)?;
    let evaluated = lock(&app.inner.observatory.evaluated).clone();
    let groups = evaluated.groups.iter().filter_map(|owned| {
        let state = evaluated.standing.groups.get(&owned.name()).cloned().unwrap_or_default();
        if !chosen(&wanted.groups, &owned.group.name) || !chosen(&wanted.files, &file(owned)) {
            return None;
        }
        let rules = owned.group.standing(&state).filter(|(rule, _)| wanted.has(rule));
        let rules: Vec<_> = rules.map(|(rule, of)| told(rule, of, state.evaluated_at, wanted.with_alerts)).collect();
        // A group of which nothing is wanted is not told, as with Prometheus.
        (!rules.is_empty() || wanted.is_all()).then(|| {
            json!({
                "name": owned.group.name,
                "file": file(owned),
                "rules": rules,
                "interval": owned.group.interval.unwrap_or(EVALUATE_EVERY.as_millis() as i64) as f64 / 1e3,
                "limit": owned.group.limit,
                "evaluationTime": 0,
                "lastEvaluation": time(state.evaluated_at.unwrap_or_default()),
            })
        })
    });
    let groups: Vec<_> = groups.collect();
    Ok(answer::success(&json!({"groups": groups})))
}

/// All alerts that are pending or fire.
pub(super) async fn alerts(State(app): State<App>) -> Answered {
    let evaluated = lock(&app.inner.observatory.evaluated).clone();
    let states = evaluated.standing.groups.values().flat_map(|group| group.rules.values());
    let alerts: Vec<_> = states.flat_map(live).map(alert).collect();
    Ok(answer::success(&json!({"alerts": alerts})))
}

/// The file of a group, with whose it is: two environments may have the same.
fn file(owned: &Owned) -> String {
    match &owned.key {
        Some(key) => format!("{key}/{}", owned.group.file),
        None => owned.group.file.to_string(),
    }
}

/// Which rules are asked for.
struct Chosen {
    kind: Option<&'static str>,
    rules: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    with_alerts: bool,
}

impl Chosen {
    fn of(asked: &Parameters) -> Result<Self, Refused> {
        let kind = match asked.get("type").map(str::to_lowercase).as_deref() {
            None | Some("") => None,
            Some("alert") => Some("alert"),
            Some("record") => Some("record"),
            Some(_) => return Err(Refused::bad("invalid parameter \"type\": not supported value")),
        };
        Ok(Self {
            kind,
            rules: asked.all("rule_name[]"),
            groups: asked.all("rule_group[]"),
            files: asked.all("file[]"),
            with_alerts: asked.get("exclude_alerts").is_none_or(|value| value != "true"),
        })
    }

    fn has(&self, rule: &Rule) -> bool {
        let kind = if matches!(rule, Rule::Alert(_)) { "alert" } else { "record" };
        self.kind.is_none_or(|wanted| wanted == kind) && chosen(&self.rules, rule.name())
    }

    fn is_all(&self) -> bool {
        self.kind.is_none() && self.rules.is_empty()
    }
}

/// Whether a name is among those that are asked for, or none is.
fn chosen(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|known| known == name)
}

fn live(state: &RuleState) -> impl Iterator<Item = &Active> {
    state.active.values().filter(|active| active.state != daybook_rules::State::Inactive)
}

fn told(rule: &Rule, state: Option<&RuleState>, evaluated_at: Option<i64>, with_alerts: bool) -> Value {
    let error = state.and_then(|state| state.error.clone());
    let health = match (&error, evaluated_at) {
        (Some(_), _) => "err",
        (None, Some(_)) => "ok",
        (None, None) => "unknown",
    };
    let mut told = json!({
        "name": rule.name(),
        "query": rule.query().text,
        "health": health,
        "evaluationTime": 0,
        "lastEvaluation": time(evaluated_at.unwrap_or_default()),
    });
    if let Some(error) = error {
        told["lastError"] = error.into();
    }
    match rule {
        Rule::Record(rule) => {
            told["type"] = "recording".into();
            told["labels"] = json!(as_map(&Labels::new(rule.labels.iter().cloned())));
        }
        Rule::Alert(rule) => {
            let texts = |all: &[(String, daybook_rules::template::Template)]| -> Value {
                all.iter()
                    .map(|(name, text)| (name.clone(), Value::from(text.text())))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            };
            let alerts: Vec<&Active> = state.into_iter().flat_map(live).collect();
            let worst = alerts.iter().map(|active| active.state).max().unwrap_or(daybook_rules::State::Inactive);
            told["type"] = "alerting".into();
            told["state"] = worst.word().into();
            told["duration"] = json!(rule.hold as f64 / 1e3);
            told["keepFiringFor"] = json!(rule.keep as f64 / 1e3);
            told["labels"] = texts(&rule.labels);
            told["annotations"] = texts(&rule.annotations);
            let shown: Vec<Value> = if with_alerts { alerts.into_iter().map(alert).collect() } else { Vec::new() };
            told["alerts"] = shown.into();
        }
    }
    told
}

fn alert(active: &Active) -> Value {
    let mut told = json!({
        "labels": as_map(&active.labels),
        "annotations": active.annotations,
        "state": active.state.word(),
        "activeAt": time(active.active_at),
        "value": exponent(active.value),
    });
    if let Some(since) = active.kept_since {
        told["keepFiringSince"] = time(since).into();
    }
    told
}

fn time(at: i64) -> String {
    Timestamp::from_millisecond(at).unwrap_or_default().to_string()
}

/// A number with its exponent, as Prometheus tells the value of an alert: `1.5e+02`.
fn exponent(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}

#[cfg(test)]
mod tests {
    use daybook_rules::builtin;

    use super::*;

    #[test]
    fn values_have_exponents() {
        let all = [1.0, 150.0, -0.05, 0.0, f64::INFINITY, f64::NAN].map(exponent);
        assert_eq!(all, ["1e+00", "1.5e+02", "-5e-02", "0e+00", "+Inf", "NaN"]);
    }

    #[test]
    fn a_rule_has_the_shape_of_prometheus() {
        let group = builtin::groups().into_iter().next().unwrap();
        let alert = group.rules.iter().find(|rule| rule.name() == "HighErrorRate").unwrap();
        let told = told(alert, None, None, true);
        assert_eq!(told["type"], "alerting");
        assert_eq!((&told["duration"], &told["keepFiringFor"]), (&json!(120.0), &json!(300.0)));
        assert_eq!((&told["state"], &told["health"]), (&json!("inactive"), &json!("unknown")));
        assert_eq!((&told["labels"]["severity"], &told["alerts"]), (&json!("page"), &json!([])));
        assert_eq!(super::told(&group.rules[0], None, Some(0), true)["type"], "recording");
    }
}
