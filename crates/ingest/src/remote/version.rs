//! Which of the two protocols a body is of.

use crate::Refused;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Remote write 1.0.
    One,
    /// Remote write 2.0.
    Two,
}

impl Version {
    /// By the value of the header `Content-Type`. Without a message it is 1.0.
    pub fn of(content_type: &str) -> Result<Self, Refused> {
        let mut parts = content_type.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let unknown = || Refused::ContentType(content_type.to_owned());
        if !kind.eq_ignore_ascii_case("application/x-protobuf") {
            return Err(unknown());
        }
        let message =
            parts.find_map(|part| part.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("proto")));
        match message.map(|(_, message)| message) {
            None | Some("prometheus.WriteRequest") => Ok(Self::One),
            Some("io.prometheus.write.v2.Request") => Ok(Self::Two),
            Some(_) => Err(unknown()),
        }
    }

    /// The headers of a request beside the body's length.
    pub fn headers(self) -> [(&'static str, &'static str); 3] {
        let (kind, version) = match self {
            Self::One => ("application/x-protobuf", "0.1.0"),
            Self::Two => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        [("content-type", kind), ("content-encoding", "snappy"), ("x-prometheus-remote-write-version", version)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_says_which_it_is() {
        for version in [Version::One, Version::Two] {
            assert_eq!(Version::of(version.headers()[0].1), Ok(version));
        }
        assert_eq!(Version::of("application/x-protobuf; proto=prometheus.WriteRequest"), Ok(Version::One));
        for other in ["", "application/json", "application/x-protobuf;proto=io.prometheus.write.v3.Request"] {
            assert_eq!(Version::of(other).unwrap_err().status(), 415, "{other}");
        }
    }
}
