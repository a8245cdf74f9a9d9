//! The labels of a replica (on Kubernetes its annotations), written and read back.

use std::collections::{BTreeMap, HashMap};

use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::{Digest, Launch, ReleaseNumber, ReplicaId, RunId};

use crate::labels;

/// Labels as a daemon keeps them.
pub type Labels = HashMap<String, String>;

/// What labels are looked up in, however a daemon's client keeps them.
pub trait ByName {
    /// The value of a label.
    fn value(&self, name: &str) -> Option<&str>;
}

impl ByName for Labels {
    fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

impl ByName for BTreeMap<String, String> {
    fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// What a container's labels say that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its environment.
    pub key: EnvKey,
    /// Its name.
    pub id: ReplicaId,
    /// What it is part of a service for.
    pub role: Role,
    /// The release that started it.
    pub release: ReleaseNumber,
    /// The run that started it.
    pub run: RunId,
    /// Identity of its configuration.
    pub fingerprint: Fingerprint,
    /// What it runs.
    pub artifact: Digest,
}

/// The labels of a replica: the manifest's, and ours, which win.
pub fn of_launch(launch: &Launch, owner: &Labels) -> Labels {
    let mut all: Labels = launch.container.labels.clone().into_iter().collect();
    all.extend(of_environment(&launch.key));
    all.extend(owner.clone());
    let ours = [
        (labels::SERVICE, launch.id.service.to_string()),
        (labels::ORDINAL, launch.id.ordinal.to_string()),
        (labels::ROLE, role_text(launch.role).to_owned()),
        (labels::RELEASE, launch.release.to_string()),
        (labels::RUN, launch.run.to_string()),
        (labels::FINGERPRINT, launch.fingerprint.0.to_string()),
        (labels::ARTIFACT, launch.artifact.to_string()),
    ];
    all.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    all
}

/// The labels that say which environment something belongs to.
pub fn of_environment(key: &EnvKey) -> Labels {
    Labels::from([(labels::APP.to_owned(), key.app.to_string()), (labels::ENV.to_owned(), key.env.to_string())])
}

/// The labels of a volume or network.
pub fn of_resource(key: &EnvKey, name: &str, written: impl IntoIterator<Item = (String, String)>) -> Labels {
    let mut all: Labels = written.into_iter().collect();
    all.extend(of_environment(key));
    all.insert(labels::NAME.to_owned(), name.to_owned());
    all
}

/// Whether something has all of the labels that are wanted. Podman lists what has any of the labels of
/// a filter, so whatever a daemon lists is looked at again: what is not ours must never be touched.
pub fn has_all(found: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| found.get(name) == Some(value))
}

/// A daemon's filter for things with all of `labels`; see [`has_all`].
pub fn filter(labels: &Labels) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), labels.iter().map(|(name, value)| format!("{name}={value}")).collect())])
}

/// The environment that labels name. `None` without our labels; an error says which is malformed.
pub fn environment(found: &impl ByName) -> Option<Result<EnvKey, String>> {
    found.value(labels::APP)?;
    Some(read(found, labels::APP).and_then(|app| Ok(EnvKey::new(app, read(found, labels::ENV)?))))
}

/// What a container is. An error says which label is missing or malformed.
pub fn identity(found: &impl ByName) -> Result<Identity, String> {
    Ok(Identity {
        key: EnvKey::new(read(found, labels::APP)?, read(found, labels::ENV)?),
        id: ReplicaId::new(read(found, labels::SERVICE)?, read(found, labels::ORDINAL)?),
        role: role(found)?,
        release: ReleaseNumber(read(found, labels::RELEASE)?),
        run: serde_json::from_value(text(found, labels::RUN)?.into()).map_err(|e| wrong(labels::RUN, &e))?,
        fingerprint: Fingerprint(read(found, labels::FINGERPRINT)?),
        artifact: read(found, labels::ARTIFACT)?,
    })
}

fn text<'a>(found: &'a impl ByName, name: &str) -> Result<&'a str, String> {
    found.value(name).ok_or_else(|| format!("label {name} is missing"))
}

fn read<T: std::str::FromStr>(found: &impl ByName, name: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text(found, name)?.parse().map_err(|e| wrong(name, &e))
}

fn wrong(name: &str, why: &dyn std::fmt::Display) -> String {
    format!("label {name} is malformed: {why}")
}

const ROLES: [(Role, &str); 4] =
    [(Role::Main, "main"), (Role::Hook, "hook"), (Role::Job, "job"), (Role::OneOff, "one_off")];

fn role_text(role: Role) -> &'static str {
    ROLES.iter().find(|(known, _)| *known == role).map(|(_, text)| *text).expect("every role has a text")
}

fn role(found: &impl ByName) -> Result<Role, String> {
    let written = text(found, labels::ROLE)?;
    let known = ROLES.iter().find(|(_, text)| *text == written);
    known.map(|(role, _)| *role).ok_or_else(|| wrong(labels::ROLE, &written))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Labels {
        let digest = Digest::of(b"x").to_string();
        let all = [
            (labels::APP, "shop"),
            (labels::ENV, "test"),
            (labels::SERVICE, "web"),
            (labels::ORDINAL, "3"),
            (labels::ROLE, "one_off"),
            (labels::RELEASE, "7"),
            (labels::RUN, "018f0000-0000-7000-8000-000000000001"),
            (labels::FINGERPRINT, digest.as_str()),
            (labels::ARTIFACT, digest.as_str()),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn r14_labels_tell_all_that_is_needed() {
        let found = identity(&known()).unwrap();
        assert_eq!((found.key.to_string(), found.id.to_string()), ("shop/test".into(), "web.3".into()));
        assert_eq!((found.role, found.release), (Role::OneOff, ReleaseNumber(7)));
    }

    #[test]
    fn a_malformed_label_is_named() {
        for label in [labels::ORDINAL, labels::ROLE, labels::RUN, labels::FINGERPRINT, labels::SERVICE] {
            let mut malformed = known();
            malformed.insert(label.to_owned(), "?".to_owned());
            assert!(identity(&malformed).unwrap_err().contains(label));
            malformed.remove(label);
            assert!(identity(&malformed).unwrap_err().contains(label));
        }
        assert!(environment(&Labels::new()).is_none());
    }

    #[test]
    fn what_has_some_of_our_labels_is_not_what_was_asked_for() {
        let wanted = of_environment(&"shop/test".parse().unwrap());
        assert!(has_all(&known(), &wanted));
        let other = of_environment(&"shop/production".parse().unwrap());
        assert!(!has_all(&known(), &other), "the same app is not the same environment");
    }
}
