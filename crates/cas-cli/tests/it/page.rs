//! `docs/cli.md` tells the truth: its sessions are run, one after the other in one folder, and what comes is compared with what the page shows.
//!
//! A session is a block of kind `console`: lines that begin with `$ ` are run by a shell, the lines below are all that is printed, with any
//! blanks between words. `…` stands for one or more words. A word that ends in `…` stands for an identifier: it is the same one wherever the
//! page shows it, in commands too. A time stands for any time.

use std::collections::HashMap;
use std::process::Command;

use crate::folder::{CAS, Folder};

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md"));

#[test]
fn the_page_shows_what_the_program_prints() {
    let folder = Folder::new();
    let mut identifiers: HashMap<String, String> = HashMap::new();
    let steps = steps(PAGE);
    assert!(steps.len() > 20, "the page has sessions");
    for (command, expected) in steps {
        let line = identifiers.iter().fold(command.clone(), |line: String, (name, id)| line.replace(name, id));
        let printed = run(&folder, &line);
        let (expected, actual) = (words(&expected), words(&printed));
        let found = read(&expected, &actual, &identifiers);
        identifiers = found.unwrap_or_else(|| panic!("$ {line}\nthe page: {expected:?}\nin truth: {actual:?}"));
    }
}

/// What the shell prints on both channels.
fn run(folder: &Folder, line: &str) -> String {
    let mut command: Command = folder.command("sh", &["-c", &format!("exec 2>&1; {line}")]);
    let programs = CAS.rsplit_once('/').unwrap().0;
    command.env("PATH", format!("{programs}:/usr/bin:/bin"));
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// The commands of a page, each with what follows it.
fn steps(page: &str) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut in_session = false;
    for line in page.lines() {
        if line.starts_with("```") {
            in_session = line == "```console";
        } else if in_session && let Some(command) = line.strip_prefix("$ ") {
            steps.push((command.to_owned(), String::new()));
        } else if in_session {
            let (_, expected) = steps.last_mut().unwrap();
            *expected = format!("{expected}{line}\n");
        }
    }
    steps
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Reads the words of the page as those that were printed: the identifiers known afterwards, or none when they are not the same.
fn read(page: &[&str], printed: &[&str], known: &HashMap<String, String>) -> Option<HashMap<String, String>> {
    let Some((&expected, page_rest)) = page.split_first() else { return printed.is_empty().then(|| known.clone()) };
    let (&actual, printed_rest) = printed.split_first()?;
    if expected == "…" {
        return read(page_rest, printed_rest, known).or_else(|| read(page, printed_rest, known));
    }
    let mut known = known.clone();
    let is_same = if expected.ends_with('…') {
        known.entry(expected.to_owned()).or_insert_with(|| actual.to_owned()) == actual
    } else {
        expected == actual || shape(expected).is_some_and(|form| shape(actual) == Some(form))
    };
    if is_same { read(page_rest, printed_rest, &known) } else { None }
}

/// The form of a time: its digits made equal. None for anything else.
fn shape(word: &str) -> Option<String> {
    let form: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    form.contains("0000-00-00T00:00:00").then_some(form)
}

#[test]
fn a_page_is_read_as_it_says() {
    let none = HashMap::new();
    let known = read(
        &words("job Ab1… is … now at 2024-01-01T00:00:00Z"),
        &words("job xyz is not quite now at 2026-11-23T13:44:59Z"),
        &none,
    );
    let known = known.unwrap();
    assert_eq!(known["Ab1…"], "xyz");
    assert!(read(&words("Ab1… …"), &words("xyz a b"), &known).is_some());
    for (page, printed) in [("Ab1…", "other"), ("a …", "a"), ("a", "a b"), ("a b", "a"), ("a", "b")] {
        assert!(read(&words(page), &words(printed), &known).is_none(), "{page}");
    }
    assert_eq!(
        steps("x\n```console\n$ a\nb\nc\n$ d\n```\n```text\n$ e\n```\n"),
        [("a".into(), "b\nc\n".into()), ("d".into(), String::new())]
    );
}
