//! One small request on a connection of its own, for services that hand out credentials. No pool, no repeats, no redirects.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};

use crate::connect::{Connector, Dial};
use crate::endpoint::Endpoint;
use crate::error::{BoxError, Error};
use crate::observe::Gauge;
use crate::proxy::{ProxyChoice, Route};
use crate::timeout::Timeouts;
use crate::tls::{Tls, TlsOptions};

use super::Environment;

/// More than any answer with credentials has.
const MAX_BODY: usize = 64 * 1024;

/// Asks one service for credentials.
pub(super) struct Fetcher {
    endpoint: Endpoint,
    connector: Connector,
    limit: Duration,
}

impl Fetcher {
    /// Asks the service at this endpoint, which must answer within the limit. The environment may name a proxy.
    pub(super) fn new(
        endpoint: Endpoint,
        limit: Duration,
        proxy: &ProxyChoice,
        environment: &Environment,
    ) -> Result<Self, Error> {
        let route = Route::to(&endpoint, proxy, environment)?;
        let timeouts = Timeouts { connect: limit / 2, ..Timeouts::default() };
        let connector = Connector::new(Dial::tcp(), route, Tls::new(TlsOptions::new())?, timeouts, Gauge::default());
        Ok(Fetcher { endpoint, connector, limit })
    }

    /// The status and body of the answer to a request, whose target is a path.
    pub(super) async fn fetch(&self, request: Request<Bytes>) -> Result<(StatusCode, Bytes), BoxError> {
        tokio::time::timeout(self.limit, self.exchange(request)).await?
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<(StatusCode, Bytes), BoxError> {
        let (mut head, body) = request.into_parts();
        head.headers.insert(http::header::HOST, self.endpoint.host_header());
        let absolute = self.endpoint.uri(head.uri.path_and_query());
        let transport = self.connector.connect(absolute.clone()).await?;
        if transport.is_proxied() {
            head.uri = absolute;
        }
        if let Some(authorization) = self.connector.forward_authorization() {
            head.headers.insert(http::header::PROXY_AUTHORIZATION, authorization.clone());
        }
        let (mut sender, connection) = hyper::client::conn::http1::handshake(transport).await?;
        let answer = async {
            let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_BODY).collect().await?;
            Ok((status, body.to_bytes()))
        };
        // The connection has to be driven until the answer is read; it is dropped with it.
        tokio::select! {
            biased;
            answer = answer => answer,
            Err(error) = connection => Err(error.into()),
        }
    }
}
