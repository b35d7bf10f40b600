//! Rules about Rust source. They read line by line and know just enough of the language to leave comments and texts out.

use super::{Finding, Repository};

/// The only folder with `unsafe` in it.
const KERNELS: &str = "crates/cas-treehash/src/kernel";

pub(super) fn modules_without_introduction(repository: &Repository) -> Vec<Finding> {
    repository
        .texts_ending(".rs")
        .filter(|(_, text)| !opens_with_introduction(text))
        .map(|(path, _)| Finding::in_file(path, "does not open with `//!`"))
        .collect()
}

/// Whether the first thing in the file, attributes aside, is its documentation.
fn opens_with_introduction(text: &str) -> bool {
    let opening = text.lines().find(|line| line.starts_with("#![doc") || !line.starts_with("#!["));
    opening.is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc = include_str!("))
}

pub(super) fn unsafe_outside_the_kernels(repository: &Repository) -> Vec<Finding> {
    let sources = repository.texts_ending(".rs").filter(|(path, _)| !path.starts_with(KERNELS));
    in_lines(sources, |line| has_word(&code_of(line), "unsafe").then(|| "`unsafe` outside the kernels".to_owned()))
}

pub(super) fn ignored_tests(repository: &Repository) -> Vec<Finding> {
    let tests = in_lines(repository.texts_ending(".rs"), |line| {
        line.trim_start().starts_with("#[ignore").then(|| "an ignored test".to_owned())
    });
    let pages = repository.texts_ending(".md").chain(repository.texts_ending(".rs"));
    let examples = in_lines(pages, |line| {
        let fence = line.trim_start().trim_start_matches(['/', '!', ' ']).strip_prefix("```")?;
        fence.split([',', ' ']).any(|word| word == "ignore").then(|| "an ignored example".to_owned())
    });
    [tests, examples].concat()
}

pub(super) fn sleeping_tests(repository: &Repository) -> Vec<Finding> {
    let is_test = |path: &str| path.starts_with("tests/") || (path.starts_with("crates/") && path.contains("/tests/"));
    let tests = repository.texts_ending(".rs").filter(move |(path, _)| is_test(path));
    in_lines(tests, |line| {
        let code = code_of(line);
        ["sleep", "sleep_until"].iter().find(|word| has_word(&code, word)).map(|word| format!("`{word}` in a test"))
    })
}

/// What `judge` finds in the lines of these files.
fn in_lines<'a>(
    files: impl Iterator<Item = (&'a str, &'a str)>,
    judge: impl Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files {
        findings.extend(
            text.lines().enumerate().filter_map(|(index, line)| Some(Finding::in_line(path, index, judge(line)?))),
        );
    }
    findings
}

/// A line of Rust without its comment and its texts. A text that runs over several lines is not recognised: its later lines count as code.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut characters = line.chars().peekable();
    let mut in_text = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if in_text => drop(characters.next()),
            '"' => in_text = !in_text,
            '/' if !in_text && characters.peek() == Some(&'/') => break,
            _ if !in_text => code.push(character),
            _ => {}
        }
    }
    code
}

/// Whether the text has this word, not as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|character: char| !character.is_alphanumeric() && character != '_').any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{printed, repository};
    use super::*;

    #[test]
    fn a_module_opens_with_its_introduction() {
        let findings = modules_without_introduction(&repository(&[
            ("plain.rs", "//! What lives here.\nfn a() {}"),
            ("readme.rs", "#![cfg_attr(docsrs, feature(doc_cfg))]\n#![doc = include_str!(\"../README.md\")]\n"),
            ("attribute.rs", "#![forbid(unsafe_code)]\n//! Here.\n"),
            ("silent.rs", "fn a() {}\n"),
            ("comment.rs", "// Not a doc comment.\n//! Too late.\n"),
            ("item.rs", "/// Of the first item.\nfn a() {}\n"),
            ("empty.rs", ""),
            ("notes.md", "no Rust"),
        ]));
        let silent = ["comment.rs", "empty.rs", "item.rs", "silent.rs"];
        assert_eq!(printed(&findings), silent.map(|path| format!("{path}: does not open with `//!`")));
    }

    #[test]
    fn unsafe_is_found_in_code_and_only_outside_the_kernels() {
        let findings = unsafe_outside_the_kernels(&repository(&[
            ("crates/cas-treehash/src/kernel/x86_sha.rs", "unsafe { go() }"),
            (
                "crates/cas-treehash/src/lib.rs",
                "#![deny(unsafe_code)]\n// unsafe is for kernels\nlet a = \"unsafe \\\" unsafe\";\n",
            ),
            (
                "crates/cas-http/src/ops.rs",
                "Unsafe,\nlet url = \"http://x\"; unsafe { go() }\nunsafe fn a() {}\n#[unsafe(no_mangle)]\n",
            ),
        ]));
        let lines = [2, 3, 4].map(|line| format!("crates/cas-http/src/ops.rs:{line}: `unsafe` outside the kernels"));
        assert_eq!(printed(&findings), lines);
    }

    #[test]
    fn tests_and_examples_that_never_run_are_found() {
        let findings = ignored_tests(&repository(&[
            ("a.rs", "#[test]\n#[ignore]\nfn a() {}\n    #[ignore = \"slow\"]\n// #[ignore] is not for us\n"),
            ("b.rs", "/// ```ignore\n//! ```rust,ignore\n/// ```no_run\n/// what to ignore\n"),
            ("c.md", "```rust ignore\n```\n```sh\nignore\n```\n"),
        ]));
        let expected = [
            "a.rs:2: an ignored test",
            "a.rs:4: an ignored test",
            "c.md:1: an ignored example",
            "b.rs:1: an ignored example",
            "b.rs:2: an ignored example",
        ];
        assert_eq!(printed(&findings), expected);
    }

    #[test]
    fn a_sleep_is_found_in_tests_and_allowed_elsewhere() {
        let text = "std::thread::sleep(second);\ntokio::time::sleep_until(then).await;\nuse tokio::time::sleep;\n";
        let harmless = "// no sleep here\nsleepy();\nlet asleep = \"sleep\";\n";
        let findings = sleeping_tests(&repository(&[
            ("crates/cas-http/tests/it/retry.rs", text),
            ("tests/it/story.rs", harmless),
            ("crates/cas-http/src/client.rs", text),
        ]));
        let words = [(1, "sleep"), (2, "sleep_until"), (3, "sleep")];
        let expected =
            words.map(|(line, word)| format!("crates/cas-http/tests/it/retry.rs:{line}: `{word}` in a test"));
        assert_eq!(printed(&findings), expected);
    }
}
