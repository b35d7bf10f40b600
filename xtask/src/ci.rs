//! `cargo xtask ci`: everything that must hold before a change is shared, one step after the other, the quick ones first.
//!
//! Here are the table of steps, the runner, and the steps that only call cargo. The rules that no tool knows are in `layers.rs` and `tidy.rs`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::workspace::{Package, Workspace, output, run};
use crate::{Task, crash, foreign, layers, tidy};

pub(crate) const TASK: Task = Task {
    name: "ci",
    arguments: "[step …]",
    about: "Runs the steps in this order, or only the named ones, and stops at the first that fails.",
    details: || STEPS.iter().map(Step::help).collect(),
    run: ci,
};

/// One question about the workspace that is answered with yes or no.
struct Step {
    name: &'static str,
    about: &'static str,
    /// What the machine must have for it. A step that needs more than the toolchain runs only when it is named.
    needs: Option<&'static str>,
    run: fn(&Workspace) -> Result<Outcome>,
}

/// How a step ended that found nothing wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// Nothing was looked at; the text says what is missing and how to get it.
    Skipped(String),
}

const STEPS: &[Step] = &[
    Step { name: "fmt", about: "The code is formatted.", needs: None, run: fmt },
    Step {
        name: "tidy",
        about: "The house rules that no other tool knows (xtask/src/tidy.rs).",
        needs: None,
        run: tidy::check,
    },
    Step {
        name: "layers",
        about: "Crates use only what lies below them, and stay small.",
        needs: None,
        run: layers::check,
    },
    Step {
        name: "clippy",
        about: "No warnings: all features together, then each crate with none and with each of its own.",
        needs: None,
        run: clippy,
    },
    Step { name: "docs", about: "The documentation builds without warnings.", needs: None, run: docs },
    Step { name: "test", about: "All tests and doc tests, with all features.", needs: None, run: test },
    Step {
        name: "alone",
        about: "Each crate builds and passes by itself, with the fewest features and with all.",
        needs: None,
        run: alone,
    },
    Step {
        name: "crash",
        about: "The emulator is killed 50 times under load, and loses nothing that it acknowledged.",
        needs: None,
        run: crash::check,
    },
    Step {
        name: "deny",
        about: "Licences, sources and banned crates (deny.toml).",
        needs: Some("cargo-deny"),
        run: deny,
    },
    Step {
        name: "advisories",
        about: "No dependency has a known vulnerability.",
        needs: Some("cargo-deny, network"),
        run: advisories,
    },
    Step {
        name: "foreign",
        about: "A client in Python that shares nothing with us tries everything on the emulator.",
        needs: Some("python3"),
        run: foreign::check,
    },
    Step {
        name: "aarch64",
        about: "The hash kernels for 64-bit ARM give the right answers.",
        needs: Some("cross compiler, qemu-user"),
        run: aarch64,
    },
];

impl Step {
    fn help(&self) -> (String, String) {
        let needs = self.needs.map(|needs| format!(" Only when named; needs {needs}.")).unwrap_or_default();
        (self.name.to_owned(), format!("{}{needs}", self.about))
    }
}

fn ci(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let steps = select(arguments)?;
    let mut report = Report::default();
    let begin = Instant::now();
    for step in &steps {
        eprintln!("\n── {}: {}", step.name, step.about);
        let start = Instant::now();
        let result = (step.run)(workspace);
        let time = start.elapsed();
        match result {
            Ok(outcome) => report.add(step.name, time, outcome),
            Err(error) => bail!("{}", failure(step.name, time, &error)),
        }
    }
    if steps.len() > 1 {
        eprint!("\n{}   {:<12}{}\n", report.text, "together", seconds(begin.elapsed()));
    }
    Ok(())
}

/// The steps that these arguments ask for: all that every machine can run, or the named ones in the order given.
fn select(arguments: &[String]) -> Result<Vec<&'static Step>> {
    if arguments.is_empty() {
        return Ok(STEPS.iter().filter(|step| step.needs.is_none()).collect());
    }
    let find = |name: &String| {
        STEPS.iter().find(|step| step.name == name).with_context(|| {
            let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
            format!("there is no step `{name}`. There are: {}", names.join(", "))
        })
    };
    arguments.iter().map(find).collect()
}

/// What is printed at the end, gathered step by step.
#[derive(Default)]
struct Report {
    text: String,
}

