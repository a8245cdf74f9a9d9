//! The two places of an environment that moves.

use async_trait::async_trait;
use daybook_model::{EnvKey, Target};
use daybook_runtime::{Apart, Error, ErrorKind, Places, Result, Side};

use super::Fleet;

#[async_trait]
impl Places for Fleet {
    fn home(&self) -> Target {
        self.home.capabilities().target()
    }

    async fn at(&self, target: &Target) -> Result<Side> {
        // Who asks for a place is about to act there.
        self.term.within(async { Ok(()) }).await?;
        match target {
            Target::Kubernetes(cluster) => {
                let joined = self.cluster(cluster).await?;
                let router = if cluster.reaches_pods { self.home_router.clone() } else { joined.router };
                Ok(Side { runtime: joined.runtime, router })
            }
            home if *home == self.home() => Ok(Side { runtime: self.home.clone(), router: self.home_router.clone() }),
            other => {
                let message = format!("this server runs replicas by `{}`, not by `{other}`", self.home());
                Err(Error::new(ErrorKind::Refused, format!("reach {other}"), message))
            }
        }
    }

    async fn apart(&self, _: &EnvKey, one: &Target, other: &Target) -> Result<Apart> {
        Ok(match (one, other) {
            (one, other) if one == other => Apart::Nowhere,
            (Target::Kubernetes(one), Target::Kubernetes(other)) => {
                let direct = (one.reaches_pods, other.reaches_pods);
                let (one, other) = (self.cluster(one).await?, self.cluster(other).await?);
                let one_cluster = one.api_server == other.api_server;
                match direct {
                    _ if one_cluster && one.namespace == other.namespace => Apart::Nowhere,
                    (true, true) => Apart::OneEntrance,
                    (false, false) if one_cluster => Apart::OneEntrance,
                    _ => Apart::TwoEntrances,
                }
            }
            (Target::Kubernetes(cluster), _) | (_, Target::Kubernetes(cluster)) if cluster.reaches_pods => {
                Apart::OneEntrance
            }
            _ => Apart::TwoEntrances,
        })
    }
}
