use std::path::PathBuf;

use clap::{Args, Subcommand};
use daybook_api::client::Exit;
use daybook_server::state_backup::{
    self, Bucket, Destination, Drilled, Facts, KeyCopy, KeyForDrill, KeyKept, Listed, Restored, Saved, StateError,
};
use daybook_server::{KeySource, passphrase_in};

use crate::args::Format;
use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::output::style::{BAD, DIM, GOOD, WARN, paint};
use crate::output::table::Table;
use crate::output::{message, words};

/// Back up Daybook's own state, and bring it back: journal, releases, secrets, certificates, artifacts.
///
/// What databases and volumes of environments hold is not in it: they have backups of their own. A server may do it
/// by itself: `daybook serve --state-backup`.
#[derive(Debug, Args)]
pub(crate) struct State {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a backup now. A server goes on with its work meanwhile.
    Backup {
        /// Where to: a directory, or `s3://BUCKET/PREFIX`.
        #[arg(long, value_name = "PLACE", env = "DAYBOOK_STATE_BACKUP")]
        to: String,
        /// Leave the master key out. Then nothing but the key that you keep elsewhere opens the secrets of the backup.
        #[arg(long)]
        without_key: bool,
        #[command(flatten)]
        way: Way,
    },
    /// List the backups of states in a place.
    Ls {
        /// Where they are.
        #[arg(long, value_name = "PLACE", env = "DAYBOOK_STATE_BACKUP")]
        from: String,
        #[command(flatten)]
        way: Way,
    },
    /// Bring a state back into a directory that has none. No server is needed; start one there afterwards.
    Restore {
        /// Where the backup is.
        #[arg(long, value_name = "PLACE", env = "DAYBOOK_STATE_BACKUP")]
        from: String,
        /// The backup, by the beginning of its id; the newest without.
        #[arg(long, value_name = "ID")]
        snapshot: Option<String>,
        /// The directory: one that is not there, is empty, or holds what outlived the loss of its state.
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
        #[command(flatten)]
        way: Way,
    },
    /// Restore a backup into a scratch directory, and see whether it could be lived with.
    Drill {
        /// Where the backup is.
        #[arg(long, value_name = "PLACE", env = "DAYBOOK_STATE_BACKUP")]
        from: String,
        /// Another backup than the newest, by the beginning of its id.
        #[arg(long, value_name = "ID")]
        snapshot: Option<String>,
        /// Where there is room for it; the system's directory for such things without.
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
        /// The file of the master key, of a backup that was made without.
        #[arg(long, value_name = "FILE", env = "DAYBOOK_KEY_FILE")]
        key_file: Option<PathBuf>,
        /// A program that prints the master key, of a backup that was made without.
        #[arg(long, value_name = "COMMAND", env = "DAYBOOK_KEY_FROM", conflicts_with = "key_file")]
        key_from: Option<String>,
        /// The file of the passphrase under which the master key is sealed.
        #[arg(long, value_name = "FILE", env = "DAYBOOK_PASSPHRASE_FILE")]
        passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        way: Way,
    },
}

/// What opens the place.
#[derive(Debug, Args)]
struct Way {
    /// The file whose first line is the password that encrypts the backups. Keep it where the machine is not.
    #[arg(long, value_name = "FILE", env = "DAYBOOK_STATE_BACKUP_PASSWORD_FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    s3: S3,
}

/// How a bucket is reached. Its keys are variables (`AWS_ACCESS_KEY_ID`): a command line is seen by everybody.
#[derive(Debug, Args)]
pub(super) struct S3 {
    /// Of a bucket that is not Amazon's: the address of its server.
    #[arg(long = "s3-endpoint", value_name = "URL", env = "AWS_ENDPOINT_URL")]
    endpoint: Option<String>,
    /// Of a bucket: its region.
    #[arg(long = "s3-region", value_name = "NAME", env = "AWS_REGION")]
    region: Option<String>,
}

