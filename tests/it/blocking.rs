//! The main story told without async: every step is waited for.

use anyhow::Result;
use cas_http::{Blocking, MIB, PartSize};
use cas_objects::Source;
use cas_tests::Rig;

#[test]
fn a_user_without_async_stores_and_restores() -> Result<()> {
    let blocking = Blocking::new()?;
    let rig = blocking.wait(Rig::start())?;
    let vault = blocking.wait(rig.vault("photos"))?;
    let (path, bytes) = rig.file("source", 5_000_001)?;
    let upload = vault.upload_archive(Source::open(&path)?).threshold(MIB).part_size(PartSize::MIN);
    let stored = blocking.wait(upload)?;
    assert_eq!(stored.parts, 5);

    let mut job = blocking.wait(vault.retrieve_archive(&stored.archive_id))?;
    blocking.wait(job.wait())?;
    let target = rig.folder.path().join("back");
    let back = blocking.wait(job.download_to_file(&target).slice_size(PartSize::MIN))?;
    assert_eq!(back.tree_hash, stored.tree_hash);
    assert_eq!(std::fs::read(&target)?, bytes);

    let vaults = blocking.wait(cas_api::Pages::collect_all(rig.account.api().list_vaults()))?;
    assert_eq!(vaults.len(), 1);
    blocking.wait(async { anyhow::Ok(rig.emulator.shutdown().await?) })
}
