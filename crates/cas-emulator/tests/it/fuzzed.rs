//! The corpus of the fuzz target `emulator_request`, replayed as a plain test, and good requests with a few bytes changed, cut out or doubled.
//! The corpus is in the workspace's folder `fuzz`, which a published crate does not have; there the requests below have to do.

mod request;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Good requests, with places that are filled in (`fuzzed/request.rs`).
const REQUESTS: [&str; 12] = [
    "GET /-/vaults?marker=a&limit=5 HTTP/1.1\r\nHost: h\r\nAuthorization: @S\r\n\r\n",
    "PUT /1250000000/vaults/films HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nAuthorization: @S\r\n\r\n",
    "GET /-/vaults/photos HTTP/1.1\r\nHost: h\r\nHost: h:80\r\nAuthorization: @S\r\n\r\nGET /-/vaults HTTP/1.1\r\n\r\n",
    "POST /-/vaults/photos/archives HTTP/1.1\r\nHost: h\r\nAuthorization: @S\r\nx-cas-archive-description: x\r\nContent-Length: 5\r\n\
     x-cas-content-sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\r\n\
     x-cas-sha256-tree-hash: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\r\n\r\nhello",
    "PUT /-/vaults/photos/multipart-uploads/@U HTTP/1.1\r\nAuthorization: @S\r\nContent-Range: bytes 0-4/*\r\nContent-Length: 5\r\n\
     x-cas-content-sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\r\n\
     x-cas-sha256-tree-hash: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\r\n\r\nhello",
    "GET /-/vaults/photos/multipart-uploads/@U?marker=0&limit=1 HTTP/1.1\r\nAuthorization: @S\r\n\r\n",
    "POST /-/vaults/photos/multipart-uploads/@U HTTP/1.1\r\nAuthorization: @S\r\nx-cas-archive-size: 5\r\nContent-Length: 0\r\n\
     x-cas-sha256-tree-hash: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\r\n\r\n",
    "POST /-/vaults/photos/jobs HTTP/1.1\r\nAuthorization: @S\r\nContent-Length: 212\r\n\r\n\
     {\"Type\":\"archive-retrieval\",\"RetrievalByteRange\":\"0-4\",\"Tier\":\"Bulk\",\"ArchiveId\":\"@A\"}",
    "POST /-/vaults/photos/jobs HTTP/1.1\r\nAuthorization: @S\r\nContent-Length: 110\r\n\r\n\
     {\"Type\":\"inventory-retrieval\",\"InventoryRetrievalParameters\":{\"Limit\":\"5\",\"StartDate\":\"2024-03-01T00:00:00Z\"}}",
    "GET /-/vaults/photos/jobs?completed=True&statuscode=Succeeded&marker HTTP/1.1\r\nAuthorization: @S\r\n\r\n",
    "GET http://h/-/vaults/photos/jobs/@J/output HTTP/1.1\r\nAuthorization: @S\r\nRange: bytes=1-3\r\n\r\n",
    "PUT /-/vaults/photos/access-policy HTTP/1.1\r\nAuthorization: @S\r\nContent-Length: 51\r\n\r\n\
     {\"policy\":\"{\\\"version\\\":\\\"2.0\\\",\\\"statement\\\":[]}\"}",
];

#[test]
fn good_requests_and_the_corpus_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/emulator_request");
    let files = fs::read_dir(folder).expect("the corpus is part of the project");
    let corpus = files.map(|file| fs::read(file.unwrap().path()).unwrap());
    without_panics(|| {
        for request in REQUESTS {
            let statuses = request::check(request.as_bytes());
            assert!(statuses[0] < 300, "{statuses:?}: {request}");
        }
        corpus.for_each(|input| drop(request::check(&input)));
    });
}

#[test]
fn no_mutation_of_a_request_brings_anything_down() {
    let mut random = fastrand::Rng::with_seed(1);
    without_panics(|| {
        for round in 0..3000 {
            let mut input = REQUESTS[round % REQUESTS.len()].as_bytes().to_vec();
            mutate(&mut input, &mut random);
            request::check(&input);
        }
    });
}

fn mutate(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    const BYTES: &[u8] = b"\0\r\n :;=&%?/.-+*\"{}[]09azAZ\x7f\x80\xff";
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..bytes.len());
        match random.u8(..4) {
            0 => bytes[at] = BYTES[random.usize(..BYTES.len())],
            1 => bytes.insert(at, BYTES[random.usize(..BYTES.len())]),
            2 => drop(bytes.drain(at..(at + random.usize(1..20)).min(bytes.len() - 1).max(at))),
            _ => {
                let piece = bytes[at..(at + random.usize(..40)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// Runs something in which nothing may panic, not even on a connection of its own, whose end nobody waits for.
fn without_panics(run: impl FnOnce()) {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    // The hook is one for all tests.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(panic);
    }));
    run();
    drop(std::panic::take_hook());
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}
