//! Arrays as PostgreSQL writes them: `{a,"b c",NULL}`, `{{1,2},{3,4}}`, `[0:1]={1,2}`.

/// The array with each of its elements changed; `None` makes an element NULL.
pub(super) fn each(text: &str, mut change: impl FnMut(&str) -> Option<String>) -> String {
    // Bounds, if there are any, come before the first brace.
    let begin = text.find('{').unwrap_or(text.len());
    let mut out = text[..begin].to_owned();
    let mut rest = text[begin..].chars();
    let mut bare = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => push(&mut out, change(&quoted(&mut rest))),
            '{' | '}' | ',' => {
                push_bare(&mut out, &mut bare, &mut change);
                out.push(c);
            }
            other => bare.push(other),
        }
    }
    out
}

/// What is between two quotes, the first of which has been read.
fn quoted(rest: &mut std::str::Chars<'_>) -> String {
    let mut element = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' => element.extend(rest.next()),
            other => element.push(other),
        }
    }
    element
}

fn push_bare(out: &mut String, bare: &mut String, change: &mut impl FnMut(&str) -> Option<String>) {
    let element = std::mem::take(bare);
    match element.as_str() {
        "" => {}
        "NULL" => out.push_str("NULL"),
        element => push(out, change(element)),
    }
}

fn push(out: &mut String, element: Option<String>) {
    match element {
        None => out.push_str("NULL"),
        Some(element) => {
            out.push('"');
            out.push_str(&element.replace('\\', "\\\\").replace('"', "\\\""));
            out.push('"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_changed_wherever_they_are() {
        let check = |text: &str, wanted: &str| {
            let upper = each(text, |element| (element != "gone").then(|| element.to_uppercase()));
            assert_eq!(upper, wanted);
        };
        check("{}", "{}");
        check("{a,NULL,\"b c\"}", "{\"A\",NULL,\"B C\"}");
        check("{\"null\",\"x,\\\"y\\\\\"}", "{\"NULL\",\"X,\\\"Y\\\\\"}");
        check("{{1,2},{gone,4}}", "{{\"1\",\"2\"},{NULL,\"4\"}}");
        check("[0:1]={a,\"\"}", "[0:1]={\"A\",\"\"}");
    }
}
