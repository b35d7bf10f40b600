//! Which proxy stands between us and the service, if any.

use std::fmt;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::credentials::Environment;
use crate::endpoint::Endpoint;
use crate::error::Error;

/// An HTTP proxy: `http://user:password@proxy.example.com:3128`.
///
/// A connection to an https endpoint goes through a tunnel (`CONNECT`), requests to an http endpoint are handed to the proxy whole.
#[derive(Clone)]
pub struct Proxy {
    url: String,
    no_proxy: String,
}

impl Proxy {
    /// The proxy at this URL; its scheme is http or https, its user and password are sent as Basic authorization.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Proxy { url: url.into(), no_proxy: String::new() }
    }

    /// Goes past the proxy for these hosts: names with their subdomains, addresses or networks, separated by commas; `*` for all.
    #[must_use]
    pub fn except(mut self, no_proxy: impl Into<String>) -> Self {
        self.no_proxy = no_proxy.into();
        self
    }
}

/// The URL is left out: it may hold a password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("no_proxy", &self.no_proxy).finish_non_exhaustive()
    }
}

/// What a builder was told about proxies.
#[derive(Clone, Debug, Default)]
pub(crate) enum ProxyChoice {
    /// Look into the environment.
    #[default]
    Environment,
    None,
    This(Proxy),
}

/// How connections get to the service.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    Direct,
    /// Through a `CONNECT` tunnel.
    Tunnel(Hop),
    /// The proxy takes the whole request.
    Forward(Hop),
}

/// A proxy on the way.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    pub(crate) uri: Uri,
    /// Marked sensitive, so `Debug` does not show it.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Route {
    /// The route to an endpoint.
    pub(crate) fn to(endpoint: &Endpoint, choice: &ProxyChoice, environment: &Environment) -> Result<Self, Error> {
        let matcher = match choice {
            ProxyChoice::None => return Ok(Route::Direct),
            // As other programs do: what is meant for the network is not applied to this machine.
            ProxyChoice::Environment if endpoint.is_loopback() => return Ok(Route::Direct),
            ProxyChoice::Environment => from_environment(environment),
            ProxyChoice::This(proxy) => {
                let matcher = Matcher::builder().all(proxy.url.clone()).no(proxy.no_proxy.clone()).build();
                let everything = Matcher::builder().all(proxy.url.clone()).build();
                if everything.intercept(&endpoint.uri(None)).is_none() {
                    return Err(Error::config("the proxy's URL cannot be read"));
                }
                matcher
            }
        };
        match matcher.intercept(&endpoint.uri(None)) {
            None => Ok(Route::Direct),
            Some(intercept) => Self::through(&intercept, endpoint),
        }
    }

    fn through(intercept: &Intercept, endpoint: &Endpoint) -> Result<Self, Error> {
        let uri = intercept.uri().clone();
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            let scheme = uri.scheme_str().unwrap_or_default();
            return Err(Error::config(format!("expected a proxy of scheme http or https, found {scheme}")));
        }
        let hop = Hop { uri, authorization: intercept.basic_auth().cloned() };
        Ok(if endpoint.is_https() { Route::Tunnel(hop) } else { Route::Forward(hop) })
    }
}

fn from_environment(environment: &Environment) -> Matcher {
    let first = |names: [&str; 2]| names.iter().find_map(|name| environment.get(name)).unwrap_or_default();
    let mut builder = Matcher::builder()
        .all(first(["ALL_PROXY", "all_proxy"]))
        .https(first(["HTTPS_PROXY", "https_proxy"]))
        .no(first(["NO_PROXY", "no_proxy"]));
    // Under CGI `HTTP_PROXY` holds a header of the visitor's request.
    if environment.get("REQUEST_METHOD").is_none() {
        builder = builder.http(first(["HTTP_PROXY", "http_proxy"]));
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(endpoint: &str, choice: ProxyChoice, environment: &[(&str, &str)]) -> String {
        let endpoint = Endpoint::parse(endpoint).unwrap();
        match Route::to(&endpoint, &choice, &Environment::from_pairs(environment.iter().copied())) {
            Ok(Route::Direct) => "direct".to_owned(),
            Ok(Route::Tunnel(hop)) => format!("tunnel {}", hop.uri),
            Ok(Route::Forward(hop)) => format!("forward {}", hop.uri),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn https_is_tunnelled_and_http_is_forwarded() {
        let proxy = || ProxyChoice::This(Proxy::new("proxy.example:3128"));
        assert_eq!(route("cas.example", proxy(), &[]), "tunnel http://proxy.example:3128/");
        assert_eq!(route("http://cas.example", proxy(), &[]), "forward http://proxy.example:3128/");
        assert_eq!(route("http://127.0.0.1:1", proxy(), &[]), "forward http://proxy.example:3128/", "it was asked for");
    }

    #[test]
    fn the_environment_names_proxies_and_exceptions() {
        let environment =
            [("HTTPS_PROXY", "http://p:1"), ("http_proxy", "http://q:2"), ("NO_PROXY", "b.example,10.0.0.0/8")];
        let route = |endpoint| route(endpoint, ProxyChoice::Environment, &environment);
        assert_eq!(route("a.example"), "tunnel http://p:1/");
        assert_eq!(route("http://a.example"), "forward http://q:2/");
        assert_eq!(route("x.b.example"), "direct");
        assert_eq!(route("http://10.1.2.3"), "direct");
        assert_eq!(route("http://localhost:9580"), "direct");
    }

    #[test]
    fn what_is_no_http_proxy_is_refused() {
        let choice = |url| ProxyChoice::This(Proxy::new(url));
        assert_eq!(
            route("a.example", choice("socks5://p:1"), &[]),
            "expected a proxy of scheme http or https, found socks5"
        );
        assert_eq!(route("a.example", choice("::"), &[]), "the proxy's URL cannot be read");
    }

    #[test]
    fn a_proxys_password_is_never_shown() {
        let proxy = Proxy::new("http://me:hunter2@proxy.example");
        assert!(!format!("{proxy:?}").contains("hunter2"));
        let route =
            Route::to(&Endpoint::parse("a.example").unwrap(), &ProxyChoice::This(proxy), &Environment::from_pairs([]))
                .unwrap();
        let Route::Tunnel(hop) = &route else { panic!("{route:?}") };
        assert_eq!(hop.authorization.as_ref().unwrap(), "Basic bWU6aHVudGVyMg==");
        assert!(!format!("{route:?}").contains("bWU6aHVudGVyMg"), "{route:?}");
    }
}
