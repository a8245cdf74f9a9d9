//! From a change that a person asks for to the desired state that it means.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use daybook_api::ErrorCode;
use daybook_api::change::{Change, Down, NewValue, Rollback, Rotate, Scale, Services, Up};
use daybook_api::plan::{DiagnosticView, Unresolved};
use daybook_executor::Resolved;
use daybook_manifest::Aim;
use daybook_model::spec::Artifact;
use daybook_model::vault::Kept;
use daybook_model::{
    Digest, EnvKey, Event, Release, ReleaseNumber, RunKind, SecretName, Service, ServiceName, Spec, Target, VolumeName,
};
use daybook_store::Environment;
use zeroize::Zeroizing;

use crate::App;
use crate::error::ApiError;
use crate::manifest::{self, Loaded};
use crate::policy::{self, Case, Judged};
use crate::sealing::{Sealing, Values, refers_to};
use crate::unresolved;

/// How long a registry may take to answer while a change is looked at.
const LOOKING: Duration = Duration::from_secs(10);
/// How long a registry may take to answer when a change is to be carried out.
const ACTING: Duration = Duration::from_secs(120);

/// What a change leads to. Nothing was done yet.
pub(crate) struct Desired {
    pub(crate) key: EnvKey,
    /// Artifacts and secrets have their digests and versions.
    pub(crate) spec: Spec,
    pub(crate) manifest: Option<Digest>,
    pub(crate) purpose: RunKind,
    pub(crate) reason: String,
    pub(crate) current: Option<Release>,
    pub(crate) to: ReleaseNumber,
    pub(crate) remove_volumes: BTreeSet<VolumeName>,
    pub(crate) diagnostics: Vec<DiagnosticView>,
    pub(crate) sealing: Option<Sealing>,
    /// What the policy says; nothing where no manifest is asked about.
    pub(crate) policy: Option<Judged>,
    /// What cannot be had now. Nothing, where the change is to be carried out.
    pub(crate) unresolved: Vec<Unresolved>,
}

impl App {
    /// Works out what `change` leads to. Reads the store, the runtime and the files of the bundle;
    /// changes nothing. To be carried out, everything that it needs must be there.
    pub(crate) async fn desired(&self, change: &Change, aim: Aim) -> Result<Desired, ApiError> {
        let mut desired = match change {
            Change::Up(up) => self.up(up, aim).await?,
            Change::Rollback(rollback) => self.rollback(rollback).await?,
            Change::Scale(scale) => self.scale(scale).await?,
            Change::Rotate(rotate) => self.rotate(rotate, aim).await?,
            Change::Restart(services) => self.edited(services, |service| service.generation += 1).await?,
            Change::Stop(services) => self.edited(services, |service| service.stopped = true).await?,
            Change::Start(services) => self.edited(services, |service| service.stopped = false).await?,
            Change::Move(wanted) => self.moved(wanted, aim).await?,
            Change::Leave(leave) => self.left(leave).await?,
            Change::Down(down) => self.down(down).await?,
        };
        desired.purpose = change.purpose();
        desired.reason = match (change, &desired.manifest) {
            (Change::Rollback(Rollback { to: None, .. }), _) => desired.reason,
            _ => change.reason(),
        };
        Ok(desired)
    }

    /// The environment that a change is about.
    pub(crate) fn key_of(&self, change: &Change) -> Result<EnvKey, ApiError> {
        Ok(match change {
            Change::Up(up) => self.load(up, Aim::Look)?.key(),
            Change::Rollback(rollback) => rollback.key.clone(),
            Change::Scale(scale) => scale.key.clone(),
            Change::Rotate(rotate) => rotate.key.clone(),
            Change::Restart(services) | Change::Stop(services) | Change::Start(services) => services.key.clone(),
            Change::Move(wanted) => self.load(&wanted.up, Aim::Look)?.key(),
            Change::Leave(leave) => leave.key.clone(),
            Change::Down(down) => down.key.clone(),
        })
    }

