//! Requests that stand in no row of the table, by the example of the drafted vault lock and tags.

use bytes::Bytes;
use cas_http::error_body::code;
use cas_http::test_util::Script;
use cas_http::wire::Repeat;
use cas_http::{AppId, Body, ErrorKind, Raw, ServiceError};
use http::{HeaderName, HeaderValue, Method, header};

use crate::support::{builder, ok, report, server, text, vault};

const DOCUMENT: &str = r#"{"Tags":{"year":"2026"}}"#;

fn add_tags() -> Raw {
    Raw::new(Method::POST, "vaults/photos/tags").unwrap().query("operation", "add").unwrap().json(DOCUMENT)
}

#[tokio::test]
async fn a_raw_request_is_signed_and_sent_like_any_other() {
    let server = server([Script::answer(204, &[], ""), ok("{}")]).await;
    let client = builder(&server).account(AppId::new(7)).build().unwrap();
    let answer = client.raw(add_tags()).await.unwrap();
    assert_eq!((answer.status().as_u16(), report(&answer).operation), (204, "Raw"));
    let lock = Raw::new(Method::GET, "/-/vaults/photos/lock-policy").unwrap();
    let own = (HeaderName::from_static("x-cas-extra"), HeaderValue::from_static("yes"));
    client.raw(lock.header(own.0, own.1)).uid(AppId::new(8)).await.unwrap();

    let [tags, lock] = &server.received()[..] else { panic!("two requests were made") };
    assert_eq!(tags.line(), "POST /7/vaults/photos/tags?operation=add HTTP/1.1");
    assert_eq!((tags.header("content-length"), &tags.body[..]), (Some("24"), DOCUMENT.as_bytes()));
    assert_eq!(tags.header("content-type"), Some("application/json"));
    let signed = "q-header-list=content-length;content-type;host;x-cas-security-token&q-url-param-list=operation&";
    assert!(tags.header("authorization").unwrap().contains(signed), "{}", tags.head);
    assert_eq!(lock.line(), "GET /-/vaults/photos/lock-policy HTTP/1.1", "an absolute path names its account itself");
    assert_eq!(lock.header("content-length"), None);
    assert!(lock.header("authorization").unwrap().contains("q-header-list=host;x-cas-extra;x-cas-security-token"));
}

#[tokio::test(start_paused = true)]
async fn a_raw_request_is_repeated_as_far_as_it_is_declared_safe() {
    let attempts = async |raw: Raw, scripts: [Script; 2]| {
        let server = server(scripts).await;
        let outcome = builder(&server).build().unwrap().raw(raw).await;
        outcome.map(|answer| (answer.status().as_u16(), report(&answer).attempts)).map_err(|error| error.kind())
    };
    let lost = || [Script::new().close(), ok("{}")];
    assert_eq!(attempts(add_tags(), lost()).await, Err(ErrorKind::Ambiguous));
    assert_eq!(attempts(add_tags().repeat(Repeat::Safe), lost()).await, Ok((200, 2)));
    assert_eq!(attempts(Raw::new(Method::GET, "vaults/photos/tags").unwrap(), lost()).await, Ok((200, 2)));
    let gone = [Script::new().close(), Script::error(404, code::RESOURCE_NOT_FOUND)];
    let abort = Raw::new(Method::DELETE, "vaults/photos/lock-policy").unwrap().repeat(Repeat::SafeIfGone);
    assert_eq!(attempts(abort, gone).await, Ok((404, 2)));
    let throttled = [Script::error(400, code::THROTTLING), ok("{}")];
    assert_eq!(attempts(add_tags(), throttled).await, Ok((200, 2)), "refused before anything happened");
}

#[tokio::test]
async fn a_raw_error_tells_which_vault_it_is_about() {
    let server = server([Script::new().close()]).await;
    let error = builder(&server).build().unwrap().raw(add_tags()).await.unwrap_err();
    assert_eq!((error.operation(), error.vault()), (Some("Raw"), Some(&vault())));
}

#[tokio::test]
async fn what_answers_a_raw_request_is_read_up_to_a_limit() {
    let refusal = Script::error(400, "AccessDeniedException");
    let server = server([ok(&"x".repeat(100_000)), refusal]).await;
    let client = builder(&server).build().unwrap();
    let raw = || Raw::new(Method::GET, "vaults/photos/lock-policy").unwrap();
    let error = client.raw(raw()).await.unwrap().into_body().bytes(99_999).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let (head, body) = client.raw(raw()).await.unwrap().into_parts();
    let error = ServiceError::read(head.status, &head.headers, &body.bytes(64 << 10).await.unwrap());
    assert!(error.is(code::ACCESS_DENIED), "{error}");
}

#[tokio::test]
async fn the_body_of_a_raw_request_may_be_read_while_it_is_sent() {
    let server = server([Script::new().close(), ok("{}")]).await;
    let client = builder(&server).build().unwrap();
    let body = Body::replayable(6, || futures::stream::iter(["abc", "def"].map(|part| Ok(Bytes::from(part)))));
    let raw = Raw::new(Method::PATCH, "vaults/photos/later").unwrap().repeat(Repeat::Safe);
    assert_eq!(client.raw(raw).body(body).await.unwrap().status(), 200);
    let request = &server.received()[1];
    assert_eq!((request.header("content-length"), &request.body[..]), (Some("6"), &b"abcdef"[..]));
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let head = Script::new().send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
    let server = server([head, ok("{}")]).await;
    let client = builder(&server).build().unwrap();
    let answer = client.raw(Raw::new(Method::HEAD, "vaults/photos").unwrap()).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "500");
    assert_eq!(text(answer).await, "");
    tokio::task::yield_now().await;
    assert_eq!(text(client.list_vaults().await.unwrap()).await, "{}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn headers_of_the_connection_are_not_a_raw_requests_to_set() {
    let server = server([]).await;
    let client = builder(&server).build().unwrap();
    for name in [header::HOST, header::AUTHORIZATION, header::TRANSFER_ENCODING, header::CONNECTION] {
        let error = client.raw(add_tags().header(name, HeaderValue::from_static("x"))).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Config, 0));
    }
    assert!(server.received().is_empty());
}
