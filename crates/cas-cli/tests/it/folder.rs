//! A folder in which `cas` runs, and what came of a run.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder, the environment of the programs that run in it, and all they have ever printed.
pub(crate) struct Folder {
    dir: TempDir,
    variables: Vec<(String, String)>,
    printed: RefCell<String>,
}

impl Folder {
    /// An empty folder and an environment without keys.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder { dir, variables: Vec::new(), printed: RefCell::default() };
        let home = folder.path("home");
        std::fs::create_dir(&home).unwrap();
        folder.set("HOME", home.to_str().unwrap());
        folder.set("PATH", &std::env::var_os("PATH").unwrap_or_default().to_string_lossy());
        folder.set("CAS_METADATA_DISABLED", "true");
        folder
    }

    /// The same, with keys and an endpoint in the environment.
    pub(crate) fn with_keys(endpoint: &str, secret_id: &str, secret_key: &str) -> Self {
        let mut folder = Folder::new();
        folder.set("CAS_ENDPOINT", endpoint);
        folder.set("TENCENTCLOUD_SECRET_ID", secret_id);
        folder.set("TENCENTCLOUD_SECRET_KEY", secret_key);
        folder
    }

    /// Sets a variable for all further runs.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// A command in this folder and environment, with no terminal anywhere.
    pub(crate) fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(self.dir.path()).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `cas` with the words of a line.
    pub(crate) fn cas(&self, line: &str) -> Run {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `cas` with these words, which may hold blanks.
    pub(crate) fn run(&self, words: &[&str]) -> Run {
        self.finish(words.join(" "), self.command(CAS, words).output().unwrap())
    }

    /// Runs a line as somebody would who pasted it into a shell.
    pub(crate) fn paste(&self, line: &str) -> Run {
        let mut command = self.command("sh", &["-c", line]);
        let folder = PathBuf::from(CAS).parent().unwrap().to_string_lossy().into_owned();
        command.env("PATH", format!("{folder}:/usr/bin:/bin"));
        self.finish(line.to_owned(), command.output().unwrap())
    }

    /// What came of a process that ran in this folder. It must not have printed a secret.
    #[track_caller]
    pub(crate) fn finish(&self, line: String, output: std::process::Output) -> Run {
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        for secret in self.secrets(&line) {
            assert!(
                !stdout.contains(&secret) && !stderr.contains(&secret),
                "cas {line} tells {secret}\n{stdout}{stderr}"
            );
        }
        self.printed.borrow_mut().extend([stdout.as_str(), stderr.as_str()]);
        Run { line, code: output.status.code(), stdout, stderr }
    }

    /// What the environment and a line give away to the program, and what only `cas sign` is there to print.
    fn secrets(&self, line: &str) -> Vec<String> {
        let is_secret = |name: &str| name.contains("SECRET_KEY") || name.contains("TOKEN");
        let words: Vec<&str> = line.split_whitespace().collect();
        let options = words.windows(2).filter(|pair| ["--secret-key", "--token", "--signing-key"].contains(&pair[0]));
        let set = self.variables.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value.clone());
        let mut secrets: Vec<String> = set.chain(options.map(|pair| pair[1].to_owned())).collect();
        if !words.contains(&"sign") {
            secrets.push("q-signature=".to_owned());
        }
        // What is shorter than any real secret may stand anywhere by chance.
        secrets.retain(|secret| secret.len() >= 8);
        secrets
    }

    /// All that was printed by all runs.
    pub(crate) fn printed(&self) -> String {
        self.printed.borrow().clone()
    }
}

/// The program under test.
pub(crate) const CAS: &str = env!("CARGO_BIN_EXE_cas");

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Run {
    line: String,
    code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// It must have done what it was asked.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ends_with(0)
    }

    /// It must have ended with this exit code.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "cas {}\n{}{}", self.line, self.stdout, self.stderr);
        self
    }

    /// It must have said this on standard error.
    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "cas {}: {text:?} is not in\n{}", self.line, self.stderr);
        self
    }

    /// It must have said this on standard output.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "cas {}: {text:?} is not in\n{}", self.line, self.stdout);
        self
    }

    /// The one JSON object on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("cas {}: {error} in\n{}", self.line, self.stdout))
    }

    /// The one JSON object on standard error.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        serde_json::from_str(&self.stderr)
            .unwrap_or_else(|error| panic!("cas {}: {error} in\n{}", self.line, self.stderr))
    }
}

/// The text under a key.
#[track_caller]
pub(crate) fn text(json: &Value, key: &str) -> String {
    json[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {json}")).to_owned()
}

/// Bytes of which no MiB is like another, with published tree hashes: byte i is 31·(i mod 256) + 7·⌊i / 1 MiB⌋.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (31 * (i % 256) + 7 * (i >> 20)).to_le_bytes()[0]).collect()
}

/// How many bytes of the pattern most tests use, 6.5 MiB, and the tree hash of all and of those from 4 MiB to 6 MiB.
pub(crate) const SIZE: usize = 6_815_744;
pub(crate) const TREE_HASH: &str = "f444c8acf99f44ebb8dd5b7a3ea3aba603b79ab90071611ee2e89ec1970f4a25";
pub(crate) const SHA256: &str = "a7f6a86b0a1bc2cca89a6b009e6965c7096a4c7258488141746ed64e05ed02a7";
pub(crate) const RANGE: &str = "4194304-6291455";
pub(crate) const RANGE_TREE_HASH: &str = "a83b66c19f7ef84ef0cbed9d9ea028134e7e36aa69f5b4c5abd2937f13fc9c49";
