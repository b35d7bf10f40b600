//! What a user meets when things go wrong: each story ends in a success that is one, or in an error that says what to do.

use anyhow::Result;
use bytes::Bytes;
use cas_emulator::{Fault, FaultRule};
use cas_http::test_util::{Script, ScriptedServer};
use cas_http::{ByteRange, Client, Credentials, JobId, MIB, PartSize, VaultName};
use cas_objects::{Account, ErrorKind, Progress, Source};
use cas_tests::{Rig, data};
use cas_treehash::{ContentSha256, TreeHash};
use futures::TryStreamExt;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn throttling_and_trouble_are_waited_out() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    rig.emulator.faults().add(FaultRule::new(Fault::unavailable()).operation("UploadPart").times(2));
    rig.emulator.faults().add(FaultRule::new(Fault::LoseAnswer).operation("UploadPart").times(1));
    let bytes = data(3 << 20);
    let stored = vault.upload_archive(Source::bytes(bytes.clone())?).threshold(1).part_size(PartSize::MIN).await?;
    assert_eq!(stored.tree_hash, TreeHash::of(&bytes));
    assert_eq!(rig.emulator.faults().fired(), 3);
    Ok(())
}

#[tokio::test]
async fn an_upload_that_stops_says_how_to_go_on() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let refusal = Fault::Answer {
        status: http::StatusCode::FORBIDDEN,
        code: "AccessDeniedException".into(),
        message: "no more".into(),
    };
    rig.emulator.faults().add(FaultRule::new(refusal).operation("UploadPart").skip(2));
    let bytes = data(5 << 20);
    let source = Source::bytes(bytes.clone())?;
    let error = vault
        .upload_archive(source.clone())
        .threshold(1)
        .part_size(PartSize::MIN)
        .parts_in_flight(1)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api(cas_api::ErrorKind::Denied));
    assert_eq!(error.to_string(), "upload of the data stopped at part 3 of 5");
    let upload_id = error.upload_id().unwrap().clone();
    rig.emulator.faults().clear();
    let stored = vault.resume_upload(&upload_id, source).await?;
    assert_eq!((stored.parts, stored.parts_sent), (5, 3));
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_to_complete_is_ambiguous_and_says_what_to_look_for() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    rig.emulator.faults().add(FaultRule::new(Fault::LoseAnswer).operation("CompleteMultipartUpload").times(1));
    let bytes = data(2 << 20);
    let error =
        vault.upload_archive(Source::bytes(bytes.clone())?).threshold(1).part_size(PartSize::MIN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api(cas_api::ErrorKind::Ambiguous));
    assert!(error.to_string().contains(&TreeHash::of(&bytes).to_string()), "{error}");
    let mut job = vault.initiate_retrieve_inventory().await?;
    job.wait().await?;
    let mut found = Vec::new();
    job.read_inventory(|entry| found.push(entry.tree_hash)).await?;
    assert_eq!(found, [Some(TreeHash::of(&bytes))], "it did happen, once");
    Ok(())
}

#[tokio::test]
async fn a_complete_that_never_arrived_is_made_again() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    rig.emulator
        .faults()
        .add(FaultRule::new(Fault::CutRequest { after: 0 }).operation("CompleteMultipartUpload").times(1));
    let stored = vault.upload_archive(Source::bytes(data(2 << 20))?).threshold(1).part_size(PartSize::MIN).await?;
    assert_eq!(stored.parts, 2);
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_to_a_small_upload_is_not_repeated() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    rig.emulator.faults().add(FaultRule::new(Fault::LoseAnswer).operation("UploadArchive").times(1));
    let error = vault.upload_archive(Source::bytes(Bytes::from_static(b"hello"))?).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api(cas_api::ErrorKind::Ambiguous));
    let mut job = vault.initiate_retrieve_inventory().await?;
    job.wait().await?;
    let mut count = 0;
    job.read_inventory(|_| count += 1).await?;
    assert_eq!(count, 1, "there is one archive, not two");
    Ok(())
}

