//! What the environment says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::database::Sales;
use crate::fault::Fault;
use crate::work::Work;

/// Everything that can be set from outside.
pub(crate) struct Settings {
    /// Where `web` listens: `HOST` and `PORT`, `0.0.0.0:8080` by default.
    pub(crate) listen: SocketAddr,
    /// `SHOP_DATA`: the directory of orders and reports, `data` by default.
    pub(crate) data: PathBuf,
    /// `SHOP_VERSION`: what the page looks like, 1 by default.
    pub(crate) version: String,
    /// `SHOP_BUILD`: a label that changes nothing but the configuration.
    pub(crate) build: String,
    /// Which replica this is, for people.
    pub(crate) replica: String,
    /// Which release this replica belongs to, where the runtime says so.
    pub(crate) release: String,
    /// What is broken on purpose, and from when on.
    pub(crate) fault: Fault,
    /// `SHOP_CAPACITY`: how many requests a second this replica answers; what comes beyond is told to come later.
    pub(crate) capacity: Option<u32>,
    /// `SHOP_STOCK`: `HOST:PORT` of another shop that is asked before each answer of the API.
    pub(crate) stock: Option<String>,
    /// `SHOP_DATABASE`: the URL of a PostgreSQL that is asked what was sold, before each answer of the API.
    pub(crate) sales: Option<Sales>,
    /// `SHOP_WORK`: for so many milliseconds each answer of the API needs a processor.
    pub(crate) work: Work,
}

impl Settings {
    /// Reads the environment. Errors name the variable.
    pub(crate) fn from_environment() -> Result<Self, String> {
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let host = variable("HOST").unwrap_or_else(|| "0.0.0.0".to_owned());
        let host = host.parse().map_err(|_| format!("HOST is `{host}`, which is not an IP address"))?;
        let port = variable("PORT").unwrap_or_else(|| "8080".to_owned());
        let port = port.parse().map_err(|_| format!("PORT is `{port}`, which is not a port"))?;
        let after = variable("SHOP_FAULT_AFTER").unwrap_or_else(|| "2".to_owned());
        let after = after.parse().map_err(|_| format!("SHOP_FAULT_AFTER is `{after}`, which is not a number"))?;
        let number =
            |text: String| text.parse().map_err(|_| format!("SHOP_CAPACITY is `{text}`, which is not a number"));
        let capacity = variable("SHOP_CAPACITY").map(number).transpose()?;
        let work = variable("SHOP_WORK").unwrap_or_else(|| "0".to_owned());
        let work = work.parse().map_err(|_| format!("SHOP_WORK is `{work}`, which is not a number"))?;
        let fault = variable("SHOP_FAULT").unwrap_or_else(|| "none".to_owned());
        Ok(Self {
            listen: SocketAddr::new(host, port),
            data: variable("SHOP_DATA").unwrap_or_else(|| "data".to_owned()).into(),
            version: variable("SHOP_VERSION").unwrap_or_else(|| "1".to_owned()),
            build: variable("SHOP_BUILD").unwrap_or_else(|| "0".to_owned()),
            replica: variable("DAYBOOK_REPLICA")
                .or_else(|| variable("HOSTNAME"))
                .unwrap_or_else(|| format!("process {}", std::process::id())),
            release: variable("DAYBOOK_RELEASE").unwrap_or_else(|| "-".to_owned()),
            fault: Fault::new(&fault, Duration::from_secs(after))?,
            capacity,
            stock: variable("SHOP_STOCK"),
            sales: variable("SHOP_DATABASE").as_deref().map(Sales::at),
            work: Work::for_time(Duration::from_millis(work)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_has_defaults_and_names_what_is_wrong() {
        let settings = Settings::read(|_| None).unwrap();
        assert_eq!(settings.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(settings.version, "1");
        let wrong = Settings::read(|name| (name == "PORT").then(|| "http".to_owned()));
        assert_eq!(wrong.err().unwrap(), "PORT is `http`, which is not a port");
        let wrong = Settings::read(|name| (name == "SHOP_FAULT").then(|| "gremlins".to_owned()));
        assert!(wrong.err().unwrap().contains("errors"));
    }
}
