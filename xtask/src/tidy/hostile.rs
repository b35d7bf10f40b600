//! The rule about hostile answers: each kind that docs/testing.md lists has a test named for its number, and no test is named for another.

use std::collections::BTreeSet;

use super::{Finding, Repository};

/// The page with the list.
const PAGE: &str = "docs/testing.md";

/// The numbers there are. Those left out are trouble on this side, a file that changes say, which has tests without a number.
fn numbers() -> BTreeSet<u32> {
    (1..=28).chain([40]).collect()
}

pub(super) fn unnumbered_trouble(repository: &Repository) -> Vec<Finding> {
    let listed: BTreeSet<u32> =
        repository.text(PAGE).unwrap_or_default().lines().filter_map(|line| number_of(line, "| C", " |")).collect();
    let is_test = |path: &str| path.starts_with("tests/") || (path.starts_with("crates/") && path.contains("/tests/"));
    let sources = repository.texts_ending(".rs").filter(|(path, _)| is_test(path));
    let tested: BTreeSet<u32> = sources
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| {
            let line = line.trim_start();
            number_of(line.strip_prefix("async ").unwrap_or(line), "fn c", "_")
        })
        .collect();
    let mut findings = Vec::new();
    for number in numbers().difference(&listed) {
        findings.push(Finding::in_file(PAGE, format!("no row begins `| C{number} |`")));
    }
    for number in listed.union(&numbers()).filter(|number| !tested.contains(number)) {
        findings.push(Finding::in_file(PAGE, format!("no test has a name that begins `c{number}_`")));
    }
    for number in tested.difference(&listed) {
        findings
            .push(Finding::in_file(PAGE, format!("a test is named `c{number}_…`, and no row begins `| C{number} |`")));
    }
    findings
}

/// The number between these two at the beginning of a line.
fn number_of(line: &str, before: &str, after: &str) -> Option<u32> {
    line.strip_prefix(before)?.split_once(after)?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{printed, repository};
    use super::*;

    fn page(numbers: impl IntoIterator<Item = u32>) -> String {
        numbers.into_iter().map(|number| format!("| C{number} | trouble | a file |\n")).collect()
    }

    fn tests(numbers: impl IntoIterator<Item = u32>) -> String {
        numbers
            .into_iter()
            .map(|number| format!("    async fn c{number}_of_it() {{}}\nfn c{number}_more() {{}}\n"))
            .collect()
    }

    fn findings(page: &str, tests: &str) -> Vec<String> {
        printed(&unnumbered_trouble(&repository(&[(PAGE, page), ("crates/a/tests/it/hostile.rs", tests)])))
    }

    #[test]
    fn a_number_without_a_row_or_a_test_is_found() {
        assert!(findings(&page(numbers()), &tests(numbers())).is_empty());
        let without = |missing| numbers().into_iter().filter(move |&number| number != missing);
        assert_eq!(
            findings(&page(numbers()), &tests(without(16))),
            ["docs/testing.md: no test has a name that begins `c16_`"]
        );
        assert_eq!(
            findings(&page(without(40)), &tests(numbers())),
            [
                "docs/testing.md: no row begins `| C40 |`",
                "docs/testing.md: a test is named `c40_…`, and no row begins `| C40 |`"
            ]
        );
        assert_eq!(findings(&page(numbers()), "").len(), numbers().len());
    }

    #[test]
    fn only_tests_count() {
        let (page, tests) = (page(numbers()), tests(numbers()));
        let elsewhere = repository(&[(PAGE, &page), ("crates/a/src/lib.rs", &tests)]);
        assert_eq!(unnumbered_trouble(&elsewhere).len(), numbers().len());
    }
}
