//! One of several servers that share a database: it stands by, leads when it is elected, and stands by again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use daybook_decide::elect::Terms;
use daybook_store::{DatabaseUrl, Error, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::election::{Ballot, Campaign};
use crate::serve::{Config, Ending, ServeError, govern, stop_signals};
use crate::term::Position;

/// How a server shares its state with others.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The database.
    pub database: DatabaseUrl,
    /// The Lease by which they elect a leader, as `NAMESPACE/NAME`. Without one they do by the database.
    pub lease: Option<(String, String)>,
    /// What this server is called: in a cluster, its pod.
    pub identity: String,
    /// Where it says over HTTP whether it lives (`/healthz`) and who leads (`/leader`).
    pub health: Option<SocketAddr>,
}

/// Until a database that is away is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// The file of a state directory whose state is in a shared database.
const MARK: &str = "shared";

/// Refuses a state directory whose state is elsewhere than this server would look for it: a server that somebody
/// started without `--database` would be another Daybook, which knows nothing of what runs.
pub(crate) fn mark(state: &Path, is_shared: bool) -> Result<(), ServeError> {
    let (mark, own) = (state.join(MARK), state.join(daybook_store::FILE));
    match (is_shared, mark.exists(), own.exists()) {
        (false, true, _) => Err(ServeError::Elsewhere(format!(
            "the state of {} is in a database that servers share: another one of them may lead now; to start this one, \
             set DAYBOOK_DATABASE and DAYBOOK_KEY_FILE",
            state.display()
        ))),
        (true, false, true) => Err(ServeError::Elsewhere(format!(
            "{} has a state of its own, which is not in the shared database: give this server another --state",
            state.display()
        ))),
        (true, false, false) => std::fs::write(mark, "The state is in a database that several servers share.\n")
            .map_err(|source| ServeError::Io { operation: "mark the state directory", source }),
        (false, false, _) | (true, true, _) => Ok(()),
    }
}

/// Stands by and leads in turn until it is asked to stop.
pub(crate) async fn serve(config: &Config, shared: &Shared) -> Result<(), ServeError> {
    let stop = stop_signals()?;
    let (told, position) = watch::channel(None);
    if let Some(address) = shared.health {
        tell_health(address, shared.identity.clone(), position).await?;
    }
    while let Some(votes) = connect(config, shared, &stop).await? {
        let ballot = ballot(shared, &votes).await?;
        // The name of a process that has ended may come back; what it held must not seem to be ours.
        let me = format!("{}_{}", shared.identity, uuid::Uuid::now_v7().simple());
        let campaign = Campaign::begin(me.clone(), ballot, Terms::DEFAULT);
        told.send_replace(Some(campaign.position()));
        tracing::info!(me, "the server stands by");
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(Ending::Asked),
            () = campaign.elected() => lead(config, shared, &campaign, &me, &stop).await,
        };
        told.send_replace(None);
        campaign.end().await;
        votes.close().await;
        if ended? == Ending::Asked {
            break;
        }
        tracing::warn!("the server leads no more, and stands by");
    }
    Ok(())
}

/// Begins a term and acts in it. Whatever was open goes on from where the journal has it.
async fn lead(
    config: &Config,
    shared: &Shared,
    campaign: &Campaign,
    me: &str,
    stop: &CancellationToken,
) -> Result<Ending, ServeError> {
    let Some(store) = connect(config, shared, stop).await? else { return Ok(Ending::Asked) };
    let epoch = match store.lead(me).await {
        Ok(epoch) => epoch,
        Err(Error::Unavailable { operation, message }) => {
            tracing::warn!(operation, message, "the leadership cannot be taken");
            return Ok(Ending::Deposed);
        }
        Err(error) => return Err(error.into()),
    };
    tracing::info!(epoch = epoch.0, "the server leads");
    govern(config, store, campaign.term(), stop).await
}

/// Connects as soon as the database answers. `None`: it was asked to stop meanwhile.
async fn connect(config: &Config, shared: &Shared, stop: &CancellationToken) -> Result<Option<Store>, ServeError> {
    let passphrase = config.passphrase()?;
    let passphrase = passphrase.as_ref().map(|passphrase| passphrase.as_str());
    loop {
        let connected = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            connected = Store::connect(&shared.database, &config.key, &config.state, passphrase) => connected,
        };
        match connected {
            Ok(store) => return Ok(Some(store)),
            Err(Error::Unavailable { operation, message }) => {
                tracing::warn!(operation, message, "the database is waited for");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

#[cfg(feature = "kubernetes")]
async fn ballot(shared: &Shared, votes: &Store) -> Result<Arc<dyn Ballot>, ServeError> {
    let Some((namespace, name)) = &shared.lease else { return Ok(Arc::new(votes.clone())) };
    let target = daybook_model::target::ClusterTarget::default();
    let lasts = Duration::from_millis(Terms::DEFAULT.lease);
    Ok(Arc::new(daybook_kubernetes::Lease::connect(&target, namespace, name, lasts).await?))
}

#[cfg(not(feature = "kubernetes"))]
async fn ballot(_: &Shared, votes: &Store) -> Result<Arc<dyn Ballot>, ServeError> {
    Ok(Arc::new(votes.clone()))
}

type Told = watch::Receiver<Option<watch::Receiver<Position>>>;

async fn tell_health(address: SocketAddr, me: String, position: Told) -> Result<(), ServeError> {
    let failed = |source| ServeError::Io { operation: "listen for questions of health", source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let leader = move || {
        let holder = position.borrow().as_ref().and_then(|position| position.borrow().holder.clone());
        let leads = holder.as_deref().and_then(|holder| holder.rsplit_once('_')).is_some_and(|(name, _)| name == me);
        std::future::ready(axum::Json(serde_json::json!({"leads": leads, "holder": holder})))
    };
    let router = Router::new().route("/healthz", get(|| async { "ok" })).route("/leader", get(leader));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_looked_for_only_where_it_is() {
        let shared = tempfile::tempdir().unwrap();
        mark(shared.path(), true).unwrap();
        mark(shared.path(), true).unwrap();
        let error = mark(shared.path(), false).unwrap_err().to_string();
        assert!(error.contains("DAYBOOK_DATABASE"), "{error}");

        let own = tempfile::tempdir().unwrap();
        mark(own.path(), false).unwrap();
        std::fs::write(own.path().join(daybook_store::FILE), "").unwrap();
        mark(own.path(), false).unwrap();
        let error = mark(own.path(), true).unwrap_err().to_string();
        assert!(error.contains("--state"), "{error}");
    }
}
