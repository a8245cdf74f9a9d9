//! Which series have which labels. Each text is kept once, each label of a series is two numbers.

use std::hash::BuildHasher;

use compact_str::CompactString;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::{Label, Labels, Matcher, Op};

/// The number of a text.
pub(super) type Symbol = u32;

/// Texts by number, and numbers by text.
#[derive(Default)]
pub(super) struct Symbols {
    text: String,
    ends: Vec<u32>,
    known: HashTable<Symbol>,
    hasher: DefaultHashBuilder,
}

impl Symbols {
    /// The text of a number that was given out.
    pub(super) fn text(&self, symbol: Symbol) -> &str {
        text(&self.text, &self.ends, symbol)
    }

    /// The number of a text.
    pub(super) fn find(&self, wanted: &str) -> Option<Symbol> {
        self.known.find(self.hasher.hash_one(wanted), |one| self.text(*one) == wanted).copied()
    }

    /// The number of a text, which is new where there was none.
    pub(super) fn intern(&mut self, wanted: &str) -> Symbol {
        if let Some(known) = self.find(wanted) {
            return known;
        }
        let symbol = self.ends.len() as Symbol;
        self.text.push_str(wanted);
        self.ends.push(self.text.len() as u32);
        let (texts, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.known.insert_unique(hasher.hash_one(wanted), symbol, |one| hasher.hash_one(text(texts, ends, *one)));
        symbol
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4 + self.known.capacity() * 5
    }
}

fn text<'a>(texts: &'a str, ends: &[u32], symbol: Symbol) -> &'a str {
    let at = symbol as usize;
    let from = at.checked_sub(1).map_or(0, |before| ends[before]);
    &texts[from as usize..ends[at] as usize]
}

/// The labels of a series: names and values.
pub(super) type Pairs = Box<[(Symbol, Symbol)]>;

/// Series by label.
#[derive(Default)]
pub(super) struct Index {
    pub(super) symbols: Symbols,
    /// By name and value, the series that have it, in order.
    postings: HashMap<Symbol, HashMap<Symbol, Vec<u32>>>,
    /// All series, in order.
    all: Vec<u32>,
}

impl Index {
    /// Labels as numbers.
    pub(super) fn pairs(&mut self, labels: &Labels) -> Pairs {
        labels.iter().map(|label| (self.symbols.intern(&label.name), self.symbols.intern(&label.value))).collect()
    }

    /// Numbers as labels.
    pub(super) fn labels(&self, pairs: &[(Symbol, Symbol)]) -> Labels {
        let label = |(name, value): &(Symbol, Symbol)| Label {
            name: CompactString::new(self.symbols.text(*name)),
            value: CompactString::new(self.symbols.text(*value)),
        };
        Labels::from_sorted(pairs.iter().map(label).collect())
    }

    /// Whether these are the same.
    pub(super) fn same(&self, pairs: &[(Symbol, Symbol)], labels: &Labels) -> bool {
        let same = |((name, value), label): (&(Symbol, Symbol), &Label)| {
            self.symbols.text(*value) == label.value && self.symbols.text(*name) == label.name
        };
        pairs.len() == labels.len() && pairs.iter().zip(labels.iter()).all(same)
    }

    /// One more series.
    pub(super) fn insert(&mut self, id: u32, pairs: &[(Symbol, Symbol)]) {
        push_sorted(&mut self.all, id);
        for (name, value) in pairs {
            push_sorted(self.postings.entry(*name).or_default().entry(*value).or_default(), id);
        }
    }

    /// How many series have this label.
    pub(super) fn count(&self, name: &str, value: &str) -> usize {
        self.with(name, value).map_or(0, Vec::len)
    }

    /// The series that have this label.
    pub(super) fn with(&self, name: &str, value: &str) -> Option<&Vec<u32>> {
        self.postings.get(&self.symbols.find(name)?)?.get(&self.symbols.find(value)?)
    }

