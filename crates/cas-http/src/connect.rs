//! From an address to a connection: TCP or any stream the caller makes, a proxy's tunnel, TLS, each with its time limit.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::call::BoxFuture;
use crate::error::{BoxError, ErrorKind, TimeLimit};
use crate::observe::Gauge;
use crate::proxy::Route;
use crate::timeout::Timeouts;
use crate::tls::Tls;
use crate::transport::{Transport, guard};
use crate::tunnel::{self, NoTunnel};

/// Makes connections.
pub(crate) struct Connector {
    dial: Dial,
    route: Route,
    tls: Tls,
    timeouts: Timeouts,
    open: Gauge,
}

/// What makes the stream underneath.
#[derive(Clone)]
pub(crate) enum Dial {
    Tcp(HttpConnector),
    Custom(Arc<MakeStream>),
}

type MakeStream = dyn Fn(Uri) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> + Send + Sync;

impl Dial {
    /// TCP without delay: a request's last bytes go out at once.
    pub(crate) fn tcp() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Dial::Tcp(tcp)
    }

    /// Whatever stream this function makes.
    pub(crate) fn custom<F, Made, S>(make: F) -> Self
    where
        F: Fn(Uri) -> Made + Send + Sync + 'static,
        Made: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Dial::Custom(Arc::new(move |uri| {
            let made = make(uri);
            Box::pin(async move { Ok(Box::new(made.await?) as Box<dyn Stream>) })
        }))
    }
}

/// A stream of bytes in both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connector {
    pub(crate) fn new(dial: Dial, route: Route, tls: Tls, timeouts: Timeouts, open: Gauge) -> Self {
        Connector { dial, route, tls, timeouts, open }
    }

    /// What a proxy that takes whole requests wants to see of us.
    pub(crate) fn forward_authorization(&self) -> Option<&HeaderValue> {
        match &self.route {
            Route::Forward(hop) => hop.authorization.as_ref(),
            Route::Direct | Route::Tunnel(_) => None,
        }
    }

    /// A connection to the host of this URI, encrypted if its scheme is https.
    pub(crate) async fn connect(&self, uri: Uri) -> Result<Transport, ConnectFailure> {
        let is_https = uri.scheme_str() == Some("https");
        let stream = match &self.route {
            Route::Direct => self.dial(uri.clone()).await?,
            Route::Forward(hop) => self.to_proxy(&hop.uri).await?.proxied(),
            Route::Tunnel(hop) => {
                let stream = self.to_proxy(&hop.uri).await?;
                let failed = |error: NoTunnel| {
                    let lasting = error.is_lasting();
                    let source = Box::new(error);
                    ConnectFailure::new(ErrorKind::Connect, "the proxy made no tunnel", source).lasting(lasting)
                };
                let digging = async { tunnel::dig(stream, &uri, hop.authorization.as_ref()).await.map_err(failed) };
                within(self.timeouts.connect, TimeLimit::Connect, "the proxy made no tunnel within", digging).await?
            }
        };
        if is_https { self.encrypt(stream, uri).await } else { Ok(stream) }
    }

    async fn to_proxy(&self, proxy: &Uri) -> Result<Transport, ConnectFailure> {
        let stream = self.dial(proxy.clone()).await?;
        if proxy.scheme_str() == Some("https") { self.encrypt(stream, proxy.clone()).await } else { Ok(stream) }
    }

    async fn dial(&self, uri: Uri) -> Result<Transport, ConnectFailure> {
        let Connector { dial, timeouts, open, .. } = self;
        let address = address_of(&uri);
        let failed =
            |error: BoxError| ConnectFailure::new(ErrorKind::Connect, format!("no connection to {address}"), error);
        let connecting = async {
            match dial {
                Dial::Custom(dial) => {
                    let stream = dial(uri).await.map_err(|error| failed(Box::new(error)))?;
                    Ok(guard(stream, timeouts.write, open.enter()))
                }
                Dial::Tcp(tcp) => {
                    let stream = tcp.clone().call(uri).await.map_err(|error| failed(Box::new(error)))?;
                    Ok(guard(stream.into_inner(), timeouts.write, open.enter()))
                }
            }
        };
        within(timeouts.connect, TimeLimit::Connect, format!("no connection to {address} within"), connecting).await
    }

    async fn encrypt(&self, stream: Transport, uri: Uri) -> Result<Transport, ConnectFailure> {
        let Connector { tls, timeouts, .. } = self;
        let what = format!("no TLS handshake with {} within", address_of(&uri));
        within(timeouts.tls, TimeLimit::Tls, what, tls.handshake(stream, uri)).await
    }
}

/// Host and port of a URI, for messages.
fn address_of(uri: &Uri) -> String {
    let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(default_port))
}

async fn within<T>(
    limit: Duration,
    which: TimeLimit,
    what: impl fmt::Display,
    future: impl Future<Output = Result<T, ConnectFailure>>,
) -> Result<T, ConnectFailure> {
    match tokio::time::timeout(limit, future).await {
        Ok(outcome) => outcome,
        Err(elapsed) => {
            let what = format!("{what} {} s", limit.as_secs_f64());
            Err(ConnectFailure::new(ErrorKind::Timeout(which), what, Box::new(elapsed)))
        }
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct ConnectFailure {
    kind: ErrorKind,
    what: String,
    lasting: bool,
    source: BoxError,
}

impl ConnectFailure {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>, source: BoxError) -> Self {
        ConnectFailure { kind, what: what.into(), lasting: false, source }
    }

    /// Notes whether the same will happen next time.
    pub(crate) fn lasting(self, lasting: bool) -> Self {
        ConnectFailure { lasting, ..self }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn is_lasting(&self) -> bool {
        self.lasting
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for ConnectFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
