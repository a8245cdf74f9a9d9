use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use daybook_api::client::Exit;

use crate::args;
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output;

/// Print the manual page, or write the pages of all commands.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write `daybook.1`, `daybook-up.1` and so on here, instead of printing the first.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, ctx: &Ctx) -> Result<Exit> {
        let mut definition = args::definition();
        definition.build();
        let Some(dir) = &self.dir else {
            output::text(&page(&definition)?)?;
            return Ok(Exit::Ok);
        };
        let mut pages = 0;
        write(dir, &definition, &mut pages)?;
        ctx.say(&format!("wrote {pages} pages to {}", dir.display()));
        Ok(Exit::Ok)
    }
}

/// Writes the page of `command`, and those of its subcommands.
fn write(dir: &Path, command: &clap::Command, pages: &mut usize) -> Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = dir.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?)
        .map_err(|error| CommandError::io(format_args!("write {}", path.display()), &error))?;
    *pages += 1;
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        write(dir, command, pages)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| CommandError::io("make the manual page", &error))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        let mut definition = args::definition();
        definition.build();
        let mut pages = 0;
        write(dir.path(), &definition, &mut pages).unwrap();
        assert!(pages > 30);
        assert!(std::fs::read_to_string(dir.path().join("daybook-secret-set.1")).unwrap().contains("standard input"));
    }
}
