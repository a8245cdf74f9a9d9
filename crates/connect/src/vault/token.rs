//! Tokens that are good, and how long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_model::vault::Vault;
use sha2::Digest as _;
use zeroize::Zeroizing;

/// A token is used no more once less than this is left of it.
const MARGIN: Duration = Duration::from_secs(15);

/// A token, to be sent with requests.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) value: Arc<Zeroizing<String>>,
    lease: Lease,
    since: Instant,
}

/// How long a token is good. Zero: until somebody revokes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) lasts: Duration,
    pub(super) is_renewable: bool,
}

impl Token {
    /// A token that is good from now on.
    pub(super) fn leased(value: Arc<Zeroizing<String>>, lease: Lease) -> Self {
        Self { value, lease, since: Instant::now() }
    }

    fn is_good(&self, now: Instant) -> bool {
        self.lease.lasts.is_zero() || now.duration_since(self.since) + MARGIN < self.lease.lasts
    }

    fn is_due(&self, now: Instant) -> bool {
        self.lease.is_renewable && !self.lease.lasts.is_zero() && now.duration_since(self.since) * 2 > self.lease.lasts
    }
}

/// Tokens by what they let into.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<Place, Known>);

/// Who asks whom.
type Place = (String, Option<String>, String);

struct Known {
    vault: Vault,
    /// The digest of the credential that it was got with.
    credential: [u8; 32],
    token: Token,
}

impl Tokens {
    /// The token that this credential got, if it is still good.
    pub(super) fn good(&self, vault: &Vault, credential: Option<&str>, now: Instant) -> Option<Token> {
        let known = self.0.get(&place(vault))?;
        let is_same = known.vault.authority == vault.authority && known.credential == digest(credential);
        (is_same && known.token.is_good(now)).then(|| known.token.clone())
    }

    pub(super) fn take_in(&mut self, vault: &Vault, credential: Option<&str>, token: &Token) {
        let known = Known { vault: vault.clone(), credential: digest(credential), token: token.clone() };
        self.0.insert(place(vault), known);
    }

    /// A known token is good for longer.
    pub(super) fn keep(&mut self, vault: &Vault, token: &Token) {
        if let Some(known) = self.0.get_mut(&place(vault)) {
            known.token = token.clone();
        }
    }

    pub(super) fn forget(&mut self, vault: &Vault) {
        self.0.remove(&place(vault));
    }

    /// Those of which more than half is over.
    pub(super) fn due(&self, now: Instant) -> Vec<(Vault, Token)> {
        let due = self.0.values().filter(|known| known.token.is_due(now));
        due.map(|known| (known.vault.clone(), known.token.clone())).collect()
    }
}

fn place(vault: &Vault) -> Place {
    (vault.address.clone(), vault.namespace.clone(), format!("{:?}", vault.login))
}

fn digest(credential: Option<&str>) -> [u8; 32] {
    sha2::Sha256::digest(credential.unwrap_or_default().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use daybook_model::vault::Login;

    use super::*;

    fn vault() -> Vault {
        Vault {
            address: "https://vault.example.com".to_owned(),
            namespace: None,
            authority: None,
            login: Login::Kubernetes { mount: "kubernetes".to_owned(), role: "shop".to_owned() },
            values: BTreeMap::new(),
            line: None,
        }
    }

    fn token(seconds: u64, is_renewable: bool) -> Token {
        let lease = Lease { lasts: Duration::from_secs(seconds), is_renewable };
        Token::leased(Arc::new(Zeroizing::new("t".to_owned())), lease)
    }

    fn holding(token: &Token, credential: &str) -> Tokens {
        let mut tokens = Tokens::default();
        tokens.take_in(&vault(), Some(credential), token);
        tokens
    }

    #[test]
    fn a_token_is_used_until_it_is_nearly_over() {
        let token = token(60, false);
        let after = |seconds: u64| token.since + Duration::from_secs(seconds);
        let tokens = holding(&token, "a");
        assert!(tokens.good(&vault(), Some("a"), after(40)).is_some());
        assert!(tokens.good(&vault(), Some("a"), after(46)).is_none());
        assert!(tokens.good(&vault(), Some("b"), after(0)).is_none(), "another credential is another person");
        let other = Vault { authority: Some("PEM".to_owned()), ..vault() };
        assert!(tokens.good(&other, Some("a"), after(0)).is_none(), "another authority is another server");
    }

    #[test]
    fn a_token_without_an_end_is_good_and_never_due() {
        let token = token(0, true);
        let late = token.since + Duration::from_secs(1_000_000);
        let tokens = holding(&token, "a");
        assert!(tokens.good(&vault(), Some("a"), late).is_some());
        assert!(tokens.due(late).is_empty());
    }

    #[test]
    fn what_can_be_renewed_is_due_after_half_its_time() {
        let token = token(60, true);
        let after = |seconds: u64| token.since + Duration::from_secs(seconds);
        let tokens = holding(&token, "a");
        assert_eq!((tokens.due(after(30)).len(), tokens.due(after(31)).len()), (0, 1));
        assert!(holding(&super::tests::token(60, false), "a").due(after(50)).is_empty());
    }
}
