use clap::Args;
use clap_complete::Shell;
use daybook_api::client::Exit;

use crate::args;
use crate::error::Result;
use crate::output;

/// Print the completions for a shell: `daybook completion bash > /etc/bash_completion.d/daybook`.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(self) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut args::definition(), "daybook", &mut script);
        output::text(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Ok)
    }
}