#[tokio::test]
async fn a_flipped_byte_on_the_way_back_is_noticed_and_fetched_again() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let bytes = data(4 << 20);
    let stored = vault.upload_archive(Source::bytes(bytes.clone())?).await?;
    let mut job = vault.retrieve_archive(&stored.archive_id).await?;
    job.wait().await?;
    let target = rig.folder.path().join("back");
    rig.emulator.faults().add(FaultRule::new(Fault::FlipByte { at: 1000 }).operation("GetJobOutput").times(1));
    rig.emulator.faults().add(FaultRule::new(Fault::CutAnswer { after: 500_000 }).operation("GetJobOutput").times(1));
    job.download_to_file(&target).slice_size(PartSize::MIN).await?;
    assert_eq!(std::fs::read(&target)?, bytes);
    assert_eq!(rig.emulator.faults().fired(), 2);

    std::fs::remove_file(&target)?;
    rig.emulator.faults().add(FaultRule::new(Fault::FlipByte { at: 1000 }).operation("GetJobOutput"));
    let error = job.download_to_file(&target).slice_size(PartSize::MIN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error:?}");
    assert!(!target.exists(), "no file appears under the final name");
    Ok(())
}

/// A proxy that knows no ranges, or a cache that mixes them up: what comes is refused as wrong bytes are, and a slice is fetched again.
#[tokio::test]
async fn an_answer_of_other_bytes_is_no_better_than_wrong_bytes() -> Result<()> {
    let job = r#"{"JobId":"j","Action":"ArchiveRetrieval","StatusCode":"Succeeded","Completed":true,"ArchiveSizeInBytes":10}"#;
    let others = [(200, ""), (200, "bytes 0-9/10"), (206, "bytes 5-9/10"), (206, "")];
    let answer = |(status, range): (u16, &str)| {
        let headers: &[(&str, &str)] = if range.is_empty() { &[] } else { &[("Content-Range", range)] };
        Script::answer(status, headers, "0123456789")
    };
    let right = (206, "bytes 0-9/10");
    let answers = others.into_iter().chain([others[0], right]).map(answer);
    let server = ScriptedServer::start([Script::answer(200, &[], job)].into_iter().chain(answers)).await?;
    let client = Client::builder()
        .credentials(Credentials::new("example-secret-id", "example-secret-key")?)
        .endpoint(server.endpoint())
        .build()?;
    let job = Account::new(client).vault("photos".parse::<VaultName>()?).job("j".parse::<JobId>()?).await?;
    for other in others {
        let error = job.download_by_range(ByteRange::new(0, 9)?, &mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{other:?}: {error:?}");
    }
    let folder = tempfile::tempdir()?;
    let back = job.download_to_file(folder.path().join("back")).await?;
    assert_eq!(std::fs::read(back.path)?, b"0123456789");
    assert_eq!(server.received().len(), 1 + others.len() + 2);
    Ok(())
}

#[tokio::test]
async fn c20_a_wrong_hash_of_a_part_is_never_taken_for_success() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    rig.emulator.faults().add(FaultRule::new(Fault::WrongTreeHash).operation("UploadPart").times(1));
    let error =
        vault.upload_archive(Source::bytes(data(2 << 20))?).threshold(1).part_size(PartSize::MIN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    Ok(())
}

#[tokio::test]
async fn bytes_that_do_not_have_their_hash_are_refused_by_the_service() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let api = rig.account.api();
    for (sha256, tree_hash) in
        [(ContentSha256::of(b"other"), TreeHash::of(b"hello")), (ContentSha256::of(b"hello"), TreeHash::of(b"other"))]
    {
        let error =
            api.upload_archive(vault.name(), sha256, tree_hash, Bytes::from_static(b"hello")).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (cas_api::ErrorKind::Refused, Some("InvalidParameterValueException")));
        assert!(error.request_id().is_some());
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_changes_while_it_goes_up_is_reported() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let (path, mut bytes) = rig.file("source", 3 << 20)?;
    let source = Source::open(&path)?;
    // The first part waits on the wire while the file is rewritten under it.
    bytes[2 << 20] ^= 1;
    bytes.push(0);
    std::fs::write(&path, &bytes)?;
    let error = vault.upload_archive(source).threshold(1).part_size(PartSize::MIN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceChanged);
    assert!(error.upload_id().is_some());
    let uploads: Vec<_> = vault.list_all_multipart_uploads().try_collect().await?;
    assert_eq!(uploads.len(), 1, "the upload is kept");
    Ok(())
}

