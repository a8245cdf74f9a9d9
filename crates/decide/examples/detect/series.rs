//! Labelled series as their publishers wrote them.

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Seconds since 1970.
    pub(crate) at_s: i64,
    /// The value.
    pub(crate) value: f64,
}

/// A series with the times at which it was unusual.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Its name.
    pub(crate) name: String,
    /// The collection that it is of.
    pub(crate) set: String,
    /// In the order of their times.
    pub(crate) samples: Vec<Sample>,
    /// First and last second of each unusual time, both within it.
    pub(crate) windows: Vec<(i64, i64)>,
}

impl Series {
    /// Seconds between most of its samples.
    pub(crate) fn step_s(&self) -> i64 {
        let mut steps: Vec<_> = self.samples.windows(2).map(|pair| pair[1].at_s - pair[0].at_s).collect();
        steps.sort_unstable();
        steps.get(steps.len().saturating_sub(1) / 2).copied().unwrap_or(60)
    }

    /// A CSV file whose first column is a time and whose second is a value; a third one says 1 where it is unusual.
    /// Labels mark single samples: those in a row are one window, which lasts until two samples after it, because
    /// nothing can be told of a sample before it has ended. Lines that hold no value are passed over.
    pub(crate) fn read(name: &str, set: &str, text: &str) -> Self {
        let mut samples = Vec::new();
        let mut labelled: Vec<bool> = Vec::new();
        for line in text.lines().skip(1) {
            let mut fields = line.split(',').map(|field| field.trim().trim_matches('"'));
            let (Some(at), Some(value)) = (fields.next().and_then(seconds), fields.next()) else { continue };
            let Ok(value) = value.parse() else { continue };
            samples.push(Sample { at_s: at, value });
            labelled.push(fields.next() == Some("1"));
        }
        let mut series = Self { name: name.to_owned(), set: set.to_owned(), samples, windows: Vec::new() };
        series.windows = series.windows_of(&labelled);
        series
    }

    fn windows_of(&self, labelled: &[bool]) -> Vec<(i64, i64)> {
        let slack = 2 * self.step_s();
        let mut windows: Vec<(i64, i64)> = Vec::new();
        for (sample, _) in self.samples.iter().zip(labelled).filter(|(_, labelled)| **labelled) {
            match windows.last_mut() {
                Some((_, until)) if sample.at_s <= *until => *until = sample.at_s + slack,
                _ => windows.push((sample.at_s, sample.at_s + slack)),
            }
        }
        windows
    }
}

/// `2014-05-14 01:14:00` or `2018-03-15T00:00:00Z`, in UTC, as seconds since 1970. `None`: it is no time.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Days of the civil calendar, as Howard Hinnant counts them.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(seconds("1970-01-01 00:00:00"), Some(0));
        assert_eq!(seconds("2014-02-26 13:45:00.000000"), Some(1_393_422_300));
        assert_eq!(seconds("2018-03-15T00:00:00Z"), Some(1_521_072_000));
        assert_eq!(seconds("TimeStamp"), None);
    }

    #[test]
    fn labels_in_a_row_are_one_window() {
        let text = "TimeStamp,Value,Label\n\
                    2018-03-15 00:00:00,1,0\n2018-03-15 01:00:00,9,1\n2018-03-15 02:00:00,9,1\n\
                    2018-03-15 03:00:00,,0\n2018-03-15 04:00:00,1,0\n\"2018-03-15T09:00:00Z\",9,1\n";
        let series = Series::read("s", "t", text);
        assert_eq!(series.samples.len(), 5);
        let hours: Vec<_> = series
            .windows
            .iter()
            .map(|(from, until)| ((from - 1_521_072_000) / 3_600, (until - from) / 3_600))
            .collect();
        assert_eq!(hours, [(1, 3), (9, 2)]);
    }
}
