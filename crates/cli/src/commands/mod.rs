//! One file for each command.

mod alert;
mod apply;
mod approve;
#[cfg(feature = "databases")]
mod backup;
mod carry;
mod channel;
mod completion;
mod cost;
mod dashboard;
#[cfg(feature = "databases")]
mod db;
mod diagram;
mod dial;
mod doctor;
mod dossier;
mod down;
mod env;
mod events;
mod exec;
mod explain;
#[cfg(feature = "kubernetes")]
mod export;
mod fleet;
mod history;
mod import;
mod incident;
mod init;
mod journal;
mod logs;
mod maintenance;
mod man;
mod oncall;
mod open;
mod plan;
mod policy;
mod ps;
mod pulse;
mod query;
mod restart;
mod resume;
mod rollback;
mod run;
mod scale;
mod secret;
mod serve;
mod silence;
mod start;
#[cfg(feature = "databases")]
mod state;
mod status;
mod stop;
mod target;
mod top;
mod trace;
#[cfg(feature = "tui")]
mod ui;
mod up;
mod validate;
mod version;
mod why;

use std::process::ExitCode;

use clap::Subcommand;
use daybook_api::client::Exit;

use crate::args::Cli;
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::message;
use crate::output::style::{BAD, DIM, STRONG, paint};

/// Every command, in the order of a system's life.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Init),
    Import(import::Import),
    #[cfg(feature = "kubernetes")]
    Export(export::Export),
    Serve(Box<serve::Serve>),
    Validate(validate::Validate),
    Plan(plan::Plan),
    Diff(plan::Diff),
    Cost(cost::Cost),
    Policy(policy::Policy),
    Diagram(diagram::Diagram),
    Docs(dossier::Docs),
    Up(up::Up),
    Apply(apply::Apply),
    Approve(approve::Approve),
    Rollback(rollback::Rollback),
    Scale(scale::Scale),
    Restart(restart::Restart),
    Stop(stop::Stop),
    Start(start::Start),
    Down(down::Down),
    Resume(resume::Resume),
    Ps(ps::Ps),
    Status(status::Status),
    Logs(logs::Logs),
    Top(top::Top),
    Query(query::Query),
    Dashboard(dashboard::Dashboard),
    #[cfg(feature = "tui")]
    Ui(ui::Ui),
    Trace(trace::Trace),
    Alert(alert::Alert),
    Silence(silence::Silence),
    Maintenance(maintenance::Maintenance),
    #[command(name = "oncall")]
    OnCall(oncall::OnCall),
    Incident(incident::Incident),
    Channel(channel::Channel),
    Events(events::Events),
    Why(why::Why),
    History(history::History),
    Open(open::Open),
    Exec(exec::Exec),
    Run(run::Run),
    #[cfg(feature = "databases")]
    Db(db::Db),
    #[cfg(feature = "databases")]
    Backup(backup::Backup),
    Env(env::Env),
    Secret(secret::Secret),
    Target(target::Target),
    #[cfg(feature = "databases")]
    State(state::State),
    Doctor(doctor::Doctor),
    #[command(hide = true)]
    Dial(dial::Dial),
    Explain(explain::Explain),
    Journal(journal::Journal),
    Completion(completion::Completion),
    Man(man::Man),
    Version(version::Version),
}

/// Carries a command out and says what the process exits with.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let verbose = cli.global.verbose > 0;
    match carry_out(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report(&error, verbose);
            ExitCode::from(error.exit.code())
        }
    }
}

