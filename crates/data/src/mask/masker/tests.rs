use proptest::prelude::*;

use super::*;

fn shape(of: Type, is_unique: bool) -> Shape {
    Shape { of, is_nullable: false, is_unique }
}

fn text(most: Option<usize>) -> Type {
    Type::Text(Text { most, ..Text::ANY })
}

fn every_rule() -> Vec<Rule> {
    let mut rules = vec![Rule::Hash, Rule::Shift { days: 1 }, Rule::Shift { days: 400 }];
    rules.extend(Kind::ALL.map(|(_, kind)| Rule::Fake(kind)));
    rules
}

/// Every rule that fits is held to what `check` says of a value and its masked one.
fn for_every_rule(of: &Type, value: &str, check: impl Fn(&str)) {
    let mut fitting = 0;
    for rule in every_rule() {
        for is_unique in [false, true] {
            let Ok(mask) = Masker::new(b"seed").column(rule, &shape(of.clone(), is_unique)) else { continue };
            fitting += 1;
            let masked = mask.mask(value).unwrap();
            assert_ne!(masked, value, "{rule} of {of:?}");
            assert_eq!(mask.mask(value).unwrap(), masked, "the same for the same");
            check(&masked);
        }
    }
    assert!(fitting > 0, "{of:?}");
}

proptest! {
    // Each case tries every rule: a few dozen values of each type are thousands of masks.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn r23_a_masked_text_is_another_and_fits(value in "\\PC{1,40}", most in 1..60_usize) {
        let value: String = value.chars().take(most).collect();
        for most in [None, Some(most)] {
            for_every_rule(&text(most), &value, |masked| {
                assert!(!masked.is_empty());
                assert!(most.is_none_or(|most| masked.chars().count() <= most), "{masked}");
            });
        }
    }

    #[test]
    fn r23_padding_and_capitals_do_not_make_a_text_another(value in "[a-zA-Z ]{1,8}", spaces in 0..3_usize) {
        let of = Text { most: Some(12), is_padded: true, is_folded: true };
        let padded = format!("{}{}", value.to_uppercase(), " ".repeat(spaces));
        prop_assume!(!value.trim().is_empty());
        for rule in every_rule() {
            let Ok(mask) = Masker::new(b"seed").column(rule, &shape(Type::Text(of), false)) else { continue };
            let masked = mask.mask(&value).unwrap();
            prop_assert_eq!(mask.mask(&padded).unwrap(), masked.clone());
            prop_assert_ne!(of.same(&masked), of.same(&value));
        }
    }

    #[test]
    fn r23_a_masked_integer_is_another_of_its_type(value: i64, bits in prop::sample::select(vec![8_u8, 16, 24, 32, 64])) {
        let value = value >> (64 - bits);
        for_every_rule(&Type::Integer { bits, is_unsigned: false }, &value.to_string(), |masked| {
            let masked: i64 = masked.parse().unwrap();
            assert_eq!(masked, masked << (64 - bits) >> (64 - bits));
        });
        let value = value.cast_unsigned() << (64 - bits) >> (64 - bits);
        for_every_rule(&Type::Integer { bits, is_unsigned: true }, &value.to_string(), |masked| {
            assert!(masked.parse::<u64>().unwrap() <= u64::MAX >> (64 - bits));
        });
    }

    #[test]
    fn r23_masked_keys_stay_unique(values in prop::collection::btree_set(any::<i16>(), 2..60)) {
        let mask = Masker::new(b"seed").column(Rule::Hash, &shape(Type::Integer { bits: 16, is_unsigned: false }, true)).unwrap();
        let masked: std::collections::BTreeSet<_> = values.iter().map(|value| mask.mask(&value.to_string())).collect();
        prop_assert_eq!(masked.len(), values.len());
    }

    #[test]
    fn r23_a_masked_number_is_another(value in "-?(0|[1-9][0-9]{0,5})\\.[0-9]{2}", float: f64, narrow: f32) {
        for_every_rule(&Type::Decimal { precision: Some(8) }, &value, |masked| {
            let digits = masked.chars().filter(char::is_ascii_digit).count();
            assert!(digits <= 8 && masked.split_once('.').unwrap().1.len() == 2, "{value} {masked}");
            assert_ne!(masked.parse::<f64>().unwrap(), value.parse::<f64>().unwrap());
        });
        prop_assume!(float.is_finite() && narrow.is_finite());
        for text in [float.to_string(), format!("{float:e}"), format!("{narrow:e}")] {
            let mask = Masker::new(b"seed").column(Rule::Hash, &shape(Type::Float, false)).unwrap();
            let masked = mask.mask(&text).unwrap();
            prop_assert!(masked.parse::<f64>().unwrap().is_finite());
            prop_assert!(masked != text && (text.len() > 30 || masked.parse::<f64>() != text.parse::<f64>()));
        }
    }

    #[test]
    fn r23_other_types_become_others(year in 1..9999_u32, month in 1..13_u32, day in 1..29_u32, bytes: [u8; 16]) {
        let date = format!("{year:04}-{month:02}-{day:02}");
        for_every_rule(&Type::Date, &date, |masked| assert_eq!(masked.len(), 10, "{masked}"));
        for_every_rule(&Type::Timestamp, &format!("{date} 12:00:00.5+00"), |masked| assert!(masked.len() >= 19));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for_every_rule(&Type::Bytes { most: Some(16) }, &format!("\\x{hex}"), |masked| assert_eq!(masked.len(), 34));
        let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        for_every_rule(&Type::Uuid, &uuid, |masked| assert_eq!(masked.len(), 36));
        let six = std::net::Ipv6Addr::from(bytes).to_string();
        for_every_rule(&Type::Inet, &six, |masked| assert!(masked.parse::<std::net::Ipv6Addr>().is_ok()));
        for_every_rule(&Type::Inet, "10.1.2.3/8", |masked| assert!(masked.parse::<std::net::IpAddr>().is_ok()));
    }

    #[test]
    fn r23_nothing_within_json_or_arrays_stays(one in "[a-z]{12,20}", two in "[a-z ,\"\\\\{}]{12,20}", number in 100..i32::MAX) {
        let value = serde_json::json!({"a": one, "b": [two, number, null, true, {"c": "", "d": 1.5}], "e": {}});
        for_every_rule(&Type::Json, &value.to_string(), |masked| {
            let masked: serde_json::Value = serde_json::from_str(masked).unwrap();
            assert!(masked["a"] != value["a"] && masked["b"][0] != value["b"][0] && masked["b"][1] != value["b"][1]);
            assert!(masked["b"][3] == value["b"][3] && masked["b"][4]["c"] == "" && masked["b"][4]["d"] != 1.5);
        });
        let array = format!("{{{one},NULL,\"{}\"}}", two.replace('\\', "\\\\").replace('"', "\\\""));
        for_every_rule(&Type::Array(Box::new(text(None))), &array, |masked| {
            assert!(!masked.contains(&one) && masked.contains(",NULL,"), "{masked}");
        });
    }
}

