//! How grave a line is.

use std::fmt;

/// How grave a line is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Each step.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// As it should be.
    Info,
    /// Not as it should be, and it goes on.
    Warn,
    /// Something failed.
    Error,
    /// It cannot go on.
    Fatal,
}

/// What each level is called by somebody.
const NAMES: [(&str, Level); 28] = [
    ("trace", Level::Trace),
    ("verbose", Level::Trace),
    ("finest", Level::Trace),
    ("finer", Level::Trace),
    ("debug", Level::Debug),
    ("dbg", Level::Debug),
    ("fine", Level::Debug),
    ("info", Level::Info),
    ("inf", Level::Info),
    ("information", Level::Info),
    ("informational", Level::Info),
    ("notice", Level::Info),
    ("warn", Level::Warn),
    ("warning", Level::Warn),
    ("wrn", Level::Warn),
    ("error", Level::Error),
    ("err", Level::Error),
    ("severe", Level::Error),
    ("fatal", Level::Fatal),
    ("critical", Level::Fatal),
    ("crit", Level::Fatal),
    ("panic", Level::Fatal),
    ("dpanic", Level::Fatal),
    ("alert", Level::Fatal),
    ("emerg", Level::Fatal),
    ("emergency", Level::Fatal),
    ("ftl", Level::Fatal),
    ("trc", Level::Trace),
];

impl Level {
    /// Each, the least grave first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// By any of its usual names, in upper or lower case.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    /// By a number as pino and Bunyan write it (30 is info), or as syslog and GELF do (3 is an error).
    pub fn numbered(number: u32) -> Option<Self> {
        Some(match number {
            0..=2 => Self::Fatal,
            3 => Self::Error,
            4 => Self::Warn,
            5..=6 => Self::Info,
            7 => Self::Debug,
            10..20 => Self::Trace,
            20..30 => Self::Debug,
            30..40 => Self::Info,
            40..50 => Self::Warn,
            50..60 => Self::Error,
            60 => Self::Fatal,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// A small number for it; 0 is for a line without a level.
    pub(crate) fn code(level: Option<Self>) -> u8 {
        level.map_or(0, |level| level as u8 + 1)
    }

    /// The reverse of [`Level::code`]; what is no code is no level.
    pub(crate) fn decoded(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).wrapping_sub(1)).copied()
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some levels, of which "no level" may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Levels(u8);

impl Levels {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them, and lines without a level.
    pub const ALL: Self = Self(0x7f);

    /// Just this one.
    pub fn only(level: Option<Level>) -> Self {
        Self(1 << Level::code(level))
    }

    /// This one and what is graver.
    pub fn at_least(level: Level) -> Self {
        Self(Self::ALL.0 & !((1 << Level::code(Some(level))) - 1))
    }

    /// What is in none of these.
    pub fn others(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }

    /// What is in both.
    pub fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    pub fn either(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it is one of them.
    pub fn has(self, level: Option<Level>) -> bool {
        self.has_code(Level::code(level))
    }

    pub(crate) fn has_code(self, code: u8) -> bool {
        self.0 & (1 << (code & 7)) != 0
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn of_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names_numbers_and_codes() {
        assert_eq!((Level::named("WARNING"), Level::named("Crit")), (Some(Level::Warn), Some(Level::Fatal)));
        assert_eq!((Level::named("warned"), Level::numbered(8)), (None, None));
        assert_eq!((Level::numbered(30), Level::numbered(3)), (Some(Level::Info), Some(Level::Error)));
        for level in Level::ALL {
            assert_eq!(Level::named(level.name()), Some(level));
            assert_eq!(Level::decoded(Level::code(Some(level))), Some(level));
        }
        assert_eq!((Level::decoded(0), Level::decoded(7), Level::code(None)), (None, None, 0));
    }

    #[test]
    fn sets_of_levels() {
        let grave = Levels::at_least(Level::Warn);
        assert!(grave.has(Some(Level::Fatal)) && grave.has(Some(Level::Warn)));
        assert!(!grave.has(Some(Level::Info)) && !grave.has(None));
        assert!(grave.others().has(None) && grave.others().both(grave) == Levels::NONE);
        assert_eq!(grave.others().either(grave), Levels::ALL);
        assert!(Levels::only(None).has(None));
    }
}
