//! `daybook run`: a command in a new replica beside a service.

use daybook_api::oneoff::{OneOffRequest, OneOffStarted, OneOffView};
use daybook_executor::{Aside, AsideState};
use daybook_model::launch::Role;
use daybook_model::spec::Stop;
use daybook_model::{Actor, EnvKey, Event, ReplicaId};
use daybook_store::{Journal as _, Write};

use crate::App;
use crate::change::no_environment;
use crate::error::ApiError;
use crate::jobs::aside;

impl App {
    /// Journals and starts a one-off replica in the configuration of the release in force.
    pub(crate) async fn start_one_off(
        &self,
        key: &EnvKey,
        request: OneOffRequest,
        actor: Actor,
    ) -> Result<OneOffStarted, ApiError> {
        let release = self.inner.store.current_release(key).await?.ok_or_else(|| no_environment(key))?;
        if !release.spec.services.contains_key(&request.service) {
            return Err(ApiError::not_found(format!("{key} has no service `{}`", request.service)));
        }
        self.refuse_without_space()?;
        let replica = self.journal_one_off(key, &request, actor).await?;
        let aside = Aside {
            command: Some(request.argv).filter(|argv| !argv.is_empty()),
            environment: request.env.into_iter().collect(),
            ..aside(&release, &replica, Role::OneOff)
        };
        self.inner.executor.start_aside(key, &aside).await?;
        Ok(OneOffStarted { replica })
    }

    async fn journal_one_off(
        &self,
        key: &EnvKey,
        request: &OneOffRequest,
        actor: Actor,
    ) -> Result<ReplicaId, ApiError> {
        let planning = self.planning(key);
        let _planning = planning.lock().await;
        let replica = self.inner.executor.next_replica(key, &request.service).await?;
        let program = request.argv.first().cloned().unwrap_or_else(|| "its own command".to_owned());
        let event = Event::Executed { replica: replica.clone(), program };
        self.inner.store.append(Write { key: Some(key.clone()), run: None, actor, event, expected: None }).await?;
        Ok(replica)
    }

    /// How far a one-off replica is.
    pub(crate) async fn one_off(&self, key: &EnvKey, id: &ReplicaId) -> Result<OneOffView, ApiError> {
        match self.inner.executor.aside_state(key, id, Role::OneOff).await? {
            AsideState::Running => Ok(OneOffView { running: true, code: None }),
            AsideState::Ended(exit) => Ok(OneOffView { running: false, code: Some(exit.code) }),
            AsideState::Missing => Err(ApiError::not_found(format!("{key} has no one-off replica {id}"))),
        }
    }

    /// Ends a one-off replica if it runs, and removes it.
    pub(crate) async fn remove_one_off(&self, key: &EnvKey, id: &ReplicaId) -> Result<(), ApiError> {
        self.one_off(key, id).await?;
        let release = self.inner.store.current_release(key).await?;
        let service = release.as_ref().and_then(|release| release.spec.services.get(&id.service));
        let stop = service.map_or_else(Stop::default, |service| service.stop.clone());
        self.inner.runtime.stop(key, id, Role::OneOff, &stop).await?;
        Ok(self.inner.executor.remove_aside(key, id, Role::OneOff).await?)
    }
}
