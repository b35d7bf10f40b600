//! Nothing that can be printed or logged tells a secret.

use std::io;
use std::sync::{Mutex, Once};

use cas_http::error_body::code;
use cas_http::test_util::Script;
use cas_http::{Body, Proxy};
use http::{HeaderName, HeaderValue};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{SECRET_KEY, TOKEN, builder, credentials, ok, report, server};

/// What marks a secret in these tests: keys, tokens and passwords begin with the first, signatures follow the second.
const MARKS: [&str; 2] = ["hunter2", "q-signature="];
/// The vault of the calls whose log is looked at.
const WATCHED: &str = "watched-vault";

/// What is kept of the log of the whole suite: lines about the watched vault, and lines that tell a secret.
static KEPT: Mutex<String> = Mutex::new(String::new());

struct Watch;

impl io::Write for Watch {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let tells = MARKS.iter().any(|mark| text.contains(mark));
        if tells || text.contains(WATCHED) {
            KEPT.lock().unwrap().push_str(&text);
        }
        assert!(!tells, "the log tells a secret: {text}");
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Watches the log of the whole suite from the first server on, ours and that of the libraries below, at the most talkative level.
pub(crate) fn watch_the_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
        let subscriber = subscriber.with_writer(|| Watch).with_span_events(FmtSpan::NEW | FmtSpan::CLOSE).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_logged_or_shown() {
    let scripts = [
        Script::error(500, code::SERVICE_UNAVAILABLE),
        Script::error(400, code::INVALID_SIGNATURE),
        Script::new().close(),
        ok("{}"),
    ];
    let server = server(scripts).await;
    let client = builder(&server).build().unwrap();
    let vault: cas_http::VaultName = WATCHED.parse().unwrap();
    let mut shown = String::new();
    for _ in 0..3 {
        let own = (HeaderName::from_static("x-mine"), HeaderValue::from_static("hunter2-in-a-header"));
        let pending = client.describe_vault(&vault).header(own.0, own.1);
        shown += &format!("{pending:?}");
        match pending.await {
            Ok(answer) => shown += &format!("{answer:?} {:?}", report(&answer)),
            Err(error) => shown += &format!("{error} {error:?}"),
        }
    }
    shown += &format!("{client:?} {:?} {:?}", builder(&server), credentials());
    shown += &format!("{:?} {:?}", Body::from("hunter2"), Proxy::new("http://me:hunter2@proxy.example"));
    for secret in MARKS.into_iter().chain([SECRET_KEY, TOKEN]) {
        assert!(!shown.contains(secret), "a text for people tells {secret}: {shown}");
    }

    let log = KEPT.lock().unwrap().clone();
    for expected in [
        "cas.operation",
        "cas.attempt",
        r#"rpc.method="DescribeVault""#,
        r#"cas.vault="watched-vault""#,
        "url.full=http://cas.example/-/vaults/watched-vault",
        "http.response.status_code=500",
        "http.request.resend_count=1",
        "cas.request_id=\"scripted\"",
        "trying again",
        "authorization: REDACTED",
        "x-mine: REDACTED",
    ] {
        assert!(log.contains(expected), "the log lacks {expected}: {log}");
    }
    assert!(MARKS.iter().all(|mark| !log.contains(mark)), "the log tells a secret: {log}");
}
