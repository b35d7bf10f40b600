//! Kills the emulator over and over, under load and while it starts, and holds what is there afterwards against what was acknowledged.
//!
//! `cargo xtask crash emulator [--kills N] [--seed S]`. Several clients upload archives in one piece and in parts, delete, change vaults and start
//! jobs that read, push and pull, each in vaults of its own, so that each knows exactly what must be there; one request of each may be under way at a kill, and
//! then all of it or none is there. The same seed gives the same requests and the same moments, as far as time repeats itself.
//!
//! A kill takes nothing from the system's memory: what this shows is the order of things. That they are synced is another matter.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "this is a program for one person, who reads what it prints"
)]

mod client;
mod facts;
mod program;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../it/wire.rs"]
mod wire;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cas_emulator::{Account, fsck};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use client::{Client, Load};
use program::{Program, kill_while_starting};

const CLIENTS: usize = 6;

/// After how many milliseconds a kill comes at the latest.
const LONG: u64 = 5000;

/// What a restart may take, from the start of the process to its word that it is well. Of a hundred starts five may take longer: on a machine
/// that is busy with others, any process has to wait now and then.
const START: Duration = Duration::from_secs(1);
const MOST: usize = 95;

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    println!("seed {}: {} kills, {CLIENTS} clients", options.seed, options.kills);
    let directory = tempfile::Builder::new().prefix("cas-crash-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(Story::new(directory.path(), &options)?.tell(options.kills));
    match outcome {
        Ok(summary) => {
            println!("{summary}");
            Ok(())
        }
        Err(error) => {
            let kept = directory.keep();
            let again = format!("again with --kills {} --seed {}", options.kills, options.seed);
            Err(error.context(format!("{again}; the state is kept in {}", kept.display())))
        }
    }
}

/// What the command line says.
struct Options {
    kills: u64,
    seed: u64,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Options { kills: 300, seed: fastrand::u64(..1_000_000) };
        while let Some(name) = arguments.next() {
            let mut number = || {
                let value = arguments.next().with_context(|| format!("{name}: a number is missing"))?;
                value.parse().with_context(|| format!("{name}: expected a number, found {value:?}"))
            };
            match name.as_str() {
                "--kills" => options.kills = number()?,
                "--seed" => options.seed = number()?,
                _ => bail!("there is no option {name:?}; there are --kills and --seed"),
            }
        }
        Ok(options)
    }
}

/// The whole run.
struct Story<'d> {
    directory: &'d Path,
    random: fastrand::Rng,
    clients: Vec<Client>,
    tally: Tally,
}

/// What there is to tell at the end.
#[derive(Default)]
struct Tally {
    /// Kills after some time of load, right after an acknowledgement, and while it started.
    kills: [u64; 3],
    acknowledged: u64,
    doubts: u64,
    done: u64,
    proved: u64,
    checks: u64,
    starts: Vec<Duration>,
}

impl<'d> Story<'d> {
    fn new(directory: &'d Path, options: &Options) -> Result<Self> {
        let mut random = fastrand::Rng::with_seed(options.seed);
        let credentials = Account::default().credentials().clone();
        let clients = (0..CLIENTS).map(|number| Client::new(number, random.u64(..), credentials.clone(), directory));
        let clients = clients.collect::<Result<_>>()?;
        Ok(Story { directory, random, clients, tally: Tally::default() })
    }

    async fn tell(mut self, kills: u64) -> Result<Tally> {
        let mut program = Program::start(self.directory).await?;
        for client in &self.clients {
            client.prepare(&program.address).await?;
        }
        while self.tally.killed() < kills {
            let number = self.tally.killed() + 1;
            program = self.round(program).await.with_context(|| format!("at kill {number}"))?;
        }
        self.clients.iter_mut().for_each(Client::distrust);
        self.look(&program).await?;
        program.end()?;
        let report = fsck(self.directory)?;
        ensure!(report.is_clean() && report.leftovers == 0, "at the end: {report}");
        let most = self.tally.start_of(MOST);
        ensure!(most < START, "{MOST} of 100 starts took up to {most:?}");
        Ok(self.tally)
    }

