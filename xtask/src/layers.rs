//! `cargo xtask ci layers`: which crate may use which, and how much each may bring along.
//!
//! Two looks at the same question. [`violations`] reads the manifests and judges every edge between our own crates. [`Diet`] reads what
//! cargo resolved and judges everybody else's crates: how many come along, and which must not.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, Result, bail};

use crate::ci::Outcome;
use crate::workspace::{Dependency, Kind, Package, Workspace, output};

/// The layers, lowest first. Each uses only those before it.
const LAYERS: [&str; 5] = ["cas-sign", "cas-treehash", "cas-http", "cas-api", "cas-objects"];

/// The server. It speaks the protocol from the other end.
const EMULATOR: &str = "cas-emulator";

/// What the server shares with the client: these layers without their `client` feature, which makes them values only.
const HALVED: [&str; 2] = ["cas-http", "cas-api"];

/// The feature of the halved layers that adds connections.
const CLIENT: &str = "client";

/// Programs and tests. They use, and are used by nobody.
const TOPS: [&str; 3] = ["cas-cli", "cas-tests", "xtask"];

/// The rules about edges between our own crates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    LayerOrder,
    ServerSide,
    ValuesOnly,
    NothingAbove,
    NobodyUsesTops,
    TasksStandApart,
    DevEdges,
    DevPathOnly,
    EveryCrateHasAPlace,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LayerOrder => "a layer uses only the layers below it, in the order cas-sign, cas-treehash, cas-http, cas-api, cas-objects",
            Self::ServerSide => "cas-emulator uses cas-sign, cas-treehash, cas-http and cas-api: it knows nothing of the objects above them",
            Self::ValuesOnly => {
                "cas-emulator uses cas-http and cas-api as values: without default features and without any that brings the client"
            }
            Self::NothingAbove => "cas-cli and cas-tests use the layers and cas-emulator, and nothing else of ours",
            Self::NobodyUsesTops => "nothing depends on cas-cli, cas-tests or xtask",
            Self::TasksStandApart => "xtask checks the crates and so uses none of them",
            Self::DevEdges => "a dev-dependency goes where a dependency may go, or to cas-emulator",
            Self::DevPathOnly => {
                "a layer names cas-emulator by its path alone in dev-dependencies: publishing then leaves the edge out, which would else be a circle"
            }
            Self::EveryCrateHasAPlace => "every crate has a place in the order: give a new one its place in xtask/src/layers.rs",
        })
    }
}

/// One edge that should not be there.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    package: String,
    rule: Rule,
    found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}\n    rule: {}", self.package, self.found, self.rule)
    }
}

/// Runs both looks on the workspace.
///
/// # Errors
///
/// When a rule is broken; the message lists every breach with its rule.
pub(crate) fn check(workspace: &Workspace) -> Result<Outcome> {
    let packages = workspace.packages()?;
    // Edges first: a wrong one can make a circle, and then cargo cannot tell what it would resolve.
    refuse(&violations(&packages).iter().map(Violation::to_string).collect::<Vec<_>>())?;
    let mut excesses = Vec::new();
    for diet in DIETS {
        excesses.extend(diet.judge(&diet.tree(workspace, &packages)?));
    }
    refuse(&excesses)?;
    Ok(Outcome::Passed)
}

fn refuse(breaches: &[String]) -> Result<()> {
    if !breaches.is_empty() {
        bail!("{}", breaches.join("\n"));
    }
    Ok(())
}

/// Every edge between these packages that breaks a rule, and every package the rules do not know.
fn violations(packages: &[Package]) -> Vec<Violation> {
    packages.iter().flat_map(|package| violations_of(package, packages)).collect()
}

fn violations_of(package: &Package, packages: &[Package]) -> Vec<Violation> {
    let Some(place) = Place::of(&package.name) else {
        let found = "is in the workspace but in no place".to_owned();
        return vec![Violation { package: package.name.clone(), rule: Rule::EveryCrateHasAPlace, found }];
    };
    let mut found = Vec::new();
    for dependency in &package.dependencies {
        let Some(target) = packages.iter().find(|other| other.name == dependency.name) else { continue };
        let broken = place.broken_by(dependency).or_else(|| values_only(package, dependency, target));
        found.extend(broken.map(|rule| Violation { package: package.name.clone(), rule, found: describe(dependency) }));
    }
    found.extend(client_by_feature(package, packages));
    found
}

