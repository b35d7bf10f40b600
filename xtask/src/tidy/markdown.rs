//! Rules about Markdown pages: what they link to and which files they name is there.

use std::collections::BTreeSet;

use super::{Finding, Repository};

pub(super) fn dead_links(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repository.texts_ending(".md") {
        for (index, line) in prose(text) {
            let dead = links(&line)
                .into_iter()
                .filter_map(|link| Some(format!("{link}: {}", why_dead(repository, path, &link)?)));
            findings.extend(dead.map(|what| Finding::in_line(path, index, what)));
        }
    }
    findings
}

/// The lines outside code blocks with their index, and without code inside them.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then(|| (index, line.split('`').step_by(2).collect()))
    })
}

/// Where the links of a line lead: `[text](target)`, `[text](<target> "title")` and `[label]: target`.
fn links(line: &str) -> Vec<String> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let definition = line.strip_prefix('[').and_then(|line| line.split_once("]: ")).map(|(_, target)| target);
    inline.chain(definition).map(|target| target.trim_matches(['<', '>', ' ']).to_owned()).collect()
}

/// What is wrong with a link in this file. Addresses on the web and paths of items, which rustdoc checks, are not ours to judge.
fn why_dead(repository: &Repository, file: &str, link: &str) -> Option<&'static str> {
    if link.contains("://") || link.contains("::") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { Some(file.to_owned()) } else { beside(file, path) };
    let Some(target) = target.filter(|target| repository.exists(target)) else { return Some("there is no such file") };
    let has_anchor = |page: &str| page.lines().any(|line| line.starts_with('#') && anchor_of(line) == anchor);
    let missing = !anchor.is_empty() && repository.text(&target).is_some_and(|page| !has_anchor(page));
    missing.then_some("there is no such heading")
}

/// The path from the root that `link` means in `file`; none when it leaves the repository.
fn beside(file: &str, link: &str) -> Option<String> {
    let mut folders: Vec<&str> = file.split('/').collect();
    folders.pop();
    for step in link.trim_end_matches('/').split('/') {
        match step {
            "." => {}
            ".." => drop(folders.pop()?),
            "" => return None,
            name => folders.push(name),
        }
    }
    Some(folders.join("/"))
}

/// The anchor under which a heading can be reached.
fn anchor_of(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Pages that tell what once was: files named there may be gone.
const HISTORY: [&str; 2] = ["CHANGELOG.md", "docs/decisions/"];

pub(super) fn missing_files(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    let pages =
        repository.texts_ending(".md").filter(|(path, _)| !HISTORY.iter().any(|history| path.starts_with(history)));
    for (path, text) in pages {
        for (index, line) in text.lines().enumerate() {
            let missing: BTreeSet<_> =
                named_files(line).into_iter().filter(|name| !is_there(repository, path, name)).collect();
            let what = |name| format!("{name}: there is no such file");
            findings.extend(missing.into_iter().map(|name| Finding::in_line(path, index, what(name))));
        }
    }
    findings
}

/// The words of a line that are paths in this repository, written from its root or from `crates/`.
fn named_files(line: &str) -> Vec<&str> {
    let in_path = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    let mut named = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(in_path) {
        let word_and_rest = &rest[start..];
        let length = word_and_rest.find(|c| !in_path(c)).unwrap_or(word_and_rest.len());
        let (word, after) = word_and_rest.split_at(length);
        // `<name>`, `{a,b}`, `*` and `…` stand for something else: such a word is a pattern.
        let is_pattern = rest[..start].ends_with(['<', '{', '*', '…', '>', '}', '$'])
            || after.starts_with(['<', '{', '*', '…', '>', '}']);
        if !is_pattern && is_path(word) {
            named.push(word.trim_end_matches('.'));
        }
        rest = after;
    }
    named
}

fn is_path(word: &str) -> bool {
    let in_root =
        ["crates/", "xtask/", "tests/", "docs/", "fuzz/", ".ci/"].iter().any(|folder| word.starts_with(folder));
    let in_crate = ["/src/", "/tests/", "/benches/", "/examples/"].iter().any(|folder| word.contains(folder));
    in_root || (word.starts_with("cas-") && in_crate)
}

/// Whether a path is there, seen from the root, from `crates/`, or from the page's own folder.
fn is_there(repository: &Repository, page: &str, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    repository.exists(path)
        || repository.exists(&format!("crates/{path}"))
        || beside(page, path).is_some_and(|path| repository.exists(&path))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{printed, repository};
    use super::*;

    #[test]
    fn a_dead_link_is_found_and_a_living_one_is_not() {
        let page = "See [a](../README.md), [b](errors.md#kinds-and-causes), [c](errors.md#none), [d](<missing.md> \"title\"),\n\
                    [`T`](../crates) and [web](https://example.org/x), [item](crate::Item), [up](../../outside.md), [abs](/docs/errors.md)\n\
                    `[code](nowhere.md)`\n```text\n[code](nowhere.md)\n```\n[label]: gone.md\n[here](#top) [there](#bottom)\n# Top\n";
        let findings = dead_links(&repository(&[
            ("README.md", ""),
            ("docs/page.md", page),
            ("docs/errors.md", "# Errors\n## Kinds, and *causes*\n"),
            ("crates/a/src/lib.rs", ""),
        ]));
        let expected = [
            "docs/page.md:1: errors.md#none: there is no such heading",
            "docs/page.md:1: missing.md: there is no such file",
            "docs/page.md:2: ../../outside.md: there is no such file",
            "docs/page.md:2: /docs/errors.md: there is no such file",
            "docs/page.md:7: gone.md: there is no such file",
            "docs/page.md:8: #bottom: there is no such heading",
        ];
        assert_eq!(printed(&findings), expected);
    }

    #[test]
    fn a_page_names_only_files_that_are_there() {
        let page = "`crates/cas-http/src/ops.rs`, cas-http/src/ops.rs, and [`crates/cas-http/src/gone.rs`](crates/cas-http/src/gone.rs).\n\
                    ```text\n  │  cas-http/src/lost.rs   a picture\n```\n\
                    tests/golden/<operation>/request.http, crates/*/src, crates/{a,b}/src, the feature cas-http/client, docs/ and docs/page.md.\n\
                    https://docs.rs/crates/none and https://example.org/docs/none\n";
        let findings = missing_files(&repository(&[
            ("docs/page.md", page),
            ("docs/decisions/1.md", "crates/cas-http/src/gone.rs"),
            ("CHANGELOG.md", "crates/cas-http/src/gone.rs"),
            ("crates/cas-http/src/ops.rs", ""),
            ("crates/cas-http/README.md", "tests/it/main.rs tests/it/none.rs"),
            ("crates/cas-http/tests/it/main.rs", ""),
        ]));
        let expected = [
            "crates/cas-http/README.md:1: tests/it/none.rs: there is no such file",
            "docs/page.md:1: crates/cas-http/src/gone.rs: there is no such file",
            "docs/page.md:3: cas-http/src/lost.rs: there is no such file",
        ];
        assert_eq!(printed(&findings), expected);
    }
}
