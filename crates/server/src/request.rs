//! What a request says: path, query, body, and who asks. Each refuses in the one error shape.

use std::convert::Infallible;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::request::Parts;
use axum::serve::IncomingStream;
use daybook_api::ORIGIN_HEADER;
use daybook_model::{
    Actor, AppName, BackupId, DatabaseName, EnvKey, EnvName, ReplicaId, RunId, SecretName, ServiceName,
};
use serde::Deserialize;
use tokio::net::UnixListener;
use utoipa::IntoParams;

use crate::error::ApiError;

/// The variable parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(crate) struct Path<T>(pub(crate) T);

/// The query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(crate) struct Query<T>(pub(crate) T);

/// The body, JSON.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub(crate) struct Body<T>(pub(crate) T);

/// One environment.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtEnvironment {
    /// App name.
    #[param(value_type = String)]
    pub(crate) app: AppName,
    /// Environment name.
    #[param(value_type = String)]
    pub(crate) env: EnvName,
}

impl AtEnvironment {
    pub(crate) fn key(self) -> EnvKey {
        EnvKey::new(self.app, self.env)
    }
}

/// One service.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtService {
    /// App name.
    #[param(value_type = String)]
    pub(crate) app: AppName,
    /// Environment name.
    #[param(value_type = String)]
    pub(crate) env: EnvName,
    /// Service name.
    #[param(value_type = String)]
    pub(crate) service: ServiceName,
}

/// One replica.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtReplica {
    /// App name.
    #[param(value_type = String)]
    pub(crate) app: AppName,
    /// Environment name.
    #[param(value_type = String)]
    pub(crate) env: EnvName,
    /// Replica, `service.number`.
    #[param(value_type = String)]
    pub(crate) replica: ReplicaId,
}

/// One database.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtDatabase {
    /// App name.
    #[param(value_type = String)]
    pub(crate) app: AppName,
    /// Environment name.
    #[param(value_type = String)]
    pub(crate) env: EnvName,
    /// Database name.
    #[param(value_type = String)]
    pub(crate) name: DatabaseName,
}

/// Something about backups that goes on.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtOperation {
    /// App name.
    #[param(value_type = String)]
    #[allow(dead_code, reason = "ids are unique in a server; the path says where one looks")]
    pub(crate) app: AppName,
    /// Environment name.
    #[param(value_type = String)]
    #[allow(dead_code, reason = "ids are unique in a server; the path says where one looks")]
    pub(crate) env: EnvName,
    /// Its id.
    #[param(value_type = String, format = Uuid)]
    pub(crate) operation: BackupId,
}

/// One incident.
#[cfg(feature = "observe")]
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtIncident {
    /// Its id, or the end of it.
    pub(crate) incident: String,
}

/// One silence.
#[cfg(feature = "observe")]
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtSilence {
    /// Its id.
    pub(crate) silence: String,
}

/// Somebody who takes over.
#[cfg(feature = "observe")]
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtOverride {
    /// Its id.
    #[serde(rename = "override")]
    pub(crate) id: String,
}

/// One maintenance window.
#[cfg(feature = "observe")]
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtWindow {
    /// Its id.
    pub(crate) window: String,
}

/// One trace.
#[cfg(feature = "observe")]
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtTrace {
    /// Its id: 32 hexadecimal digits.
    pub(crate) trace: String,
}

/// One secret.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtSecret {
    /// App name.
    #[param(value_type = String)]
    pub(crate) app: AppName,
    /// Environment name.
    #[param(value_type = String)]
    pub(crate) env: EnvName,
    /// Secret name.
    #[param(value_type = String)]
    pub(crate) name: SecretName,
}

/// One run.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AtRun {
    /// The run's id.
    #[param(value_type = String, format = Uuid)]
    pub(crate) run: RunId,
}

/// The process at the other end of the socket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Peer {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|credentials| credentials.uid()) }
    }
}

/// Who asks: the login of the peer, and the way in that it names.
pub(crate) struct Caller(pub(crate) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>().map(|info| info.0).unwrap_or_default();
        let said = parts.headers.get(ORIGIN_HEADER).and_then(|value| value.to_str().ok());
        let origin = if said == Some("cli") { "cli" } else { "api" };
        Ok(Self(Actor { name: login(peer.uid).await, origin: origin.to_owned() }))
    }
}

async fn login(uid: Option<u32>) -> String {
    let Some(uid) = uid else { return "unknown".to_owned() };
    let users = tokio::fs::read_to_string("/etc/passwd").await.unwrap_or_default();
    login_in(&users, uid).unwrap_or_else(|| format!("uid {uid}"))
}

fn login_in(users: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_by_its_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(login_in(users, 1000).as_deref(), Some("ann"));
        assert_eq!(login_in(users, 1), None);
    }
}
