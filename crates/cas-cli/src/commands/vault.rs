//! `cas vault`: creates, lists, shows and deletes vaults.

use cas_api::VaultDescription;
use cas_http::{Timestamp, VaultName};
use cas_objects::Vault;
use futures::TryStreamExt;
use serde_json::{Value, json};

use crate::cli::{DeleteVaultArgs, GlobalOptions};
use crate::exit::Failure;
use crate::output::Align::{Left, Right};
use crate::output::{Output, Table};
use crate::session::{self, Session};
use crate::units;

pub(crate) async fn create(name: &VaultName, session: &Session, output: Output) -> Result<(), Failure> {
    let vault = Vault::create(session.api(), name).await?;
    output.result(&json(&vault), format_args!("vault {name} is ready"))
}

pub(crate) async fn list(session: &Session, output: Output) -> Result<(), Failure> {
    let vaults: Vec<Vault> = Vault::list_all_vaults(session.api()).try_collect().await?;
    let json = json!({"vaults": vaults.iter().map(json).collect::<Vec<_>>()});
    if vaults.is_empty() {
        return output.result(&json, "no vaults");
    }
    let mut table =
        Table::with_head(&[Left, Left, Right, Right, Left], &["VAULT", "CREATED", "ARCHIVES", "SIZE", "AS OF"]);
    for vault in &vaults {
        table.row([
            vault.name().to_string(),
            seconds(vault.creation_date()),
            vault.number_of_archives().map_or_else(unknown, |count| count.to_string()),
            vault.size().map_or_else(unknown, units::size),
            seconds(vault.last_inventory_date()),
        ]);
    }
    output.result(&json, table)
}

pub(crate) async fn show(name: &VaultName, session: &Session, output: Output) -> Result<(), Failure> {
    let vault = Vault::get_vault_by_name(session.api(), name).await?;
    let facts = Table::of_facts([
        ("vault", vault.name().to_string()),
        ("created", seconds(vault.creation_date())),
        ("archives", vault.number_of_archives().map_or_else(unknown, |count| count.to_string())),
        ("size", vault.size().map_or_else(unknown, units::exact_size)),
        ("as of", seconds(vault.last_inventory_date())),
        ("resource", vault.qcs().unwrap_or("-").to_owned()),
    ]);
    output.result(&json(&vault), facts)
}

pub(crate) async fn delete(args: &DeleteVaultArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let name = &args.vault.vault;
    if !args.yes {
        output.confirm(format_args!("delete the vault {name}"))?;
    }
    session::with(global, output, async |session| {
        Vault::delete_vault_by_name(session.api(), name).await?;
        output.result(&json!({"vault": name.as_str(), "deleted": true}), format_args!("vault {name} is deleted"))
    })
    .await
}

fn json(vault: &Vault) -> Value {
    vault.description().map_or_else(|| json!({"vault": vault.name().as_str()}), description_json)
}

fn description_json(vault: &VaultDescription) -> Value {
    json!({
        "vault": vault.name.as_str(),
        "resource": vault.qcs,
        "creation_date": vault.creation_date.to_string(),
        "last_inventory_date": vault.last_inventory_date.map(|date| date.to_string()),
        "number_of_archives": vault.number_of_archives,
        "size_in_bytes": vault.size_in_bytes,
    })
}

/// A time without its fraction.
pub(crate) fn seconds(time: Option<Timestamp>) -> String {
    time.map_or_else(unknown, Timestamp::to_whole_seconds)
}

fn unknown() -> String {
    "-".to_owned()
}
