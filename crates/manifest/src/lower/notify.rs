//! `notify`: where people are told of incidents.

use daybook_model::Severity;
use daybook_model::name::ChannelName;
use daybook_model::notify::{Address, Channel, Email, Receiver};
use daybook_model::spec::SecretRef;

use super::Manifest;
use super::read::{boolean, integer, text, texts};
use super::secrets;
use super::vault::authority;
use crate::context::Problem;
use crate::tree::{Entry, Map, Node};

/// Who may receive.
const RECEIVERS: [&str; 6] = ["pagerduty", "slack", "teams", "email", "webhook", "ntfy"];

const SHAPE: &str = "notify: {pager: {pagerduty: {routing_key: {secret: pagerduty}}}}";

/// The channels, in the order in which they are written.
pub(crate) fn channels(manifest: &Manifest<'_, '_>, node: Option<&Node>) -> Vec<Channel> {
    let entries = node.and_then(Node::map).into_iter().flat_map(Map::iter);
    entries.filter(|entry| !entry.value.is_null()).filter_map(|entry| channel(manifest, entry)).collect()
}

/// The key by which other tools may tell of alerts.
pub(crate) fn receive(manifest: &Manifest<'_, '_>, node: Option<&Node>) -> Option<SecretRef> {
    named(manifest, node?, "receive")
}

fn channel(manifest: &Manifest<'_, '_>, entry: &Entry) -> Option<Channel> {
    let (node, ctx) = (&entry.value, manifest.ctx);
    let name = ChannelName::new(entry.key.as_str()).map_err(|error| {
        ctx.report(Problem::new("M0118", entry.key_span, error.to_string()).label("choose another name"));
    });
    let said = RECEIVERS.into_iter().filter_map(|kind| Some((kind, node.get(kind)?)));
    let said: Vec<_> = said.collect();
    let (kind, of) = match said.as_slice() {
        [one] => *one,
        [] => {
            let problem = Problem::new("M0119", node.span, format!("nothing says where `{}` leads", entry.key));
            ctx.report(problem.label(format!("one of `{}`", RECEIVERS.join("`, `"))).help(format!("`{SHAPE}`")));
            return None;
        }
        [(first, _), (second, of), ..] => {
            let problem = Problem::new("M0137", of.span, format!("`{}` has two receivers", entry.key));
            ctx.report(problem.label(format!("leave `{first}` or `{second}` out")).help("make two channels of it"));
            return None;
        }
    };
    let receiver = receiver(manifest, kind, of);
    let least = text(node, "least").and_then(|word| word.parse().ok());
    // Who is woken by it wants to be woken for what wakes people, and to see what changed before.
    let is_pager = kind == "pagerduty";
    Some(Channel {
        name: name.ok()?,
        receiver: receiver?,
        least: least.unwrap_or(if is_pager { Severity::Page } else { Severity::Ticket }),
        changes: boolean(node, "changes").unwrap_or(is_pager),
        authority: node.get("ca").and_then(|file| authority(manifest, file)),
        line: Some(ctx.line(entry.key_span)),
    })
}

fn receiver(manifest: &Manifest<'_, '_>, kind: &str, of: &Node) -> Option<Receiver> {
    let needs = |key| {
        let secret = secret(manifest, of, key);
        if secret.is_none() && of.get(key).is_none() {
            missing(manifest, of, key, &format!("`{key}: {{secret: NAME}}`"));
        }
        secret
    };
    let server = || of.get("server").map_or(Some(None), |node| url(manifest, node).map(Some));
    match kind {
        "pagerduty" => {
            let (routing_key, server) = (needs("routing_key"), server());
            Some(Receiver::Pagerduty {
                routing_key: routing_key?,
                server: server?,
                webhooks: secret(manifest, of, "webhooks"),
            })
        }
        "slack" => Some(Receiver::Slack { url: needs("url")? }),
        "teams" => Some(Receiver::Teams { url: needs("url")? }),
        "email" => email(manifest, of).map(Receiver::Email),
        "webhook" => {
            let address = match of.get("url").filter(|node| node.map().is_none()) {
                Some(plain) => url(manifest, plain).map(Address::Plain),
                None => needs("url").map(Address::Secret),
            };
            let key = needs("key");
            Some(Receiver::Webhook { url: address?, key: key? })
        }
        _ => {
            let (topic, server) = (needs("topic"), server());
            Some(Receiver::Ntfy { server: server?, topic: topic?, token: secret(manifest, of, "token") })
        }
    }
}

