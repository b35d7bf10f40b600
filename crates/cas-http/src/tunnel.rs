//! A tunnel through a proxy: `CONNECT`, and nothing but the end of a head before the tunnel begins.

use std::fmt;
use std::io;

use http::{HeaderValue, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::transport::Transport;

/// More than a proxy has to say.
const MAX_HEAD: usize = 8 * 1024;

/// Why a proxy made no tunnel.
#[derive(Debug)]
pub(crate) enum NoTunnel {
    /// It answered so.
    Refused(u16),
    /// What it answered is no head of HTTP, or too long a one.
    NotHttp,
    /// It said more than a head, before anybody at the other end could.
    SpokeFirst,
    /// The connection to it ended.
    Io(io::Error),
}

impl NoTunnel {
    /// Whether it will say the same next time.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, NoTunnel::Refused(400..=499))
    }
}

impl fmt::Display for NoTunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoTunnel::Refused(407) => f.write_str("it wants another user or password (407)"),
            NoTunnel::Refused(status) => write!(f, "it answered {status}"),
            NoTunnel::NotHttp => f.write_str("it did not answer with HTTP"),
            NoTunnel::SpokeFirst => f.write_str("it sent something of its own into the tunnel"),
            NoTunnel::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NoTunnel {}

impl From<io::Error> for NoTunnel {
    fn from(error: io::Error) -> Self {
        NoTunnel::Io(error)
    }
}

/// Asks the proxy at the other end for a tunnel to the host of this URI.
pub(crate) async fn dig(
    proxy: Transport,
    to: &Uri,
    authorization: Option<&HeaderValue>,
) -> Result<Transport, NoTunnel> {
    let mut stream = TokioIo::new(proxy);
    stream.write_all(&request(to, authorization)).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let end = loop {
        if let Some(start) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break start + 4;
        }
        if answer.len() > MAX_HEAD {
            return Err(NoTunnel::NotHttp);
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection").into());
        }
    };
    match status(&answer) {
        Some(200..=299) if answer.len() > end => Err(NoTunnel::SpokeFirst),
        Some(200..=299) => Ok(stream.into_inner()),
        Some(status) => Err(NoTunnel::Refused(status)),
        None => Err(NoTunnel::NotHttp),
    }
}

fn request(to: &Uri, authorization: Option<&HeaderValue>) -> Vec<u8> {
    let target = format!("{}:{}", to.host().unwrap_or_default(), to.port_u16().unwrap_or(443));
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// The status in the first line of an answer.
fn status(answer: &[u8]) -> Option<u16> {
    let (version, rest) = answer.split_at_checked(9)?;
    let digits = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let ends = matches!(rest.get(3), Some(b' ' | b'\r'));
    let known = version == b"HTTP/1.1 " || version == b"HTTP/1.0 ";
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    (known && ends).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_host_and_port() {
        let ask = |uri: &'static str| String::from_utf8(request(&Uri::from_static(uri), None)).unwrap();
        assert_eq!(ask("https://cas.example/"), "CONNECT cas.example:443 HTTP/1.1\r\nHost: cas.example:443\r\n\r\n");
        assert!(ask("https://[::1]:8443/").starts_with("CONNECT [::1]:8443 HTTP/1.1\r\n"));
        let authorization = HeaderValue::from_static("Basic x");
        let request = request(&Uri::from_static("https://a/"), Some(&authorization));
        assert!(request.ends_with(b"\r\nProxy-Authorization: Basic x\r\n\r\n"));
    }

    #[test]
    fn a_status_stands_in_a_line_of_http() {
        for (line, expected) in [
            ("HTTP/1.1 200 Connection established\r\n", Some(200)),
            ("HTTP/1.0 407\r\n", Some(407)),
            ("HTTP/1.1 2000 OK\r\n", None),
            ("HTTP/1.1 20 OK\r\n", None),
            ("HTTP/2 200 OK\r\n", None),
            ("ICY 200 OK\r\n", None),
            ("HTTP/1.1 +20 OK\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(line.as_bytes()), expected, "{line:?}");
        }
    }
}
