//! A command line to its words, by the quoting rules of POSIX shells. Nothing is run or expanded.

/// The words of `line`, or why it has none.
pub(crate) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or("a single quote is not closed")? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            '\\' => match rest.next() {
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("nothing follows the backslash"),
            },
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    let open = "a double quote is not closed";
    loop {
        match rest.next().ok_or(open)? {
            '"' => return Ok(()),
            '\\' => match rest.next().ok_or(open)? {
                '\n' => {}
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r32_a_line_is_split_and_never_interpreted() {
        let cases: [(&str, &[&str]); 7] = [
            ("a  b", &["a", "b"]),
            ("sh -c 'x; y && $(z)'", &["sh", "-c", "x; y && $(z)"]),
            (r#"a "b \" $c" d"#, &["a", "b \" $c", "d"]),
            (r"a\ b \'", &["a b", "'"]),
            ("''", &[""]),
            ("", &[]),
            ("a\n  --b=\"c d\"e\n", &["a", "--b=c de"]),
        ];
        for (line, expect) in cases {
            assert_eq!(split(line).unwrap(), expect, "{line}");
        }
        for bad in ["'a", "\"a", "a\\"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