    pub(crate) fn load(&self, up: &Up, aim: Aim) -> Result<Loaded, ApiError> {
        let runtime = self.inner.runtime.capabilities().name;
        let mut loaded = manifest::load(up, &runtime, aim)?;
        let target = loaded.spec.target.as_ref().map(Target::runtime);
        if target.unwrap_or(&runtime) == "process" {
            loaded.warn_of_processes();
        }
        Ok(loaded)
    }

    async fn up(&self, up: &Up, aim: Aim) -> Result<Desired, ApiError> {
        let mut loaded = self.load(up, aim)?;
        self.name_target(&mut loaded.spec).await?;
        let current = self.inner.store.current_release(&loaded.key()).await?.map(Arc::unwrap_or_clone);
        loaded.spec.leaving = current.as_ref().and_then(|release| release.spec.leaving.clone());
        self.place(&loaded.spec, current.as_ref()).await?;
        self.up_of(loaded, current, aim).await
    }

    /// Replaces the name of a target by what it stands for.
    pub(crate) async fn name_target(&self, spec: &mut Spec) -> Result<(), ApiError> {
        if let Some(target) = spec.target.take() {
            spec.target = Some(self.named_target(target).await?);
        }
        Ok(())
    }

    /// What a manifest leads to, at the target that its spec names.
    pub(crate) async fn up_of(&self, loaded: Loaded, current: Option<Release>, aim: Aim) -> Result<Desired, ApiError> {
        let policy = self.judge(&loaded)?;
        let mut desired = self.desired_of(loaded.spec, current).await?;
        desired.policy = Some(policy);
        desired.diagnostics = loaded.diagnostics;
        desired.manifest = Some(loaded.digest);
        if let Some(current) = &desired.current {
            keep_generations(&mut desired.spec, &current.spec);
        }
        let patience = patience(aim);
        let mut values = Values::of_texts(loaded.provided);
        let unread = self.read_kept(&desired.spec, None, &mut values, patience).await?;
        let mut sealing = Sealing::of(&self.inner.store, &mut desired.spec, values).await?;
        sealing.missing.retain(|name| !unread.names.contains(name));
        let Resolved { spec, open, unread: migrations } = self.inner.executor.resolve(desired.spec, patience).await;
        desired.unresolved = unresolved::of_artifacts(&spec, open);
        desired.unresolved.extend(unresolved::of_migrations(&spec, migrations));
        desired.unresolved.extend(unresolved::of_secrets(&spec, &sealing.missing));
        desired.unresolved.extend(unread.open);
        desired.spec = spec;
        desired.sealing = Some(sealing);
        match aim {
            Aim::Act => unresolved::refuse(&desired, &loaded.file)?,
            Aim::Look => {}
        }
        Ok(desired)
    }

    /// What the policy says of a manifest.
    fn judge(&self, loaded: &Loaded) -> Result<Judged, ApiError> {
        let zone = policy::landing_zone(self.inner.landing_zone.as_deref())?;
        let here = self.inner.runtime.capabilities().name;
        let case = Case {
            spec: &loaded.spec,
            remarks: &loaded.remarks,
            settings: &loaded.settings,
            runtime: loaded.spec.target.as_ref().map_or(here.as_str(), |target| target.runtime()),
            zone: zone.as_ref(),
            today: self.now().to_zoned(jiff::tz::TimeZone::UTC).date(),
        };
        let (bundle, options) = &loaded.source;
        Judged::of(&case, bundle.clone(), options)
    }

    /// Says where an environment is. What runs stays where it is: two places with one journal would be two truths.
    async fn place(&self, spec: &Spec, current: Option<&Release>) -> Result<(), ApiError> {
        let runs = current.map(|release| &release.spec).filter(|spec| !spec.services.is_empty());
        if let Some(there) = runs.filter(|there| there.target != spec.target) {
            let shown = |target: &Option<Target>| {
                target.as_ref().map_or("the server's machine".to_owned(), ToString::to_string)
            };
            let message = format!("{} runs on {}, not on {}", spec.key, shown(&there.target), shown(&spec.target));
            let to = self.target_of(spec);
            return Err(ApiError::new(ErrorCode::Usage, message).hint(format!(
                "move it with no failed request: `daybook env move {} --to \"{to}\"`; or write the target that it \
                 runs on in the manifest",
                spec.key.env
            )));
        }
        Ok(self.inner.runtime.place(&spec.key, spec.target.as_ref()).await?)
    }

