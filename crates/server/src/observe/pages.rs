//! Dashboards as pages: HTML with pictures in it, and nothing that runs. They are where questions are answered that nobody has to
//! log in for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use daybook_model::EnvKey;
use daybook_panels::dashboard::{Dashboard, Filling, Panel, defaults};
use daybook_panels::{Chart, Grid, escape, svg};

use crate::App;
use crate::error::ApiError;

/// Over how many seconds, if nothing is said, and at most.
const SPAN: (i64, i64) = (3_600, 90 * 86_400);

/// Up to how many seconds a page is drawn anew often; beyond, it hardly changes, and takes more work.
const SHORT: i64 = 6 * 3_600;
/// After how many seconds a page is drawn anew, over a short span and over a long one.
const ANEW: (u32, u32) = (30, 300);

const STYLE: &str = "body{margin:0;font:14px system-ui,-apple-system,'Segoe UI',sans-serif;color:#16191d;background:#f5f7fa}\
header{padding:14px 20px;background:#fff;border-bottom:1px solid #c9d1da}h1{margin:0 0 6px;font-size:19px}p{margin:4px 0;color:#5a6470}\
a{color:#1f6fd6}b{font-weight:650}main{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,520px),1fr));gap:14px;padding:14px 20px}\
svg{width:100%;height:auto;display:block;border:1px solid #c9d1da;border-radius:8px}\
section{padding:12px 14px;border:1px solid #c9d1da;border-radius:8px}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#141a21}header{background:#0d1117;border-color:#343c46}p{color:#9aa5b1}\
a{color:#6aa9ff}svg,section{border-color:#343c46}}";

/// The list of dashboards, and each.
pub(super) fn routes() -> Router<App> {
    Router::new().route("/dashboards", get(list)).route("/dashboards/{name}", get(page))
}

async fn list(State(app): State<App>) -> Response {
    answered(&listed(&app.managed().await))
}

async fn page(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let found = defaults().into_iter().find(|board| board.name == name);
    let board = found.ok_or_else(|| ApiError::not_found("no dashboard has this name").hint("see /dashboards"))?;
    let span = asked.get("since").and_then(|text| text.parse().ok()).unwrap_or(SPAN.0).clamp(60, SPAN.1);
    let grid = Grid::until(app.now().as_millisecond(), span * 1_000);
    let filling = filled(&board, &asked, app.managed().await.first(), grid);
    let mut pictures = String::new();
    for panel in &board.panels {
        let drawn = drawn(&app, panel, &filling, grid).await;
        pictures.push_str(&drawn.unwrap_or_else(|why| failed(&panel.title, &why)));
    }
    let anew = if span <= SHORT { ANEW.0 } else { ANEW.1 };
    Ok(answered(&document(&board.title, &head(&board, &filling, span), &pictures, anew)))
}

/// A panel as a picture; or why there is none.
async fn drawn(app: &App, panel: &Panel, filling: &Filling, grid: Grid) -> Result<String, String> {
    let mut lines = Vec::new();
    for asked in &panel.queries {
        let query = filling.fill(&asked.expr).map_err(|error| error.to_string())?;
        lines.extend(app.lines(&query, &asked.legend, grid).await.map_err(|error| error.to_string())?);
    }
    Ok(svg(&Chart::new(panel.title.clone(), panel.unit, grid, lines)))
}

/// What stands in the place of a picture that there is not.
fn failed(title: &str, why: &str) -> String {
    format!("<section><b>{}</b><p>{}</p></section>\n", escape(title), escape(why))
}

/// What stands for the variables: what is asked for, else everything, else the first environment.
fn filled(board: &Dashboard, asked: &BTreeMap<String, String>, first: Option<&EnvKey>, grid: Grid) -> Filling {
    let mut filling = Filling::over(grid);
    for variable in &board.variables {
        // A value stands between quotes.
        let said = asked.get(&variable.name).filter(|value| !value.contains(['"', '\\', '\n']));
        let usual = || match variable.name.as_str() {
            "app" => first.map(|key| key.app.to_string()).unwrap_or_default(),
            "env" => first.map(|key| key.env.to_string()).unwrap_or_default(),
            _ => ".*".to_owned(),
        };
        filling.set(&variable.name, said.cloned().unwrap_or_else(usual));
    }
    filling
}

