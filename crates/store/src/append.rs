//! One append, within one transaction: the fences, the entry, and what is kept of it beside.

use daybook_model::{Digest, Entry, EnvKey, Event, RunId, Timestamp};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::chain::{self, FORM, Stored, Versioned};
use crate::database::failed;
use crate::fence::{self, Situation};
use crate::{Result, Write, derived};

const OPERATION: &str = "write to the journal";

/// Appends `write` inside the transaction that `connection` is in.
pub(crate) async fn append(connection: &mut AnyConnection, write: Write, at: Timestamp) -> Result<Entry> {
    let situation = situation(connection, &write).await.map_err(failed(OPERATION))?;
    fence::check(&write, situation)?;
    let (last, previous) = head(connection).await?;
    let stored = stored(&write, at, last + 1, previous)?;
    insert(connection, &stored).await.map_err(failed(OPERATION))?;
    if let Some(key) = &write.key {
        derive(connection, key, write.run, &write.event, &stored).await.map_err(failed(OPERATION))?;
    }
    derive_target(connection, &write.event).await.map_err(failed(OPERATION))?;
    let Write { key, run, actor, event, .. } = write;
    let (previous, hash) = (Digest::from_hash(&stored.previous), Digest::from_hash(&stored.hash));
    Ok(Entry { seq: stored.seq, at, key, run, actor, event, previous, hash })
}

async fn situation(connection: &mut AnyConnection, write: &Write) -> sqlx::Result<Situation> {
    let Some(key) = &write.key else { return Ok(Situation::default()) };
    let open: Option<String> = sqlx::query_scalar("SELECT run FROM runs WHERE key = $1 AND finished_seq IS NULL")
        .bind(key.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let latest: Option<i64> = sqlx::query_scalar("SELECT latest_seq FROM environments WHERE key = $1")
        .bind(key.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let ended: Option<String> = sqlx::query_scalar("SELECT run FROM runs WHERE run = $1 AND finished_seq IS NOT NULL")
        .bind(write.run.map(|run| run.to_string()))
        .fetch_optional(&mut *connection)
        .await?;
    let open =
        open.map(|run| run.parse().map(RunId)).transpose().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Situation { open, latest: latest.unwrap_or(0).cast_unsigned(), ended: ended.is_some() })
}

/// The number and the hash of the last entry, which must be the one that the head names.
async fn head(connection: &mut AnyConnection) -> Result<(u64, [u8; 32])> {
    let sql = format!("SELECT {} FROM journal ORDER BY seq DESC LIMIT 1", chain::COLUMNS);
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut *connection).await.map_err(failed(OPERATION))?;
    let last = row.as_ref().map(Stored::read).transpose()?;
    let (seq, hash) = last.map_or_else(|| (0, chain::origin()), |last| (last.seq, last.hash));
    let (head, head_hash) = recorded_head(connection).await.map_err(failed(OPERATION))?;
    if (head, head_hash.as_slice()) != (seq, hash.as_slice()) {
        let why = format!("the journal ends at entry {seq}, and entry {head} was written last");
        return Err(chain::damaged(seq.min(head) + 1, &why));
    }
    Ok((seq, hash))
}

/// The number and the hash that were written last.
pub(crate) async fn recorded_head(connection: &mut AnyConnection) -> sqlx::Result<(u64, Vec<u8>)> {
    let row = sqlx::query("SELECT seq, hash FROM journal_head").fetch_optional(connection).await?;
    let Some(row) = row else { return Ok((0, chain::origin().to_vec())) };
    Ok((row.try_get::<i64, _>(0)?.cast_unsigned(), row.try_get(1)?))
}

fn stored(write: &Write, at: Timestamp, seq: u64, previous: [u8; 32]) -> Result<Stored> {
    let event = serde_json::to_string(&Versioned { v: FORM, body: &write.event });
    let mut stored = Stored {
        seq,
        at: at.to_string(),
        key: write.key.as_ref().map(ToString::to_string),
        run: write.run.map(|run| run.to_string()),
        actor: write.actor.name.clone(),
        origin: write.actor.origin.clone(),
        event: event.map_err(|error| crate::internal(OPERATION, error))?,
        previous,
        hash: [0; 32],
    };
    stored.hash = stored.expected_hash();
    Ok(stored)
}

async fn insert(connection: &mut AnyConnection, stored: &Stored) -> sqlx::Result<()> {
    let sql = format!("INSERT INTO journal ({}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", chain::COLUMNS);
    sqlx::query(AssertSqlSafe(sql))
        .bind(stored.seq.cast_signed())
        .bind(&stored.at)
        .bind(&stored.key)
        .bind(&stored.run)
        .bind(&stored.actor)
        .bind(&stored.origin)
        .bind(&stored.event)
        .bind(stored.previous.as_slice())
        .bind(stored.hash.as_slice())
        .execute(&mut *connection)
        .await?;
    let sql = "INSERT INTO journal_head (one, seq, hash) VALUES (1, $1, $2)
               ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
    sqlx::query(sql).bind(stored.seq.cast_signed()).bind(stored.hash.as_slice()).execute(connection).await?;
    Ok(())
}

