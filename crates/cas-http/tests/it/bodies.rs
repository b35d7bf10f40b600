//! Bodies in both directions: whole, in frames, counted.

use std::fs::File;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use cas_http::test_util::Script;
use cas_http::{
    Body, BodyLength, ByteRange, Client, ContentSha256, Error, ErrorKind, FRAME_SIZE, MIB, OnceBody, PartRange,
    ResponseBody, TreeHash, UploadId,
};
use futures::StreamExt;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::support::{builder, ok, server, tcp_builder, vault};

/// Bytes that tell where they stand.
fn pattern(len: u64) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

async fn upload(client: &Client, body: Body) -> Result<http::StatusCode, Error> {
    let range = PartRange::new(ByteRange::with_len(0, body.len()).unwrap());
    let upload: UploadId = "upload-1".parse().unwrap();
    let hashes = (ContentSha256::of(b""), TreeHash::of(b""));
    client.upload_part(vault(), upload, range, hashes.0, hashes.1, body).await.map(|answer| answer.status())
}

async fn frames(body: Body) -> io::Result<Vec<Bytes>> {
    let frames: Vec<_> = body.into_frames().collect().await;
    frames.into_iter().collect()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[tokio::test]
async fn every_kind_of_body_gives_its_bytes_in_frames() {
    let bytes = pattern(3 * MIB + 17);
    let file = Arc::new(file(&[b"before", &bytes[..], b"after"].concat()));
    let chunks = bytes.clone();
    let stream = move || {
        futures::stream::iter(chunks.chunks(700_001).map(|c| Ok(Bytes::copy_from_slice(c))).collect::<Vec<_>>())
    };
    let len = bytes.len() as u64;
    for body in [
        Body::from(bytes.clone()),
        Body::from_file(file, ByteRange::with_len(6, len).unwrap()),
        Body::replayable(len, stream.clone()),
        OnceBody::new(len, stream()).into(),
    ] {
        assert_eq!(body.len(), len);
        let twice = body.try_clone();
        assert_eq!(twice.is_some(), body.is_rewindable());
        for body in twice.into_iter().chain([body]) {
            let frames = frames(body).await.unwrap();
            assert!(frames.iter().all(|frame| !frame.is_empty() && frame.len() <= FRAME_SIZE));
            assert!(frames.concat() == bytes);
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_is_an_error() {
    let stream = |len| futures::stream::iter([Ok(Bytes::from(vec![0; len]))]);
    assert_eq!(frames(OnceBody::new(10, stream(9)).into()).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(frames(OnceBody::new(10, stream(11)).into()).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    let cut = Body::from_file(file(&pattern(100)), ByteRange::with_len(50, 51).unwrap());
    assert_eq!(frames(cut).await.unwrap_err().to_string(), "the file ends at byte 100");
    assert!(frames(Body::empty()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_range_of_a_file_arrives_as_it_is() {
    let server = server([Script::answer(204, &[], "")]).await;
    let bytes = pattern(5 * MIB);
    let range = ByteRange::with_len(MIB, 3 * MIB + 5).unwrap();
    let client = tcp_builder(&server).build().unwrap();
    assert_eq!(upload(&client, Body::from_file(file(&bytes), range)).await.unwrap(), 204);
    let request = &server.received()[0];
    assert_eq!(request.header("content-length"), Some("3145733"));
    assert!(request.header("transfer-encoding").is_none());
    assert!(request.body == bytes[1 << 20..(4 << 20) + 5]);
    assert_eq!(client.counters().body_bytes_sent, 3 * MIB + 5);
}

#[tokio::test]
async fn a_source_that_fails_is_told_from_a_connection_that_does() {
    let server = server([]).await.otherwise(Script::answer(204, &[], ""));
    let client = builder(&server).build().unwrap();
    for last in
        [Err(io::Error::other("the disk is gone")), Ok(Bytes::from_static(b"too long")), Ok(Bytes::from_static(b"sh"))]
    {
        let stream = futures::stream::iter([Ok(Bytes::from_static(b"begin")), last]);
        let error = upload(&client, OnceBody::new(10, stream).into()).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Body, 1), "{error:?}");
    }
    let cut = Body::from_file(file(&pattern(100)), ByteRange::with_len(50, 51).unwrap());
    let error = upload(&client, cut).await.unwrap_err();
    assert_eq!(error.to_string().split(" (").next(), Some("UploadPart: the source of the body failed"));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the file ends at byte 100");
}

/// What comes behind the length is seen though whoever sends the body asks for nothing behind it.
#[tokio::test]
async fn a_source_that_goes_on_exactly_behind_its_length_fails_the_call() {
    let server = server([]).await.otherwise(Script::answer(204, &[], ""));
    let client = builder(&server).retry(cas_http::RetryPolicy::never()).build().unwrap();
    for (behind, as_it_should) in [
        (vec![Ok("more")], false),
        (vec![Ok(""), Ok("more")], false),
        (vec![Err(io::ErrorKind::BrokenPipe)], false),
        (vec![Ok(""), Ok("")], true),
    ] {
        let chunks = std::iter::once(Ok("0123456789")).chain(behind);
        let chunks: Vec<_> = chunks.map(|chunk| chunk.map(Bytes::from).map_err(io::Error::from)).collect();
        let once = Body::from(OnceBody::new(10, futures::stream::iter(chunks)));
        let outcome = upload(&client, once).await;
        assert_eq!(outcome.is_ok(), as_it_should, "{outcome:?}");
        assert!(outcome.map_or_else(|error| error.kind() == ErrorKind::Body, |status| status == 204));
    }
    let again = Body::replayable(10, || futures::stream::iter(["0123456789", "more"].map(|text| Ok(text.into()))));
    assert_eq!(upload(&client, again).await.unwrap_err().kind(), ErrorKind::Body);
}

#[tokio::test(start_paused = true)]
async fn a_replayable_body_is_made_again_for_each_try() {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let server = server([Script::new().close(), Script::answer(204, &[], "")]).await;
    let body = Body::replayable(3, || {
        MADE.fetch_add(1, Ordering::Relaxed);
        futures::stream::iter([Ok(Bytes::from_static(b"abc"))])
    });
    assert_eq!(upload(&builder(&server).build().unwrap(), body).await.unwrap(), 204);
    assert_eq!((MADE.load(Ordering::Relaxed), &server.received()[1].body[..]), (2, &b"abc"[..]));
}

async fn answer_with(script: Script) -> ResponseBody {
    let server = server([script]).await;
    builder(&server).build().unwrap().list_vaults().await.unwrap().into_body()
}

#[tokio::test]
async fn an_answer_may_be_read_whole_up_to_a_limit() {
    let big = "x".repeat(200_000);
    assert_eq!(answer_with(ok(&big)).await.bytes(200_000).await.unwrap(), big);
    assert_eq!(answer_with(ok(&big)).await.bytes(199_999).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let chunked =
        Script::new().send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    let body = answer_with(chunked.clone()).await;
    assert_eq!(body.length(), BodyLength::Chunked);
    assert_eq!(body.bytes(7).await.unwrap(), "abcdefg");
    assert_eq!(answer_with(chunked).await.bytes(6).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn an_answer_without_a_length_must_be_wanted() {
    let script = Script::new().send("HTTP/1.1 200 OK\r\n\r\nall of it?").close();
    let body = answer_with(script.clone()).await;
    assert_eq!(body.length(), BodyLength::UntilClose);
    let error = body.bytes(100).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("its end after 10 bytes may be a cut"), "{error}");
    assert_eq!(answer_with(script).await.accept_unknown_length().bytes(100).await.unwrap(), "all of it?");
}

#[tokio::test]
async fn nothing_comes_after_the_error_of_a_body() {
    let mut body = answer_with(Script::new().send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc").close()).await;
    assert_eq!(body.chunk().await.unwrap().unwrap(), "abc");
    let error = body.chunk().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.to_string().contains("after 3 of 5 bytes"), "{error}");
    assert!(body.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn an_error_body_without_end_is_cut() {
    let endless = Script::new().send("HTTP/1.1 403 Forbidden\r\n\r\n").send(vec![b'x'; 300_000]).stall();
    assert_eq!(answer_with(endless).await.bytes(1 << 20).await.unwrap().len(), 64 * 1024);
}

/// An output that comes with this tree hash.
fn output(bytes: &[u8], tree_hash: &str) -> Script {
    Script::answer(200, &[("x-cas-sha256-tree-hash", tree_hash)], bytes)
}

async fn download(script: Script) -> ResponseBody {
    let server = server([script]).await;
    let job: cas_http::JobId = "job-1".parse().unwrap();
    builder(&server).build().unwrap().get_job_output(vault(), job).await.unwrap().into_body()
}

#[tokio::test]
async fn an_output_is_held_to_the_tree_hash_that_comes_with_it() {
    let bytes = pattern(2 * MIB + 3);
    let hash = TreeHash::of(&bytes).to_string();
    let read = async |body: ResponseBody| body.bytes(4 * MIB).await;
    assert!(read(download(output(&bytes, &hash)).await).await.unwrap() == bytes);
    let mut spoiled = bytes.clone();
    spoiled[1 << 20] ^= 1;
    let error = read(download(output(&spoiled, &hash)).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains(&hash) && error.to_string().contains("GetJobOutput"), "{error}");
    assert!(read(download(output(&spoiled, &hash)).await.without_hash_check()).await.unwrap() == spoiled);
    assert!(read(download(output(&spoiled, "no hash")).await).await.is_ok(), "whoever reads the head tells of that");
    let (sha256, tree_hash) = (ContentSha256::of(b""), TreeHash::of(b""));
    let server = server([Script::answer(201, &[("x-cas-sha256-tree-hash", &hash)], "")]).await;
    let answer = builder(&server).build().unwrap().upload_archive(vault(), sha256, tree_hash, "").await.unwrap();
    assert!(answer.into_body().bytes(10).await.is_ok(), "there it is the hash of what was sent");
}

/// The bytes of a body that is forwarded by its length, as a server does: behind the last byte nothing is asked for.
async fn forwarded(mut body: ResponseBody) -> (Vec<u8>, Option<Error>) {
    let mut sent = Vec::new();
    while !body.is_end_stream() && body.size_hint().exact() != Some(0) {
        match body.frame().await {
            Some(Ok(frame)) => sent.extend(frame.into_data().unwrap()),
            Some(Err(error)) => return (sent, Some(error)),
            None => break,
        }
    }
    (sent, None)
}

#[tokio::test]
async fn a_spoiled_output_that_is_forwarded_never_looks_whole() {
    let bytes = pattern(MIB + 3);
    let hash = TreeHash::of(&bytes).to_string();
    let (sent, error) = forwarded(download(output(&bytes, &hash)).await).await;
    assert!(error.is_none() && sent == bytes);
    for place in [0, bytes.len() - 1] {
        let mut spoiled = bytes.clone();
        spoiled[place] ^= 1;
        let (sent, error) = forwarded(download(output(&spoiled, &hash)).await).await;
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Protocol));
        assert!(sent.len() < spoiled.len());
    }
    let empty = download(output(b"", &hash)).await;
    assert!(!empty.is_end_stream(), "its hash is not looked at yet");
    assert_eq!(empty.bytes(1).await.unwrap_err().kind(), ErrorKind::Protocol);
}

/// A stream that takes several pieces at once and counts how often it was given more than one.
struct Gathering {
    pipe: DuplexStream,
    gathered: Arc<AtomicU32>,
}

impl AsyncRead for Gathering {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, into)
    }
}

impl AsyncWrite for Gathering {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if pieces.iter().filter(|piece| !piece.is_empty()).count() > 1 {
            self.gathered.fetch_add(1, Ordering::Relaxed);
        }
        let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
        Pin::new(&mut self.pipe).poll_write(cx, first)
    }
}

#[tokio::test]
async fn a_head_and_its_body_are_handed_over_together_and_uncopied() {
    let server = server([Script::answer(204, &[], "")]).await;
    let gathered = Arc::<AtomicU32>::default();
    let (connect, counting) = (server.connector(), Arc::clone(&gathered));
    let client = builder(&server).connector(move |uri| {
        let (pipe, gathered) = (connect(uri), Arc::clone(&counting));
        async move { Ok(Gathering { pipe: pipe.await?, gathered }) }
    });
    let bytes = pattern(3 * MIB);
    assert_eq!(upload(&client.build().unwrap(), bytes.clone().into()).await.unwrap(), 204);
    assert!(server.received()[0].body == bytes);
    assert!(gathered.load(Ordering::Relaxed) > 0);
}
