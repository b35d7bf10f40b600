//! Time limits, each with its own kind. Time is paused: nobody waits.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cas_http::document::{InventoryRetrieval, JobParameters};
use cas_http::test_util::Script;
use cas_http::{
    Body, ByteRange, ContentSha256, Error, ErrorKind, PartRange, PoolOptions, RetryPolicy, TimeLimit, Timeouts,
    TreeHash, UploadId,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::{Instant, Interval, interval_at};

use crate::support::{builder, ok, report, server, vault};

const SECOND: Duration = Duration::from_secs(1);

fn timeout(limit: TimeLimit) -> ErrorKind {
    ErrorKind::Timeout(limit)
}

/// Whether something took as long as it should, give or take the waits between tries.
fn took(began: Instant, seconds: u64) -> bool {
    let took = began.elapsed();
    took >= SECOND * u32::try_from(seconds).unwrap() && took < SECOND * u32::try_from(seconds + 1).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_come_about_is_given_up_after_five_seconds() {
    let server = server([]).await;
    let client = builder(&server).connector(|_| pending::<io::Result<DuplexStream>>()).build().unwrap();
    let began = Instant::now();
    let error = client.list_vaults().retry(RetryPolicy::never()).await.unwrap_err();
    assert_eq!(error.kind(), timeout(TimeLimit::Connect));
    assert_eq!(error.to_string(), "ListVaults: no connection to cas.example:80 within 5 s (1 try, 5.0 s)");
    assert!(took(began, 5), "{:?}", began.elapsed());
    let error =
        client.initiate_job(vault(), JobParameters::InventoryRetrieval(InventoryRetrieval::new())).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.attempts()),
        (timeout(TimeLimit::Connect), 4),
        "nothing was sent, so it was repeated"
    );
}

#[cfg(feature = "rustls-ring")]
#[tokio::test(start_paused = true)]
async fn a_handshake_that_stands_still_is_given_up_after_ten_seconds() {
    let server = server([]).await.otherwise(Script::new().without_reading().stall());
    let root = rcgen::generate_simple_self_signed(["cas.example".to_owned()]).unwrap().cert.pem();
    let tls = cas_http::TlsOptions::new().extra_roots(root).only_extra_roots();
    let client = builder(&server).endpoint("https://cas.example").tls(tls).build().unwrap();
    let began = Instant::now();
    let error = client.list_vaults().retry(RetryPolicy::never()).await.unwrap_err();
    assert_eq!(error.kind(), timeout(TimeLimit::Tls));
    assert!(took(began, 10), "{:?}", began.elapsed());
}

