use clap::{Args, Subcommand};
use daybook_api::client::Exit;
use daybook_api::journal::JournalVerified;

use crate::context::Ctx;
use crate::error::Result;
use crate::output::style::{BAD, GOOD, paint};
use crate::output::words;

/// Check the journal.
#[derive(Debug, Args)]
pub(crate) struct Journal {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check every entry's hash and the chain they form; name the first bad one.
    Verify,
}

impl Journal {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let Action::Verify = self.action;
        let verified = ctx.client().await?.verify_journal().await?;
        ctx.data(&verified, render)?;
        Ok(if verified.damaged.is_some() { Exit::Failed } else { Exit::Ok })
    }
}

fn render(verified: &JournalVerified) -> String {
    let entries = match verified.entries {
        1 => "1 entry".to_owned(),
        entries => format!("{} entries", words::count(entries)),
    };
    match &verified.damaged {
        Some(damaged) => format!(
            "{} entry {} is damaged: {}.  The {entries} before it are whole.\n",
            paint(BAD, "✗"),
            damaged.seq,
            damaged.why.trim_end_matches('.')
        ),
        None => {
            let head = verified.head.as_ref().map(|head| format!("  The last is {head}.")).unwrap_or_default();
            format!("{} {entries}, unbroken.{head}\n", paint(GOOD, "✓"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn r11_the_first_bad_entry_is_named() {
        let damaged: JournalVerified =
            serde_json::from_str(r#"{"entries": 11, "damaged": {"seq": 12, "why": "its hash does not match"}}"#)
                .unwrap();
        let shown = "✗ entry 12 is damaged: its hash does not match.  The 11 entries before it are whole.\n";
        assert_eq!(plain(&render(&damaged)), shown);
        let whole: JournalVerified = serde_json::from_str(r#"{"entries": 1, "head": "sha256:ab"}"#).unwrap();
        assert_eq!(plain(&render(&whole)), "✓ 1 entry, unbroken.  The last is sha256:ab.\n");
    }
}
