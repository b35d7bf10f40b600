//! The program `cas-emulator`: the library with a command line around it.

use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use cas_emulator::{Account, Builder, Clock, Emulator, JobDelay, Limits, Tolerance, fsck};
use clap::{ArgAction, Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// A local server that speaks the protocol of Tencent Cloud Archive Storage (CAS).
///
/// Prints one line on standard output once it can be used, and ends cleanly on SIGTERM and SIGINT. Log lines go to standard error; how many is
/// decided by the environment variable CAS_LOG (error, warn, info, debug).
#[derive(Debug, Parser)]
#[command(name = "cas-emulator", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

/// The environment variable with the accounts.
const ACCOUNTS: &str = "CAS_EMULATOR_ACCOUNTS";

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks everything in a data directory that no emulator uses: every byte against its hashes.
    Fsck {
        /// The directory.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// The address and port to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9580")]
    listen: String,
    /// Opens the admin endpoint on this loopback address: health, counters, clock, faults, seed and reset for tests in any language.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// The directory of the state, made if it is not there. Without it the state is temporary and gone at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A key pair and the account it belongs to. May be given several times; in the environment, with commas between them.
    #[arg(
        long = "account",
        value_name = "SECRET_ID:SECRET_KEY:APPID",
        env = ACCOUNTS,
        hide_env_values = true,
        value_delimiter = ','
    )]
    accounts: Vec<String>,
    /// How long jobs take: a time such as 0s, 500ms, 3m or 4h, or `tier` for as long as the service takes.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    job_delay: JobDelay,
    /// Lets the service's time run this many times as fast as real time. Signatures are checked against real time.
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    time_scale: NonZeroU32,
    /// The region in the names of vaults.
    #[arg(long, value_name = "REGION", default_value = "ap-chengdu")]
    region: String,
    /// Tells the totals of vaults as they are, rather than as of the last daily inventory.
    #[arg(long)]
    live_totals: bool,
    /// The directory of the stand-in for COS. Without it, `cos` below the directory of the state.
    #[arg(long, value_name = "DIR")]
    cos: Option<PathBuf>,
    /// Reports finished jobs to addresses on this host, a name or an address without a port. May be given several times; without it nothing is
    /// reported.
    #[arg(long, value_name = "HOST")]
    notify: Vec<String>,
    /// Turns off tolerances: these, by number, or all.
    #[arg(
        long,
        value_name = "NUMBERS",
        num_args = 0..=1,
        require_equals = true,
        value_delimiter = ',',
        action = ArgAction::Set
    )]
    strict: Option<Vec<u8>>,
    /// Prints the tolerances and ends.
    #[arg(long)]
    list_tolerances: bool,
    /// Makes identifiers and chance repeat from run to run.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Allows to listen on an address that other machines can reach.
    #[arg(long)]
    allow_remote: bool,
    /// Prints the line as a JSON object.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("CAS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Some(Command::Fsck { data }) => {
            let report = fsck(data)?;
            show(&report.to_string())?;
            Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        None if cli.serve.list_tolerances => {
            for tolerance in Tolerance::all() {
                let kept = if tolerance.is_optional() { "" } else { " (always kept)" };
                show(&format!("{:>2}  {}, for {}{kept}", tolerance.number, tolerance.what, tolerance.why))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        None => {
            #[cfg(unix)]
            raise_descriptor_limit();
            let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(64).enable_all().build()?;
            let served = runtime.block_on(serve(cli.serve));
            // A job that copies is not waited for: the next start begins it anew.
            runtime.shutdown_background();
            served.map(|()| ExitCode::SUCCESS)
        }
    }
}

/// Takes as many descriptors as a full house needs: an upload holds its connection and its file, the latter twice while it is synced, and the
/// database has some. Systems give 1024 and let a program ask for more.
#[cfg(unix)]
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = 3 * Limits::default().connections as u64 + 256;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let (Some(allowed), wanted) = (current, maximum.map_or(needed, |maximum| maximum.min(needed))) else { return };
    if allowed < wanted
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::warn!(%error, allowed, wanted, "the number of open files could not be raised");
    } else if wanted < needed {
        tracing::warn!(wanted, needed, "few files may be open, so uploads may fail when there are many at once");
    }
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    // From here on a signal is waited for, so that one that comes early is not lost.
    let mut signals = Signals::listen().context("signals cannot be received")?;
    let json = options.json;
    let emulator = builder(options)?.start().await?;
    say(&if json { json_line(&emulator) } else { line(&emulator) }).context(UNWRITABLE)?;
    signals.wait().await;
    emulator.shutdown().await?;
    Ok(())
}

fn builder(options: Serve) -> anyhow::Result<Builder> {
    let mut builder = Emulator::builder()
        .listen(options.listen)
        .allow_remote(options.allow_remote)
        .job_delay(options.job_delay)
        .clock(Clock::scaled(options.time_scale))
        .region(options.region)
        .live_totals(options.live_totals)
        .notify(options.notify);
    // A variable that is set to nothing, as scripts do, is no account.
    let none = options.accounts == [""] && std::env::var_os(ACCOUNTS).is_some_and(|accounts| accounts.is_empty());
    for account in options.accounts.into_iter().filter(|_| !none) {
        // The text is not repeated in any message: it holds a secret.
        builder = builder.account(account.parse::<Account>()?);
    }
    if let Some(admin) = options.admin {
        builder = builder.admin(admin);
    }
    if let Some(data) = options.data {
        builder = builder.data_dir(data);
    }
    if let Some(cos) = options.cos {
        builder = builder.cos_dir(cos);
    }
    if let Some(seed) = options.seed {
        builder = builder.seed(seed);
    }
    Ok(match options.strict {
        None => builder,
        Some(numbers) if numbers.is_empty() => builder.strict(),
        Some(numbers) => builder.refuse(numbers),
    })
}

fn line(emulator: &Emulator) -> String {
    let (endpoint, app_id, id) = (emulator.endpoint(), emulator.app_id(), emulator.secret_id());
    let admin = emulator.admin_endpoint().map(|admin| format!(", admin on {admin}")).unwrap_or_default();
    let data = emulator.data_dir().display();
    format!("cas-emulator listens on {endpoint} for account {app_id}, secret id {id}, state in {data}{admin}")
}

fn json_line(emulator: &Emulator) -> String {
    let text = |text: &str| serde_json::Value::from(text);
    let (endpoint, app_id) = (text(emulator.endpoint()), text(&emulator.app_id().to_string()));
    let admin = emulator.admin_endpoint().map(|admin| format!(r#","admin":{}"#, text(admin))).unwrap_or_default();
    format!(r#"{{"endpoint":{endpoint},"app_id":{app_id},"secret_id":{}{admin}}}"#, text(emulator.secret_id()))
}

const UNWRITABLE: &str = "standard output cannot be written";

fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// Says what somebody may read only the beginning of.
fn show(text: &str) -> anyhow::Result<()> {
    match say(text) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        said => said.context(UNWRITABLE),
    }
}

fn complain(text: &str) {
    // There is no other place left to say it.
    drop(writeln!(std::io::stderr(), "cas-emulator: {text}"));
}

/// The signals that ask the program to end.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The signals that ask the program to end.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Signals)
    }

    async fn wait(&mut self) {
        drop(tokio::signal::ctrl_c().await);
    }
}
