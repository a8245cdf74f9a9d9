//! Why a body is not taken.

/// Why a body is not taken. Nothing of it is kept, and to send it again is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What it is, is not known here.
    #[error("bodies of the type `{0}` are not known here")]
    ContentType(String),
    /// How it is packed, is not known here.
    #[error("bodies that are packed with `{0}` are not known here")]
    Encoding(String),
    /// It is too large.
    #[error("the body is too large: {most} bytes are the most when it is unpacked")]
    TooLarge {
        /// How many bytes it may have.
        most: usize,
    },
    /// It cannot be unpacked.
    #[error("the body cannot be unpacked")]
    Packed,
    /// It cannot be read.
    #[error("the body cannot be read: {0}")]
    Malformed(String),
}

impl Refused {
    /// The status of HTTP that says so.
    pub fn status(&self) -> u16 {
        match self {
            Self::ContentType(_) | Self::Encoding(_) => 415,
            Self::TooLarge { .. } => 413,
            Self::Packed | Self::Malformed(_) => 400,
        }
    }
}

impl From<prost::DecodeError> for Refused {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}
