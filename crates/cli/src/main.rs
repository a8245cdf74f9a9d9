//! The binary `daybook`: every command, and the processes `serve`, `edge`, `shim` and `volume-files`.

mod args;
mod commands;
mod context;
mod encrypted;
mod error;
mod follow;
mod log;
mod manifest;
mod output;
#[cfg(test)]
mod reference;
#[cfg(feature = "kubernetes")]
mod remote;
mod saved_plan;
mod server;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use daybook_api::client::Exit;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // A shim stays small for as long as its replica lives: nothing else is touched before it.
    if arguments.next().is_some_and(|first| first == "shim") {
        return daybook_runtime::process::shim::main(arguments);
    }
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == daybook_runtime::volume_files::COMMAND) {
        return daybook_runtime::volume_files::main(arguments);
    }
    rustls::crypto::ring::default_provider().install_default().expect("nothing else installs a provider");
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "edge") {
        return edge(arguments);
    }
    match args::parse() {
        Ok(cli) => commands::run(cli),
        Err(error) => args::report(&error),
    }
}

/// `daybook edge`: the data plane, which the server starts. Its arguments are no part of the command line
/// that people use.
fn edge(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    log::to_stderr();
    let config = match daybook_edge::Config::parse(arguments) {
        Ok(config) => config,
        Err(error) => {
            output::message(&format!("error: {error}"));
            return ExitCode::from(Exit::Usage.code());
        }
    };
    match daybook_edge::serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::message(&format!("error: {error}"));
            ExitCode::from(Exit::Failed.code())
        }
    }
}
