//! What must hold for any bytes that a client sends: nothing falls over, every answer is one a client can read, and others are served. Shared
//! by the fuzz target `emulator_request` and the test that replays its corpus.
//!
//! An input is what a connection carries. Four places are filled in before it is sent: `@A`, `@U` and `@J` become the ID of an archive, an
//! upload and a finished job in the vault `photos`, and `@S` becomes a signature over method and path, so that the bytes get past it.

use std::cell::RefCell;

use cas_emulator::Emulator;
use cas_sign::{HeaderPolicy, ParameterPolicy, SignableRequest, SigningOptions, TimeRange, sign};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Runtime;

use crate::wire::{Answer, connect};

/// After so many inputs the next ones get a new emulator, so that what one leaves behind does not pile up.
const INPUTS: u32 = 200;

/// Sends an input and tells the statuses of the answers.
pub(crate) fn check(input: &[u8]) -> Vec<u16> {
    thread_local!(static TARGET: RefCell<Option<Target>> = const { RefCell::new(None) });
    TARGET.with_borrow_mut(|target| {
        let worn_out = target.as_ref().is_none_or(|target| target.inputs == INPUTS);
        if worn_out {
            *target = Some(Target::new());
        }
        target.as_mut().expect("it was made above").check(input)
    })
}

/// An emulator with something of everything in it.
struct Target {
    // Before the runtime, whose threads it uses until it ends.
    emulator: Emulator,
    runtime: Runtime,
    /// What the places in an input are filled with.
    ids: [(&'static [u8], String); 3],
    inputs: u32,
}

impl Target {
    fn new() -> Self {
        // Time stands still while anything is done, and jumps when everybody waits: silence costs nothing.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (emulator, ids) = runtime.block_on(async {
            let emulator = Emulator::builder().without_port().seed(1).start().await.unwrap();
            let mut wire = connect(&emulator);
            wire.create_vault("photos").await;
            let archive = wire.upload("photos", b"hello").await;
            let upload = wire.initiate_upload("photos", 1 << 20).await;
            wire.upload_part("photos", &upload, 0, b"hello").await.expect(204);
            let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
            (emulator, [(&b"@A"[..], archive), (b"@U", upload), (b"@J", job)])
        });
        Target { emulator, runtime, ids, inputs: 0 }
    }

    fn check(&mut self, input: &[u8]) -> Vec<u16> {
        self.inputs += 1;
        let mut bytes = input.to_vec();
        for (place, id) in &self.ids {
            bytes = replace(&bytes, place, id.as_bytes());
        }
        let signature = self.signature(&bytes).unwrap_or_default();
        let bytes = replace(&bytes, b"@S", signature.as_bytes());
        self.runtime.block_on(async {
            let mut wire = connect(&self.emulator);
            // An emulator that has heard enough may close its end before it has heard all.
            wire.io.write_all(&bytes).await.ok();
            wire.io.shutdown().await.ok();
            let mut statuses = Vec::new();
            while let Some(answer) = wire.receive().await {
                check_answer(&answer);
                statuses.push(answer.status);
            }
            connect(&self.emulator).get("/-/vaults").await.expect(200);
            statuses
        })
    }

    /// A signature over the method and path of the first request, if there is one.
    fn signature(&self, bytes: &[u8]) -> Option<String> {
        let line = bytes.split(|byte| *byte == b'\r').next()?;
        let line = std::str::from_utf8(line).ok()?;
        let (method, rest) = line.split_once(' ')?;
        let target = rest.split_once(' ').map_or(rest, |(target, _)| target);
        let path = match target.strip_prefix("http://") {
            Some(rest) => &rest[rest.find('/')?..],
            None => target,
        };
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let mut options = SigningOptions::cas();
        options.headers = HeaderPolicy::None;
        options.parameters = ParameterPolicy::None;
        let now = u64::try_from(self.emulator.clock().signing_now().unix_seconds()).ok()?;
        let request = SignableRequest::new(method, path);
        let signed = sign(&request, &self.emulator.credentials(), TimeRange::around(now, 60, 900), &options).ok()?;
        Some(signed.authorization().to_owned())
    }
}

/// What every client relies on, whatever it has asked.
fn check_answer(answer: &Answer) {
    // What is no HTTP at all is answered by the layer below: a status and nothing else.
    let is_ours = answer.headers.contains_key("x-cas-requestid");
    assert!(is_ours || matches!(answer.status, 100 | 400 | 414 | 431) && answer.body.is_empty(), "{answer:?}");
    assert!(answer.status < 500, "nothing is wrong with the emulator: {}", answer.message());
    if is_ours && answer.status >= 400 && !answer.body.is_empty() {
        let error = answer.json();
        assert!(["code", "message", "type"].iter().all(|key| error[key].is_string()), "{error}");
    }
    assert_eq!(answer.headers.contains_key("content-type"), !answer.body.is_empty(), "{answer:?}");
}

fn replace(bytes: &[u8], place: &[u8], with: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(place.len()).position(|window| window == place) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(with);
        rest = &rest[at + place.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}
