//! The rule about the page of errors: every kind has its row.

use super::{Finding, Repository};

/// The page, with a section for each crate: "## `cas_http::ErrorKind`".
const PAGE: &str = "docs/errors.md";

pub(super) fn kinds_without_a_row(repository: &Repository) -> Vec<Finding> {
    let page = repository.text(PAGE).unwrap_or_default();
    let mut findings = Vec::new();
    for (path, text) in repository.texts_ending("/src/error.rs") {
        let Some(kinds) = kinds(text) else { continue };
        let name = path.split('/').nth(1).unwrap_or_default().replace('-', "_");
        let rows = section(page, &format!("## `{name}::ErrorKind`"));
        let missing = kinds.into_iter().filter(|kind| !has_row(rows, kind));
        findings
            .extend(missing.map(|kind| Finding::in_file(PAGE, format!("no row for `{kind}` of {name}::ErrorKind"))));
    }
    findings
}

/// The variants of the enum `ErrorKind`, if the file has one.
fn kinds(text: &str) -> Option<Vec<&str>> {
    let body = text.split_once("pub enum ErrorKind {\n")?.1.split_once("\n}").map_or("", |(body, _)| body);
    let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = variants.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    Some(names.filter_map(|line| line.split(['(', ',', ' ']).next()).collect())
}

/// What stands under a heading, up to the next of the same rank.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let below = page.split_once(&format!("{heading}\n")).map_or("", |(_, below)| below);
    below.split("\n## ").next().unwrap_or_default()
}

fn has_row(section: &str, kind: &str) -> bool {
    section.lines().any(|line| {
        line.strip_prefix("| `").and_then(|row| row.strip_prefix(kind)).is_some_and(|rest| rest.starts_with(['`', '(']))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{printed, repository};
    use super::*;

    const KINDS: &str = "/// Kinds.\npub enum ErrorKind {\n    /// One.\n    Tls,\n    /// Two.\n    Timeout(TimeLimit),\n}\n\nenum Other {\n    None,\n}\n";

    fn findings(page: &str) -> Vec<String> {
        printed(&kinds_without_a_row(&repository(&[("crates/cas-http/src/error.rs", KINDS), (PAGE, page)])))
    }

    #[test]
    fn a_row_for_each_kind_passes() {
        let page =
            "# Errors\n\n## `cas_http::ErrorKind`\n\n| `Tls` | x | y |\n| `Timeout(Head)` | x | y |\n\n## More\n";
        assert_eq!(findings(page), [""; 0]);
    }

    #[test]
    fn a_kind_whose_row_is_missing_or_in_another_section_is_found() {
        let page = "## `cas_http::ErrorKind`\n\n| `TlsVersion` | x | y |\n\n## `cas_api::ErrorKind`\n\n| `Timeout(kind)` | x | y |\n";
        let missing = |kind| format!("{PAGE}: no row for `{kind}` of cas_http::ErrorKind");
        assert_eq!(findings(page), [missing("Tls"), missing("Timeout")]);
    }
}
