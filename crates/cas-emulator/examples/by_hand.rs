//! Starts an emulator in this process and asks it for the list of vaults with nothing but a socket and a signature: what any HTTP stack, in any
//! language, has to send.

use std::error::Error;

use cas_emulator::Emulator;
use cas_sign::{SignableRequest, SigningOptions, TimeRange, sign};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::start().await?;
    let host = emulator.endpoint().trim_start_matches("http://");

    let request = SignableRequest::new("GET", "/-/vaults").with_header("Host", host);
    let now = u64::try_from(emulator.clock().signing_now().unix_seconds())?;
    let window = TimeRange::around(now, 60, 900);
    let signed = sign(&request, &emulator.credentials(), window, &SigningOptions::cas())?;

    let mut stream = TcpStream::connect(host).await?;
    let authorization = signed.authorization();
    let head = format!(
        "GET /-/vaults HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;

    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"Marker":null,"VaultList":[]}"#), "{answer}");
    emulator.shutdown().await?;
    Ok(())
}
