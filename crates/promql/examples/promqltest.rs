//! How many cases of test files in the format of Prometheus pass: our own, and those of the folder that `PROMQLTEST` names, or
//! the files that are given. `cargo run --release -p daybook-promql --example promqltest [FILE …]`.
//!
//! Cases whose query the parser cannot read are counted by what is new to it. `VERBOSE=1` tells every case that does not pass.
//! The last line is one JSON object.

#![allow(clippy::print_stdout, reason = "it is what this is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use daybook_promql::testfile::{Case, Verdict, run};
use serde_json::{Value, json};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let given: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if !given.is_empty() {
        println!("{}", Count::of(&given)?.told());
        return Ok(());
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut result = json!({ "own": Count::of(&files(&own)?)?.told() });
    match std::env::var_os("PROMQLTEST") {
        Some(folder) => result["theirs"] = Count::of(&files(Path::new(&folder))?)?.told(),
        None => println!("PROMQLTEST names no folder with test files of Prometheus: only our own are run"),
    }
    println!("{result}");
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    files.sort();
    Ok(files)
}

/// How cases went.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    /// By what the parser does not know.
    skipped: BTreeMap<&'static str, usize>,
    unreadable_files: usize,
}

impl Count {
    fn of(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut count = Self::default();
        for path in paths {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            match run(&text) {
                Ok(cases) => cases.iter().for_each(|case| count.add(path, case)),
                Err(error) => {
                    println!("{}: {error}", path.display());
                    count.unreadable_files += 1;
                }
            }
        }
        for (kind, cases) in &count.skipped {
            println!("{cases} not run: {kind}");
        }
        Ok(count)
    }

    fn add(&mut self, path: &Path, case: &Case) {
        let why = match &case.verdict {
            Verdict::Passed => {
                self.passed += 1;
                return;
            }
            Verdict::Failed(why) => {
                self.failed += 1;
                why
            }
            Verdict::Unparsed(why) => {
                *self.skipped.entry(kind(&case.query, why)).or_default() += 1;
                why
            }
        };
        if matches!(case.verdict, Verdict::Failed(_)) || std::env::var_os("VERBOSE").is_some() {
            println!("{}:{}: {}\n    {why}", path.display(), case.line, case.query);
        }
    }

    fn told(&self) -> Value {
        let ran = self.passed + self.failed;
        json!({
            "passed": self.passed,
            "failed": self.failed,
            "share": self.passed as f64 / ran.max(1) as f64,
            "skipped": self.skipped,
            "unreadable_files": self.unreadable_files,
        })
    }
}

/// Words of a query, or of why it cannot be read, and what the parser does not know where they are; the first that fits counts.
const KINDS: [(&[&str], &str); 6] = [
    (&["counters began"], "start timestamps: samples do not say when counters began"),
    (&["anchored", "smoothed"], "`anchored` and `smoothed`: promql-parser does not know these modifiers"),
    (&["</", ">/"], "trimmed histograms (`</`, `>/`): promql-parser does not know these operators"),
    (&["info("], "selectors of `info`: promql-parser refuses a selector without a name"),
    (&["{\"", "{ \"", "{'", "(\"", ", \"", "sum by (`"], "names in UTF-8: promql-parser does not know quoted names"),
    (&["[", "offset"], "durations that are computed: promql-parser knows only literal ones"),
];

fn kind(query: &str, why: &str) -> &'static str {
    let fits = |words: &&(&[&str], &str)| words.0.iter().any(|word| query.contains(word) || why.contains(word));
    KINDS.iter().find(fits).map_or("other", |(_, kind)| kind)
}
