//! Aggregations that choose series: `topk`, `bottomk`, `limitk` and `limit_ratio`.

use std::cmp::Ordering;

use daybook_metrics::Labels;
use promql_parser::parser::token;

use crate::aggregate::Group;
use crate::answer::Value;
use crate::error::Error;
use crate::eval::Evaluator;
use crate::rows::{Row, Steps};

impl Evaluator<'_> {
    /// Keeps in each cell what is chosen at its step. In an instant query the rows are in the order of the choice.
    pub(crate) fn choose(
        &mut self,
        op: token::TokenId,
        param: &[f64],
        rows: Vec<Row>,
        groups: &[Group],
        steps: Steps,
    ) -> Result<Vec<Row>, Error> {
        let ratio = op == token::T_LIMIT_RATIO;
        self.check_param(param, ratio)?;
        let shares: Vec<f64> = if ratio { rows.iter().map(|row| share(&row.labels)).collect() } else { Vec::new() };
        let mut kept: Vec<Vec<Option<Value>>> = rows.iter().map(|_| vec![None; steps.len()]).collect();
        let mut order = Vec::new();
        for group in groups {
            self.check_cancelled()?;
            for (step, param) in param.iter().enumerate() {
                let present = group.members.iter().copied().filter(|row| rows[*row].cells[step].is_some());
                let most = if *param < 1.0 { 0 } else { *param as usize };
                let chosen: Vec<usize> = match op {
                    token::T_LIMIT_RATIO => present.filter(|row| within(shares[*row], *param)).collect(),
                    token::T_LIMITK => present.take(most).collect(),
                    _ if most == 0 => Vec::new(),
                    _ => self.ranked(op == token::T_TOPK, present, &rows, step).into_iter().take(most).collect(),
                };
                for row in &chosen {
                    kept[*row][step].clone_from(&rows[*row].cells[step]);
                }
                order.extend(chosen);
            }
        }
        let mut rows: Vec<Option<Row>> =
            rows.into_iter().zip(kept).map(|(row, cells)| Some(Row { cells, ..row })).collect();
        let in_order = order.into_iter().filter_map(|row| rows[row].take()).collect();
        Ok(in_order)
    }

    fn check_param(&mut self, param: &[f64], ratio: bool) -> Result<(), Error> {
        if ratio {
            if param.iter().any(|param| param.is_nan()) {
                return Err(Error::evaluate("Ratio value is NaN"));
            }
            param.iter().for_each(|param| self.notes.ratio(*param));
            return Ok(());
        }
        if param.iter().any(|param| param.is_nan()) {
            return Err(Error::evaluate("Parameter value is NaN"));
        }
        if param.iter().all(|param| *param < 1.0) {
            return Ok(());
        }
        for value in param {
            if *value >= i64::MAX as f64 {
                return Err(Error::evaluate(format!("Scalar value {} overflows int64", in_words(*value))));
            }
            if *value <= i64::MIN as f64 {
                return Err(Error::evaluate(format!("Scalar value {} underflows int64", in_words(*value))));
            }
        }
        Ok(())
    }

    /// The numbers at a step, the largest (or smallest) first and what is no number last.
    fn ranked(&mut self, top: bool, present: impl Iterator<Item = usize>, rows: &[Row], step: usize) -> Vec<usize> {
        let mut ranked: Vec<(usize, f64)> = Vec::new();
        for row in present {
            match rows[row].cells[step].as_ref().and_then(Value::float) {
                Some(value) => ranked.push((row, value)),
                None => self.notes.ignored_in_aggregation(if top { "topk" } else { "bottomk" }),
            }
        }
        ranked.sort_by(|(_, a), (_, b)| {
            let order = if top { b.partial_cmp(a) } else { a.partial_cmp(b) };
            order.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        });
        ranked.into_iter().map(|(row, _)| row).collect()
    }
}

