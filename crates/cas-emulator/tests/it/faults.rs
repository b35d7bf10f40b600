//! What goes wrong on demand, as a client sees it.

use std::time::Duration;

use cas_emulator::{Emulator, Fault, FaultRule};
use cas_http::{TreeHash, VaultName};
use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire::{Call, Wire, connect, pattern, with_photos};

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
async fn a_request_is_cut_when_so_many_bytes_have_come_and_not_when_it_has_fewer() {
    let emulator = with_photos().await;
    let cut = |operation: &str, after: usize| {
        let rule = FaultRule::new(Fault::CutRequest { after: after.try_into().unwrap() }).operation(operation).times(1);
        emulator.faults().add(rule);
    };
    let archive = Call::new("POST", "/-/vaults/photos/archives").body(pattern(300_000)).hashed();
    let job = Call::new("POST", "/-/vaults/photos/jobs").body(json!({"Type": "inventory-retrieval"}).to_string());
    for (call, operation, answered) in [(archive, "UploadArchive", 201), (job, "InitiateJob", 202)] {
        for after in [0, 1, call.body.len() - 1, call.body.len()] {
            cut(operation, after);
            let mut wire = connect(&emulator);
            let head = call.head(Some(&wire.credentials), wire.now);
            assert!(wire.exchange(&head, &call.body).await.is_none(), "{operation} after {after}");
        }
        cut(operation, call.body.len() + 1);
        connect(&emulator).send(call).await.expect(answered);
    }
    let mut wire = connect(&emulator);
    let job = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
    let list = wire.output("photos", &job, None).await.json()["ArchiveList"].clone();
    assert_eq!(list.as_array().unwrap().len(), 1, "nothing that was cut was done");
}

/// Everything that comes until the connection ends, cleanly: the head, and the bytes after it.
async fn everything<IO: AsyncRead + AsyncWrite + Unpin>(mut wire: Wire<IO>, call: &Call) -> (String, Vec<u8>) {
    let head = call.head(Some(&wire.credentials), wire.now);
    wire.io.write_all(&head).await.unwrap();
    let mut came = Vec::new();
    wire.io.read_to_end(&mut came).await.unwrap();
    let end = came.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head") + 4;
    let body = came.split_off(end);
    (String::from_utf8(came).unwrap(), body)
}

#[tokio::test]
async fn an_answer_is_cut_after_its_head_and_exactly_so_many_bytes() {
    let emulator = Emulator::start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let bytes = pattern(3 * MIB + 5);
    let archive = wire.upload("photos", &bytes).await;
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let large = Call::new("GET", format!("/-/vaults/photos/jobs/{job}/output"));
    let small = Call::new("GET", "/-/vaults/photos/jobs");
    let list = wire.send(small.clone()).await.body;
    let cases = [
        (large, &bytes, vec![0, 1, 131_073, MIB, 3 * MIB, 3 * MIB + 4, 3 * MIB + 5]),
        (small, &list, vec![0, 1, list.len() - 1, list.len()]),
    ];
    for (call, whole, cuts) in cases {
        for after in cuts {
            for _ in 0..20 {
                let rule = FaultRule::new(Fault::CutAnswer { after: after.try_into().unwrap() });
                emulator.faults().add(rule.times(2));
                let stream = TcpStream::connect(emulator.address().unwrap()).await.unwrap();
                let over_tcp = everything(Wire::new(stream, &emulator), &call).await;
                let in_memory = everything(connect(&emulator), &call).await;
                for (head, body) in [over_tcp, in_memory] {
                    assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", whole.len())), "{head}");
                    assert!(body == whole[..after], "{} bytes came, not {after}", body.len());
                }
            }
        }
    }
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
