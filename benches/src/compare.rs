//! The peers that figures are compared with. Each is run with its own usual means.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// Runs a program to its end and returns its standard output. Errors carry what it said.
pub async fn output(command: &mut Command) -> Result<String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = output.await.with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        bail!("{program} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program is there and answers to an argument that only prints.
pub async fn is_there(program: &str, argument: &str) -> bool {
    output(Command::new(program).arg(argument)).await.is_ok()
}

/// Builds the shop's image with Docker.
pub async fn build_image(directory: &Path, tag: &str) -> Result<()> {
    output(Command::new("docker").args(["build", "--quiet", "--tag", tag]).arg(directory)).await.map(drop)
}