    /// Load, a kill, a restart, a look.
    async fn round(&mut self, program: Program) -> Result<Program> {
        self.load_and_kill(program).await?;
        // Half of the checks see what the kill has left, the other half what the restart has made of it.
        let check_first = self.random.bool();
        if check_first {
            self.check()?;
        }
        while self.random.u8(..4) == 0 {
            let usual = self.tally.starts.last().copied().unwrap_or(Duration::from_millis(100));
            kill_while_starting(self.directory, usual.mul_f64(self.random.f64())).await?;
            self.tally.kills[2] += 1;
        }
        let program = self.start().await?;
        self.look(&program).await?;
        if check_first {
            return Ok(program);
        }
        program.end()?;
        self.check()?;
        self.start().await
    }

    /// Lets all clients loose, and kills the emulator after some time or right after some acknowledgement.
    async fn load_and_kill(&mut self, program: Program) -> Result<()> {
        let load = if self.random.u8(..3) == 0 { Load::Completes } else { Load::Mixed };
        let (sender, mut acknowledged) = mpsc::unbounded_channel();
        let mut running = JoinSet::new();
        for client in std::mem::take(&mut self.clients) {
            running.spawn(client.run(program.address.clone(), load, sender.clone()));
        }
        drop(sender);
        let after_an_answer = self.random.bool();
        let (most, time) =
            if after_an_answer { (self.random.u64(1..200), LONG) } else { (u64::MAX, self.random.u64(..300)) };
        let mut count = 0;
        let answers = async {
            while count < most && acknowledged.recv().await.is_some() {
                count += 1;
            }
        };
        drop(timeout(Duration::from_millis(time), answers).await);
        program.kill()?;
        self.tally.kills[usize::from(after_an_answer)] += 1;
        self.clients = all(running).await?;
        while acknowledged.recv().await.is_some() {
            count += 1;
        }
        self.tally.acknowledged += count;
        Ok(())
    }

    /// Lets every client compare what it knows with what is there.
    async fn look(&mut self, program: &Program) -> Result<()> {
        let mut looking = JoinSet::new();
        for mut client in std::mem::take(&mut self.clients) {
            let address = program.address.clone();
            looking.spawn(async move { client.look(&address).await.map(|found| (client, found)) });
        }
        for (client, found) in all(looking).await? {
            self.clients.push(client);
            self.tally.doubts += found.doubts;
            self.tally.done += found.done;
            self.tally.proved += found.proved;
        }
        Ok(())
    }

    async fn start(&mut self) -> Result<Program> {
        let program = Program::start(self.directory).await?;
        self.tally.starts.push(program.started_in);
        Ok(program)
    }

    fn check(&mut self) -> Result<()> {
        self.tally.checks += 1;
        program::fsck(self.directory)
    }
}

/// Waits for all of them; the first error ends the rest.
async fn all<T: 'static>(mut tasks: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result??);
    }
    Ok(results)
}

impl Tally {
    fn killed(&self) -> u64 {
        self.kills.iter().sum()
    }

    /// What so many of a hundred starts took at most.
    fn start_of(&self, percent: usize) -> Duration {
        let mut starts = self.starts.clone();
        starts.sort_unstable();
        starts.get((starts.len() * percent / 100).min(starts.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [under_load, after_a_word, starting] = self.kills;
        let Tally { acknowledged, doubts, done, proved, checks, .. } = self;
        let [median, most, slowest] = [50, MOST, 100].map(|percent| self.start_of(percent).as_millis());
        writeln!(f, "kills: {under_load} under load, {after_a_word} right after an answer, {starting} while starting")?;
        writeln!(f, "acknowledged: {acknowledged} requests, nothing lost, nothing deleted came back")?;
        writeln!(f, "under way at a kill: {doubts}, of which {done} had been done and the others not at all")?;
        writeln!(f, "archives read back and hashed: {proved}; fsck: {checks} times, clean")?;
        write!(f, "from start to health: {median} ms (median), {most} ms ({MOST} of 100), {slowest} ms (slowest)")
    }
}
