//! The newest measurements of one kind of a series: those that came last as they are, those before packed.

use std::sync::Arc;

use crate::codec::{self, Effort, histograms};
use crate::{HistogramSample, Sample};

/// What is measured at a time, and can be packed.
pub(super) trait Measured: Clone {
    /// So many are kept as they are; then they are packed.
    const OPEN: usize;

    fn at(&self) -> i64;
    /// Whether it is of the same value, to the bit.
    fn same(&self, other: &Self) -> bool;
    fn pack(all: &[Self]) -> Box<[u8]>;
    /// Nobody else wrote the bytes, so that they are whole.
    fn unpack(bytes: &[u8], all: &mut Vec<Self>);
    /// About how many samples it is worth when memory is counted.
    fn weight(&self) -> usize;
    /// The same of packed ones.
    fn packed_weight(bytes: &[u8]) -> usize;
    /// How many bytes of memory it takes beside itself.
    fn beside(&self) -> usize;
}

impl Measured for Sample {
    const OPEN: usize = 64;

    fn at(&self) -> i64 {
        self.at
    }

    fn same(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits()
    }

    fn pack(all: &[Self]) -> Box<[u8]> {
        codec::encode(all, &mut Effort::Least)
    }

    fn unpack(bytes: &[u8], all: &mut Vec<Self>) {
        _ = codec::decode(bytes, all);
    }

    fn weight(&self) -> usize {
        1
    }

    fn packed_weight(_: &[u8]) -> usize {
        Self::OPEN
    }

    fn beside(&self) -> usize {
        0
    }
}

impl Measured for HistogramSample {
    const OPEN: usize = 16;

    fn at(&self) -> i64 {
        self.at
    }

    fn same(&self, other: &Self) -> bool {
        self.value == other.value
    }

    fn pack(all: &[Self]) -> Box<[u8]> {
        histograms::pack(all, &mut Effort::Least)
    }

    fn unpack(bytes: &[u8], all: &mut Vec<Self>) {
        _ = histograms::unpack(bytes, all);
    }

    fn weight(&self) -> usize {
        self.value.positive.len() + self.value.negative.len() + 3
    }

    fn packed_weight(bytes: &[u8]) -> usize {
        histograms::cells(bytes)
    }

    fn beside(&self) -> usize {
        self.value.bytes()
    }
}

/// Measurements of one kind.
#[derive(Clone)]
pub(super) struct Run<T> {
    /// By time.
    open: Vec<T>,
    sealed: Vec<Sealed>,
}

/// Packed measurements.
#[derive(Clone)]
struct Sealed {
    from: i64,
    to: i64,
    bytes: Arc<[u8]>,
}

impl<T> Default for Run<T> {
    fn default() -> Self {
        Self { open: Vec::new(), sealed: Vec::new() }
    }
}

/// What became of a sample.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    New,
    Repeated,
    OtherValue,
}

impl<T: Measured> Run<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sealed.is_empty()
    }

    /// The time of the oldest.
    pub(super) fn oldest(&self) -> Option<i64> {
        let open = self.open.first().map(Measured::at);
        self.sealed.iter().map(|sealed| sealed.from).chain(open).min()
    }

    /// What is measured at a time.
    pub(super) fn find(&self, at: i64) -> Option<T> {
        let here = self.sealed.iter().filter(|sealed| (sealed.from..=sealed.to).contains(&at));
        let sealed = here.flat_map(Sealed::all::<T>).find(|other| other.at() == at);
        sealed.or_else(|| self.open.binary_search_by_key(&at, T::at).ok().map(|place| self.open[place].clone()))
    }

    /// One more.
    pub(super) fn insert(&mut self, one: T) -> Inserted {
        let at = one.at();
        if self.open.len() == self.open.capacity() {
            self.open.reserve_exact(if self.open.is_empty() { 4 } else { 20 });
        }
        let newer = self.sealed.iter().all(|sealed| at > sealed.to);
        if newer && self.open.last().is_none_or(|last| at > last.at()) {
            self.open.push(one);
        } else {
            if let Some(known) = self.find(at) {
                return if known.same(&one) { Inserted::Repeated } else { Inserted::OtherValue };
            }
            self.open.insert(self.open.partition_point(|other| other.at() < at), one);
        }
        if self.open.len() >= T::OPEN {
            self.seal();
        }
        Inserted::New
    }

    fn seal(&mut self) {
        let (Some(first), Some(last)) = (self.open.first(), self.open.last()) else { return };
        let bytes = T::pack(&self.open).into();
        self.sealed.push(Sealed { from: first.at(), to: last.at(), bytes });
        self.open.clear();
    }

    /// Forgets what is before a time.
    pub(super) fn forget(&mut self, end: i64) {
        let straddling: Vec<_> = self.sealed.extract_if(.., |sealed| sealed.from < end).collect();
        let mut kept: Vec<T> = straddling.iter().filter(|sealed| sealed.to >= end).flat_map(Sealed::all).collect();
        kept.append(&mut self.open);
        kept.retain(|one| one.at() >= end);
        kept.sort_by_key(T::at);
        kept.shrink_to_fit();
        self.open = kept;
        self.sealed.shrink_to_fit();
        if self.open.len() >= T::OPEN {
            self.seal();
            self.open = Vec::new();
        }
    }

    /// What may be between two times, both included; what is open surely is.
    pub(super) fn piece(&self, from: i64, to: i64) -> Self {
        Self {
            open: self.open.iter().filter(|one| (from..=to).contains(&one.at())).cloned().collect(),
            sealed: self.sealed.iter().filter(|sealed| sealed.to >= from && sealed.from <= to).cloned().collect(),
        }
    }

    /// Whether something is between two times, both included, as far as that is known without unpacking.
    pub(super) fn any(&self, from: i64, to: i64) -> bool {
        self.sealed.iter().any(|sealed| sealed.to >= from && sealed.from <= to)
            || self.open.iter().any(|one| (from..=to).contains(&one.at()))
    }

    /// What is between two times, both included, by time.
    pub(super) fn all(&self, from: i64, to: i64) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len());
        self.sealed.iter().for_each(|sealed| T::unpack(&sealed.bytes, &mut all));
        all.extend_from_slice(&self.open);
        all.retain(|one| (from..=to).contains(&one.at()));
        if !all.is_sorted_by(|a, b| a.at() < b.at()) {
            all.sort_by_key(T::at);
        }
        all
    }

    /// About how many there are.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.sealed.len() * T::OPEN
    }

    /// About how many samples they are worth when memory is counted.
    pub(super) fn weight(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|sealed| T::packed_weight(&sealed.bytes)).sum();
        self.open.iter().map(T::weight).sum::<usize>() + sealed
    }

    /// About how many bytes of memory they take beside the run itself.
    pub(super) fn bytes(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|sealed| sealed.bytes.len() + 32).sum();
        let open = self.open.capacity() * size_of::<T>() + self.open.iter().map(T::beside).sum::<usize>();
        open + self.sealed.capacity() * size_of::<Sealed>() + sealed
    }
}

impl Sealed {
    fn all<T: Measured>(&self) -> Vec<T> {
        let mut all = Vec::with_capacity(T::OPEN);
        T::unpack(&self.bytes, &mut all);
        all
    }
}
