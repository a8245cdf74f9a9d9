//! Changes of routes, made one after the other, and those that meet made together.
//!
//! An edge takes an environment's routes whole and keeps them before it answers. A thousand services that come up at
//! once would have it keep a thousand tables; so whoever may change them makes the changes of all who wait as well.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as Lock, PoisonError};

use daybook_model::{EnvKey, EnvRoutes};
use daybook_runtime::{Result, Router};
use tokio::sync::{Mutex, oneshot};

/// Changes routes, and tells whether the edge must be told. It may be made twice.
type Change = Arc<dyn Fn(&mut EnvRoutes) -> bool + Send + Sync>;

/// Somebody whose change is not made yet.
struct Waiting {
    change: Change,
    made: oneshot::Sender<Result<()>>,
}

/// The changes of all environments.
#[derive(Default)]
pub(crate) struct Routing {
    waiting: Lock<BTreeMap<EnvKey, Vec<Waiting>>>,
    making: Mutex<()>,
}

impl Routing {
    /// Changes the routes of an environment. Returns when the edge serves by them.
    pub(crate) async fn change(
        &self,
        router: &dyn Router,
        key: &EnvKey,
        change: impl Fn(&mut EnvRoutes) -> bool + Send + Sync + 'static,
    ) -> Result<()> {
        let change: Change = Arc::new(change);
        let (made, told) = oneshot::channel();
        self.wait(key, Waiting { change: change.clone(), made });
        let _making = self.making.lock().await;
        make_all(router, key, self.waiting(key)).await;
        match told.await {
            Ok(made) => made,
            // Whoever was about to make it was interrupted.
            Err(_) => make(router, key, &[&change]).await,
        }
    }

    fn wait(&self, key: &EnvKey, one: Waiting) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(key.clone()).or_default().push(one);
    }

    /// All who wait and have not gone away.
    fn waiting(&self, key: &EnvKey) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = waiting.remove(key).unwrap_or_default();
        all.retain(|one| !one.made.is_closed());
        all
    }
}

async fn make_all(router: &dyn Router, key: &EnvKey, all: Vec<Waiting>) {
    if all.is_empty() {
        return;
    }
    let changes: Vec<_> = all.iter().map(|one| &one.change).collect();
    let together = make(router, key, &changes).await;
    let is_one_to_blame = together.as_ref().is_err_and(|error| !error.is_transient()) && all.len() > 1;
    for Waiting { change, made } in all {
        let result = if is_one_to_blame { make(router, key, &[&change]).await } else { together.clone() };
        // One that went away meanwhile asks again.
        let _ = made.send(result);
    }
}

async fn make(router: &dyn Router, key: &EnvKey, changes: &[&Change]) -> Result<()> {
    let mut routes = router.get(key).await?;
    let mut is_changed = false;
    for change in changes {
        is_changed |= change(&mut routes);
    }
    if is_changed { router.set(key, routes).await } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use daybook_decide::routes::backend;
    use daybook_model::ServiceName;
    use daybook_model::traffic::Traffic;
    use daybook_runtime::{Error, ErrorKind};
    use futures::future::join_all;

    use super::*;
    use crate::simulation::shop;

    /// An edge that takes its time, counts what it is told, and refuses the service `bad`.
    #[derive(Default)]
    struct Slow {
        routes: Lock<EnvRoutes>,
        told: AtomicUsize,
    }

    #[async_trait]
    impl Router for Slow {
        async fn set(&self, _: &EnvKey, routes: EnvRoutes) -> Result<()> {
            self.told.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            if routes.backends.keys().any(|name| name.as_str() == "bad") {
                return Err(Error::new(ErrorKind::Conflict, "route", "it is bad"));
            }
            *self.routes.lock().unwrap() = routes;
            Ok(())
        }

        async fn get(&self, _: &EnvKey) -> Result<EnvRoutes> {
            Ok(self.routes.lock().unwrap().clone())
        }

        async fn traffic(&self, _: &EnvKey) -> Result<Traffic> {
            Ok(Traffic::default())
        }
    }

    fn add(name: &str) -> impl Fn(&mut EnvRoutes) -> bool + Send + Sync + 'static {
        let name: ServiceName = name.parse().unwrap();
        let spec = shop("1");
        let service = spec.services.values().find(|service| service.has_edge()).unwrap().clone();
        move |routes| {
            let backend = backend(&service, Vec::new(), [], None);
            routes.backends.insert(name.clone(), backend);
            true
        }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_meet_are_made_together() {
        let (routing, slow, key) = (Routing::default(), Slow::default(), shop("1").key);
        let names: Vec<_> = (0..50).map(|number| format!("s{number}")).collect();
        let made = join_all(names.iter().map(|name| routing.change(&slow, &key, add(name)))).await;
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        assert_eq!(slow.routes.lock().unwrap().backends.len(), 50);
        assert!(slow.told.load(Ordering::Relaxed) <= 2, "the edge is told what waits in one: {:?}", slow.told);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_is_refused_fails_alone() {
        let (routing, slow, key) = (Routing::default(), Slow::default(), shop("1").key);
        let names = ["a", "bad", "c", "d"];
        let made = join_all(names.iter().map(|name| routing.change(&slow, &key, add(name)))).await;
        let refused: Vec<_> =
            names.iter().zip(&made).filter(|(_, made)| made.is_err()).map(|(name, _)| *name).collect();
        assert_eq!(refused, ["bad"]);
        assert_eq!(slow.routes.lock().unwrap().backends.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn r04_a_change_survives_the_one_who_was_making_it_and_dies_with_its_own() {
        let (routing, slow, key) = (Routing::default(), Slow::default(), shop("1").key);
        let half = Duration::from_millis(500);
        let interrupted = tokio::time::timeout(half, routing.change(&slow, &key, add("first")));
        // They wait for the first, whose turn ends with it; the one after makes both its own and the last.
        let given_up = tokio::time::timeout(half / 2, routing.change(&slow, &key, add("given-up")));
        let (first, given_up, one, other) = tokio::join!(
            interrupted,
            given_up,
            routing.change(&slow, &key, add("one")),
            routing.change(&slow, &key, add("other")),
        );
        assert!(first.is_err() && given_up.is_err());
        one.unwrap();
        other.unwrap();
        let routes = slow.routes.lock().unwrap();
        let names: Vec<_> = routes.backends.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["one", "other"]);
    }
}
