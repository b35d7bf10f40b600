//! `cargo xtask crash`: kills a program over and over and looks at what survives. What is done to it is in its crate's `tests/crash`.

use anyhow::{Result, bail};

use crate::Task;
use crate::ci::Outcome;
use crate::workspace::{Workspace, run};

pub(crate) const TASK: Task = Task {
    name: "crash",
    arguments: "emulator [--kills N] [--seed S]",
    about: "Kills a program under load, again and again, and looks for everything it had acknowledged.",
    details: || {
        vec![(
            EMULATOR.to_owned(),
            "The emulator: 300 kills unless told otherwise; prints the seed to repeat them.".to_owned(),
        )]
    },
    run: crash,
};

const EMULATOR: &str = "emulator";

/// How many kills a machine has time for that checks every change.
const IN_CI: &str = "50";

fn crash(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((name, rest)) if name == EMULATOR => emulator(workspace, rest),
        _ => bail!("which one? There is: {EMULATOR}"),
    }
}

/// The step of `cargo xtask ci`.
pub(crate) fn check(workspace: &Workspace) -> Result<Outcome> {
    emulator(workspace, &["--kills".to_owned(), IN_CI.to_owned()])?;
    Ok(Outcome::Passed)
}

fn emulator(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let mut line =
        vec!["test", "--quiet", "--locked", "--package", "cas-emulator", "--all-features", "--test", "crash", "--"];
    line.extend(arguments.iter().map(String::as_str));
    run(&mut workspace.cargo(&line))
}
