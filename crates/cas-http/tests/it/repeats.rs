//! What is tried again, how often, how soon, and what never is.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cas_http::credentials::CredentialsError;
use cas_http::document::{InventoryRetrieval, JobParameters};
use cas_http::error_body::code;
use cas_http::test_util::{ManualClock, Received, Script, ScriptedServer};
use cas_http::{
    ArchiveId, Body, BoxFuture, ByteRange, Client, ContentSha256, Credentials, Error, ErrorKind, OnceBody, Outcome,
    PartRange, ProvideCredentials, RetryPolicy, TimeLimit, TreeHash, UploadId,
};
use tokio::time::Instant;

use crate::support::{builder, credentials, ok, report, server, vault};

fn inventory() -> JobParameters {
    JobParameters::InventoryRetrieval(InventoryRetrieval::new())
}

fn archive() -> ArchiveId {
    "archive-1".parse().unwrap()
}

/// The part upload of a body of this many bytes.
async fn upload_part(client: &Client, body: Body) -> Result<http::StatusCode, Error> {
    let range = PartRange::new(ByteRange::with_len(0, body.len()).unwrap());
    let upload: UploadId = "upload-1".parse().unwrap();
    let hashes = (ContentSha256::of(b""), TreeHash::of(b""));
    client.upload_part(vault(), upload, range, hashes.0, hashes.1, body).await.map(|answer| answer.status())
}

#[tokio::test(start_paused = true)]
async fn a_service_in_trouble_is_asked_again_with_a_new_signature() {
    let clock = ManualClock::default();
    let server =
        server([Script::error(500, code::SERVICE_UNAVAILABLE), Script::answer(502, &[], "<html>"), ok("{}")]).await;
    let ticking = clock.clone();
    let connect = server.connector();
    let client = builder(&server)
        .clock(clock)
        .connector(move |uri| {
            ticking.advance(Duration::from_secs(5));
            connect(uri)
        })
        .build()
        .unwrap();
    let answer = client.list_vaults().await.unwrap();
    assert_eq!((answer.status().as_u16(), report(&answer).attempts), (200, 3));
    assert!(report(&answer).waited <= Duration::from_millis(150), "{:?}", report(&answer));
    let requests = server.received();
    let signatures: std::collections::HashSet<_> =
        requests.iter().map(|request| request.header("authorization")).collect();
    assert!(requests.len() == 3 && !signatures.contains(&None));
    assert_eq!(client.counters().retries, 2);
}

#[tokio::test(start_paused = true)]
async fn each_try_is_signed_at_its_own_time() {
    let clock = ManualClock::default();
    let server = server([Script::error(503, code::SERVICE_UNAVAILABLE), ok("{}")]).await;
    let credentials = Ticking { clock: clock.clone(), given: AtomicU64::new(0) };
    builder(&server).clock(clock).credentials(Arc::new(credentials)).build().unwrap().list_vaults().await.unwrap();
    let times: Vec<_> =
        server.received().iter().map(|request| request.head.contains("q-sign-time=1700000040;")).collect();
    assert_eq!(times, [false, true], "the second was signed 100 seconds later");
}

/// Provides credentials that end at once, and moves the clock by 100 seconds from one to the next.
#[derive(Debug)]
struct Ticking {
    clock: ManualClock,
    given: AtomicU64,
}

