//! What a person asks for: the one thing that is planned and run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use daybook_model::{AppName, EnvKey, EnvName, ReleaseNumber, RunKind, SecretName, ServiceName, Target, VolumeName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A wanted change of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Carry out a manifest.
    Up(Up),
    /// Carry out an earlier release again.
    Rollback(Rollback),
    /// Change how many replicas run.
    Scale(Scale),
    /// Give secrets new values, and replace the replicas that have the old.
    Rotate(Rotate),
    /// Replace replicas by equal ones.
    Restart(Services),
    /// End services; they stay configured.
    Stop(Services),
    /// Start stopped services.
    Start(Services),
    /// Bring the environment to another target, with no failed request.
    Move(Move),
    /// End what still runs at the target that the environment came from.
    Leave(Leave),
    /// Remove everything that runs.
    Down(Down),
}

impl Change {
    /// What a run of this change is for.
    pub fn purpose(&self) -> RunKind {
        match self {
            Self::Up(_) => RunKind::Up,
            Self::Rollback(_) => RunKind::Rollback,
            Self::Scale(_) => RunKind::Scale,
            Self::Rotate(_) => RunKind::Rotate,
            Self::Restart(_) => RunKind::Restart,
            Self::Stop(_) => RunKind::Stop,
            Self::Start(_) => RunKind::Start,
            Self::Move(_) | Self::Leave(_) => RunKind::Move,
            Self::Down(_) => RunKind::Down,
        }
    }

    /// The change in a few words, as journal and history show it: "scale web=3".
    pub fn reason(&self) -> String {
        match self {
            Self::Up(_) => "up".to_owned(),
            Self::Rollback(Rollback { to: Some(to), .. }) => format!("rollback to {to}"),
            Self::Rollback(_) => "rollback".to_owned(),
            Self::Scale(scale) => {
                let parts: Vec<_> = scale.services.iter().map(|(name, count)| format!("{name}={count}")).collect();
                format!("scale {}", parts.join(" "))
            }
            Self::Rotate(rotate) => {
                let names: Vec<_> = rotate.secrets.keys().map(SecretName::as_str).collect();
                format!("rotate {}", names.join(" "))
            }
            Self::Restart(services) => services.reason("restart"),
            Self::Stop(services) => services.reason("stop"),
            Self::Start(services) => services.reason("start"),
            Self::Move(Move { up, .. }) => match &up.target {
                Some(target) => format!("move to {target}"),
                None => "move".to_owned(),
            },
            Self::Leave(_) => "finish the move".to_owned(),
            Self::Down(down) if down.volumes.is_empty() => "down".to_owned(),
            Self::Down(down) => {
                let names: Vec<_> = down.volumes.iter().map(ToString::to_string).collect();
                format!("down, removing volumes {}", names.join(", "))
            }
        }
    }
}

/// Carry out a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Up {
    /// The manifest and every file that it reads.
    pub bundle: Bundle,
    /// The environment to bring to it.
    #[schema(value_type = String)]
    pub environment: EnvName,
    /// Active profiles.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// App name, where it is not the manifest's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub app: Option<AppName>,
    /// Where it runs, whatever the manifest says: `docker`, `kubernetes://prod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub target: Option<Target>,
}

/// A manifest as the client found it: its texts, every text file that it reads, and the variables of
/// the client's environment that it mentions. The JSON form of `daybook_manifest::Bundle`.
///
/// Unknown fields are refused: what a manifest needs must not be dropped on the way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Absolute paths of the manifest and of the files that override it, in the order of merging.
    pub entries: Vec<String>,
    /// Absolute path of the directory that relative paths are meant from.
    pub root: String,
    /// Texts by absolute path.
    pub files: BTreeMap<String, String>,
    /// Files that are there and could not be taken along, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable: BTreeMap<String, String>,
    /// Files that are there and whose content is not taken along.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub present: BTreeSet<String>,
    /// Texts of encrypted files, opened by the client, by cipher and absolute path: `sops:/work/shop/secrets.yaml`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub opened: BTreeMap<String, String>,
    /// Encrypted files that could not be opened, by the same, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unopened: BTreeMap<String, String>,
    /// Variables that are set and mentioned; no others.
    pub variables: BTreeMap<String, String>,
}

