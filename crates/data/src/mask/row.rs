//! Rows in the text form of PostgreSQL's COPY: columns between tabs, `\N` for NULL, and escapes by backslashes.

use super::ColumnMask;

/// Writes a row with those of its columns masked that have a mask. `line` is a row without its end; the end is written.
/// An error is the number of columns that there were, if there were others than masks.
pub(super) fn mask(line: &[u8], masks: &[Option<ColumnMask>], out: &mut Vec<u8>) -> Result<(), usize> {
    let begun = out.len();
    let mut columns = 0;
    // A tab within a value is written `\t`: this splits between values alone.
    for field in line.split(|byte| *byte == b'\t') {
        if columns > 0 {
            out.push(b'\t');
        }
        match masks.get(columns) {
            Some(Some(mask)) => masked(field, mask, out),
            Some(None) => out.extend_from_slice(field),
            None => {}
        }
        columns += 1;
    }
    out.push(b'\n');
    if columns == masks.len() {
        return Ok(());
    }
    out.truncate(begun);
    Err(columns)
}

fn masked(field: &[u8], mask: &ColumnMask, out: &mut Vec<u8>) {
    const NULL: &[u8] = b"\\N";
    let value = (field != NULL).then(|| plain(field));
    match value.and_then(|value| mask.mask(&value)) {
        None => out.extend_from_slice(NULL),
        Some(value) => escape(&value, out),
    }
}

/// The value that a field stands for. The server has been asked for UTF-8.
fn plain(field: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => unescaped(rest.next().unwrap_or(b'\\')),
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a letter stands for after a backslash. The server writes no octal or hexadecimal escapes.
fn unescaped(byte: u8) -> u8 {
    match byte {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        other => other,
    }
}

fn escape(value: &str, out: &mut Vec<u8>) {
    for byte in value.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use daybook_model::masking::{Kind, Rule};

    use super::super::{Masker, Shape, Text, Type};
    use super::*;

    fn number() -> ColumnMask {
        let shape = Shape { of: Type::Text(Text::ANY), is_nullable: true, is_unique: false };
        Masker::new(b"seed").column(Rule::Fake(Kind::Number), &shape).unwrap()
    }

    #[test]
    fn only_masked_columns_change() {
        let masks = [None, Some(number()), None, Some(number())];
        let mut out = Vec::new();
        mask(b"a\\tb\tx-1\\n\\\\2\t\\N\t\\N", &masks, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let fields: Vec<_> = text.trim_end_matches('\n').split('\t').collect();
        assert_eq!((fields[0], fields[2], fields[3]), ("a\\tb", "\\N", "\\N"));
        assert!(fields[1].len() == 8 && fields[1][3..].starts_with("\\n\\\\") && fields[1] != "x-1\\n\\\\2", "{text}");
    }

    #[test]
    fn a_row_of_another_length_is_not_written() {
        let mut out = b"before".to_vec();
        assert_eq!(mask(b"1\t2\t3", &[None, None], &mut out), Err(3));
        assert_eq!(mask(b"1", &[None, None], &mut out), Err(1));
        assert_eq!(out, b"before");
    }

    #[test]
    fn escapes_go_there_and_back() {
        let all = "a\tb\nc\\d\re\u{8}\u{b}\u{c}é";
        let mut field = Vec::new();
        escape(all, &mut field);
        assert_eq!(plain(&field), all);
        assert_eq!(plain(b"\\b\\f\\v\\\\N"), "\u{8}\u{c}\u{b}\\N");
    }
}
