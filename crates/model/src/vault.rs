//! Secrets that a HashiCorp Vault or an OpenBao keeps, in its key/value engine of version 2.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::SecretName;

/// A server that keeps secrets, how to get in, and which of its values an environment needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    /// Its URL, without a path: `https://vault.example.com:8200`.
    pub address: String,
    /// The namespace that everything is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Certificates of the authority that its own is from, PEM. `None`: those that the machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// How to get in.
    pub login: Login,
    /// Values by the name that they get in the sealed store.
    pub values: BTreeMap<SecretName, Kept>,
    /// Line of the manifest, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// How to get into a [`Vault`]. What must not be seen is a secret of the sealed store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// With a token as it is.
    Token {
        /// Which secret it is.
        token: SecretName,
    },
    /// As an application: <https://openbao.org/docs/auth/approle/>.
    AppRole {
        /// Where the method is mounted: `approle`.
        mount: String,
        /// The role's id.
        role: String,
        /// Which secret its secret id is.
        secret: SecretName,
    },
    /// With the server's own service account: <https://openbao.org/docs/auth/kubernetes/>.
    Kubernetes {
        /// Where the method is mounted: `kubernetes`.
        mount: String,
        /// The role to be.
        role: String,
    },
}

impl Login {
    /// The secret of the sealed store that it needs.
    pub fn credential(&self) -> Option<&SecretName> {
        match self {
            Self::Token { token } => Some(token),
            Self::AppRole { secret, .. } => Some(secret),
            Self::Kubernetes { .. } => None,
        }
    }
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kept {
    /// Where the engine is mounted: `kv`.
    pub mount: String,
    /// The secret's path in it: `shop/production`.
    pub path: String,
    /// The field of the secret.
    pub field: String,
    /// Line of the manifest, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}#{}", self.mount, self.path, self.field)
    }
}