fn email(manifest: &Manifest<'_, '_>, of: &Node) -> Option<Email> {
    let needs = |key: &str, label: &str| {
        let found = text(of, key);
        if found.is_none() {
            missing(manifest, of, key, label);
        }
        found
    };
    let (host, from) = (needs("host", "which mail server takes it?"), needs("from", "`Daybook <daybook@example.com>`"));
    let to = texts(of, "to");
    if to.is_empty() {
        missing(manifest, of, "to", "who receives it?");
    }
    for key in ["from", "to"] {
        for node in of.get(key).map(Node::items).unwrap_or_default() {
            let bare = node.scalar().unwrap_or_default().trim_end_matches('>');
            if !bare.rsplit_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty()) {
                let problem = Problem::new("M0137", node.span, format!("`{key}` is no address of e-mail"));
                manifest.ctx.report(problem.label("like `Daybook <daybook@example.com>`"));
            }
        }
    }
    let login = match (text(of, "user"), secret(manifest, of, "password")) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (user, _) => {
            let lacks = if user.is_some() { "password" } else { "user" };
            missing(manifest, of, lacks, "who logs in needs both `user` and `password`");
            None
        }
    };
    let port = of.get("port").filter(|node| !node.is_null()).and_then(|node| {
        let port = integer(of, "port").and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        if port.is_none() {
            manifest.ctx.report(Problem::new("M0137", node.span, "it is no port").label("from 1 to 65535"));
        }
        port
    });
    let starttls = text(of, "encryption").as_deref() == Some("starttls");
    Some(Email { host: host?, port, starttls, login, from: from?, to })
}

/// A URL that may be seen.
pub(super) fn url(manifest: &Manifest<'_, '_>, node: &Node) -> Option<String> {
    let written = node.scalar()?;
    let rest = written.strip_prefix("https://").or_else(|| written.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let problem = match host {
        Some(host) if host.contains('@') => "a URL that everybody may see has no user and no password",
        Some(host) if !host.is_empty() => return Some(written.to_owned()),
        _ => "it is no URL",
    };
    let problem = Problem::new("M0137", node.span, problem).label("https://HOST/…");
    manifest.ctx.report(problem.help("one that is nobody's business is a secret: `{secret: NAME}`"));
    None
}

pub(super) fn missing(manifest: &Manifest<'_, '_>, node: &Node, key: &str, label: &str) {
    manifest.ctx.report(Problem::new("M0119", node.span, format!("`{key}` is missing")).label(label));
}

/// A secret by its name; somebody else has to know its value, so it is not made here unless that is asked for.
pub(super) fn secret(manifest: &Manifest<'_, '_>, of: &Node, key: &str) -> Option<SecretRef> {
    named(manifest, of.get(key)?, key)
}

fn named(manifest: &Manifest<'_, '_>, node: &Node, key: &str) -> Option<SecretRef> {
    if node.map().is_none() {
        let problem = Problem::new("M0137", node.span, format!("`{key}` is written in clear"));
        let help = "its value is set with `daybook secret set NAME`, or comes from where `secrets` says";
        manifest.ctx.report(problem.label("write `{secret: NAME}`").help(help));
        return None;
    }
    let Some(name) = text(node, "secret") else {
        missing(manifest, node, "secret", "write `{secret: NAME}`");
        return None;
    };
    if name == "generate" {
        let problem = Problem::new("M0137", node.span, format!("nobody would know the value of `{key}`"));
        manifest.ctx.report(problem.label("write `{secret: NAME}`, and set its value"));
        return None;
    }
    secrets::named(manifest, &name, node.span, boolean(node, "generate").unwrap_or(false))
}
