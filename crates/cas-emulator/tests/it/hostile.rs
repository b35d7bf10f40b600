//! Clients that mean harm, or are broken: names, lengths, framing, silence. What is about signatures is in `signatures.rs`, what is about
//! disks in `durability.rs`, what is about addresses in `program.rs`.

use std::path::Path;
use std::time::Duration;

use cas_emulator::{Emulator, Limits};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire::{Call, Wire, connect, pattern, with_photos};

const MIB: usize = 1 << 20;

/// Everything below a directory, as paths from there.
fn walk(root: &Path, below: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(root, &path));
        } else {
            found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

/// S1: no text of a client becomes a path, whatever it is.
#[tokio::test]
async fn s1_no_name_of_a_client_reaches_the_file_system() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let long = "x".repeat(10_000);
    for name in [
        "..",
        "%2e%2e",
        "%2E%2E%2Fescaped",
        "%2f",
        "%00",
        "a%00b",
        "%0d%0a",
        "%E6%96%87",
        "%ff",
        "a%5Cb",
        long.as_str(),
    ] {
        for (method, path) in [
            ("PUT", format!("/-/vaults/{name}")),
            ("GET", format!("/-/vaults/photos/jobs/{name}")),
            ("DELETE", format!("/-/vaults/photos/archives/{name}")),
            ("DELETE", format!("/-/vaults/photos/multipart-uploads/{name}")),
        ] {
            let answer = wire.send(Call::new(method, path.as_str())).await;
            assert!(matches!(answer.status, 400 | 404), "{method} {path:.60}: {}", answer.status);
        }
    }
    // These are names like any other here, though not to every file system.
    for name in ["CON", "nul", "...", "lock", "-"] {
        wire.create_vault(name).await;
        wire.upload(name, b"hello").await;
    }
    let archive = wire.upload("photos", b"hello").await;
    for object in ["../../../escaped", "/etc/escaped", "C:\\escaped", "a/../../escaped", "\u{0}escaped"] {
        let push = json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": "../escaped", "Object": object});
        let job = wire.job("photos", push).await;
        while wire.describe_job("photos", &job).await["Completed"] != true {
            tokio::task::yield_now().await;
        }
    }
    for path in walk(emulator.data_dir(), emulator.data_dir()) {
        let ours = ["blobs/", "cas.sqlite3", "lock", "cos/%2E.%2Fescaped/"].iter().any(|start| path.starts_with(start));
        assert!(ours, "{path}");
    }
    assert!(!emulator.data_dir().join("../escaped").exists());
}

/// S2: a body that ends too early is no archive.
#[tokio::test]
async fn s2_a_body_that_is_cut_off_leaves_nothing() {
    let emulator = with_photos().await;
    let call = Call::new("POST", "/-/vaults/photos/archives").body(pattern(MIB)).hashed();
    let mut wire = connect(&emulator);
    let head = call.head(Some(&wire.credentials), wire.now);
    wire.io.write_all(&head).await.unwrap();
    wire.io.write_all(&call.body[..MIB / 2]).await.unwrap();
    wire.io.shutdown().await.unwrap();
    assert!(wire.receive().await.is_none_or(|answer| answer.status == 400));
    let mut wire = connect(&emulator);
    let job = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
    assert_eq!(wire.output("photos", &job, None).await.json()["ArchiveList"], json!([]));
}

/// S2: a body that falls silent is given up, and so is the connection.
#[tokio::test(start_paused = true)]
async fn s2_a_body_that_falls_silent_is_given_up() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let call = Call::new("POST", "/-/vaults/photos/archives").body(pattern(MIB)).hashed();
    let head = call.head(Some(&wire.credentials), wire.now);
    let before = tokio::time::Instant::now();
    let answer = wire.exchange(&head, &call.body[..1000]).await.unwrap();
    assert_eq!(answer.error(), "408 RequestTimeoutException");
    assert!(before.elapsed() >= Duration::from_secs(30));
    assert_eq!(answer.headers["connection"], "close");
    assert!(wire.is_closed().await);
}