    /// Says where every environment is that we know of: at the start, before anything is asked about it.
    pub(crate) async fn place_all(&self) -> Result<(), daybook_store::Error> {
        for environment in self.inner.store.environments().await? {
            self.place_known(&environment).await?;
        }
        Ok(())
    }

    /// Says where an environment is after a run of it: a move that failed ends where it began.
    pub(crate) async fn place_after_run(&self, key: &EnvKey) -> Result<(), daybook_store::Error> {
        match self.inner.store.environment(key).await? {
            Some(environment) => self.place_known(&environment).await,
            None => Ok(()),
        }
    }

    async fn place_known(&self, environment: &Environment) -> Result<(), daybook_store::Error> {
        let run = match environment.open_run {
            Some(run) => self.inner.store.run(run).await?,
            None => None,
        };
        let release = self.inner.store.current_release(&environment.key).await?;
        let target = match run.map(|run| run.started.event) {
            Some(Event::RunStarted { spec, .. }) => spec.target,
            _ => release.and_then(|release| release.spec.target.clone()),
        };
        if let Err(error) = self.inner.runtime.place(&environment.key, target.as_ref()).await {
            tracing::error!(key = %environment.key, %error, "the environment is out of reach");
        }
        Ok(())
    }

    async fn rollback(&self, rollback: &Rollback) -> Result<Desired, ApiError> {
        let key = &rollback.key;
        let current = self.require_release(key).await?;
        let target = match rollback.to {
            Some(number) => self.inner.store.release(key, number).await?,
            None => self.before(key, current.number).await?,
        };
        let target = target.ok_or_else(|| {
            let message = match rollback.to {
                Some(number) => format!("{key} has no release {number}"),
                None => format!("{key} has no release before {}", current.number),
            };
            ApiError::not_found(message).hint(format!("`daybook history -e {}` lists the releases", key.env))
        })?;
        // What is not left yet stays so: no earlier release knows of it.
        let spec = Spec { leaving: current.spec.leaving.clone(), ..target.spec.clone() };
        let mut desired = self.toward(spec).await?;
        desired.manifest = target.manifest;
        desired.reason = format!("rollback to {}", target.number);
        Ok(desired)
    }

    /// The release that was in force before `number`: the newest with a smaller number.
    async fn before(&self, key: &EnvKey, number: ReleaseNumber) -> Result<Option<Release>, ApiError> {
        let all = self.inner.store.releases(key, usize::MAX).await?;
        Ok(all.into_iter().find(|release| release.number < number))
    }

    async fn scale(&self, scale: &Scale) -> Result<Desired, ApiError> {
        let current = self.require_release(&scale.key).await?;
        let mut spec = current.spec.clone();
        for (name, count) in &scale.services {
            if *count > 1 && spec.databases.values().any(|database| database.is_run_by(name)) {
                let message = format!("`{name}` is a database: two servers cannot write to its files");
                return Err(ApiError::invalid(message).hint("give it more with `resources` in the manifest"));
            }
            let service = find(&mut spec, name)?;
            if !service.artifact.has_replicas() {
                let what = match service.artifact {
                    Artifact::Chart(_) => "a chart, whose values say how many replicas it has",
                    _ => "files that the edge serves: it has no replicas",
                };
                return Err(ApiError::invalid(format!("`{name}` is {what}")));
            }
            if *count > daybook_model::spec::Scale::MOST {
                let message = format!("`{name}` cannot have {count} replicas");
                let hint = format!("a service has at most {}", daybook_model::spec::Scale::MOST);
                return Err(ApiError::invalid(message).hint(hint));
            }
            service.scale.min = *count;
            service.scale.max = service.scale.max.max(*count);
            service.stopped = false;
        }
        if spec.replicas() > Spec::MOST_REPLICAS {
            let message = format!("the services would have {} replicas together", spec.replicas());
            return Err(ApiError::invalid(message).hint(format!("at most {} are planned", Spec::MOST_REPLICAS)));
        }
        self.edit_of(current, spec).await
    }

