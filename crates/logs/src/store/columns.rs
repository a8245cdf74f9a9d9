//! Lines side by side: a column for each thing that is known of them.

use crate::bytes::{Bytes, Corrupt, put_bytes, put_signed, put_varint};
use crate::{Field, Kept, Level, Levels, Line, Position, Stream};

/// What is known of lines, but for their texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) at: Vec<i64>,
    pub(super) number: Vec<u64>,
    /// Numbers of streams, whatever table they are in.
    pub(super) stream: Vec<u32>,
    pub(super) level: Vec<u8>,
    /// How many bytes of the text are not kept.
    missing: Vec<u32>,
    /// Where texts end, and fields that are beside them.
    text_ends: Vec<u32>,
    beside_ends: Vec<u32>,
}

/// Texts, and what is beside them, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) text: Vec<u8>,
    pub(super) beside: Vec<u8>,
}

/// One line, in pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) at: i64,
    pub(super) number: u64,
    pub(super) stream: u32,
    pub(super) level: u8,
    pub(super) missing: u32,
    pub(super) text: &'a [u8],
    pub(super) beside: &'a [u8],
}

/// Lines in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) columns: Columns,
    pub(super) texts: Texts,
    /// The first and the last time.
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) levels: Levels,
}

impl Default for Piece {
    fn default() -> Self {
        Self {
            columns: Columns::default(),
            texts: Texts::default(),
            from: i64::MAX,
            to: i64::MIN,
            levels: Levels::NONE,
        }
    }
}

impl Piece {
    pub(super) fn push(&mut self, row: &Row<'_>) {
        self.from = self.from.min(row.at);
        self.to = self.to.max(row.at);
        self.levels = self.levels.either(Levels::only(Level::decoded(row.level)));
        self.texts.text.extend_from_slice(row.text);
        self.texts.beside.extend_from_slice(row.beside);
        let columns = &mut self.columns;
        columns.at.push(row.at);
        columns.number.push(row.number);
        columns.stream.push(row.stream);
        columns.level.push(row.level);
        columns.missing.push(row.missing);
        columns.text_ends.push(self.texts.text.len() as u32);
        columns.beside_ends.push(self.texts.beside.len() as u32);
    }

    pub(super) fn row(&self, row: usize) -> Row<'_> {
        self.columns.row(&self.texts, row)
    }

    /// Gives back memory that is kept for more lines.
    pub(super) fn shrink(&mut self) {
        let Self { columns, texts, .. } = self;
        texts.text.shrink_to_fit();
        texts.beside.shrink_to_fit();
        columns.at.shrink_to_fit();
        columns.number.shrink_to_fit();
        columns.level.shrink_to_fit();
        for column in [&mut columns.stream, &mut columns.missing, &mut columns.text_ends, &mut columns.beside_ends] {
            column.shrink_to_fit();
        }
    }

    /// The bytes of its lines.
    pub(super) fn bytes(&self) -> usize {
        self.texts.text.len() + self.texts.beside.len()
    }

    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        self.texts.text.capacity() + self.texts.beside.capacity() + self.columns.at.capacity() * 33
    }
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    pub(super) fn position(&self, row: usize) -> Position {
        Position { at: self.at[row], number: self.number[row] }
    }

    pub(super) fn text<'a>(&self, texts: &'a Texts, row: usize) -> &'a [u8] {
        part(&texts.text, &self.text_ends, row)
    }

    pub(super) fn beside<'a>(&self, texts: &'a Texts, row: usize) -> &'a [u8] {
        part(&texts.beside, &self.beside_ends, row)
    }

    /// In which row a byte of the texts is.
    pub(super) fn row_at(&self, byte: usize) -> usize {
        self.text_ends.partition_point(|end| *end as usize <= byte)
    }

    /// Where the text of a row ends.
    pub(super) fn text_end(&self, row: usize) -> usize {
        self.text_ends[row] as usize
    }

    pub(super) fn row<'a>(&self, texts: &'a Texts, row: usize) -> Row<'a> {
        Row {
            at: self.at[row],
            number: self.number[row],
            stream: self.stream[row],
            level: self.level[row],
            missing: self.missing[row],
            text: self.text(texts, row),
            beside: self.beside(texts, row),
        }
    }

    /// As bytes, to be compressed: each column after the other, times and numbers by their differences.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() * 8);
        let mut before = 0i64;
        for at in &self.at {
            put_signed(&mut out, at.wrapping_sub(before));
            before = *at;
        }
        let mut before = 0u64;
        for number in &self.number {
            put_signed(&mut out, number.wrapping_sub(before) as i64);
            before = *number;
        }
        out.extend_from_slice(&self.level);
        for column in [&self.stream, &self.missing] {
            column.iter().for_each(|value| put_varint(&mut out, u64::from(*value)));
        }
        for ends in [&self.text_ends, &self.beside_ends] {
            let mut before = 0;
            for end in ends {
                put_varint(&mut out, u64::from(end - before));
                before = *end;
            }
        }
        out
    }

    /// The reverse of [`Columns::encode`], for so many rows of so many streams with texts that have so many bytes.
    pub(super) fn decode(bytes: &[u8], rows: usize, streams: usize, lengths: (usize, usize)) -> Result<Self, Corrupt> {
        // Each row takes at least a byte in each column.
        if rows.saturating_mul(7) > bytes.len() {
            return Err(Corrupt);
        }
        let mut bytes = Bytes(bytes);
        let mut before = 0i64;
        let mut difference = |bytes: &mut Bytes<'_>| {
            before = before.wrapping_add(bytes.signed()?);
            Ok(before)
        };
        let at = (0..rows).map(|_| difference(&mut bytes)).collect::<Result<Vec<_>, Corrupt>>()?;
        let mut before = 0u64;
        let mut difference = |bytes: &mut Bytes<'_>| {
            before = before.wrapping_add(bytes.signed()? as u64);
            Ok(before)
        };
        let number = (0..rows).map(|_| difference(&mut bytes)).collect::<Result<Vec<_>, Corrupt>>()?;
        let level = bytes.split(rows)?.to_vec();
        let mut column = || (0..rows).map(|_| bytes.small()).collect::<Result<Vec<_>, Corrupt>>();
        let (stream, missing) = (column()?, column()?);
        let (mut text_ends, mut beside_ends) = (column()?, column()?);
        let valid = bytes.0.is_empty()
            && level.iter().all(|level| usize::from(*level) <= Level::ALL.len())
            && stream.iter().all(|stream| (*stream as usize) < streams);
        for (ends, length) in [(&mut text_ends, lengths.0), (&mut beside_ends, lengths.1)] {
            let mut sum = 0u32;
            for end in ends.iter_mut() {
                sum = sum.checked_add(*end).ok_or(Corrupt)?;
                *end = sum;
            }
            if sum as usize != length {
                return Err(Corrupt);
            }
        }
        if valid { Ok(Self { at, number, stream, level, missing, text_ends, beside_ends }) } else { Err(Corrupt) }
    }
}

