//! The manual, `docs/emulator.md`, says what the program does.

use std::collections::BTreeSet;
use std::process::Command;

use cas_emulator::{Account, Tolerance};

fn manual() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/emulator.md")).unwrap()
}

/// The words of a text that look like options of a program.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
    words
        .filter(|word| word.starts_with("--") && word.len() > 2 && !word.starts_with("---"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn it_lists_every_tolerance() {
    let manual = manual();
    for tolerance in Tolerance::all() {
        let row = format!("| {} | {} | {} |", tolerance.number, tolerance.what, tolerance.why);
        assert!(manual.contains(&row), "{row}");
    }
}

#[test]
fn it_names_every_option_of_the_program_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_cas-emulator")).arg("--help").output().unwrap();
    let mut known = options(&String::from_utf8(help.stdout).unwrap());
    let manual = options(&manual());
    for option in known.iter().filter(|option| !["--help", "--version"].contains(&option.as_str())) {
        assert!(manual.contains(option), "{option} is not in the manual");
    }
    // Cargo's own, in the command that runs it.
    known.insert("--release".to_owned());
    assert_eq!(
        manual.difference(&known).collect::<Vec<_>>(),
        [""; 0],
        "the manual knows options that the program does not"
    );
}

/// The page for CI users has lines for a plain shell; here they are run.
#[cfg(unix)]
#[test]
fn the_lines_for_a_plain_shell_start_an_emulator() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/emulator-in-ci.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lines = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_cas-emulator")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let script =
        format!("set -eu\n{lines}\necho \"$CAS_ENDPOINT $CAS_ADMIN $CAS_APPID $(kill -0 $emulator && echo runs)\"");
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", &script]).env("PATH", &path).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let words: Vec<&str> = said.split_whitespace().collect();
    assert!(words[..2].iter().all(|url| url.starts_with("http://127.0.0.1:")), "{said}");
    assert_eq!(words[2..], [Account::DEFAULT_APP_ID.to_string().as_str(), "runs"]);
    // Who cannot be started is not waited for; `timeout` would say 124.
    let failing = format!("set -eu\n{}", lines.replace("--json", "--no-such-option"));
    let (empty, mut shell) = (tempfile::tempdir().unwrap(), Command::new("timeout"));
    shell.args(["20", "sh", "-c", &failing]).env("PATH", &path).current_dir(empty.path());
    assert_eq!(shell.output().unwrap().status.code(), Some(1));
    assert!(page.contains(Account::DEFAULT_SECRET_ID) && page.contains(Account::DEFAULT_SECRET_KEY));
}

#[test]
fn it_tells_the_account_that_everybody_knows() {
    let expected = format!(
        "secret id `{}`, secret key `{}`, APPID `{}`",
        Account::DEFAULT_SECRET_ID,
        Account::DEFAULT_SECRET_KEY,
        Account::DEFAULT_APP_ID
    );
    assert!(manual().contains(&expected), "{expected}");
}
