//! The values alone: a request is built here, signed and written to a socket without this crate's client.
//!
//! The server in this example is a thread that checks what arrived. Run it with
//! `cargo run -p cas-http --example another_stack --no-default-features`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use cas_http::ops::{self, AnyOperation, DescribeVault, Operation};
use cas_http::{ServiceError, Uid, VaultName};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let server = std::thread::spawn(move || serve(&listener));

    // What the crate knows: the request. A signature would be added here (see cas-sign); this server asks for none.
    let vault: VaultName = "photos".parse()?;
    let request = DescribeVault::new(&vault).encode(Uid::Own);

    // What any HTTP stack does with it.
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "{} {} HTTP/1.1\r\nHost: {address}\r\n\r\n", request.method(), request.uri())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no head")?;

    // And what it knows of answers: how the service says no.
    let status = head.split(' ').nth(1).ok_or("the answer has no status")?.parse()?;
    let error = ServiceError::read(status, &http::HeaderMap::new(), body.as_bytes());
    println!("{error}");
    assert!(error.is(cas_http::error_body::code::RESOURCE_NOT_FOUND));
    let served = server.join().map_err(|_| "the server failed")?;
    println!("the server read: {served:?}");
    Ok(())
}

/// One request of a server that has no vault: it reads the same table from the other end.
fn serve(listener: &TcpListener) -> Option<AnyOperation> {
    let (mut stream, _) = listener.accept().ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut line = head.lines().next()?.split(' ');
    let (method, path) = (line.next()?.parse().ok()?, line.next()?);
    let info = ops::route(&method, path)?;
    let (_, operation) = AnyOperation::read(info, path, "", &http::HeaderMap::new(), b"").ok()?;

    let refusal = ServiceError::new(
        http::StatusCode::NOT_FOUND,
        cas_http::error_body::code::RESOURCE_NOT_FOUND,
        format!("no vault {}", operation.vault()?),
    );
    let body = refusal.to_json();
    write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n", body.len()).ok()?;
    stream.write_all(&body).ok()?;
    Some(operation)
}
