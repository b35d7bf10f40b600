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
        let found = format!("has {} rows of the form `fn name: Name = …`, expected {OPERATIONS}", operations.len());
        findings.push(Finding::in_file(TABLE, found));
    }
    for operation in &operations {
        let files = ["request.http", "response.http", "error.http"].map(|file| format!("{GOLDEN}{operation}/{file}"));
        let empty = files.into_iter().filter(|file| repository.text(file).is_none_or(|text| text.trim().is_empty()));
        findings.extend(empty.map(|file| Finding::in_file(&file, "is missing or empty")));
    }
    let folders: BTreeSet<&str> =
        repository.files.keys().filter_map(|path| Some(path.strip_prefix(GOLDEN)?.split_once('/')?.0)).collect();
    let strangers = folders.difference(&operations);
    findings.extend(strangers.map(|folder| Finding::in_file(&format!("{GOLDEN}{folder}"), "belongs to no operation")));
    findings
}

/// The operations' names in snake case: the rows of the table, which look like `fn upload_part: UploadPart = …`.
fn operations(table: &str) -> BTreeSet<&str> {
    let rows = table.lines().filter_map(|line| line.trim().strip_prefix("fn ")?.split_once(": "));
    rows.filter(|(_, rest)| {
        rest.split_once(" =").is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric()))
    })
    .map(|(function, _)| function)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{printed, repository};
    use super::*;

    /// A table of this many operations, with all their goldens.
    fn complete(number: usize) -> Repository {
        let mut table =
            String::from("//! The table.\nfn helper(text: &str) -> bool { text == \"=\" }\noperations! {\n");
        let mut files = Vec::new();
        for letter in ('a'..='z').take(number) {
            table += &format!(
                "    /// Acts.\n    fn do_{letter}: Do{letter} =\n        PUT \"/{letter}\", Safe, Plain {{\n    path vault: VaultName,\n    }}\n"
            );
            let golden = |name| (format!("{GOLDEN}do_{letter}/{name}.http"), "PUT /".to_owned());
            files.extend(["request", "response", "error"].map(golden));
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
        let count = |number| format!("{TABLE}: has {number} rows of the form `fn name: Name = …`, expected 22");
        assert_eq!(printed(&missing_goldens(&repository(&[]))), [count(0)]);
        assert_eq!(printed(&missing_goldens(&complete(21))), [count(21)]);
    }
}
