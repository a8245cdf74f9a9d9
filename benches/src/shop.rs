//! The example shop, as the benchmarks deploy it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::load::{Class, Report, get};

/// Its public name in the manifest.
pub const HOST: &str = "shop.localhost";

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the repository").to_owned()
}

/// The shop's directory. Its binary must have been built (`make shop`).
pub fn directory() -> Result<PathBuf> {
    let directory = root().join("examples/shop");
    if !directory.join("bin/shop").is_file() {
        bail!("examples/shop/bin/shop is not there: run `make shop`");
    }
    Ok(directory)
}

/// An address of this machine that nobody listens on now.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").context("find a free port")?.local_addr()?)
}

/// Writes the shop's manifest under another name, so that it stands beside a shop that somebody else runs. Its path,
/// and its host.
pub fn manifest_as(app: &str, directory: &Path) -> Result<(PathBuf, String)> {
    let context = self::directory()?;
    let host = format!("{app}.localhost");
    let text = std::fs::read_to_string(context.join("daybook.yaml")).context("read the shop's manifest")?;
    let text = text.replace("app: shop", &format!("app: {app}")).replace(HOST, &host);
    let text = text.replace("build: .", &format!("build: {}", context.display()));
    let path = directory.join("daybook.yaml");
    std::fs::write(&path, text).context("write the shop's manifest")?;
    Ok((path, host))
}

/// What the shop counted, over all replicas that ever were.
pub async fn served(address: SocketAddr, host: &str) -> Result<Value> {
    // Replicas save their counts twice a second.
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    let reply = get(address, host, "/api/served").await.map_err(anyhow::Error::msg)?;
    Ok(reply.json())
}

/// Compares both ends: everything that was answered here must have been served there, between two
/// readings, and no upload twice. Returns how many were served more often than they were answered, by class.
pub fn reconcile(report: &Report, before: &Value, after: &Value) -> Result<BTreeMap<&'static str, u64>> {
    let served = |class: &str| {
        let [before, after] = [before, after].map(|counts| counts[class].as_u64().unwrap_or(0));
        after.saturating_sub(before)
    };
    let answered = |classes: &[Class]| classes.iter().map(|class| report.class(*class).answered).sum::<u64>();
    let pairs = [
        ("echo", answered(&[Class::Keepalive, Class::Connect, Class::Http2])),
        ("upload", answered(&[Class::Upload])),
        ("stream", answered(&[Class::Stream])),
        ("websocket", answered(&[Class::Websocket])),
    ];
    let mut repeated = BTreeMap::new();
    for (class, answered) in pairs {
        let Some(more) = served(class).checked_sub(answered) else {
            bail!("{answered} answers of {class} came, {} were given", served(class));
        };
        repeated.insert(class, more);
    }
    if repeated["upload"] > report.class(Class::Upload).failed {
        bail!("{} uploads were served twice", repeated["upload"]);
    }
    Ok(repeated)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_that_nobody_gave_is_found() {
        let mut report = Report::default();
        report.classes.entry(Class::Connect).or_default().answered = 5;
        assert_eq!(reconcile(&report, &json!({"echo": 1}), &json!({"echo": 8})).unwrap()["echo"], 2);
        assert!(reconcile(&report, &json!({"echo": 4}), &json!({"echo": 8})).is_err());
        assert!(
            reconcile(&report, &json!({}), &json!({"echo": 5, "upload": 1})).is_err(),
            "an upload is never repeated"
        );
    }
}