impl S3 {
    pub(super) fn bucket(self) -> Bucket {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let access = variable("AWS_ACCESS_KEY_ID").zip(variable("AWS_SECRET_ACCESS_KEY").map(Into::into));
        Bucket { endpoint: self.endpoint, region: self.region, access }
    }
}

impl Way {
    fn to(self, place: &str) -> Result<Destination> {
        let Some(file) = self.password_file else {
            let error = CommandError::usage("the password of the backups is missing: they are encrypted with it");
            return Err(error.hint("choose one, keep it elsewhere too, and give it in a file: --password-file FILE"));
        };
        let password = passphrase_in(&file);
        let password = password.map_err(|error| CommandError::io(format!("read {}", file.display()), &error))?;
        Destination::new(place, &self.s3.bucket(), password).map_err(|error| CommandError::usage(error.to_string()))
    }
}

impl State {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        #[cfg(feature = "kubernetes")]
        if ctx.global.server.is_some() {
            let error = CommandError::usage("the state of a server in a cluster is in its PostgreSQL");
            return Err(error.hint("back that up, and keep the key that the servers were given"));
        }
        match self.action {
            Action::Backup { to, without_key, way } => {
                let destination = way.to(&to)?;
                let key = if without_key { KeyCopy::LeftOut } else { KeyCopy::Included };
                let saved =
                    state_backup::save(&ctx.state, &destination, key, now()).await.map_err(|error| failed(&error))?;
                told_saved(ctx, &destination, &saved)?;
                Ok(Exit::Ok)
            }
            Action::Ls { from, way } => {
                let destination = way.to(&from)?;
                let all = state_backup::list(&destination).await.map_err(|error| failed(&error))?;
                ctx.data(&all, |all| table(all))?;
                Ok(Exit::Ok)
            }
            Action::Restore { from, snapshot, into, way } => {
                let destination = way.to(&from)?;
                let restored = state_backup::restore(&destination, snapshot.as_deref(), &into)
                    .await
                    .map_err(|error| failed(&error))?;
                told_restored(ctx, &into, &restored)?;
                Ok(Exit::Ok)
            }
            Action::Drill { from, snapshot, scratch, key_file, key_from, passphrase_file, way } => {
                let destination = way.to(&from)?;
                let source = match (key_from, key_file) {
                    (Some(words), _) => Some(KeySource::Program(words.split_whitespace().map(str::to_owned).collect())),
                    (None, file) => file.map(KeySource::File),
                };
                let passphrase = passphrase_file.as_deref().map(passphrase_in).transpose();
                let passphrase = passphrase.map_err(|error| CommandError::io("read the passphrase", &error))?;
                let key = KeyForDrill { source, passphrase: passphrase.map(|passphrase| passphrase.to_string()) };
                let scratch = scratch.unwrap_or_else(std::env::temp_dir);
                let drilled = state_backup::drill(&destination, snapshot.as_deref(), &scratch, &key).await;
                told_drilled(ctx, &drilled.map_err(|error| failed(&error))?)
            }
        }
    }
}

fn failed(error: &StateError) -> CommandError {
    CommandError::failed(error.to_string())
}

fn told_saved(ctx: &Ctx, destination: &Destination, saved: &Saved) -> Result<()> {
    let Saved { listed, facts } = saved;
    if ctx.format() != Format::Table {
        return ctx.data(listed, |_| String::new());
    }
    let size = |bytes: Option<u64>| bytes.map(words::size).unwrap_or_default();
    let (read, added) = (size(listed.size_bytes), size(listed.added_bytes));
    ctx.say(&format!(
        "{} state backup {} in {destination}: {read} read, {added} added",
        paint(GOOD, "✓"),
        listed.short()
    ));
    ctx.say(&format!("    {}", holds(facts)));
    if let Some(missing) = missing(facts) {
        ctx.say(&format!("{} {missing}", paint(WARN, "!")));
    }
    ctx.next(&format!("prove that it can be restored: daybook state drill --from {destination}"));
    Ok(())
}

