//! What an environment is held to, what breaks it, and how a manifest is mended.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::name::ServiceName;

/// What a manifest, or an organisation for all of its apps, asks of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// What refuses a plan: a check by its id or its name, or a severity, which means that and worse.
    pub deny: Vec<Ruled>,
    /// What is let pass all the same.
    pub waive: Vec<Waiver>,
    /// Own rules, in Rego.
    pub rules: Vec<RuleFile>,
    /// What every service, and the environment as a whole, has to keep to.
    pub rails: Rails,
}

/// A word of a policy, with the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruled {
    /// As written.
    pub word: String,
    /// Line of its file, from 1.
    pub line: u32,
}

/// A finding that somebody lives with, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// The check, by its id or its name.
    pub check: String,
    /// Only for this service; for all without it.
    pub service: Option<ServiceName>,
    /// Why.
    pub reason: String,
    /// The last day on which it counts.
    pub until: Date,
    /// Line of its file, from 1.
    pub line: u32,
}

/// A file of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFile {
    /// Its path, as people know it.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Guard rails: what all services have to keep to. What is empty or nothing asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rails {
    /// Registries, or parts of them by path, that images may come from.
    pub registries: Vec<String>,
    /// Targets that an environment may run on; `*` at the end stands for anything.
    pub targets: Vec<String>,
    /// `PROVIDER/REGION` that an environment may be in, as its `budget` says; `*` at the end stands for anything.
    pub regions: Vec<String>,
    /// The most that one replica may have, thousandths of a core.
    pub most_cpu_millis: Option<u64>,
    /// The most that one replica may have, bytes.
    pub most_memory_bytes: Option<u64>,
    /// The most replicas that one service may have.
    pub most_replicas: Option<u32>,
    /// Labels that every service has to have.
    pub labels: Vec<String>,
    /// Every volume that a protected environment keeps data in says how it is backed up.
    pub backups: bool,
}

/// What only a manifest's text shows, and no specification.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Remarks {
    /// Variables that look secret and whose value stands in the manifest: service and variable.
    pub clear_secrets: Vec<(ServiceName, String)>,
    /// Variables that a list sets more than once: service and variable.
    pub repeated_variables: Vec<(ServiceName, String)>,
    /// Dockerfiles that are there: service and text.
    pub dockerfiles: Vec<(ServiceName, String)>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Low,
    /// It may hurt some day.
    Medium,
    /// It will hurt, or makes something worse that does.
    High,
    /// Whoever finds it has the machine or the data.
    Critical,
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where in a manifest something stands or belongs: `services.web.ports[8080:80]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyPath(pub Vec<Key>);

/// One step of a [`KeyPath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A key of a mapping; or, of a list of `KEY=value`, the item that sets it.
    Name(String),
    /// The first item of a list that is this text, or has it between its colons or in one of its values.
    Holding(String),
}

impl KeyPath {
    /// Something beneath a service.
    pub fn service(name: &ServiceName, keys: &[&str]) -> Self {
        let names = ["services", name.as_str()].into_iter().chain(keys.iter().copied());
        Self(names.map(|key| Key::Name(key.to_owned())).collect())
    }

    /// Keys from the root.
    pub fn root(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Key::Name((*key).to_owned())).collect())
    }

    /// The item of the list here that holds `text`.
    #[must_use]
    pub fn holding(mut self, text: impl Into<String>) -> Self {
        self.0.push(Key::Holding(text.into()));
        self
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            match key {
                Key::Name(name) if at == 0 => f.write_str(name)?,
                Key::Name(name) => write!(f, ".{name}")?,
                Key::Holding(text) => write!(f, "[{text}]")?,
            }
        }
        Ok(())
    }
}

impl Serialize for KeyPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One change of a manifest's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The first of `paths` that is there says `value`; where none is, the last is added.
    Set {
        /// Where; they mean the same.
        paths: Vec<KeyPath>,
        /// The new value, as YAML.
        value: String,
    },
    /// The list at `path` has the item `value` too.
    Append {
        /// The list, made where it is not there.
        path: KeyPath,
        /// The item, as YAML.
        value: String,
    },
    /// What is at `path` goes; so does a list or a mapping that has nothing left.
    Remove {
        /// What.
        path: KeyPath,
    },
    /// Of the items of a list that set the variable at `path`, only the last stays.
    KeepLast {
        /// The variable.
        path: KeyPath,
    },
    /// The item of `ports` that publishes the port `container` does so on `address` only.
    Bind {
        /// The list.
        path: KeyPath,
        /// The port inside the replica.
        container: u16,
        /// An address of the machine.
        address: String,
    },
}

/// Something that a check, a guard rail or a rule does not like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Id of the check: `DB019`.
    pub check: String,
    /// Its name: `no-memory-limit`.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// The service that it is about.
    pub service: Option<ServiceName>,
    /// Where in the manifest.
    pub path: KeyPath,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// What `policy --fix` does about it; nothing where a person has to decide.
    #[serde(skip)]
    pub fix: Vec<Edit>,
    /// What comes of it.
    pub fate: Fate,
}

/// What comes of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is said.
    Warned,
    /// The plan is refused.
    Denied {
        /// Whose policy refuses it.
        by: Author,
    },
    /// Somebody lives with it.
    Waived {
        /// Why.
        reason: String,
        /// The last day.
        until: Date,
    },
}

/// Whose policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The manifest's own.
    Manifest,
    /// The landing zone's: one for all apps.
    Organisation,
}
