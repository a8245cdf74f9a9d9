//! Texts and bundles that are made to be slow, large or deep. Each has a name, and what `load` must say of it.

mod bundles;
mod growth;
mod values;

pub(crate) use bundles::bundles;

/// Every text, with a name.
pub(crate) fn texts() -> Vec<(&'static str, String)> {
    [growth::texts(), values::texts()].concat()
}

/// How many of something is too many for a manifest.
const MANY: usize = 50_000;

/// `MANY` pieces in a row.
fn many(piece: impl Fn(usize) -> String) -> String {
    (0..MANY).map(piece).collect()
}

/// A service with `keys`, in flow style.
fn service(keys: &str) -> String {
    format!("app: shop\nservices:\n  web: {{image: a, {keys}}}\n")
}