/// S2: lengths that no archive has are refused before a byte is read.
#[tokio::test]
async fn s2_absurd_lengths_are_refused_at_once() {
    let emulator = with_photos().await;
    for length in ["42949672960001", "9223372036854775808", "18446744073709551613"] {
        let mut wire = connect(&emulator);
        let call =
            Call::new("POST", "/-/vaults/photos/archives").body("hello").hashed().header("Content-Length", length);
        let answer = wire.send(call).await;
        assert_eq!(answer.error(), "400 InvalidParameterValueException", "{length}");
        assert_eq!(answer.headers["connection"], "close");
    }
    for length in ["-1", "x", "18446744073709551616", "5, 5"] {
        let mut wire = connect(&emulator);
        let call =
            Call::new("POST", "/-/vaults/photos/archives").body("hello").hashed().header("Content-Length", length);
        assert_eq!(wire.send(call).await.status, 400, "{length}");
        assert!(wire.is_closed().await, "{length}");
    }
}

/// A refused upload gets its answer, though it is still being sent: over real sockets, where a reset could overtake it.
#[tokio::test]
async fn an_early_refusal_reaches_the_client_every_time() {
    let emulator = Emulator::start().await.unwrap();
    let body = vec![7; 8 * MIB];
    for _ in 0..20 {
        let stream = TcpStream::connect(emulator.address().unwrap()).await.unwrap();
        let mut wire = Wire::new(stream, &emulator);
        let call =
            Call::new("POST", "/-/vaults/none/archives").body(&body).header("x-cas-content-sha256", "0".repeat(64));
        let head = call.header("x-cas-sha256-tree-hash", "0".repeat(64)).head(Some(&wire.credentials), wire.now);
        let answer = wire.exchange(&head, &body).await.expect("the refusal");
        assert_eq!(answer.error(), "404 ResourceNotFoundException");
        assert_eq!(answer.headers["connection"], "close");
    }
}

/// The rest of a small body is read, so that the connection can be used again.
#[tokio::test]
async fn a_small_refused_body_does_not_cost_the_connection() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let call = Call::new("POST", "/-/vaults/none/archives").body(pattern(10_000)).hashed();
    assert_eq!(wire.send(call).await.error(), "404 ResourceNotFoundException");
    wire.get("/-/vaults").await.expect(200);
}

/// Who asks before sending a body is not told to go on when the answer is known already.
#[tokio::test]
async fn expect_100_continue_is_answered_with_the_refusal_or_with_go_on() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let call = Call::new("POST", "/-/vaults/photos/archives").header("Expect", "100-continue").body("hello").hashed();
    let unsigned = call.head(None, wire.now);
    assert_eq!(wire.exchange(&unsigned, b"").await.unwrap().error(), "400 MissingAuthenticationTokenException");
    let mut wire = connect(&emulator);
    let head = call.head(Some(&wire.credentials), wire.now);
    wire.io.write_all(&head).await.unwrap();
    assert_eq!(wire.receive().await.unwrap().status, 100);
    wire.io.write_all(b"hello").await.unwrap();
    assert_eq!(wire.receive().await.unwrap().status, 201);
}

/// S3: slow heads are cut off.
#[tokio::test(start_paused = true)]
async fn s3_a_head_that_does_not_end_is_cut_off() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    wire.io.write_all(b"GET /-/vaults HTTP/1.1\r\nHost:").await.unwrap();
    let before = tokio::time::Instant::now();
    assert!(wire.receive().await.is_none_or(|answer| answer.status == 408));
    assert!(before.elapsed() >= Duration::from_secs(90));
}

/// S3: a client that does not read its answer is left.
#[tokio::test(start_paused = true)]
async fn s3_a_client_that_does_not_read_is_left() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let archive = wire.upload("photos", &pattern(MIB)).await;
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    wire.describe_job("photos", &job).await;
    let call = Call::new("GET", format!("/-/vaults/photos/jobs/{job}/output"));
    wire.io.write_all(&call.head(Some(&wire.credentials), wire.now)).await.unwrap();
    // It can be told from outside only by writing, which fails once the other end is gone.
    let mut rounds = 0;
    while wire.io.write_all(b"x").await.is_ok() {
        rounds += 1;
        assert!(rounds < 100, "the connection is still there");
        tokio::time::advance(Duration::from_secs(31)).await;
        connect(&emulator).get("/-/vaults").await.expect(200);
    }
    let mut received = Vec::new();
    wire.io.read_to_end(&mut received).await.ok();
    assert!(received.len() < MIB, "{}", received.len());
}