#[test]
fn seeds_have_nothing_in_common() {
    let masks = |seed: &[u8]| {
        let masker = Masker::new(seed);
        every_rule()
            .into_iter()
            .filter_map(|rule| masker.column(rule, &shape(text(None), true)).ok())
            .map(|mask| mask.mask("ann@example.net").unwrap())
            .collect::<Vec<_>>()
    };
    assert!(masks(b"one").iter().zip(masks(b"two")).all(|(one, two)| *one != two));
}

#[test]
fn nothing_and_nobodys_stay() {
    let mask = |rule, of| Masker::new(b"seed").column(rule, &shape(of, false)).unwrap();
    assert_eq!(mask(Rule::Hash, text(None)).mask("").as_deref(), Some(""));
    assert_eq!(mask(Rule::Shift { days: 3 }, Type::Date).mask("infinity").as_deref(), Some("infinity"));
    assert_eq!(mask(Rule::Null, Type::Json).mask("{\"a\": 1}").as_deref(), Some("{}"));
    assert_eq!(mask(Rule::Keep, Type::Float).mask("1").as_deref(), Some("1"));
    let nullable = Shape { is_nullable: true, ..shape(text(None), false) };
    assert_eq!(Masker::new(b"seed").column(Rule::Null, &nullable).unwrap().mask("ann"), None);
}

#[test]
fn names_within_json_that_say_something_are_masked() {
    let mask = Masker::new(b"seed").column(Rule::Hash, &shape(Type::Json, false)).unwrap();
    let masked = mask.mask("{\"ann@example.net\": {\"count\": true}}").unwrap();
    assert!(!masked.contains("ann") && masked.contains("{\"count\":true}"), "{masked}");
    assert_eq!(mask.mask(&format!("{}1{}", "[".repeat(500), "]".repeat(500))).as_deref(), Some("{}"), "too deep");
}

#[test]
fn what_does_not_fit_says_what_would() {
    let said = |rule: &str, of: Type, is_unique| {
        let unfit = Masker::new(b"seed").column(rule.parse().unwrap(), &shape(of, is_unique)).err();
        unfit.map(|unfit| unfit.to_string())
    };
    assert!(said("hash", Type::Other("boolean".to_owned()), false).unwrap().contains("use `null`, or `keep`"));
    assert!(said("hash", Type::Date, false).unwrap().contains("shift DAYSd"));
    assert!(said("null", Type::Date, false).unwrap().contains("may not be NULL"));
    assert!(said("fake email", text(Some(20)), true).unwrap().contains("room for 20 characters, and 24 are needed"));
    assert!(said("fake date", Type::Date, true).unwrap().contains("not enough"));
    assert_eq!(said("fake email", text(Some(20)), false), None);
}
