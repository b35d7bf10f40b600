//! The values alone, sent by an HTTP stack that is not this crate's: the request is a value of `cas-http`, `cas-sign` signs it, `ureq` sends it,
//! and the answer is read with the types that wrote the request.
//!
//! The service here is a thread that checks the signature and reads the request with the same table. Run it with
//! `cargo run -p cas-http --example another_stack --no-default-features`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use cas_http::document::JobParameters;
use cas_http::header::X_CAS_JOB_ID;
use cas_http::ops::{AnyOperation, InitiateJob, Operation, route};
use cas_http::wire::read_header;
use cas_http::{ArchiveId, JobId, ServiceError, Uid, VaultName, error_body::code};
use cas_sign::{Credentials, Key, SecretKey, SigningOptions, TimeRange, Verifier};
use http::{Request, Response, StatusCode, Uri};

const SECRET_ID: &str = "example-secret-id";
const SECRET_KEY: &str = "CasExampleSecretKey0123456789abcd";

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let service = std::thread::spawn(move || [serve(&listener), serve(&listener)]);

    let vault: VaultName = "photos".parse()?;
    let operation = InitiateJob::new(&vault, JobParameters::archive_retrieval(ArchiveId::parse("-an-archive")?));

    let answer = send(&endpoint, &operation, &Credentials::new(SECRET_ID, SECRET_KEY)?)?;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let job: Option<JobId> = read_header(answer.headers(), X_CAS_JOB_ID)?;
    println!("started: {job:?}");
    assert_eq!(job, JobId::parse("a-job").ok());

    let answer = send(&endpoint, &operation, &Credentials::new(SECRET_ID, "another key")?)?;
    let error = ServiceError::read(answer.status(), answer.headers(), answer.body());
    println!("refused: {error}");
    assert!(error.is(code::INVALID_SIGNATURE));

    let [served, refused] = service.join().map_err(|_| "the service failed")?;
    assert_eq!((served?, refused?), (Some(operation.into()), None), "what was sent is what was read");
    Ok(())
}

/// All that is left to do by hand: the address, the signature, and handing the request to the stack.
fn send(endpoint: &str, operation: &impl Operation, credentials: &Credentials) -> Outcome<Response<Vec<u8>>> {
    let (mut head, body) = operation.encode(Uid::Own).into_parts();
    head.uri = format!("{endpoint}{}", head.uri).parse::<Uri>()?;
    let window = TimeRange::around(now()?, 60, 900);
    cas_sign::http::sign(&mut head, credentials, window, &SigningOptions::cas())?;

    // A status that is no success is an answer, too; and a signature is for one address.
    let agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().new_agent();
    let (head, mut body) = agent.run(Request::from_parts(head, body.to_vec()))?.into_parts();
    Ok(Response::from_parts(head, body.read_to_vec()?))
}

fn now() -> Outcome<u64> {
    #[expect(clippy::disallowed_methods, reason = "a program is where the time of day comes from")]
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// One request of a service that starts every job it is asked for properly: the operation, if it was.
fn serve(listener: &TcpListener) -> Outcome<Option<AnyOperation>> {
    let (mut stream, request) = receive(listener.accept()?.0)?;
    let (head, body) = request.into_parts();

    let key = |id: &str| (id == SECRET_ID).then(|| SecretKey::new(SECRET_KEY).ok()).flatten().map(Key::Secret);
    let answer = match cas_sign::http::verify(&Verifier::cas(), &head, now()?, key) {
        Ok(_) => "HTTP/1.1 202 Accepted\r\nx-cas-job-id: a-job\r\nContent-Length: 0\r\n\r\n".to_owned(),
        Err(why) => {
            let refusal =
                ServiceError::new(StatusCode::BAD_REQUEST, code::INVALID_SIGNATURE, why.to_string()).to_json();
            let body = String::from_utf8_lossy(&refusal);
            format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
    };
    stream.write_all(answer.as_bytes())?;
    if !answer.starts_with("HTTP/1.1 202") {
        return Ok(None);
    }
    let info = route(&head.method, head.uri.path()).ok_or("no such operation")?;
    let query = head.uri.query().unwrap_or_default();
    let read = AnyOperation::read(info, head.uri.path(), query, &head.headers, &body);
    Ok(Some(read?.1))
}

/// A request as it stands on the socket, read by hand.
fn receive(stream: TcpStream) -> Outcome<(TcpStream, Request<Vec<u8>>)> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines.first().ok_or("no request line")?.split(' ');
    let mut request = Request::builder().method(first.next().ok_or("no method")?).uri(first.next().ok_or("no target")?);
    for (name, value) in lines[1..].iter().filter_map(|line| line.split_once(':')) {
        request = request.header(name, value.trim());
    }
    let length = request.headers_ref().and_then(|headers| headers.get("content-length"));
    let length: usize = length.map_or(Ok(0), |length| length.to_str().unwrap_or_default().parse())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((reader.into_inner(), request.body(body)?))
}