/// S3: connections above the limit wait until others end.
#[tokio::test]
async fn s3_connections_above_the_limit_wait_for_their_turn() {
    let mut limits = Limits::default();
    limits.connections = 2;
    let emulator = Emulator::builder().limits(limits).start().await.unwrap();
    let open = || async { Wire::new(TcpStream::connect(emulator.address().unwrap()).await.unwrap(), &emulator) };
    let (mut first, mut second) = (open().await, open().await);
    first.get("/-/vaults").await.expect(200);
    second.get("/-/vaults").await.expect(200);
    let mut third = open().await;
    let waiting = tokio::spawn(async move { third.get("/-/vaults").await.status });
    second.get("/-/vaults").await.expect(200);
    assert!(!waiting.is_finished());
    drop(first);
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let emulator = with_photos().await;
    for call in [
        Call::new("GET", "/-/vaults").header("x-long", "x".repeat(100_000)),
        Call::new("GET", format!("/-/vaults?marker={}", "x".repeat(65_000))).header("x-long", "x".repeat(1000)),
    ] {
        let mut wire = connect(&emulator);
        let answer = wire.send(call).await;
        assert_eq!(answer.error(), "400 BadRequest");
        assert!(answer.message().contains("65536 bytes"), "{}", answer.message());
        assert!(answer.headers.contains_key("x-cas-requestid"));
        assert!(wire.is_closed().await);
    }
}

#[tokio::test]
async fn a_head_with_too_many_headers_is_refused() {
    let emulator = with_photos().await;
    // Two more are added: the host and the signature.
    let with =
        |count| (2..count).fold(Call::new("GET", "/-/vaults"), |call, number| call.header(&format!("x-{number}"), "x"));
    connect(&emulator).send(with(100)).await.expect(200);
    for count in [101, 200, 2000] {
        let mut wire = connect(&emulator);
        let answer = wire.send(with(count)).await;
        assert_eq!(answer.error(), "400 BadRequest", "{count}");
        assert!(answer.message().contains("100 headers"), "{}", answer.message());
        assert!(answer.headers.contains_key("x-cas-requestid"));
        assert!(wire.is_closed().await);
    }
}

#[tokio::test]
async fn a_head_that_goes_on_and_on_ends_the_connection() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    wire.upload("photos", &pattern(MIB)).await;
    wire.io.write_all(b"GET /-/vaults HTTP/1.1\r\n").await.unwrap();
    let mut sent = 0;
    while wire.io.write_all(b"x-header: value\r\n").await.is_ok() {
        sent += 17;
        assert!(sent < MIB, "it is still read");
    }
    connect(&emulator).get("/-/vaults").await.expect(200);
}

/// S9: what could be read in two ways is refused, and the connection ends, so that no second request hides in the first.
#[tokio::test]
async fn s9_a_request_that_can_be_read_in_two_ways_ends_the_connection() {
    let emulator = with_photos().await;
    let hidden = "DELETE /-/vaults/photos HTTP/1.1\r\nHost: x\r\n\r\n";
    for headers in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
    ] {
        let mut wire = connect(&emulator);
        let request = format!("PUT /-/vaults/films HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n0\r\n\r\n{hidden}");
        let answer = wire.exchange(request.as_bytes(), b"").await.unwrap();
        assert_eq!(answer.status, 400, "{headers}");
        assert!(wire.is_closed().await, "{headers}");
    }
    connect(&emulator).get("/-/vaults/photos").await.expect(200);
}

#[tokio::test]
async fn bytes_that_are_no_http_end_the_connection() {
    let emulator = with_photos().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /-/vaults\r\n\r\n",
        b"GET /-/vaults HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /-/vaults HTTP/1.1\r\nHost : x\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut wire = connect(&emulator);
        let answer = wire.exchange(bytes, b"").await;
        assert!(answer.is_none_or(|answer| answer.status == 400), "{bytes:?}");
        assert!(wire.is_closed().await, "{bytes:?}");
    }
}

