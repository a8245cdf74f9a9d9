//! Names that people give to things, parsed once at the edge of the system.
//!
//! A name that exists has been checked: it is short, it starts with a letter or a digit, and it
//! holds nothing that a shell, a path, a label or a host name would interpret. Names are copied often
//! and are short, so their text stands in place (up to 24 bytes) and a copy allocates nothing.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// Why a text is not a name. The message says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}: {why}")]
pub struct InvalidName {
    /// What it should have been: "service name", "app name", ….
    pub kind: &'static str,
    /// The text as it was given.
    pub text: String,
    /// What rule it breaks.
    pub why: &'static str,
}

const RULE: &str = "use 1 to 63 of a-z, A-Z, 0-9, `_`, `.`, `-`, and begin with a letter or a digit";

fn check(kind: &'static str, text: &str) -> Result<(), InvalidName> {
    let mut bytes = text.bytes();
    let head = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let tail = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if head && tail && text.len() <= 63 {
        Ok(())
    } else {
        Err(InvalidName { kind, text: text.chars().take(80).collect(), why: RULE })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "CompactString")]
        pub struct $type(CompactString);

        impl $type {
            /// Checks `text`. Errors say which rule it breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                let text = text.as_ref();
                check($kind, text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<CompactString> for $type {
            type Error = InvalidName;
            fn try_from(text: CompactString) -> Result<Self, InvalidName> {
                check($kind, &text)?;
                Ok(Self(text))
            }
        }

        impl std::str::FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.into()
            }
        }
    };
}

name!(
    /// The system that one manifest describes.
    AppName, "app name");
name!(
    /// One living copy of an app: `production`, `staging`, ….
    EnvName, "environment name");
name!(
    /// A named workload of an app.
    ServiceName, "service name");
name!(
    /// A named volume.
    VolumeName, "volume name");
name!(
    /// A named network.
    NetworkName, "network name");
name!(
    /// A secret in the sealed store.
    SecretName, "secret name");
name!(
    /// A managed data store.
    DatabaseName, "database name");
name!(
    /// A cluster that a person has given a name.
    TargetName, "target name");
name!(
    /// A place where people are told of incidents.
    ChannelName, "channel name");

/// Which environment of which app: the unit that releases, runs and locks belong to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvKey {
    /// The app.
    pub app: AppName,
    /// The environment of it.
    pub env: EnvName,
}

impl EnvKey {
    /// Joins the two names.
    pub fn new(app: AppName, env: EnvName) -> Self {
        Self { app, env }
    }
}

impl fmt::Display for EnvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.env)
    }
}

impl std::str::FromStr for EnvKey {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (app, env) = text.split_once('/').ok_or_else(|| InvalidName {
            kind: "environment",
            text: text.chars().take(80).collect(),
            why: "write it as APP/ENVIRONMENT",
        })?;
        Ok(Self { app: app.parse()?, env: env.parse()? })
    }
}

impl TryFrom<String> for EnvKey {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<EnvKey> for String {
    fn from(key: EnvKey) -> String {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r32_names_hold_nothing_that_anyone_interprets() {
        for bad in ["", "-x", ".", "..", "a/b", "a b", "a;b", "$(x)", "a\n", "é", "a`b`", &"x".repeat(64)] {
            assert!(ServiceName::new(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["web", "Web_1", "a.b-c", "0"] {
            assert_eq!(ServiceName::new(good).map(String::from), Ok(good.to_owned()));
        }
    }

    #[test]
    fn an_environment_key_reads_back() {
        let key: EnvKey = "shop/production".parse().unwrap();
        assert_eq!(key.to_string(), "shop/production");
        assert!("shop".parse::<EnvKey>().is_err());
    }
}