impl ProvideCredentials for Ticking {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        if self.given.fetch_add(1, Ordering::Relaxed) > 0 {
            self.clock.advance(Duration::from_secs(100));
        }
        Box::pin(std::future::ready(Ok(credentials().with_expiry(1))))
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_is_a_400_and_is_waited_out() {
    let server = server([Script::error(400, code::THROTTLING), Script::error(429, "SlowDown"), ok("{}")]).await;
    let client = builder(&server).build().unwrap();
    let began = Instant::now();
    let answer = client.list_vaults().await.unwrap();
    assert_eq!(report(&answer).attempts, 3);
    let waited = report(&answer).waited;
    assert!(waited > Duration::from_millis(150) && waited <= Duration::from_secs(3), "{waited:?}");
    assert!(began.elapsed() >= waited);
}

#[tokio::test(start_paused = true)]
async fn control_calls_are_tried_four_times_and_transfers_six() {
    let server = server([]).await.otherwise(Script::answer(500, &[], "broken"));
    let client = builder(&server).build().unwrap();
    let answer = client.list_vaults().await.unwrap();
    assert_eq!((answer.status().as_u16(), report(&answer).attempts), (500, 4));
    assert_eq!(crate::support::text(answer).await, "broken");
    let answer = client.get_job_output(vault(), "job-1".parse::<cas_http::JobId>().unwrap()).await.unwrap();
    assert_eq!(report(&answer).attempts, 6);
    let answer = client.list_vaults().retry(RetryPolicy::never()).await.unwrap();
    assert_eq!(report(&answer).attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn c25_in_a_total_outage_a_thousand_calls_make_at_most_1036_requests() {
    let dials = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&dials);
    let client = Client::builder()
        .endpoint("http://cas.example")
        .credentials(credentials())
        .connector(move |_| {
            counting.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Err::<tokio::io::DuplexStream, _>(io::ErrorKind::ConnectionRefused.into()))
        })
        .build()
        .unwrap();
    for _ in 0..1000 {
        let error = client.list_vaults().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
    }
    let requests = client.counters().requests;
    assert!((1000..=1036).contains(&requests), "{requests}");
    assert_eq!(dials.load(Ordering::Relaxed), requests);
}

/// The questions between the tries of a large upload are requests, too.
#[tokio::test(start_paused = true)]
async fn c25_in_a_total_outage_a_thousand_uploads_make_at_most_1036_requests() {
    let server = server([]).await.otherwise(Script::new().after_body_bytes(1000).close());
    let client = builder(&server).build().unwrap();
    let bytes = Bytes::from(vec![7; 1 << 20]);
    for _ in 0..1000 {
        assert_eq!(upload_part(&client, bytes.clone().into()).await.unwrap_err().kind(), ErrorKind::Disconnected);
    }
    let requests = server.received();
    let questions = requests.iter().filter(|request| request.line().starts_with("GET ")).count();
    assert_eq!((requests.len(), questions), (1034, 17), "500 of budget are 17 questions and 17 repeats for 14 each");
}

#[tokio::test(start_paused = true)]
async fn c25_with_a_tenth_of_requests_failing_nearly_every_call_succeeds() {
    let mut random = fastrand::Rng::with_seed(7);
    let scripts = (0..6000).map(|_| match random.u32(0..30) {
        0 => Script::new().close(),
        1 => Script::answer(503, &[], ""),
        2 => Script::error(500, code::SERVICE_UNAVAILABLE),
        _ => ok("{}"),
    });
    let server = server(scripts.collect::<Vec<_>>()).await;
    let client = builder(&server).build().unwrap();
    let mut failed = 0;
    for _ in 0..5000 {
        let succeeded = client.list_vaults().await.is_ok_and(|answer| answer.status().is_success());
        failed += u32::from(!succeeded);
    }
    assert!(failed <= 5, "{failed} of 5000 calls failed");
    assert!(client.counters().retries > 300, "{:?}", client.counters());
}

#[tokio::test(start_paused = true)]
async fn an_error_tells_how_often_it_was_tried_and_how_long_was_waited() {
    let server = server([]).await;
    let client = builder(&server).retry(RetryPolicy::default()).build().unwrap();
    let began = Instant::now();
    let error = client.list_vaults().await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Disconnected, 4));
    assert!(error.waited() > Duration::ZERO && error.waited() <= Duration::from_millis(50 + 100 + 200), "{error:?}");
    assert!(error.elapsed() >= error.waited() && error.elapsed() <= began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn waits_are_random_and_with_a_seed_the_same_in_every_run() {
    let waited = async |seed| {
        let server = server([]).await;
        builder(&server).seed(seed).build().unwrap().list_vaults().await.unwrap_err().waited()
    };
    assert_eq!(waited(1).await, waited(1).await);
    assert_ne!(waited(1).await, waited(2).await);
}

#[tokio::test(start_paused = true)]
async fn clones_share_one_budget_of_repeats() {
    let server = server([]).await;
    let client = builder(&server).build().unwrap();
    for clone in std::iter::repeat_with(|| client.clone()).take(100) {
        clone.list_vaults().await.unwrap_err();
    }
    assert_eq!((server.received().len(), client.counters().retries), (135, 35));
}

#[tokio::test(start_paused = true)]
async fn c24_the_wait_the_service_names_is_waited() {
    let date = "Tue, 14 Nov 2023 22:13:27 GMT"; // 7 s after the clock of these tests
    for (value, seconds) in [("5", 5), (date, 7), ("60", 60)] {
        let server = server([Script::answer(503, &[("Retry-After", value)], ""), ok("{}")]).await;
        let answer = builder(&server).build().unwrap().list_vaults().await.unwrap();
        let waited = report(&answer).waited;
        let named = Duration::from_secs(seconds);
        assert!(waited >= named && waited <= named + Duration::from_millis(50), "{value}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn c24_a_wait_that_is_too_long_is_left_to_the_caller() {
    for value in ["61", "1000000000", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let server = server([Script::answer(503, &[("Retry-After", value)], ""), ok("{}")]).await;
        let answer = builder(&server).build().unwrap().list_vaults().await.unwrap();
        assert_eq!((answer.status().as_u16(), report(&answer).attempts), (503, 1));
        assert_eq!(answer.headers()["retry-after"], value);
    }
}

#[tokio::test(start_paused = true)]
async fn c24_a_named_wait_that_makes_no_sense_is_passed_over() {
    for value in ["-5", "soon", "1.5", ""] {
        let server = server([Script::answer(503, &[("Retry-After", value)], ""), ok("{}")]).await;
        let answer = builder(&server).build().unwrap().list_vaults().await.unwrap();
        assert!(report(&answer).waited <= Duration::from_millis(50), "{value:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unsafe_operation_whose_outcome_is_unknown_is_not_repeated() {
    let server = server([Script::new().close(), ok("{}")]).await;
    let error = builder(&server).build().unwrap().initiate_job(vault(), inventory()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), server.received().len()), (ErrorKind::Ambiguous, 1, 1));
    assert_eq!((error.operation(), error.vault()), (Some("InitiateJob"), Some(&vault())));
    let cause = error.source().unwrap().downcast_ref::<Error>().unwrap();
    assert_eq!(cause.kind(), ErrorKind::Disconnected);
    let chain: Vec<_> = std::iter::successors(Some(&error as &dyn std::error::Error), |&error| error.source())
        .map(|error| error.to_string().split(" (").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        chain,
        [
            "InitiateJob: it was sent and no answer came: it may have happened, and a repeat would do it again",
            "the connection ended before an answer came",
            "connection closed before message completed"
        ]
    );
    assert!(!error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn an_unsafe_operation_whose_answer_is_cut_is_not_to_be_repeated_either() {
    let cut = "HTTP/1.1 202 Accepted\r\nContent-Length: 20\r\n\r\n{";
    for (script, limit, cause) in [
        (Script::new().send(cut).close(), 100, ErrorKind::Disconnected),
        (Script::new().send(cut).stall(), 100, ErrorKind::Timeout(TimeLimit::Read)),
        (ok("{}"), 1, ErrorKind::TooLarge),
    ] {
        let server = server([script.clone(), script]).await;
        let client = builder(&server).build().unwrap();
        let answer = client.initiate_job(vault(), inventory()).await.unwrap();
        let error = answer.into_body().bytes(limit).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Ambiguous, Some("InitiateJob")));
        assert_eq!(error.source().unwrap().downcast_ref::<Error>().unwrap().kind(), cause);
        let error = client.list_vaults().await.unwrap().into_body().bytes(limit).await.unwrap_err();
        assert_eq!(error.kind(), cause, "listing again does no harm");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateways_answer_to_an_unsafe_operation_says_that_nobody_knows() {
    let server = server([Script::answer(504, &[], "<html>"), ok("{}")]).await;
    let answer = builder(&server).build().unwrap().initiate_job(vault(), inventory()).await.unwrap();
    assert_eq!((answer.status().as_u16(), report(&answer).outcome), (504, Outcome::Unknown));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unsafe_operation_is_repeated_when_it_cannot_have_happened() {
    let throttled = Script::error(400, code::THROTTLING);
    let server = server([throttled, Script::answer(202, &[], "")]).await;
    let connect = server.connector();
    let dials = AtomicU64::new(0);
    let client = builder(&server)
        .connector(move |uri| {
            let refused = dials.fetch_add(1, Ordering::Relaxed) == 0;
            let connected = connect(uri);
            async move { if refused { Err(io::ErrorKind::ConnectionRefused.into()) } else { connected.await } }
        })
        .build()
        .unwrap();
    let answer = client.initiate_job(vault(), inventory()).await.unwrap();
    assert_eq!((answer.status().as_u16(), report(&answer).attempts), (202, 3));
}

#[tokio::test(start_paused = true)]
async fn an_unsafe_upload_that_broke_halfway_is_sent_again_after_a_question() {
    let (sha256, tree_hash) = (ContentSha256::of(b""), TreeHash::of(b""));
    let body = Bytes::from(vec![7; 4 << 20]);
    let server = server([Script::new().after_body_bytes(1000).close(), ok("{}"), Script::answer(201, &[], "")]).await;
    let client = builder(&server).build().unwrap();
    let answer = client.upload_archive(vault(), sha256, tree_hash, body.clone()).await.unwrap();
    assert_eq!((answer.status().as_u16(), report(&answer).attempts), (201, 2));
    let lines: Vec<_> = server.received().iter().map(|request| request.line().to_owned()).collect();
    let upload = "POST /-/vaults/photos/archives HTTP/1.1";
    assert_eq!(lines, [upload, "GET /-/vaults/photos HTTP/1.1", upload]);
    assert_eq!(server.received()[2].body, body);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_was_lost_with_the_connection_is_found_out_before_a_large_body_is_sent_again() {
    for (status, code) in
        [(400, code::INVALID_SIGNATURE), (400, code::UNRECOGNIZED_CLIENT), (404, code::RESOURCE_NOT_FOUND)]
    {
        let server = server([Script::new().after_body_bytes(1000).close(), Script::error(status, code)]).await;
        let client = builder(&server).build().unwrap();
        let (sha256, tree_hash) = (ContentSha256::of(b""), TreeHash::of(b""));
        let answer = client.upload_archive(vault(), sha256, tree_hash, vec![7; 4 << 20]).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert!(report(&answer).request_id.is_some(), "{code}: that of the answer");
        assert_eq!(server.received().len(), 2, "{code}");
    }
}

/// A clock that is wrong and a token that is over are learned from the question, too, and once.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_was_lost_with_the_connection_is_learned_from() {
    let lost = || Script::new().after_body_bytes(1000).close();
    for refusal in [refused_at(SKEW), Script::error(403, code::EXPIRED_TOKEN)] {
        let server = server([lost(), refusal.clone(), Script::answer(204, &[], "")]).await;
        let client = builder(&server).credentials(Numbered::default()).build().unwrap();
        assert_eq!(upload_part(&client, vec![7; 4 << 20].into()).await.unwrap(), 204);
        let requests = server.received();
        let signatures: Vec<_> = requests.iter().map(|request| request.header("authorization")).collect();
        assert_ne!(signatures[0], signatures[2], "the clock of this test stands still");

        let server = self::server([lost(), refusal.clone(), lost(), refusal]).await;
        let client = builder(&server).build().unwrap();
        assert!(upload_part(&client, vec![7; 4 << 20].into()).await.unwrap().is_client_error());
        assert_eq!(server.received().len(), 4, "the second refusal is the answer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_read_again_is_sent_once() {
    let server = server([Script::new().after_body_bytes(1000).close(), ok("{}")]).await;
    let stream = futures::stream::iter((0..64).map(|_| Ok(Bytes::from(vec![7; 65_536]))));
    let body = Body::from(OnceBody::new(64 * 65_536, stream));
    assert!(!body.is_rewindable());
    let error = upload_part(&builder(&server).build().unwrap(), body).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Disconnected, 1));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_on_a_repeat_is_done() {
    let gone = || Script::error(404, code::RESOURCE_NOT_FOUND);
    let server = server([Script::new().close(), gone()]).await;
    let client = builder(&server).build().unwrap();
    let answer = client.delete_archive(vault(), archive()).await.unwrap();
    assert_eq!((answer.status().as_u16(), report(&answer).outcome), (404, Outcome::AlreadyGone));

    server.push(gone());
    let answer = client.delete_archive(vault(), archive()).await.unwrap();
    assert_eq!(report(&answer).outcome, Outcome::AsAnswered, "it was not there in the first place");

    server.push(Script::error(400, code::THROTTLING));
    server.push(gone());
    let answer = client.delete_archive(vault(), archive()).await.unwrap();
    assert_eq!(report(&answer).outcome, Outcome::AsAnswered, "the first try was refused");
}

const SKEW: &str = "Tue, 14 Nov 2023 23:13:20 GMT"; // an hour after the clock of these tests

fn refused_at(date: &str) -> Script {
    Script::answer(
        400,
        &[("Date", date)],
        r#"{"code":"InvalidSignatureException","message":"expired","type":"Client"}"#,
    )
}

/// The beginnings of the sign times the server was shown.
fn signed_from(server: &ScriptedServer) -> Vec<String> {
    let times = |request: &Received| request.head.split("q-sign-time=").nth(1).unwrap()[..10].to_owned();
    server.received().iter().map(times).collect()
}

#[tokio::test(start_paused = true)]
async fn c26_a_wrong_clock_is_learned_from_a_refused_signature() {
    for (date, corrected) in [(SKEW, "1700003540"), ("Tue, 14 Nov 2023 21:13:20 GMT", "1699996340")] {
        let server = server([refused_at(date), ok("{}"), ok("{}")]).await;
        let client = builder(&server).build().unwrap();
        for expected in [2, 1] {
            let answer = client.list_vaults().await.unwrap();
            assert_eq!((answer.status().as_u16(), report(&answer).attempts), (200, expected));
        }
        assert_eq!(signed_from(&server), ["1699999940", corrected, corrected]);
    }
}

/// An hour behind, learned; then somebody sets the clock right, then it jumps back: each time one refusal is enough.
#[tokio::test(start_paused = true)]
async fn c26_a_clock_that_jumps_is_followed() {
    let clock = ManualClock::default();
    let server = server([]).await;
    let client = builder(&server).clock(clock.clone()).build().unwrap();
    for ours in [1_700_000_000, 1_700_003_600, 1_700_000_000] {
        clock.set(ours);
        server.push(refused_at(SKEW));
        server.push(ok("{}"));
        server.push(ok("{}"));
        for expected in [2, 1] {
            assert_eq!(report(&client.list_vaults().await.unwrap()).attempts, expected);
        }
        assert_eq!(signed_from(&server)[server.received().len() - 2..], ["1700003540", "1700003540"]);
    }
}

#[tokio::test(start_paused = true)]
async fn c26_a_clock_that_does_not_help_is_forgotten() {
    let server = server([refused_at(SKEW), refused_at(SKEW), ok("{}")]).await;
    let client = builder(&server).build().unwrap();
    let answer = client.list_vaults().await.unwrap();
    assert_eq!((answer.status().as_u16(), report(&answer).attempts), (400, 2));
    client.list_vaults().await.unwrap();
    assert_eq!(signed_from(&server)[2], "1699999940");
}

#[tokio::test(start_paused = true)]
async fn c26_a_wrong_key_is_not_taken_for_a_wrong_clock() {
    for date in ["Tue, 14 Nov 2023 22:13:50 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "yesterday"] {
        let server = server([refused_at(date)]).await;
        let answer = builder(&server).build().unwrap().list_vaults().await.unwrap();
        assert_eq!(report(&answer).attempts, 1, "{date}");
    }
}

/// Provides `id-1`, `id-2`, … .
#[derive(Debug, Default)]
struct Numbered(AtomicU64);

impl ProvideCredentials for Numbered {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Box::pin(std::future::ready(Ok(Credentials::new(format!("id-{number}"), "key").unwrap())))
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_replaced_once() {
    let expired = || Script::error(403, code::EXPIRED_TOKEN);
    let server = server([ok("{}"), expired(), ok("{}"), expired(), expired()]).await;
    let client = builder(&server).credentials(Numbered::default()).build().unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.list_vaults().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 403]);
    let ids: Vec<_> = server.received().iter().map(|r| r.head.split("q-ak=").nth(1).unwrap()[..4].to_owned()).collect();
    assert_eq!(ids, ["id-1", "id-1", "id-2", "id-2", "id-3"]);
}

#[tokio::test(start_paused = true)]
async fn broken_credentials_end_the_call_before_anything_is_sent() {
    #[derive(Debug)]
    struct Broken;
    impl ProvideCredentials for Broken {
        fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
            Box::pin(std::future::ready(Err(CredentialsError::broken("file", "it has no key"))))
        }
    }
    let server = server([]).await;
    let error = builder(&server).credentials(Broken).build().unwrap().list_vaults().await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), server.connections()), (ErrorKind::Credentials, 0, 0));
    assert_eq!(error.source().unwrap().to_string(), "file: it has no key");
}

#[tokio::test(start_paused = true)]
async fn a_signing_key_that_is_over_signs_nothing() {
    let time = cas_sign::TimeRange::new(1, 2).unwrap();
    let key = credentials().signing_key(cas_sign::Algorithm::Sha1, time).unwrap();
    let server = server([]).await;
    let delegated = Credentials::delegated("id", key).unwrap();
    let error = builder(&server).credentials(delegated).build().unwrap().list_vaults().await.unwrap_err();
    assert_eq!((error.kind(), server.connections()), (ErrorKind::Sign, 0));
}
