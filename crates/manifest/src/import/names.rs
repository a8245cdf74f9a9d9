//! Names that are valid here, each given once.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// How long a name may be.
const LONGEST: usize = 63;

/// The names of one kind of thing.
#[derive(Default)]
pub(super) struct Names {
    taken: RefCell<HashSet<String>>,
    /// How many names were made of each beginning: the next number is not searched for.
    counts: RefCell<HashMap<String, usize>>,
}

impl Names {
    /// The first of `wanted` that is free; with a number behind the last of them if none is.
    pub(super) fn take(&self, wanted: &[&str]) -> String {
        let wanted: Vec<String> = wanted.iter().map(|wanted| valid(wanted)).collect();
        let mut taken = self.taken.borrow_mut();
        for name in &wanted {
            if taken.insert(name.clone()) {
                return name.clone();
            }
        }
        let base = wanted.last().cloned().unwrap_or_else(|| "unnamed".to_owned());
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(base.clone()).or_insert(1);
        loop {
            *count += 1;
            let number = format!("-{count}");
            let name = format!("{}{number}", &base[..base.len().min(LONGEST - number.len())]);
            if taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// `text` with what no name may hold taken out.
pub(super) fn valid(text: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' };
    let name: String = text.chars().map(good).collect();
    let name = name.trim_start_matches(['_', '.', '-']);
    let name = name[..name.len().min(LONGEST)].trim_end_matches(['.', '-']);
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_once_and_is_valid() {
        let names = Names::default();
        let long = "a".repeat(200);
        let given = ["web", "web", "web", "-x y", "ünï", "", &long, &long].map(|wanted| names.take(&[wanted]));
        assert_eq!(given[..6], ["web", "web-2", "web-3", "x-y", "n", "unnamed"]);
        assert!(given.iter().all(|name| daybook_model::ServiceName::new(name).is_ok()));
        assert_eq!(names.take(&["web", "shop-web"]), "shop-web");
    }
}
