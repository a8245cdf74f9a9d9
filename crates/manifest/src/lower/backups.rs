//! `backup` of a database or a volume, and `backups`: where they go.

use daybook_model::ServiceName;
use daybook_model::backup::{BackupPolicy, BackupStore, Keep};
use daybook_model::database::Engine;
use daybook_model::spec::SecretRef;

use super::Manifest;
use super::read::{bytes, flag, text, text_map, texts};
use super::secrets;
use super::service::words_of;
use crate::context::Problem;
use crate::tree::Node;
use crate::units;

/// Two backups of one thing are at least so far apart, milliseconds.
const SHORTEST_MS: u64 = 60_000;

const SHAPE: &str = "backup: {every: 6h, keep: 30d, drill: weekly}";

/// When backups of a database are made, kept and proven.
pub(super) fn policy(manifest: &Manifest<'_, '_>, database: &Node, engine: Engine) -> Option<BackupPolicy> {
    let node = database.get("backup").filter(|node| !node.is_null())?;
    if let Some(node) = node.get("expect").filter(|_| !engine.has_tables()) {
        let problem = Problem::new("M0132", node.span, format!("{} answers no questions in SQL", engine.name()));
        manifest.ctx.report(problem.label("leave it out"));
    }
    for key in ["before", "after"] {
        if let Some(node) = node.get(key) {
            let problem = Problem::new("M0132", node.span, format!("`{key}` is of volumes"));
            let help = "a database is backed up in one state by its own tools, whatever others write meanwhile";
            manifest.ctx.report(problem.label("leave it out").help(help));
        }
    }
    let start = services(manifest, node);
    let point_in_time = point_in_time(manifest, database, node, engine);
    Some(BackupPolicy { expect: texts(node, "expect"), start, point_in_time, ..schedule(manifest, node) })
}

/// Services that a drill starts.
fn services(manifest: &Manifest<'_, '_>, node: &Node) -> Vec<ServiceName> {
    let known = manifest.section("services");
    let items = node.get("start").map(Node::items).unwrap_or_default();
    let named = items.iter().filter_map(|item| {
        let name = item.scalar()?;
        if known.and_then(|known| known.entry(name)).is_some() {
            return ServiceName::new(name).ok();
        }
        let problem = Problem::new("M0132", item.span, format!("there is no service `{name}`"));
        let names = known.into_iter().flat_map(|known| known.iter()).map(|entry| entry.key.as_ref());
        let near = manifest.ctx.nearest(name, names);
        let label = near.map_or("which a drill would start".to_owned(), |near| format!("did you mean `{near}`?"));
        manifest.ctx.report(problem.label(label));
        None
    });
    named.collect()
}

/// When backups of a volume are made, kept and proven, and what is run around them.
pub(super) fn policy_of_volume(manifest: &Manifest<'_, '_>, volume: &Node) -> Option<BackupPolicy> {
    let node = volume.get("backup").filter(|node| !node.is_null())?;
    if let Some(node) = node.get("expect") {
        let problem = Problem::new("M0132", node.span, "a volume answers no questions in SQL");
        let help = "a drill compares every file with what was saved; `before` and `after` run commands around a backup";
        manifest.ctx.report(problem.label("leave it out").help(help));
    }
    for key in ["start", "point_in_time"] {
        if let Some(node) = node.get(key) {
            let problem = Problem::new("M0132", node.span, format!("`{key}` is of databases"));
            manifest.ctx.report(problem.label("leave it out").help("a drill of a volume compares every file"));
        }
    }
    let command = |key| words_of(manifest, node, key).unwrap_or_default();
    Some(BackupPolicy { before: command("before"), after: command("after"), ..schedule(manifest, node) })
}

fn schedule(manifest: &Manifest<'_, '_>, node: &Node) -> BackupPolicy {
    BackupPolicy {
        line: Some(manifest.ctx.line(node.span)),
        every_ms: node.get("every").and_then(|node| span(manifest, node)),
        keep: node.get("keep").map_or(Keep::USUAL, |node| keep(manifest, node)),
        drill_ms: node.get("drill").and_then(|node| span(manifest, node)),
        expect: Vec::new(),
        start: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
        point_in_time: false,
    }
}

/// Settings by which a server archives what it writes: with `point_in_time` they are Daybook's.
const OF_ARCHIVE: [&str; 3] = ["archive_mode", "archive_command", "archive_library"];

/// Whether what is written is kept as well.
fn point_in_time(manifest: &Manifest<'_, '_>, database: &Node, node: &Node, engine: Engine) -> bool {
    let Some(node) = node.get("point_in_time").filter(|_| flag(node, "point_in_time")) else { return false };
    let refuse = |message: String, label: &str| {
        manifest.ctx.report(Problem::new("M0132", node.span, message).label(label));
        false
    };
    if engine != Engine::Postgres {
        let message = format!("{} cannot be brought back to any moment", engine.name());
        return refuse(message, "only PostgreSQL can: leave it out");
    }
    if database.get("url").is_some() {
        let message = "somebody else runs this database, and archives what it writes".to_owned();
        return refuse(message, "leave it out");
    }
    let settings = text_map(database, "settings");
    if let Some(name) = OF_ARCHIVE.into_iter().find(|name| settings.contains_key(*name)) {
        let message = format!("`{name}` and `point_in_time` both say where what is written goes");
        return refuse(message, "leave one of them out");
    }
    match settings.get("wal_level").map(String::as_str) {
        None | Some("replica" | "logical") => true,
        Some(level) => refuse(format!("with `wal_level: {level}` too little is written"), "leave one of them out"),
    }
}

