//! Where things go, as it is used: what the manifest says of it, with its secrets opened.

use daybook_metrics::{BadPattern, Matcher, NAME, Op};
use daybook_model::forward::{Login, Outlet};
use daybook_model::notify::Address;
use daybook_model::{EnvKey, Release};
use daybook_notify::Secret;
use daybook_notify::channel;
use daybook_notify::send::{Post, Proof, hidden};
use daybook_store::Store;

use super::super::notices::channels::Secrets;
use super::Kind;
use super::place::Way;

/// Where something of an environment goes. The line of the manifest that says so is left out: one that moved changes nothing.
#[derive(Debug, PartialEq)]
pub(super) struct Opened {
    url: Secret,
    proof: Option<Proof>,
    described: Outlet,
}

/// Whether this goes anywhere, and where; or why that cannot be used.
pub(super) async fn open(store: &Store, release: &Release, kind: Kind) -> Option<Result<Opened, String>> {
    let forward = &release.spec.forward;
    let described = match kind {
        Kind::Metrics => forward.metrics.as_ref(),
        Kind::Logs(Way::Loki) => forward.logs.as_ref(),
        Kind::Logs(Way::Otlp) => forward.otlp_logs.as_ref(),
    };
    Some(open_one(store, &release.spec.key, described?).await)
}

async fn open_one(store: &Store, key: &EnvKey, described: &Outlet) -> Result<Opened, String> {
    let secrets = Secrets { store, key };
    let url = match &described.url {
        Address::Plain(url) => Secret::new(url),
        Address::Secret(secret) => secrets.open(secret).await?,
    };
    let proof = match &described.login {
        None => None,
        Some(Login::Token(token)) => Some(Proof::Token(secrets.open(token).await?)),
        Some(Login::Password { user, password }) => {
            Some(Proof::Login(channel::Login { user: user.clone(), password: secrets.open(password).await? }))
        }
    };
    Ok(Opened { url, proof, described: Outlet { line: None, ..described.clone() } })
}

impl Opened {
    /// A post to it.
    pub(super) fn post<'a>(&'a self, headers: &[(&'a str, &'a str)], body: Vec<u8>) -> Post<'a> {
        let tenant = self.described.tenant.as_deref().map(|tenant| ("x-scope-orgid", tenant));
        Post {
            url: &self.url,
            headers: headers.iter().copied().chain(tenant).collect(),
            proof: self.proof.as_ref(),
            body,
            authority: self.described.authority.as_deref(),
        }
    }

    /// What its receiver says, without what is secret of how to get there.
    pub(super) fn hidden(&self, said: &str) -> String {
        hidden(&self.url, self.proof.as_ref(), said)
    }

    /// What chooses the series that go there.
    pub(super) fn matchers(&self, key: &EnvKey) -> Result<Vec<Matcher>, BadPattern> {
        let place = [("app", key.app.as_str()), ("env", key.env.as_str())];
        let place = place.into_iter().map(|(name, value)| Matcher::new(name, Op::Equal, value));
        let any = self.described.only.iter().map(|name| name.replace('*', ".*")).collect::<Vec<_>>().join("|");
        let named = (!any.is_empty()).then(|| Matcher::new(NAME, Op::Like, format!("(?:{any})")));
        place.chain(named).collect()
    }
}
