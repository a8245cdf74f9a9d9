use std::process::{Command, Stdio};

use clap::Args;
use daybook_api::client::Exit;
use daybook_api::status::{ServiceView, StatusView};
use daybook_model::ServiceName;

use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output;

/// Open a service in the browser, and print where it is.
#[derive(Debug, Args)]
pub(crate) struct Open {
    /// The service; the first that is reached from outside by default.
    #[arg(value_name = "SERVICE")]
    service: Option<ServiceName>,
    /// The status page.
    #[arg(long, conflicts_with = "service")]
    status: bool,
}

impl Open {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        let status = ctx.client().await?.status(&key).await?;
        let url = if self.status { page(&status)? } else { url(&status, self.service.as_ref())? };
        output::text(&format!("{url}\n"))?;
        if ctx.may_ask() {
            show(&url);
        }
        Ok(Exit::Ok)
    }
}

fn is_page(service: &ServiceView) -> bool {
    service.kind == "status_page"
}

fn page(status: &StatusView) -> Result<String> {
    status_pages(status).into_iter().next().ok_or_else(|| {
        CommandError::failed(format!("{} has no status page that is reached from outside", status.key))
            .hint("add a service with `status_page` and a `domain`")
    })
}

fn url(status: &StatusView, service: Option<&ServiceName>) -> Result<String> {
    let is_meant = |one: &&ServiceView| service.map_or(!is_page(one), |wanted| wanted.as_str() == one.name);
    let mut known = status.services.iter().filter(is_meant).peekable();
    if let (Some(service), None) = (service, known.peek()) {
        return Err(CommandError::failed(format!("{} has no service called {service}", status.key)));
    }
    known.flat_map(|one| one.urls.first()).next().cloned().ok_or_else(|| {
        let what = service.map_or(format!("no service of {}", status.key), |name| format!("{name} of {}", status.key));
        CommandError::failed(format!("{what} is not reached from outside"))
            .hint("give it a `domain` or a published port")
    })
}

/// Where the public reads how the system does.
pub(crate) fn status_pages(status: &StatusView) -> Vec<String> {
    let pages = status.services.iter().filter(|one| is_page(one));
    pages.flat_map(|one| one.urls.clone()).collect()
}

/// Asks the desktop to show `url`, where there is one. It has been printed: failing is fine.
fn show(url: &str) {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if desktop || cfg!(target_os = "macos") {
        let null = Stdio::null;
        let _ = Command::new(program).arg(url).stdin(null()).stdout(null()).stderr(null()).spawn();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::tests::status;

    #[test]
    fn the_first_service_with_an_address_is_opened() {
        let url = |name: Option<&str>| url(&status(), name.map(|name| name.parse().unwrap()).as_ref());
        assert_eq!(url(None).unwrap(), "https://shop.example.com");
        assert!(page(&status()).is_err());
        assert_eq!(url(Some("docs")).unwrap(), "https://docs.example.com");
        assert_eq!(url(Some("worker")).unwrap_err().message, "worker of shop/production is not reached from outside");
        assert_eq!(url(Some("nope")).unwrap_err().message, "shop/production has no service called nope");
    }
}
