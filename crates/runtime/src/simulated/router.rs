//! The simulated edge.

use async_trait::async_trait;
use daybook_model::launch::Role;
use daybook_model::route::Target;
use daybook_model::traffic::Traffic;
use daybook_model::{EnvKey, EnvRoutes, ReplicaId};

use super::Simulated;
use crate::{Result, Router};

#[async_trait]
impl Router for Simulated {
    async fn set(&self, key: &EnvKey, routes: EnvRoutes) -> Result<()> {
        self.act("change the edge's routes", |world, now| {
            world.count(now);
            let serving = serving(&routes);
            for ((other, id, role), replica) in &mut world.replicas {
                if other == key && *role == Role::Main {
                    replica.unrouted = if serving.contains(id) { None } else { replica.unrouted.or(Some(now)) };
                }
            }
            world.routes.insert(key.clone(), routes);
            Ok(())
        })
        .await
    }

    async fn get(&self, key: &EnvKey) -> Result<EnvRoutes> {
        Ok(self.lock().routes.get(key).cloned().unwrap_or_default())
    }

    async fn traffic(&self, key: &EnvKey) -> Result<Traffic> {
        let now = self.elapsed();
        Ok(self.lock().traffic(key, now))
    }
}

fn serving(routes: &EnvRoutes) -> Vec<ReplicaId> {
    let targets = routes.backends.values().map(|backend| &backend.target);
    targets
        .flat_map(|target| match target {
            Target::Endpoints(endpoints) => endpoints.as_slice(),
            Target::Files { .. } => &[],
        })
        .filter(|endpoint| endpoint.weight > 0)
        .map(|endpoint| endpoint.replica.clone())
        .collect()
}
