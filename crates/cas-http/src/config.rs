//! How a client is configured. Everything is checked in [`ClientBuilder::build`].

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cas_sign::{Signer, SigningOptions};
use http::{HeaderValue, Uri};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::{Client, Shared, usual_headers};
use crate::clock::{Clock, Skew, SystemClock};
use crate::connect::{Connector, Dial};
use crate::credentials::{Cached, Chain, Environment, ProvideCredentials};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::id::{InvalidValue, Uid};
use crate::observe::Counts;
use crate::pool::Pool;
use crate::proxy::{Proxy, ProxyChoice, Route};
use crate::retry::{Budget, RetryPolicy};
use crate::timeout::Timeouts;
use crate::tls::{Tls, TlsOptions};

/// Configures a [`Client`]. Only the endpoint or the region is required.
pub struct ClientBuilder {
    endpoint: Option<Result<Endpoint, InvalidValue>>,
    account: Result<Uid, InvalidValue>,
    credentials: Option<Arc<dyn ProvideCredentials>>,
    environment: Environment,
    timeouts: Timeouts,
    retry: RetryPolicy,
    pool: PoolOptions,
    signing: SigningOptions,
    tls: TlsOptions,
    proxy: ProxyChoice,
    dial: Option<Dial>,
    user_agent: Option<String>,
    clock: Arc<dyn Clock>,
    seed: Option<u64>,
}

/// How many connections are kept for later, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolOptions {
    /// Most idle connections: 32. There may be more busy ones.
    pub max_idle: usize,
    /// How long a connection may be idle: 60 s, less than what servers in front of the service usually grant.
    pub idle_timeout: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions { max_idle: 32, idle_timeout: Duration::from_secs(60) }
    }
}

impl ClientBuilder {
    pub(crate) fn new() -> Self {
        ClientBuilder {
            endpoint: None,
            account: Ok(Uid::Own),
            credentials: None,
            environment: Environment::of_process(),
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            pool: PoolOptions::default(),
            signing: SigningOptions::cas(),
            tls: TlsOptions::new(),
            proxy: ProxyChoice::default(),
            dial: None,
            user_agent: None,
            clock: Arc::new(SystemClock),
            seed: None,
        }
    }

