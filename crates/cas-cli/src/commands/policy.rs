//! `cas policy`: shows, sets and deletes who may do what with a vault.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use cas_api::policy::Policy;
use cas_http::VaultName;
use cas_http::document::AccessPolicy;
use serde_json::{Value, json};

use crate::cli::{DeleteVaultArgs, GlobalOptions, SetPolicyArgs};
use crate::exit::{Failure, Problem};
use crate::output::Output;
use crate::session::{self, Session};

pub(crate) async fn show(name: &VaultName, session: &Session, output: Output) -> Result<(), Failure> {
    let policy = session.api().get_vault_access_policy(name).await?.policy;
    let document: Value = serde_json::from_str(policy.as_str())?;
    output.result(&json!({"vault": name.as_str(), "policy": document}), format_args!("{document:#}"))
}

pub(crate) async fn set(args: &SetPolicyArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let name = &args.vault.vault;
    let policy = read(&args.file)?;
    session::with(global, output, async |session| {
        session.api().set_vault_access_policy(name, policy).await?;
        output.result(&json!({"vault": name.as_str(), "set": true}), format_args!("vault {name} has the policy"))
    })
    .await
}

pub(crate) async fn delete(args: &DeleteVaultArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let name = &args.vault.vault;
    if !args.yes {
        output.confirm(format_args!("delete the policy of the vault {name}"))?;
    }
    session::with(global, output, async |session| {
        session.api().delete_vault_access_policy(name).await?;
        output.result(&json!({"vault": name.as_str(), "deleted": true}), format_args!("vault {name} has no policy now"))
    })
    .await
}

/// Reads a policy and looks at every statement of it, so that a mistake is told before anything is sent.
fn read(file: &Path) -> Result<AccessPolicy, Failure> {
    let name = if file == Path::new("-") { "standard input".into() } else { file.display().to_string() };
    let text = read_text(file).map_err(|error| Failure::from(error).doing(format!("{name} cannot be read")))?;
    let wrong = |why: String| Failure::from(Problem::Input(format!("{name} holds no access policy: {why}")));
    let policy = AccessPolicy::parse(text).map_err(|error| wrong(error.to_string()))?;
    Policy::from_document(&policy).map_err(|error| wrong(error.to_string()))?;
    Ok(policy)
}

/// The text of a file, or of standard input where it is `-`, up to a size that no policy has.
fn read_text(file: &Path) -> io::Result<String> {
    const MAX: u64 = 1 << 20;
    let input: Box<dyn Read> = if file == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    let mut text = String::new();
    if input.take(MAX + 1).read_to_string(&mut text)? as u64 > MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 1 MiB"));
    }
    Ok(text)
}
