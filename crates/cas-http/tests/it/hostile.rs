//! Answers that are wrong in some way. None may hang, panic, be taken for success, or leave its connection in use.
//!
//! Tests are numbered by the kind of wrong, as the page on testing lists them: 1 to 12 framing, 13 to 16 time and cuts, 17 to 22 content, 23 and
//! on policy. Time is in `limits.rs`, redirects in `calls.rs`, repeats and clocks in `repeats.rs`, TLS and proxies in files of their own; what an
//! answer says is looked at in cas-api.

use cas_http::error_body::code;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use cas_http::test_util::{Script, ScriptedServer};
use cas_http::{Body, ByteRange, ContentSha256, Error, ErrorKind, PartRange, RetryPolicy, TreeHash, UploadId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::support::{builder, ok, server, tcp_builder, vault};

/// One call against this script, over memory and over TCP, its answer read to the end. Afterwards another call must use a new connection.
async fn refused(script: Script) -> ErrorKind {
    let mut kinds = Vec::new();
    for tcp in [false, true] {
        let server = server([script.clone(), ok("{}")]).await;
        let builder = if tcp { tcp_builder(&server) } else { builder(&server) };
        let client = builder.retry(RetryPolicy::never()).build().unwrap();
        let error = whole_answer(&client).await.expect_err("the answer was taken for a good one");
        assert_eq!(error.operation(), Some("DescribeVault"));
        kinds.push(error.kind());
        assert!(all_connections_close(&client).await, "the connection was kept");
        assert_eq!(whole_answer(&client).await.unwrap(), "{}");
        assert_eq!(server.connections(), 2, "the connection was used again");
    }
    assert_eq!(kinds[0], kinds[1]);
    kinds[0]
}

/// Gives the tasks that own connections their turns until they are gone; `false` when they stay.
async fn all_connections_close(client: &cas_http::Client) -> bool {
    for _ in 0..100_000 {
        if client.counters().open_connections == 0 {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

async fn whole_answer(client: &cas_http::Client) -> Result<bytes::Bytes, Error> {
    whole_body(client.describe_vault(vault()).await?).await
}

async fn whole_body(answer: http::Response<cas_http::ResponseBody>) -> Result<bytes::Bytes, Error> {
    answer.into_body().bytes(1 << 20).await
}

/// A head of status 200 with these lines, and what follows it, then the end of the connection.
fn raw(lines: &str, rest: &str) -> Script {
    Script::new().send(format!("HTTP/1.1 200 OK\r\n{lines}\r\n{rest}")).close()
}

/// The same, and the server would go on serving the connection.
fn raw_and_on(lines: &str, rest: &str) -> Script {
    Script::new().send(format!("HTTP/1.1 200 OK\r\n{lines}\r\n{rest}"))
}

#[tokio::test]
async fn c1_a_body_that_is_cut() {
    assert_eq!(refused(raw("Content-Length: 10\r\n", "123456789")).await, ErrorKind::Disconnected);
    assert_eq!(refused(raw("Content-Length: 10\r\n", "")).await, ErrorKind::Disconnected);
}

#[tokio::test]
async fn c2_a_body_without_a_length() {
    assert_eq!(refused(raw("", "{}")).await, ErrorKind::Protocol);
    assert_eq!(refused(raw("", "")).await, ErrorKind::Protocol);
    assert_eq!(refused(Script::new().send("HTTP/1.0 200 OK\r\n\r\n{}").close()).await, ErrorKind::Protocol);
}

#[tokio::test]
async fn c3_a_length_that_is_no_length() {
    for length in ["-1", "x", "99999999999999999999999", "1 2", ""] {
        assert_eq!(
            refused(raw(&format!("Content-Length: {length}\r\n"), "{}")).await,
            ErrorKind::Protocol,
            "{length:?}"
        );
    }
}

#[tokio::test]
async fn c4_a_length_and_chunks() {
    let rest = "2\r\n{}\r\n0\r\n\r\n";
    for lines in
        ["Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n"]
    {
        assert_eq!(refused(raw_and_on(lines, rest)).await, ErrorKind::Protocol);
    }
}

#[tokio::test]
async fn c5_two_lengths() {
    assert_eq!(refused(raw("Content-Length: 2\r\nContent-Length: 3\r\n", "{}")).await, ErrorKind::Protocol);
    assert_eq!(refused(raw_and_on("Content-Length: 2\r\nContent-Length: 2\r\n", "{}")).await, ErrorKind::Protocol);
}

#[tokio::test]
async fn c6_broken_chunks() {
    let chunked = |rest: &str| raw("Transfer-Encoding: chunked\r\n", rest);
    for rest in ["2\r\n{}\r\n", "2\r\n{", "", "2\r\n{}0\r\n\r\n", "zz\r\n{}\r\n0\r\n\r\n", "fffffffffffffffff\r\n{}"] {
        let kind = refused(chunked(rest)).await;
        assert!(matches!(kind, ErrorKind::Disconnected | ErrorKind::Protocol), "{rest:?}: {kind}");
    }
    let extension = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(100_000));
    let kind = refused(chunked(&extension)).await;
    assert!(matches!(kind, ErrorKind::Disconnected | ErrorKind::Protocol), "{kind}");
    assert_eq!(refused(raw("Transfer-Encoding: gzip, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")).await, ErrorKind::Protocol);
}

#[tokio::test]
async fn c6_trailers_are_passed_over() {
    let script = raw("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\nX-Late: 1\r\n\r\n");
    let server = server([script]).await;
    assert_eq!(whole_answer(&builder(&server).build().unwrap()).await.unwrap(), "{}");
}

#[tokio::test]
async fn c7_a_head_that_is_too_large() {
    let many: String = (0..65).map(|i| format!("X-{i}: y\r\n")).collect();
    let wide = |len| format!("X: {}\r\n", "y".repeat(len));
    for lines in [many, wide(66_000), wide(300_000)] {
        assert_eq!(refused(raw(&format!("{lines}Content-Length: 2\r\n"), "{}")).await, ErrorKind::Protocol);
    }
    let endless = Script::new().send(format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(2 << 20))).stall();
    assert_eq!(refused(endless).await, ErrorKind::Protocol);
}

#[tokio::test]
async fn c8_lines_that_are_no_header() {
    for lines in ["X : y\r\n", "X: a\0b\r\n", " folded\r\n", "X: a\r\n b\r\n", "no colon\r\n", ": y\r\n"] {
        assert_eq!(
            refused(raw(&format!("{lines}Content-Length: 2\r\n"), "{}")).await,
            ErrorKind::Protocol,
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn c8_a_header_that_is_not_text_harms_nobody() {
    let script = Script::new().send(b"HTTP/1.1 200 OK\r\nx-cas-requestId: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}");
    let server = server([script]).await;
    let answer = builder(&server).build().unwrap().describe_vault(vault()).await.unwrap();
    assert!(crate::support::report(&answer).request_id.is_none());
}

#[tokio::test]
async fn c9_a_status_that_is_no_final_status() {
    for status in ["99", "600", "999", "000", "1000", "abc", "2 0"] {
        let head = format!("HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(refused(Script::new().send(head)).await, ErrorKind::Protocol, "{status}");
    }
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(refused(Script::new().send(switching).stall()).await, ErrorKind::Protocol);
}

#[tokio::test(start_paused = true)]
async fn c9_interim_answers_without_end() {
    let flood = "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n".repeat(50_000);
    let server = server([Script::new().send(flood).stall()]).await;
    let client = builder(&server).retry(RetryPolicy::never()).build().unwrap();
    assert_eq!(whole_answer(&client).await.unwrap_err().kind(), ErrorKind::Timeout(cas_http::TimeLimit::Head));
}

#[tokio::test]
async fn c9_an_interim_answer_in_front_of_the_final_one_is_passed_over() {
    let server =
        server([Script::new().send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")])
            .await;
    assert_eq!(whole_answer(&builder(&server).build().unwrap()).await.unwrap(), "{}");
}

#[tokio::test]
async fn c10_a_body_where_there_is_none() {
    for status in [204, 304] {
        let head = format!("HTTP/1.1 {status} Empty\r\nContent-Length: 2\r\n\r\n{{}}");
        assert_eq!(refused(Script::new().send(head).close()).await, ErrorKind::Protocol, "{status}");
    }
}

#[tokio::test]
async fn c11_something_else_than_http() {
    for bytes in [
        &b"garbage\r\n\r\n"[..],
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        assert_eq!(refused(Script::new().send(bytes).close()).await, ErrorKind::Protocol, "{bytes:?}");
    }
    assert_eq!(refused(Script::new().close()).await, ErrorKind::Disconnected);
    assert_eq!(refused(Script::new().send("HTTP/1.1 200 OK\r\nContent-").close()).await, ErrorKind::Disconnected);
    assert_eq!(refused(Script::new().reset()).await, ErrorKind::Disconnected);
}

/// The next answer must not be the one that was slipped in behind the first.
#[tokio::test]
async fn c12_a_second_answer_behind_the_first() {
    async fn two_calls(server: &ScriptedServer, client: &cas_http::Client) {
        assert_eq!(whole_answer(client).await.unwrap(), "{}");
        tokio::task::yield_now().await;
        assert_eq!(whole_answer(client).await.unwrap(), "good");
        assert_eq!(server.connections(), 2);
    }
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let script = || Script::new().send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}"));
    let server_one = server([script(), ok("good")]).await;
    two_calls(&server_one, &builder(&server_one).build().unwrap()).await;
    let server_two = server([script(), ok("good")]).await;
    two_calls(&server_two, &tcp_builder(&server_two).build().unwrap()).await;
}

/// Neither in chunks, nor until the connection ends, nor by a length that is a lie is more of it taken than the reader allows.
#[tokio::test]
async fn c15_a_body_without_end() {
    let chunk = "1000\r\n".to_owned() + &"x".repeat(0x1000) + "\r\n";
    let plenty = "x".repeat(8 << 20);
    for (lines, rest) in [
        ("Transfer-Encoding: chunked\r\n", &chunk.repeat(2000)),
        ("", &plenty),
        ("Content-Length: 9223372036854775807\r\n", &plenty),
    ] {
        let server = server([raw_and_on(lines, rest).stall(), ok("{}")]).await;
        let client = builder(&server).build().unwrap();
        let error = whole_answer(&client).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{lines:?}");
        let received = client.counters().body_bytes_received;
        assert!(received < (1 << 20) + (256 << 10), "{received} bytes were read of a body that may have 1 MiB");
        assert!(all_connections_close(&client).await, "the connection was kept");
        assert_eq!(whole_answer(&client).await.unwrap(), "{}");
    }
}

#[tokio::test]
async fn c22_compression_that_was_not_asked_for() {
    assert_eq!(refused(raw_and_on("Content-Encoding: gzip\r\nContent-Length: 2\r\n", "{}")).await, ErrorKind::Protocol);
}

/// A part upload of this many bytes.
async fn upload(client: &cas_http::Client, len: usize) -> Result<http::Response<cas_http::ResponseBody>, Error> {
    let body = Body::from(vec![7; len]);
    let range = PartRange::new(ByteRange::with_len(0, body.len()).unwrap());
    let upload: UploadId = "upload-1".parse().unwrap();
    client.upload_part(vault(), upload, range, ContentSha256::of(b""), TreeHash::of(b""), body).await
}

/// Success before the whole request was read is no success.
#[tokio::test]
async fn an_upload_that_succeeds_too_early_has_not_succeeded() {
    let server = server([Script::answer(204, &[], "").after_body_bytes(10).stall()]).await;
    let client = builder(&server).retry(RetryPolicy::never()).build().unwrap();
    assert_eq!(upload(&client, 8 << 20).await.unwrap_err().kind(), ErrorKind::Protocol);
}

/// A refusal in the middle of an upload is the answer, its body comes whole, and the rest of the upload stays here.
#[tokio::test(start_paused = true)]
async fn an_upload_that_is_refused_early_is_not_sent_to_its_end() {
    let text = r#"{"code":"AccessDeniedException","message":"no","type":"Client"}"#;
    let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n", text.len());
    let second = std::time::Duration::from_secs(1);
    let refusal = Script::new().after_body_bytes(10).send(head).read_for(second).drip(text, second / 100).stall();
    let server = server([refusal, ok("{}")]).await;
    let client = builder(&server).build().unwrap();
    let answer = upload(&client, 64 << 20).await.unwrap();
    assert_eq!(answer.status(), 403);
    assert_eq!(whole_body(answer).await.unwrap(), text);
    assert!(client.counters().body_bytes_sent < 8 << 20, "{:?}", client.counters());
    assert!(all_connections_close(&client).await, "nobody can use that connection any more");
}

/// With bytes behind the early answer that no answer accounts for, the connection ends all the same, and takes nothing more of the upload.
#[tokio::test(start_paused = true)]
async fn c12_something_behind_an_early_answer() {
    let minute = std::time::Duration::from_secs(60);
    for (early, expected) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", Ok(403)),
        ("HTTP/1.1 204 Done\r\n\r\n", Err(ErrorKind::Protocol)),
    ] {
        let answers = format!("{early}HTTP/1.1 400 Bad Request\r\n\r\n");
        let server = server([Script::new().after_body_bytes(10).send(answers).read_for(minute).stall()]).await;
        let client = builder(&server).retry(RetryPolicy::never()).build().unwrap();
        let answer = upload(&client, 64 << 20).await;
        assert_eq!(answer.map(|answer| answer.status().as_u16()).map_err(|error| error.kind()), expected);
        assert!(all_connections_close(&client).await, "the connection was kept");
        assert!(client.counters().body_bytes_sent < 8 << 20, "{:?}", client.counters());
    }
}

/// A stream that takes a mebibyte and then fails, and on which an answer has come by then.
struct HangsUp {
    taken: usize,
    answer: Vec<u8>,
}

impl AsyncRead for HangsUp {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken < 1 << 20 {
            return Poll::Pending;
        }
        buf.put_slice(&std::mem::take(&mut self.answer));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HangsUp {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.taken >= 1 << 20 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.taken += bytes.len();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The write that fails is not the last word: what has come is read first, and where nothing has, the connection broke.
#[tokio::test]
async fn a_refusal_is_read_though_the_server_has_hung_up() {
    let server = server([]).await;
    for (answer, expected) in
        [("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", Ok(403)), ("", Err(ErrorKind::Disconnected))]
    {
        let hang_up = move |_| std::future::ready(Ok(HangsUp { taken: 0, answer: answer.into() }));
        let client = builder(&server).connector(hang_up).retry(RetryPolicy::never()).build().unwrap();
        let outcome = upload(&client, 64 << 20).await;
        assert_eq!(outcome.map(|answer| answer.status().as_u16()).map_err(|error| error.kind()), expected);
        assert!(client.counters().body_bytes_sent < 8 << 20, "{:?}", client.counters());
    }
}

/// On a real socket, where the end of the connection is a reset because most of the body is unread: nothing but the refusal, or a connection
/// that broke and a small question before the body would be sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_by_a_server_that_resets_the_connection_is_read_or_found_out() {
    let refusal = || Script::error(403, code::ACCESS_DENIED).after_body_bytes(1 << 20);
    for script in [refusal().close(), refusal().reset()].into_iter().cycle().take(10) {
        let server = server([script]).await.otherwise(Script::error(403, code::INVALID_SIGNATURE));
        let client = tcp_builder(&server).build().unwrap();
        assert_eq!(upload(&client, 64 << 20).await.unwrap().status(), 403);
        let requests = server.received();
        assert!(requests[1..].iter().all(|request| request.line().starts_with("GET ")), "the body was sent twice");
    }
}
