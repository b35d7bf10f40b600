//! What a user does with archives, with both ends in one process: up, down, verified, resumed.

use anyhow::Result;
use bytes::Bytes;
use cas_api::{JobAction, Pages};
use cas_http::document::{InventoryFormat, JobStatus, Tier};
use cas_http::{ByteRange, Description, MIB, PartSize, RetrievalRange};
use cas_objects::{ErrorKind, Progress, Source, Verification};
use cas_tests::{Rig, data};
use cas_treehash::{ContentSha256, TreeHash};
use futures::TryStreamExt;

#[tokio::test]
async fn a_small_archive_goes_up_in_one_request_and_comes_back_equal() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let bytes = data(3_000_000);
    let stored = vault.upload_archive(Source::bytes(bytes.clone())?).await?;
    assert_eq!((stored.size, stored.parts, stored.upload_id.as_ref()), (3_000_000, 1, None));
    assert_eq!(stored.sha256, Some(ContentSha256::of(&bytes)));
    assert_eq!(stored.tree_hash, TreeHash::of(&bytes));

    let mut job = vault.retrieve_archive(&stored.archive_id).tier(Tier::Standard).await?;
    job.wait().await?;
    let path = rig.folder.path().join("back");
    let back = job.download_to_file(&path).await?;
    assert_eq!((back.size, back.tree_hash, back.verification), (stored.size, stored.tree_hash, Verification::TreeHash));
    assert_eq!(std::fs::read(&path)?, bytes);
    assert_eq!(std::fs::read_dir(rig.folder.path())?.count(), 1, "nothing is left beside the file");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_archive_goes_up_in_parallel_parts_and_comes_back_in_parallel_ranges() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let (path, bytes) = rig.file("source", 21_234_567)?;
    let progress = Progress::new();
    let stored = vault
        .upload_archive(Source::file(&path).await?)
        .threshold(MIB)
        .part_size(PartSize::from_bytes(2 * MIB)?)
        .description(Description::parse("报告 2024/Q1~a+b")?)
        .progress(&progress)
        .await?;
    assert_eq!((stored.parts, stored.parts_sent, stored.tree_hash), (11, 11, TreeHash::of(&bytes)));
    let seen = progress.snapshot();
    assert_eq!(
        (seen.done_bytes, seen.total_bytes, seen.done_parts, seen.resumed_bytes),
        (21_234_567, 21_234_567, 11, 0)
    );
    assert_eq!(vault.list_all_multipart_uploads().try_collect::<Vec<_>>().await?, [], "the upload is gone");

    let mut job = vault.archive(&stored.archive_id).initiate_archive_retrieval().await?;
    job.wait().await?;
    assert_eq!((job.archive_size, job.archive_tree_hash), (Some(stored.size), Some(stored.tree_hash)));
    let target = rig.folder.path().join("back");
    let back = job.download_to_file(&target).slice_size(PartSize::MIN).slices_in_flight(3).await?;
    assert_eq!((back.slices, back.slices_fetched, back.verification), (21, 21, Verification::TreeHash));
    assert_eq!(std::fs::read(&target)?, bytes);
    Ok(())
}

#[tokio::test]
async fn a_range_of_an_archive_comes_back_alone() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let bytes = data(5 * 1024 * 1024 + 17);
    let stored = vault.upload_archive(Source::bytes(bytes.clone())?).await?;
    for (range, verification) in [
        ("1048576-2097151", Verification::TreeHash),
        ("1048576-3145727", Verification::LengthOnly),
        ("4194304-", Verification::TreeHash),
    ] {
        let mut job = vault.retrieve_archive(&stored.archive_id).range(range.parse::<RetrievalRange>()?).await?;
        job.wait().await?;
        let path = rig.folder.path().join("back");
        let back = job.download_to_file(&path).overwrite(true).await?;
        let selected = job.range.unwrap();
        assert_eq!(back.verification, verification, "{range}");
        let (start, end) = (usize::try_from(selected.start())?, usize::try_from(selected.end())?);
        assert_eq!(std::fs::read(&path)?, bytes[start..=end], "{range}");
    }
    Ok(())
}