fn listed(environments: &[EnvKey]) -> String {
    let mut out = String::from("<p>Daybook</p><h1>Dashboards</h1>");
    for board in defaults() {
        let _ = write!(out, "<p><b>{}</b> {}<br>", escape(&board.title), escape(&board.about));
        if board.variables.iter().all(|variable| variable.name != "app") {
            let _ = write!(out, "<a href=\"dashboards/{}\">every machine</a></p>", board.name);
            continue;
        }
        let link = |key: &EnvKey| {
            let to = format!("dashboards/{}?app={}&env={}", board.name, key.app, key.env);
            format!("<a href=\"{}\">{}</a> ", escape(&to), escape(&key.to_string()))
        };
        out.push_str(&environments.iter().map(link).collect::<String>());
        out.push_str("</p>");
    }
    document("Dashboards", &out, "", ANEW.0)
}

/// What is shown, and the ways to other times.
fn head(board: &Dashboard, filling: &Filling, span: i64) -> String {
    let values = || board.variables.iter().filter_map(|variable| Some((&variable.name, filling.get(&variable.name)?)));
    let shown: Vec<String> = values().map(|(name, value)| format!("{name} {value}")).collect();
    let mut out = format!(
        "<p><a href=\"../dashboards\">Dashboards</a></p><h1>{}</h1><p>{}</p><p>{} · ",
        escape(&board.title),
        escape(&board.about),
        escape(&shown.join(", ").replace(".*", "all")),
    );
    for (seconds, name) in [(900, "15 min"), (3_600, "1 h"), (21_600, "6 h"), (86_400, "1 day"), (604_800, "7 days")] {
        if seconds == span {
            let _ = write!(out, "<b>{name}</b> ");
            continue;
        }
        let mut to = url::form_urlencoded::Serializer::new(String::new());
        values().for_each(|(name, value)| _ = to.append_pair(name, value));
        let to = to.append_pair("since", &seconds.to_string()).finish();
        let _ = write!(out, "<a href=\"?{}\">{name}</a> ", escape(&to));
    }
    out + "</p>"
}

fn document(title: &str, head: &str, pictures: &str, anew: u32) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"refresh\" content=\"{anew}\">\n<title>{}</title>\n<style>{STYLE}</style>\n<header>{head}</header>\n<main>\n{pictures}</main>\n</html>\n",
        escape(title)
    )
}

fn answered(page: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, page.to_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashboards_by_default_ask_for_what_is_listed() {
        for dashboard in defaults() {
            let queries = dashboard.panels.iter().flat_map(|panel| panel.queries.iter().map(|asked| &asked.expr));
            for query in queries.chain(dashboard.variables.iter().map(|variable| &variable.query)) {
                let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                for name in words.filter(|word| word.starts_with("daybook_")) {
                    let listed = daybook_rules::builtin::of_series(name);
                    assert!(listed.is_some(), "{} asks for {name}", dashboard.title);
                }
            }
        }
    }

    #[test]
    fn what_is_asked_for_cannot_leave_its_place() {
        let board = defaults().remove(0);
        let asked = [("app", "shop\"} or vector(1"), ("env", "<b>"), ("service", "web")];
        let asked = asked.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let key = "blog/staging".parse().unwrap();
        let filling = filled(&board, &asked, Some(&key), Grid { from: 0, to: 1_000, step: 1_000 });
        assert_eq!(
            (filling.get("app"), filling.get("env"), filling.get("service")),
            (Some("blog"), Some("<b>"), Some("web"))
        );
        let shown = head(&board, &filling, 3_600);
        assert!(shown.contains("app blog, env &lt;b&gt;, service web") && shown.contains("<b>1 h</b>"), "{shown}");
        assert!(shown.contains("?app=blog&amp;env=%3Cb%3E&amp;service=web&amp;since=900"), "{shown}");
    }

    #[test]
    fn a_panel_that_cannot_be_drawn_says_why() {
        let text = failed("Load <1>", "parse error: \"<b>\"");
        assert_eq!(text, "<section><b>Load &lt;1&gt;</b><p>parse error: &quot;&lt;b&gt;&quot;</p></section>\n");
        assert!(document("x", "", &text, ANEW.1).contains("content=\"300\""));
    }

    #[test]
    fn a_page_needs_nothing_else() {
        let page = listed(&["shop/production".parse().unwrap()]);
        assert!(page.contains("dashboards/service?app=shop&amp;env=production"), "{page}");
        assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "{page}");
    }
}
