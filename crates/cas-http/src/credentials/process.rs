//! Credentials that another program prints.

use std::fmt;
use std::process::Stdio;

use cas_sign::Credentials;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::{CredentialsError, ProvideCredentials, temporary};
use crate::call::BoxFuture;
use crate::json::JsonObject;

/// A program that prints a JSON object with `SecretId`, `SecretKey` and, for temporary credentials, `Token` and `Expiration` (RFC 3339).
/// The names of the instance metadata, `TmpSecretId` and so on, are understood too.
///
/// It is started without a shell and without input; what it prints as error goes where ours goes. When the wait for it is given up it is
/// killed.
#[derive(Clone)]
pub struct Process {
    program: String,
    arguments: Vec<String>,
}

const NAME: &str = "process";
const MAX_OUTPUT: u64 = 64 * 1024;

impl Process {
    /// This program with these arguments.
    pub fn new<A: Into<String>>(program: impl Into<String>, arguments: impl IntoIterator<Item = A>) -> Self {
        Process { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }

    async fn run(&self) -> Result<Credentials, CredentialsError> {
        let broken = |why: &str| CredentialsError::broken(NAME, format!("{:?} {why}", self.program));
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| broken("could not be started").caused_by(error))?;
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let read = stdout.take(MAX_OUTPUT).read_to_end(&mut output).await;
            read.map_err(|error| broken("could not be read").caused_by(error))?;
        }
        let status = child.wait().await.map_err(|error| broken("could not be waited for").caused_by(error))?;
        if !status.success() {
            return Err(broken(&format!("ended with {status}")));
        }
        // What it printed is not shown: it may be half a secret.
        let object = JsonObject::from_slice(&output).map_err(|_| broken("printed no JSON object"))?;
        temporary::read(NAME, &object)
    }
}

impl ProvideCredentials for Process {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(self.run())
    }
}

/// Arguments are left out: one may be a secret.
impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("program", &self.program).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Result<Credentials, CredentialsError> {
        Process::new("sh", ["-c", script]).provide().await
    }

    #[tokio::test]
    async fn what_a_program_prints_is_read() {
        let json = r#"{"SecretId":"i","SecretKey":"k","Token":"t","Expiration":"2023-11-14T22:13:20Z"}"#;
        let credentials = shell(&format!("echo '{json}'")).await.unwrap();
        assert_eq!((credentials.secret_id().as_str(), credentials.expires_at()), ("i", Some(1_700_000_000)));
    }

    #[tokio::test]
    async fn a_program_that_fails_is_an_error_without_its_output() {
        let error = shell("echo hunter2; exit 3").await.unwrap_err();
        assert_eq!(error.to_string(), r#"process: "sh" ended with exit status: 3"#);
        let error = shell("echo hunter2").await.unwrap_err();
        assert_eq!(error.to_string(), r#"process: "sh" printed no JSON object"#);
        let error = Process::new("/no/such/program", [""; 0]).provide().await.unwrap_err();
        assert!(!error.is_absent());
    }
}
