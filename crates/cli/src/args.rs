//! The command line. One definition feeds the parser, the help, completions, man pages and
//! `docs/reference/cli.md`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum, ValueHint};
use daybook_api::client::Exit;
use daybook_model::{AppName, EnvName, Target};

use crate::commands::Command;

/// Takes a system from plan to production and keeps it there.
#[derive(Debug, Parser)]
#[command(name = "daybook", version, max_term_width = 100, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 ok; 1 failed; 2 changes present (plan, diff); 3 denied; 4 unhealthy and swapped back;
5 locked by another run; 6 interrupted, resumable; 64 usage; 130 left by the user.

Start here:  daybook init    then  daybook up";

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Environment of the app.
    #[arg(short, long, global = true, value_name = "NAME", default_value = "production")]
    pub(crate) env: EnvName,
    /// Manifest; looked for here and in the directories above by default. May be given several times.
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Vec<PathBuf>,
    /// App, where it is not the manifest's own.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) app: Option<AppName>,
    /// Active profile of the manifest, instead of COMPOSE_PROFILES. May be given several times.
    #[arg(long, global = true, value_name = "NAME", value_delimiter = ',')]
    pub(crate) profile: Vec<String>,
    /// Where the environment runs, whatever the manifest says: `process`, `docker`, `kubernetes://CONTEXT`.
    #[arg(id = "place", long = "target", global = true, value_name = "TARGET", env = "DAYBOOK_TARGET")]
    pub(crate) target: Option<Target>,
    /// The server in a cluster, `kubernetes://CONTEXT[/NAMESPACE]`, instead of one of this machine.
    #[cfg(feature = "kubernetes")]
    #[arg(long, global = true, value_name = "CLUSTER", env = "DAYBOOK_SERVER")]
    pub(crate) server: Option<Target>,
    /// State directory of the server.
    #[arg(long, global = true, value_name = "DIR", env = "DAYBOOK_STATE", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// How to print data.
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
    /// Never ask; what needs an answer fails.
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// Answer every yes-or-no question with yes. Names still have to be confirmed.
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Say only what went wrong.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How long to wait for a run, or for a server that starts; the run itself goes on.
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

/// How data is printed. The variants are documented here, so that help stays short: a table for people,
/// one JSON or YAML document, or one JSON object a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
    Jsonl,
}

/// The whole definition.
///
/// `-f` is the manifest everywhere but in `logs` and `events`, where it follows, as it does in
/// Compose; there the manifest is `--file`.
pub(crate) fn definition() -> clap::Command {
    let file = || {
        let help = "Manifest; looked for here and in the directories above by default";
        Arg::new("file").long("file").value_name("FILE").action(ArgAction::Append).help(help).help_heading("Everywhere")
    };
    let file = || file().value_parser(clap::value_parser!(PathBuf)).value_hint(ValueHint::FilePath);
    Cli::command()
        .mut_subcommand("logs", |command| command.arg(file()))
        .mut_subcommand("events", |command| command.arg(file()))
}

/// Reads the process's command line.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    read(std::env::args_os())
}

/// Reads a command line.
pub(crate) fn read<T>(words: impl IntoIterator<Item = T>) -> Result<Cli, clap::Error>
where
    T: Into<std::ffi::OsString> + Clone,
{
    let mut definition = definition();
    let matches = definition.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))
}

/// Prints help, a version or a mistake, and says what to exit with: 64 for a mistake.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    // Nobody can be told that telling failed.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(Exit::Usage.code()),
    }
}

/// Reads `90`, `90s`, `5m`, `1h 30m`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u64>().ok().map(Duration::from_secs);
    let friendly = || {
        let span: jiff::Span = text.parse().ok()?;
        Duration::try_from(span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?).ok()
    };
    seconds.or_else(friendly).ok_or_else(|| "write it as 90s, 5m or 1h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(words: &[&str]) -> Global {
        read(words).unwrap().global
    }

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn global_flags_may_stand_before_and_after_the_command() {
        for words in [["daybook", "-e", "staging", "ps"], ["daybook", "ps", "-e", "staging"]] {
            assert_eq!(global(&words).env.as_str(), "staging");
        }
        assert_eq!(global(&["daybook", "ps"]).env.as_str(), "production");
        assert_eq!(global(&["daybook", "up", "-f", "a.yaml", "-f", "b.yaml"]).file.len(), 2);
    }

    #[test]
    fn f_follows_in_logs_and_events_and_is_the_manifest_before_them() {
        let cli = read(["daybook", "-f", "a.yaml", "logs", "-f", "web"]).unwrap();
        assert_eq!(cli.global.file, [PathBuf::from("a.yaml")]);
        assert!(matches!(cli.command, Command::Logs(logs) if logs.follow && logs.services.len() == 1));
        assert_eq!(global(&["daybook", "events", "-f", "--file", "b.yaml"]).file, [PathBuf::from("b.yaml")]);
    }

    #[test]
    fn r32_names_on_the_command_line_are_checked() {
        assert!(read(["daybook", "-e", "a/../b", "ps"]).is_err());
        assert!(read(["daybook", "why", "$(x)"]).is_err());
        assert!(read(["daybook", "scale", "web=x"]).is_err());
    }

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        assert!(duration("soon").is_err() && duration("-5s").is_err());
    }

    #[test]
    fn a_command_inside_a_replica_keeps_its_own_flags() {
        let cli = read(["daybook", "exec", "web", "ls", "-e", "x", "--help"]).unwrap();
        assert!(matches!(cli.command, Command::Exec(exec) if exec.command == ["ls", "-e", "x", "--help"]));
        assert_eq!(cli.global.env.as_str(), "production");
    }
}
