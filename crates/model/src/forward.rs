//! Where what is measured and printed goes out to, beside being kept here.

use serde::{Deserialize, Serialize};

use crate::name::SecretName;
use crate::notify::Address;
use crate::spec::SecretRef;

/// Who else has what an environment measures and logs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Forward {
    /// Who takes measurements, by Prometheus' remote write 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Outlet>,
    /// Who takes lines, as Loki does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Outlet>,
    /// Who takes lines, by OpenTelemetry's protocol over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp_logs: Option<Outlet>,
}

/// Where something goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlet {
    /// The URL that is posted to, with its path.
    pub url: Address,
    /// How to get in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// Whose it is there, where several share one: the header `X-Scope-OrgID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Names of metrics; `*` stands for anything. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Certificates of the authority that the receiver's own is from, PEM. `None`: those that the machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Line of the manifest, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// How to get in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: SecretRef,
    },
    /// A token.
    Token(SecretRef),
}

impl Forward {
    /// Whether nothing goes anywhere.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All its secrets.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = &mut SecretRef> {
        self.metrics.iter_mut().chain(&mut self.logs).chain(&mut self.otlp_logs).flat_map(Outlet::secrets_mut)
    }

    /// Where something goes, by its key below `forward` in the manifest.
    pub fn outlets(&self) -> impl Iterator<Item = (&'static str, &Outlet)> {
        let all = [("metrics", &self.metrics), ("logs", &self.logs), ("otlp_logs", &self.otlp_logs)];
        all.into_iter().filter_map(|(key, outlet)| Some((key, outlet.as_ref()?)))
    }

    /// What needs a secret of this name: its key below `forward` in the manifest, and its line.
    pub fn needing(&self, name: &SecretName) -> Option<(&'static str, Option<u32>)> {
        let needs = |outlet: &Outlet| outlet.clone().secrets_mut().any(|one| one.name == *name);
        self.outlets().find(|(_, outlet)| needs(outlet)).map(|(key, outlet)| (key, outlet.line))
    }
}

impl Outlet {
    fn secrets_mut(&mut self) -> impl Iterator<Item = &mut SecretRef> {
        let url = match &mut self.url {
            Address::Secret(url) => Some(url),
            Address::Plain(_) => None,
        };
        let proof = self.login.as_mut().map(|login| match login {
            Login::Password { password: proof, .. } | Login::Token(proof) => proof,
        });
        url.into_iter().chain(proof)
    }
}
