//! Runs the cases of `tests/cases`, which are in the format of Prometheus' test files. Each expectation in them was also
//! confirmed by Prometheus 3.8 (its own runner of this format passes all of them).

use std::fmt::Write;
use std::path::Path;

use daybook_promql::testfile::{Verdict, run};

#[test]
fn every_case_is_as_expected() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let (mut cases, mut failures) = (0, String::new());
    for entry in std::fs::read_dir(&directory).expect("the cases are there") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let of_file = run(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        cases += of_file.len();
        for case in of_file {
            match case.verdict {
                Verdict::Passed => {}
                Verdict::Failed(why) | Verdict::Unparsed(why) => {
                    writeln!(failures, "{name}:{}: {}: {why}", case.line, case.query).expect("a text has room");
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(cases >= 400, "only {cases} cases");
}

#[test]
fn what_the_parser_cannot_read_is_no_failure_of_the_evaluation() {
    let verdict = |query: &str| run(&format!("eval instant at 0 {query}\n")).unwrap().remove(0).verdict;
    // Selectors with modifiers of their own, durations that are computed, and trims of native histograms.
    for query in ["rate(a_total[5m] anchored)", "a smoothed", "rate(a_total[1m + 1m])", "h </ 3", "h >/ 3"] {
        assert!(matches!(verdict(query), Verdict::Unparsed(_)), "{query}");
    }
    assert_eq!(verdict("a"), Verdict::Passed);
}

#[test]
fn a_wrong_expectation_is_told_with_its_reason() {
    let text = "load 1m\n  a 1 2\n\neval instant at 1m a\n  a 3\n\neval instant at 1m a\n  expect fail\n";
    let cases = run(text).unwrap();
    let Verdict::Failed(why) = &cases[0].verdict else { panic!("{cases:?}") };
    assert_eq!((cases[0].line, why.as_str()), (4, "a is 2 instead of 3"));
    assert_eq!(cases[1].verdict, Verdict::Failed("it should have failed".to_owned()));
    assert_eq!(run("load soon\n").unwrap_err().to_string(), "line 1: `soon` is no duration");
}
