//! `cargo xtask ci tidy`: the house rules that no other tool knows.
//!
//! Here are the table of rules and the walk that reads the repository once. A rule is a pure function from the files to its findings; the
//! functions are in the modules below, by what they read.

mod errors;
mod goldens;
mod hostile;
mod markdown;
mod papers;
mod source;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::ci::Outcome;
use crate::workspace::{Package, Workspace};

/// One house rule.
struct Rule {
    /// Why we keep to it; printed with every breach.
    reason: &'static str,
    check: fn(&Repository) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    Rule {
        reason: "a module says in its first line what lives there, so that nobody has to read it to learn that they need not",
        check: source::modules_without_introduction,
    },
    Rule {
        reason: "unsafe code lives in crates/cas-treehash/src/kernel and nowhere else: one door to watch",
        check: source::unsafe_outside_the_kernels,
    },
    Rule {
        reason: "a test that never runs, and an example that is never compiled, claim what nobody checks: make it run, or delete it",
        check: source::ignored_tests,
    },
    Rule {
        reason: "a test that sleeps is slow on a good day and wrong on a bad one: move the clock, or wait for the event itself",
        check: source::sleeping_tests,
    },
    Rule {
        reason: "a clone works on any machine: no file may mention a place that exists on one",
        check: words::machine_paths,
    },
    Rule {
        reason: "dependencies come from crates.io; from where a machine fetches them is that machine's own affair",
        check: words::other_registries,
    },
    Rule {
        reason: "a string of the shape of a real key sets off every secret scanner, and one day it is a real key: write a short one",
        check: words::key_shapes,
    },
    Rule { reason: "a link that leads nowhere costs every reader a search", check: markdown::dead_links },
    Rule {
        reason: "a page that names a file describes the tree as it is, not as it was",
        check: markdown::missing_files,
    },
    Rule {
        reason: "a dependency gets in with a sentence (docs/dependencies.md), and the sentence leaves with it",
        check: papers::dependencies_without_a_sentence,
    },
    Rule {
        reason: "each published crate is complete by itself: its papers, its licences, nothing invented",
        check: papers::incomplete_crates,
    },
    Rule { reason: "lints are decided once, in the root manifest", check: papers::crates_with_lints_of_their_own },
    Rule {
        reason: "client and server share one table, so only files typed by hand from the service's pages can catch a wrong row",
        check: goldens::missing_goldens,
    },
    Rule {
        reason: "a kind of hostile answer that nobody tests is one that nobody withstands",
        check: hostile::unnumbered_trouble,
    },
    Rule {
        reason: "whoever meets an error finds on one page what happened and what to do",
        check: errors::kinds_without_a_row,
    },
];

/// Reads the repository and holds every rule against it.
///
/// # Errors
///
/// When a rule is broken; the message lists every finding under the rule's reason.
pub(crate) fn check(workspace: &Workspace) -> Result<Outcome> {
    let repository = Repository { files: read_files(workspace.root())?, packages: workspace.packages()? };
    let complaints: Vec<String> = RULES.iter().filter_map(|rule| complaint(rule, &(rule.check)(&repository))).collect();
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n\n"));
    }
    Ok(Outcome::Passed)
}

/// The findings of one rule, with the reason below them.
fn complaint(rule: &Rule, findings: &[Finding]) -> Option<String> {
    let list: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    (!findings.is_empty()).then(|| format!("{list}    because: {}", rule.reason))
}

/// The repository as the rules see it.
struct Repository {
    /// Every file by its path from the root, with `/` on all machines; the text is missing where a file is not UTF-8 or is very large.
    files: BTreeMap<String, Option<String>>,
    packages: Vec<Package>,
}

impl Repository {
    /// The files that are text, as path and text.
    fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The texts whose name ends like this, as path and text.
    fn texts_ending(&self, end: &'static str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| path.ends_with(end))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether there is a file, or a folder with files, at this path from the root.
    fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(first, _)| first.starts_with(&folder))
    }
}

/// One breach: where, and what was found there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from one; none for a finding about the file as a whole.
    line: Option<usize>,
    what: String,
}

impl Finding {
    fn in_file(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, what: what.into() }
    }

    /// A finding in the line with this index, which is counted from zero.
    fn in_line(path: &str, index: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(index + 1), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.what),
            None => write!(f, "{}: {}", self.path, self.what),
        }
    }
}

/// Larger files are data: they are known by name only.
const LARGEST_TEXT: u64 = 4 << 20;

fn read_files(root: &Path) -> Result<BTreeMap<String, Option<String>>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let here = root.join(&folder);
        for entry in here.read_dir().with_context(|| format!("cannot list {}", here.display()))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if entry.file_type()?.is_dir() {
                if !is_made_here(&entry.path()) {
                    folders.push(path);
                }
            } else {
                let text = if entry.metadata()?.len() > LARGEST_TEXT {
                    None
                } else {
                    String::from_utf8(std::fs::read(entry.path())?).ok()
                };
                files.insert(path, text);
            }
        }
    }
    Ok(files)
}

/// Whether a folder holds what git and the builds leave behind, in contrast to what people wrote.
fn is_made_here(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    [".git", ".cas-local"].contains(&name) || folder.join("CACHEDIR.TAG").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository of these files and no packages.
    pub(super) fn repository(files: &[(&str, &str)]) -> Repository {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect();
        Repository { files, packages: Vec::new() }
    }

    /// The findings as they are printed.
    pub(super) fn printed(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_folder_exists_when_a_file_lies_below_it() {
        let repository = repository(&[("docs/a.md", ""), ("docs-old/b.md", "")]);
        for path in ["docs", "docs/", "docs/a.md"] {
            assert!(repository.exists(path), "{path}");
        }
        for path in ["doc", "docs/a", "docs/a.md/", "docs/b.md"] {
            assert!(!repository.exists(path), "{path}");
        }
    }

    #[test]
    fn a_complaint_gives_place_and_reason_and_silence_none() {
        let rule = Rule { reason: "it hurts", check: |_| Vec::new() };
        let findings = [Finding::in_line("a.rs", 4, "a thing"), Finding::in_file("b.rs", "another")];
        assert_eq!(complaint(&rule, &findings).unwrap(), "a.rs:5: a thing\nb.rs: another\n    because: it hurts");
        assert_eq!(complaint(&rule, &[]), None);
    }

    #[test]
    fn the_walk_finds_hidden_files_and_leaves_out_what_builds_leave_behind() {
        let root = std::env::temp_dir().join(format!("xtask-tidy-{}", std::process::id()));
        for (path, text) in [
            ("target/CACHEDIR.TAG", ""),
            ("target/a.rs", ""),
            (".ci/run", "run"),
            (".git/config", ""),
            ("src/a.rs", ""),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::write(root.join("data"), [0xff, 0xfe]).unwrap();
        let files = read_files(&root);
        std::fs::remove_dir_all(&root).unwrap();
        let expected = [(".ci/run", Some("run")), ("data", None), ("src/a.rs", Some(""))];
        let expected = expected.map(|(path, text)| (path.to_owned(), text.map(String::from)));
        assert_eq!(files.unwrap(), BTreeMap::from(expected));
    }
}
