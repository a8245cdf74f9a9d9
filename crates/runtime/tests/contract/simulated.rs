//! The simulated runtime keeps the part of the contract that asks no program anything.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use daybook_model::Digest;
use daybook_model::name::EnvKey;
use daybook_model::spec::{Artifact, PullPolicy};
use daybook_runtime::Runtime;
use daybook_runtime::simulated::Simulated;

use crate::subject::Subject;

struct World(Simulated);

async fn open() -> World {
    let world = Simulated::new(7);
    let subject = World(world);
    let image = Artifact::image("testapp".to_owned(), PullPolicy::Missing, Some(subject.artifact().0));
    subject.runtime().prepare(&subject.key(), &image, &|_| ()).await.unwrap();
    subject
}

#[async_trait]
impl Subject for World {
    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(self.0.clone())
    }

    fn reopened(&self) -> Arc<dyn Runtime> {
        Arc::new(self.0.clone())
    }

    fn key(&self) -> EnvKey {
        "contract/simulated".parse().unwrap()
    }

    fn artifact(&self) -> (Digest, Option<String>) {
        (Digest::of(b"testapp"), None)
    }

    fn program(&self) -> String {
        "/testapp".to_owned()
    }

    fn build(&self, directory: &Path) -> Artifact {
        Artifact::Static { root: directory.display().to_string(), digest: None }
    }
}

crate::contract_of_every_runtime!(open);