impl Report {
    /// Notes how a step ended and tells it at once: on a failure later on, this line is all there is.
    fn add(&mut self, step: &str, time: Duration, outcome: Outcome) {
        let line = match outcome {
            Outcome::Passed => format!("   {step:<12}passed in {}\n", seconds(time)),
            Outcome::Skipped(why) => format!("   {step:<12}SKIPPED, nothing was checked: {why}\n"),
        };
        eprint!("{line}");
        self.text += &line;
    }
}

/// What a failed step leaves on the screen: what, after how long, and how to see it again.
fn failure(step: &str, time: Duration, error: &anyhow::Error) -> String {
    format!("step `{step}` failed after {}\n\n{error:#}\n\nrun it alone with: cargo xtask ci {step}", seconds(time))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn fmt(workspace: &Workspace) -> Result<Outcome> {
    run(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

fn clippy(workspace: &Workspace) -> Result<Outcome> {
    let everything = ["clippy", "--locked", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    run(&mut workspace.cargo(&everything))?;
    // Features of one crate at a time: whoever asks for little must not get less than they asked for, nor warnings.
    for package in standing_alone(workspace)? {
        for features in lint_sets(&package) {
            let mut line = vec!["clippy", "--locked", "--no-deps", "--package", &package.name, "--no-default-features"];
            line.extend(features);
            line.extend(["--", "-D", "warnings"]);
            run(&mut workspace.cargo(&line))?;
        }
    }
    Ok(Outcome::Passed)
}

fn docs(workspace: &Workspace) -> Result<Outcome> {
    let mut command = workspace.cargo(&["doc", "--locked", "--workspace", "--no-deps", "--all-features"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}

fn test(workspace: &Workspace) -> Result<Outcome> {
    run(&mut workspace.cargo(&["test", "--locked", "--workspace", "--all-features"]))?;
    Ok(Outcome::Passed)
}

fn alone(workspace: &Workspace) -> Result<Outcome> {
    for package in standing_alone(workspace)? {
        // Tests bring dev-dependencies, which may turn on what the crate itself forgot to ask for: look without them first.
        run(&mut workspace.cargo(&["check", "--locked", "--package", &package.name, "--no-default-features"]))?;
        for features in feature_sets(&package) {
            run(&mut workspace.cargo(&["test", "--locked", "--package", &package.name, features]))?;
        }
    }
    Ok(Outcome::Passed)
}

/// The crates that somebody may use without the rest: those that are published.
fn standing_alone(workspace: &Workspace) -> Result<Vec<Package>> {
    Ok(workspace.packages()?.into_iter().filter(Package::is_published).collect())
}

/// The feature flags that make a difference for this package: one of the two ends is enough where they are the same.
fn feature_sets(package: &Package) -> &'static [&'static str] {
    if own_features(package).is_empty() { &["--all-features"] } else { &["--no-default-features", "--all-features"] }
}

/// The flags of each look that clippy takes at a package by itself: with none of its features, tests included, and with each single one. A
/// package without features was seen in full with the rest.
fn lint_sets(package: &Package) -> Vec<Vec<&str>> {
    let mut sets: Vec<_> = own_features(package).into_iter().map(|name| vec!["--features", name]).collect();
    if !sets.is_empty() {
        sets.insert(0, vec!["--all-targets"]);
    }
    sets
}

/// The features of a package, without a default that is empty.
fn own_features(package: &Package) -> Vec<&str> {
    let features = package.features.iter().filter(|(name, turns_on)| *name != "default" || !turns_on.is_empty());
    features.map(|(name, _)| name.as_str()).collect()
}

fn deny(workspace: &Workspace) -> Result<Outcome> {
    if !has_cargo_deny(workspace) {
        return Ok(no_cargo_deny());
    }
    run(&mut workspace.cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]))?;
    Ok(Outcome::Passed)
}

/// Fetches the database of known vulnerabilities first; with `CARGO_NET_OFFLINE=true` the copy from the last time has to do.
fn advisories(workspace: &Workspace) -> Result<Outcome> {
    if !has_cargo_deny(workspace) {
        return Ok(no_cargo_deny());
    }
    let offline: &[&str] =
        if std::env::var_os("CARGO_NET_OFFLINE").is_some_and(|value| value == "true") { &["--offline"] } else { &[] };
    run(&mut workspace.cargo(&[&["deny", "--locked"], offline, &["check", "advisories"]].concat()))?;
    Ok(Outcome::Passed)
}

fn has_cargo_deny(workspace: &Workspace) -> bool {
    answers(&mut workspace.cargo(&["deny", "--version"]))
}

fn no_cargo_deny() -> Outcome {
    Outcome::Skipped("cargo-deny is not installed (cargo install cargo-deny --locked)".to_owned())
}

const ARM: &str = "aarch64-unknown-linux-gnu";
const ARM_COMPILER: &str = "aarch64-linux-gnu-gcc";
const ARM_MACHINE: &str = "qemu-aarch64";

fn aarch64(workspace: &Workspace) -> Result<Outcome> {
    if let Some(why) = no_arm()? {
        return Ok(Outcome::Skipped(why));
    }
    let mut command = workspace.cargo(&[
        "test",
        "--locked",
        "--package",
        "cas-treehash",
        "--all-features",
        "--tests",
        "--target",
        ARM,
    ]);
    command
        .env("CC_aarch64_unknown_linux_gnu", ARM_COMPILER)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", ARM_COMPILER)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", format!("{ARM_MACHINE} -L /usr/aarch64-linux-gnu"));
    run(&mut command)?;
    Ok(Outcome::Passed)
}

/// What this machine lacks for building and running ARM programs, if anything.
fn no_arm() -> Result<Option<String>> {
    let mut missing = Vec::new();
    let library = output(Command::new("rustc").args(["--print", "target-libdir", "--target", ARM]))?;
    if !Path::new(library.trim()).is_dir() {
        missing.push(format!("the standard library (rustup target add {ARM})"));
    }
    for (program, package) in [(ARM_COMPILER, "gcc-aarch64-linux-gnu"), (ARM_MACHINE, "qemu-user")] {
        if !answers(Command::new(program).arg("--version")) {
            missing.push(format!("{program} (Debian's package {package})"));
        }
    }
    Ok((!missing.is_empty()).then(|| format!("missing: {}", missing.join("; "))))
}

/// Whether the command is there and works; what it says is of no interest.
pub(crate) fn answers(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(arguments: &[&str]) -> Result<Vec<&'static str>> {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Ok(select(&arguments)?.iter().map(|step| step.name).collect())
    }

    #[test]
    fn without_names_all_steps_run_that_need_only_the_toolchain() {
        assert_eq!(names(&[]).unwrap(), ["fmt", "tidy", "layers", "clippy", "docs", "test", "alone", "crash"]);
    }

    #[test]
    fn named_steps_run_in_the_order_given() {
        assert_eq!(names(&["aarch64", "fmt"]).unwrap(), ["aarch64", "fmt"]);
    }

    #[test]
    fn an_unknown_step_is_told_which_there_are() {
        let message = names(&["fmt", "lint"]).unwrap_err().to_string();
        assert!(message.starts_with("there is no step `lint`. There are: fmt, tidy"), "{message}");
    }

    #[test]
    fn a_failure_says_how_to_see_it_again() {
        let error = anyhow::anyhow!("two things").context("tests failed");
        assert_eq!(
            failure("test", Duration::from_millis(61_530), &error),
            "step `test` failed after 61.5 s\n\ntests failed: two things\n\nrun it alone with: cargo xtask ci test"
        );
    }

    #[test]
    fn the_report_tells_a_skipped_step_from_a_passed_one() {
        let mut report = Report::default();
        report.add("fmt", Duration::from_millis(820), Outcome::Passed);
        report.add("deny", Duration::ZERO, Outcome::Skipped("no cargo-deny".to_owned()));
        assert_eq!(
            report.text,
            "   fmt         passed in 0.8 s\n   deny        SKIPPED, nothing was checked: no cargo-deny\n"
        );
    }

    #[test]
    fn clippy_looks_at_no_feature_and_at_each() {
        let sets = |features| {
            let metadata = json!({ "packages": [{ "name": "a", "dependencies": [], "features": features }] });
            lint_sets(&Package::read_all(&metadata).unwrap()[0]).iter().map(|flags| flags.join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(sets(json!({ "default": [] })), [] as [&str; 0]);
        assert_eq!(
            sets(json!({ "default": [], "http": ["dep:http"], "test-util": [] })),
            ["--all-targets", "--features http", "--features test-util"]
        );
    }

    #[test]
    fn a_crate_without_features_is_tested_once() {
        let sets = |features| {
            let metadata = json!({ "packages": [{ "name": "a", "dependencies": [], "features": features }] });
            feature_sets(&Package::read_all(&metadata).unwrap()[0])
        };
        assert_eq!(sets(json!({})), ["--all-features"]);
        assert_eq!(sets(json!({ "default": [] })), ["--all-features"]);
        assert_eq!(sets(json!({ "default": [], "http": [] })), ["--no-default-features", "--all-features"]);
        assert_eq!(sets(json!({ "default": ["std"], "std": [] })), ["--no-default-features", "--all-features"]);
    }
}
