//! Placeholders in migrations: `${name}`, in any case of letters.

use std::collections::BTreeMap;

/// Values by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placeholders(BTreeMap<String, String>);

/// A placeholder that nobody has given a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Its name as written.
    pub name: String,
    /// Its line, from 1.
    pub line: usize,
}

impl Placeholders {
    /// Gives a name a value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_lowercase(), value.into());
    }

    /// A text with its placeholders filled in.
    pub fn fill(&self, text: &str) -> Result<String, Unknown> {
        let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            let Some(end) = from.find('}') else { break };
            let name = &from[2..end];
            filled.push_str(before);
            match self.0.get(&name.to_lowercase()) {
                Some(value) => filled.push_str(value),
                None => {
                    let line = text[..text.len() - from.len()].matches('\n').count() + 1;
                    return Err(Unknown { name: name.to_owned(), line });
                }
            }
            rest = &from[end + 1..];
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

impl<K: AsRef<str>, V: Into<String>> FromIterator<(K, V)> for Placeholders {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(all: I) -> Self {
        let mut placeholders = Self::default();
        all.into_iter().for_each(|(name, value)| placeholders.set(name.as_ref(), value));
        placeholders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let given: Placeholders = [("Owner", "shop"), ("flyway:table", "history")].into_iter().collect();
        assert_eq!(given.fill("grant to ${owner}; -- ${FLYWAY:table}").unwrap(), "grant to shop; -- history");
        assert_eq!(given.fill("nothing $1 $$ {x} ${").unwrap(), "nothing $1 $$ {x} ${");
    }

    #[test]
    fn one_without_a_value_is_named_with_its_line() {
        let none = Placeholders::default();
        assert_eq!(none.fill("a\nb ${who}\n"), Err(Unknown { name: "who".to_owned(), line: 2 }));
    }
}