/// Where a crate stands: what it may use, and the rule that says so.
struct Place {
    may_use: Vec<&'static str>,
    rule: Rule,
}

impl Place {
    fn of(package: &str) -> Option<Self> {
        if let Some(height) = LAYERS.iter().position(|layer| *layer == package) {
            return Some(Self { may_use: LAYERS[..height].to_vec(), rule: Rule::LayerOrder });
        }
        Some(match package {
            EMULATOR => Self { may_use: LAYERS[..4].to_vec(), rule: Rule::ServerSide },
            "cas-cli" | "cas-tests" => Self { may_use: [&LAYERS[..], &[EMULATOR]].concat(), rule: Rule::NothingAbove },
            "xtask" => Self { may_use: Vec::new(), rule: Rule::TasksStandApart },
            _ => return None,
        })
    }

    /// The rule that an edge from here breaks, if any.
    fn broken_by(&self, edge: &Dependency) -> Option<Rule> {
        let target = edge.name.as_str();
        if self.may_use.contains(&target) {
            return None;
        }
        if TOPS.contains(&target) {
            return Some(Rule::NobodyUsesTops);
        }
        if edge.kind != Kind::Dev || self.rule == Rule::TasksStandApart {
            return Some(self.rule);
        }
        if target != EMULATOR {
            return Some(Rule::DevEdges);
        }
        (edge.versions != "*").then_some(Rule::DevPathOnly)
    }
}

/// Whether the server asks a shared layer for its client half. Its tests may: they need somebody to talk to.
fn values_only(package: &Package, edge: &Dependency, target: &Package) -> Option<Rule> {
    let shared = package.name == EMULATOR && edge.kind != Kind::Dev && HALVED.contains(&edge.name.as_str());
    let asks = edge.default_features || edge.features.iter().any(|feature| target.feature_implies(feature, CLIENT));
    (shared && asks).then_some(Rule::ValuesOnly)
}

/// Features of the server that would turn on the client half of a shared layer by way of `layer/feature`.
fn client_by_feature(package: &Package, packages: &[Package]) -> Vec<Violation> {
    if package.name != EMULATOR {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (feature, turns_on) in &package.features {
        for (layer, wanted) in turns_on.iter().filter_map(|value| value.split_once('/')) {
            let layer = layer.trim_end_matches('?');
            let brings_client = packages.iter().any(|other| {
                HALVED.contains(&layer)
                    && other.name == layer
                    && (wanted == "default" || other.feature_implies(wanted, CLIENT))
            });
            if brings_client {
                let found_here = format!("has the feature `{feature}`, which turns on {layer}/{wanted}");
                found.push(Violation { package: package.name.clone(), rule: Rule::ValuesOnly, found: found_here });
            }
        }
    }
    found
}

fn describe(edge: &Dependency) -> String {
    let kind = match edge.kind {
        Kind::Normal => "depends on",
        Kind::Build => "build-depends on",
        Kind::Dev => "dev-depends on",
    };
    let features = match (edge.default_features, edge.features.join(", ")) {
        (true, named) if named.is_empty() => " with its default features".to_owned(),
        (true, named) => format!(" with its default features and {named}"),
        (false, named) if named.is_empty() => String::new(),
        (false, named) => format!(" with the features {named}"),
    };
    format!("{kind} {}{features}", edge.name)
}

/// What a crate may bring along from elsewhere.
struct Diet {
    package: &'static str,
    features: Features,
    /// At most this many crates, the package itself counted in.
    at_most: usize,
    never: &'static [&'static str],
}

/// Which features are on while a diet is looked at.
#[derive(Clone, Copy, Debug)]
enum Features {
    Fewest,
    All,
    /// Every one that leaves the client half off.
    WithoutClient,
}

/// No bound on the number of crates: only on which.
const ANY_NUMBER: usize = usize::MAX;