fn carry_out(cli: Cli) -> Result<u8> {
    let ctx = Ctx::new(cli.global)?;
    let mut builder = match cli.command {
        Command::Serve(_) => {
            crate::log::to_stderr();
            tokio::runtime::Builder::new_multi_thread()
        }
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().map_err(|error| CommandError::io("start", &error))?;
    let code = runtime.block_on(dispatch(&ctx, cli.command));
    // A thread that waits for standard input must not keep the process.
    runtime.shutdown_background();
    code
}

/// The code that the process exits with: ours, or that of a command inside a replica.
async fn dispatch(ctx: &Ctx, command: Command) -> Result<u8> {
    let exit = match command {
        Command::Init(command) => command.run(ctx)?,
        Command::Import(command) => command.run(ctx)?,
        #[cfg(feature = "kubernetes")]
        Command::Export(command) => command.run(ctx).await?,
        Command::Serve(command) => command.run(ctx).await?,
        Command::Validate(command) => command.run(ctx)?,
        Command::Plan(command) => command.run(ctx).await?,
        Command::Diff(command) => command.run(ctx).await?,
        Command::Cost(command) => command.run(ctx)?,
        Command::Policy(command) => command.run(ctx)?,
        Command::Diagram(command) => command.run(ctx).await?,
        Command::Docs(command) => command.run(ctx)?,
        Command::Up(command) => command.run(ctx).await?,
        Command::Apply(command) => command.run(ctx).await?,
        Command::Approve(command) => command.run(ctx).await?,
        Command::Rollback(command) => command.run(ctx).await?,
        Command::Scale(command) => command.run(ctx).await?,
        Command::Restart(command) => command.run(ctx).await?,
        Command::Stop(command) => command.run(ctx).await?,
        Command::Start(command) => command.run(ctx).await?,
        Command::Down(command) => command.run(ctx).await?,
        Command::Resume(command) => command.run(ctx).await?,
        Command::Ps(command) => command.run(ctx).await?,
        Command::Status(command) => command.run(ctx).await?,
        Command::Logs(command) => command.run(ctx).await?,
        Command::Top(command) => command.run(ctx).await?,
        Command::Query(command) => command.run(ctx).await?,
        Command::Dashboard(command) => command.run(ctx).await?,
        #[cfg(feature = "tui")]
        Command::Ui(command) => command.run(ctx).await?,
        Command::Trace(command) => command.run(ctx).await?,
        Command::Alert(command) => command.run(ctx).await?,
        Command::Silence(command) => command.run(ctx).await?,
        Command::Maintenance(command) => command.run(ctx).await?,
        Command::OnCall(command) => command.run(ctx).await?,
        Command::Incident(command) => command.run(ctx).await?,
        Command::Channel(command) => command.run(ctx).await?,
        Command::Events(command) => command.run(ctx).await?,
        Command::Why(command) => command.run(ctx).await?,
        Command::History(command) => command.run(ctx).await?,
        Command::Open(command) => command.run(ctx).await?,
        Command::Exec(command) => return command.run(ctx).await,
        Command::Run(command) => return command.run(ctx).await,
        #[cfg(feature = "databases")]
        Command::Db(command) => return command.run(ctx).await,
        #[cfg(feature = "databases")]
        Command::Backup(command) => command.run(ctx).await?,
        Command::Env(command) => command.run(ctx).await?,
        Command::Secret(command) => command.run(ctx).await?,
        Command::Target(command) => command.run(ctx).await?,
        #[cfg(feature = "databases")]
        Command::State(command) => command.run(ctx).await?,
        Command::Doctor(command) => command.run(ctx).await?,
        Command::Dial(command) => match command.run(ctx)? {},
        Command::Explain(command) => command.run()?,
        Command::Journal(command) => command.run(ctx).await?,
        Command::Completion(command) => command.run()?,
        Command::Man(command) => command.run(ctx)?,
        Command::Version(command) => command.run(ctx).await?,
    };
    Ok(exit.code())
}

/// Tells a person why a command failed.
fn report(error: &CommandError, verbose: bool) {
    for diagnostic in &error.diagnostics {
        message(diagnostic);
    }
    if !error.message.is_empty() {
        message(&format!("{} {}", paint(BAD, "error:"), paint(STRONG, &error.message)));
    }
    if let Some(hint) = &error.hint {
        message(&format!("  {hint}"));
    }
    if verbose && error.exit != Exit::Ok {
        message(&paint(DIM, format!("  exit {}", error.exit.code())));
    }
}