#[tokio::test]
async fn wrong_credentials_are_denied_with_the_services_own_code() -> Result<()> {
    let rig = Rig::start().await?;
    let id = rig.emulator.secret_id();
    for (id, key, code) in [
        (id, "a wrong key", "InvalidSignatureException"),
        ("nobody", rig.emulator.secret_key(), "UnrecognizedClientException"),
    ] {
        let credentials = cas_sign::Credentials::new(id, key)?;
        let client = Client::builder().endpoint(rig.emulator.endpoint()).credentials(credentials).build()?;
        let account = Account::new(client);
        let error = account.create_vault("photos".parse::<cas_http::VaultName>()?).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Api(cas_api::ErrorKind::Denied));
        assert_eq!(error.api().unwrap().code(), Some(code));
        assert!(!format!("{error:?}").contains(key), "no secret in an error");
    }
    Ok(())
}

#[tokio::test]
async fn a_source_larger_than_its_parts_allow_is_refused_before_anything_is_sent() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let upload = vault.initiate_multipart_upload(PartSize::MIN, None).await?;
    let path = rig.folder.path().join("sparse");
    std::fs::File::create(&path)?.set_len(10_001 * MIB)?;
    let error = vault.resume_upload(upload.id(), Source::open(&path)?).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    Ok(())
}

#[tokio::test]
async fn a_complete_whose_upload_is_gone_after_an_unknown_outcome_did_probably_happen() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let gone = Fault::answer(http::StatusCode::NOT_FOUND, "ResourceNotFoundException", "upload not found");
    let complete = |fault| FaultRule::new(fault).operation("CompleteMultipartUpload").times(1);
    rig.emulator.faults().add(complete(Fault::CutRequest { after: 0 }));
    rig.emulator.faults().add(complete(gone));
    let bytes = data(2 << 20);
    let error =
        vault.upload_archive(Source::bytes(bytes.clone())?).threshold(1).part_size(PartSize::MIN).await.unwrap_err();
    assert_eq!(rig.emulator.faults().fired(), 2);
    assert_eq!(error.kind(), ErrorKind::Api(cas_api::ErrorKind::Ambiguous), "not that there is no such upload");
    assert_eq!((error.upload_id(), error.is_retryable()), (None, false), "there is nothing to go on with");
    assert!(error.to_string().contains(&TreeHash::of(&bytes).to_string()), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_job_that_cannot_be_described_at_once_is_started_all_the_same_and_found_again() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let stored = vault.upload_archive(Source::bytes(Bytes::from_static(b"hello"))?).await?;
    let refusal = Fault::answer(http::StatusCode::FORBIDDEN, "AccessDeniedException", "not now");
    rig.emulator.faults().add(FaultRule::new(refusal).operation("DescribeJob"));
    let mut job = vault.retrieve_archive(&stored.archive_id).await?;
    assert_eq!(job.output_size(), None, "nothing is known of it but its identifier");
    let not_known = job.download_to_file(rig.folder.path().join("back")).await.unwrap_err();
    assert_eq!(not_known.kind(), ErrorKind::Api(cas_api::ErrorKind::Denied));

    rig.emulator.faults().clear();
    let listed: Vec<_> = vault.list_all_jobs().map_ok(|job| job.id().clone()).try_collect().await?;
    assert_eq!(listed, [job.id().clone()], "it was started once");
    job.wait().await?;
    let mut back = Vec::new();
    vault.job(job.id()).await?.download_by_range(ByteRange::new(0, 4)?, &mut back).await?;
    assert_eq!(back, b"hello");
    Ok(())
}

