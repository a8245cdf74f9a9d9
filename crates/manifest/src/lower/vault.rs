//! `vault`: who else keeps values of secrets, and how to get in.

use std::collections::BTreeMap;

use daybook_model::SecretName;
use daybook_model::vault::{Kept, Login, Vault};

use super::Manifest;
use super::environment::unreadable;
use super::read::text;
use super::secrets;
use crate::bundle::ReadError;
use crate::context::Problem;
use crate::tree::{Node, Span};

/// A value of a Vault that a service needs.
pub(crate) struct Wanted {
    pub(crate) path: String,
    pub(crate) field: String,
    pub(crate) span: Span,
}

const SHAPE: &str = "vault: {address: \"https://vault.example.com:8200\", auth: {approle: {role: ID, secret: NAME}}}";

/// The Vault that the services' secrets are kept in. `None`: there is none, or nothing of it is needed.
pub(crate) fn vault(manifest: &Manifest<'_, '_>, node: Option<&Node>) -> Option<Vault> {
    let Some(node) = node else {
        if let Some(wanted) = manifest.kept.borrow().values().next() {
            let problem = Problem::new("M0129", wanted.span, "nothing says which Vault this is");
            manifest.ctx.report(problem.label("kept there").help(format!("describe it: `{SHAPE}`")));
        }
        return None;
    };
    let address = address(manifest, node);
    let login = login(manifest, node);
    let authority = node.get("ca").and_then(|file| authority(manifest, file));
    let (address, login) = (address?, login?);
    let mount = text(node, "mount");
    let kept = manifest.kept.borrow();
    if let Some((name, wanted)) = login.credential().and_then(|name| kept.get_key_value(name)) {
        let problem = Problem::new("M0129", wanted.span, format!("`{name}` lets into the Vault, and is kept in it"));
        manifest.ctx.report(problem.label("a key inside of its own lock").help("take it from elsewhere"));
    }
    let values =
        kept.iter().filter_map(|(name, wanted)| Some((name.clone(), place(manifest, wanted, mount.as_deref())?)));
    let values: BTreeMap<SecretName, Kept> = values.collect();
    let line = Some(manifest.ctx.line(node.span));
    let vault = Vault { address, namespace: text(node, "namespace"), authority, login, values, line };
    (!vault.values.is_empty()).then_some(vault)
}

/// Where the engine is mounted, and the path in it: the first part and the rest, unless `vault` says where.
fn place(manifest: &Manifest<'_, '_>, wanted: &Wanted, mount: Option<&str>) -> Option<Kept> {
    let parts = match mount {
        Some(mount) => Some((mount, wanted.path.as_str())),
        None => wanted.path.split_once('/'),
    };
    // What leads up would be another question than that for a secret.
    let is_plain = |path: &str| {
        path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
            && !path.chars().any(char::is_control)
    };
    match parts {
        Some((mount, path)) if is_plain(mount) && is_plain(path) => Some(Kept {
            mount: mount.to_owned(),
            path: path.to_owned(),
            field: wanted.field.clone(),
            line: Some(manifest.ctx.line(wanted.span)),
        }),
        _ => {
            let problem = Problem::new("M0129", wanted.span, format!("`{}` is no place of a secret", wanted.path));
            manifest.ctx.report(problem.label("write MOUNT/PATH: `kv/shop/production`"));
            None
        }
    }
}

fn address(manifest: &Manifest<'_, '_>, node: &Node) -> Option<String> {
    let Some(written) = node.get("address") else {
        let problem = Problem::new("M0119", node.span, "`address` is missing");
        manifest.ctx.report(problem.label("which Vault?").help(format!("`{SHAPE}`")));
        return None;
    };
    let (text, span) = (written.scalar()?, written.span);
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_host = |host: &&str| {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse::<u16>().is_ok()),
            _ => (*host, true),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
        port && !name.is_empty() && name.chars().all(plain)
    };
    let Some(host) = host.filter(is_host) else {
        let problem = Problem::new("M0129", span, format!("`{text}` is no address of a Vault"));
        manifest.ctx.report(problem.label("write https://HOST:PORT, without a path"));
        return None;
    };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if url.starts_with("http://") && name != "localhost" && name != "[::1]" && !name.starts_with("127.") {
        let problem = Problem::new("M0130", span, format!("what {host} keeps goes through the network in clear"));
        manifest.ctx.report(problem.label("`https://`, unless nobody listens between here and there"));
    }
    Some(url.to_owned())
}

/// Certificates of an authority, from a file.
pub(super) fn authority(manifest: &Manifest<'_, '_>, file: &Node) -> Option<String> {
    let written = file.scalar()?;
    let path = manifest.ctx.resolve(file.span, written);
    match manifest.ctx.read(file.span, &path) {
        Ok(text) => Some(text),
        Err(ReadError::TooMuch) => None,
        Err(error) => {
            unreadable(
                manifest,
                file.span,
                written,
                &error,
                "or leave `ca` out: then the machine's authorities are trusted",
            );
            None
        }
    }
}

fn login(manifest: &Manifest<'_, '_>, node: &Node) -> Option<Login> {
    let auth = node.get("auth");
    let ways = ["token", "approle", "kubernetes"].into_iter().filter_map(|way| Some((way, auth?.get(way)?)));
    let ways: Vec<_> = ways.collect();
    let (way, said) = match ways.as_slice() {
        [(way, said)] => (*way, *said),
        [] => {
            let problem = Problem::new("M0119", auth.unwrap_or(node).span, "nothing says how to get into the Vault");
            let help = "`auth: {token: NAME}`, `auth: {approle: {role: ID, secret: NAME}}` or `auth: {kubernetes: \
                        {role: NAME}}`, where NAME is of a secret";
            manifest.ctx.report(problem.label("`auth` with one way in").help(help));
            return None;
        }
        [(first, _), (second, node), ..] => {
            let problem =
                Problem::new("M0129", node.span, format!("two ways into the Vault: `{first}` and `{second}`"));
            manifest.ctx.report(problem.label("leave one out"));
            return None;
        }
    };
    let needs = |key: &str| {
        let found = text(said, key);
        if found.is_none() {
            let problem = Problem::new("M0119", said.span, format!("`{key}` of `{way}` is missing"));
            manifest.ctx.report(problem.label("needed to get in"));
        }
        found
    };
    let credential = |name: &str, span: Span| secrets::named(manifest, name, span, false).map(|secret| secret.name);
    let mount = || text(said, "mount").unwrap_or_else(|| way.to_owned());
    match way {
        "token" => Some(Login::Token { token: credential(said.scalar()?, said.span)? }),
        "approle" => {
            let (role, secret) = (needs("role"), needs("secret"));
            let span = said.get("secret").map_or(said.span, |node| node.span);
            Some(Login::AppRole { mount: mount(), role: role?, secret: credential(&secret?, span)? })
        }
        _ => Some(Login::Kubernetes { mount: mount(), role: needs("role")? }),
    }
}