const DIETS: &[Diet] = &[
    // A signature is strings and keys; whoever wants only that gets nothing else (ring and its build are eight of these).
    Diet { package: "cas-sign", features: Features::Fewest, at_most: 12, never: &[] },
    Diet { package: "cas-sign", features: Features::All, at_most: 20, never: &["tokio", "hyper", "serde"] },
    // Bytes and digests.
    Diet { package: "cas-treehash", features: Features::Fewest, at_most: 10, never: &["serde", "rayon"] },
    Diet {
        package: "cas-treehash",
        features: Features::All,
        at_most: ANY_NUMBER,
        never: &["tokio", "hyper", "futures"],
    },
    // Values only: for the emulator, and for those who have an HTTP stack of their own.
    Diet {
        package: "cas-http",
        features: Features::WithoutClient,
        at_most: ANY_NUMBER,
        never: &["tokio", "hyper", "hyper-util"],
    },
    Diet {
        package: "cas-api",
        features: Features::WithoutClient,
        at_most: ANY_NUMBER,
        never: &["tokio", "hyper", "hyper-util"],
    },
];

impl Diet {
    /// What cargo resolves for this package, one crate a line. The platform is fixed, so that every machine counts the same.
    fn tree(&self, workspace: &Workspace, packages: &[Package]) -> Result<String> {
        let package = packages.iter().find(|package| package.name == self.package);
        let package = package.with_context(|| format!("{} is not in the workspace", self.package))?;
        let features = self.features.named_of(package).join(",");
        let flags: &[&str] = match self.features {
            Features::All => &["--all-features"],
            Features::Fewest | Features::WithoutClient => &["--no-default-features", "--features", &features],
        };
        let fixed = ["tree", "--locked", "--package", self.package, "--edges", "normal,build", "--prefix", "none"];
        let platform = ["--target", "x86_64-unknown-linux-gnu"];
        output(&mut workspace.cargo(&[&fixed[..], &platform, flags].concat()))
    }

    /// What is wrong with this tree: lines of a crate's name and version and whatever else cargo adds, repeated ones counted once.
    fn judge(&self, tree: &str) -> Vec<String> {
        let crates: BTreeSet<(&str, &str)> = tree
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                Some((words.next()?, words.next()?))
            })
            .collect();
        let mut wrong = Vec::new();
        if crates.is_empty() {
            wrong.push(format!("{}: cargo tree shows nothing, so nothing was checked", self.package));
        }
        if crates.len() > self.at_most {
            let names: Vec<_> = crates.iter().map(|(name, _)| *name).collect();
            let (number, most) = (crates.len(), self.at_most);
            wrong.push(format!(
                "{} {} brings {number} crates, at most {most} were agreed: {}",
                self.package,
                self.features,
                names.join(", ")
            ));
        }
        for (name, version) in crates.iter().filter(|(name, _)| self.never.contains(name)) {
            wrong.push(format!("{} {} brings {name} {version}, which it must never need", self.package, self.features));
        }
        wrong
    }
}

