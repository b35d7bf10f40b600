//! `cargo xtask mutate`: spoils each header name, query parameter and JSON key in our tables, one at a time, and tells which change no test
//! noticed.
//!
//! Client and emulator share the tables, so a wrong name would be wrong at both ends and every round trip would still pass. The wire goldens are
//! there to notice; this is how one sees that they do. It works on a copy of the sources under `target/` and takes some seconds a name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::Task;
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "mutate",
    arguments: "[words …]",
    about: "Spoils each name in the wire tables and tells which change no test noticed; with words, only names that contain one.",
    details: Vec::new,
    run: mutate,
};

/// Where names of the wire stand.
const TABLES: [&str; 8] = [
    "crates/cas-http/src/header.rs",
    "crates/cas-http/src/ops.rs",
    "crates/cas-http/src/document.rs",
    "crates/cas-http/src/error_body.rs",
    "crates/cas-api/src/vault.rs",
    "crates/cas-api/src/multipart.rs",
    "crates/cas-api/src/job.rs",
    "crates/cas-api/src/inventory.rs",
];

/// What stands before a literal that is a name of the wire: a call that reads or writes it.
const CALLS: [&str; 14] = [
    "set(",
    "set_if(",
    "set_or_null(",
    "text(",
    "parse(",
    "require(",
    "number(",
    "boolean(",
    "object(",
    "objects(",
    "get(",
    "from_static(",
    "any_case(object, ",
    "query(",
];

/// Names that no table test can notice, each with where it is looked at instead.
const ELSEWHERE: [(&str, &str); 1] = [("x-cas-security-token", "the client's tests: it is no operation's own")];

/// A name at a place.
#[derive(Debug, PartialEq, Eq)]
struct Mutation {
    file: &'static str,
    line: usize,
    name: String,
    /// The whole file with the name spoiled.
    text: String,
}

fn mutate(workspace: &Workspace, words: &[String]) -> Result<()> {
    let copy = workspace.root().join("target/mutate/workspace");
    copy_sources(workspace.root(), &copy)?;
    ensure!(passes(&copy)?, "the tests fail before anything is spoiled");
    let mut unnoticed = Vec::new();
    let mut tried = 0;
    for file in TABLES {
        let whole = fs::read_to_string(copy.join(file)).with_context(|| file.to_owned())?;
        for mutation in mutations(file, &whole) {
            let wanted = words.is_empty() || words.iter().any(|word| mutation.name.contains(word.as_str()));
            if !wanted || ELSEWHERE.iter().any(|(name, _)| *name == mutation.name) {
                continue;
            }
            fs::write(copy.join(file), &mutation.text)?;
            tried += 1;
            if passes(&copy)? {
                eprintln!("NOT noticed: {}:{}: {}", mutation.file, mutation.line, mutation.name);
                unnoticed.push(mutation);
            }
        }
        fs::write(copy.join(file), &whole)?;
    }
    eprintln!("{tried} names spoiled, {} not noticed", unnoticed.len());
    if unnoticed.is_empty() { Ok(()) } else { bail!("a name could be wrong at both ends") }
}

/// Every name in a file, spoiled by itself. Tests at the end of the file and comments are left alone.
fn mutations(file: &'static str, whole: &str) -> Vec<Mutation> {
    let code = whole.find("#[cfg(test)]").unwrap_or(whole.len());
    let mut found = Vec::new();
    let mut offset = 0;
    for (number, line) in whole[..code].split_inclusive('\n').enumerate() {
        if !line.trim_start().starts_with("//") {
            for (place, name) in names(line) {
                let (start, end) = (offset + place, offset + place + name.len());
                let text = format!("{}{}{}", &whole[..start], spoiled(name), &whole[end..]);
                found.push(Mutation { file, line: number + 1, name: name.to_owned(), text });
            }
            if let Some((place, name)) = bare_query(line) {
                let start = offset + place;
                let text = format!("{}(\"{}\") {}", &whole[..start], spoiled(name), &whole[start + 1..]);
                found.push(Mutation { file, line: number + 1, name: name.to_owned(), text });
            }
        }
        offset += line.len();
    }
    found
}

/// The literals of a line that follow one of the calls, and where they stand.
fn names(line: &str) -> Vec<(usize, &str)> {
    let mut found: Vec<(usize, &str)> = Vec::new();
    for (quote, _) in line.match_indices('"') {
        let before = &line[..quote];
        let Some(end) = line[quote + 1..].find('"') else { continue };
        let name = &line[quote + 1..quote + 1 + end];
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_name && CALLS.iter().any(|call| before.ends_with(call)) {
            found.push((quote + 1, name));
        }
    }
    found
}

/// `query limit: Limit` has its name without quotes: the place after `query`, and the name.
fn bare_query(line: &str) -> Option<(usize, &str)> {
    let start = line.find("query ")? + "query".len();
    let name = line[start + 1..].split(':').next()?;
    let is_row = line.trim_start().starts_with("query ") && name.bytes().all(|byte| byte.is_ascii_lowercase());
    is_row.then_some((start, name))
}

fn spoiled(name: &str) -> String {
    format!("{name}x")
}

/// What is run: the tests beside the tables, and the goldens.
const TESTS: [&[&str]; 2] = [&["-p", "cas-api", "--lib", "--test", "it"], &["-p", "cas-http", "--lib"]];

/// Whether the tests of the tables pass. A copy that does not compile counts as noticed.
fn passes(copy: &Path) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for tests in TESTS {
        let status = Command::new(&cargo)
            .args(["test", "--quiet", "--locked", "--no-default-features"])
            .args(tests)
            .current_dir(copy)
            .env("CARGO_TARGET_DIR", copy.with_file_name("target"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Copies what the tests need: manifests, crates, goldens.
fn copy_sources(root: &Path, copy: &Path) -> Result<()> {
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    for part in ["Cargo.toml", "Cargo.lock", "README.md", "clippy.toml", "crates", "tests", "xtask"] {
        copy_all(&root.join(part), &copy.join(part)).with_context(|| part.to_owned())?;
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() {
        fs::create_dir_all(to.parent().context("a copy has a folder")?)?;
        fs::copy(from, to)?;
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let entry: PathBuf = entry?.path();
        let name = entry.file_name().context("an entry has a name")?;
        copy_all(&entry, &to.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_calls_and_rows_are_found_and_spoiled() {
        let text = concat!(
            "/// object.text(\"Marker\")\n",
            "    let a = object.text(\"Marker\")?.set(\"Size\", \"not a name of a call\");\n",
            "        query limit: Limit,\n",
            "        query(\"statuscode\") status: JobStatus,\n",
            "#[cfg(test)]\n",
            "object.text(\"Limit\")\n",
        );
        let found = mutations("x.rs", text);
        let names: Vec<_> = found.iter().map(|mutation| (mutation.line, mutation.name.as_str())).collect();
        assert_eq!(names, [(2, "Marker"), (2, "Size"), (3, "limit"), (4, "statuscode")]);
        assert!(found[0].text.contains("object.text(\"Markerx\")?.set(\"Size\""), "{}", found[0].text);
        assert!(found[2].text.contains("query(\"limitx\") limit: Limit,"), "{}", found[2].text);
    }
}
