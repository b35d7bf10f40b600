//! Who sent a request: the service's check of a signature (`docs/protocol.md` §3.9), step by step, with the error of each step.

use std::borrow::Cow;

use cas_http::error_body::code;
use cas_http::header::X_CAS_SECURITY_TOKEN;
use cas_http::{ContentSha256, Timestamp};
use cas_sign::{Verified, Verifier, VerifyError};
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::account::Account;
use crate::failure::{Failure, Outcome};

/// The key pairs an emulator knows, and how it checks signatures.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) known: Vec<Account>,
    pub(crate) verifier: Verifier,
    /// The port it listens on, which a client may have signed with a host that it sent without.
    pub(crate) port: Option<u16>,
}

/// Whoever signed a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) account: Account,
    pub(crate) verified: Verified,
}

impl Accounts {
    /// Tells who signed a request, or why nobody did.
    pub(crate) fn authenticate(&self, head: &Parts, now: Timestamp) -> Outcome<Caller> {
        if head.headers.get_all(AUTHORIZATION).iter().count() > 1 {
            return Err(refused("more than one authorization header"));
        }
        let seconds = u64::try_from(now.unix_seconds()).unwrap_or(0);
        let find = |id: &str| self.known.iter().find(|account| account.secret_id() == id);
        let key_of = |id: &str| find(id).map(|account| account.credentials().key().clone());
        let verified = cas_sign::http::verify(&self.verifier, &self.with_port(head), seconds, key_of)
            .map_err(|error| failure(&error))?;
        let account =
            find(verified.authorization.secret_id.as_str()).ok_or_else(|| failure(&VerifyError::UnknownSecretId))?;
        check_token(account, head, now)?;
        Ok(Caller { account: account.clone(), verified })
    }

    /// The head with each host that came without a port once more with ours (`docs/protocol.md` §2.4, rule 2).
    fn with_port<'h>(&self, head: &'h Parts) -> Cow<'h, Parts> {
        let Some(port) = self.port else { return Cow::Borrowed(head) };
        let bare = head.headers.get_all(HOST).iter().filter(|host| !has_port(host));
        let with_port =
            |host: &HeaderValue| HeaderValue::from_bytes(format!("{}:{port}", host.to_str().ok()?).as_bytes()).ok();
        let added: Vec<HeaderValue> = bare.filter_map(with_port).collect();
        if added.is_empty() {
            return Cow::Borrowed(head);
        }
        let mut head = head.clone();
        for host in added {
            head.headers.append(HOST, host);
        }
        Cow::Owned(head)
    }
}

/// Whether a host comes with a port. The colons within the brackets of an IPv6 address are not before one.
fn has_port(host: &HeaderValue) -> bool {
    host.as_bytes().rsplit(|byte| *byte == b']').next().is_some_and(|end| end.contains(&b':'))
}

/// Temporary credentials need their token, others must not come with one.
fn check_token(account: &Account, head: &Parts, now: Timestamp) -> Outcome<()> {
    let expected = account.credentials().token().map(|token| token.expose().as_bytes());
    let found = head.headers.get(X_CAS_SECURITY_TOKEN).map(http::HeaderValue::as_bytes);
    // Digests are compared, so that the time it takes tells nothing about the token.
    if expected.map(ContentSha256::of) != found.map(ContentSha256::of) {
        let message = "the security token is not the one of this secret id";
        return Err(Failure::new(StatusCode::BAD_REQUEST, code::UNRECOGNIZED_CLIENT, message));
    }
    match account.expires() {
        Some(expires) if expires <= now => {
            let message = format!("the security token expired at {expires}, now it is {now}");
            Err(Failure::new(StatusCode::FORBIDDEN, code::EXPIRED_TOKEN, message))
        }
        _ => Ok(()),
    }
}

fn failure(error: &VerifyError) -> Failure {
    let code = match error {
        VerifyError::Missing => code::MISSING_AUTHENTICATION_TOKEN,
        VerifyError::UnknownSecretId => code::UNRECOGNIZED_CLIENT,
        _ => code::INVALID_SIGNATURE,
    };
    let message = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    Failure::new(StatusCode::BAD_REQUEST, code, message)
}

fn refused(message: &str) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, code::INVALID_SIGNATURE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_came_without_a_port_is_there_once_more_with_ours() {
        let accounts = Accounts { known: Vec::new(), verifier: Verifier::cas(), port: Some(9580) };
        for (sent, hosts) in [
            ("127.0.0.1", &["127.0.0.1", "127.0.0.1:9580"][..]),
            ("127.0.0.1:80", &["127.0.0.1:80"]),
            ("[::1]", &["[::1]", "[::1]:9580"]),
            ("[::1]:80", &["[::1]:80"]),
        ] {
            let (head, ()) = http::Request::get("/-/vaults").header(HOST, sent).body(()).unwrap().into_parts();
            let head = accounts.with_port(&head);
            let found: Vec<&str> = head.headers.get_all(HOST).iter().map(|host| host.to_str().unwrap()).collect();
            assert_eq!(found, hosts);
        }
    }
}
