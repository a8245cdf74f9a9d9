//! The edge as a [`Router`].

use async_trait::async_trait;
use daybook_edge::ClientError;
use daybook_model::traffic::Traffic;
use daybook_model::{EnvKey, EnvRoutes};
use daybook_runtime::{Error, ErrorKind, Result, Router};
use tokio::sync::Mutex;

/// Speaks to the `daybook edge` process. Changes of all environments go through one of these, so that
/// each whole table is made from the one before it.
pub(crate) struct EdgeRouter {
    client: daybook_edge::Client,
    changing: Mutex<()>,
}

impl EdgeRouter {
    /// A router over a client of the edge.
    pub(crate) fn new(client: daybook_edge::Client) -> Self {
        Self { client, changing: Mutex::new(()) }
    }
}

#[async_trait]
impl Router for EdgeRouter {
    async fn set(&self, key: &EnvKey, routes: EnvRoutes) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut table = self.client.table().await.map_err(|e| failed("read the edge's routes", &e))?;
        if routes.backends.is_empty() {
            table.environments.remove(key);
        } else {
            table.environments.insert(key.clone(), routes);
        }
        table.version += 1;
        self.client.set_table(&table).await.map_err(|e| failed("change the edge's routes", &e))
    }

    async fn get(&self, key: &EnvKey) -> Result<EnvRoutes> {
        let mut table = self.client.table().await.map_err(|e| failed("read the edge's routes", &e))?;
        Ok(table.environments.remove(key).unwrap_or_default())
    }

    async fn traffic(&self, key: &EnvKey) -> Result<Traffic> {
        let mut traffic = self.client.traffic().await.map_err(|e| failed("read the edge's counts", &e))?;
        Ok(traffic.environments.remove(key).unwrap_or_default())
    }
}

fn failed(operation: &str, error: &ClientError) -> Error {
    let kind = match error {
        ClientError::Refused(_) => ErrorKind::Conflict,
        error if error.is_transient() => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, operation, error)
}
