//! The program `cas`: reads the command line, runs the command, and tells how it ended.
//!
//! What can be typed is in `cli.rs`, which service is meant in `config.rs` and `session.rs`, what the commands do in `commands/`, and what
//! failures mean in `exit.rs`. Of the wire this program knows nothing.

mod cli;
mod commands;
mod config;
mod exit;
mod interrupt;
mod local;
mod output;
mod progress;
mod session;
mod units;
mod values;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::cli::{
    ArchiveCommand, Cli, Command, GlobalOptions, JobCommand, MultipartCommand, NotificationCommand, PolicyCommand,
    VaultCommand,
};
use crate::commands::{
    archive, demo, emulator, fetch, inventory, job, multipart, notification, policy, retrieve, sign, tree_hash, upload,
    vault,
};
use crate::config::Settings;
use crate::exit::{Code, Failure, Problem, Report};
use crate::output::Output;
use crate::session::with;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") => {
            return told(&Problem::Usage(error.render().to_string().trim_end().to_owned()).into(), Output::new(true));
        }
        Err(error) => error.exit(),
    };
    let output = Output::new(cli.global.json);
    log_if_asked(&cli.global);
    match on_runtime(run(cli, output)) {
        Ok(()) => Code::Done.into(),
        Err(failure) => told(&failure, output),
    }
}

/// Runs a command to its end. A read of a disk that does not answer keeps nobody from leaving.
fn on_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

/// Tells why a command failed, and gives the exit code for it.
fn told(failure: &Failure, output: Output) -> ExitCode {
    let report = Report::of(failure);
    if !report.is_silent {
        output.failure(&report);
    }
    report.code.into()
}

async fn run(cli: Cli, output: Output) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    let global = &global;
    match command {
        Command::Demo(args) => demo::run(&args, global, output).await,
        Command::Emulator(args) => emulator::run(&args, global, output).await,
        Command::Sign(args) => sign::run(&args, global, output).await,
        Command::TreeHash(args) => tree_hash::run(&args, output),

        Command::Vault(VaultCommand::Create(args)) | Command::OldCreateVault(args) => {
            with(global, output, async |session| vault::create(&args.vault, session, output).await).await
        }
        Command::Vault(VaultCommand::List) | Command::OldListVaults => {
            with(global, output, async |session| vault::list(session, output).await).await
        }
        Command::Vault(VaultCommand::Show(args)) | Command::OldShowVault(args) => {
            with(global, output, async |session| vault::show(&args.vault, session, output).await).await
        }
        Command::Vault(VaultCommand::Delete(args)) | Command::OldDeleteVault(args) => {
            vault::delete(&args, global, output).await
        }

        Command::Upload(args) => upload::run(&args, global, output).await,
        Command::Multipart(MultipartCommand::List(args)) | Command::OldListUploads(args) => {
            with(global, output, async |session| multipart::list(&args.vault, session, output).await).await
        }
        Command::Multipart(MultipartCommand::Show(args)) | Command::OldShowUpload(args) => {
            with(global, output, async |session| multipart::show(&args, session, output).await).await
        }
        Command::Multipart(MultipartCommand::Abort(args)) | Command::OldAbortUpload(args) => {
            with(global, output, async |session| multipart::abort(&args, session, output).await).await
        }
        Command::Archive(ArchiveCommand::Delete(args)) | Command::OldDeleteArchive(args) => {
            archive::delete(&args, global, output).await
        }
        Command::OldRemove(args) => match args.into_delete() {
            Ok(archive) => archive::delete(&archive, global, output).await,
            Err(vault) => vault::delete(&vault, global, output).await,
        },

        Command::Policy(PolicyCommand::Show(args)) => {
            with(global, output, async |session| policy::show(&args.vault, session, output).await).await
        }
        Command::Policy(PolicyCommand::Set(args)) => policy::set(&args, global, output).await,
        Command::Policy(PolicyCommand::Delete(args)) => policy::delete(&args, global, output).await,
        Command::Notification(NotificationCommand::Show(args)) => {
            with(global, output, async |session| notification::show(&args.vault, session, output).await).await
        }
        Command::Notification(NotificationCommand::Set(args)) => {
            with(global, output, async |session| notification::set(&args, session, output).await).await
        }
        Command::Notification(NotificationCommand::Delete(args)) => notification::delete(&args, global, output).await,

        Command::Retrieve(args) => retrieve::run(&args, global, output).await,
        Command::Inventory(args) => {
            with(global, output, async |session| inventory::run(&args, session, output).await).await
        }
        Command::Job(JobCommand::Show(args)) | Command::OldShowJob(args) => {
            with(global, output, async |session| job::show(&args, session, output).await).await
        }
        Command::Job(JobCommand::Wait(args)) => {
            with(global, output, async |session| job::wait(&args, session, output).await).await
        }
        Command::Job(JobCommand::List(args)) | Command::OldListJobs(args) => {
            with(global, output, async |session| job::list(&args, session, output).await).await
        }
        Command::Fetch(args) => fetch::run(&args, global, output).await,
    }
}

/// `CAS_LOG` is a filter as in `debug` or `cas_http=trace`; without it only warnings about credentials are told.
fn log_if_asked(global: &GlobalOptions) {
    let filter = Settings::of_process(global).log_filter();
    if filter.is_none() && global.json {
        return;
    }
    let filter = EnvFilter::new(filter.as_deref().unwrap_or("off,cas_http::credentials=warn"));
    let is_seen = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_seen);
    log.without_time().compact().init();
}
