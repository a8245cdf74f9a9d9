//! The edge process, as the control plane sees it.

use std::net::SocketAddr;
use std::path::PathBuf;

use daybook_api::version::EdgeView;
use daybook_edge::{Client, ClientError, Status};

/// A client of the edge, and the program that its next generation is started from.
#[derive(Debug, Clone)]
pub struct Edge {
    client: Client,
    exe: PathBuf,
}

impl Edge {
    /// The edge that `client` speaks to; upgrades start `exe`.
    pub fn new(client: Client, exe: PathBuf) -> Self {
        Self { client, exe }
    }

    pub(crate) async fn status(&self) -> Result<Status, ClientError> {
        self.client.status().await
    }

    /// Environments that the edge serves.
    pub(crate) async fn environments(&self) -> Result<Vec<daybook_model::EnvKey>, ClientError> {
        Ok(self.client.table().await?.environments.into_keys().collect())
    }

    /// Hands over to the next generation, and returns when that serves.
    pub(crate) async fn upgrade(&self) -> Result<(), ClientError> {
        self.client.upgrade(&self.exe).await.map(drop)
    }

    /// What is shown of it; `None` if it does not answer.
    pub(crate) async fn view(&self) -> Option<EdgeView> {
        let status = self.status().await.ok()?;
        let rss = resident_bytes(status.pid).await.unwrap_or(0);
        Some(EdgeView {
            pid: status.pid,
            generation: status.generation,
            http: address(&status, "http").map(|address| address.to_string()),
            https: address(&status, "https").map(|address| address.to_string()),
            table_version: status.table_version,
            rss,
        })
    }
}

/// Where the edge answers for domains: the first address of a kind that it could bind.
pub(crate) fn address(status: &Status, kind: &str) -> Option<SocketAddr> {
    let bound = status.listeners.iter().find(|listener| listener.kind == kind && listener.error.is_none());
    bound.map(|listener| listener.address)
}

async fn resident_bytes(pid: u32) -> Option<u64> {
    let text = tokio::fs::read_to_string(format!("/proc/{pid}/statm")).await.ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
