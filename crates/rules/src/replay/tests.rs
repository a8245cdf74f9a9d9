use daybook_promql::testfile::{self, Storage};

use super::*;
use crate::file;

const MINUTE: i64 = 60_000;

fn replay(rules: &str, series: &[&str], minutes: i64) -> Vec<Replayed> {
    let mut storage = Storage::default();
    for line in series {
        let (labels, items) = testfile::series(line).unwrap();
        storage.append(labels, (0..).zip(items).filter_map(|(n, item): (i64, _)| Some((n * MINUTE, item?))));
    }
    let groups = file::read("rules.yml", &format!("groups: [{{name: g, rules: {rules}}}]")).unwrap();
    let external = Labels::default();
    let range = Range { from: 0, to: minutes * MINUTE, step: MINUTE };
    groups[0].replay(&storage, range, &Environment::new(&external, ""))
}

fn shown(replayed: &Replayed) -> Vec<String> {
    let minute = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), |at| (at / MINUTE).to_string());
    let one = |episode: &Episode| {
        let (fired, ended) = (minute(episode.fired_at), minute(episode.ended_at));
        format!("{} {} {fired} {ended} {}", episode.labels.get("job"), episode.pending_at / MINUTE, episode.summary)
    };
    replayed.episodes.iter().map(one).collect()
}

#[test]
fn history_says_when_a_rule_would_have_fired() {
    let rules = r#"[{record: "job:up", expr: sum by (job) (up)},
      {alert: Down, expr: "job:up == 0", for: 2m, annotations: {summary: "{{ $labels.job }} is {{ $value }}"}}]"#;
    let up = ["up{job=\"a\"} 1 0x3 1 0 1 0x30", "up{job=\"b\"} 1x50", "up{job=\"c\"} 0 0 0 stale _x9 0x3 1"];
    let [replayed] = replay(rules, &up, 20).try_into().unwrap();
    assert!(replayed.error.is_none());
    let expected = ["c 0 2 3 c is 0", "a 1 3 5 a is 0", "a 6 - 7 a is 0", "a 8 10 - a is 0", "c 13 15 17 c is 0"];
    assert_eq!(shown(&replayed), expected);
    assert_eq!(replayed.notified(), 4);
}

#[test]
fn a_replay_is_what_evaluations_would_have_come_to() {
    let rules = "[{alert: Down, expr: up == 0, for: 3m, keep_firing_for: 4m}]";
    // Ups and downs of a fixed but irregular sequence.
    let mut seed = 7_u32;
    let mut values = Vec::new();
    for _ in 0..400 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let stays = values.last().is_some() && seed >> 30 > 0;
        let last: u32 = values.last().copied().unwrap_or(1);
        values.push(if stays { last } else { 1 - last });
    }
    let line = format!("up {}", values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let [replayed] = replay(rules, &[&line], 399).try_into().unwrap();
    let mut storage = Storage::default();
    let (labels, items) = testfile::series(&line).unwrap();
    storage.append(labels, (0..).zip(items).filter_map(|(n, item): (i64, _)| Some((n * MINUTE, item?))));
    let groups = file::read("rules.yml", &format!("groups: [{{name: g, rules: {rules}}}]")).unwrap();
    let (external, mut state) = (Labels::default(), crate::GroupState::default());
    let mut fired = std::collections::BTreeSet::new();
    for minute in 0..400 {
        groups[0].evaluate(&mut state, &storage, minute * MINUTE, &Environment::new(&external, ""));
        fired.extend(state.rules.values().flat_map(|rule| rule.active.values()).filter_map(|alert| alert.fired_at));
    }
    assert!(fired.len() > 5);
    let replayed: std::collections::BTreeSet<i64> =
        replayed.episodes.iter().filter_map(|episode| episode.fired_at).collect();
    assert_eq!(replayed, fired);
}

#[test]
fn a_rule_that_fails_says_so() {
    let up = ["up{job=\"a\", n=\"1\"} 0", "up{job=\"a\", n=\"2\"} 0"];
    let [same, bad] = replay("[{alert: A, expr: up, labels: {n: ''}}, {alert: B, expr: up + on (job) up}]", &up, 1)
        .try_into()
        .unwrap();
    assert!(matches!(same.error, Some((0, RuleError::SameAlerts))), "{same:?}");
    assert!(matches!(bad.error, Some((0, RuleError::Query(_)))), "{bad:?}");
}