/// A call to a server that follows this script is given up for want of a head after 30 seconds, and its connection is not used again.
async fn no_head_comes_of(script: Script) {
    let server = server([script, ok("{}")]).await;
    let client = builder(&server).build().unwrap();
    let began = Instant::now();
    let error = client.list_vaults().retry(RetryPolicy::never()).await.unwrap_err();
    assert_eq!(error.kind(), timeout(TimeLimit::Head));
    assert!(took(began, 30), "{:?}", began.elapsed());
    assert!(client.list_vaults().await.unwrap().status().is_success());
    assert_eq!(server.connections(), 2);
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn c13_a_head_that_comes_byte_by_byte_is_given_up_after_thirty_seconds() {
    no_head_comes_of(Script::new().drip(HEAD, SECOND)).await;
}

#[tokio::test(start_paused = true)]
async fn c14_a_service_that_stands_still_before_or_in_the_head_is_given_up_after_thirty_seconds() {
    for sent in [0, 1, 20, HEAD.len() - 1] {
        no_head_comes_of(Script::new().send(&HEAD[..sent]).stall()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_is_asked_again() {
    let server = server([Script::new().stall(), ok("{}")]).await;
    let answer = builder(&server).build().unwrap().list_vaults().await.unwrap();
    assert_eq!((report(&answer).attempts, server.connections()), (2, 2));
}

/// What comes of reading the body of one answer. After a failure its connection is not used again.
async fn read_body(script: Script) -> (Result<u64, Error>, Instant) {
    let server = server([script, ok("{}")]).await;
    let client = builder(&server).build().unwrap();
    let answer = client.get_job_output(vault(), "job-1".parse::<cas_http::JobId>().unwrap()).await;
    let mut body = answer.unwrap().into_body();
    let began = Instant::now();
    loop {
        match body.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => return (Ok(body.received()), began),
            Err(error) => {
                assert!(client.list_vaults().await.unwrap().status().is_success());
                assert_eq!(server.connections(), 2);
                return (Err(error), began);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c14_a_body_that_stands_still_is_given_up_after_thirty_seconds() {
    for sent in ["", "123", "123456789"] {
        let (outcome, began) = read_body(Script::new().send(format!("{HEAD}{sent}")).stall()).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), timeout(TimeLimit::Read));
        assert!(error.to_string().contains(&format!("after {} of 10 bytes", sent.len())), "{error}");
        assert_eq!((error.operation(), error.attempts()), (Some("GetJobOutput"), 1));
        assert!(took(began, 30), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn c13_a_byte_now_and_then_is_as_good_as_nothing_and_a_slow_body_is_fine() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2048\r\n\r\n";
    let body = [b'x'; 2048];
    let (outcome, began) = read_body(Script::new().send(head).drip(body, SECOND)).await;
    assert_eq!(outcome.unwrap_err().kind(), timeout(TimeLimit::Read));
    assert!(took(began, 30), "{:?}", began.elapsed());

    let (outcome, began) = read_body(Script::new().send(head).drip(body, SECOND / 50)).await;
    assert_eq!(outcome.unwrap(), 2048);
    assert!(began.elapsed() > 40 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_nothing_is_given_up_after_thirty_seconds() {
    let server = server([Script::new().after_body_bytes(100).stall()]).await;
    let body = Body::from(vec![7; 8 << 20]);
    let range = PartRange::new(ByteRange::with_len(0, body.len()).unwrap());
    let upload: UploadId = "upload-1".parse().unwrap();
    let began = Instant::now();
    let client = builder(&server).build().unwrap();
    let pending = client.upload_part(vault(), upload, range, ContentSha256::of(b""), TreeHash::of(b""), body);
    let error = pending.retry(RetryPolicy::never()).await.unwrap_err();
    assert_eq!(error.kind(), timeout(TimeLimit::Write), "{error:?}");
    assert!(took(began, 30), "{:?}", began.elapsed());
}

/// A stream that takes so many bytes a second, and never has an answer.
struct Trickle {
    per_second: usize,
    ticks: Interval,
}

impl Trickle {
    fn new(per_second: usize) -> Self {
        Trickle { per_second, ticks: interval_at(Instant::now() + SECOND, SECOND) }
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.ticks.poll_tick(cx));
        Poll::Ready(Ok(bytes.len().min(self.per_second)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Trickle {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_a_few_bytes_now_and_then_is_stalled_and_a_slow_one_is_not() {
    let server = server([]).await;
    let upload = async |per_second| {
        let client = builder(&server).connector(move |_| std::future::ready(Ok(Trickle::new(per_second)))).build();
        let (began, bytes) = (Instant::now(), Body::from(vec![7; 10_000]));
        let range = PartRange::new(ByteRange::with_len(0, bytes.len()).unwrap());
        let upload: UploadId = "upload-1".parse().unwrap();
        let (sha256, tree_hash) = (ContentSha256::of(b""), TreeHash::of(b""));
        let pending = client.unwrap().upload_part(vault(), upload, range, sha256, tree_hash, bytes);
        (pending.retry(RetryPolicy::never()).await.unwrap_err(), began.elapsed().as_secs())
    };
    let (error, took) = upload(33).await;
    assert_eq!(error.kind(), timeout(TimeLimit::Write), "990 bytes in 30 s are less than a kibibyte: {error:?}");
    assert_eq!(took, 30);
    let (error, took) = upload(40).await;
    assert_eq!(
        error.kind(),
        timeout(TimeLimit::Head),
        "all of it was taken, and only the answer never came: {error:?}"
    );
    assert!((10_000 / 40 + 30..10_000 / 40 + 60).contains(&took), "{took} s");
}

/// A call that waits for everything there is to wait for: for room to send, a head, a body, and the body of an error.
#[tokio::test(start_paused = true)]
async fn limits_without_bounds_are_none() {
    let slow = || Script::new().after_body_bytes(10).wait(3600 * SECOND).read_for(3600 * SECOND);
    let body = |status: u16| (format!("HTTP/1.1 {status} Slow\r\nContent-Length: 2\r\n\r\n"), 3600 * SECOND);
    let script = |(head, pause)| slow().send(head).drip("{}", pause);
    let server = server([script(body(503)), script(body(200))]).await;
    let (mut timeouts, mut retry, mut pool) = (Timeouts::default(), RetryPolicy::default(), PoolOptions::default());
    (timeouts.connect, timeouts.tls, timeouts.head) = (Duration::MAX, Duration::MAX, Duration::MAX);
    (timeouts.read, timeouts.write, timeouts.operation) = (Duration::MAX, Duration::MAX, Some(Duration::MAX));
    (retry.base, retry.cap, retry.max_retry_after) = (Duration::MAX, Duration::MAX, Duration::MAX);
    pool.idle_timeout = Duration::MAX;
    let client = builder(&server).timeouts(timeouts).retry(retry).pool(pool).build().unwrap();
    let (hash, bytes) = (TreeHash::of(b""), Body::from(vec![7; 1 << 20]));
    let range = PartRange::new(ByteRange::with_len(0, bytes.len()).unwrap());
    let upload: UploadId = "upload-1".parse().unwrap();
    let pending = client.upload_part(vault(), upload, range, ContentSha256::of(b""), hash, bytes);
    let answer = pending.timeout(Duration::MAX).await.unwrap();
    assert_eq!((answer.status().as_u16(), report(&answer).attempts), (200, 2));
    assert_eq!(answer.into_body().bytes(10).await.unwrap(), "{}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_tries_and_waits() {
    let server = server([]).await.otherwise(Script::new().stall());
    let client = builder(&server).build().unwrap();
    let began = Instant::now();
    let error = client.list_vaults().timeout(45 * SECOND).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (timeout(TimeLimit::Deadline), 2));
    assert!(took(began, 45), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    let server = server([Script::answer(503, &[("Retry-After", "10")], ""), ok("{}")]).await;
    let began = Instant::now();
    let answer = builder(&server).build().unwrap().list_vaults().timeout(5 * SECOND).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(took(began, 0), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_the_body() {
    let script = Script::new().send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123").stall();
    let server = server([script]).await;
    let answer = builder(&server).build().unwrap().list_vaults().timeout(10 * SECOND).await.unwrap();
    let error = answer.into_body().bytes(100).await.unwrap_err();
    assert_eq!(error.kind(), timeout(TimeLimit::Deadline));
    assert_eq!(error.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_cuts_an_unsafe_operation_leaves_it_unknown() {
    let server = server([Script::new().stall()]).await;
    let parameters = JobParameters::InventoryRetrieval(InventoryRetrieval::new());
    let pending = builder(&server).build().unwrap().initiate_job(vault(), parameters).timeout(SECOND);
    assert_eq!(pending.await.unwrap_err().kind(), ErrorKind::Ambiguous);
}
