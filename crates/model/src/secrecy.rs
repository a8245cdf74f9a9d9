//! Which values are secrets, though somebody wrote them in clear.

/// Whether a variable holds something that must be sealed: by its name, or because its value is a URL
/// with a password in it.
pub fn is_secret(variable: &str, value: &str) -> bool {
    !value.is_empty() && (looks_secret(variable) || has_password(value))
}

/// Whether a variable's name says that its value is a secret: `DB_PASSWORD`, `API_KEY`, `TOKEN`.
pub fn looks_secret(name: &str) -> bool {
    const WORDS: [&str; 14] = [
        "PASSWORD",
        "PASSWD",
        "PASS",
        "PWD",
        "SECRET",
        "SECRETS",
        "TOKEN",
        "KEY",
        "APIKEY",
        "CREDENTIAL",
        "CREDENTIALS",
        "PASSPHRASE",
        "DSN",
        "PRIVATE",
    ];
    let upper = name.to_ascii_uppercase();
    // A file's name, an address or a public key is none.
    let harmless = upper.ends_with("_FILE") || upper.ends_with("_PATH") || upper.contains("PUBLIC") || upper == "PWD";
    !harmless && upper.split(['_', '-', '.']).any(|word| WORDS.contains(&word) || word.ends_with("PASSWORD"))
}

fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known() {
        for name in ["DB_PASSWORD", "api_key", "SESSION_KEY", "MYSQL_ROOT_PASSWORD", "GITHUB_TOKEN", "PGPASSWORD"] {
            assert!(looks_secret(name), "{name}");
        }
        for name in ["POSTGRES_PASSWORD_FILE", "PORT", "MONKEY", "KEYBOARD", "COMPASS", "PUBLIC_KEY", "PWD"] {
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn r31_a_url_with_a_password_is_secret() {
        assert!(has_password("postgres://app:swordfish@db:5432/app"));
        for plain in ["postgres://app@db/app", "http://web:8080/a@b:c", "a:b@c", "", "https://user:@host"] {
            assert!(!has_password(plain), "{plain}");
        }
    }
}
