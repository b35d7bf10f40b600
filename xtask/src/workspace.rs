//! The workspace as the tasks see it: where it lies, what is in it, and how to run cargo there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The checkout that this program was built from.
pub(crate) struct Workspace {
    root: PathBuf,
    cargo: OsString,
}

impl Workspace {
    /// Finds the workspace around this package, and the cargo that started us.
    pub(crate) fn here() -> Self {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&package).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        Self { root, cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A cargo command in the workspace's root, as if typed there.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cargo);
        command.args(arguments).current_dir(&self.root);
        // `cargo xtask` tells us about the package xtask through the environment. Handed on, this would tell build scripts that watch
        // such variables (ring's does) that the world has changed, and every change between shell and xtask would rebuild half the tree.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(describes_one_package) {
                command.env_remove(name);
            }
        }
        command
    }

    /// The members of the workspace, as `cargo metadata` describes them.
    ///
    /// # Errors
    ///
    /// When cargo cannot read a manifest, or `Cargo.lock` is not up to date.
    pub(crate) fn packages(&self) -> Result<Vec<Package>> {
        let json = output(&mut self.cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]))?;
        Package::read_all(&serde_json::from_str(&json).context("cargo metadata did not print JSON")?)
    }
}

/// Whether cargo sets this variable for one package only, in contrast to those that a person sets for all of cargo.
fn describes_one_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_FEATURE_", "CARGO_CFG_"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&variable)
}

/// One member of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// Each feature with what it turns on, as written in the manifest.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// The whole entry, for questions about the papers of a package.
    pub(crate) metadata: Value,
}

/// One edge out of a package.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The accepted versions; `*` for a dependency that names only a path.
    pub(crate) versions: String,
    pub(crate) default_features: bool,
    pub(crate) features: Vec<String>,
}

/// What a dependency is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Package {
    /// Reads the packages out of what `cargo metadata` prints.
    ///
    /// # Errors
    ///
    /// When a field that the checks need is missing or is not what it was; the message names it.
    pub(crate) fn read_all(metadata: &Value) -> Result<Vec<Self>> {
        list(metadata, "packages")?.iter().map(Self::read).collect()
    }

    fn read(metadata: &Value) -> Result<Self> {
        let name = text(metadata, "name")?;
        let features = metadata["features"].as_object().context("metadata: `features` is missing")?;
        Ok(Self {
            dependencies: list(metadata, "dependencies")?
                .iter()
                .map(Dependency::read)
                .collect::<Result<_>>()
                .with_context(|| format!("dependencies of {name}"))?,
            features: features.iter().map(|(feature, turns_on)| (feature.clone(), strings(turns_on))).collect(),
            name,
            metadata: metadata.clone(),
        })
    }

    /// Whether the package is meant for the registry.
    pub(crate) fn is_published(&self) -> bool {
        self.metadata["publish"].is_null()
    }

    /// Whether turning this feature on turns on `goal` too, directly or by way of others.
    pub(crate) fn feature_implies(&self, feature: &str, goal: &str) -> bool {
        let mut seen = vec![feature];
        let mut next = 0;
        while let Some(feature) = seen.get(next).copied() {
            if feature == goal {
                return true;
            }
            for turned_on in self.features.get(feature).into_iter().flatten() {
                if !seen.contains(&turned_on.as_str()) {
                    seen.push(turned_on);
                }
            }
            next += 1;
        }
        false
    }
}

impl Dependency {
    fn read(metadata: &Value) -> Result<Self> {
        Ok(Self {
            name: text(metadata, "name")?,
            kind: match metadata["kind"].as_str() {
                None => Kind::Normal,
                Some("build") => Kind::Build,
                Some("dev") => Kind::Dev,
                Some(other) => bail!("metadata: a dependency of the unknown kind `{other}`"),
            },
            versions: text(metadata, "req")?,
            default_features: metadata["uses_default_features"]
                .as_bool()
                .context("metadata: `uses_default_features` is missing")?,
            features: strings(&metadata["features"]),
        })
    }
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    value[field].as_array().with_context(|| format!("metadata: the list `{field}` is missing"))
}

fn text(value: &Value, field: &str) -> Result<String> {
    Ok(value[field].as_str().with_context(|| format!("metadata: the text `{field}` is missing"))?.to_owned())
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(String::from).collect()
}

/// Runs a command in the open: its line is printed first, its output goes to the terminal.
///
/// # Errors
///
/// When it cannot be started or does not end well; the message carries the line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("   $ {}", line(command));
    let status = command.status().with_context(|| format!("`{}` could not be started", line(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs a command and gives what it printed; what it complains of still goes to the terminal.
///
/// # Errors
///
/// As for [`run`], and when the output is not UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("`{}` could not be started", line(command)))?;
    if !output.status.success() {
        bail!("`{}` ended with {}", line(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed something else than UTF-8", line(command)))
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program()).to_string_lossy();
    command.get_args().fold(program.into_owned(), |line, argument| line + " " + &argument.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_feature_implies_what_its_features_imply() {
        let metadata = json!({ "packages": [{ "name": "a", "dependencies": [], "features": {
            "client": ["dep:hyper"], "tls": ["client", "loop"], "loop": ["tls"], "roots": ["tls"], "values": ["other/client"],
        }}]});
        let package = &Package::read_all(&metadata).unwrap()[0];
        assert!(package.feature_implies("client", "client"));
        assert!(package.feature_implies("roots", "client"));
        assert!(!package.feature_implies("values", "client"));
    }

    #[test]
    fn metadata_of_another_shape_is_refused_by_name() {
        let metadata =
            json!({ "packages": [{ "name": "a", "features": {}, "dependencies": [{ "name": "b", "kind": null }] }] });
        let error = Package::read_all(&metadata).unwrap_err();
        assert_eq!(format!("{error:#}"), "dependencies of a: metadata: the text `req` is missing");
    }

    #[test]
    fn what_cargo_says_of_one_package_is_kept_from_the_next_cargo() {
        for variable in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_PRIMARY_PACKAGE"] {
            assert!(describes_one_package(variable), "{variable}");
        }
        for variable in
            ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL", "CARGO_BUILD_JOBS", "RUSTUP_TOOLCHAIN", "PATH"]
        {
            assert!(!describes_one_package(variable), "{variable}");
        }
    }

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command.args(["fmt", "--all"]);
        assert_eq!(line(&command), "cargo fmt --all");
    }
}