/// `6h`, or a word for it.
fn span(manifest: &Manifest<'_, '_>, node: &Node) -> Option<u64> {
    const WORDS: [(&str, &str); 4] = [("hourly", "1h"), ("daily", "1d"), ("weekly", "1w"), ("monthly", "30d")];
    let written = node.scalar()?;
    let meant = WORDS.iter().find(|(word, _)| *word == written).map_or(written, |(_, meant)| meant);
    match units::duration_ms(meant) {
        Some(ms) if ms >= SHORTEST_MS => Some(ms),
        Some(_) => {
            let problem = Problem::new("M0132", node.span, format!("`{written}` is too short"));
            manifest.ctx.report(problem.label("at least a minute"));
            None
        }
        None => {
            let problem = Problem::new("M0132", node.span, format!("`{written}` is no span of time"));
            let near = manifest.ctx.nearest(written, WORDS.map(|(word, _)| word));
            let label = near.map_or("like `6h`, `1d` or `weekly`".to_owned(), |near| format!("did you mean `{near}`?"));
            manifest.ctx.report(problem.label(label).help(format!("for example `{SHAPE}`")));
            None
        }
    }
}

/// `30d`, or so many of each span.
fn keep(manifest: &Manifest<'_, '_>, node: &Node) -> Keep {
    if node.map().is_none() {
        return Keep { within_ms: span(manifest, node), ..Keep::NOTHING };
    }
    let count = |key: &str| {
        let Some(node) = node.get(key) else { return 0 };
        let count = node.scalar().and_then(units::integer).and_then(|count| u32::try_from(count).ok());
        count.unwrap_or_else(|| {
            let problem = Problem::new("M0132", node.span, format!("`{key}` is how many of them are kept"));
            manifest.ctx.report(problem.label("a number from 0"));
            0
        })
    };
    Keep {
        last: count("last"),
        within_ms: node.get("within").and_then(|node| span(manifest, node)),
        hourly: count("hourly"),
        daily: count("daily"),
        weekly: count("weekly"),
        monthly: count("monthly"),
        yearly: count("yearly"),
    }
}

/// Where backups go.
pub(crate) fn store(manifest: &Manifest<'_, '_>, node: Option<&Node>) -> Option<BackupStore> {
    let node = node?;
    let Some((written, at)) = node.get("to").and_then(|node| Some((node.scalar()?, node.span))) else {
        let problem = Problem::new("M0132", node.span, "nothing says where backups go");
        manifest.ctx.report(problem.label("`to` is missing").help("`to: s3://BUCKET/PREFIX`, or a directory"));
        return None;
    };
    let is_bucket = written.starts_with("s3://");
    let to = if is_bucket { written.trim_end_matches('/').to_owned() } else { manifest.ctx.resolve(at, written) };
    if !is_bucket && written.contains("://") {
        let problem = Problem::new("M0132", at, format!("backups cannot go to `{written}`"));
        manifest.ctx.report(problem.label("`s3://BUCKET/PREFIX`, or a directory"));
        return None;
    }
    for key in ["endpoint", "region", "access_key", "secret_key", "locked"] {
        if let Some(node) = node.get(key).filter(|_| !is_bucket) {
            let problem = Problem::new("M0132", node.span, format!("`{key}` is of a bucket, and `{written}` is none"));
            manifest.ctx.report(problem.label("leave it out"));
        }
    }
    let access = match (secret(manifest, node, "access_key"), secret(manifest, node, "secret_key")) {
        (Some(who), Some(proof)) => Some((who, proof)),
        (None, None) if !is_bucket => None,
        _ => {
            let problem = Problem::new("M0132", node.span, "nothing says who writes to the bucket");
            let help = "`access_key: {secret: backup-id}` and `secret_key: {secret: backup-key}` name two secrets";
            manifest.ctx.report(problem.label("`access_key` or `secret_key` is missing").help(help));
            None
        }
    };
    let locked = node.get("locked").and_then(|node| span(manifest, node));
    Some(BackupStore {
        to,
        endpoint: text(node, "endpoint"),
        region: text(node, "region"),
        access,
        locked_days: locked.map(|ms| u32::try_from(ms.div_ceil(86_400_000)).unwrap_or(u32::MAX)),
        bytes_per_second: bytes(node, "bandwidth"),
    })
}

fn secret(manifest: &Manifest<'_, '_>, node: &Node, key: &str) -> Option<SecretRef> {
    let node = node.get(key)?.get("secret")?;
    secrets::named(manifest, node.scalar()?, node.span, false)
}
