//! A forward proxy that is a process of its own: this test binary once more, told by a variable to serve.
//!
//! It forwards whole requests, makes tunnels, wants a password, and misbehaves in the few ways that proxies do. A host below `.example` is this
//! machine to it, so that a client can have a reason to ask a proxy.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

/// What tells this binary to serve, and how.
const BEHAVIOUR: &str = "FORWARD_PROXY";
/// `me:hunter2` as Basic authorization.
const PASSWORD: &str = "Basic bWU6aHVudGVyMg==";

/// How a proxy treats those who know the password.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Behaviour {
    /// As it should, an answer when it has all of it.
    Forward,
    /// Cuts what it passes on in the middle; a tunnel after its first bytes.
    Cut,
    /// Says something of its own in a tunnel it has agreed to.
    Junk,
}

const BEHAVIOURS: [Behaviour; 3] = [Behaviour::Forward, Behaviour::Cut, Behaviour::Junk];

/// A running proxy. It is stopped when it is dropped.
pub(crate) struct ProxyProcess {
    child: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl ProxyProcess {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "proxy_process::a_stranger_gets_no_further_than_the_proxy", "--nocapture"])
            .env(BEHAVIOUR, format!("{behaviour:?}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // The first lines are those of the test harness.
        let mut line = String::new();
        while !line.starts_with("port ") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the proxy did not start");
        }
        let port = line["port ".len()..].trim().parse().unwrap();
        ProxyProcess { child, lines, port }
    }

    /// Where it is, for who gives this user and password.
    pub(crate) fn url(&self, user: &str) -> String {
        format!("http://{user}@127.0.0.1:{}", self.port)
    }

    /// Stops it and tells what it saw: the first line of each request, with a star behind it if the request was signed for the service.
    pub(crate) fn saw(&mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let lines = self.lines.by_ref().lines().map_while(Result::ok);
        lines.filter_map(|line| Some(line.strip_prefix("saw ")?.to_owned())).collect()
    }
}

impl Drop for ProxyProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the process that the tests start, the proxy; in the tests, a test of it.
#[test]
fn a_stranger_gets_no_further_than_the_proxy() {
    if let Some(behaviour) = std::env::var_os(BEHAVIOUR) {
        let behaviour = BEHAVIOURS.into_iter().find(|known| format!("{known:?}").as_str() == behaviour);
        return serve(behaviour.unwrap());
    }
    let mut proxy = ProxyProcess::start(Behaviour::Forward);
    let mut stranger = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
    stranger.write_all(b"GET http://cas.example/ HTTP/1.1\r\nHost: cas.example\r\n\r\n").unwrap();
    let (head, _) = read_message(&mut BufReader::new(stranger)).unwrap();
    assert!(head.starts_with("HTTP/1.1 407 "), "{head}");
    assert_eq!(proxy.saw(), ["GET http://cas.example/ HTTP/1.1"]);
}

fn serve(behaviour: Behaviour) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    tell(&format!("port {}", listener.local_addr().unwrap().port()));
    for client in listener.incoming().map_while(Result::ok) {
        thread::spawn(move || attend(client, behaviour));
    }
}

/// A line for whoever started this process.
fn tell(line: &str) {
    let mut stdout = io::stdout().lock();
    // A process that nobody listens to any more is about to be stopped.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Serves one connection until it ends.
fn attend(client: TcpStream, behaviour: Behaviour) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut client = client;
    loop {
        let (head, body) = read_message(&mut reader)?;
        let line = head.lines().next().unwrap_or_default();
        tell(&format!("saw {line}{}", if field(&head, "authorization").is_some() { " *" } else { "" }));
        if field(&head, "proxy-authorization") != Some(PASSWORD) {
            let refusal = "HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
            client.write_all(refusal.as_bytes())?;
        } else if let Some(target) = line.strip_prefix("CONNECT ") {
            let service = connect(target.split(' ').next().unwrap_or_default())?;
            return tunnel(client, service, behaviour);
        } else {
            let answer = forward(&head, &body)?;
            let passed = if behaviour == Behaviour::Cut { answer.len() / 2 } else { answer.len() };
            client.write_all(&answer[..passed])?;
            if behaviour == Behaviour::Cut {
                return Ok(());
            }
        }
    }
}

/// Hands a request to the service it is for, and waits for the whole answer.
fn forward(head: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let nonsense = || io::Error::other("not in absolute form");
    let (method, rest) = head.split_once(" http://").ok_or_else(nonsense)?;
    let (authority, rest) = rest.split_once('/').ok_or_else(nonsense)?;
    let mut service = connect(authority)?;
    let fields = rest.lines().filter(|line| !line.to_ascii_lowercase().starts_with("proxy-"));
    let head: String = fields.map(|line| format!("{line}\r\n")).collect();
    service.write_all(&[format!("{method} /{head}").as_bytes(), body].concat())?;
    let (head, body) = read_message(&mut BufReader::new(service))?;
    Ok([head.as_bytes(), &body].concat())
}

fn tunnel(mut client: TcpStream, service: TcpStream, behaviour: Behaviour) -> io::Result<()> {
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    if behaviour == Behaviour::Junk {
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")?;
    }
    let (to_service, to_client) = (service.try_clone()?, client.try_clone()?);
    thread::spawn(move || pass(client, to_service, u64::MAX));
    pass(service, to_client, if behaviour == Behaviour::Cut { 100 } else { u64::MAX })
}

/// Passes on what comes, as far as `limit`, and ends both directions afterwards.
fn pass(from: TcpStream, mut to: TcpStream, limit: u64) -> io::Result<()> {
    io::copy(&mut (&from).take(limit), &mut to)?;
    to.shutdown(Shutdown::Both)?;
    from.shutdown(Shutdown::Both)
}

fn connect(authority: &str) -> io::Result<TcpStream> {
    let (host, port) = authority.rsplit_once(':').ok_or_else(|| io::Error::other("no port"))?;
    let host = if host.ends_with(".example") { "127.0.0.1" } else { host };
    TcpStream::connect(format!("{host}:{port}"))
}

/// One message whose body has an announced length.
fn read_message(reader: &mut BufReader<TcpStream>) -> io::Result<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
