//! Reports of finished jobs: the job's description, posted to an address that a client chose.
//!
//! Such a request goes wherever a client says, so nothing is sent unless the host was allowed by whoever runs the emulator.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cas_http::document::CallbackUrl;
use http::{Request, Uri, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How often a report is tried, how long one try may take, and how long the next one waits.
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// Sends reports to the hosts that were allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notifier(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    allowed: Vec<String>,
    pause: Duration,
    delivered: AtomicU64,
    given_up: AtomicU64,
}

impl Notifier {
    /// Allows these hosts, by name or address, whatever the port. What is neither allows nothing.
    pub(crate) fn new(allowed: &[String]) -> Self {
        let allowed = allowed.iter().filter_map(|text| host(text)).collect();
        Notifier(Arc::new(Inner { allowed, pause: PAUSE, ..Inner::default() }))
    }

    /// How many reports were taken by their receivers, and how many were given up.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.0.delivered.load(Ordering::SeqCst), self.0.given_up.load(Ordering::SeqCst))
    }

    /// Posts a job's description, up to three times, unless the host is not allowed.
    pub(crate) async fn deliver(&self, url: &CallbackUrl, description: Bytes) {
        let Ok(uri) = url.as_str().parse::<Uri>() else { return };
        let Some(host) = uri.host().and_then(host).filter(|host| self.0.allowed.contains(host)) else {
            tracing::info!(host = uri.host(), "a finished job is not reported: the host is not allowed");
            return;
        };
        for attempt in 1..=TRIES {
            let outcome = tokio::time::timeout(PATIENCE, post(&uri, &host, description.clone())).await;
            match outcome.unwrap_or_else(|_| Err("no answer in time".into())) {
                Ok(()) => {
                    self.0.delivered.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Err(error) => tracing::warn!(%error, %url, attempt, "a finished job could not be reported"),
            }
            if attempt < TRIES {
                tokio::time::sleep(self.0.pause).await;
            }
        }
        self.0.given_up.fetch_add(1, Ordering::SeqCst);
    }
}

/// The name or address of a host in the one form in which hosts are compared; `None` for what is neither, such as an URL, or one with a port.
pub(crate) fn host(text: &str) -> Option<String> {
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = address.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_name.then(|| text.to_ascii_lowercase())
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
    // Host and port alone: the authority may have a password in it, which is the receiver's to know but no part of this header.
    let named = uri.host().unwrap_or(host);
    let named = uri.port_u16().map_or(named.to_owned(), |port| format!("{named}:{port}"));
    let request = Request::post(uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str))
        .header(header::HOST, named)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "cas-emulator")
        .body(Full::new(body))?;
    let answer = sender.send_request(request).await;
    driver.abort();
    let status = answer?.status();
    if status.is_success() { Ok(()) } else { Err(format!("answered with {status}").into()) }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn notifier(allowed: &[&str]) -> Notifier {
        let allowed = allowed.iter().map(|host| (*host).to_owned()).collect();
        Notifier(Arc::new(Inner { allowed, pause: Duration::ZERO, ..Inner::default() }))
    }

    #[test]
    fn hosts_are_names_and_addresses_and_nothing_else() {
        for (text, expected) in [
            ("CI-runner_1.Example.com", "ci-runner_1.example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[0:0::0001]", "::1"),
        ] {
            assert_eq!(host(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "http://x", "localhost:80", "127.0.0.1:80", "[::1]:80", "a/b", "me@x", "*", "a b", "a,b"] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    /// Answers one connection after the other with these statuses, and tells what came on each.
    async fn receiver(statuses: &'static [u16]) -> (CallbackUrl, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = CallbackUrl::parse(format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let served = tokio::spawn(async move {
            let mut received = Vec::new();
            for status in statuses {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut room = [0; 1024];
                let length = stream.read(&mut room).await.unwrap();
                received.push(String::from_utf8(room[..length].to_vec()).unwrap());
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            received
        });
        (url, served)
    }

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Kept(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_an_address_is_known_by_is_neither_logged_nor_sent_in_the_host_header() {
        let (url, served) = receiver(&[500, 500, 500]).await;
        let host = url.as_str().strip_prefix("http://").unwrap().trim_end_matches('/');
        let secret = CallbackUrl::parse(format!("http://me:hunter2@{host}/done?token=hunter2")).unwrap();
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        let log = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
        notifier(&["127.0.0.1"]).deliver(&secret, Bytes::new()).await;
        notifier(&[]).deliver(&secret, Bytes::new()).await;
        drop(log);
        for request in served.await.unwrap() {
            assert!(request.starts_with("POST /done?token=hunter2 HTTP/1.1\r\n"), "{request}");
            assert!(request.contains(&format!("\r\nhost: {host}\r\n")), "{request}");
        }
        let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains(&format!("url=http://{host}/done?…")) && log.contains("is not allowed"), "{log}");
        assert!(!log.contains("hunter2"), "{log}");
    }

    #[tokio::test]
    async fn a_report_is_tried_until_it_is_taken() {
        let (url, served) = receiver(&[500, 302, 201]).await;
        let notifier = notifier(&["127.0.0.1"]);
        notifier.deliver(&url, Bytes::from_static(b"{}")).await;
        assert_eq!((served.await.unwrap().len(), notifier.counts()), (3, (1, 0)));
    }

    #[tokio::test]
    async fn a_report_is_given_up_after_three_tries() {
        let (url, served) = receiver(&[500, 500, 500]).await;
        let notifier = notifier(&["127.0.0.1"]);
        notifier.deliver(&url, Bytes::from_static(b"{}")).await;
        assert_eq!((served.await.unwrap().len(), notifier.counts()), (3, (0, 1)));
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_host_that_was_not_allowed() {
        let (url, served) = receiver(&[200]).await;
        for allowed in [&[][..], &["localhost"], &["127.0.0.2"]] {
            let notifier = notifier(allowed);
            notifier.deliver(&url, Bytes::from_static(b"{}")).await;
            assert_eq!(notifier.counts(), (0, 0), "{allowed:?}");
        }
        assert!(!served.is_finished());
        Notifier::new(&["127.0.0.1".to_owned()]).deliver(&url, Bytes::new()).await;
        assert_eq!(served.await.unwrap().len(), 1, "the first that comes is the one that was allowed");
    }

    #[tokio::test]
    async fn a_host_is_the_same_in_capitals() {
        let (url, served) = receiver(&[200]).await;
        let url = CallbackUrl::parse(url.as_str().replace("127.0.0.1", "LocalHost")).unwrap();
        let notifier = Notifier::new(&["LOCALHOST".to_owned()]);
        notifier.deliver(&url, Bytes::new()).await;
        assert_eq!((served.await.unwrap().len(), notifier.counts()), (1, (1, 0)));
    }
}