    /// The values of a label, with how many series have each.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = (&str, usize)> {
        let values = self.symbols.find(name).and_then(|name| self.postings.get(&name));
        values.into_iter().flatten().map(|(value, of)| (self.symbols.text(*value), of.len()))
    }

    /// The series that all matchers choose, in order.
    pub(super) fn choose(&self, matchers: &[Matcher]) -> Vec<u32> {
        let mut chosen: Option<Vec<u32>> = None;
        let (without, with): (Vec<_>, Vec<_>) = matchers.iter().partition(|matcher| matcher.takes(""));
        for matcher in with {
            let those = self.taken(matcher, true);
            chosen = Some(match chosen {
                Some(before) => intersect(&before, &those),
                None => those,
            });
        }
        let mut chosen = chosen.unwrap_or_else(|| self.all.clone());
        for matcher in without {
            let others = self.taken(matcher, false);
            chosen.retain(|id| others.binary_search(id).is_err());
        }
        chosen
    }

    /// The series with a value of the matcher's label that it takes, or does not take.
    fn taken(&self, matcher: &Matcher, takes: bool) -> Vec<u32> {
        let Some(values) = self.symbols.find(&matcher.name).and_then(|name| self.postings.get(&name)) else {
            return Vec::new();
        };
        if takes && matcher.op == Op::Equal {
            return self.symbols.find(&matcher.value).and_then(|value| values.get(&value)).cloned().unwrap_or_default();
        }
        let fits = values.iter().filter(|(value, _)| matcher.takes(self.symbols.text(**value)) == takes);
        let mut ids: Vec<u32> = fits.flat_map(|(_, ids)| ids.iter().copied()).collect();
        ids.sort_unstable();
        ids
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let lists = self.postings.values().map(|values| {
            values.capacity() * 33 + values.values().map(|ids| ids.capacity() * 4 + 16).sum::<usize>() + 64
        });
        self.symbols.bytes() + lists.sum::<usize>() + self.all.capacity() * 4
    }
}

fn push_sorted(ids: &mut Vec<u32>, id: u32) {
    match ids.last() {
        Some(last) if *last >= id => {
            if let Err(at) = ids.binary_search(&id) {
                ids.insert(at, id);
            }
        }
        _ => ids.push(id),
    }
}

fn intersect(one: &[u32], other: &[u32]) -> Vec<u32> {
    let (few, many) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    few.iter().copied().filter(|id| many.binary_search(id).is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_choose_as_they_do_one_by_one() {
        let all = [
            Labels::new([("__name__", "up"), ("job", "web")]),
            Labels::new([("__name__", "up"), ("job", "db"), ("zone", "a")]),
            Labels::new([("__name__", "down"), ("job", "web"), ("zone", "b")]),
        ];
        let mut index = Index::default();
        for (id, labels) in all.iter().enumerate().rev() {
            let pairs = index.pairs(labels);
            index.insert(id as u32, &pairs);
            assert!(index.same(&pairs, labels) && index.labels(&pairs) == *labels);
        }
        let ops = [Op::Equal, Op::NotEqual, Op::Like, Op::Unlike];
        let names = ["__name__", "job", "zone", "none"];
        let values = ["", "up", "web", "a|b", ".*", ".+", "a?"];
        let mut matchers = Vec::new();
        for (op, name, value) in ops
            .iter()
            .flat_map(|op| names.map(|name| (op, name)))
            .flat_map(|(op, name)| values.map(|value| (*op, name, value)))
        {
            matchers.push(Matcher::new(name, op, value).unwrap());
        }
        for one in &matchers {
            for other in &matchers {
                let both = [one.clone(), other.clone()];
                let fits = |id: &u32| both.iter().all(|matcher| matcher.chooses(&all[*id as usize]));
                let expected: Vec<u32> = (0..3).filter(fits).collect();
                assert_eq!(index.choose(&both), expected, "{one} {other}");
            }
        }
        assert_eq!((index.count("job", "web"), index.symbols.len()), (2, 9));
    }
}
