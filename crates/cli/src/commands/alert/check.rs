//! `daybook alert check`: files of rules and of their tests, without a server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use daybook_api::client::Exit;
use daybook_rules::{Group, Problems, file, unit};
use serde::Serialize;

use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::style::{BAD, GOOD, paint};
use crate::output::words::plural;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Files of rules, or of tests as `promtool test rules` has them.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// What came of a file.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    /// Rules that it has, or tests that passed.
    passed: usize,
    is_test: bool,
    failures: Vec<String>,
}

impl Check {
    pub(super) fn run(self, ctx: &Ctx) -> Result<Exit> {
        let checked = self.files.iter().map(|path| check(path)).collect::<Result<Vec<_>>>()?;
        ctx.data(&checked, |checked| checked.iter().map(render).collect())?;
        let failed = checked.iter().any(|checked| !checked.failures.is_empty());
        Ok(if failed { Exit::Failed } else { Exit::Ok })
    }
}

fn check(path: &Path) -> Result<Checked> {
    let (name, text) = read(path)?;
    // What has tests names the files of its rules.
    let is_test = text.lines().any(|line| line.starts_with("tests:") || line.starts_with("rule_files:"));
    let mut checked = Checked { file: name, passed: 0, is_test, failures: Vec::new() };
    if !is_test {
        match file::read(&checked.file, &text) {
            Ok(groups) => checked.passed = groups.iter().map(|group| group.rules.len()).sum(),
            Err(problems) => checked.failures = told(&problems),
        }
        return Ok(checked);
    }
    let tests = match unit::read(&checked.file, &text) {
        Ok(tests) => tests,
        Err(problems) => {
            checked.failures = told(&problems);
            return Ok(checked);
        }
    };
    let mut groups: Vec<Group> = Vec::new();
    for written in &tests.rule_files {
        let named = path.parent().unwrap_or(Path::new(".")).join(written);
        for path in fitting(&named)? {
            let (name, text) = read(&path)?;
            match file::read(&name, &text) {
                Ok(more) => groups.extend(more),
                Err(problems) => checked.failures.extend(told(&problems)),
            }
        }
    }
    if checked.failures.is_empty() {
        for outcome in tests.run(&groups) {
            match outcome.failures.is_empty() {
                true => checked.passed += 1,
                false => checked.failures.extend(outcome.failures),
            }
        }
    }
    Ok(checked)
}

fn read(path: &Path) -> Result<(String, String)> {
    let text = std::fs::read_to_string(path).map_err(|error| CommandError::io(path.display(), &error))?;
    Ok((path.display().to_string(), text))
}

/// The files that a path names: itself, or those beside it that fit its wildcards.
fn fitting(path: &Path) -> Result<Vec<PathBuf>> {
    let pattern = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !pattern.contains(['*', '?']) {
        return Ok(vec![path.to_owned()]);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(directory).map_err(|error| CommandError::io(directory.display(), &error))?;
    let names = entries.flatten().map(|entry| entry.path());
    let fits =
        |path: &PathBuf| path.file_name().is_some_and(|name| daybook_manifest::fits(&pattern, &name.to_string_lossy()));
    let mut found: Vec<PathBuf> = names.filter(fits).collect();
    found.sort();
    Ok(found)
}

fn told(problems: &Problems) -> Vec<String> {
    problems.0.iter().map(ToString::to_string).collect()
}

fn render(checked: &Checked) -> String {
    let Checked { file, passed, is_test, failures } = checked;
    if failures.is_empty() {
        let what = if *is_test {
            format!("{} passed", plural(*passed as u64, "test"))
        } else {
            plural(*passed as u64, "rule")
        };
        return format!("{} {file}: {what}\n", paint(GOOD, "✓"));
    }
    let mut out = format!("{} {file}\n", paint(BAD, "✗"));
    for failure in failures {
        let _ = writeln!(out, "  {failure}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "groups:\n- name: web\n  rules:\n  - {alert: Down, expr: up == 0, for: 2m}\n";
    const TESTS: &str = "rule_files: [\"*.rules.yaml\"]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n  - {series: 'up{job=\"web\"}', values: 1 0x5}\n  alert_rule_test:\n  - eval_time: 4m\n    alertname: Down\n    exp_alerts: [{exp_labels: {job: web}}]\n";

    #[test]
    fn files_of_rules_and_of_tests_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let rules = check(&write("web.rules.yaml", RULES)).unwrap();
        assert!(!rules.is_test && rules.passed == 1 && rules.failures.is_empty(), "{rules:?}");
        let tests = check(&write("web.test.yaml", TESTS)).unwrap();
        assert!(tests.is_test && tests.passed == 1 && tests.failures.is_empty(), "{tests:?}");
        let wrong = check(&write("wrong.test.yaml", &TESTS.replace("job: web}", "job: api}"))).unwrap();
        assert_eq!(wrong.failures.len(), 1, "{wrong:?}");
        write("web.rules.yaml", &RULES.replace("up == 0", "up =="));
        let broken = check(&directory.path().join("web.test.yaml")).unwrap();
        assert!(broken.failures[0].contains("web.rules.yaml:4:"), "{broken:?}");
    }
}
