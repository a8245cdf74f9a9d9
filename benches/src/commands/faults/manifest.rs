//! The shop as it is before a fault, and with it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Another app, which takes all processors that it gets.
pub(super) const NEIGHBOUR: &str = "films";

/// Its manifest. It bounds nothing, as manifests do that nobody has thought about.
pub(super) fn neighbour(context: &Path) -> String {
    format!(
        "app: {NEIGHBOUR}\nservices:\n  render:\n    build: {}\n    command: [bin/shop, web]\n    port: 8080\n    \
         environment: {{SHOP_FAULT: busy, SHOP_FAULT_AFTER: \"15\"}}\n    scale: 4\n    rollout: {{probation: 2s}}\n",
        context.display()
    )
}

/// A shop of a name of its own. Its manifest is what `Display` writes.
#[derive(Debug, Clone)]
pub(super) struct Shop {
    /// Its application, and the first label of its host.
    pub(super) app: String,
    /// What is built: a directory with `bin/shop`.
    pub(super) context: PathBuf,
    /// Variables of `web`.
    pub(super) web: Vec<(&'static str, &'static str)>,
    /// Replicas of `web`.
    pub(super) scale: u32,
    /// Variables of `stock`, which `web` asks before each answer; `None`: there is none.
    pub(super) stock: Option<Vec<(&'static str, &'static str)>>,
    /// What the worker runs.
    pub(super) worker: Option<&'static str>,
    /// A job: when, and what.
    pub(super) job: Option<(String, &'static str)>,
    /// Whether there is a PostgreSQL.
    pub(super) database: bool,
    /// Its migrations: files and their texts. Where there are some, `web` asks it before each answer.
    pub(super) migrations: Vec<(&'static str, &'static str)>,
    /// Processors that a replica may use.
    pub(super) cpu: &'static str,
    /// Files of the certificate and of its key.
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
    /// How long each new version is watched.
    pub(super) probation: &'static str,
}

impl Shop {
    /// One that works: two replicas of `web`, and nothing else.
    pub(super) fn new(app: &str, context: PathBuf) -> Self {
        Self {
            app: app.to_owned(),
            context,
            web: Vec::new(),
            scale: 2,
            stock: None,
            worker: None,
            job: None,
            database: false,
            migrations: Vec::new(),
            cpu: "500m",
            certificate: None,
            probation: "2s",
        }
    }

    /// Its public name.
    pub(super) fn host(&self) -> String {
        format!("{}.localhost", self.app)
    }

    fn service(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        command: &str,
        variables: &[(&'static str, &'static str)],
    ) -> fmt::Result {
        writeln!(f, "  {name}:\n    build: {}\n    command: {command}", self.context.display())?;
        writeln!(f, "    environment:\n      SHOP_DATA: data")?;
        for (variable, value) in variables {
            writeln!(f, "      {variable}: \"{value}\"")?;
        }
        writeln!(f, "    resources: {{cpu: {}, memory: 96Mi}}", self.cpu)?;
        writeln!(f, "    rollout: {{probation: {}, drain: 1s}}", self.probation)
    }
}

impl fmt::Display for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "app: {}\nservices:", self.app)?;
        let mut web = self.web.clone();
        if self.stock.is_some() {
            web.push(("SHOP_STOCK", "${stock.host}:${stock.port}"));
        }
        if !self.migrations.is_empty() {
            web.push(("SHOP_DATABASE", "${db.url}"));
        }
        self.service(f, "web", "[bin/shop, web]", &web)?;
        let tls = match &self.certificate {
            Some((cert, key)) => format!("{{cert: {}, key: {}}}", cert.display(), key.display()),
            None => "false".to_owned(),
        };
        writeln!(f, "    port: 8080\n    domain: {{host: {}, tls: {tls}}}", self.host())?;
        writeln!(f, "    healthcheck: /healthz\n    release: [bin/shop, migrate]")?;
        writeln!(f, "    scale: {}\n    volumes: [orders:/data]", self.scale)?;
        if let Some(stock) = &self.stock {
            self.service(f, "stock", "[bin/shop, web]", stock)?;
            writeln!(f, "    port: 8080\n    healthcheck: /healthz")?;
        }
        if let Some(command) = self.worker {
            self.service(f, "worker", command, &[])?;
            writeln!(f, "    volumes: [orders:/data]")?;
        }
        if let Some((when, command)) = &self.job {
            self.service(f, "sweep", command, &[])?;
            writeln!(f, "    schedule: \"{when}\"\n    volumes: [orders:/data]")?;
        }
        if self.database {
            let asked =
                if self.migrations.is_empty() { "" } else { ", migrations: ./migrations, resources: {cpu: 500m}" };
            writeln!(f, "databases:\n  db: {{engine: postgres:15{asked}}}")?;
        }
        writeln!(f, "volumes: {{orders: {{shared: true}}}}")
    }
}
