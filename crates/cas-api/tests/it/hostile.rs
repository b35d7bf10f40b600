//! Answers whose framing is sound and whose content is not, numbered as the page on testing lists them. None may pass for what it is not, take
//! more memory than an answer may have, or put what a stranger wrote on a terminal.

use cas_api::{Error, ErrorKind};
use cas_http::test_util::{Script, ScriptedServer};
use cas_http::{ArchiveId, ByteRange, ContentSha256, JobId, OutputRange, PartRange, TreeHash, UploadId};

use crate::support::{api, vault};

async fn server(script: Script) -> ScriptedServer {
    ScriptedServer::start([script]).await.unwrap()
}

/// What becomes of a listing of vaults that is answered so.
async fn listing(script: Script) -> Result<usize, Error> {
    Ok(api(&server(script).await).list_vaults().await?.page.vaults.len())
}

async fn json(body: impl AsRef<[u8]>) -> Result<usize, Error> {
    listing(Script::answer(200, &[("Content-Type", "application/json")], body)).await
}

/// Its message with all causes is one that a terminal can show.
fn shown(error: &Error) -> String {
    cas_http::secret_watch::shown(error);
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let text = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    assert!(!text.contains(|c: char| c.is_control()) && text.len() < 2000, "{text:?}");
    text
}

async fn refused(body: impl AsRef<[u8]>) {
    let error = json(body.as_ref()).await.expect_err(&format!("{:?} passed", String::from_utf8_lossy(body.as_ref())));
    assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
    shown(&error);
}