impl Features {
    /// The features of this package to name on the command line.
    fn named_of(self, package: &Package) -> Vec<&str> {
        match self {
            Self::Fewest | Self::All => Vec::new(),
            Self::WithoutClient => package
                .features
                .keys()
                .map(String::as_str)
                .filter(|feature| !package.feature_implies(feature, CLIENT))
                .collect(),
        }
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fewest => "with the fewest features",
            Self::All => "with all features",
            Self::WithoutClient => "without its client feature",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A workspace in which every place is taken and every edge is in order.
    fn good() -> Vec<Value> {
        let values = |name| edge(name, &[("uses_default_features", json!(false))]);
        vec![
            package("cas-sign", &[edge("ring", &[])]),
            package("cas-treehash", &[]),
            package("cas-http", &[edge("cas-sign", &[]), edge("cas-treehash", &[]), dev_by_path("cas-emulator")]),
            package("cas-api", &[edge("cas-http", &[]), edge("cas-sign", &[("kind", json!("build"))])]),
            package("cas-objects", &[edge("cas-api", &[]), edge("cas-treehash", &[]), dev_by_path("cas-emulator")]),
            package(
                "cas-emulator",
                &[edge("cas-sign", &[]), edge("cas-treehash", &[]), values("cas-http"), values("cas-api")],
            ),
            package("cas-cli", &[edge("cas-objects", &[]), edge("cas-sign", &[]), edge("cas-emulator", &[])]),
            package("cas-tests", &[edge("cas-objects", &[]), edge("cas-emulator", &[])]),
            package("xtask", &[edge("anyhow", &[])]),
        ]
    }

    fn package(name: &str, dependencies: &[Value]) -> Value {
        json!({ "name": name, "dependencies": dependencies,
            "features": { "default": ["tls"], "tls": ["client"], "client": [], "serde": [] } })
    }

    fn edge(name: &str, changes: &[(&str, Value)]) -> Value {
        let mut edge =
            json!({ "name": name, "kind": null, "req": "^0.1.0", "uses_default_features": true, "features": [] });
        for (field, value) in changes {
            edge[*field] = value.clone();
        }
        edge
    }

    fn dev(name: &str) -> Value {
        edge(name, &[("kind", json!("dev"))])
    }

    fn dev_by_path(name: &str) -> Value {
        edge(name, &[("kind", json!("dev")), ("req", json!("*"))])
    }

    fn judged(packages: &[Value]) -> Vec<Violation> {
        violations(&Package::read_all(&json!({ "packages": packages })).unwrap())
    }

    /// What the rules say once `from` has this edge on top of the good ones.
    fn with_edge(from: &str, edge: Value) -> Vec<(String, Rule)> {
        let mut packages = good();
        let package = packages.iter_mut().find(|package| package["name"] == from).unwrap();
        package["dependencies"].as_array_mut().unwrap().push(edge);
        judged(&packages).into_iter().map(|violation| (violation.package, violation.rule)).collect()
    }

    #[test]
    fn the_good_workspace_passes() {
        assert_eq!(judged(&good()), []);
    }

    #[test]
    fn every_edge_upwards_between_layers_is_refused() {
        for (height, lower) in LAYERS.iter().enumerate() {
            for upper in &LAYERS[height + 1..] {
                for kind in [json!(null), json!("build")] {
                    let broken = with_edge(lower, edge(upper, &[("kind", kind)]));
                    assert_eq!(broken, [((*lower).to_owned(), Rule::LayerOrder)], "{lower} → {upper}");
                }
                assert_eq!(with_edge(upper, edge(lower, &[])), [], "{upper} → {lower}");
            }
        }
    }

    #[test]
    fn a_layer_that_uses_the_emulator_outside_its_tests_is_refused() {
        for layer in LAYERS {
            assert_eq!(with_edge(layer, edge("cas-emulator", &[])), [(layer.to_owned(), Rule::LayerOrder)]);
        }
    }

    #[test]
    fn dev_dependencies_go_down_or_to_the_emulator_only() {
        assert_eq!(with_edge("cas-sign", dev("cas-http")), [("cas-sign".to_owned(), Rule::DevEdges)]);
        assert_eq!(with_edge("cas-api", dev("cas-objects")), [("cas-api".to_owned(), Rule::DevEdges)]);
        assert_eq!(with_edge("cas-emulator", dev("cas-objects")), [("cas-emulator".to_owned(), Rule::DevEdges)]);
        assert_eq!(with_edge("cas-api", dev("cas-http")), []);
        assert_eq!(with_edge("cas-api", dev_by_path("cas-emulator")), []);
    }

    #[test]
    fn a_dev_dependency_on_the_emulator_with_a_version_is_refused() {
        assert_eq!(with_edge("cas-api", dev("cas-emulator")), [("cas-api".to_owned(), Rule::DevPathOnly)]);
    }

    #[test]
    fn the_emulator_may_not_use_the_objects() {
        assert_eq!(
            with_edge("cas-emulator", edge("cas-objects", &[])),
            [("cas-emulator".to_owned(), Rule::ServerSide)]
        );
    }

    #[test]
    fn the_emulator_may_not_ask_for_the_client_half() {
        let without_defaults =
            |features| edge("cas-http", &[("uses_default_features", json!(false)), ("features", features)]);
        let refused = [("cas-emulator".to_owned(), Rule::ValuesOnly)];
        assert_eq!(with_edge("cas-emulator", edge("cas-http", &[])), refused);
        assert_eq!(with_edge("cas-emulator", edge("cas-api", &[])), refused);
        assert_eq!(with_edge("cas-emulator", without_defaults(json!(["client"]))), refused);
        assert_eq!(with_edge("cas-emulator", without_defaults(json!(["serde", "tls"]))), refused);
        assert_eq!(with_edge("cas-emulator", without_defaults(json!(["serde"]))), []);
        assert_eq!(with_edge("cas-emulator", dev("cas-http")), [], "its tests may");
    }

    #[test]
    fn a_feature_of_the_emulator_may_not_bring_the_client_half() {
        for (turns_on, refused) in [
            ("cas-http/client", true),
            ("cas-api?/tls", true),
            ("cas-api/default", true),
            ("cas-http/serde", false),
            ("hyper/client", false),
        ] {
            let mut packages = good();
            packages[5]["features"] = json!({ "extra": [turns_on] });
            let rules: Vec<_> = judged(&packages).into_iter().map(|violation| violation.rule).collect();
            assert_eq!(rules, if refused { vec![Rule::ValuesOnly] } else { vec![] }, "{turns_on}");
        }
    }

    #[test]
    fn nothing_may_use_the_programs_and_the_tests() {
        for top in TOPS {
            for from in ["cas-sign", "cas-objects", "cas-emulator", "cas-cli", "cas-tests", "xtask"] {
                assert_eq!(
                    with_edge(from, edge(top, &[])),
                    [(from.to_owned(), Rule::NobodyUsesTops)],
                    "{from} → {top}"
                );
                assert_eq!(with_edge(from, dev(top)), [(from.to_owned(), Rule::NobodyUsesTops)], "{from} → {top}");
            }
        }
    }

    #[test]
    fn xtask_may_not_use_what_it_checks() {
        assert_eq!(with_edge("xtask", edge("cas-http", &[])), [("xtask".to_owned(), Rule::TasksStandApart)]);
        assert_eq!(with_edge("xtask", dev_by_path("cas-emulator")), [("xtask".to_owned(), Rule::TasksStandApart)]);
    }

    #[test]
    fn a_new_crate_needs_a_place() {
        let mut packages = good();
        packages.push(package("cas-utils", &[]));
        assert_eq!(judged(&packages)[0].rule, Rule::EveryCrateHasAPlace);
    }

    #[test]
    fn a_violation_names_edge_and_rule() {
        let mut packages = good();
        packages[0]["dependencies"] = json!([edge("cas-http", &[("features", json!(["test-util"]))])]);
        assert_eq!(
            judged(&packages)[0].to_string(),
            "cas-sign depends on cas-http with its default features and test-util\n    rule: a layer uses only the layers below it, \
             in the order cas-sign, cas-treehash, cas-http, cas-api, cas-objects"
        );
    }

    const TREE: &str = "cas-sign v0.1.0 (crates/cas-sign)\nring v0.17.14\ncfg-if v1.0.0\nring v0.17.14 (*)\nserde_derive v1.0.0 (proc-macro)\n";

    #[test]
    fn a_crate_counts_once_however_often_the_tree_shows_it() {
        let diet = |at_most| Diet { package: "cas-sign", features: Features::Fewest, at_most, never: &["serde"] };
        assert_eq!(diet(4).judge(TREE), [] as [&str; 0]);
        assert_eq!(
            diet(3).judge(TREE),
            [
                "cas-sign with the fewest features brings 4 crates, at most 3 were agreed: cas-sign, cfg-if, ring, serde_derive"
            ]
        );
    }

    #[test]
    fn a_crate_that_must_not_come_along_is_named() {
        let diet =
            Diet { package: "cas-sign", features: Features::All, at_most: ANY_NUMBER, never: &["tokio", "ring"] };
        assert_eq!(diet.judge(TREE), ["cas-sign with all features brings ring v0.17.14, which it must never need"]);
    }

    #[test]
    fn an_empty_tree_is_no_success() {
        assert_eq!(DIETS[0].judge(""), ["cas-sign: cargo tree shows nothing, so nothing was checked"]);
    }

    #[test]
    fn without_client_means_every_feature_that_does_not_bring_it() {
        let packages = Package::read_all(&json!({ "packages": [package("cas-http", &[])] })).unwrap();
        assert_eq!(Features::WithoutClient.named_of(&packages[0]), ["serde"]);
    }
}
