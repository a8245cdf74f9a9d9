//! The checksum by which a changed file is noticed: CRC-32 of its text without the ends of its lines.

/// The mark that some editors put at the begin of a file.
const BOM: char = '\u{feff}';

/// The checksum of a text, as the history keeps it.
pub fn of(text: &str) -> i32 {
    let mut hasher = crc32fast::Hasher::new();
    for line in text.strip_prefix(BOM).unwrap_or(text).split(['\r', '\n']) {
        hasher.update(line.as_bytes());
    }
    hasher.finalize().cast_signed()
}

/// What older histories may hold for the same text: the ends of its lines count.
pub fn legacy(text: &str) -> i32 {
    crc32fast::hash(text.as_bytes()).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_text_has_its_known_checksum() {
        let text = "alter table location_history add column valid_until timestamp with time zone;";
        assert_eq!(of(text), -1_039_259_818);
        assert_eq!(legacy(&format!("{text}\n")), -1_340_212_107);
    }

    #[test]
    fn ends_of_lines_and_the_mark_of_an_editor_do_not_count() {
        let plain = of("select 1;select 2;");
        for same in [
            "select 1;\nselect 2;",
            "select 1;\r\nselect 2;\r\n",
            "\u{feff}select 1;\rselect 2;",
            "\n\nselect 1;select 2;",
        ] {
            assert_eq!(of(same), plain, "{same:?}");
        }
        assert_ne!(of("select 1; select 2;"), plain);
        assert_eq!(of(""), 0);
    }
}
