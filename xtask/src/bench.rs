//! `cargo xtask bench`: short names for the workspace's benchmarks. What is measured is in the crates' `benches/`.

use anyhow::{Context as _, Result};

use crate::Task;
use crate::workspace::{Workspace, run};

pub(crate) const TASK: Task = Task {
    name: "bench",
    arguments: "<name> [arguments of the benchmark]",
    about: "Runs one benchmark, optimised; further arguments are its own.",
    details: || BENCHES.iter().map(|bench| (bench.name.to_owned(), bench.about.to_owned())).collect(),
    run: bench,
};

struct Bench {
    name: &'static str,
    package: &'static str,
    about: &'static str,
}

const BENCHES: &[Bench] = &[
    Bench { name: "sign", package: "cas-sign", about: "One signature, and its verification." },
    Bench {
        name: "hash",
        package: "cas-treehash",
        about: "Content hash and tree hash, kernel by kernel, beside ring.",
    },
    Bench {
        name: "http",
        package: "cas-http",
        about: "Small requests beside hyper and reqwest, large bodies beside a loop of writes.",
    },
    Bench {
        name: "emulator",
        package: "cas-emulator",
        about: "Uploads beside a server that only hashes, small requests, memory.",
    },
];

fn bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let line = command_line(arguments)?;
    run(&mut workspace.cargo(&line.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// What cargo is to be told for these arguments of ours.
fn command_line(arguments: &[String]) -> Result<Vec<String>> {
    let names = || BENCHES.iter().map(|bench| bench.name).collect::<Vec<_>>().join(", ");
    let (name, rest) = arguments.split_first().with_context(|| format!("which one? There are: {}", names()))?;
    let bench = BENCHES
        .iter()
        .find(|bench| bench.name == name)
        .with_context(|| format!("there is no benchmark `{name}`. There are: {}", names()))?;
    let ours = ["bench", "--locked", "--all-features", "--package", bench.package, "--bench", bench.name, "--"];
    let theirs = rest.iter().skip_while(|argument| *argument == "--");
    Ok(ours.into_iter().map(String::from).chain(theirs.cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> Result<String> {
        Ok(command_line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())?.join(" "))
    }

    #[test]
    fn a_benchmark_is_run_in_its_crate_and_gets_the_arguments_that_follow() {
        let expected = "bench --locked --all-features --package cas-treehash --bench hash -- --quick two lanes";
        assert_eq!(line(&["hash", "--quick", "two", "lanes"]).unwrap(), expected);
        assert_eq!(line(&["hash", "--", "--quick", "two", "lanes"]).unwrap(), expected);
    }

    #[test]
    fn an_unknown_name_and_no_name_are_told_what_there_is() {
        for words in [&["hush"][..], &[]] {
            let message = line(words).unwrap_err().to_string();
            assert!(message.ends_with("There are: sign, hash, http, emulator"), "{message}");
        }
    }
}
