//! Rules about what goes with the code: manifests, licences, and the page of dependencies.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Finding, Repository};

const MANIFEST: &str = "Cargo.toml";
const SENTENCES: &str = "docs/dependencies.md";

pub(super) fn dependencies_without_a_sentence(repository: &Repository) -> Vec<Finding> {
    let shared = shared_dependencies(repository.text(MANIFEST).unwrap_or_default());
    let ours: BTreeSet<&str> = repository.packages.iter().map(|package| package.name.as_str()).collect();
    let used: BTreeSet<&str> = repository
        .packages
        .iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| dependency.name.as_str())
        .collect();
    let told = sentences(repository.text(SENTENCES).unwrap_or_default());

    let foreign = |names: &BTreeSet<&str>| names.difference(&ours).map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut findings = Vec::new();
    for name in foreign(&shared.union(&used).copied().collect()) {
        if !told.contains(name.as_str()) {
            findings.push(Finding::in_file(
                SENTENCES,
                format!("no sentence on `{name}`; the line begins \"- `{name}`: \""),
            ));
        }
    }
    for name in foreign(&told) {
        if !shared.contains(name.as_str()) {
            findings
                .push(Finding::in_file(SENTENCES, format!("a sentence on `{name}`, which {MANIFEST} does not list")));
        }
    }
    for name in foreign(&shared) {
        if !used.contains(name.as_str()) {
            findings.push(Finding::in_file(MANIFEST, format!("`{name}` is listed, and no crate uses it")));
        }
    }
    findings
}

/// The names under `[workspace.dependencies]`.
fn shared_dependencies(manifest: &str) -> BTreeSet<&str> {
    let lines = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let entries = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    entries.filter_map(|line| Some(line.split_once(" = ")?.0)).collect()
}

/// The dependencies that have a line of their own on the page: "- `name`: sentence."
fn sentences(page: &str) -> BTreeSet<&str> {
    let entries = page.lines().filter_map(|line| line.strip_prefix("- `")?.split_once("`: "));
    entries.filter(|(_, sentence)| !sentence.trim().is_empty()).map(|(name, _)| name).collect()
}

const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

pub(super) fn incomplete_crates(repository: &Repository) -> Vec<Finding> {
    let published = repository.packages.iter().filter(|package| package.is_published());
    published
        .flat_map(|package| {
            [lacking_papers(&package.name, &package.metadata), lacking_files(repository, &package.name)].concat()
        })
        .collect()
}

