//! The workspace's own tasks, run as `cargo xtask <task>`: the checks, and short names for the benchmarks.
//!
//! Here are the table of tasks and the search in it. What a task does is in the module of its name.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to the person at the terminal")]

mod bench;
mod ci;
mod crash;
mod foreign;
mod layers;
mod mutate;
mod tidy;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

/// One thing that `cargo xtask` can do.
struct Task {
    name: &'static str,
    /// What may follow the name, as the help shows it.
    arguments: &'static str,
    about: &'static str,
    /// The names that `arguments` stands for, each with a sentence.
    details: fn() -> Vec<(String, String)>,
    run: fn(&Workspace, &[String]) -> anyhow::Result<()>,
}

/// Every task, in the order of the help.
const TASKS: &[Task] = &[ci::TASK, bench::TASK, crash::TASK, mutate::TASK];

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    if wants_help(&arguments) {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| task.name == arguments[0]) else {
        eprint!("xtask: there is no task `{}`\n\n{}", arguments[0], help());
        return ExitCode::from(2);
    };
    match (task.run)(&Workspace::here(), &arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {}: {error:#}", task.name);
            ExitCode::FAILURE
        }
    }
}

/// Whether help is asked for: by nothing at all, by `help`, or by a flag among our own arguments (those after `--` belong to somebody else).
fn wants_help(arguments: &[String]) -> bool {
    arguments.first().is_none_or(|first| first == "help")
        || arguments
            .iter()
            .take_while(|argument| *argument != "--")
            .any(|argument| argument == "--help" || argument == "-h")
}

fn help() -> String {
    let mut text = String::from("The workspace's own tasks.\n\nUsage: cargo xtask <task> [arguments]\n");
    for task in TASKS {
        text += &format!("\n  {} {}\n      {}\n", task.name, task.arguments, task.about);
        for (name, about) in (task.details)() {
            text += &format!("        {name:<12}{about}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_task_step_and_benchmark() {
        let help = help();
        for task in TASKS {
            assert!(help.contains(&format!("\n  {} ", task.name)), "{} is missing in:\n{help}", task.name);
            for (name, about) in (task.details)() {
                assert!(help.contains(&name) && help.contains(&about), "{name} is missing in:\n{help}");
            }
        }
    }

    #[test]
    fn help_is_what_no_arguments_get_and_what_a_flag_gets() {
        let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
        for line in ["", "help", "--help", "ci --help", "bench sign -h"] {
            assert!(wants_help(&words(line)), "{line:?}");
        }
        for line in ["ci", "ci fmt", "bench sign -- --help"] {
            assert!(!wants_help(&words(line)), "{line:?}");
        }
    }
}
