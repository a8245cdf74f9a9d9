//! Clones of environments: what they have of the data of the first, and how long they stay.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a clone has of the data of the environment that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloneData {
    /// Nothing: its databases are made by migrations, and empty.
    None,
    /// Every row, with what is personal in it masked by the rules of the manifest.
    Masked,
    /// Everything, as it is.
    Full,
}

impl CloneData {
    /// Every one with its word.
    pub const ALL: [(&'static str, Self); 3] = [("none", Self::None), ("masked", Self::Masked), ("full", Self::Full)];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, data)| *data == self).map_or("", |(word, _)| word)
    }
}

impl std::fmt::Display for CloneData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for CloneData {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(other, _)| *other == word);
        found.map(|(_, data)| data).ok_or_else(|| format!("`{word}` is none of `none`, `masked`, `full`"))
    }
}

/// What came of a clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloneOutcome {
    /// It is there, as a whole.
    Made {
        /// When it goes by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Timestamp>,
    },
    /// There is none.
    Failed {
        /// Why, in words.
        why: String,
    },
}
