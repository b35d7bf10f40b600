//! `cargo xtask mutate`: spoils each name and word of the wire in our tables, one at a time, and tells which change no test noticed.
//!
//! Client and emulator share the tables, so a wrong name would be wrong at both ends and every round trip would still pass. The wire goldens are
//! there to notice; this is how one sees that they do. It works on a copy of the sources below the target folder. In the copy, and only there,
//! most names are looked up when a test runs, so that one build serves them all; a name in a constant, a pattern or a row of a macro is
//! spoiled by building again.

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

/// Where names of the wire stand, and how the function that looks one up is reached from there.
const TABLES: [(&str, &str); 11] = [
    ("crates/cas-http/src/header.rs", "crate"),
    ("crates/cas-http/src/ops.rs", "crate"),
    ("crates/cas-http/src/document.rs", "crate"),
    ("crates/cas-http/src/job_parameters.rs", "crate"),
    ("crates/cas-http/src/error_body.rs", "crate"),
    ("crates/cas-api/src/wire.rs", "cas_http"),
    ("crates/cas-api/src/vault.rs", "cas_http"),
    ("crates/cas-api/src/multipart.rs", "cas_http"),
    ("crates/cas-api/src/job.rs", "cas_http"),
    ("crates/cas-api/src/inventory.rs", "cas_http"),
    ("crates/cas-api/src/policy.rs", "cas_http"),
];

/// What stands before a literal that looks like a name of the wire and is none: the field of an error, the scheme of an address.
const NO_NAMES: [&str; 5] =
    ["WireError::missing(", "WireError::invalid(", "url.scheme_str(), Some(", "Some(\"http\" | ", "== Some("];

/// What stands before a name that is an ordinary argument, and so can be looked up when a test runs.
const ARGUMENTS: [&str; 16] = [
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
    "any_case(object, ",
    "texts(object, ",
    "texts(&principal, ",
    "Condition::on_network(",
    "Condition::on_time(",
];

/// Names that no test of the tables can notice, each with the test that looks at it instead.
const ELSEWHERE: [(&str, &str); 1] =
    [("x-cas-security-token", "the client's tests of credentials: it is no operation's own")];

/// The file of the copy that gets the function which looks a name up.
const LIBRARY: &str = "crates/cas-http/src/lib.rs";

/// That function: the name, or the spoiled one when this is the mutation to be tried.
const LOOK_UP: &str = r#"
#[doc(hidden)]
#[must_use]
pub fn wire_name(number: &str, name: &'static str, spoiled: &'static str) -> &'static str {
    if std::env::var("WIRE_MUTATION").is_ok_and(|chosen| chosen == number) { spoiled } else { name }
}
"#;

/// A name at a place of a file.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    /// Where the literal begins, quotes included, or the name of a query parameter that has none.
    start: usize,
    end: usize,
    name: String,
    kind: Kind,
}

/// How a name is written, and so how it is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An argument of a call: looked up when a test runs.
    Argument,
    /// In a constant, a pattern or a macro's row: built again.
    Literal,
    /// `query limit: Limit`, whose name is the field's: built again.
    BareQuery,
}

/// A file of the copy with its names.
struct Table {
    file: &'static str,
    /// How the function that looks names up is reached from here.
    library: &'static str,
    whole: String,
    places: Vec<Place>,
}

fn mutate(workspace: &Workspace, words: &[String]) -> Result<()> {
    let copy = Copy { folder: workspace.root().join("target/mutate/workspace") };
    copy_sources(workspace.root(), &copy.folder)?;
    let tables = TABLES.iter().map(|(file, library)| copy.table(file, library)).collect::<Result<Vec<_>>>()?;
    for table in &tables {
        copy.write(table, None)?;
    }
    change(&copy.folder.join(LIBRARY), |text| format!("{text}{LOOK_UP}"))?;
    ensure!(copy.passes(None)?, "the tests fail before anything is spoiled");

    let mut tried = 0;
    let mut unnoticed = 0;
    for table in &tables {
        for (index, place) in table.places.iter().enumerate().filter(|(_, place)| place.is_wanted(words)) {
            tried += 1;
            if copy.survives(table, index)? {
                eprintln!("NOT noticed: {}:{}: {}", table.file, place.line, place.name);
                unnoticed += 1;
            }
        }
        eprintln!("{}: {} names", table.file, table.places.len());
    }
    eprintln!("{tried} names spoiled, {unnoticed} not noticed");
    if unnoticed == 0 { Ok(()) } else { bail!("a name could be wrong at both ends") }
}

impl Place {
    fn is_wanted(&self, words: &[String]) -> bool {
        let asked_for = words.is_empty() || words.iter().any(|word| self.name.contains(word.as_str()));
        asked_for && !ELSEWHERE.iter().any(|(name, _)| *name == self.name)
    }
}

