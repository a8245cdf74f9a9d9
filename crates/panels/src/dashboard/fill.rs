//! What stands for variables in queries, as Grafana has them
//! (<https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/>).

use std::collections::BTreeMap;

use crate::Grid;

/// The distance of two samples of one series, that a rate needs four of: ours are measured every ten seconds, and services asked every
/// fifteen.
const SCRAPED_EVERY: i64 = 15;

/// A query has a variable that nobody gave a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is given for ${0}")]
pub struct Unfilled(pub String);

/// What stands for variables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filling {
    values: BTreeMap<String, String>,
}

impl Filling {
    /// What stands for the times that Grafana knows, for queries about a grid of times.
    pub fn over(grid: Grid) -> Self {
        let (step, span) = ((grid.step / 1_000).max(1), ((grid.to - grid.from) / 1_000).max(1));
        let mut filling = Self::default();
        for (name, seconds) in [
            ("__interval", step),
            ("__rate_interval", (step + SCRAPED_EVERY).max(4 * SCRAPED_EVERY)),
            ("__range", span),
        ] {
            filling.set(name, format!("{seconds}s"));
        }
        filling.set("__interval_ms", (step * 1_000).to_string());
        filling.set("__range_s", span.to_string());
        filling.set("__range_ms", (span * 1_000).to_string());
        filling
    }

    /// Gives a variable a value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.insert(name.into(), value.into());
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// `text` with values for `$name`, `${name}`, `${name:regex}` and `[[name]]`.
    pub fn fill(&self, text: &str) -> Result<String, Unfilled> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['$', '[']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let Some((name, length)) = variable(rest) else {
                out.push_str(&rest[..1]);
                rest = &rest[1..];
                continue;
            };
            out.push_str(self.get(name).ok_or_else(|| Unfilled(name.to_owned()))?);
            rest = &rest[length..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The name of the variable that a text begins with, and how long that is.
fn variable(text: &str) -> Option<(&str, usize)> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let (name, length) = if let Some(rest) = text.strip_prefix("${") {
        let end = rest.find('}')?;
        (rest[..end].split([':', '.']).next().unwrap_or_default(), end + 3)
    } else if let Some(rest) = text.strip_prefix("[[") {
        let end = rest.find("]]")?;
        (rest[..end].split(':').next().unwrap_or_default(), end + 4)
    } else {
        let rest = text.strip_prefix('$')?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        (&rest[..end], end + 1)
    };
    is_name(name).then_some((name, length))
}

/// What a series is called: `{{service}} p95` with its labels in their places.
pub fn legend(template: &str, labels: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            rest = after;
            break;
        };
        out.push_str(labels.get(name.trim()).map(String::as_str).unwrap_or_default());
        rest = after;
    }
    out.push_str(rest);
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_each_of_their_forms() {
        let mut filling = Filling::over(Grid { from: 0, to: 3_600_000, step: 15_000 });
        filling.set("app", "shop");
        let filled = |text: &str| filling.fill(text);
        assert_eq!(filled("rate(a{b=\"$app\"}[$__rate_interval])").unwrap(), "rate(a{b=\"shop\"}[60s])");
        assert_eq!(filled("${app} ${app:regex} [[app]]").unwrap(), "shop shop shop");
        assert_eq!(filled("x[5m] =~ \"a$\" $1 ${").unwrap(), "x[5m] =~ \"a$\" $1 ${");
        assert_eq!(filled("up{a=\"$job\"}"), Err(Unfilled("job".to_owned())));
    }

    #[test]
    fn names_of_series_have_labels_in_their_places() {
        let labels = BTreeMap::from([("service".to_owned(), "web".to_owned())]);
        assert_eq!(legend("{{service}} p95", &labels), "web p95");
        assert_eq!(legend("{{ service }}{{none}}", &labels), "web");
        assert_eq!(legend("a {{service", &labels), "a service");
    }
}