async fn derive(
    connection: &mut AnyConnection,
    key: &EnvKey,
    run: Option<RunId>,
    event: &Event,
    stored: &Stored,
) -> sqlx::Result<()> {
    let sql = "INSERT INTO environments (key, created_at, latest_seq) VALUES ($1, $2, $3)
               ON CONFLICT (key) DO UPDATE SET latest_seq = excluded.latest_seq";
    let insert = sqlx::query(sql).bind(key.to_string()).bind(&stored.at).bind(stored.seq.cast_signed());
    insert.execute(&mut *connection).await?;
    derive_environment(connection, key, event).await?;
    if let Some(run) = run {
        derive_run(connection, key, run, event, stored.seq).await?;
    }
    for (service, ordinal) in derived::ordinals(event) {
        let sql = "INSERT INTO ordinals (key, service, highest) VALUES ($1, $2, $3)
                   ON CONFLICT (key, service) DO UPDATE SET highest = excluded.highest
                   WHERE excluded.highest > ordinals.highest";
        let insert = sqlx::query(sql).bind(key.to_string()).bind(service.as_str()).bind(ordinal.cast_signed());
        insert.execute(&mut *connection).await?;
    }
    if derived::tells_of_backups(event) {
        let insert = sqlx::query("INSERT INTO backup_entries (key, seq) VALUES ($1, $2)");
        insert.bind(key.to_string()).bind(stored.seq.cast_signed()).execute(&mut *connection).await?;
    }
    derive_job(connection, key, event).await
}

async fn derive_target(connection: &mut AnyConnection, event: &Event) -> sqlx::Result<()> {
    match event {
        Event::TargetAdded { name, target } => {
            let sql = "INSERT INTO targets (name, target) VALUES ($1, $2)
                       ON CONFLICT (name) DO UPDATE SET target = excluded.target";
            sqlx::query(sql).bind(name.as_str()).bind(target.to_string()).execute(connection).await?;
        }
        Event::TargetRemoved { name } => {
            sqlx::query("DELETE FROM targets WHERE name = $1").bind(name.as_str()).execute(connection).await?;
        }
        _ => {}
    }
    Ok(())
}

async fn derive_job(connection: &mut AnyConnection, key: &EnvKey, event: &Event) -> sqlx::Result<()> {
    let Some((service, due)) = derived::fired(event) else { return Ok(()) };
    let due = fixed_width(due);
    let sql = "INSERT INTO jobs (key, service, due) VALUES ($1, $2, $3)
               ON CONFLICT (key, service) DO UPDATE SET due = excluded.due WHERE excluded.due > jobs.due";
    let insert = sqlx::query(sql).bind(key.to_string()).bind(service.as_str()).bind(&due);
    insert.execute(&mut *connection).await?;
    let (sql, fact) = match event {
        Event::JobStarted { replica, .. } => (
            "UPDATE jobs SET running = $4, running_due = $3 WHERE key = $1 AND service = $2",
            Some(replica.to_string()),
        ),
        Event::JobFinished { code, .. } => (
            "UPDATE jobs SET running = NULL, running_due = NULL, last_due = $3, last_code = CAST($4 AS INTEGER),
             last_skipped = NULL WHERE key = $1 AND service = $2",
            Some(code.to_string()),
        ),
        Event::JobSkipped { why, .. } => (
            "UPDATE jobs SET running = CASE WHEN running_due = $3 THEN NULL ELSE running END,
             running_due = CASE WHEN running_due = $3 THEN NULL ELSE running_due END,
             last_due = $3, last_code = NULL, last_skipped = $4 WHERE key = $1 AND service = $2",
            Some(why.clone()),
        ),
        _ => return Ok(()),
    };
    let update = sqlx::query(sql).bind(key.to_string()).bind(service.as_str()).bind(&due).bind(fact);
    update.execute(connection).await?;
    Ok(())
}

/// RFC 3339 with nine digits of a second, so that text sorts as time does.
pub(crate) fn fixed_width(at: Timestamp) -> String {
    format!("{at:.9}")
}

async fn derive_environment(connection: &mut AnyConnection, key: &EnvKey, event: &Event) -> sqlx::Result<()> {
    let (sql, number) = match event {
        Event::RunStarted { to, .. } => {
            let sql = "UPDATE environments SET retired = 0,
                       highest_release = CASE WHEN highest_release < $2 THEN $2 ELSE highest_release END WHERE key = $1";
            (sql, to.0)
        }
        Event::ReleaseAccepted { number } => {
            let sql = "UPDATE environments SET adopted = 0, retired = 0,
                       highest_release = CASE WHEN highest_release < $2 THEN $2 ELSE highest_release END WHERE key = $1";
            (sql, number.0)
        }
        Event::Adopted { .. } => ("UPDATE environments SET adopted = $2, retired = 0 WHERE key = $1", 1),
        Event::EnvironmentCreated => ("UPDATE environments SET retired = $2 WHERE key = $1", 0),
        Event::EnvironmentRetired => return retire(connection, key).await,
        _ => return Ok(()),
    };
    sqlx::query(sql).bind(key.to_string()).bind(number.cast_signed()).execute(connection).await?;
    Ok(())
}

async fn retire(connection: &mut AnyConnection, key: &EnvKey) -> sqlx::Result<()> {
    for sql in [
        "UPDATE environments SET retired = 1, adopted = 0 WHERE key = $1",
        "DELETE FROM current_releases WHERE key = $1",
    ] {
        sqlx::query(sql).bind(key.to_string()).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn derive_run(
    connection: &mut AnyConnection,
    key: &EnvKey,
    run: RunId,
    event: &Event,
    seq: u64,
) -> sqlx::Result<()> {
    let sql = match event {
        Event::RunStarted { .. } => "INSERT INTO runs (run, key, started_seq) VALUES ($1, $2, $3)",
        Event::RunFinished { .. } => "UPDATE runs SET finished_seq = $3 WHERE run = $1 AND key = $2",
        _ => return Ok(()),
    };
    let change = sqlx::query(sql).bind(run.to_string()).bind(key.to_string()).bind(seq.cast_signed());
    change.execute(connection).await?;
    Ok(())
}