/// Every slice has the hash that came with it, and together they are not what the job promises: nothing of them is believed afterwards.
#[tokio::test]
async fn a_download_that_is_not_what_was_promised_leaves_nothing_that_spoils_the_next() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let bytes = data(3 << 20);
    let stored = vault.upload_archive(Source::bytes(bytes.clone())?).await?;
    let mut job = vault.retrieve_archive(&stored.archive_id).await?;
    job.wait().await?;

    let described = rig.account.api().client().describe_job(vault.name(), job.id()).await?.into_body();
    let described = String::from_utf8(described.bytes(MIB).await?.to_vec())?;
    let hash = described.find(r#""SHA256TreeHash":""#).unwrap() + r#""SHA256TreeHash":""#.len();
    // One bit of a digit makes another digit.
    let at = described[hash..].find(|letter: char| letter.is_ascii_digit()).unwrap() + hash;
    rig.emulator.faults().add(FaultRule::new(Fault::FlipByte { at: at as u64 }).operation("DescribeJob").times(1));
    job.update_status().await?;
    assert_ne!(job.output_tree_hash(), Some(stored.tree_hash));

    let target = rig.folder.path().join("back");
    let error = job.download_to_file(&target).slice_size(PartSize::MIN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(!target.exists());
    job.update_status().await?;
    let back = job.download_to_file(&target).slice_size(PartSize::MIN).await?;
    assert_eq!((back.slices, back.slices_fetched), (3, 3));
    assert_eq!(std::fs::read(&target)?, bytes);
    Ok(())
}

#[tokio::test]
async fn a_download_dropped_in_the_middle_leaves_no_file_and_the_next_one_goes_on_at_once() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let bytes = data((8 << 20) + 1);
    let stored = vault.upload_archive(Source::bytes(bytes.clone())?).await?;
    let mut job = vault.retrieve_archive(&stored.archive_id).await?;
    job.wait().await?;
    let target = rig.folder.path().join("back");
    let download = || job.download_to_file(&target).slice_size(PartSize::MIN).slices_in_flight(2);

    let progress = Progress::new();
    let three_are_done = async {
        while progress.snapshot().done_parts < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = three_are_done => {}
        whole = download().progress(&progress) => panic!("nobody dropped it: {whole:?}"),
    }
    assert!(!target.exists(), "no part of it has the final name");

    let back = download().await?;
    assert!(back.slices == 9 && back.slices_fetched <= 6, "{back:?}");
    assert_eq!(std::fs::read(&target)?, bytes);
    Ok(())
}

#[tokio::test]
async fn a_task_that_reads_is_aborted_and_its_writer_is_left_alone() -> Result<()> {
    let rig = Rig::start().await?;
    let vault = rig.vault("photos").await?;
    let bytes = data(4 << 20);
    let stored = vault.upload_archive(Source::bytes(bytes.clone())?).await?;
    let mut job = vault.retrieve_archive(&stored.archive_id).await?;
    job.wait().await?;
    let range = ByteRange::with_len(0, 4 * MIB)?;
    let (mut writer, mut reader) = tokio::io::duplex(64 * 1024);
    let reading = tokio::spawn({
        let job = job.clone();
        async move { job.download_by_range(range, &mut writer).await }
    });
    let mut begin = vec![0; 100_000];
    reader.read_exact(&mut begin).await?;
    reading.abort();
    assert!(reading.await.unwrap_err().is_cancelled());
    // What was written is there, and no more comes.
    reader.read_to_end(&mut begin).await?;
    assert!(begin.len() < bytes.len() && bytes.starts_with(&begin));

    let mut whole = Vec::new();
    job.download_by_range(range, &mut whole).await?;
    assert!(whole == bytes);
    Ok(())
}
