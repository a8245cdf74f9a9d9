//! How an edge is started.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::limits::Limits;

/// How an edge is started. Its text form, the arguments of `daybook edge`, is [`Config::arguments`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The state directory of Daybook; the edge keeps its own in `edge/` beneath it.
    pub state: PathBuf,
    /// Where plain HTTP is served for every domain.
    pub http: Vec<SocketAddr>,
    /// Where HTTPS is served for every domain.
    pub https: Vec<SocketAddr>,
    /// Where plain HTTP comes in through somebody else's proxy, which ended TLS: what it says of the client's scheme
    /// and host counts. Only that proxy may reach these addresses.
    pub behind: Vec<SocketAddr>,
    /// How long clients and replicas may take.
    pub limits: Limits,
    /// The socket at which the generation before hands over its listening sockets.
    pub inherit: Option<PathBuf>,
    /// Where a control plane that is elsewhere finds the control port: a loopback address.
    pub control: Option<SocketAddr>,
    /// A file with a packed table ([`pack`](crate::pack)), put there by somebody else: whenever it is newer than the table in force, it is
    /// taken.
    pub table: Option<PathBuf>,
    /// The directory of the development authority, where it is not the edge's own.
    pub authority: Option<PathBuf>,
    /// It becomes the leader of a session of its own, so that it outlives the terminal it was started from.
    pub detached: bool,
}

/// Arguments that are not those of an edge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("daybook edge: {0}")]
pub struct ConfigError(String);

impl Config {
    /// An edge for a state directory, at the usual ports.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        Self {
            state: state.into(),
            http: vec![any(80)],
            https: vec![any(443)],
            behind: Vec::new(),
            limits: Limits::default(),
            inherit: None,
            control: None,
            table: None,
            authority: None,
            detached: false,
        }
    }

    /// The edge's own directory.
    pub fn directory(&self) -> PathBuf {
        self.state.join("edge")
    }

    /// `--state DIR [--http ADDRESS]… [--https ADDRESS]… [--no-http] [--no-https] [--behind ADDRESS]…
    /// [--limit NAME=MILLISECONDS]… [--inherit SOCKET] [--control ADDRESS] [--table FILE] [--authority DIR] [--detached]`
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--state".into(), self.state.clone().into()];
        for (name, none, addresses) in [("--http", "--no-http", &self.http), ("--https", "--no-https", &self.https)] {
            if addresses.is_empty() {
                arguments.push(none.into());
            }
            for address in addresses {
                arguments.extend([name.into(), address.to_string().into()]);
            }
        }
        arguments.extend(self.behind.iter().flat_map(|address| ["--behind".into(), address.to_string().into()]));
        for limit in self.limits.unusual() {
            arguments.extend(["--limit".into(), limit.into()]);
        }
        for (name, path) in [("--inherit", &self.inherit), ("--table", &self.table), ("--authority", &self.authority)] {
            arguments.extend(path.iter().flat_map(|path| [name.into(), path.clone().into()]));
        }
        if let Some(address) = self.control {
            arguments.extend(["--control".into(), address.to_string().into()]);
        }
        if self.detached {
            arguments.push("--detached".into());
        }
        arguments
    }

    /// Reads what [`Config::arguments`] writes. Without any address of a kind, the usual port is taken.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ConfigError> {
        let mut config = Self { http: Vec::new(), https: Vec::new(), ..Self::new("") };
        let usual = Self::new("");
        let (mut no_http, mut no_https) = (false, false);
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            let mut value = || arguments.next().ok_or_else(|| ConfigError(format!("{name} needs a value")));
            match name.as_str() {
                "--state" => config.state = value()?.into(),
                "--http" => config.http.push(address(&name, &value()?)?),
                "--https" => config.https.push(address(&name, &value()?)?),
                "--behind" => config.behind.push(address(&name, &value()?)?),
                "--no-http" => no_http = true,
                "--no-https" => no_https = true,
                "--limit" => limit(&mut config.limits, &value()?)?,
                "--inherit" => config.inherit = Some(value()?.into()),
                "--control" => config.control = Some(address(&name, &value()?)?),
                "--table" => config.table = Some(value()?.into()),
                "--authority" => config.authority = Some(value()?.into()),
                "--detached" => config.detached = true,
                _ => return Err(ConfigError(format!("unknown argument {name}"))),
            }
        }
        if config.state.as_os_str().is_empty() {
            return Err(ConfigError("--state is missing".to_owned()));
        }
        if config.http.is_empty() && !no_http {
            config.http = usual.http;
        }
        if config.https.is_empty() && !no_https {
            config.https = usual.https;
        }
        Ok(config)
    }
}

fn address(name: &str, text: &OsString) -> Result<SocketAddr, ConfigError> {
    let text = text.to_string_lossy();
    text.parse().map_err(|_| ConfigError(format!("{name}: `{text}` is not an address with a port")))
}

fn limit(limits: &mut Limits, text: &OsString) -> Result<(), ConfigError> {
    let text = text.to_string_lossy();
    limits.take(&text).ok_or_else(|| ConfigError(format!("--limit: `{text}` is not a limit with milliseconds")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_back() {
        let mut config = Config::new("/var/lib/daybook");
        assert_eq!(Config::parse(config.arguments()), Ok(config.clone()));
        config.http.clear();
        config.https = vec!["127.0.0.1:8443".parse().unwrap(), "[::1]:8443".parse().unwrap()];
        config.behind = vec!["0.0.0.0:10081".parse().unwrap()];
        config.limits.answer = std::time::Duration::from_secs(1);
        config.inherit = Some("/x".into());
        config.control = Some("127.0.0.1:9402".parse().unwrap());
        config.table = Some("/routes/table.json.gz".into());
        config.authority = Some("/authority".into());
        config.detached = true;
        assert_eq!(Config::parse(config.arguments()), Ok(config));
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (arguments, why) in [
            (&["--state"][..], "daybook edge: --state needs a value"),
            (&[], "daybook edge: --state is missing"),
            (&["--state", "/x", "--http", "80"], "daybook edge: --http: `80` is not an address with a port"),
            (&["--limit", "head=0"], "daybook edge: --limit: `head=0` is not a limit with milliseconds"),
            (&["--stat", "/x"], "daybook edge: unknown argument --stat"),
        ] {
            let error = Config::parse(arguments.iter().map(OsString::from)).unwrap_err();
            assert_eq!(error.to_string(), why);
        }
    }
}