/// What the manifest of a published crate leaves out, or says without knowing.
fn lacking_papers(name: &str, metadata: &Value) -> Vec<Finding> {
    let path = format!("crates/{name}/{MANIFEST}");
    let is_empty = |field: &str| match &metadata[field] {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    let mut lacking = Vec::new();
    for field in ["description", "readme", "license", "keywords", "categories", "authors", "rust_version"] {
        if is_empty(field) {
            lacking.push(Finding::in_file(&path, format!("`{field}` is missing")));
        }
    }
    if metadata["metadata"]["docs"]["rs"]["all-features"] != true {
        lacking.push(Finding::in_file(&path, "`[package.metadata.docs.rs]` with `all-features = true` is missing"));
    }
    for field in ["repository", "homepage", "documentation"] {
        if !metadata[field].is_null() {
            lacking.push(Finding::in_file(&path, format!("`{field}` gives an address, but the project has none")));
        }
    }
    lacking
}

/// The files that every published crate carries: its front page, and both licences word for word.
fn lacking_files(repository: &Repository, name: &str) -> Vec<Finding> {
    let mut lacking = Vec::new();
    let readme = format!("crates/{name}/README.md");
    if repository.text(&readme).is_none() {
        lacking.push(Finding::in_file(&readme, "is missing"));
    }
    for licence in LICENCES {
        let copy = format!("crates/{name}/{licence}");
        if repository.text(&copy).is_none() || repository.text(&copy) != repository.text(licence) {
            lacking.push(Finding::in_file(&copy, format!("is not a copy of /{licence}")));
        }
    }
    lacking
}

/// The one crate that cannot inherit the lints: the root forbids unsafe code, and a forbidden lint cannot be allowed again in one module.
const LINTS_OF_ITS_OWN: &str = "crates/cas-treehash/Cargo.toml";

pub(super) fn crates_with_lints_of_their_own(repository: &Repository) -> Vec<Finding> {
    let members = repository
        .texts_ending(MANIFEST)
        .filter(|(path, _)| ![MANIFEST, LINTS_OF_ITS_OWN, "fuzz/Cargo.toml"].contains(path));
    let without = members.filter(|(_, text)| !text.contains("[lints]\nworkspace = true\n"));
    without.map(|(path, _)| Finding::in_file(path, "`[lints] workspace = true` is missing")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{printed, repository};
    use super::*;
    use crate::workspace::Package;
    use serde_json::json;

    const ROOT: &str = "[workspace.package]\nedition = \"2024\"\n\n[workspace.dependencies]\n# Ours.\ncas-sign = { path = \"crates/cas-sign\" }\n\n\
                        hex = { version = \"0.4\" }\nring = \"0.17\"\n\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";

    fn with_package(files: &[(&str, &str)], package: &Value) -> Repository {
        let packages = Package::read_all(&json!({ "packages": [package] })).unwrap();
        Repository { packages, ..repository(files) }
    }

    /// A published crate with all its papers, which uses `hex` and `ring`.
    fn complete() -> Value {
        let edge =
            |name| json!({ "name": name, "kind": null, "req": "1", "uses_default_features": true, "features": [] });
        json!({
            "name": "cas-sign", "features": {}, "dependencies": [edge("hex"), edge("ring")], "publish": null,
            "description": "Signs.", "readme": "README.md", "license": "MIT", "keywords": ["a"], "categories": ["b"], "authors": ["c"],
            "rust_version": "1.95", "metadata": { "docs": { "rs": { "all-features": true } } },
            "repository": null, "homepage": null, "documentation": null,
        })
    }

    const FILES: [(&str, &str); 5] = [
        ("LICENSE-APACHE", "a"),
        ("LICENSE-MIT", "m"),
        ("crates/cas-sign/LICENSE-APACHE", "a"),
        ("crates/cas-sign/LICENSE-MIT", "m"),
        ("crates/cas-sign/README.md", "# cas-sign"),
    ];

    #[test]
    fn each_dependency_has_its_sentence_and_each_sentence_its_dependency() {
        let judged = |page: &str| {
            let repository = with_package(&[(MANIFEST, ROOT), (SENTENCES, page)], &complete());
            printed(&dependencies_without_a_sentence(&repository))
        };
        assert_eq!(judged("# Page\n- `hex`: Saves us.\n- `ring`: Saves us\n  much.\n"), [] as [&str; 0]);
        assert_eq!(
            judged("- `hex`: \n- `ring`: Saves us.\n- `serde`: Saves us.\n"),
            [
                "docs/dependencies.md: no sentence on `hex`; the line begins \"- `hex`: \"",
                "docs/dependencies.md: a sentence on `serde`, which Cargo.toml does not list",
            ]
        );
    }

    #[test]
    fn a_dependency_that_only_a_member_lists_needs_its_sentence_too() {
        let root = ROOT.replace("hex = { version = \"0.4\" }\n", "");
        let repository = with_package(&[(MANIFEST, &root), (SENTENCES, "- `ring`: Saves us.\n")], &complete());
        let expected = ["docs/dependencies.md: no sentence on `hex`; the line begins \"- `hex`: \""];
        assert_eq!(printed(&dependencies_without_a_sentence(&repository)), expected);
    }

    #[test]
    fn a_listed_dependency_that_nobody_uses_is_found() {
        let root = ROOT.replace("ring =", "rayon = \"1\"\nring =");
        let page = "- `hex`: A.\n- `rayon`: B.\n- `ring`: C.\n";
        let repository = with_package(&[(MANIFEST, &root), (SENTENCES, page)], &complete());
        assert_eq!(
            printed(&dependencies_without_a_sentence(&repository)),
            ["Cargo.toml: `rayon` is listed, and no crate uses it"]
        );
    }

    #[test]
    fn a_complete_crate_passes() {
        assert_eq!(incomplete_crates(&with_package(&FILES, &complete())), []);
    }

    #[test]
    fn each_missing_paper_is_named() {
        for field in ["description", "readme", "license", "keywords", "categories", "authors", "rust_version"] {
            for empty in [json!(null), json!(""), json!([])] {
                let mut package = complete();
                package[field] = empty;
                let expected = [format!("crates/cas-sign/Cargo.toml: `{field}` is missing")];
                assert_eq!(printed(&incomplete_crates(&with_package(&FILES, &package))), expected);
            }
        }
        let mut package = complete();
        package["metadata"] = json!(null);
        assert_eq!(incomplete_crates(&with_package(&FILES, &package)).len(), 1);
    }

    #[test]
    fn an_invented_address_is_refused() {
        for field in ["repository", "homepage", "documentation"] {
            let mut package = complete();
            package[field] = json!("https://example.org");
            let expected =
                [format!("crates/cas-sign/Cargo.toml: `{field}` gives an address, but the project has none")];
            assert_eq!(printed(&incomplete_crates(&with_package(&FILES, &package))), expected);
        }
    }

    #[test]
    fn a_missing_front_page_and_a_changed_licence_are_found() {
        let mut files = FILES;
        files[3].1 = "changed";
        let findings = incomplete_crates(&with_package(&files[..4], &complete()));
        let expected =
            ["crates/cas-sign/README.md: is missing", "crates/cas-sign/LICENSE-MIT: is not a copy of /LICENSE-MIT"];
        assert_eq!(printed(&findings), expected);
    }

    #[test]
    fn what_is_not_published_needs_no_papers() {
        let package = json!({ "name": "xtask", "features": {}, "dependencies": [], "publish": [] });
        assert_eq!(incomplete_crates(&with_package(&[], &package)), []);
    }

    #[test]
    fn a_crate_that_does_not_inherit_the_lints_is_found() {
        let inherits = "[package]\n\n[lints]\nworkspace = true\n";
        let own = "[package]\n\n[lints.rust]\nmissing_docs = \"warn\"\n";
        let findings = crates_with_lints_of_their_own(&repository(&[
            (MANIFEST, ROOT),
            ("crates/cas-sign/Cargo.toml", inherits),
            ("crates/cas-http/Cargo.toml", own),
            (LINTS_OF_ITS_OWN, own),
        ]));
        assert_eq!(printed(&findings), ["crates/cas-http/Cargo.toml: `[lints] workspace = true` is missing"]);
    }
}
