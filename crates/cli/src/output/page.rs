//! Pages that need nothing else: one file, to be handed on.

/// Looks of every page, light and dark.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5a6470;--line:#d8dee4;--paper:#fff;--soft:#f6f8fa;--bad:#b42318;--warn:#8a5300;--good:#146c43}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa5b1;--line:#30363d;--paper:#0d1117;--soft:#161b22;--bad:#ff8f85;--warn:#e9b264;--good:#6fd39b}}
*{box-sizing:border-box}body{margin:0 auto;max-width:72rem;padding:2rem 1.25rem 4rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2.5rem 0 .75rem}p{margin:.25rem 0}.dim{color:var(--dim)}
.sum{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.25rem 0;padding:0;list-style:none}.sum li{background:var(--soft);border:1px solid var(--line);border-radius:.5rem;padding:.5rem 1rem}.sum b{font-size:1.35rem;display:block}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.5rem .6rem;border-bottom:1px solid var(--line)}th{font-weight:600;color:var(--dim);font-size:.85rem}td.n{text-align:right;font-variant-numeric:tabular-nums}
code{font:.9em ui-monospace,monospace;overflow-wrap:break-word}.bad{color:var(--bad);font-weight:600}.warn{color:var(--warn);font-weight:600}.good{color:var(--good);font-weight:600}
details{border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0;padding:.5rem 1rem}summary{cursor:pointer;font-weight:600}
.picture{overflow-x:auto;border:1px solid var(--line);border-radius:.5rem}.picture svg{display:block;max-width:100%;height:auto;min-width:44rem}
@media(max-width:40rem){thead{display:none}tr,td{display:block;border:0;padding:.1rem 0}tr{border-bottom:1px solid var(--line);padding:.6rem 0}}";

/// A page with a title, a line beneath it, and a body that is HTML already.
pub(crate) fn page(title: &str, beneath: &str, body: &str) -> String {
    let (title, beneath) = (escape(title), escape(beneath));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <main>\n<h1>{title}</h1>\n<p class=\"dim\">{beneath}</p>\n{body}</main>\n</html>\n"
    )
}

/// A table: its heads, and rows of cells that are HTML already.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let cells =
        |tag: &str, cells: &[String]| -> String { cells.iter().map(|cell| format!("<{tag}>{cell}</{tag}>")).collect() };
    let heads: Vec<String> = heads.iter().map(|head| escape(head)).collect();
    let rows: String = rows.iter().map(|row| format!("<tr>{}</tr>\n", cells("td", row))).collect();
    format!("<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n", cells("th", &heads))
}

/// `text` as text of a page.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `text` in a class: `bad`, `warn`, `good`, `dim`.
pub(crate) fn classed(class: &str, text: &str) -> String {
    format!("<span class=\"{class}\">{}</span>", escape(text))
}

/// `text` as code.
pub(crate) fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r32_what_a_page_shows_is_text() {
        let page = page("<script>", "\"&", &table(&["<b>"], &[vec![code("<i>")]]));
        assert!(!page.contains("<script>") && !page.contains("<b>") && !page.contains("<i>"), "{page}");
        assert!(page.contains("&lt;script&gt;") && page.contains("&quot;&amp;"));
    }
}
