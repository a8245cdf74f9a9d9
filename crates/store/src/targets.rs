//! Clusters that people have given names.

use std::collections::BTreeMap;

use daybook_model::{Target, TargetName};

use crate::database::failed;
use crate::environments::parsed;
use crate::{Result, Store};

const OPERATION: &str = "read the targets";

impl Store {
    /// Every cluster with a name.
    pub async fn targets(&self) -> Result<BTreeMap<TargetName, Target>> {
        let mut connection = self.reader(OPERATION).await?;
        let rows = sqlx::query("SELECT name, target FROM targets").fetch_all(&mut *connection).await;
        let rows = rows.map_err(failed(OPERATION))?;
        let named = |row| Ok((parsed(row, 0)?, text_of_target(row)?));
        rows.iter().map(named).collect::<sqlx::Result<_>>().map_err(failed(OPERATION))
    }
}

fn text_of_target(row: &sqlx::any::AnyRow) -> sqlx::Result<Target> {
    let text: String = sqlx::Row::try_get(row, 1)?;
    text.parse().map_err(|why: String| sqlx::Error::Decode(why.into()))
}
