//! What a request looks like on the wire and what comes back.

use std::time::Duration;

use cas_http::document::{InventoryRetrieval, JobParameters};
use cas_http::error_body::code;
use cas_http::test_util::Script;
use cas_http::{AppId, Client, ContentSha256, Error, ErrorKind, Limit, Outcome, PoolOptions, ServiceError, TreeHash};
use http::{HeaderName, HeaderValue, header};

use crate::support::{SECRET_KEY, builder, ok, report, server, tcp_builder, text, vault};

#[tokio::test]
async fn a_request_carries_what_the_service_asks_for() {
    let server = server([ok(r#"{"JobList":[]}"#)]).await;
    let client = tcp_builder(&server).build().unwrap();
    let answer = client.list_jobs(vault()).completed(true).limit(Limit::new(50).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(report(&answer).attempts, 1);
    assert_eq!(report(&answer).outcome, Outcome::AsAnswered);
    assert_eq!(report(&answer).request_id.as_ref().unwrap().as_str(), "scripted");
    assert_eq!(text(answer).await, r#"{"JobList":[]}"#);

    let request = &server.received()[0];
    assert_eq!(request.line(), "GET /-/vaults/photos/jobs?completed=true&limit=50 HTTP/1.1");
    assert_eq!(request.header("host"), server.endpoint().strip_prefix("http://"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("content-length"), None);
    assert_eq!(request.header("expect"), None);
    assert!(request.header("user-agent").unwrap().starts_with("cas-http/"));
    let authorization = request.header("authorization").unwrap();
    assert!(authorization.contains("q-ak=AKIDexample&q-sign-time=1699999940;1700001200"), "{authorization}");
    assert!(authorization.contains("q-header-list=host;x-cas-security-token&q-url-param-list=completed;limit"));
    assert!(!request.head.contains(SECRET_KEY));
}

#[tokio::test]
async fn an_upload_announces_its_length_and_signs_it() {
    let server = server([Script::answer(201, &[], "")]).await;
    let client = builder(&server).build().unwrap();
    let (sha256, tree_hash) = (ContentSha256::of(b"hello"), TreeHash::of(b"hello"));
    client.upload_archive(vault(), sha256, tree_hash, "hello").await.unwrap();

    let request = &server.received()[0];
    assert_eq!(request.line(), "POST /-/vaults/photos/archives HTTP/1.1");
    assert_eq!((request.header("content-length"), &request.body[..]), (Some("5"), &b"hello"[..]));
    assert_eq!(request.header("content-type"), Some("application/octet-stream"));
    let signed = "q-header-list=content-length;content-type;host;x-cas-content-sha256;x-cas-security-token;x-cas-sha256-tree-hash";
    assert!(request.header("authorization").unwrap().contains(signed), "{}", request.head);
}

#[tokio::test]
async fn a_document_is_sent_as_json_and_an_empty_body_as_no_bytes() {
    let server = server([Script::answer(202, &[], ""), Script::answer(201, &[], "")]).await;
    let client = builder(&server).build().unwrap();
    client.initiate_job(vault(), JobParameters::InventoryRetrieval(InventoryRetrieval::new())).await.unwrap();
    client.create_vault(vault()).await.unwrap();

    let [job, create] = &server.received()[..] else { panic!("two requests were made") };
    assert_eq!(job.header("content-type"), Some("application/json"));
    assert_eq!(job.body, r#"{"Type":"inventory-retrieval"}"#);
    assert_eq!((create.header("content-length"), create.body.len()), (Some("0"), 0));
}

#[tokio::test]
async fn a_call_may_differ_from_the_clients_configuration() {
    let server = server([ok("{}")]).await;
    let client = builder(&server).account(AppId::new(1)).user_agent("mine").build().unwrap();
    let extra = (HeaderName::from_static("x-cas-extra"), HeaderValue::from_static("yes"));
    client.describe_vault(vault()).uid(AppId::new(2)).header(extra.0, extra.1).send().await.unwrap();

    let request = &server.received()[0];
    assert_eq!(request.line(), "GET /2/vaults/photos HTTP/1.1");
    assert_eq!((request.header("x-cas-extra"), request.header("user-agent")), (Some("yes"), Some("mine")));
    assert!(request.header("authorization").unwrap().contains("q-header-list=host;x-cas-extra;x-cas-security-token"));
}

#[tokio::test]
async fn headers_of_the_connection_are_not_the_callers_to_set() {
    let server = server([]).await;
    let client = builder(&server).build().unwrap();
    for name in [header::HOST, header::AUTHORIZATION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT]
    {
        let error = client.list_vaults().header(name, HeaderValue::from_static("x")).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Config, 0));
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn an_error_of_the_service_is_an_answer() {
    let server = server([Script::error(404, code::RESOURCE_NOT_FOUND)]).await;
    let answer = builder(&server).build().unwrap().describe_vault(vault()).await.unwrap();
    assert_eq!((answer.status().as_u16(), report(&answer).outcome), (404, Outcome::AsAnswered));
    let (head, body) = answer.into_parts();
    let error = ServiceError::read(head.status, &head.headers, &body.bytes(1 << 16).await.unwrap());
    assert!(error.is(code::RESOURCE_NOT_FOUND), "{error}");
}

/// Whatever its status and wherever it leads, to another host, port or scheme: the signature goes nowhere but to the endpoint.
#[tokio::test]
async fn c23_a_redirect_is_returned_and_not_followed() {
    let elsewhere = server([]).await;
    for status in [301, 302, 303, 307, 308] {
        for location in [&elsewhere.endpoint(), "https://cas.example/", "//evil.example/", "/-/vaults/other"] {
            let server = server([Script::answer(status, &[("Location", location)], "")]).await;
            let answer = tcp_builder(&server).build().unwrap().list_vaults().await.unwrap();
            assert_eq!((answer.status().as_u16(), report(&answer).attempts), (status, 1));
            assert_eq!((server.received().len(), elsewhere.connections()), (1, 0));
        }
    }
}

#[tokio::test]
async fn one_connection_serves_one_call_after_the_other() {
    let server = server([]).await.otherwise(ok("{}"));
    let client = tcp_builder(&server).build().unwrap();
    for _ in 0..5 {
        text(client.list_vaults().await.unwrap()).await;
        // The connection comes back to the pool in a task of its own.
        tokio::task::yield_now().await;
    }
    assert_eq!((server.received().len(), server.connections()), (5, 1));
    let counters = client.counters();
    assert_eq!((counters.calls, counters.requests, counters.retries, counters.open_connections), (5, 5, 0, 1));
}

/// Makes this many calls at the same time, and gives the tasks that own connections their turns.
async fn calls_at_once(client: &Client, number: usize) {
    let calls = (0..number).map(async |_| text(client.list_vaults().await.unwrap()).await);
    futures::future::join_all(calls).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_idle_connections_are_kept_than_wanted_nor_longer() {
    let server = server([]).await.otherwise(ok("{}"));
    let mut pool = PoolOptions::default();
    pool.max_idle = 2;
    pool.idle_timeout = Duration::from_secs(10);
    let client = builder(&server).pool(pool).build().unwrap();
    calls_at_once(&client, 5).await;
    assert_eq!((server.connections(), client.counters().open_connections), (5, 2));
    calls_at_once(&client, 2).await;
    assert_eq!(server.connections(), 5, "those that were kept are used");
    tokio::time::advance(Duration::from_secs(11)).await;
    calls_at_once(&client, 1).await;
    assert_eq!(server.connections(), 6, "what was idle too long is not");
}

#[tokio::test]
async fn a_connection_the_server_closed_in_between_is_replaced() {
    let server = server([ok("{}").close(), ok("{}")]).await;
    let client = tcp_builder(&server).build().unwrap();
    for _ in 0..2 {
        text(client.list_vaults().await.unwrap()).await;
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_pending_request_can_be_looked_at() {
    let server = server([]).await;
    let client = builder(&server).build().unwrap();
    let pending = client.list_jobs(vault()).completed(false).uid(AppId::new(7));
    assert_eq!(pending.operation().completed, Some(false));
    assert_eq!(pending.options().uid, Some(AppId::new(7).into()));
}

#[test]
fn errors_and_answers_go_where_their_caller_goes() {
    const fn goes_anywhere<T: Send + Sync + 'static>() {}
    const {
        goes_anywhere::<Error>();
        goes_anywhere::<cas_http::Body>();
        goes_anywhere::<cas_http::Pending<cas_http::Client, cas_http::ops::UploadPart>>();
    }
}
