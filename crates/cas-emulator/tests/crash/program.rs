//! The emulator as a process of its own, and how long it takes to start.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cas_emulator::Account;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::wire::{Call, Wire, now};

/// A running emulator. It is killed when the value is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// Where clients find it.
    pub(crate) address: String,
    /// From its start until it said that it is well.
    pub(crate) started_in: Duration,
}

impl Program {
    /// Starts it on a directory and waits until it says that it is well.
    pub(crate) async fn start(directory: &Path) -> Result<Self> {
        let begin = Instant::now();
        let mut child = spawn(directory)?;
        let stdout = child.stdout.take().context("the emulator has no output")?;
        let mut program = Program { child, address: String::new(), started_in: Duration::ZERO };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let line: Value = serde_json::from_str(&line).with_context(|| format!("the emulator said {line:?}"))?;
        let address = |key: &str| {
            let url = line[key].as_str().and_then(|url| url.strip_prefix("http://"));
            url.map(str::to_owned).with_context(|| format!("the emulator did not tell its {key}"))
        };
        program.address = address("endpoint")?;
        let admin = TcpStream::connect(address("admin")?).await?;
        let mut admin = Wire::signed(admin, Account::default().credentials().clone(), now());
        let health = admin.send_unsigned(Call::new("GET", "/health")).await;
        ensure!(health.status == 200, "the emulator is not well: {health:?}");
        program.started_in = begin.elapsed();
        Ok(program)
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        let status = self.child.wait()?;
        ensure!(status.code().is_none(), "the emulator had ended by itself: {status}");
        Ok(())
    }

    /// Lets it end cleanly.
    pub(crate) fn end(mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the emulator did not end cleanly: {status}");
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // There is nobody to tell; a process that has ended already is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts it, and kills it after so long, whatever it is at.
pub(crate) async fn kill_while_starting(directory: &Path, after: Duration) -> Result<()> {
    let mut child = spawn(directory)?;
    let nothing = std::future::pending::<()>();
    drop(tokio::time::timeout(after, nothing).await);
    child.kill()?;
    let status = child.wait()?;
    ensure!(status.code().is_none(), "the emulator could not start: {status}");
    Ok(())
}

/// Runs the check of a directory, which must find nothing.
pub(crate) fn fsck(directory: &Path) -> Result<()> {
    let output = Command::new(PROGRAM).arg("fsck").arg("--data").arg(directory).output()?;
    let (report, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "fsck found:\n{report}{error}");
    Ok(())
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_cas-emulator");

fn spawn(directory: &Path) -> Result<Child> {
    let mut command = Command::new(PROGRAM);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json", "--data"]).arg(directory);
    command.env_remove("CAS_EMULATOR_ACCOUNTS").stdout(Stdio::piped()).spawn().context("the emulator cannot be run")
}
