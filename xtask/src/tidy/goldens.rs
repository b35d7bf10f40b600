//! The rule about wire goldens: every row of the operation table has its three files.

use std::collections::BTreeSet;

use super::{Finding, Repository};

/// The table of operations.
const TABLE: &str = "crates/cas-http/src/ops.rs";

/// Where the goldens are, one folder for each operation.
const GOLDEN: &str = "tests/golden/";

/// How many operations the service has. Should the table ever be written in another form, this keeps the rule from passing on nothing.
const OPERATIONS: usize = 22;

pub(super) fn missing_goldens(repository: &Repository) -> Vec<Finding> {
    let operations = operations(repository.text(TABLE).unwrap_or_default());
    let mut findings = Vec::new();
    if operations.len() != OPERATIONS {
        findings.push(Finding::in_file(
            TABLE,
            format!("has {} rows of the form `Name = METHOD \"/path\"`, expected {OPERATIONS}", operations.len()),
        ));
    }
    let folders: BTreeSet<String> = operations.iter().map(|operation| snake_case(operation)).collect();
    for folder in &folders {
        let files = ["request.http", "response.http", "error.http"].map(|file| format!("{GOLDEN}{folder}/{file}"));
        let empty = files.into_iter().filter(|file| repository.text(file).is_none_or(|text| text.trim().is_empty()));
        findings.extend(empty.map(|file| Finding::in_file(&file, "is missing or empty")));
    }
    let there = repository.files.keys().filter_map(|path| path.strip_prefix(GOLDEN)?.split_once('/'));
    let strangers: BTreeSet<&str> =
        there.map(|(folder, _)| folder).filter(|folder| !folders.contains(*folder)).collect();
    findings.extend(
        strangers.iter().map(|folder| Finding::in_file(&format!("{GOLDEN}{folder}"), "belongs to no operation")),
    );
    findings
}

/// The names of the operations: the rows of the table that look like `UploadPart = PUT "/…`.
fn operations(table: &str) -> Vec<&str> {
    let rows = table.lines().filter_map(|line| line.trim().split_once(" = "));
    rows.filter(|(name, rest)| {
        let method = rest.split_once(" \"/").map(|(method, _)| method);
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric())
            && method.is_some_and(|method| method.chars().all(|c| c.is_ascii_uppercase()))
    })
    .map(|(name, _)| name)
    .collect()
}

/// `UploadPart` as `upload_part`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::super::tests::{printed, repository};
    use super::*;

    /// A table of this many operations, with all their goldens.
    fn complete(number: usize) -> Repository {
        let mut table = String::from("//! The table.\nconst A: &str = \"/a\";\noperations! {\n");
        let mut files = Vec::new();
        for letter in (b'A'..).take(number).map(char::from) {
            table += &format!(
                "    /// Does {letter}.\n    Do{letter} = PUT \"/{{uid}}/{letter}\", Safe, Plain {{\n        path vault: VaultName,\n    }}\n"
            );
            let folder = format!("{GOLDEN}do_{}", letter.to_ascii_lowercase());
            files.extend(
                ["request", "response", "error"].map(|name| (format!("{folder}/{name}.http"), "PUT /".to_owned())),
            );
        }
        files.push((TABLE.to_owned(), table));
        repository(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>())
    }

    #[test]
    fn a_full_set_passes() {
        assert_eq!(missing_goldens(&complete(OPERATIONS)), []);
    }

    #[test]
    fn each_missing_or_empty_golden_is_named() {
        for file in ["request.http", "response.http", "error.http"] {
            let path = format!("{GOLDEN}do_c/{file}");
            let expected = [format!("{path}: is missing or empty")];
            let mut repository = complete(OPERATIONS);
            repository.files.insert(path.clone(), Some(" \n".to_owned()));
            assert_eq!(printed(&missing_goldens(&repository)), expected);
            repository.files.remove(&path);
            assert_eq!(printed(&missing_goldens(&repository)), expected);
        }
    }

    #[test]
    fn a_golden_without_an_operation_is_found() {
        let mut repository = complete(OPERATIONS);
        repository.files.insert(format!("{GOLDEN}undo/request.http"), Some(String::new()));
        assert_eq!(printed(&missing_goldens(&repository)), ["tests/golden/undo: belongs to no operation"]);
    }

    #[test]
    fn a_table_that_cannot_be_read_is_no_success() {
        let count = |number| format!("{TABLE}: has {number} rows of the form `Name = METHOD \"/path\"`, expected 22");
        assert_eq!(printed(&missing_goldens(&repository(&[]))), [count(0)]);
        assert_eq!(printed(&missing_goldens(&complete(21))), [count(21)]);
    }

    #[test]
    fn names_become_folders() {
        assert_eq!(snake_case("UploadPart"), "upload_part");
        assert_eq!(snake_case("ListJobs"), "list_jobs");
    }
}