impl Bundle {
    /// Converts the manifest crate's bundle. Fails when it has another JSON form than this one.
    pub fn encode(bundle: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(bundle)?)
    }

    /// Converts into the manifest crate's bundle. Fails when that has another JSON form than this one.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(self)?)
    }
}

/// Carry out an earlier release again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollback {
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// The release; the one before the current by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub to: Option<ReleaseNumber>,
}

/// Change how many replicas run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scale {
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// How many of each service.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub services: BTreeMap<ServiceName, u32>,
}

/// Give secrets new values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rotate {
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// Which, and where each new value is from.
    #[schema(value_type = BTreeMap<String, NewValue>)]
    pub secrets: BTreeMap<SecretName, NewValue>,
}

/// Where the new value of a secret is from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewValue {
    /// From where the one that it has is from: whoever keeps it is asked again, or a new random one is made.
    Again,
    /// A random one that nobody sees.
    Generate,
    /// This one, text.
    Given(String),
}

/// It may hold a value.
impl fmt::Debug for NewValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Again => "Again",
            Self::Generate => "Generate",
            Self::Given(_) => "Given(…)",
        })
    }
}

/// Some services of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Services {
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// Which; none means all.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub services: Vec<ServiceName>,
}

impl Services {
    fn reason(&self, verb: &str) -> String {
        let mut text = verb.to_owned();
        for service in &self.services {
            text.push(' ');
            text.push_str(service.as_str());
        }
        text
    }
}

/// Bring the environment to another target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Move {
    /// The manifest that is carried out there. Its target is the new one.
    pub up: Up,
    /// Volumes begin empty there; what they hold stays where it is.
    #[serde(default)]
    pub empty_volumes: bool,
}

/// End what still runs at the target that the environment came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Leave {
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// Even if requests still come in there.
    #[serde(default)]
    pub force: bool,
}

/// Remove everything that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Down {
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// Volumes to remove with what they hold. Others stay.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub volumes: Vec<VolumeName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Change {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn changes_are_tagged_by_their_verb() {
        let change = read(r#"{"scale": {"key": "shop/production", "services": {"web": 3, "api": 1}}}"#);
        assert_eq!(change.reason(), "scale api=1 web=3");
        assert_eq!(change.purpose(), RunKind::Scale);
        assert_eq!(read(r#"{"stop": {"key": "shop/production"}}"#).reason(), "stop");
        assert_eq!(read(r#"{"rollback": {"key": "a/b", "to": 41}}"#).reason(), "rollback to 41");
        let down = read(r#"{"down": {"key": "a/b", "volumes": ["data"]}}"#);
        assert_eq!(down.reason(), "down, removing volumes data");
    }

    #[test]
    fn r31_the_new_value_of_a_secret_is_in_no_debug_output() {
        let change = read(r#"{"rotate": {"key": "a/b", "secrets": {"k": {"given": "swordfish"}, "l": "again"}}}"#);
        assert_eq!((change.reason().as_str(), change.purpose()), ("rotate k l", RunKind::Rotate));
        let shown = format!("{change:?}");
        assert!(shown.contains("Given(…)") && !shown.contains("swordfish"), "{shown}");
    }

    #[test]
    fn r32_names_in_a_change_are_checked_when_it_is_read() {
        assert!(serde_json::from_str::<Change>(r#"{"down": {"key": "a/../b"}}"#).is_err());
        assert!(serde_json::from_str::<Change>(r#"{"stop": {"key": "a/b", "services": ["$(x)"]}}"#).is_err());
    }
}
