//! What goes wrong on demand, as a client sees it.

use std::time::Duration;

use cas_emulator::{Fault, FaultRule};
use cas_http::{TreeHash, VaultName};
use http::StatusCode;
use serde_json::json;

use crate::wire::{Call, connect, pattern, with_photos};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn an_error_can_be_asked_for_and_then_nothing_is_done() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    emulator.faults().add(FaultRule::new(Fault::throttle()).operation("UploadArchive").times(2));
    emulator.faults().add(FaultRule::new(Fault::unavailable()).operation("UploadArchive").times(1));
    let capacity = Fault::answer(StatusCode::SERVICE_UNAVAILABLE, "InsufficientCapacityException", "come back later");
    emulator.faults().add(FaultRule::new(capacity).operation("UploadArchive").times(1));
    let post = Call::new("POST", "/-/vaults/photos/archives").body(pattern(MIB)).hashed();
    for error in [
        "400 ThrottlingException",
        "400 ThrottlingException",
        "500 ServiceUnavailableException",
        "503 InsufficientCapacityException",
    ] {
        let mut wire = connect(&emulator);
        assert_eq!(wire.send(post.clone()).await.error(), error);
    }
    assert_eq!(emulator.faults().fired(), 4);
    wire.delete("/-/vaults/photos").await.expect(204);
}

#[tokio::test]
async fn a_lost_answer_belongs_to_work_that_was_done() {
    let emulator = with_photos().await;
    emulator
        .faults()
        .add(FaultRule::new(Fault::LoseAnswer).operation("CreateVault").vault(VaultName::parse("films").unwrap()));
    let mut wire = connect(&emulator);
    let head = Call::new("PUT", "/-/vaults/films").head(Some(&wire.credentials), wire.now);
    assert!(wire.exchange(&head, b"").await.is_none());
    connect(&emulator).get("/-/vaults/films").await.expect(200);
}

#[tokio::test]
async fn a_connection_can_end_in_the_middle_of_a_request() {
    let emulator = with_photos().await;
    emulator.faults().add(FaultRule::new(Fault::CutRequest { after: 300_000 }).times(1));
    let mut wire = connect(&emulator);
    let call = Call::new("POST", "/-/vaults/photos/archives").body(pattern(MIB)).hashed();
    let head = call.head(Some(&wire.credentials), wire.now);
    assert!(wire.exchange(&head, &call.body).await.is_none());
    let mut wire = connect(&emulator);
    wire.send(call).await.expect(201);
    let job = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
    let list = wire.output("photos", &job, None).await.json()["ArchiveList"].clone();
    assert_eq!(list.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_can_be_cut_spoiled_and_given_a_wrong_hash() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let bytes = pattern(MIB);
    let archive = wire.upload("photos", &bytes).await;
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let rule = |fault| FaultRule::new(fault).operation("GetJobOutput").times(1);

    emulator.faults().add(rule(Fault::FlipByte { at: 700_000 }));
    let spoiled = wire.output("photos", &job, None).await.expect(200).body;
    let wrong: Vec<usize> = (0..MIB).filter(|&at| spoiled[at] != bytes[at]).collect();
    assert_eq!(wrong, [700_000]);

    emulator.faults().add(rule(Fault::WrongTreeHash));
    let answer = wire.output("photos", &job, None).await.expect(200);
    assert!(answer.body == bytes);
    assert_ne!(answer.headers["x-cas-sha256-tree-hash"], TreeHash::of(&bytes).to_string());

    emulator.faults().add(rule(Fault::CutAnswer { after: 300_000 }));
    let call = Call::new("GET", format!("/-/vaults/photos/jobs/{job}/output"));
    let head = call.head(Some(&wire.credentials), wire.now);
    assert!(wire.exchange(&head, b"").await.is_none(), "the body ends before its length");

    let mut wire = connect(&emulator);
    assert!(wire.output("photos", &job, None).await.expect(200).body == bytes);
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_take_its_time() {
    let emulator = with_photos().await;
    emulator.faults().add(FaultRule::new(Fault::Delay(Duration::from_secs(20))));
    let before = tokio::time::Instant::now();
    connect(&emulator).get("/-/vaults").await.expect(200);
    assert!(before.elapsed() >= Duration::from_secs(20));
}
