//! An HTTP proxy between us and the service: scripted ones, and one that is a process of its own.

use bytes::Bytes;
use cas_http::credentials::Environment;
use cas_http::test_util::Script;
use cas_http::{Client, ClientBuilder, ContentSha256, ErrorKind, Proxy, RetryPolicy, TreeHash};

use crate::proxy_process::{Behaviour, ProxyProcess};
use crate::support::{credentials, ok, server, text, vault};
#[cfg(feature = "rustls-ring")]
use crate::tls::{Server, issuer, trusting};

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
async fn c40_a_proxy_that_wants_another_password_is_an_answer() {
    let proxy = server([Script::answer(407, &[("Proxy-Authenticate", "Basic")], "")]).await;
    let answer = through(&proxy, "http://cas.example").list_vaults().await.unwrap();
    assert_eq!(answer.status(), 407);
}

#[tokio::test]
async fn c40_a_tunnel_that_is_refused_is_no_connection() {
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

/// A client of the service at this endpoint, with `NO_PROXY` for another host in its environment and this proxy.
fn behind(proxy: &ProxyProcess, endpoint: String) -> ClientBuilder {
    let url = proxy.url("me:hunter2");
    let environment = Environment::from_pairs([
        ("HTTP_PROXY", url.as_str()),
        ("HTTPS_PROXY", url.as_str()),
        ("NO_PROXY", "elsewhere.example,10.0.0.0/8"),
    ]);
    Client::builder().environment(&environment).endpoint(endpoint).credentials(credentials())
}

/// A service on this machine by a name that only the proxy knows.
fn named(endpoint: &str) -> String {
    endpoint.replace("127.0.0.1", "cas.example")
}

#[tokio::test]
async fn a_real_proxy_forwards_what_we_send_and_what_comes_back() {
    let mut proxy = ProxyProcess::start(Behaviour::Forward);
    let service = server([Script::answer(201, &[], ""), ok(&"x".repeat(300_000))]).await;
    let endpoint = named(&service.endpoint());
    let client = behind(&proxy, endpoint.clone()).build().unwrap();
    let body = Bytes::from(vec![7; 1 << 20]);
    let hashes = (ContentSha256::of(b""), TreeHash::of(b""));
    assert_eq!(client.upload_archive(vault(), hashes.0, hashes.1, body.clone()).await.unwrap().status(), 201);
    assert_eq!(text(client.list_vaults().await.unwrap()).await.len(), 300_000);
    let [upload, _] = &service.received()[..] else { panic!("two requests were made") };
    assert_eq!((upload.line(), &upload.body), ("POST /-/vaults/photos/archives HTTP/1.1", &body));
    assert_eq!(upload.header("host"), endpoint.strip_prefix("http://"));
    assert!(upload.header("authorization").is_some() && upload.header("proxy-authorization").is_none());
    let lines =
        [format!("POST {endpoint}/-/vaults/photos/archives HTTP/1.1 *"), format!("GET {endpoint}/-/vaults HTTP/1.1 *")];
    assert_eq!(proxy.saw(), lines);
}

#[cfg(feature = "rustls-ring")]
#[tokio::test]
async fn a_real_proxy_makes_a_tunnel_and_sees_nothing_of_what_is_in_it() {
    let mut proxy = ProxyProcess::start(Behaviour::Forward);
    let issuer = issuer();
    let service = Server::start(&issuer, "cas.example");
    let client = behind(&proxy, format!("https://cas.example:{}", service.port)).tls(trusting(&issuer));
    assert_eq!(text(client.build().unwrap().list_vaults().await.unwrap()).await, "{}");
    assert_eq!(proxy.saw(), [format!("CONNECT cas.example:{} HTTP/1.1", service.port)]);
}

#[tokio::test]
async fn a_real_proxy_is_not_asked_for_what_is_excepted() {
    let mut proxy = ProxyProcess::start(Behaviour::Forward);
    let service = server([]).await.otherwise(ok("{}"));
    let excepted = Proxy::new(proxy.url("me:hunter2")).except("cas.example,127.0.0.0/8");
    for builder in [
        behind(&proxy, service.endpoint()),
        behind(&proxy, service.endpoint()).proxy(excepted),
        behind(&proxy, service.endpoint()).no_proxy(),
    ] {
        assert_eq!(text(builder.build().unwrap().list_vaults().await.unwrap()).await, "{}");
    }
    assert_eq!(proxy.saw(), [""; 0], "the environment is not asked about this machine, and the exception covers it");
}

#[tokio::test]
async fn c40_a_real_proxy_that_does_not_know_us() {
    let mut proxy = ProxyProcess::start(Behaviour::Forward);
    let service = server([]).await;
    let endpoint = named(&service.endpoint());
    let stranger =
        |endpoint: String| behind(&proxy, endpoint).proxy(Proxy::new(proxy.url("me:wrong"))).build().unwrap();
    assert_eq!(stranger(endpoint.clone()).list_vaults().await.unwrap().status(), 407);
    let secret = stranger(endpoint.replace("http:", "https:")).list_vaults();
    let error = secret.await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, 1), "{error:?}");
    assert!(format!("{error:?}").contains("Refused(407)"), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("wrong"));
    assert_eq!(service.connections(), 0);
    assert_eq!(proxy.saw().len(), 2, "a refusal is not asked for again");
}

#[tokio::test]
async fn c40_a_real_proxy_that_cuts_what_it_passes_on() {
    let proxy = ProxyProcess::start(Behaviour::Cut);
    let service = server([]).await.otherwise(ok(&"x".repeat(10_000)));
    let client = behind(&proxy, named(&service.endpoint())).retry(RetryPolicy::never()).build().unwrap();
    let error = client.list_vaults().await.unwrap().into_body().bytes(1 << 20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error:?}");
}

#[cfg(feature = "rustls-ring")]
#[tokio::test]
async fn c40_a_real_proxy_that_cuts_a_tunnel_or_talks_in_it() {
    for behaviour in [Behaviour::Cut, Behaviour::Junk] {
        let mut proxy = ProxyProcess::start(behaviour);
        let issuer = issuer();
        let service = Server::start(&issuer, "cas.example");
        let client = behind(&proxy, format!("https://cas.example:{}", service.port)).tls(trusting(&issuer));
        let error = client.retry(RetryPolicy::with_attempts(2)).build().unwrap().list_vaults().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Connect), "{behaviour:?}: {error:?}");
        assert!(proxy.saw().iter().all(|line| line.starts_with("CONNECT ") && !line.ends_with('*')));
    }
}
