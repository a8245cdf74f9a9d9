//! What the contract tests of the process runtime use in place of `daybook`: its shim, and a server that
//! does nothing but start one replica.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use daybook_runtime::Runtime;
use daybook_runtime::process::{Config, ProcessRuntime, shim};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == "shim" => shim::main(arguments),
        Some(first) if first == "serve" => serve(PathBuf::from(arguments.next().expect("a state directory"))),
        _ => ExitCode::from(64),
    }
}

/// Starts the replica whose launch comes on standard input, says so, and waits to be killed.
fn serve(state: PathBuf) -> ExitCode {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("a launch on standard input");
    let launch = serde_json::from_str(&text).expect("a launch on standard input");
    let exe = std::env::current_exe().expect("this program has a path").display().to_string();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime for tasks");
    runtime.block_on(async {
        let processes = ProcessRuntime::new(Config { state, shim: vec![exe, "shim".to_owned()] });
        processes.expect("the state directory can be used").start(&launch).await.expect("the replica starts");
        eprintln!("started");
        std::future::pending::<ExitCode>().await
    })
}