#[tokio::test]
async fn part_of_an_output_goes_into_any_writer() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let bytes = data(2_500_000);
    let stored = vault.upload_archive(Source::bytes(bytes.clone())?).await?;
    let mut job = vault.retrieve_archive(&stored.archive_id).await?;
    job.wait().await?;
    let mut written = Vec::new();
    let read = job.download_by_range(ByteRange::new(1, 100)?, &mut written).await?;
    assert_eq!((read.size, read.verification), (100, Verification::LengthOnly));
    assert_eq!(written, bytes[1..=100]);
    written.clear();
    let read = job.download_by_range(ByteRange::new(1 << 20, (2 << 20) - 1)?, &mut written).await?;
    assert_eq!(read.verification, Verification::TreeHash);
    assert_eq!(written, bytes[1 << 20..2 << 20]);
    Ok(())
}

#[tokio::test]
async fn an_inventory_names_every_archive_in_both_forms() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let mut stored = Vec::new();
    for (name, len) in [("one", 5), ("two, \"quoted\"", 1_500_000)] {
        let upload = vault.upload_archive(Source::bytes(data(len))?).description(Description::parse(name)?);
        stored.push((upload.await?, name));
    }
    for format in [InventoryFormat::Json, InventoryFormat::Csv] {
        let mut job = vault.initiate_retrieve_inventory().format(format.clone()).await?;
        job.wait().await?;
        assert_eq!(job.action, JobAction::InventoryRetrieval);
        let mut entries = Vec::new();
        job.read_inventory(|entry| entries.push(entry)).await?;
        assert_eq!(entries.len(), 2, "{format}");
        for (archive, name) in &stored {
            let entry = entries.iter().find(|entry| entry.archive_id == archive.archive_id).unwrap();
            assert_eq!(
                (entry.size, entry.tree_hash, entry.description.as_str()),
                (archive.size, Some(archive.tree_hash), *name),
                "{format}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_vault_is_created_listed_described_and_deleted() -> Result<()> {
    let rig = Rig::start().await?;
    for name in ["b", "a", "c"] {
        rig.vault(name).await?;
    }
    let again = rig.vault("a").await?;
    assert!(again.creation_date().is_some());
    let names: Vec<String> = rig.account.vaults().map_ok(|vault| vault.name().to_string()).try_collect().await?;
    assert_eq!(names, ["a", "b", "c"]);
    let paged: Vec<_> = rig.account.api().list_vaults().limit(cas_http::Limit::new(1)?).items().try_collect().await?;
    assert_eq!(paged.len(), 3, "pages of one vault each");

    let stored = again.upload_archive(Source::bytes(Bytes::from_static(b"hello"))?).await?;
    let refused = again.delete().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Api(cas_api::ErrorKind::Refused));
    assert_eq!(refused.api().unwrap().code(), Some("BadRequest"));
    again.delete_archive(&stored.archive_id).await?;
    again.delete().await?;
    let gone = cas_objects::Vault::get_vault_by_name(rig.account.api(), again.name()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Api(cas_api::ErrorKind::NotFound));
    Ok(())
}

#[tokio::test]
async fn an_upload_that_was_left_goes_on_with_what_is_missing() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let (path, bytes) = rig.file("source", 5 * 1024 * 1024 + 1)?;
    let upload = vault.initiate_multipart_upload(PartSize::MIN, None).await?;
    // An earlier run sent part 0 and part 4, and part 2 of an earlier version of the file.
    let api = rig.account.api();
    for (index, part) in [(0, bytes[..1 << 20].to_vec()), (2, data(1 << 20)), (4, bytes[4 << 20..5 << 20].to_vec())] {
        let range = ByteRange::with_len(index * MIB, MIB)?;
        api.upload_part(vault.name(), upload.id(), range, ContentSha256::of(&part), TreeHash::of(&part), part).await?;
    }
    let seen = vault.multipart_upload(upload.id()).await?;
    assert_eq!((seen.parts().len(), seen.size_completed()), (3, 3 * MIB));

    let progress = Progress::new();
    let stored = seen.resume(Source::open(&path)?).progress(&progress).await?;
    assert_eq!((stored.parts, stored.parts_sent, stored.tree_hash), (6, 4, TreeHash::of(&bytes)));
    assert_eq!(progress.snapshot().resumed_bytes, 2 * MIB);
    let mut job = vault.retrieve_archive(&stored.archive_id).await?;
    job.wait().await?;
    let target = rig.folder.path().join("back");
    job.download_to_file(&target).await?;
    assert_eq!(std::fs::read(&target)?, bytes);
    Ok(())
}

