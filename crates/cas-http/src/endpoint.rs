//! Where the service is: scheme, host and port.

use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

use crate::document::is_host_and_port;
use crate::id::{InvalidValue, without_secrets};

/// The address of the service: `https://cas.ap-chengdu.myqcloud.com`.
///
/// Without a scheme it is https; plain http is spoken only where `http://` is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    scheme: Scheme,
    authority: Authority,
}

impl Endpoint {
    /// Reads `[https://|http://]HOST[:PORT]`, a slash at the end allowed.
    ///
    /// # Errors
    ///
    /// When there is no host, or something stands beside host and port: a user, a path, a query.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let text = text.as_ref().trim();
        // Whoever puts a password there must not find it in a log.
        let invalid = |why: &str| InvalidValue::new("endpoint", why, without_secrets(text));
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::HTTPS, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::HTTPS, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::HTTP, rest),
            Some(_) => return Err(invalid("expected https:// or http://")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@', '\\']) {
            return Err(invalid("expected a host and perhaps a port, nothing else"));
        }
        let authority: Authority = authority.parse().map_err(|_| invalid("expected a host and perhaps a port"))?;
        if !is_host_and_port(&authority) {
            return Err(invalid("expected a host and perhaps a port"));
        }
        Ok(Endpoint { scheme, authority })
    }

    /// The service in a region: `cas.<region>.myqcloud.com` over https (pages of the service, product 572).
    ///
    /// # Errors
    ///
    /// When the region is not made of letters, digits and dashes.
    pub fn of_region(region: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let region = region.as_ref();
        if region.is_empty() || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(InvalidValue::new("region", "expected a name like ap-chengdu", region));
        }
        Endpoint::parse(format!("https://cas.{region}.myqcloud.com"))
    }

    /// The host, without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// The port, the scheme's own when none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Whether the host is this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }

    /// The value of the `Host` header: the port stands there unless it is the scheme's own.
    pub(crate) fn host_header(&self) -> HeaderValue {
        let default_port = if self.is_https() { 443 } else { 80 };
        let text = if self.port() == default_port { self.host() } else { self.authority.as_str() };
        HeaderValue::from_str(text).expect("an authority is visible ASCII")
    }

    /// The absolute form of a target on this endpoint.
    pub(crate) fn uri(&self, target: Option<&PathAndQuery>) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(target.cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
        Uri::from_parts(parts).expect("scheme, authority and path are all there")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl FromStr for Endpoint {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Endpoint::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_what_is_meant_unless_http_is_written() {
        for (text, shown, host_header) in [
            ("cas.example.com", "https://cas.example.com", "cas.example.com"),
            ("cas.example.com:8443", "https://cas.example.com:8443", "cas.example.com:8443"),
            ("HTTPS://cas.example.com:443/", "https://cas.example.com:443", "cas.example.com"),
            ("http://127.0.0.1:9580", "http://127.0.0.1:9580", "127.0.0.1:9580"),
            ("http://[::1]:80/", "http://[::1]:80", "[::1]"),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!((endpoint.to_string().as_str(), endpoint.host_header().to_str().unwrap()), (shown, host_header));
        }
        assert_eq!(Endpoint::of_region("ap-chengdu").unwrap().to_string(), "https://cas.ap-chengdu.myqcloud.com");
    }

    #[test]
    fn what_is_not_host_and_port_is_refused() {
        for text in ["", "https://", "ftp://a", "http://a/b", "a?b", "http://a:b", "a:", "a b", "http://:80", "a:99999"]
        {
            assert!(Endpoint::parse(text).is_err(), "{text:?}");
        }
        assert!(Endpoint::of_region("a.evil.example/").is_err());
    }

    #[test]
    fn a_password_in_an_endpoint_is_not_shown() {
        for text in ["http://me:hunter2@cas.example.com/x", "https://cas.example.com/?token=hunter2"] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn this_machine_is_told_from_others() {
        let is_loopback = |text| Endpoint::parse(text).unwrap().is_loopback();
        assert!(["localhost:1", "http://127.0.0.9", "[::1]:2"].into_iter().all(is_loopback));
        assert!(!["localhost.example.com", "10.0.0.1", "[::2]"].into_iter().any(is_loopback));
    }
}
