//! Whether the rules of a manifest can be evaluated.

use daybook_manifest::{Bundle, Diagnostic, Place, Severity};
use daybook_model::Spec;

/// What is wrong with the rules that a manifest brings along, and with what it wants different about those by default.
pub fn check(spec: &Spec, bundle: &Bundle) -> Vec<Diagnostic> {
    if spec.rules.is_empty() { Vec::new() } else { found(spec, bundle) }
}

/// How many findings are shown: more help nobody.
#[cfg(feature = "observe")]
const MOST: usize = 100;

#[cfg(feature = "observe")]
fn found(spec: &Spec, bundle: &Bundle) -> Vec<Diagnostic> {
    use daybook_rules::builtin::{self, NotAdjusted};

    let files = spec.rules.files.iter().flat_map(|file| {
        let path = bundle.path(&file.name);
        let problems = daybook_rules::file::read(&file.name, &file.text).err().map(|problems| problems.0);
        let of = move |problem: daybook_rules::Problem| {
            let place = place(&path, &file.text, problem.place.line, problem.place.column);
            error("P0121", problem.message, problem.help, place)
        };
        problems.into_iter().flatten().map(of)
    });
    let entry = bundle.entries.first().map(String::as_str).unwrap_or_default();
    let adjusted = crate::observe::wishes(&spec.key, &spec.rules).filter_map(|(wish, line)| {
        let why = builtin::check(&wish).err()?;
        let help = match &why {
            NotAdjusted::Unknown { near: Some(near), .. } => format!("did you mean `{near}`?"),
            NotAdjusted::Unknown { near: None, .. } => "`daybook explain` lists them".to_owned(),
            NotAdjusted::OfMachines(name) => {
                format!("silence it: daybook silence add alertname={name} --for 7d --why …")
            }
            NotAdjusted::NotOfServices(_) => "write it beside `services`, for all of the environment".to_owned(),
            NotAdjusted::NoThreshold(_) => "change `for` or `severity`, or write `off`".to_owned(),
            NotAdjusted::OutOfReach { .. } => "make it less, or write `off`".to_owned(),
        };
        let place = place(entry, bundle.text(entry).unwrap_or_default(), line as usize, 1);
        Some(error("P0122", why.to_string(), help, place))
    });
    files.chain(adjusted).take(MOST).collect()
}

/// This build evaluates nothing.
#[cfg(not(feature = "observe"))]
fn found(_: &Spec, bundle: &Bundle) -> Vec<Diagnostic> {
    let entry = bundle.entries.first().map(String::as_str).unwrap_or_default();
    let help = "build it with the feature `observe`, or leave `rules` and `alerts` out".to_owned();
    let message = "this build of Daybook evaluates no rules".to_owned();
    vec![error("P0121", message, help, place(entry, bundle.text(entry).unwrap_or_default(), 1, 1))]
}

fn error(code: &'static str, message: String, help: String, place: Place) -> Diagnostic {
    let help = Some(help).filter(|help| !help.is_empty());
    Diagnostic {
        code: code.into(),
        severity: Severity::Error,
        message,
        place,
        label: String::new(),
        also: Vec::new(),
        help,
    }
}

/// A place by line and column, both from 1, up to the end of its line.
fn place(file: &str, text: &str, line: usize, column: usize) -> Place {
    let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let written = text[before..].lines().next().unwrap_or_default();
    let at = written.char_indices().nth(column.saturating_sub(1)).map_or(written.len(), |(at, _)| at);
    let at = if column == 1 { written.len() - written.trim_start().len() } else { at };
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let column = written[..at].chars().count() + 1;
    let end = before + written.trim_end().len().max(at);
    Place {
        file: file.to_owned(),
        line: number(line),
        column: number(column),
        start: number(before + at),
        end: number(end),
    }
}

#[cfg(test)]
#[cfg(feature = "observe")]
mod tests {
    use super::*;

    fn checked(manifest: &str, rules: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("monitoring")).unwrap();
        std::fs::write(directory.path().join("daybook.yaml"), manifest).unwrap();
        std::fs::write(directory.path().join("monitoring/web.rules.yaml"), rules).unwrap();
        let (bundle, _) = Bundle::collect(&[directory.path().join("daybook.yaml")], &|_| None, None);
        let options = daybook_manifest::Options::new("production".parse().unwrap());
        let loaded = daybook_manifest::load(&bundle, &options);
        let spec = loaded.spec.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let shown = |found: &Diagnostic| {
            let place = &found.place;
            assert!(bundle.text(&place.file).unwrap().get(place.start as usize..place.end as usize).is_some());
            format!("{}:{}:{} {} {}", bundle.shown(&place.file), place.line, place.column, found.code, found.message)
        };
        check(&spec, &bundle).iter().map(shown).collect()
    }

    #[test]
    fn what_is_wrong_with_rules_has_its_place() {
        let manifest = "app: shop\nservices: {web: {image: nginx}}\nrules: monitoring/*.rules.yaml\n";
        let good = "groups:\n- name: web\n  rules:\n  - {alert: Slow, expr: up == 0, for: 1m}\n";
        assert_eq!(checked(manifest, good), Vec::<String>::new());
        let bad = good.replace("up == 0", "up ==");
        let found = checked(manifest, &bad);
        assert!(found[0].starts_with("monitoring/web.rules.yaml:4:"), "{found:?}");
    }

    #[test]
    fn what_cannot_be_changed_is_told_with_its_line() {
        let manifest = "app: shop\nservices: {web: {image: nginx}}\nalerts:\n  HighLatency: {threshold: 3, for: 10m}\n  HighErorRate: off\n";
        let found = checked(manifest, "");
        assert_eq!(found, ["daybook.yaml:5:3 P0122 no alert by default is called `HighErorRate`"]);
        let manifest = "app: shop\nservices: {web: {image: nginx}}\nalerts:\n  TrafficDrop: {threshold: 1.8, services: {web: off}}\n  BackupOverdue:\n    services:\n      web: off\n";
        let found = checked(manifest, "");
        assert_eq!(found, ["daybook.yaml:7:7 P0122 `BackupOverdue` is not about services"]);
        let manifest = "app: shop\nservices: {web: {image: nginx}}\nalerts:\n  TrafficDrop: {threshold: 2}\n";
        let found = checked(manifest, "");
        let never = "daybook.yaml:4:3 P0122 `TrafficDrop` would never fire: its threshold has to be less than 2";
        assert_eq!(found, [never]);
    }
}
