//! The `foreign` step: a client in Python, written from `docs/protocol.md` alone, tries everything on the emulator as a program.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::ci::{Outcome, answers};
use crate::workspace::{Workspace, output, run};

/// The account both ends know; it opens nothing but the emulator of this run.
const SECRET_ID: &str = "foreign-id";
const SECRET_KEY: &str = "foreign-key";
const APP_ID: &str = "1250000000";
/// Another key pair of the account, which needs a token.
const TEMPORARY_ID: &str = "foreign-temporary-id";
const TEMPORARY_KEY: &str = "foreign-temporary-key";
const TOKEN: &str = "foreign-token";

pub(crate) fn check(workspace: &Workspace) -> Result<Outcome> {
    if !answers(Command::new("python3").arg("--version")) {
        return Ok(Outcome::Skipped("python3 is not installed".to_owned()));
    }
    let program = build(workspace)?;
    let folder = workspace.root().join("target/foreign");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let emulator = Command::new(program)
        .args(["--listen", "127.0.0.1:0", "--json", "--job-delay", "1s", "--account"])
        .arg(format!("{SECRET_ID}:{SECRET_KEY}:{APP_ID}"))
        .args(["--account", &format!("{TEMPORARY_ID}:{TEMPORARY_KEY}:{APP_ID};token={TOKEN};expires=4000000000")])
        .arg("--data")
        .arg(&folder)
        .stdout(Stdio::piped())
        .spawn()
        .context("the emulator did not start")?;
    let mut emulator = Running(emulator);
    let endpoint = emulator.endpoint()?;
    let mut client = Command::new("python3");
    client.arg(workspace.root().join("tests/foreign/cas_foreign.py"));
    client.args(["--endpoint", &endpoint, "--app-id", APP_ID, "--secret-id", SECRET_ID, "--secret-key", SECRET_KEY]);
    client.args(["--temporary", &format!("{TEMPORARY_ID}:{TEMPORARY_KEY}:{TOKEN}"), "--buckets"]);
    run(&mut client)?;
    Ok(Outcome::Passed)
}

/// Builds the emulator and tells where its program is.
fn build(workspace: &Workspace) -> Result<String> {
    let line = ["build", "--locked", "--package", "cas-emulator", "--bins", "--message-format=json-render-diagnostics"];
    program_in(&output(&mut workspace.cargo(&line))?).context("cargo did not say where it put the emulator")
}

fn program_in(messages: &str) -> Option<String> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| message["executable"].as_str().map(str::to_owned)).next_back()
}

/// The emulator, which ends with the step, however that ends.
struct Running(Child);

impl Running {
    /// Reads the line the emulator prints once it listens.
    fn endpoint(&mut self) -> Result<String> {
        let stdout = self.0.stdout.take().context("the emulator has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(!line.is_empty(), "the emulator ended before it listened");
        let line: Value = serde_json::from_str(&line).with_context(|| format!("the emulator said {line:?}"))?;
        Ok(line["endpoint"].as_str().context("the emulator told no endpoint")?.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // There is nobody to tell; a process that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_last_that_cargo_built() {
        let messages =
            "{\"executable\":null}\nnoise\n{\"executable\":\"/t/cas-emulator\"}\n{\"reason\":\"build-finished\"}\n";
        assert_eq!(program_in(messages).as_deref(), Some("/t/cas-emulator"));
        assert_eq!(program_in("{}"), None);
    }
}