/// S13.
#[tokio::test]
async fn s13_documents_may_be_deep_large_or_ambiguous_without_harm() {
    let emulator = with_photos().await;
    let deep = format!("{{\"Type\":{}", "[".repeat(100_000));
    let doubled = r#"{"Type":"inventory-retrieval","Type":"archive-retrieval"}"#;
    for (body, error) in [
        (deep.as_str(), "400 SerializationException"),
        (doubled, "400 MissingParameterValueException"),
        ("{\"Type\":\"\u{0}\"}", "400 SerializationException"),
        (r#"{"Type":1e999}"#, "400 SerializationException"),
        (r#"{"Type":{}}"#, "400 InvalidParameterValueException"),
        ("\u{feff}{}", "400 SerializationException"),
        ("null", "400 SerializationException"),
    ] {
        let mut wire = connect(&emulator);
        let answer = wire.send(Call::new("POST", "/-/vaults/photos/jobs").body(body)).await;
        assert_eq!(answer.error(), error, "{body:.40}");
    }
    let mut wire = connect(&emulator);
    let large = Call::new("POST", "/-/vaults/photos/jobs").body(vec![b' '; 2 * MIB]);
    let answer = wire.send(large).await;
    assert_eq!(answer.error(), "400 InvalidParameterValueException");
    let not_utf_8 = Call::new("POST", "/-/vaults/photos/jobs").body(b"{\"Type\":\"\xff\"}");
    assert_eq!(connect(&emulator).send(not_utf_8).await.error(), "400 SerializationException");
}

/// S14: the numbers of ranges at their extremes; overlaps and gaps are in `operations.rs`.
#[tokio::test]
async fn s14_ranges_at_the_ends_of_numbers_are_refused() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let upload = wire.initiate_upload("photos", MIB as u64).await;
    for range in [
        "bytes 9223372036854775808-9223372036854775812/*",
        "bytes 18446744073709551611-18446744073709551615/*",
        "bytes 18446744073709551616-18446744073709551620/*",
        "bytes 0-18446744073709551615/*",
        "bytes -5/*",
        "bytes 5-/*",
        "bytes 0--4/*",
    ] {
        let call =
            Call::new("PUT", format!("/-/vaults/photos/multipart-uploads/{upload}")).header("Content-Range", range);
        let answer = wire.send(call.body("hello").hashed()).await;
        assert_eq!(answer.error(), "400 InvalidParameterValueException", "{range}");
    }
    let archive = wire.upload("photos", b"hello").await;
    for range in ["9223372036854775808-9223372036854775809", "0-18446744073709551615", "18446744073709551616-", "0-4-5"]
    {
        let parameters = json!({"Type": "archive-retrieval", "ArchiveId": archive, "RetrievalByteRange": range});
        let answer = wire.start_job("photos", parameters).await;
        assert_eq!(answer.error(), "400 InvalidParameterValueException", "{range}");
    }
    for marker in ["9223372036854775808", "18446744073709551615", "18446744073709551616", "-1", "-9223372036854775809"]
    {
        for path in ["multipart-uploads".to_owned(), format!("multipart-uploads/{upload}")] {
            let answer = wire.get(format!("/-/vaults/photos/{path}?marker={marker}")).await;
            assert_eq!(answer.error(), "400 InvalidParameterValueException", "{path} {marker}");
        }
    }
    for account in ["9223372036854775808", "18446744073709551615"] {
        let answer = wire.get(format!("/{account}/vaults/photos")).await;
        assert_eq!(answer.error(), "403 AccessDeniedException", "{account}");
    }
}

#[tokio::test]
async fn a_client_that_has_said_everything_still_gets_its_answer() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let call = Call::new("GET", "/-/vaults").head(Some(&wire.credentials), wire.now);
    wire.io.write_all(&call).await.unwrap();
    wire.io.shutdown().await.unwrap();
    assert_eq!(wire.receive().await.unwrap().status, 200);
    assert!(wire.is_closed().await);
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_a_row() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let call = Call::new("GET", "/-/vaults").head(Some(&wire.credentials), wire.now);
    wire.io.write_all(&call.repeat(10)).await.unwrap();
    for _ in 0..10 {
        assert_eq!(wire.receive().await.unwrap().status, 200);
    }
}
