//! The store against a list, for random lines and queries.

use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::query::{Condition, Op, Pattern, Text};
use crate::{Field, Level, Levels};

/// A query, and what it means, said in another way.
#[derive(Debug, Clone)]
struct Asked {
    from: i64,
    to: i64,
    levels: Vec<Option<Level>>,
    service: Option<String>,
    field: Option<(String, Op, String)>,
    phrases: Vec<(String, bool)>,
    regex: Option<(String, bool)>,
    direction: Direction,
    limit: usize,
}

impl Asked {
    fn query(&self) -> Query {
        let condition = |name: &str, op, value: &str| Condition::new(name, op, value).unwrap();
        let phrase =
            |(text, wanted): &(String, bool)| Text { pattern: Pattern::phrase(text).unwrap(), wanted: *wanted };
        let regex = |(text, wanted): &(String, bool)| Text { pattern: Pattern::regex(text).unwrap(), wanted: *wanted };
        Query {
            from: START + self.from,
            to: START + self.to,
            levels: self.levels.iter().fold(Levels::NONE, |all, level| all.either(Levels::only(*level))),
            labels: self.service.iter().map(|service| condition("service", Op::Equal, service)).collect(),
            fields: self.field.iter().map(|(name, op, value)| condition(name, *op, value)).collect(),
            texts: self.phrases.iter().map(phrase).chain(self.regex.iter().map(regex)).collect(),
            direction: self.direction,
            limit: self.limit,
            numbers: None,
            after: None,
        }
    }

    /// Its patterns: of the text, and of the value of a field.
    fn patterns(&self) -> (Option<Regex>, Option<Regex>) {
        let like = self.field.as_ref().filter(|(_, op, _)| *op == Op::Like);
        let whole = like.map(|(.., value)| Regex::new(&format!("^({value})$")).unwrap());
        (self.regex.as_ref().map(|(pattern, _)| Regex::new(pattern).unwrap()), whole)
    }

    /// Whether it is about a line, without anything of what makes a search fast.
    fn is_about(&self, line: &Line, patterns: &(Option<Regex>, Option<Regex>)) -> bool {
        let text = line.text().into_owned();
        let has = |phrase: &str| text.to_ascii_lowercase().contains(&phrase.to_ascii_lowercase());
        let fits = |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_some_and(|pattern| pattern.is_match(text));
        let value = |name: &str| {
            let beside = line.fields.iter().find(|field| field.name == name).map(|field| field.value.to_string());
            beside.or_else(|| line.parsed().get(name).map(ToOwned::to_owned)).unwrap_or_default()
        };
        let number = |text: &str| text.parse::<f64>().ok();
        (self.from..=self.to).contains(&(line.at - START))
            && self.levels.contains(&line.level)
            && self.service.as_ref().is_none_or(|service| line.stream.get("service") == service)
            && self.phrases.iter().all(|(phrase, wanted)| has(phrase) == *wanted)
            && self.regex.as_ref().is_none_or(|(_, wanted)| fits(&patterns.0, &text) == *wanted)
            && self.field.as_ref().is_none_or(|(name, op, given)| match op {
                Op::Equal => value(name) == *given,
                Op::NotEqual => value(name) != *given,
                Op::Like => fits(&patterns.1, &value(name)),
                _ => number(&value(name)).zip(number(given)).is_some_and(|(value, given)| value > given),
            })
    }
}

fn a_line() -> impl Strategy<Value = Line> {
    let text = prop_oneof![
        "[a-d]{4,12}( [a-dA-D]{1,8}){0,5}",
        "(ERROR|WARN|INFO) [a-d]{5,9} (k|user)=[a-d0-9]{1,8}",
        r#"\{"level":"(error|info)","k":"[a-d]{1,9}(\\n|\\u0061|\\"|é)?[a-d]{0,6}","user":[0-9]{1,3}\}"#,
        "(k|user)=\"[a-d ]{0,12}(\\\\\")?[a-d]{0,3}\" x=[0-9]{1,2}",
        ".{0,20}",
    ];
    let beside = prop::option::weighted(0.2, ("(k|user)", "[a-d]{1,9}"));
    (0i64..400, 0usize..4, 0usize..2, text, beside).prop_map(|(at, service, replica, text, beside)| {
        let service = ["web", "api", "worker", "cron"][service];
        let mut line = Line::read(START + at, stream(service, replica), text);
        line.fields.extend(beside.map(|(name, value)| Field { name: name.into(), value: value.into() }));
        line
    })
}

