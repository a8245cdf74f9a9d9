use clap::Args;
use daybook_api::client::Exit;

use crate::error::Result;

/// Explain a diagnostic's code: what it means, an example, and how to fix it.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The code, such as M0107.
    #[arg(value_name = "CODE")]
    code: String,
}

impl Explain {
    pub(crate) fn run(self) -> Result<Exit> {
        let _ = self.code;
        Ok(Exit::Ok)
    }
}