fn part<'a>(bytes: &'a [u8], ends: &[u32], row: usize) -> &'a [u8] {
    let from = row.checked_sub(1).map_or(0, |before| ends[before] as usize);
    &bytes[from..ends[row] as usize]
}

impl Row<'_> {
    pub(super) fn kept(&self, stream: &Stream) -> Kept {
        let level = Level::decoded(self.level);
        let line =
            Line { at: self.at, stream: stream.clone(), level, text: self.text.to_vec(), fields: fields(self.beside) };
        Kept { line, position: Position { at: self.at, number: self.number }, missing: self.missing }
    }
}

/// Fields as bytes; none are none.
pub(super) fn put_fields(out: &mut Vec<u8>, fields: &[Field]) {
    for field in fields {
        put_bytes(out, field.name.as_bytes());
        put_bytes(out, field.value.as_bytes());
    }
}

/// The reverse of [`put_fields`]; it ends where that cannot be read.
pub(super) fn fields(bytes: &[u8]) -> Vec<Field> {
    let mut bytes = Bytes(bytes);
    let mut next = || Some(Field { name: bytes.text().ok()?.into(), value: bytes.text().ok()?.into() });
    std::iter::from_fn(&mut next).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(name: &str, value: &str) -> Field {
        Field { name: name.into(), value: value.into() }
    }

    proptest! {
        #[test]
        fn any_lines_come_back(
            rows in prop::collection::vec((any::<i64>(), any::<u64>(), 0u32..3, 0u8..7, any::<u32>(), ".{0,9}", ".{0,3}"), 0..40),
            flip in any::<prop::sample::Index>(),
        ) {
            let mut piece = Piece::default();
            for (at, number, stream, level, missing, text, value) in &rows {
                let mut beside = Vec::new();
                if !value.is_empty() {
                    put_fields(&mut beside, &[field("a", value), field(value, "b")]);
                }
                let (text, beside) = (text.as_bytes(), beside.as_slice());
                piece.push(&Row { at: *at, number: *number, stream: *stream, level: *level, missing: *missing, text, beside });
            }
            let mut bytes = piece.columns.encode();
            let lengths = (piece.texts.text.len(), piece.texts.beside.len());
            prop_assert_eq!(&Columns::decode(&bytes, rows.len(), 3, lengths).unwrap(), &piece.columns);
            for (at, (.., text, value)) in rows.iter().enumerate() {
                prop_assert_eq!(piece.row(at).text, text.as_bytes());
                let expected = if value.is_empty() { vec![] } else { vec![field("a", value), field(value, "b")] };
                prop_assert_eq!(fields(piece.row(at).beside), expected);
            }
            if !bytes.is_empty() {
                let at = flip.index(bytes.len());
                bytes[at] ^= 0xff;
                _ = Columns::decode(&bytes, rows.len(), 3, lengths);
                _ = Columns::decode(&bytes[..at], rows.len(), 3, lengths);
            }
        }
    }
}
