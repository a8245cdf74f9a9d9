//! A server over a simulated world, spoken to over its socket.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use daybook_api::change::{Bundle, Change, Down, Rollback, Scale, Services, Up};
use daybook_api::client::Client;
use daybook_api::event::{EventView, EventsQuery};
use daybook_api::plan::PlanRequest;
use daybook_api::run::{RunReply, RunRequest, RunStarted, RunView};
use daybook_model::{EnvKey, RunId};
use daybook_runtime::simulated::Simulated;
use daybook_server::{App, Listener, Parts, answer};
use daybook_store::Store;
use futures::{Stream, StreamExt as _};
use tokio::task::JoinHandle;

/// A server, its world, and a client of it.
pub struct Server {
    pub app: App,
    pub world: Simulated,
    pub client: Client,
    answering: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// A server over a state directory and a world.
    pub async fn start(state: &Path, world: &Simulated) -> Self {
        Self::start_over(Store::open(state).await.unwrap(), state, world).await
    }

    /// A server over a store that is open, and may be written.
    pub async fn start_over(store: Store, state: &Path, world: &Simulated) -> Self {
        let parts = Parts {
            store,
            runtime: Arc::new(world.clone()),
            router: Arc::new(world.clone()),
            places: Arc::new(daybook_runtime::Side {
                runtime: Arc::new(world.clone()),
                router: Arc::new(world.clone()),
            }),
            edge: None,
            clock: Arc::new(daybook_model::Timestamp::now),
            state: state.to_owned(),
            landing_zone: None,
        };
        let app = App::new(parts);
        app.start().await.unwrap();
        let listener = Listener::bind(state).unwrap();
        let answering = tokio::spawn({
            let app = app.clone();
            async move { answer(&app, listener).await }
        });
        let client = Client::unix(state.join(daybook_api::SOCKET_NAME));
        Self { app, world: world.clone(), client, answering }
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(self) {
        self.client.shutdown().await.unwrap();
        self.answering.await.unwrap().unwrap();
        self.app.stop().await;
    }

    /// Begins a change, and returns its run.
    pub async fn begin(&self, change: Change) -> RunStarted {
        match self.client.run(&RunRequest { change, expect: None }).await.unwrap() {
            RunReply::Started(started) => started,
            RunReply::Nothing(nothing) => panic!("there was nothing to do: {nothing:?}"),
        }
    }

    /// Carries a change out to its end.
    pub async fn carry_out(&self, change: Change) -> RunView {
        let started = self.begin(change).await;
        self.ended(started.run).await
    }

    /// Waits until a run is over.
    pub async fn ended(&self, run: RunId) -> RunView {
        self.until(run, "run_finished").await;
        self.client.run_view(run).await.unwrap()
    }

    /// Waits until an event of this kind was written for a run.
    pub async fn until(&self, run: RunId, kind: &str) -> EventView {
        let query = EventsQuery { run: Some(run), after: Some(0), ..EventsQuery::default() };
        let events = self.client.follow_events(&query).await.unwrap();
        first(events, |event| event.kind == kind).await
    }

    /// What a change would do.
    pub async fn plan(&self, change: Change) -> daybook_api::plan::PlanReply {
        self.client.plan(&PlanRequest { change, carry_out: false }).await.unwrap()
    }
}

/// The first item that fits.
pub async fn first<T, E: std::fmt::Debug>(items: impl Stream<Item = Result<T, E>>, fits: impl Fn(&T) -> bool) -> T {
    let mut items = std::pin::pin!(items);
    loop {
        let item = items.next().await.expect("the stream goes on").unwrap();
        if fits(&item) {
            return item;
        }
    }
}

pub fn key() -> EnvKey {
    "shop/production".parse().unwrap()
}

/// The shop: `version` is the tag of its image, `more` goes beneath the service.
pub fn manifest(version: &str, more: &str) -> String {
    format!(
        "app: shop\nservices:\n  web:\n    image: shop:{version}\n    port: 8080\n    rollout: {{probation: 100ms}}\n{more}"
    )
}

/// `daybook up` with this manifest.
pub fn up(manifest: &str) -> Change {
    up_with(manifest, BTreeMap::new())
}

pub fn up_with(manifest: &str, variables: BTreeMap<String, String>) -> Change {
    let path = "/work/shop/daybook.yaml".to_owned();
    let bundle = Bundle {
        entries: vec![path.clone()],
        root: "/work/shop".to_owned(),
        files: BTreeMap::from([(path, manifest.to_owned())]),
        variables,
        ..Bundle::default()
    };
    Change::Up(Up { bundle, environment: "production".parse().unwrap(), profiles: Vec::new(), app: None, target: None })
}

pub fn scale(count: u32) -> Change {
    Change::Scale(Scale { key: key(), services: BTreeMap::from([("web".parse().unwrap(), count)]) })
}

pub fn rollback(to: Option<u64>) -> Change {
    Change::Rollback(Rollback { key: key(), to: to.map(daybook_model::ReleaseNumber) })
}

pub fn services() -> Services {
    Services { key: key(), services: Vec::new() }
}

pub fn down() -> Change {
    Change::Down(Down { key: key(), volumes: Vec::new() })
}