#[tokio::test]
async fn c17_a_portals_page_is_no_answer() {
    let page = "<!DOCTYPE html><html><body>Welcome to the hotel</body></html>";
    let html = |status| {
        Script::new().send(format!(
            "HTTP/1.1 {status} OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        ))
    };
    assert_eq!(listing(html(200)).await.unwrap_err().kind(), ErrorKind::Decode);
    let server = server(html(200)).await;
    let error = api(&server).delete_vault(vault()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode, "a page of welcome deletes nothing");
    // The right document under the wrong name is the service's own: the body is what counts.
    let list = r#"{"VaultList":[],"Marker":null}"#;
    assert_eq!(listing(Script::answer(200, &[("Content-Type", "text/plain")], list)).await.unwrap(), 0);
}

#[tokio::test]
async fn c18_json_that_is_none_or_means_something_else() {
    let whole =
        r#"{"VaultList":[{"VaultName":"a","CreationDate":"2024-03-01T02:03:04.000Z","SizeInBytes":5}],"Marker":null}"#;
    assert_eq!(json(whole).await.unwrap(), 1);
    for cut in (0..whole.len()).step_by(7) {
        refused(&whole[..cut]).await;
    }
    for (from, to) in [
        ("\"a\"", "17.5e"),
        ("\"a\"", "[]"),
        ("\"a\"", "\"a\\ud800\""),
        ("\"a\"", "\"..\""),
        ("5}", "1e999}"),
        ("5}", "-5}"),
        ("5}", "5.5}"),
        ("5}", "18446744073709551616}"),
        ("5}", "{}}"),
        ("[{", "{"),
        ("null", "17.5e1}"),
        ("2024-03-01T02:03:04.000Z", "2024-13-41T02:03:04.000Z"),
        ("2024-03-01T02:03:04.000Z", "yesterday\\u001b[31m"),
    ] {
        refused(whole.replace(from, to)).await;
    }
    refused([b"\xef\xbb\xbf", whole.as_bytes()].concat()).await;
    refused([&whole.as_bytes()[..20], b"\xff\xfe", &whole.as_bytes()[20..]].concat()).await;
    refused(format!(r#"{{"VaultList":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000))).await;
    refused(format!("{whole}{whole}")).await;
}

/// Of a key that comes twice the last counts, as in every client of the service: never half of one and half of the other.
#[tokio::test]
async fn c18_a_key_that_comes_twice_has_one_meaning() {
    let entry = r#"{"VaultName":"a","CreationDate":"2024-03-01T02:03:04.000Z"}"#;
    assert_eq!(json(format!(r#"{{"VaultList":[{entry},{entry}],"VaultList":[{entry}]}}"#)).await.unwrap(), 1);
}

#[tokio::test]
async fn c18_a_list_of_a_hundred_megabytes_is_not_read() {
    let chunk = "100000\r\n".to_owned() + &"[".repeat(1 << 20) + "\r\n";
    let head = "HTTP/1.1 200 OK\r\nx-cas-requestId: r\r\n";
    for script in [
        Script::new().send(format!("{head}Content-Length: 100000000\r\n\r\n{{\"VaultList\":[")).stall(),
        Script::new().send(format!("{head}Transfer-Encoding: chunked\r\n\r\n")).send(chunk.repeat(12)).stall(),
    ] {
        let server = server(script).await;
        let api = api(&server);
        let error = api.list_vaults().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport(cas_http::ErrorKind::TooLarge), "{error:?}");
        let received = api.client().counters().body_bytes_received;
        assert!(received < 9 << 20, "{received} bytes were read");
    }
}

#[tokio::test]
async fn c18_what_is_read_comes_with_the_documented_status() {
    for (status, good) in [(200, true), (201, false), (203, false), (206, false)] {
        let script = Script::answer(status, &[("Content-Type", "application/json")], r#"{"VaultList":[]}"#);
        let outcome = listing(script).await;
        assert_eq!(outcome.is_ok(), good, "{status}");
        if let Err(error) = outcome {
            assert!(shown(&error).ends_with(&format!("status: expected 200, found {status}")), "{error:?}");
        }
    }
}

/// What becomes of an output of which a range is asked for, if any.
async fn output(asked: &str, status: u16, came: &str) -> Result<(), Error> {
    let headers = [("Content-Range", came)];
    let server = server(Script::answer(status, if came.is_empty() { &[] } else { &headers }, "hello")).await;
    let mut call = api(&server).get_job_output(vault(), JobId::parse("j").unwrap());
    if !asked.is_empty() {
        call = call.range(asked.parse::<OutputRange>().unwrap());
    }
    call.await.map(drop)
}

#[tokio::test]
async fn other_bytes_than_were_asked_for_are_refused() {
    for (asked, status, came) in [
        ("", 200, ""),
        ("", 206, "bytes 5-9/20"),
        ("bytes=5-9", 206, "bytes 5-9/20"),
        ("bytes=5-9", 206, "bytes 5-9/*"),
        ("bytes=5-99", 206, "bytes 5-9/10"),
        ("bytes=5-", 206, "bytes 5-9/10"),
        ("bytes=-5", 206, "bytes 5-9"),
    ] {
        assert!(output(asked, status, came).await.is_ok(), "{asked} {status} {came}");
    }
    for (asked, status, came) in [
        ("bytes=5-9", 200, ""),
        ("bytes=5-9", 200, "bytes 5-9/20"),
        ("bytes=5-9", 206, ""),
        ("bytes=5-9", 206, "bytes 0-4/20"),
        ("bytes=5-9", 206, "bytes 6-10/*"),
        ("bytes=5-9", 206, "bytes 5-10"),
        ("bytes=5-99", 206, "bytes 5-9/20"),
        ("bytes=5-", 206, "bytes 5-9/20"),
        ("bytes=-5", 206, "bytes 0-4/20"),
        ("bytes=5-9", 206, "pages 5-9"),
    ] {
        let error = output(asked, status, came).await.expect_err(&format!("{asked} {status} {came}"));
        assert_eq!((error.kind(), error.wire().unwrap().field()), (ErrorKind::Decode, "content-range"));
        shown(&error);
    }
    let error = output("", 203, "").await.unwrap_err();
    assert!(shown(&error).ends_with("status: expected 200 or 206, found 203"), "{error:?}");
}

/// The answer to an upload with these headers, and what becomes of it.
async fn upload(headers: &[(&str, &str)]) -> Result<ArchiveId, Error> {
    let server = server(Script::answer(201, headers, "")).await;
    let (sha256, tree_hash) = (ContentSha256::of(b"hello"), TreeHash::of(b"hello"));
    Ok(api(&server).upload_archive(vault(), sha256, tree_hash, "hello").await?.archive_id)
}

#[tokio::test]
async fn c19_an_identifier_that_is_none() {
    let long = "x".repeat(10_000);
    for id in ["", " ", ".", "..", "a/b", "a/../b", "%2e%2e", "a b", "é", "a\u{9b}31mred", &long] {
        let error = upload(&[("x-cas-archive-id", id)]).await.expect_err(id);
        assert!(shown(&error).contains("x-cas-archive-id"), "{error:?}");
    }
    let error = upload(&[]).await.unwrap_err();
    assert!(shown(&error).ends_with("x-cas-archive-id: missing"), "{error:?}");
    assert_eq!(upload(&[("x-cas-archive-id", "-a_b~")]).await.unwrap().as_str(), "-a_b~");
}

#[tokio::test]
async fn c19_a_header_with_a_control_byte_is_no_header() {
    let script =
        Script::new().send("HTTP/1.1 201 Created\r\nx-cas-archive-id: a\x1b[31m\r\nContent-Length: 0\r\n\r\n").close();
    let server = server(script).await;
    let (sha256, tree_hash) = (ContentSha256::of(b"hello"), TreeHash::of(b"hello"));
    let error = api(&server).upload_archive(vault(), sha256, tree_hash, "hello").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous, "something was stored, and nobody can tell where: {error:?}");
    shown(&error);
}

#[tokio::test]
async fn c19_a_result_that_comes_twice_must_be_the_same() {
    let twice = [("x-cas-archive-id", "a"), ("x-cas-archive-id", "b")];
    let error = upload(&twice).await.unwrap_err();
    assert!(shown(&error).contains("x-cas-archive-id"), "{error:?}");
    assert_eq!(upload(&[("x-cas-archive-id", "a"), ("x-cas-archive-id", "a")]).await.unwrap().as_str(), "a");
    let extra = [("x-cas-archive-id", "a"), ("x-cas-later", "new"), ("x-cas-requestId", "another")];
    assert_eq!(upload(&extra).await.unwrap().as_str(), "a", "what nobody knows is passed over");
}

/// The answer to a part with this tree hash, and what becomes of it.
async fn part(tree_hash: &str) -> Result<TreeHash, Error> {
    let server = server(Script::answer(204, &[("x-cas-sha256-tree-hash", tree_hash)], "")).await;
    let (range, upload) = (PartRange::new(ByteRange::with_len(0, 5).unwrap()), UploadId::parse("u").unwrap());
    let (sha256, ours) = (ContentSha256::of(b"hello"), TreeHash::of(b"hello"));
    Ok(api(&server).upload_part(vault(), upload, range, sha256, ours, "hello").await?.tree_hash)
}

#[tokio::test]
async fn c20_a_hash_is_compared_by_its_value_and_is_one_or_none() {
    let hash = TreeHash::of(b"hello").to_string();
    for same in [hash.clone(), hash.to_uppercase(), format!(" {hash} ")] {
        assert_eq!(part(&same).await.unwrap(), TreeHash::of(b"hello"), "{same}");
    }
    assert_ne!(part(&TreeHash::of(b"hallo").to_string()).await.unwrap(), TreeHash::of(b"hello"));
    for none in ["", &hash[1..], &format!("{hash}0"), &hash.replace(&hash[..1], "g"), &format!("\"{hash}\""), "null"] {
        let error = part(none).await.expect_err(none);
        assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
        assert!(shown(&error).contains("x-cas-sha256-tree-hash"), "{error:?}");
    }
}

#[tokio::test]
async fn c21_an_error_under_a_good_status_is_no_success() {
    let body = r#"{"code":"ResourceNotFoundException","message":"no such vault","type":"Client"}"#;
    refused(body).await;
    let answer = || Script::answer(200, &[("Content-Type", "application/json")], body);
    assert!(api(&server(answer()).await).describe_vault(vault()).await.is_err());
    assert!(api(&server(answer()).await).describe_job(vault(), JobId::parse("j").unwrap()).await.is_err());
    assert!(api(&server(answer()).await).get_vault_access_policy(vault()).await.is_err());
    assert!(api(&server(answer()).await).get_vault_notifications(vault()).await.is_err());
}
