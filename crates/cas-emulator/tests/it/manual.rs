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
