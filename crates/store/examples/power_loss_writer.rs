//! Writes to a store whose power will fail, for `tests/power_loss.rs`: says on standard output how many entries were
//! acknowledged, after each.
//!
//! Usage: `power_loss_writer DIRECTORY`

use std::path::{Path, PathBuf};

use daybook_model::event::Verdict;
use daybook_model::{Actor, EnvKey, Event, Release, ReleaseNumber, ReplicaId, RunId, RunKind, Spec};
use daybook_store::{Journal as _, Store, Write};
use zeroize::Zeroizing;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs, after each of which the store is closed and opened again: the log is written into the database and removed.
const RUNS: u64 = 3;

/// Entries after those: enough for the log to be written into the database meanwhile, and used from its start again.
const MORE: u64 = 170;

struct Writer {
    directory: PathBuf,
    store: Store,
    written: u64,
    key: EnvKey,
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory = std::env::args().nth(1).ok_or("write where?")?;
    let mut writer = Writer::open(Path::new(&directory)).await?;
    for number in 1..=RUNS {
        writer.run(ReleaseNumber(number)).await?;
    }
    for _ in 0..MORE {
        writer.notice(None).await?;
    }
    writer.store.close().await;
    Ok(())
}

impl Writer {
    async fn open(directory: &Path) -> Result<Self> {
        let store = Store::open(directory).await?;
        Ok(Self { directory: directory.to_owned(), store, written: 0, key: "shop/production".parse()? })
    }

    /// A run with its beginning, a few entries of several pages, a secret, a release and its end.
    async fn run(&mut self, number: ReleaseNumber) -> Result<()> {
        let id = RunId(uuid::Uuid::from_u128(number.0.into()));
        let run = Some(id);
        let began = Event::RunStarted {
            purpose: RunKind::Up,
            reason: "up".to_owned(),
            to: number,
            from: None,
            spec: Box::new(Spec::empty(self.key.clone())),
            manifest: None,
            remove_volumes: std::collections::BTreeSet::new(),
        };
        self.store.append(self.write(run, began)).await?;
        self.acknowledged();
        for _ in 0..6 {
            self.notice(run).await?;
        }
        let value = Zeroizing::new(format!("value {number}").into_bytes());
        self.store.set_secret(Actor::daybook("test"), &self.key, &"password".parse()?, value).await?;
        self.acknowledged();
        let release = Release {
            number,
            run: id,
            accepted_at: "2026-01-01T00:00:00Z".parse()?,
            spec: Spec::empty(self.key.clone()),
            manifest: None,
            reason: format!("up {number}"),
        };
        self.store.accept(self.write(run, Event::ReleaseAccepted { number }), &release).await?;
        self.acknowledged();
        self.store.append(self.write(run, Event::RunFinished { verdict: Verdict::Reached })).await?;
        self.acknowledged();
        self.store.close().await;
        self.store = Store::open(&self.directory).await?;
        Ok(())
    }

    /// An entry that says its own number, at varying lengths.
    async fn notice(&mut self, run: Option<RunId>) -> Result<()> {
        let number = self.written + 1;
        let replica: ReplicaId = "web.1".parse()?;
        let what = format!("entry {number}").repeat(1 + usize::try_from(number * 97 % 1_000)?);
        self.store.append(self.write(run, Event::Noticed { replica, what })).await?;
        self.acknowledged();
        Ok(())
    }

    fn write(&self, run: Option<RunId>, event: Event) -> Write {
        Write { key: Some(self.key.clone()), run, actor: Actor::daybook("test"), event, expected: None }
    }

    #[expect(clippy::print_stdout)]
    fn acknowledged(&mut self) {
        self.written += 1;
        println!("acknowledged {}", self.written);
    }
}
