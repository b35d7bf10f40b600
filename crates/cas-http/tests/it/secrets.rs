//! Nothing that can be printed or logged tells a secret. That no line of the whole suite does is watched from the first server on; see
//! [`cas_http::secret_watch`].

use std::io;
use std::sync::{Arc, Mutex};

use cas_http::credentials::{
    CascmdFile, Chain, Environment, EnvironmentCredentials, InstanceRole, Process, ProfileFile, WebIdentity,
};
use cas_http::document::{
    CallbackUrl, InventoryRetrieval, JobParameters, NotificationConfiguration, NotificationEvent,
};
use cas_http::error_body::code;
use cas_http::secret_watch::{heard, secret_in, shown};
use cas_http::test_util::Script;
use cas_http::{Body, Call, Client, Credentials, Proxy, Raw, TlsOptions};
use cas_sign::{Algorithm, TimeRange};
use http::{HeaderName, HeaderValue, Method};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{builder, credentials, ok, report, server, tcp_builder, vault};

/// Keeps the log of one test.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_logged_by_the_names_of_opentelemetry_and_without_a_secret() {
    let scripts = [
        Script::error(500, code::SERVICE_UNAVAILABLE),
        Script::error(400, code::INVALID_SIGNATURE),
        Script::new().close(),
        ok("{}"),
    ];
    let server = server(scripts).await;
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
    let subscriber = subscriber.with_writer(move || writer.clone()).with_span_events(FmtSpan::NEW | FmtSpan::CLOSE);
    let _log = tracing::subscriber::set_default(subscriber.finish());
    let client = builder(&server).build().unwrap();
    let mut seen = String::new();
    for _ in 0..3 {
        let own = (HeaderName::from_static("x-mine"), HeaderValue::from_static("hunter2-in-a-header"));
        let pending = client.describe_vault(vault()).header(own.0, own.1);
        seen += &format!("{pending:?}");
        match pending.await {
            Ok(answer) => seen += &format!("{answer:?} {:?}", report(&answer)),
            Err(error) => seen += &shown(&error),
        }
    }
    assert_eq!(secret_in(&seen), None, "{seen}");

    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    for expected in [
        "cas.operation",
        "cas.attempt",
        r#"otel.kind="client""#,
        r#"otel.name="GET /{uid}/vaults/{vault}""#,
        r#"otel.status_code="ERROR""#,
        r#"rpc.system="cas""#,
        r#"rpc.method="DescribeVault""#,
        r#"cas.vault="photos""#,
        "http.request.method=GET",
        "http.request.body.size=0",
        "http.request.resend_count=1",
        "http.response.status_code=500",
        r#"network.protocol.version="1.1""#,
        r#"server.address="cas.example""#,
        "server.port=80",
        "url.full=http://cas.example/-/vaults/photos",
        r#"url.template="/{uid}/vaults/{vault}""#,
        r#"error.type="500""#,
        r#"error.type="disconnected""#,
        "cas.request_id=\"scripted\"",
        "trying again",
        "authorization: REDACTED",
        "x-mine: REDACTED",
    ] {
        assert!(log.contains(expected), "the log lacks {expected}: {log}");
    }
    assert_eq!(secret_in(&log), None, "{log}");
}

#[tokio::test]
async fn the_watch_hears_this_crate_and_the_libraries_below() {
    let server = server([ok("{}")]).await;
    tcp_builder(&server).build().unwrap().list_vaults().await.unwrap();
    let heard = heard();
    for module in ["cas_http::client", "cas_http::observe", "hyper_util::client::legacy::connect::http"] {
        assert!(heard.contains(&module), "{module} is not among {heard:?}");
    }
}

#[test]
fn no_value_that_holds_a_secret_shows_it() {
    let credentials = credentials();
    let key_time = TimeRange::new(1_700_000_000, 1_700_003_600).unwrap();
    let signing_key = credentials.signing_key(Algorithm::Sha1, key_time).unwrap();
    let derived = signing_key.expose().to_owned();
    let delegated = Credentials::delegated("id", signing_key.clone()).unwrap();
    let environment = Environment::from_pairs([
        ("TENCENTCLOUD_SECRET_ID", "id"),
        ("TENCENTCLOUD_SECRET_KEY", "hunter2-key"),
        ("TENCENTCLOUD_TOKEN", "hunter2-token"),
        ("HTTPS_PROXY", "http://me:hunter2@proxy.example"),
        ("CAS_ENDPOINT", "cas.example"),
    ]);
    let tls = TlsOptions::new().client_identity("hunter2").extra_roots("hunter2");
    let proxy = Proxy::new("http://me:hunter2@proxy.example");
    let client = Client::builder().environment(&environment).credentials(delegated.clone()).proxy(proxy.clone());
    let built = client.tls(tls.clone());
    let url = CallbackUrl::parse("https://me:hunter2@e.com/jobs?token=hunter2").unwrap();
    let job = JobParameters::InventoryRetrieval(InventoryRetrieval::new().call_back_url(url.clone()));
    let raw = Raw::new(Method::POST, "x").unwrap().query("token", "hunter2").unwrap().body("hunter2");
    let no_tls = Client::builder().environment(&environment).proxy(proxy.clone()).build().unwrap();
    let pending = no_tls.raw(raw.clone()).header(HeaderName::from_static("x-mine"), "hunter2".parse().unwrap());
    let texts = [
        format!("{credentials:?} {delegated:?} {signing_key:?} {:?} {:?}", credentials.key(), credentials.token()),
        format!(
            "{environment:?} {:?} {:?}",
            EnvironmentCredentials::new(environment.clone()),
            Chain::standard(&environment)
        ),
        format!("{:?} {:?}", ProfileFile::new(environment.clone()), CascmdFile::new("/no/such/file")),
        format!("{:?} {:?}", InstanceRole::new(&environment), WebIdentity::new(environment.clone())),
        format!("{:?}", Process::new("print-credentials", ["--password", "hunter2"])),
        format!("{tls:?} {proxy:?} {built:?} {no_tls:?}"),
        format!(
            "{url} {url:?} {job:?} {:?}",
            NotificationConfiguration::new(url.clone(), [NotificationEvent::ArchiveRetrievalCompleted])
        ),
        format!("{raw:?} {pending:?} {:?} {:?}", pending.options(), Body::from("hunter2")),
        format!("{:?}", Call::new(raw.clone(), None, pending.options().clone())),
        format!("{:?}", Client::builder().endpoint("http://me:hunter2@cas.example")),
    ];
    for text in texts {
        assert_eq!(secret_in(&text), None, "{text}");
        assert!(!text.contains(&derived), "{text}");
    }
    shown(&built.build().unwrap_err());
    shown(&Client::builder().endpoint("http://me:hunter2@cas.example").build().unwrap_err());
    shown(&Client::builder().endpoint("x").proxy(Proxy::new("ftp://me:hunter2@proxy.example")).build().unwrap_err());
    shown(&CallbackUrl::parse("ftp://me:hunter2@e.com").unwrap_err());
}