fn told_restored(ctx: &Ctx, into: &std::path::Path, restored: &Restored) -> Result<()> {
    let Restored { listed, facts, stayed, has_key } = restored;
    if ctx.format() != Format::Table {
        return ctx.data(listed, |_| String::new());
    }
    let as_of = words::ago(listed.at, now());
    ctx.say(&format!("{} {} is as it was {as_of}, by backup {}", paint(GOOD, "✓"), into.display(), listed.short()));
    ctx.say(&format!("    {}", holds(facts)));
    if !stayed.is_empty() {
        ctx.say(&format!("    was there, and stays: {}", stayed.join(", ")));
    }
    if let Some(missing) = missing(facts).filter(|_| !has_key) {
        ctx.say(&format!("{} {missing}", paint(WARN, "!")));
    }
    ctx.next(&format!("go on with it: daybook --state {} serve", into.display()));
    Ok(())
}

fn told_drilled(ctx: &Ctx, drilled: &Drilled) -> Result<Exit> {
    let Drilled { listed, checks, wrong, took_ms } = drilled;
    let exit = if wrong.is_none() { Exit::Ok } else { Exit::Failed };
    if ctx.format() != Format::Table {
        let value = serde_json::json!({
            "snapshot": listed.snapshot, "at": listed.at, "proven": wrong.is_none(), "wrong": wrong, "checks": checks,
            "rto_ms": took_ms,
        });
        ctx.data(&value, |_| String::new())?;
        return Ok(exit);
    }
    let took = words::took(*took_ms);
    match wrong {
        Some(wrong) => {
            message(&format!("{} state backup {} is no good: {wrong}", paint(BAD, "✗"), listed.short()));
            message(&format!(
                "    {}",
                paint(DIM, "treat it as none, and make another, elsewhere if the place is to blame")
            ));
        }
        None => {
            let age = words::ago(listed.at, now());
            ctx.say(&format!(
                "{} state backup {} of {age} is proven: back in {took}",
                paint(GOOD, "✓"),
                listed.short()
            ));
            checks.iter().for_each(|check| ctx.say(&format!("    {check}")));
        }
    }
    Ok(exit)
}

fn holds(facts: &Facts) -> String {
    let held = &facts.held;
    let entries = if held.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", held.entries) };
    let releases = words::plural(held.releases, "release");
    format!("{entries} of the journal, {releases}, {}", words::plural(held.secrets, "sealed secret"))
}

/// What has to come from elsewhere.
fn missing(facts: &Facts) -> Option<&'static str> {
    match facts.key {
        KeyKept::Included => None,
        KeyKept::LeftOut => {
            Some("the master key is not in it: without your own copy, as `master.key` there, no secret opens")
        }
        KeyKept::Elsewhere => {
            Some("the master key is not in it: `serve` takes it from where it did, `--key-file`, `--key-from`")
        }
    }
}

fn table(all: &[Listed]) -> String {
    if all.is_empty() {
        return "no backup of a state yet\n".to_owned();
    }
    let mut table = Table::new(&["ID", "AS OF", "OF", "SIZE>", "ADDED>", "ENTRIES>", "RELEASES>", "SECRETS>", "KEY"]);
    for one in all.iter().rev() {
        let size = |bytes: Option<u64>| bytes.map(words::size).unwrap_or_default();
        let held = |of: fn(&Facts) -> u64| one.facts.as_ref().map(|facts| of(facts).to_string()).unwrap_or_default();
        let key = match one.facts.as_ref().map(|facts| facts.key) {
            Some(KeyKept::Included) => "in it",
            Some(KeyKept::LeftOut) => "left out",
            Some(KeyKept::Elsewhere) => "elsewhere",
            None => "",
        };
        table.row([
            one.short().to_owned(),
            words::ago(one.at, now()),
            format!("{}:{}", one.host, one.state.display()),
            size(one.size_bytes),
            size(one.added_bytes),
            held(|facts| facts.held.entries),
            held(|facts| facts.held.releases),
            held(|facts| facts.held.secrets),
            key.to_owned(),
        ]);
    }
    table.render()
}
