//! Nothing that a call ends with tells a secret: every operation meets every kind of trouble, with secrets in all places that have one.

use std::sync::Arc;

use cas_api::CasApi;
use cas_http::secret_watch::{secret_in, shown};
use cas_http::test_util::{ManualClock, Script, ScriptedServer};
use cas_http::{Credentials, OPERATIONS, Proxy};
use cas_sign::{Algorithm, TimeRange};

use crate::cuts::call;
use crate::goldens::Golden;
use crate::support::builder;

/// What a service, or what stands before it, may do to a call; some repeat what they were sent, as far as a test can know it beforehand.
fn troubles() -> Vec<Script> {
    let error = |status, code| Script::error(status, code);
    let ok = |lines: &str, rest: &str| Script::new().send(format!("HTTP/1.1 200 OK\r\n{lines}\r\n{rest}"));
    let repeats = r#"{"code":"InvalidSignatureException","message":"q-ak=id&q-signature=00ff","type":"Client"}"#;
    vec![
        Script::new().close(),
        Script::new().stall(),
        Script::new().send("garbage\r\n\r\n").close(),
        Script::new().send("HTTP/1.1 200 OK\r\nContent-").close(),
        ok("", "{}").close(),
        ok("Content-Length: 10\r\n", "{").close(),
        ok("Content-Length: 10\r\n", "{").stall(),
        ok("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
        ok("Content-Length: 2\r\nContent-Encoding: gzip\r\n", "{}"),
        Script::answer(200, &[], "<html>a portal</html>"),
        Script::answer(204, &[], ""),
        Script::answer(302, &[("Location", "http://elsewhere.example/")], ""),
        Script::answer(400, &[("Content-Type", "application/json")], repeats),
        Script::answer(407, &[("Proxy-Authenticate", "Basic")], ""),
        Script::answer(503, &[("Retry-After", "1")], "<html>q-signature=00ff</html>"),
        error(400, "ThrottlingException"),
        error(400, "UnrecognizedClientException"),
        error(403, "AccessDeniedException"),
        error(403, "ExpiredTokenException"),
        error(404, "ResourceNotFoundException"),
        error(500, "ServiceUnavailableException"),
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_an_operation_ends_with_tells_no_secret() {
    let signer = Credentials::new("id", "hunter2-key").unwrap();
    let key_time = TimeRange::new(1_699_990_000, 1_700_090_000).unwrap();
    let signing_key = signer.signing_key(Algorithm::Sha1, key_time).unwrap();
    let derived = signing_key.expose().to_owned();
    let with_token = |credentials: Credentials| credentials.with_token("hunter2-token").unwrap();
    let everybody = [with_token(signer), with_token(Credentials::delegated("id", signing_key).unwrap())];
    let mut failed = 0;
    for info in OPERATIONS {
        let golden = Golden::load(info.method_name, "request");
        for script in troubles() {
            for credentials in &everybody {
                let server = ScriptedServer::start([]).await.unwrap().otherwise(script.clone());
                let client = builder()
                    .endpoint("http://cas.example")
                    .credentials(Arc::new(credentials.clone()))
                    .proxy(Proxy::new("http://me:hunter2@proxy.example"))
                    .clock(ManualClock::default())
                    .seed(1)
                    .connector(server.connector());
                let api = CasApi::new(client.build().unwrap());
                let (uid, operation) = golden.read();
                let text = match call(&api, uid, operation, golden.body.clone()).await {
                    Ok(output) => format!("{output:?}"),
                    Err(error) => {
                        failed += 1;
                        shown(&error)
                    }
                };
                assert_eq!(secret_in(&text), None, "{}: {text}", info.name);
                assert!(!text.contains(&derived), "{}: {text}", info.name);
                let sent = &server.received()[0].head;
                assert!(sent.contains("hunter2-token") && sent.contains("aHVudGVyMg") && sent.contains("q-signature="));
            }
        }
    }
    assert!(failed > OPERATIONS.len() * troubles().len(), "{failed} calls failed");
}
