//! The example system: a stationery shop with a web page, a worker, a report and a migration.
//!
//! It is small on purpose: threads and the standard library, one binary, state in one directory. It
//! behaves as a program under Daybook should: it listens where `PORT` says, answers `/healthz`, and
//! ends cleanly on SIGTERM. `SHOP_FAULT` breaks it in known ways.

mod catalogue;
mod database;
mod events;
mod fault;
mod http;
mod limits;
mod orders;
mod page;
mod routes;
mod served;
mod server;
mod settings;
mod sha1;
mod tasks;
mod websocket;
mod work;

use std::io::Write as _;
use std::process::ExitCode;

use settings::Settings;

const USAGE: &str = "usage: shop web|worker|report|migrate";

fn main() -> ExitCode {
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(why) => return fail(&why, 64),
    };
    let result = match std::env::args().nth(1).as_deref() {
        Some("web") => server::run(settings),
        Some("worker") => tasks::work(&settings),
        Some("report") => tasks::report(&settings),
        Some("migrate") => tasks::migrate(&settings),
        _ => return fail(USAGE, 64),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), 1),
    }
}

/// Prints one line of a program's life to standard output.
fn say(line: &str) {
    // A closed standard output is no reason to stop serving.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn fail(why: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "shop: {why}");
    ExitCode::from(code)
}
