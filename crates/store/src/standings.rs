//! How what a server tends stands: what is to be told, and how far others were sent something.
//!
//! That changes often, and nobody will ask how it stood before: so it is in rows that are replaced, not in entries. They are
//! written in transactions like those of entries, by whoever leads alone.

use std::collections::BTreeMap;

use sqlx::Row as _;

use crate::database::failed;
use crate::{Result, Store};

const KEEP: &str = "write down how something stands";
const READ: &str = "read how something stands";

/// What the deliveries of notices are numbered within. A state that was brought back has none: it would give out numbers again.
pub const DELIVERIES: &str = "deliveries";

/// Alerts of other tools that go on. A state that was brought back has none: who has said since that one is over will not say so again.
pub const RECEIVED: &str = "received";

/// Rows by what they are of, and where: an environment, or nothing. `None` removes one.
pub type Standings = BTreeMap<(&'static str, String), Option<String>>;

impl Store {
    /// How something stands, by where.
    pub async fn standings(&self, what: &str) -> Result<BTreeMap<String, String>> {
        let mut connection = self.reader(READ).await?;
        let rows = sqlx::query("SELECT place, body FROM standings WHERE what = $1").bind(what);
        let rows = rows.fetch_all(&mut *connection).await.map_err(failed(READ))?;
        let pair = |row: &sqlx::any::AnyRow| Ok((row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?));
        rows.iter().map(pair).collect::<sqlx::Result<_>>().map_err(failed(READ))
    }

    /// Replaces all these rows, or none. Where there are none, nobody asks whether this server leads still.
    pub async fn keep_standings(&self, rows: Standings) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.transact(KEEP, move |connection, _| {
            Box::pin(async move {
                for ((what, place), body) in rows {
                    let written = match body {
                        Some(body) => {
                            let sql = "INSERT INTO standings (what, place, body) VALUES ($1, $2, $3)
                                       ON CONFLICT (what, place) DO UPDATE SET body = excluded.body";
                            let insert = sqlx::query(sql).bind(what).bind(place).bind(body);
                            insert.execute(&mut *connection).await
                        }
                        None => {
                            let delete = sqlx::query("DELETE FROM standings WHERE what = $1 AND place = $2");
                            delete.bind(what).bind(place).execute(&mut *connection).await
                        }
                    };
                    written.map_err(failed(KEEP))?;
                }
                Ok(((), Vec::new()))
            })
        })
        .await
    }
}
