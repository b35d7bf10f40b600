//! Reports of finished jobs: the job's description, posted to an address that a client chose.
//!
//! Such a request goes wherever a client says, so nothing is sent unless the host was allowed by whoever runs the emulator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cas_http::document::CallbackUrl;
use http::{Request, Uri, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How often a report is tried, and how long one try may take.
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// Sends reports to the hosts that were allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notifier(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    allowed: Vec<String>,
    delivered: AtomicU64,
    given_up: AtomicU64,
}

impl Notifier {
    /// Allows these hosts, by name or address, whatever the port.
    pub(crate) fn new(allowed: Vec<String>) -> Self {
        Notifier(Arc::new(Inner { allowed, ..Inner::default() }))
    }

    /// How many reports were taken by their receivers, and how many were given up.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.0.delivered.load(Ordering::SeqCst), self.0.given_up.load(Ordering::SeqCst))
    }

    /// Posts a job's description, up to three times, unless the host is not allowed.
    pub(crate) async fn deliver(&self, url: &CallbackUrl, description: Bytes) {
        let Ok(uri) = url.as_str().parse::<Uri>() else { return };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        if !self.0.allowed.contains(&host) {
            tracing::info!(host, "a finished job is not reported: the host is not allowed");
            return;
        }
        for attempt in 1..=TRIES {
            let outcome = tokio::time::timeout(PATIENCE, post(&uri, &host, description.clone())).await;
            match outcome.unwrap_or_else(|_| Err("no answer in time".into())) {
                Ok(()) => {
                    self.0.delivered.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Err(error) => tracing::warn!(%error, %uri, attempt, "a finished job could not be reported"),
            }
            if attempt < TRIES {
                tokio::time::sleep(PAUSE).await;
            }
        }
        self.0.given_up.fetch_add(1, Ordering::SeqCst);
    }
}

/// One try. Every status of 200 to 299 means that the report was taken.
async fn post(uri: &Uri, host: &str, body: Bytes) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if uri.scheme_str() != Some("http") {
        return Err("only http addresses can be reported to".into());
    }
    let port = uri.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host, port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let authority = uri.authority().map_or(host, http::uri::Authority::as_str);
    let request = Request::post(uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str))
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "cas-emulator")
        .body(Full::new(body))?;
    let answer = sender.send_request(request).await;
    driver.abort();
    let status = answer?.status();
    if status.is_success() { Ok(()) } else { Err(format!("answered with {status}").into()) }
}