fn a_question() -> impl Strategy<Value = Asked> {
    let levels = prop_oneof![
        3 => Just(vec![None, Some(Level::Info), Some(Level::Warn), Some(Level::Error)]),
        1 => Just(vec![Some(Level::Error)]),
        1 => Just(vec![None, Some(Level::Warn)]),
    ];
    let service = prop::option::weighted(0.3, prop_oneof![Just("web".to_owned()), Just("api".to_owned())]);
    let op = prop_oneof![4 => Just(Op::Equal), 1 => Just(Op::NotEqual), 1 => Just(Op::Like)];
    let textual = ("(k|user|x)", op, "[a-d0-9]{0,9}(\n|\"|é)?[a-d]{0,6}");
    let field = prop_oneof![4 => textual, 1 => (Just("user".to_owned()), Just(Op::Greater), "[0-9]{1,3}")];
    let phrases = prop::collection::vec(("[a-dA-D]{1,7}( [a-d]{1,5})?|é|[a-d]=", prop::bool::weighted(0.8)), 0..2);
    let regex = ("(\\(\\?i\\))?[a-d]{2,6}[.+*]?([a-d]{5,6}|\\(ab\\|cd\\)|\\[abd\\]|\\$)?", any::<bool>());
    let direction = prop_oneof![Just(Direction::Newest), Just(Direction::Oldest)];
    let rest = (direction, 1usize..40, 0i64..200, 200i64..400);
    (levels, service, prop::option::weighted(0.4, field), phrases, prop::option::weighted(0.3, regex), rest).prop_map(
        |(levels, service, field, phrases, regex, (direction, limit, from, to))| Asked {
            from,
            to,
            levels,
            service,
            field,
            phrases,
            regex,
            direction,
            limit,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_a_scan_of_all_lines_finds(
        batches in prop::collection::vec(prop::collection::vec(a_line(), 1..20), 1..12),
        questions in prop::collection::vec(a_question(), 1..8),
        tended in 0usize..12,
        reopened in any::<bool>(),
    ) {
        let files = Memory::default();
        let (mut store, _) = open(&files, small());
        for (number, batch) in batches.iter().enumerate() {
            prop_assert_eq!(store.append(batch, START).unwrap().accepted, batch.len() as u64);
            if number == tended {
                settle(&store, START);
                if reopened {
                    drop(store);
                    store = open(&files, small()).0;
                }
            }
        }
        let lines: Vec<&Line> = batches.iter().flatten().collect();
        for asked in questions {
            let patterns = asked.patterns();
            let mut expected: Vec<(i64, usize)> =
                lines.iter().enumerate().filter(|(_, line)| asked.is_about(line, &patterns)).map(|(at, line)| (line.at, at)).collect();
            expected.sort_unstable();
            if asked.direction == Direction::Newest {
                expected.reverse();
            }
            let query = asked.query();
            let got = found(&store, &query);
            let numbers: Vec<(i64, usize)> =
                got.iter().map(|kept| (kept.line.at, kept.position.number as usize)).collect();
            prop_assert_eq!(&numbers, &expected, "{:?}", query.to_string());
            for kept in &got {
                prop_assert_eq!(&kept.line, lines[kept.position.number as usize]);
                prop_assert!(query.takes(&kept.line));
            }
            let (bars, _) = store.count(&query, 100, &never).unwrap();
            prop_assert_eq!(bars.iter().map(super::super::Bar::total).sum::<u64>(), expected.len() as u64);
        }
    }
}
