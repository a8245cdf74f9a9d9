//! What secrets are called that a manifest holds in clear.

use daybook_model::{DatabaseName, Digest, SecretName, ServiceName};

/// The name under which the value of such a variable is sealed: `env.SERVICE.VARIABLE`, made to fit a secret's
/// name: what does not fit is told apart by a hash.
pub fn secret_of(service: &ServiceName, variable: &str) -> SecretName {
    fitting(&format!("env.{service}.{variable}"))
}

/// The name under which something of a database is sealed: `database.NAME.PART`.
pub(crate) fn secret_of_database(database: &DatabaseName, part: &str) -> SecretName {
    fitting(&format!("database.{database}.{part}"))
}

fn fitting(plain: &str) -> SecretName {
    SecretName::new(plain).unwrap_or_else(|_| {
        let kept: String =
            plain.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).collect();
        let kept: String = kept.chars().take(48).collect();
        let name = format!("{kept}-{}", Digest::of(plain.as_bytes()).short());
        SecretName::new(name).expect("at most 61 of the characters of a name, the first of them a letter")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_names_fit_and_differ() {
        let web: ServiceName = "web".parse().unwrap();
        assert_eq!(secret_of(&web, "API_KEY").as_str(), "env.web.API_KEY");
        let (long, longer) = ("K".repeat(80), "K".repeat(81));
        assert_ne!(secret_of(&web, &long), secret_of(&web, &longer));
        assert_ne!(secret_of(&web, "A KEY"), secret_of(&web, "AKEY"));
    }
}
