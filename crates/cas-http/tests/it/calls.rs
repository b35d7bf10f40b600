//! What a request looks like on the wire and what comes back.

use cas_http::test_util::Script;
use cas_http::{AppId, ErrorKind, Limit, Outcome};

use crate::support::{SECRET_KEY, builder, ok, report, server, tcp_builder, text, vault};

#[tokio::test]
async fn a_request_carries_what_the_service_asks_for() {
    let server = server([ok(r#"{"JobList":[]}"#)]).await;
    let client = tcp_builder(&server).build().unwrap();
    let answer = client.list_jobs(&vault()).completed(true).limit(Limit::new(50).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(report(&answer).attempts, 1);
    assert_eq!(report(&answer).request_id.as_ref().unwrap().as_str(), "scripted");
    assert_eq!(text(answer).await, r#"{"JobList":[]}"#);

    let request = &server.received()[0];
    assert_eq!(request.line(), "GET /-/vaults/photos/jobs?completed=true&limit=50 HTTP/1.1");
    assert_eq!(Some(request.header("host").unwrap()), server.endpoint().strip_prefix("http://"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("content-length"), None);
    assert!(request.header("user-agent").unwrap().starts_with("cas-http/"));
    let authorization = request.header("authorization").unwrap();
    assert!(authorization.contains("q-ak=AKIDexample&q-sign-time=1699999940;1700001200"), "{authorization}");
    assert!(authorization.contains("q-header-list=host;x-cas-security-token&q-url-param-list=completed;limit"));
    assert!(!request.head.contains(SECRET_KEY));
}
