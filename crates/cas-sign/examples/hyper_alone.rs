//! Signing with hyper and nothing else: a client that signs, a server that checks, and a pipe in memory between them.
//!
//! Run it with `cargo run -p cas-sign --features http --example hyper_alone`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};

use cas_sign::{Credentials, SigningOptions, TimeRange, Verifier};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

const SECRET_ID: &str = "example-secret-id";
const SECRET_KEY: &str = "CasExampleSecretKey0123456789abcd";

/// Answers 200 to who signed well and 403 to anybody else, with the reason as the body.
async fn serve(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let (head, _body) = request.into_parts();
    let lookup = |id: &str| (id == SECRET_ID).then(|| Credentials::new(SECRET_ID, SECRET_KEY).ok()).flatten();
    let verdict =
        cas_sign::http::verify(&Verifier::cas(), &head, now(), |id| lookup(id).map(|found| found.key().clone()));
    let (status, text) = match verdict {
        Ok(verified) => (StatusCode::OK, format!("signed by {}", verified.authorization.secret_id)),
        Err(error) => (StatusCode::FORBIDDEN, error.to_string()),
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), service_fn(serve)));
    let (mut connection, driver) = hyper::client::conn::http1::handshake(TokioIo::new(ours)).await?;
    tokio::spawn(driver);

    for secret_key in [SECRET_KEY, "another key"] {
        let request =
            Request::get("/-/vaults?limit=10").header("host", "cas.ap-chengdu.myqcloud.com").body(String::new())?;
        let (mut head, body) = request.into_parts();
        let credentials = Credentials::new(SECRET_ID, secret_key)?;
        cas_sign::http::sign(&mut head, &credentials, TimeRange::around(now(), 60, 900), &SigningOptions::cas())?;

        let response = connection.send_request(Request::from_parts(head, body)).await?;
        println!("signed with {secret_key:?}: {}", response.status());
        let expected = if secret_key == SECRET_KEY { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(response.status(), expected);
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a program has to ask somebody for the time; the crate does not")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