impl Table {
    /// The text of the file with its names looked up where that can be, and one name spoiled where it cannot.
    fn text(&self, chosen: Option<usize>) -> String {
        let mut text = String::new();
        let mut done = 0;
        for (index, place) in self.places.iter().enumerate() {
            let (name, is_chosen) = (&place.name, chosen == Some(index));
            let written = match place.kind {
                Kind::Argument => {
                    format!("{}::wire_name(\"{}\", \"{name}\", \"{name}x\")", self.library, self.number(index))
                }
                Kind::Literal if is_chosen => format!("\"{name}x\""),
                Kind::BareQuery if is_chosen => format!("(\"{name}x\") {name}"),
                Kind::Literal | Kind::BareQuery => continue,
            };
            text += &self.whole[done..place.start];
            text += &written;
            done = place.end;
        }
        text + &self.whole[done..]
    }

    /// What tells a name from all others.
    fn number(&self, index: usize) -> String {
        format!("{}:{index}", self.file)
    }
}

/// Every name in a file. Comments, attributes, and tests at the end of the file are left alone.
fn places(whole: &str) -> Vec<Place> {
    let code = whole.find("#[cfg(test)]").unwrap_or(whole.len());
    let mut found = Vec::new();
    let mut offset = 0;
    for (index, line) in whole[..code].split_inclusive('\n').enumerate() {
        if !["//", "#["].iter().any(|mark| line.trim_start().starts_with(mark)) {
            let place = |start: usize, end: usize, name: &str, kind| Place {
                line: index + 1,
                start: offset + start,
                end: offset + end,
                name: name.to_owned(),
                kind,
            };
            found.extend(bare_query(line).map(|(start, name)| place(start, start + name.len(), name, Kind::BareQuery)));
            let literals = literals(line).into_iter();
            found.extend(literals.map(|(start, name, kind)| place(start, start + name.len() + 2, name, kind)));
        }
        offset += line.len();
    }
    found
}

/// The literals of a line that can be names, and where they begin.
fn literals(line: &str) -> Vec<(usize, &str, Kind)> {
    let quotes: Vec<usize> = line.match_indices('"').map(|(at, _)| at).collect();
    let pairs = quotes.chunks_exact(2).map(|pair| (pair[0], &line[pair[0] + 1..pair[1]]));
    pairs
        .filter(|(start, name)| is_name(name) && !NO_NAMES.iter().any(|before| line[..*start].ends_with(before)))
        .map(|(start, name)| {
            let is_argument = ARGUMENTS.iter().any(|call| line[..start].ends_with(call));
            (start, name, if is_argument { Kind::Argument } else { Kind::Literal })
        })
        .collect()
}

/// Header and key, path and resource name: none of them has a blank.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/:{}.".contains(&byte))
}

/// `query limit: Limit` has its name without quotes: where it begins, and the name.
fn bare_query(line: &str) -> Option<(usize, &str)> {
    let row = line.trim_start();
    let name = row.strip_prefix("query ")?.split(':').next()?;
    let is_row = name.bytes().all(|byte| byte.is_ascii_lowercase());
    is_row.then_some((line.len() - row.len() + "query ".len(), name))
}

/// The copy of the workspace in which names are spoiled.
struct Copy {
    folder: PathBuf,
}

/// What is run, the likeliest to notice first: the goldens, then the tests beside the tables.
const TESTS: [&[&str]; 2] = [&["-p", "cas-api", "--test", "it"], &["-p", "cas-api", "-p", "cas-http", "--lib"]];

impl Copy {
    fn table(&self, file: &'static str, library: &'static str) -> Result<Table> {
        let whole = fs::read_to_string(self.folder.join(file)).with_context(|| file.to_owned())?;
        let places = places(&whole);
        ensure!(!places.is_empty(), "{file} has no name of the wire any more");
        Ok(Table { file, library, whole, places })
    }

    fn write(&self, table: &Table, chosen: Option<usize>) -> Result<()> {
        Ok(fs::write(self.folder.join(table.file), table.text(chosen))?)
    }

    /// Whether all tests pass with this name spoiled.
    fn survives(&self, table: &Table, index: usize) -> Result<bool> {
        if table.places[index].kind == Kind::Argument {
            return self.passes(Some(&table.number(index)));
        }
        self.write(table, Some(index))?;
        let passes = self.passes(None);
        self.write(table, None)?;
        passes
    }

