//! The test that `docs/emulator.md` shows, as a crate of somebody else would have it.

use cas_emulator::Emulator;
use cas_objects::cas_api::cas_http::{Client, VaultName};
use cas_objects::{Account, Source};

#[tokio::test]
async fn a_backup_comes_back() -> Result<(), Box<dyn std::error::Error>> {
    let emulator = Emulator::start().await?;
    let client = Client::builder().endpoint(emulator.endpoint()).credentials(emulator.credentials()).build()?;
    let vault = Account::new(client).create_vault("backups".parse::<VaultName>()?).await?;
    let stored = vault.upload_archive(Source::bytes("my data")?).await?;
    let mut job = vault.retrieve_archive(&stored.archive_id).await?;
    job.wait().await?;
    assert_eq!(job.archive_tree_hash, Some(stored.tree_hash));
    Ok(())
}

#[test]
fn the_manual_shows_this_test() {
    let (_, this) = include_str!("downstream.rs").split_once("\n\n").unwrap();
    let (shown, _) = this.split_once("\n#[test]").unwrap();
    assert!(include_str!("../../docs/emulator.md").contains(shown), "{shown}");
}
