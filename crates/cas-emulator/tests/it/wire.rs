//! A client of a few lines: raw HTTP/1.1 over any stream, so that tests decide about every byte. Only signatures come from a library.

use std::collections::BTreeMap;

use cas_emulator::{Clock, Emulator};
use cas_http::{ContentSha256, TreeHash};
use cas_sign::{Credentials, SignableRequest, SigningOptions, TimeRange, sign};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};

/// The name clients use for the emulator.
pub(crate) const HOST: &str = "cas.ap-chengdu.myqcloud.com";

/// A request, as it is about to be written.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// Headers, in order; `Host` and `Content-Length` are added when they are missing.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) signing: SigningOptions,
    /// The sign time, relative to the emulator's: from, to.
    pub(crate) window: (i64, i64),
}

impl Call {
    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Call {
            method,
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
            signing: SigningOptions::cas(),
            window: (-60, 900),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Adds both hashes of the body.
    pub(crate) fn hashed(self) -> Self {
        let (sha256, tree) = (ContentSha256::of(&self.body), TreeHash::of(&self.body));
        self.header("x-cas-content-sha256", sha256.to_string()).header("x-cas-sha256-tree-hash", tree.to_string())
    }

    pub(crate) fn sign_with(mut self, change: impl FnOnce(&mut SigningOptions)) -> Self {
        change(&mut self.signing);
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// The head, signed at `now` unless `credentials` are absent, with the empty line at its end.
    pub(crate) fn head(&self, credentials: Option<&Credentials>, now: i64) -> Vec<u8> {
        let mut call = self.clone();
        if !call.has("host") {
            call.headers.insert(0, ("Host".into(), HOST.into()));
        }
        if !call.has("content-length")
            && !call.has("transfer-encoding")
            && (call.method != "GET" || !call.body.is_empty())
        {
            call = call.clone().header("Content-Length", self.body.len().to_string());
        }
        if let Some(credentials) = credentials {
            let authorization = call.authorization(credentials, now);
            call = call.header("Authorization", authorization);
        }
        let mut head = format!("{} {} HTTP/1.1\r\n", call.method, call.target).into_bytes();
        for (name, value) in &call.headers {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    fn authorization(&self, credentials: &Credentials, now: i64) -> String {
        let target = match self.target.strip_prefix("http://") {
            Some(rest) => &rest[rest.find('/').unwrap()..],
            None => &self.target,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = SignableRequest::new(self.method, path).with_query(query);
        let mut hosts = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count();
        for (name, value) in &self.headers {
            if name.eq_ignore_ascii_case("host") {
                // Of several, the last one is signed, as the official Python client does.
                hosts -= 1;
                if hosts > 0 {
                    continue;
                }
            }
            request.push_header(name, value);
        }
        let time = |offset: i64| u64::try_from(now + offset).unwrap();
        let window = TimeRange::new(time(self.window.0), time(self.window.1)).unwrap();
        sign(&request, credentials, window, &self.signing).unwrap().authorization().to_owned()
    }
}

/// An answer, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers.get("content-type").map(String::as_str), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code of an error, as one text.
    pub(crate) fn error(&self) -> String {
        assert!(self.status >= 400, "expected an error: {} {:?}", self.status, self.headers);
        format!("{} {}", self.status, self.json()["code"].as_str().unwrap())
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

/// A connection to an emulator, and who signs on it.
#[derive(Debug)]
pub(crate) struct Wire<IO> {
    pub(crate) io: IO,
    pub(crate) credentials: Credentials,
    pub(crate) now: i64,
    /// What was read beyond the last answer.
    rest: Vec<u8>,
}

/// A connection in memory, signed by the emulator's first account.
pub(crate) fn connect(emulator: &Emulator) -> Wire<DuplexStream> {
    Wire::new(emulator.connect(), emulator)
}

/// An emulator without a port, and in it the vault `photos`.
pub(crate) async fn with_photos() -> Emulator {
    let emulator = Emulator::builder().without_port().start().await.unwrap();
    connect(&emulator).create_vault("photos").await;
    emulator
}

/// The time of this machine, which is that of a program that runs on it.
pub(crate) fn now() -> i64 {
    Clock::system().signing_now().unix_seconds()
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    pub(crate) fn new(io: IO, emulator: &Emulator) -> Self {
        Wire::signed(io, emulator.credentials(), emulator.clock().signing_now().unix_seconds())
    }

    /// A connection on which these credentials sign, as of this moment.
    pub(crate) fn signed(io: IO, credentials: Credentials, now: i64) -> Self {
        Wire { io, credentials, now, rest: Vec::new() }
    }

    /// Sends a signed request and reads its answer.
    pub(crate) async fn send(&mut self, call: Call) -> Answer {
        let head = call.head(Some(&self.credentials), self.now);
        self.exchange(&head, &call.body).await.expect("an answer")
    }

    /// Sends a request without a signature.
    pub(crate) async fn send_unsigned(&mut self, call: Call) -> Answer {
        let head = call.head(None, self.now);
        self.exchange(&head, &call.body).await.expect("an answer")
    }

    /// Sends bytes and reads an answer; `None` when the connection ends without one.
    pub(crate) async fn exchange(&mut self, head: &[u8], body: &[u8]) -> Option<Answer> {
        self.io.write_all(head).await.ok();
        self.io.write_all(body).await.ok();
        self.receive().await
    }

    /// Reads an answer; `None` when the connection ends before one is complete.
    pub(crate) async fn receive(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.rest.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: BTreeMap<String, String> = lines
            .map(|line| line.split_once(": ").map_or((line, ""), |pair| pair))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while self.rest.len() < length {
            self.more().await?;
        }
        let body = self.rest.drain(..length).collect();
        Some(Answer { status, headers, body })
    }

    async fn more(&mut self) -> Option<()> {
        let mut room = vec![0; 64 << 10];
        let length = self.io.read(&mut room).await.ok().filter(|length| *length > 0)?;
        self.rest.extend_from_slice(&room[..length]);
        Some(())
    }

    /// Whether the emulator closes the connection now, without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.rest.is_empty() && self.more().await.is_none()
    }

    // What most tests need before they come to their point.

    pub(crate) async fn create_vault(&mut self, name: &str) {
        self.send(Call::new("PUT", format!("/-/vaults/{name}"))).await.expect(201);
    }

    pub(crate) async fn upload(&mut self, vault: &str, bytes: &[u8]) -> String {
        let call = Call::new("POST", format!("/-/vaults/{vault}/archives")).body(bytes).hashed();
        self.send(call).await.expect(201).headers["x-cas-archive-id"].clone()
    }

    pub(crate) async fn initiate_upload(&mut self, vault: &str, part_size: u64) -> String {
        let call = Call::new("POST", format!("/-/vaults/{vault}/multipart-uploads"))
            .header("x-cas-part-size", part_size.to_string());
        self.send(call).await.expect(201).headers["x-cas-multipart-upload-id"].clone()
    }

    pub(crate) async fn upload_part(&mut self, vault: &str, upload: &str, start: usize, bytes: &[u8]) -> Answer {
        let range = format!("bytes {start}-{}/*", start + bytes.len() - 1);
        let call = Call::new("PUT", format!("/-/vaults/{vault}/multipart-uploads/{upload}"));
        self.send(call.header("Content-Range", range).body(bytes).hashed()).await
    }

    pub(crate) async fn complete(&mut self, vault: &str, upload: &str, bytes: &[u8]) -> Answer {
        let call = Call::new("POST", format!("/-/vaults/{vault}/multipart-uploads/{upload}"))
            .header("x-cas-archive-size", bytes.len().to_string())
            .header("x-cas-sha256-tree-hash", TreeHash::of(bytes).to_string());
        self.send(call).await
    }

    pub(crate) async fn start_job(&mut self, vault: &str, parameters: Value) -> Answer {
        self.send(Call::new("POST", format!("/-/vaults/{vault}/jobs")).body(parameters.to_string())).await
    }

    /// Starts a job and returns its ID.
    pub(crate) async fn job(&mut self, vault: &str, parameters: Value) -> String {
        self.start_job(vault, parameters).await.expect(202).headers["x-cas-job-id"].clone()
    }

    pub(crate) async fn describe_job(&mut self, vault: &str, job: &str) -> Value {
        self.send(Call::new("GET", format!("/-/vaults/{vault}/jobs/{job}"))).await.expect(200).json()
    }

    pub(crate) async fn output(&mut self, vault: &str, job: &str, range: Option<&str>) -> Answer {
        let call = Call::new("GET", format!("/-/vaults/{vault}/jobs/{job}/output"));
        self.send(match range {
            Some(range) => call.header("Range", range),
            None => call,
        })
        .await
    }

    pub(crate) async fn get(&mut self, target: impl Into<String>) -> Answer {
        self.send(Call::new("GET", target)).await
    }

    pub(crate) async fn delete(&mut self, target: impl Into<String>) -> Answer {
        self.send(Call::new("DELETE", target)).await
    }
}

/// Bytes that betray a swap: byte i is (31·(i mod 256) + 7·⌊i / 1 MiB⌋) mod 256.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let row = |mebibyte: usize| {
        (0..256).map(move |at| u8::try_from((31 * at + 7 * mebibyte) % 256).expect("it is less than 256"))
    };
    let mebibytes = (0..length.div_ceil(1 << 20)).map(|mebibyte| row(mebibyte).collect::<Vec<u8>>().repeat(4096));
    let mut bytes = mebibytes.collect::<Vec<_>>().concat();
    bytes.truncate(length);
    bytes
}
