//! `docs/reference/cli.md`, from the same definition as the parser. Drift fails.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command};

use crate::args;

#[test]
fn the_reference_is_that_of_the_definition() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let wanted = page();
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/reference/cli.md is not up to date: UPDATE_SCHEMAS=1 cargo test -p daybook-cli");
}

fn page() -> String {
    let mut definition = args::definition();
    definition.build();
    let mut out = String::from("# Commands\n\nGenerated from the definitions in `crates/cli`; do not edit.\n\n");
    let _ = writeln!(out, "{}\n", about(&definition));
    let _ =
        writeln!(out, "```text\n{}\n```\n", definition.get_after_help().map(ToString::to_string).unwrap_or_default());
    out.push_str("## Flags of every command\n\n");
    flags(&mut out, definition.get_arguments());
    for command in shown(&definition) {
        section(&mut out, command, 2);
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

fn section(out: &mut String, command: &Command, level: usize) {
    let name = command.get_display_name().unwrap_or(command.get_name()).replace('-', " ");
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = writeln!(out, "{} {name}\n\n{}\n\n```text\n{usage}\n```\n", "#".repeat(level), about(command));
    flags(out, command.get_arguments().filter(|arg| !arg.is_global_set()));
    for command in shown(command) {
        section(out, command, level + 1);
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

fn about(command: &Command) -> String {
    let text = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    if text.ends_with('.') || text.is_empty() { text } else { text + "." }
}

fn flags<'a>(out: &mut String, flags: impl Iterator<Item = &'a Arg>) {
    let mut any = false;
    for arg in flags.filter(|arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version")) {
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let values = |arg: &Arg| {
            let values: Vec<_> = arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
            if values.is_empty() { String::new() } else { format!(" One of: {}.", values.join(", ")) }
        };
        let help = help.trim_end_matches('.');
        let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        let _ = writeln!(out, "- `{short}{arg}`: {help}.{}{}{}", values(arg), default(arg), variable(arg));
        any = true;
    }
    if any {
        out.push('\n');
    }
}

fn default(arg: &Arg) -> String {
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let shown = !values.is_empty() && arg.get_action().takes_values();
    if shown { format!(" Default: `{}`.", values.join(" ")) } else { String::new() }
}

fn variable(arg: &Arg) -> String {
    arg.get_env().map(|name| format!(" Variable: `{}`.", name.to_string_lossy())).unwrap_or_default()
}