    async fn rotate(&self, rotate: &Rotate, aim: Aim) -> Result<Desired, ApiError> {
        let current = self.require_release(&rotate.key).await?;
        let mut spec = current.spec.clone();
        let mut values = Values::default();
        let mut kept = BTreeSet::new();
        for (name, new) in &rotate.secrets {
            let tells = spec.notify.iter().any(|channel| channel.needs(name));
            let forwards = spec.forward.needing(name).is_some();
            let receives = spec.receive.as_ref().is_some_and(|key| key.name == *name);
            if refers_to(&spec, name).is_none() && !tells && !forwards && !receives {
                let message = format!("no service of {} needs the secret `{name}`", rotate.key);
                return Err(ApiError::not_found(message).hint(format!(
                    "`daybook secret ls` lists those that are set; `daybook secret set {name}` is for releases to come"
                )));
            }
            match (new, kept_at(&spec, name)) {
                (NewValue::Again, Some(_)) => drop(kept.insert(name.clone())),
                (_, Some(place)) => return Err(kept_elsewhere(name, place)),
                (NewValue::Given(value), None) => {
                    values.given.insert(name.clone(), Zeroizing::new(value.clone().into_bytes()));
                }
                (NewValue::Again, None) if !is_generated(&spec, name) => return Err(without_new_value(name)),
                (NewValue::Generate | NewValue::Again, None) => drop(values.generated.insert(name.clone())),
            }
            spec.secrets_mut().filter(|one| one.name == *name).for_each(|secret| secret.version = None);
        }
        let unread = self.read_kept(&spec, Some(&kept), &mut values, patience(aim)).await?;
        let sealing = Sealing::of(&self.inner.store, &mut spec, values).await?;
        let mut desired = self.edit_of(current, spec).await?;
        desired.sealing = Some(sealing);
        desired.unresolved = unread.open;
        match aim {
            Aim::Act => unresolved::refuse(&desired, "the manifest")?,
            Aim::Look => {}
        }
        Ok(desired)
    }

    async fn edited(&self, services: &Services, edit: impl Fn(&mut Service)) -> Result<Desired, ApiError> {
        let current = self.require_release(&services.key).await?;
        let mut spec = current.spec.clone();
        if services.services.is_empty() {
            spec.services.values_mut().for_each(|service| edit(service));
        } else {
            for name in &services.services {
                edit(find(&mut spec, name)?);
            }
        }
        self.edit_of(current, spec).await
    }

    pub(crate) async fn edit_of(&self, current: Release, spec: Spec) -> Result<Desired, ApiError> {
        let mut desired = self.toward(spec).await?;
        desired.manifest = current.manifest;
        Ok(desired)
    }

    async fn down(&self, down: &Down) -> Result<Desired, ApiError> {
        if self.inner.store.environment(&down.key).await?.is_none() {
            return Err(no_environment(&down.key));
        }
        let mut spec = Spec::empty(down.key.clone());
        let current = self.inner.store.current_release(&down.key).await?;
        if let Some(left) = current.as_ref().and_then(|release| release.spec.leaving.as_ref()) {
            let message = format!("{} has not left {left} yet", down.key);
            return Err(ApiError::new(ErrorCode::Usage, message)
                .hint(format!("finish the move first: `daybook env move {} --finish`", down.key.env)));
        }
        spec.target = current.and_then(|release| release.spec.target.clone());
        let mut desired = self.toward(spec).await?;
        desired.remove_volumes = down.volumes.iter().cloned().collect();
        Ok(desired)
    }

    /// `key`, if there is such an environment.
    pub(crate) async fn known(&self, key: EnvKey) -> Result<EnvKey, ApiError> {
        match self.inner.store.environment(&key).await? {
            Some(_) => Ok(key),
            None => Err(no_environment(&key)),
        }
    }