    /// Sets where the service is: `https://cas.ap-chengdu.myqcloud.com`. Without a scheme it is https; plain http is spoken only where
    /// `http://` is written.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl AsRef<str>) -> Self {
        self.endpoint = Some(Endpoint::parse(endpoint));
        self
    }

    /// Sets the endpoint to the service's own in this region: `ap-chengdu`.
    #[must_use]
    pub fn region(mut self, region: impl AsRef<str>) -> Self {
        self.endpoint = Some(Endpoint::of_region(region));
        self
    }

    /// Sets the account in the path of requests; without it one's own, written `-`.
    #[must_use]
    pub fn account(mut self, account: impl Into<Uid>) -> Self {
        self.account = Ok(account.into());
        self
    }

    /// Sets who signs. What the source provides is kept until shortly before it ends; see [`Cached`].
    ///
    /// Without it the sources of [`Chain::standard`] are asked.
    #[must_use]
    pub fn credentials(mut self, credentials: impl ProvideCredentials) -> Self {
        self.credentials = Some(Arc::new(credentials));
        self
    }

    /// Configures what environment variables name: the endpoint from `CAS_ENDPOINT`, or from the region in `TENCENTCLOUD_REGION`; the
    /// account from `CAS_APPID`, a number or `-`. Credentials and a proxy, when they are not set here, are looked for in the same
    /// environment.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        if let Some(endpoint) = environment.get_filled("CAS_ENDPOINT") {
            self.endpoint = Some(Endpoint::parse(endpoint));
        } else if let Some(region) = environment.get_filled("TENCENTCLOUD_REGION") {
            self.endpoint = Some(Endpoint::of_region(region));
        }
        if let Some(account) = environment.get_filled("CAS_APPID") {
            self.account = account.parse();
        }
        self.environment = environment.clone();
        self
    }

    /// Sets the time limits.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts.bounded();
        self
    }

    /// Sets when to try again.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets how many connections are kept for later.
    #[must_use]
    pub fn pool(mut self, pool: PoolOptions) -> Self {
        self.pool = pool;
        self
    }

    /// Sets what is signed and how: dialect, algorithm, reading, headers, and the name of the token header.
    #[must_use]
    pub fn signing(mut self, signing: SigningOptions) -> Self {
        self.signing = signing;
        self
    }

    /// Sets whom to trust over https, and who to be.
    #[must_use]
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// Goes through this proxy. Without it the environment may name one (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), which is
    /// not asked for connections to this machine.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = ProxyChoice::This(proxy);
        self
    }

    /// Goes through no proxy, whatever the environment says.
    #[must_use]
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::None;
        self
    }

    /// Makes connections with this function instead of TCP: a pipe within the process, say. It is given the URI whose host is wanted, or
    /// that of a proxy if one was set; TLS is added for https. No proxy of the environment is asked.
    #[must_use]
    pub fn connector<F, Made, S>(mut self, connect: F) -> Self
    where
        F: Fn(Uri) -> Made + Send + Sync + 'static,
        Made: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.dial = Some(Dial::custom(connect));
        self
    }

    /// Sets what the client calls itself.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// Sets the clock that signatures and the ends of credentials go by.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the random waits between tries the same in every run.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the client. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when something that was set makes no sense, or the endpoint is missing.
    pub fn build(self) -> Result<Client, Error> {
        let invalid = |what: &str| {
            let what = format!("the {what} cannot be used");
            move |error: InvalidValue| Error::config(what).with_source(error)
        };
        let endpoint = self
            .endpoint
            .ok_or_else(|| {
                Error::config("neither an endpoint nor a region is set (CAS_ENDPOINT, TENCENTCLOUD_REGION)")
            })?
            .map_err(invalid("endpoint"))?;
        let user_agent = self.user_agent.unwrap_or_else(|| concat!("cas-http/", env!("CARGO_PKG_VERSION")).to_owned());
        let user_agent = HeaderValue::try_from(user_agent)
            .map_err(|error| Error::config("the user agent cannot be a header").with_source(error))?;

        let proxy = match (&self.dial, self.proxy) {
            (Some(_), ProxyChoice::Environment) => ProxyChoice::None,
            (_, proxy) => proxy,
        };
        let route = Route::to(&endpoint, &proxy, &self.environment)?;
        let counts = Arc::<Counts>::default();
        let dial = self.dial.unwrap_or_else(Dial::tcp);
        let connector = Connector::new(dial, route, Tls::new(self.tls)?, self.timeouts, counts.open.clone());
        let credentials = self.credentials.unwrap_or_else(|| Arc::new(Chain::standard(&self.environment)));

        Ok(Client {
            shared: Arc::new(Shared {
                usual_headers: usual_headers(endpoint.host_header(), user_agent),
                account: self.account.map_err(invalid("account"))?,
                credentials: Cached::with_clock(credentials, Arc::clone(&self.clock)),
                signer: Signer::new(self.signing),
                proxy_authorization: connector.forward_authorization().cloned(),
                exchange: Exchange::new(Pool::new(connector, self.pool), endpoint.clone(), self.timeouts),
                endpoint,
                retry: self.retry,
                budget: Budget::new(),
                jitter: Mutex::new(self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)),
                clock: self.clock,
                skew: Skew::default(),
                counts,
            }),
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("endpoint", &self.endpoint)
            .field("account", &self.account)
            .field("timeouts", &self.timeouts)
            .field("retry", &self.retry)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::id::AppId;

    fn from_environment(pairs: &[(&str, &str)]) -> Result<Client, Error> {
        Client::builder().environment(&Environment::from_pairs(pairs.iter().copied())).build()
    }

    #[test]
    fn the_environment_names_endpoint_and_account() {
        let client = from_environment(&[("TENCENTCLOUD_REGION", "ap-beijing"), ("CAS_APPID", "1250000000")]).unwrap();
        assert_eq!(client.endpoint().to_string(), "https://cas.ap-beijing.myqcloud.com");
        assert_eq!(client.account(), Uid::App(AppId::new(1_250_000_000)));
        let client = from_environment(&[("TENCENTCLOUD_REGION", "x"), ("CAS_ENDPOINT", "http://localhost:1")]).unwrap();
        assert_eq!(client.endpoint().to_string(), "http://localhost:1");
        assert_eq!(client.account(), Uid::Own);
    }

    #[test]
    fn what_makes_no_sense_is_said_when_the_client_is_built() {
        for pairs in [
            &[][..],
            &[("CAS_ENDPOINT", "ftp://x")],
            &[("TENCENTCLOUD_REGION", "a/b")],
            &[("CAS_ENDPOINT", "x"), ("CAS_APPID", "me")],
            &[("CAS_ENDPOINT", "x"), ("HTTPS_PROXY", "socks5://p")],
        ] {
            assert_eq!(from_environment(pairs).unwrap_err().kind(), ErrorKind::Config, "{pairs:?}");
        }
        let builder = || Client::builder().endpoint("x").no_proxy();
        assert!(builder().build().is_ok());
        assert!(builder().user_agent("a\nb").build().is_err());
    }
}
