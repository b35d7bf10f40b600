//! An HTTP proxy between us and the service.

use cas_http::test_util::Script;
use cas_http::{Client, ErrorKind, Proxy, RetryPolicy};

use crate::support::{credentials, ok, server, text};

fn through(proxy: &cas_http::test_util::ScriptedServer, endpoint: &str) -> Client {
    let url = proxy.endpoint().replace("http://", "http://me:hunter2@");
    Client::builder()
        .endpoint(endpoint)
        .credentials(credentials())
        .proxy(Proxy::new(url))
        .retry(RetryPolicy::never())
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_plain_request_is_handed_to_the_proxy_whole() {
    let proxy = server([ok("{}")]).await;
    let client = through(&proxy, "http://cas.example:8080");
    assert_eq!(text(client.list_vaults().await.unwrap()).await, "{}");
    let request = &proxy.received()[0];
    assert_eq!(request.line(), "GET http://cas.example:8080/-/vaults HTTP/1.1");
    assert_eq!(request.header("host"), Some("cas.example:8080"));
    assert_eq!(request.header("proxy-authorization"), Some("Basic bWU6aHVudGVyMg=="));
    assert!(!request.header("authorization").unwrap().contains("proxy"));
}

#[tokio::test]
async fn a_proxy_that_wants_another_password_is_an_answer() {
    let proxy = server([Script::answer(407, &[("Proxy-Authenticate", "Basic")], "")]).await;
    let answer = through(&proxy, "http://cas.example").list_vaults().await.unwrap();
    assert_eq!(answer.status(), 407);
}

#[tokio::test]
async fn a_tunnel_that_is_refused_is_no_connection() {
    for script in [
        Script::answer(407, &[("Proxy-Authenticate", "Basic")], ""),
        Script::answer(502, &[], "no route"),
        Script::new().close(),
        Script::new().send("junk\r\n\r\n").close(),
        Script::new().send("HTTP/1.1 200 OK\r\n").close(),
    ] {
        let proxy = server([script]).await;
        let error = through(&proxy, "https://cas.example").list_vaults().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let request = &proxy.received()[0];
        assert_eq!(request.line(), "CONNECT cas.example:443 HTTP/1.1");
        assert_eq!(request.header("proxy-authorization"), Some("Basic bWU6aHVudGVyMg=="));
        assert_eq!(request.header("authorization"), None);
    }
}

#[tokio::test]
async fn what_is_excepted_goes_past_the_proxy() {
    let (proxy, service) = (server([]).await, server([ok("{}")]).await);
    let client = Client::builder()
        .endpoint(service.endpoint())
        .credentials(credentials())
        .proxy(Proxy::new(proxy.endpoint()).except("cas.example, 127.0.0.0/8"));
    assert_eq!(text(client.build().unwrap().list_vaults().await.unwrap()).await, "{}");
    assert_eq!((proxy.connections(), service.connections()), (0, 1));
}
