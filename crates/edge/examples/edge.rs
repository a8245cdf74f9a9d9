//! An edge as a program of its own, for tests: `edge edge --state DIR …`.

use daybook_edge::{Config, serve};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::parse(std::env::args_os().skip(2))?;
    Ok(serve(config)?)
}
