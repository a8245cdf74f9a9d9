//! How well what is unusual is found: labelled series, beside three standard deviations and a threshold.
//! `TRACES=FOLDER cargo run --release -p daybook-decide --example detect`, where the folder has `nab_aws` and
//! `ms_cloud_monitoring`. The last line is one JSON object.
//!
//! Faults that are put into the running shop are a part of their own, which has its own keys in the result.

#![allow(clippy::print_stdout, reason = "it is what this is for")]
#![allow(clippy::disallowed_methods, reason = "what decides is pure; what measures it reads files")]

mod peers;
mod score;
mod series;

use std::error::Error;
use std::path::{Path, PathBuf};

use daybook_decide::anomaly::{Detector, Options};
use daybook_model::Timestamp;
use peers::{ThreeSigma, Threshold};
use score::{Score, Watcher, score};
use serde_json::{Value, json};
use series::{Sample, Series};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What every detector may look at before anything counts: two days.
const LEARN_S: i64 = 2 * 86_400;

/// Who is compared, ours first.
const NAMES: [&str; 3] = ["anomaly", "three_sigma", "threshold"];

/// The detector of `decide` as its defaults are, held as our rules hold it: what is unusual for ten minutes begins, and has ended
/// when it was usual for half an hour. Where samples are further apart a single one suffices.
struct Ours {
    detector: Detector,
    slot_s: i64,
    last: Option<i64>,
    /// Since when it is otherwise than it is said to be.
    since: Option<i64>,
    fires: bool,
}

const HOLD_S: i64 = 10 * 60;
const CALM_S: i64 = 30 * 60;

impl Ours {
    fn new(series: &Series) -> Self {
        let slot_ms = Options::default().slot_ms.max(series.step_s() * 1_000);
        let detector = Detector::new(Options { slot_ms, ..Options::default() });
        Self { detector, slot_s: slot_ms / 1_000, last: None, since: None, fires: false }
    }
}

impl Watcher for Ours {
    fn push(&mut self, sample: Sample) -> bool {
        let at = sample.at_s;
        let verdict = self.detector.push(Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH), sample.value);
        let step = self.last.replace(at).map_or(0, |last| (at - last).min(self.slot_s));
        let is_unusual = verdict.is_some_and(|verdict| verdict.away.abs() > 1.0);
        if is_unusual == self.fires {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(at);
        let wait = if self.fires { CALM_S } else { HOLD_S };
        if at - since + step < wait {
            return false;
        }
        (self.since, self.fires) = (None, is_unusual);
        is_unusual
    }
}

fn main() -> Result<()> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces");
    let folder = std::env::var_os("TRACES").map_or_else(beside, PathBuf::from);
    let mut result = json!({});
    if folder.is_dir() {
        result["series"] = labelled(&folder)?;
    } else {
        println!("{} is not there: no labelled series (TRACES says where they are)", folder.display());
    }
    println!("{result}");
    Ok(())
}

fn labelled(folder: &Path) -> Result<Value> {
    let mut all = nab(&folder.join("nab_aws"))?;
    all.extend(microsoft(&folder.join("ms_cloud_monitoring"))?);
    println!("alerts right/wrong, windows found/all, by series: ours, three deviations, threshold");
    let mut parts = [("tuned_on", [Score::default(); 3]), ("kept_aside", [Score::default(); 3])];
    for series in &all {
        let mut watchers: [Box<dyn Watcher>; 3] =
            [Box::new(Ours::new(series)), Box::new(ThreeSigma::new()), Box::new(Threshold::new(LEARN_S))];
        let scores: Vec<_> = watchers.iter_mut().map(|watcher| score(series, watcher.as_mut(), LEARN_S)).collect();
        let is_aside = score::is_kept_aside(&series.name);
        let told: Vec<_> = scores
            .iter()
            .map(|one| format!("{:>3}/{:<4} {:>2}/{:<2}", one.right, one.wrong, one.found, one.windows))
            .collect();
        let mark = if is_aside { "aside" } else { "tuned" };
        println!("{mark}  {:<42} {}", series.name, told.join("   "));
        let sums = &mut parts[usize::from(is_aside)].1;
        sums.iter_mut().zip(scores).for_each(|(sum, one)| *sum = sum.and(one));
    }
    let mut result = json!({});
    for (part, scores) in parts {
        for (name, score) in NAMES.iter().zip(scores) {
            println!(
                "{part:<11} {name:<12} precision {:.2}  recall {:.2}  F1 {:.2}  wrong alerts a week and series {:.2}",
                score.precision(),
                score.recall(),
                score.f1(),
                score.wrong_a_week()
            );
            result[part][name] = told(&score);
        }
    }
    Ok(result)
}

fn told(score: &Score) -> Value {
    json!({
        "precision": score.precision(), "recall": score.recall(), "f1": score.f1(),
        "wrong_a_week": score.wrong_a_week(), "windows": score.windows, "found": score.found,
    })
}

/// Numenta's: a file for each series, and one with the windows of all.
fn nab(folder: &Path) -> Result<Vec<Series>> {
    let labels = read(&folder.join("combined_windows_labels.json"))?;
    let labels: Value = serde_json::from_str(&labels).map_err(|error| format!("the windows: {error}"))?;
    let mut all = Vec::new();
    for file in files(folder)? {
        let mut series = read_series(&file, "nab_aws")?;
        let windows = labels[&series.name].as_array().ok_or("a series has no windows")?;
        let time = |value: &Value| value.as_str().and_then(series::seconds);
        series.windows = windows.iter().filter_map(|pair| Some((time(&pair[0])?, time(&pair[1])?))).collect();
        all.push(series);
    }
    Ok(all)
}

/// Microsoft's: a folder for each kind, and labels beside the values.
fn microsoft(folder: &Path) -> Result<Vec<Series>> {
    let mut folders: Vec<_> = entries(folder)?.into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    let mut all = Vec::new();
    for folder in folders {
        for file in files(&folder)? {
            all.push(read_series(&file, "ms_cloud_monitoring")?);
        }
    }
    Ok(all)
}

fn read_series(file: &Path, set: &str) -> Result<Series> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(Series::read(&name, set, &read(file)?))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = entries(folder)?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    files.sort();
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

fn read(file: &Path) -> Result<String> {
    Ok(std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?)
}