    /// Whether all tests pass; those that come after one that fails are not even built.
    ///
    /// What does not build is an error: the compiler noticed then, and no test.
    fn passes(&self, chosen: Option<&str>) -> Result<bool> {
        for tests in TESTS {
            let builds = chosen.is_some() || self.cargo(tests).arg("--no-run").status()?.success();
            ensure!(builds, "the copy in {} does not build", self.folder.display());
            if !self.cargo(tests).env("WIRE_MUTATION", chosen.unwrap_or_default()).status()?.success() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `cargo test` of these tests in the copy, as fast to build as can be.
    fn cargo(&self, tests: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args(["test", "--quiet", "--offline", "--no-default-features"])
            .args(tests)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.with_file_name("target"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// What the tests of the tables need.
const SOURCES: [&str; 7] = [
    "Cargo.toml",
    "Cargo.lock",
    "crates/cas-sign",
    "crates/cas-treehash",
    "crates/cas-http",
    "crates/cas-api",
    "tests/golden",
];

/// Copies the sources, and makes them a small workspace whose tests need nothing but what the values need: it is built a hundred times.
fn copy_sources(root: &Path, copy: &Path) -> Result<()> {
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    for part in SOURCES {
        copy_all(&root.join(part), &copy.join(part)).with_context(|| part.to_owned())?;
    }
    change(&copy.join("Cargo.toml"), |text| with_members(text, "\"crates/cas-api\", \"crates/cas-http\""))?;
    for manifest in ["crates/cas-http/Cargo.toml", "crates/cas-api/Cargo.toml"] {
        change(&copy.join(manifest), without_dev_dependencies)?;
    }
    Ok(())
}

fn change(file: &Path, change: impl FnOnce(&str) -> String) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(fs::write(file, change(&text))?)
}

fn with_members(manifest: &str, members: &str) -> String {
    let lines = manifest.lines().map(|line| match line.starts_with("members = [") {
        true => format!("members = [{members}]\n"),
        false => format!("{line}\n"),
    });
    lines.collect()
}

fn without_dev_dependencies(manifest: &str) -> String {
    let mut inside = false;
    let kept = manifest.split_inclusive('\n').filter(|line| {
        if line.starts_with('[') {
            inside = line.trim_end() == "[dev-dependencies]";
        }
        !inside
    });
    kept.collect()
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() {
        fs::create_dir_all(to.parent().context("a copy has a folder")?)?;
        fs::copy(from, to)?;
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?.path();
        let name = entry.file_name().context("an entry has a name")?;
        copy_all(&entry, &to.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = concat!(
        "/// object.text(\"Marker\")\n",
        "    #[doc(alias = \"etag\")]\n",
        "    let a = object.text(\"Marker\")?.set(\"Size\", \"no name\").ok_or(WireError::missing(\"Size\"));\n",
        "        query limit: Limit,\n",
        "        query(\"statuscode\") status: JobStatus,\n",
        "        Bulk = \"Bulk\",\n",
        "#[cfg(test)]\n",
        "object.text(\"Limit\")\n",
    );

    fn table() -> Table {
        Table { file: "x.rs", library: "crate", whole: TEXT.to_owned(), places: places(TEXT) }
    }

    #[test]
    fn names_in_calls_constants_and_rows_are_found() {
        let found = table().places;
        let names: Vec<_> = found.iter().map(|place| (place.line, place.name.as_str(), place.kind)).collect();
        assert_eq!(
            names,
            [
                (3, "Marker", Kind::Argument),
                (3, "Size", Kind::Argument),
                (4, "limit", Kind::BareQuery),
                (5, "statuscode", Kind::Literal),
                (6, "Bulk", Kind::Literal),
            ]
        );
    }

    #[test]
    fn the_copy_is_a_smaller_workspace() {
        let root = with_members("[workspace]\nmembers = [\"crates/*\"]\nexclude = []\n", "\"a\"");
        assert_eq!(root, "[workspace]\nmembers = [\"a\"]\nexclude = []\n");
        let manifest = "[dependencies]\na = \"1\"\n\n[dev-dependencies]\nb = \"1\"\n\n[[test]]\nname = \"it\"\n";
        assert_eq!(without_dev_dependencies(manifest), "[dependencies]\na = \"1\"\n\n[[test]]\nname = \"it\"\n");
    }

    #[test]
    fn an_argument_is_looked_up_and_all_else_is_as_it_was() {
        let text = table().text(None);
        assert!(text.contains(r#"object.text(crate::wire_name("x.rs:0", "Marker", "Markerx"))?.set("#), "{text}");
        assert_eq!(text.lines().skip(3).collect::<Vec<_>>(), TEXT.lines().skip(3).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_looked_up_is_spoiled_in_the_text() {
        let (bare, literal, word) = (table().text(Some(2)), table().text(Some(3)), table().text(Some(4)));
        assert!(bare.contains(r#"query ("limitx") limit: Limit,"#), "{bare}");
        assert!(literal.contains(r#"query("statuscodex") status"#), "{literal}");
        assert!(word.contains(r#"Bulk = "Bulkx","#), "{word}");
    }
}
