//! What a sender is answered, by what it has to do.

use daybook_metrics::store::{NotKept, Receipt, Why};

use super::{Version, Write};
use crate::{Answer, Refused};

/// The headers that say what was written.
const WRITTEN: [&str; 3] = [
    "X-Prometheus-Remote-Write-Samples-Written",
    "X-Prometheus-Remote-Write-Histograms-Written",
    "X-Prometheus-Remote-Write-Exemplars-Written",
];

/// The answer to a body that is not taken.
pub fn refuse(refused: &Refused) -> Answer {
    Answer::text(refused.status(), refused.to_string())
}

/// The answer to a request that cannot be kept now: it is to be sent again.
pub fn later(why: impl Into<String>) -> Answer {
    Answer::text(503, why)
}

/// The answer to a request, by what became of its batch. It succeeds if all is kept. If some of it is not, that part is not to be sent
/// again; if the store failed, all is.
pub fn answer(version: Version, write: &Write, kept: Result<&Receipt, &NotKept>) -> Answer {
    let receipt = match kept {
        Ok(receipt) => receipt,
        Err(error @ NotKept::Full(_)) => return written(Answer::text(503, error.to_string()), version, [0, 0]),
        Err(error) => return written(Answer::text(500, error.to_string()), version, [0, 0]),
    };
    let kept = receipt.accepted + receipt.repeated;
    let counts = [kept.saturating_sub(receipt.histograms), receipt.histograms];
    let mut problems: Vec<String> = Vec::new();
    if write.skipped.count > 0 {
        problems.push(format!("{} series or histograms are none: {}", write.skipped.count, write.skipped.first));
    }
    let refused = receipt.refused.iter();
    problems.extend(refused.map(|(why, count): (&Why, &u64)| format!("{count} samples are not kept: {why}")));
    let answer = if problems.is_empty() { Answer::empty(204) } else { Answer::text(400, problems.join("\n")) };
    written(answer, version, counts)
}

/// Exemplars are not kept, and that is said.
fn written(mut answer: Answer, version: Version, [samples, histograms]: [u64; 2]) -> Answer {
    if version == Version::Two {
        let counts = WRITTEN.into_iter().zip([samples, histograms, 0]);
        answer.headers.extend(counts.map(|(name, count)| (name, count.to_string())));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answer: &Answer) -> (u16, Vec<&str>, String) {
        let counts = WRITTEN.iter().map(|name| answer.header(name)).collect();
        (answer.status, counts, String::from_utf8(answer.body.clone()).unwrap())
    }

    #[test]
    fn a_sender_is_told_what_it_has_to_do() {
        let mut write = Write::default();
        let mut receipt = Receipt { accepted: 5, repeated: 1, histograms: 2, ..Receipt::default() };
        assert_eq!(said(&answer(Version::One, &write, Ok(&receipt))), (204, vec!["", "", ""], String::new()));
        assert_eq!(said(&answer(Version::Two, &write, Ok(&receipt))), (204, vec!["4", "2", "0"], String::new()));
        receipt.refused.insert(Why::TooOld, 3);
        write.skipped.add(1, "a series has no name");
        let text = "1 series or histograms are none: a series has no name\n3 samples are not kept: they are too old";
        assert_eq!(said(&answer(Version::Two, &write, Ok(&receipt))), (400, vec!["4", "2", "0"], text.to_owned()));
        let full = NotKept::Full(std::io::ErrorKind::StorageFull.into());
        assert_eq!(said(&answer(Version::Two, &write, Err(&full))).0, 503);
        assert_eq!(refuse(&Refused::TooLarge { most: 5 }).status, 413);
    }
}
