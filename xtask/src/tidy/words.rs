//! Rules about strings that no file may carry, whatever its kind.

use super::{Finding, Repository};

/// Where paths begin that exist on one machine only. Each is written in two halves, so that this file passes its own rule.
const MACHINE_PATHS: [&str; 6] = [
    concat!("..", "/shared"),
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!(":\\Us", "ers\\"),
];

pub(super) fn machine_paths(repository: &Repository) -> Vec<Finding> {
    in_all_lines(repository, |_, line| {
        let found = MACHINE_PATHS.iter().find(|path| begins_in(line, path))?;
        Some(format!("`{found}` is a place on somebody's machine"))
    })
}

/// Whether a path that begins like this stands in the line, and not in the middle of a longer path.
fn begins_in(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !path.starts_with('/') || !before.is_some_and(|before| before.is_alphanumeric() || "._-~/}>".contains(before))
    })
}

/// The one source that Cargo.lock may name.
const CRATES_IO: &str = r#"source = "registry+https://github.com/rust-lang/crates.io-index""#;

pub(super) fn other_registries(repository: &Repository) -> Vec<Finding> {
    in_all_lines(repository, |path, line| {
        let foreign_source = path.ends_with("Cargo.lock") && line.starts_with("source = ") && line != CRATES_IO;
        let rerouted = (path.ends_with(".toml") && line.trim_start().starts_with("[source."))
            || path.ends_with(".toml") && line.trim_start().starts_with("replace-with")
            || (path.ends_with("Cargo.toml") && (line.contains("registry = ") || line.contains("registry-index = ")));
        let mirror = ["mirror", "mirrors"].iter().any(|host| line.contains(&format!("//{host}.")));
        (foreign_source || rerouted || mirror).then(|| format!("`{}` names another registry", line.trim()))
    })
}

/// How a secret id begins, and how many characters follow.
const KEY: (&str, usize) = ("AKID", 32);

pub(super) fn key_shapes(repository: &Repository) -> Vec<Finding> {
    in_all_lines(repository, |_, line| {
        let is_key = |rest: &str| rest.chars().take_while(char::is_ascii_alphanumeric).count() >= KEY.1;
        let found = line.match_indices(KEY.0).any(|(at, _)| is_key(&line[at + KEY.0.len()..]));
        found.then(|| "a string of the shape of a real secret id".to_owned())
    })
}

/// What `judge`, told path and line, finds in all text files.
fn in_all_lines(repository: &Repository, judge: impl Fn(&str, &str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repository.texts() {
        findings.extend(
            text.lines()
                .enumerate()
                .filter_map(|(index, line)| Some(Finding::in_line(path, index, judge(path, line)?))),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::{printed, repository};
    use super::*;

    #[test]
    fn every_machine_path_is_found_wherever_it_stands() {
        for path in MACHINE_PATHS {
            for line in [format!("see {path}x"), format!("\"{path}x\""), format!("({path}x)"), path.to_owned()] {
                assert_eq!(machine_paths(&repository(&[("notes", &line)])).len(), 1, "{line}");
            }
        }
    }

    #[test]
    fn a_longer_path_with_the_same_word_in_it_is_harmless() {
        for path in MACHINE_PATHS.iter().filter(|path| path.starts_with('/')) {
            for line in
                [format!("docs{path}x"), format!("~{path}x"), format!("{{uid}}{path}x"), "../sharing".to_owned()]
            {
                assert_eq!(machine_paths(&repository(&[("notes", &line)])), [], "{line}");
            }
        }
    }

    #[test]
    fn dependencies_from_elsewhere_are_found() {
        let mirror = format!("fetched from https://{}.example.org/", "mirrors");
        let findings = other_registries(&repository(&[
            ("Cargo.lock", &format!("{CRATES_IO}\nsource = \"git+https://example.org/x\"\n")),
            (".cargo/config.toml", "[alias]\n[source.crates-io]\nreplace-with = \"near\"\n"),
            ("crates/a/Cargo.toml", "a = { version = \"1\", registry = \"near\" }\n"),
            ("docs/a.md", &mirror),
            ("docs/b.md", "the registry = the list; crates.io\n"),
        ]));
        let places: Vec<_> = findings.iter().map(|finding| (finding.path.as_str(), finding.line.unwrap())).collect();
        let expected = [
            (".cargo/config.toml", 2),
            (".cargo/config.toml", 3),
            ("Cargo.lock", 2),
            ("crates/a/Cargo.toml", 1),
            ("docs/a.md", 1),
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn a_key_has_its_full_length() {
        let of_length = |length| format!("id = \"AKID{}\"", "x".repeat(length));
        assert_eq!(
            printed(&key_shapes(&repository(&[("a", &of_length(32))]))),
            ["a:1: a string of the shape of a real secret id"]
        );
        assert_eq!(key_shapes(&repository(&[("a", &of_length(31))])), []);
        assert_eq!(key_shapes(&repository(&[("a", &format!("AKIDtest AKID{}", "y".repeat(40)))])).len(), 1);
    }
}