#[tokio::test]
async fn an_upload_of_something_else_is_not_resumed() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let upload = vault.initiate_multipart_upload(PartSize::MIN, None).await?;
    let part = data(1 << 20);
    let range = ByteRange::with_len(3 * MIB, MIB)?;
    let api = rig.account.api();
    api.upload_part(vault.name(), upload.id(), range, ContentSha256::of(&part), TreeHash::of(&part), part).await?;
    let error = vault.resume_upload(upload.id(), Source::bytes(data(2 << 20))?).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    upload.cancel().await?;
    let gone = vault.multipart_upload(upload.id()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Api(cas_api::ErrorKind::NotFound));
    Ok(())
}

#[tokio::test]
async fn a_download_that_was_left_goes_on_and_believes_only_what_it_hashes_again() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let bytes = data(6 * 1024 * 1024 + 5);
    let stored = vault.upload_archive(Source::bytes(bytes.clone())?).await?;
    let mut job = vault.retrieve_archive(&stored.archive_id).await?;
    job.wait().await?;
    let target = rig.folder.path().join("back");

    // The server breaks off after three slices; what is there stays beside the target.
    rig.emulator.faults().add(
        cas_emulator::FaultRule::new(cas_emulator::Fault::Answer {
            status: http::StatusCode::FORBIDDEN,
            code: "AccessDeniedException".into(),
            message: "no more".into(),
        })
        .operation("GetJobOutput")
        .skip(3),
    );
    let download = || job.download_to_file(&target).slice_size(PartSize::MIN).slices_in_flight(1);
    let error = download().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api(cas_api::ErrorKind::Denied), "{error}");
    assert!(!target.exists());
    rig.emulator.faults().clear();

    // Somebody damages one of the three.
    let unfinished = rig.folder.path().join("back.cas-part");
    let mut on_disk = std::fs::read(&unfinished)?;
    on_disk[1 << 20] ^= 1;
    std::fs::write(&unfinished, on_disk)?;

    let back = download().await?;
    assert_eq!((back.slices, back.slices_fetched), (7, 5));
    assert_eq!(std::fs::read(&target)?, bytes);
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_there_is_not_replaced_unasked() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let stored = vault.upload_archive(Source::bytes(Bytes::from_static(b"hello"))?).await?;
    let mut job = vault.retrieve_archive(&stored.archive_id).await?;
    job.wait().await?;
    let (target, _) = rig.file("mine", 10)?;
    assert_eq!(job.download_to_file(&target).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(std::fs::read(&target)?, data(10));
    job.download_to_file(&target).overwrite(true).await?;
    assert_eq!(std::fs::read(&target)?, b"hello");
    assert_eq!(job.download_to_file(rig.folder.path()).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    Ok(())
}

#[tokio::test]
async fn a_job_of_hours_is_waited_for_in_no_time() -> Result<()> {
    use cas_emulator::{Clock, Emulator, JobDelay};
    use std::time::Duration;
    let emulator = Emulator::builder().job_delay(JobDelay::ByTier).clock(Clock::system()).start().await?;
    let rig = Rig::with(emulator)?;
    let vault = rig.vault("photos").await?;
    let stored = vault.upload_archive(Source::bytes(Bytes::from_static(b"hello"))?).await?;
    let mut job = vault.retrieve_archive(&stored.archive_id).tier(Tier::Bulk).await?;
    assert_eq!(job.status, JobStatus::InProgress);
    let not_yet = job.download_to_file(rig.folder.path().join("x")).await.unwrap_err();
    assert_eq!(not_yet.kind(), ErrorKind::NotReady);
    let still = job.wait().deadline(Duration::ZERO).await.unwrap_err();
    assert_eq!(still.kind(), ErrorKind::NotReady);
    rig.emulator.clock().advance(Duration::from_secs(12 * 3600));
    job.wait().await?;
    assert_eq!(job.status, JobStatus::Succeeded);
    Ok(())
}
