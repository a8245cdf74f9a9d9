//! An organisation's own rules, in Rego, on top of regorus.
//!
//! Rules are asked about a document that [`input()`] makes of a specification; it holds no value of a secret. What
//! `deny` holds refuses a plan, what `warn` holds is said. [`test`] runs the rules' own tests. Nothing here reads a file
//! or reaches the network, and every evaluation ends: after [`PATIENCE`] it is given up.

mod input;

use std::num::NonZeroU32;
use std::time::Duration;

use daybook_model::policy::{Author, Fate, Finding, Key, KeyPath, RuleFile, Severity};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use serde_json::Value as Json;

pub use input::{About, input};

/// How long all rules of a policy may take together.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// What rules found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ran {
    /// In the order of the packages; the fate of what `deny` holds is to be denied.
    pub findings: Vec<Finding>,
    /// How many sets of rules were asked: one for each `deny` and `warn` of a package.
    pub asked: usize,
}

/// Rules that cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Broken {
    /// Why, with the file, the line and the column.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// One test of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// `team.test_labels_are_needed`.
    pub name: String,
    /// The file that it is in.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// Nothing, when it passes.
    pub failure: Option<String>,
}

/// Asks all rules about `input`.
///
/// # Errors
/// A file is not Rego, an evaluation fails or takes too long, or what a rule holds has no message.
pub fn run(files: &[RuleFile], input: &Json, author: Author) -> Result<Ran, Broken> {
    let mut engine = engine(files)?;
    engine.set_input(Value::from(input.clone()));
    let mut ran = Ran::default();
    for package in packages(&engine)? {
        let document = engine.eval_query(package.clone(), false).map_err(|error| broken(&error))?;
        let value =
            document.result.first().and_then(|result| result.expressions.first()).map(|found| found.value.clone());
        let json =
            value.and_then(|value| value.to_json_str().ok()).and_then(|text| serde_json::from_str::<Json>(&text).ok());
        let Some(Json::Object(rules)) = json else { continue };
        for (word, fate, severity) in
            [("deny", Fate::Denied { by: author }, Severity::High), ("warn", Fate::Warned, Severity::Medium)]
        {
            let Some(held) = rules.get(word) else { continue };
            ran.asked += 1;
            for item in items(held) {
                ran.findings.push(finding(&package, item, fate.clone(), severity)?);
            }
        }
    }
    Ok(ran)
}

/// Runs every rule whose name begins with `test_`, each on its own.
///
/// # Errors
/// A file is not Rego.
pub fn test(files: &[RuleFile]) -> Result<Vec<Test>, Broken> {
    engine(files)?;
    let mut tests = Vec::new();
    for file in files {
        let package =
            file.text.lines().find_map(|line| line.trim().strip_prefix("package ")).map(str::trim).unwrap_or_default();
        for (at, line) in file.text.lines().enumerate() {
            let Some(name) = test_name(line) else { continue };
            let failure = match engine(files)?.eval_rule(format!("data.{package}.{name}")) {
                Ok(Value::Bool(true)) => None,
                Ok(Value::Undefined) => Some("it does not hold".to_owned()),
                Ok(other) => Some(format!("it is {other}")),
                Err(error) => Some(broken(&error).why),
            };
            tests.push(Test { name: format!("{package}.{name}"), file: file.name.clone(), line: at + 1, failure });
        }
    }
    Ok(tests)
}

/// The name of the test that a line begins.
fn test_name(line: &str) -> Option<&str> {
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(line.len());
    line[..end].starts_with("test_").then_some(&line[..end])
}

fn engine(files: &[RuleFile]) -> Result<Engine, Broken> {
    let mut engine = Engine::new();
    let check_interval = NonZeroU32::new(256).expect("a literal above 0");
    engine.set_execution_timer_config(ExecutionTimerConfig { limit: PATIENCE, check_interval });
    for file in files {
        engine.add_policy(file.name.clone(), file.text.clone()).map_err(|error| broken(&error))?;
    }
    Ok(engine)
}

/// The packages, each once, in order.
fn packages(engine: &Engine) -> Result<Vec<String>, Broken> {
    let mut packages = engine.get_packages().map_err(|error| broken(&error))?;
    packages.sort();
    packages.dedup();
    Ok(packages)
}

/// What a library's error says, without the excerpt of its own.
fn broken(error: &dyn std::fmt::Display) -> Broken {
    let said = error.to_string();
    if said.contains("time limit") || said.contains("exceeded") {
        return Broken {
            why: format!("the rules do not end: they were given up after {} s", PATIENCE.as_secs()),
            hint: "look for a rule that goes through all pairs of something".to_owned(),
        };
    }
    let place = said.lines().find_map(|line| line.trim().strip_prefix("--> "));
    let what = said.lines().rev().map(str::trim).find_map(|line| line.strip_prefix("error: "));
    let why = match (place, what) {
        (Some(place), Some(what)) => format!("{place}: {what}"),
        _ => said,
    };
    Broken {
        why,
        hint: "rules are in Rego, as of OPA 1.0: https://www.openpolicyagent.org/docs/policy-language".to_owned(),
    }
}

fn items(held: &Json) -> Vec<&Json> {
    match held {
        Json::Array(items) => items.iter().collect(),
        Json::Object(_) | Json::String(_) => vec![held],
        _ => Vec::new(),
    }
}

/// A text, or an object with `msg`, and maybe `id`, `service`, `path`, `severity` and `help`.
fn finding(package: &str, item: &Json, fate: Fate, severity: Severity) -> Result<Finding, Broken> {
    let text = |key: &str| item.get(key).and_then(Json::as_str);
    let Some(message) = item.as_str().or_else(|| text("msg")) else {
        return Err(Broken {
            why: format!("what {package} holds has no message: {item}"),
            hint: "write `deny contains msg if …`, or an object with `msg`".to_owned(),
        });
    };
    let name = package.rsplit('.').next().unwrap_or(package);
    let service = text("service").and_then(|service| service.parse().ok());
    let path = match (text("path"), &service) {
        (Some(path), _) => KeyPath(path.split('.').map(|key| Key::Name(key.to_owned())).collect()),
        (None, Some(service)) => KeyPath::service(service, &[]),
        (None, None) => KeyPath::default(),
    };
    let severity = text("severity")
        .and_then(|word| Severity::ALL.into_iter().find(|one| one.as_str() == word))
        .unwrap_or(severity);
    Ok(Finding {
        check: text("id").unwrap_or(name).to_owned(),
        name: name.to_owned(),
        severity,
        service,
        path,
        message: message.to_owned(),
        help: text("help").unwrap_or("see the rules of the policy").to_owned(),
        fix: Vec::new(),
        fate,
    })
}

#[cfg(test)]
mod tests;
