//! Every key that a manifest may have, with its shape and its fate. The check of a file, the JSON
//! Schema and the list of what is not honoured all come from these tables.

pub(crate) mod check;
pub(crate) mod parts;
pub(crate) mod root;
pub(crate) mod service;
#[cfg(test)]
mod tests;

/// One key of a mapping.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) fate: Fate,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It does what it says.
    Honoured,
    /// It does nothing, which is said to whoever wrote it.
    NotHonoured {
        /// Why.
        why: &'static str,
        /// What to use instead.
        instead: &'static str,
    },
    /// Daybook has the word and will honour it.
    Later,
}

/// What a value may look like. Nothing at all is always allowed and means that the key is absent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Any,
    Text,
    /// A text that may hold references such as `${db.url}`.
    Template,
    Bool,
    Integer,
    Number,
    Duration,
    Bytes,
    Cpu,
    Percent,
    Mode,
    /// One of a few words.
    Choice(&'static [&'static str]),
    List(&'static Shape),
    /// Names of the author's choice, each with a value.
    Map(&'static Shape),
    /// Known keys only.
    Object(&'static [Key]),
    /// Whichever fits.
    Either(&'static [Shape]),
}

pub(crate) const TEXTS: Shape = Shape::List(&Shape::Text);
pub(crate) const TEXT_OR_TEXTS: Shape = Shape::Either(&[Shape::Text, TEXTS]);
/// `KEY: value` or `- KEY=value`.
pub(crate) const PAIRS: Shape = Shape::Either(&[Shape::Map(&Shape::Text), TEXTS]);

pub(crate) const fn yes(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, fate: Fate::Honoured }
}

pub(crate) const fn no(name: &'static str, shape: Shape, why: &'static str, instead: &'static str) -> Key {
    Key { name, shape, fate: Fate::NotHonoured { why, instead } }
}

pub(crate) const fn later(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, fate: Fate::Later }
}
