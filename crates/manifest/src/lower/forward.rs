//! `forward`: who else has what is measured and logged.

use daybook_model::forward::{Forward, Login, Outlet};
use daybook_model::notify::Address;

use super::Manifest;
use super::notify::{missing, secret, url};
use super::read::{text, texts};
use super::vault::authority;
use crate::context::Problem;
use crate::tree::Node;

/// What an environment's own `forward`, or else that of the whole manifest, says.
pub(crate) fn forward(manifest: &Manifest<'_, '_>, node: Option<&Node>) -> Forward {
    let outlet_of = |key| node?.get(key).filter(|of| !of.is_null()).and_then(|of| outlet(manifest, of));
    Forward { metrics: outlet_of("metrics"), logs: outlet_of("logs"), otlp_logs: outlet_of("otlp_logs") }
}

fn outlet(manifest: &Manifest<'_, '_>, of: &Node) -> Option<Outlet> {
    let url = match of.get("url") {
        Some(plain) if plain.map().is_none() => url(manifest, plain).map(Address::Plain),
        Some(_) => secret(manifest, of, "url").map(Address::Secret),
        None => {
            missing(manifest, of, "url", "the whole URL that is posted to");
            None
        }
    };
    let (login, tenant, only) = (login(manifest, of), header(manifest, of, "tenant"), only(manifest, of));
    let authority = of.get("ca").and_then(|file| authority(manifest, file));
    // Everything was looked at: whatever is wrong is told at once.
    Some(Outlet { url: url?, login: login?, tenant, only, authority, line: Some(manifest.ctx.line(of.span)) })
}

/// How to get in, if that is said. `None`: it is not said well.
fn login(manifest: &Manifest<'_, '_>, of: &Node) -> Option<Option<Login>> {
    let (user, password, token) = (of.get("user"), of.get("password"), of.get("token"));
    match (user, password, token) {
        (None, None, None) => Some(None),
        (None, None, Some(_)) => Some(Some(Login::Token(secret(manifest, of, "token")?))),
        (Some(_), Some(_), None) => {
            let (user, password) = (text(of, "user"), secret(manifest, of, "password"));
            Some(Some(Login::Password { user: user?, password: password? }))
        }
        (_, _, Some(token)) => {
            let problem = Problem::new("M0137", token.span, "there are two ways to get in");
            manifest.ctx.report(problem.label("either `token`, or `user` and `password`"));
            None
        }
        (user, _, None) => {
            let lacks = if user.is_some() { "password" } else { "user" };
            missing(manifest, of, lacks, "who logs in needs both `user` and `password`");
            None
        }
    }
}

/// What goes into a header as it is.
fn header(manifest: &Manifest<'_, '_>, of: &Node, key: &str) -> Option<String> {
    let value = text(of, key)?;
    if value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(value);
    }
    let problem = Problem::new("M0137", of.get(key)?.span, format!("`{key}` has other signs than those of ASCII"));
    manifest.ctx.report(problem.label("letters, digits and signs without blanks"));
    None
}

/// Names of metrics, in which `*` stands for anything.
fn only(manifest: &Manifest<'_, '_>, of: &Node) -> Vec<String> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_:*".contains(&byte);
    for node in of.get("only").map(Node::items).unwrap_or_default() {
        let written = node.scalar().unwrap_or_default();
        if written.is_empty() || !written.bytes().all(is_good) {
            let problem = Problem::new("M0137", node.span, format!("`{written}` is no name of a metric"));
            manifest.ctx.report(problem.label("like `http_requests_total`, or `daybook_http_*`"));
        }
    }
    texts(of, "only")
}
