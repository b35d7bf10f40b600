//! Good requests with a few bytes changed, cut out or doubled: none of them may bring anything down. Chance is seeded.

use std::sync::atomic::{AtomicUsize, Ordering};

use cas_emulator::Emulator;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::wire::{Call, connect};

/// The same numbers every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        // An xorshift generator: not good, but good enough here, and short.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const BYTES: &[u8] = b"\0\r\n :;=&%?/.-+*\"{}[]09azAZ\x7f\x80\xff";
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = BYTES[self.below(BYTES.len())],
                1 => bytes.insert(at, BYTES[self.below(BYTES.len())]),
                2 => drop(bytes.drain(at..(at + 1 + self.below(20)).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + self.below(40)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
    }
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

#[tokio::test]
async fn no_mutation_of_a_request_brings_anything_down() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
    let emulator = Emulator::builder().without_port().start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", b"hello").await;
    let upload = wire.initiate_upload("photos", 1 << 20).await;
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let retrieval =
        json!({"Type": "archive-retrieval", "ArchiveId": archive, "RetrievalByteRange": "0-4", "Tier": "Bulk"});
    let parameters = json!({"Type": "inventory-retrieval", "InventoryRetrievalParameters": {"Limit": "5", "StartDate": "2024-03-01T00:00:00Z"}});
    let policy = json!({"policy": r#"{"version":"2.0","statement":[]}"#});
    let calls = [
        Call::new("GET", "/-/vaults?marker=a&limit=5"),
        Call::new("PUT", "/1250000000/vaults/films"),
        Call::new("GET", "/-/vaults/photos"),
        Call::new("POST", "/-/vaults/photos/archives").header("x-cas-archive-description", "x").body("hello").hashed(),
        Call::new("PUT", format!("/-/vaults/photos/multipart-uploads/{upload}"))
            .header("Content-Range", "bytes 0-4/*")
            .body("hello")
            .hashed(),
        Call::new("GET", format!("/-/vaults/photos/multipart-uploads/{upload}?marker=0&limit=1")),
        Call::new("POST", "/-/vaults/photos/jobs").body(retrieval.to_string()),
        Call::new("POST", "/-/vaults/photos/jobs").body(parameters.to_string()),
        Call::new("GET", "/-/vaults/photos/jobs?completed=true&statuscode=Succeeded"),
        Call::new("GET", format!("/-/vaults/photos/jobs/{job}/output")).header("Range", "bytes=1-3"),
        Call::new("PUT", "/-/vaults/photos/access-policy").body(policy.to_string()),
    ];
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    for round in 0..3000 {
        let mut call = calls[round % calls.len()].clone();
        // Half of the changes are made before signing, so that they get past the signature.
        let (before_signing, after_signing) = (round % 2 == 0, round % 2 == 1);
        if before_signing {
            let mut target = call.target.clone().into_bytes();
            chance.mutate(&mut target);
            let sendable = |target: &String| target.starts_with('/') && target.bytes().all(|byte| byte > b' ');
            if let Some(target) = String::from_utf8(target).ok().filter(sendable) {
                call.target = target;
            }
            if !call.body.is_empty() {
                chance.mutate(&mut call.body);
            }
            call.signing.headers = cas_sign::HeaderPolicy::None;
            call.signing.parameters = cas_sign::ParameterPolicy::None;
        }
        let mut bytes = call.head(Some(&wire.credentials), wire.now);
        bytes.extend_from_slice(&call.body);
        if after_signing {
            chance.mutate(&mut bytes);
        }
        let mut wire = connect(&emulator);
        wire.io.write_all(&bytes).await.ok();
        wire.io.shutdown().await.ok();
        while wire.receive().await.is_some() {}
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    connect(&emulator).get("/-/vaults").await.expect(200);
    let counters = emulator.counters();
    assert!(
        counters.refusals > 500 && counters.requests > counters.refusals + 100,
        "both kinds were seen: {counters:?}"
    );
}