/// A number as Go writes it by default.
fn in_words(value: f64) -> String {
    if value.is_infinite() {
        return crate::answer::number(value);
    }
    let text = format!("{value:e}");
    text.replace('e', "e+")
}

/// Whether a share from zero to one is within a ratio; a negative ratio has what the positive rest has not.
fn within(share: f64, ratio: f64) -> bool {
    let ratio = ratio.clamp(-1.0, 1.0);
    match ratio.partial_cmp(&0.0) {
        Some(Ordering::Equal) | None => false,
        Some(Ordering::Greater) => share < ratio,
        Some(Ordering::Less) => share >= 1.0 + ratio,
    }
}

/// Where the labels of a series lie between zero and one: always the same place, evenly spread.
fn share(labels: &Labels) -> f64 {
    let mut bytes = Vec::new();
    for label in labels.iter() {
        for text in [label.name.as_str(), label.value.as_str()] {
            push_sized(&mut bytes, text);
        }
    }
    xxh64(&bytes) as f64 / u64::MAX as f64
}

/// A text after its length, as Prometheus keeps labels in memory.
fn push_sized(bytes: &mut Vec<u8>, text: &str) {
    match text.len() {
        short if short < 255 => bytes.push(short as u8),
        long => bytes.extend([255, long as u8, (long >> 8) as u8, (long >> 16) as u8]),
    }
    bytes.extend(text.as_bytes());
}

/// The hash XXH64 with seed zero, by its specification (doc/xxhash_spec.md of Cyan4973/xxHash).
fn xxh64(bytes: &[u8]) -> u64 {
    const P: [u64; 5] = [
        0x9E37_79B1_85EB_CA87,
        0xC2B2_AE3D_27D4_EB4F,
        0x1656_67B1_9E37_79F9,
        0x85EB_CA77_C2B2_AE63,
        0x27D4_EB2F_1656_67C5,
    ];
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let round = |acc: u64, lane: u64| acc.wrapping_add(lane.wrapping_mul(P[1])).rotate_left(31).wrapping_mul(P[0]);
    let mut rest = bytes;
    let mut hash = if bytes.len() >= 32 {
        let mut lanes = [P[0].wrapping_add(P[1]), P[1], 0, 0_u64.wrapping_sub(P[0])];
        while rest.len() >= 32 {
            for (lane, acc) in lanes.iter_mut().enumerate() {
                *acc = round(*acc, word(&rest[lane * 8..lane * 8 + 8]));
            }
            rest = &rest[32..];
        }
        let turns = [1, 7, 12, 18];
        let mixed = lanes.iter().zip(turns).fold(0_u64, |sum, (lane, turn)| sum.wrapping_add(lane.rotate_left(turn)));
        lanes.iter().fold(mixed, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(P[0]).wrapping_add(P[3]))
    } else {
        P[4]
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    while rest.len() >= 8 {
        hash = (hash ^ round(0, word(&rest[..8]))).rotate_left(27).wrapping_mul(P[0]).wrapping_add(P[3]);
        rest = &rest[8..];
    }
    if rest.len() >= 4 {
        hash = (hash ^ word(&rest[..4]).wrapping_mul(P[0])).rotate_left(23).wrapping_mul(P[1]).wrapping_add(P[2]);
        rest = &rest[4..];
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(P[4])).rotate_left(11).wrapping_mul(P[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(P[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(P[2]);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_specification() {
        assert_eq!(xxh64(b""), 0xEF46_DB37_51D8_E999);
        assert_eq!(xxh64(b"a"), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(xxh64(b"Nobody inspects the spammish repetition"), 0xFBCE_A83C_8A37_8BF1);
    }

    #[test]
    fn a_ratio_and_its_negative_rest_have_all() {
        for share in [0.0, 0.2, 0.25, 0.9] {
            assert_ne!(within(share, 0.25), within(share, -0.75));
        }
        assert!(within(0.9, 2.0) && !within(0.9, 0.0));
    }
}