    pub(crate) async fn require_release(&self, key: &EnvKey) -> Result<Release, ApiError> {
        if let Some(release) = self.inner.store.current_release(key).await? {
            return Ok(Arc::unwrap_or_clone(release));
        }
        match self.inner.store.environment(key).await? {
            Some(_) => Err(ApiError::not_found(format!("{key} has no release yet")).hint("run `daybook up`")),
            None => Err(no_environment(key)),
        }
    }

    pub(crate) async fn toward(&self, spec: Spec) -> Result<Desired, ApiError> {
        let current = self.inner.store.current_release(&spec.key).await?.map(Arc::unwrap_or_clone);
        self.place(&spec, current.as_ref()).await?;
        self.desired_of(spec, current).await
    }

    async fn desired_of(&self, spec: Spec, current: Option<Release>) -> Result<Desired, ApiError> {
        let key = spec.key.clone();
        Ok(Desired {
            current,
            to: self.next_release(&key).await?,
            key,
            spec,
            manifest: None,
            purpose: RunKind::Up,
            reason: String::new(),
            remove_volumes: BTreeSet::new(),
            diagnostics: Vec::new(),
            sealing: None,
            policy: None,
            unresolved: Vec::new(),
        })
    }

    /// A number that nothing carries: neither our records nor what runs, which may know more after our
    /// records were lost.
    async fn next_release(&self, key: &EnvKey) -> Result<ReleaseNumber, ApiError> {
        let recorded = self.inner.store.next_release_number(key).await?;
        if recorded.0 > 1 {
            return Ok(recorded);
        }
        let seen = self.inner.runtime.observe(key).await?;
        let running = seen.replicas.iter().map(|replica| replica.release.0 + 1).max().unwrap_or(1);
        Ok(ReleaseNumber(recorded.0.max(running)))
    }
}

/// There is no such environment.
pub(crate) fn no_environment(key: &EnvKey) -> ApiError {
    ApiError::not_found(format!("there is no environment {key}"))
        .hint("`daybook env ls` lists what there is; `daybook up` makes one")
}

fn find<'a>(spec: &'a mut Spec, name: &ServiceName) -> Result<&'a mut Service, ApiError> {
    let known: Vec<_> = spec.services.keys().map(ToString::to_string).collect();
    let key = spec.key.clone();
    spec.services.get_mut(name).map(Box::as_mut).ok_or_else(|| {
        ApiError::not_found(format!("{key} has no service `{name}`")).hint(format!("it has {}", known.join(", ")))
    })
}

fn patience(aim: Aim) -> Duration {
    if aim == Aim::Look { LOOKING } else { ACTING }
}

/// Where a Vault keeps a secret, if one does.
fn kept_at<'a>(spec: &'a Spec, name: &SecretName) -> Option<&'a Kept> {
    spec.vault.as_ref()?.values.get(name)
}

fn kept_elsewhere(name: &SecretName, place: &Kept) -> ApiError {
    let message =
        format!("the value of `{name}` is kept by a Vault, at {place}: the next `daybook up` would bring it back");
    ApiError::new(ErrorCode::Usage, message).hint(format!(
        "change it there, `bao kv patch {}/{} …`, then: `daybook secret rotate {name}`",
        place.mount, place.path
    ))
}

/// Whether the manifest has a secret made.
fn is_generated(spec: &Spec, name: &SecretName) -> bool {
    let mut all = spec.services.values().flat_map(|service| service.container.secrets());
    all.any(|secret| secret.name == *name && secret.generate)
}

fn without_new_value(name: &SecretName) -> ApiError {
    let message = format!("nothing says what the new value of `{name}` is: it was given, not generated");
    ApiError::new(ErrorCode::Usage, message).hint(format!(
        "give it: `daybook secret rotate {name} --value`; or have one made that nobody sees: `--generate`"
    ))
}

/// A manifest knows nothing of restarts: without this, the next `up` would replace what was restarted.
fn keep_generations(spec: &mut Spec, current: &Spec) {
    for (name, service) in &mut spec.services {
        if let Some(before) = current.services.get(name) {
            service.generation = before.generation;
        }
    }
}
