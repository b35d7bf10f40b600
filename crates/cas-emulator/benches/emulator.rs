//! How fast the emulator takes archives in, beside a server that only receives and hashes; how many small requests it answers; how much
//! memory it holds while four gibibytes come in.
//!
//! `cargo xtask bench emulator [--quick] [--data DIR] [uploads] [requests] [memory]`. Both servers are processes of their own, the clients are eight threads of this one
//! that send bytes they hashed beforehand; all share the machine. An upload counts when its answer is there, so the emulator's commit, synced
//! to the disk of `--data` (the system's temporary folder unless told otherwise), is in its time. What that disk alone makes of as many bytes
//! is a row of its own: where it is slower than hashing, no server that keeps anything can meet the bar. Run as a test, without `--bench`,
//! everything is done once on few bytes, and nothing is measured.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark is a program for one person, who reads what it prints"
)]

#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/it/wire.rs"]
mod wire;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cas_emulator::Account;
use cas_http::{ContentSha256, TreeHash};
use cas_treehash::PayloadHasher;
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use wire::{Call, now};

const MIB: usize = 1 << 20;
const CLIENTS: usize = 8;

/// The argument that makes this program the other server.
const REFERENCE: &str = "--reference-server";

fn main() {
    if std::env::args().any(|argument| argument == REFERENCE) {
        return reference_server();
    }
    let options = Options::parse();
    let folder = tempfile::Builder::new().prefix("cas-bench-").tempdir_in(&options.data).unwrap();
    let emulator = Server::emulator(folder.path());
    emulator.expect(Call::new("PUT", "/-/vaults/bench"), 201);
    let reference = Server::start(Command::new(std::env::current_exe().unwrap()).arg(REFERENCE));
    if options.wants("uploads") {
        uploads(&emulator, &reference, folder.path(), &options);
    }
    if options.wants("requests") {
        small_requests(&emulator, &options);
    }
    if options.wants("memory") {
        memory(&Server::emulator(&folder.path().join("memory")), &options);
    }
}

/// What the command line says.
struct Options {
    measuring: bool,
    /// Where the emulator keeps its state.
    data: PathBuf,
    /// How many pairs of samples there are, and how many archives of how many bytes each client sends in one.
    pairs: usize,
    archives: usize,
    archive: usize,
    /// How long small requests are sent.
    requests: Duration,
    /// How often 64 MiB are sent for each of the four archives of the memory row.
    large: usize,
    rows: Vec<String>,
}

impl Options {
    fn parse() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let mut after_data = arguments.iter().skip_while(|argument| *argument != "--data").skip(1);
        let data = after_data.next().map_or_else(std::env::temp_dir, PathBuf::from);
        let (pairs, archives, archive, seconds, large) = match (has("--bench"), has("--quick")) {
            (false, _) => (1, 1, MIB + 1, 0, 1),
            (true, true) => (3, 2, 16 * MIB, 1, 4),
            (true, false) => (9, 4, 32 * MIB, 5, 16),
        };
        Self {
            measuring: has("--bench"),
            rows: ["uploads", "requests", "memory"].into_iter().filter(|row| has(row)).map(str::to_owned).collect(),
            data,
            pairs,
            archives,
            archive,
            requests: Duration::from_secs(seconds),
            large,
        }
    }

    /// Whether a row is asked for: without names, each is.
    fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|name| name == row)
    }

    /// Prints a row, unless nothing is measured.
    fn report(&self, name: &str, figures: &str, holds: bool) {
        if self.measuring {
            println!("{name}\n    {figures}: {}", if holds { "holds" } else { "DOES NOT HOLD" });
        }
    }
}

/// Uploads of both servers in turn, so that what disturbs one is likely to disturb the other.
fn uploads(emulator: &Server, reference: &Server, folder: &Path, options: &Options) {
    let body = pattern(options.archive);
    let head = upload(&body, 1);
    let bytes = (CLIENTS * options.archives * body.len()) as f64;
    let mut rates = [const { Vec::new() }; 3];
    let mut ratios = Vec::new();
    for _ in 0..options.pairs {
        let [alone, stored] = [reference, emulator].map(|server| {
            let begin = Instant::now();
            let answers = server.upload_from_all(&head, &body, options.archives);
            let rate = bytes / begin.elapsed().as_secs_f64();
            answers.iter().filter_map(Answer::archive_id).for_each(|id| emulator.delete(id));
            rate
        });
        ratios.push(stored / alone);
        rates.iter_mut().zip([alone, stored]).for_each(|(rates, rate)| rates.push(rate / 1e6));
    }
    // Not between the others: what it leaves the disk and the system's memory to tidy up would be in their time.
    for _ in 0..options.pairs {
        rates[2].push(bytes / write_and_sync(folder, &body, options.archives).as_secs_f64() / 1e6);
    }
    let [alone, stored, disk] = rates.map(|mut rates| median(&mut rates));
    let spread = [ratios.iter().copied().fold(f64::INFINITY, f64::min), ratios.iter().copied().fold(0.0, f64::max)];
    let ratio = median(&mut ratios);
    let figures = format!(
        "emulator {stored:.0} MB/s, receiving and hashing alone {alone:.0} MB/s, the disk alone {disk:.0} MB/s; ratio {ratio:.2} ({:.2} to {:.2}), wanted 0.80",
        spread[0], spread[1]
    );
    options.report(&format!("uploads, {CLIENTS} clients, {} MiB each", body.len() / MIB), &figures, ratio >= 0.8);
}

/// How long it takes to write as many files and sync them, by as many threads.
fn write_and_sync(folder: &Path, body: &[u8], files: usize) -> Duration {
    let begin = Instant::now();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for number in 0..files {
                    let path = folder.join(format!("disk-{client}-{number}"));
                    let mut file = File::create(&path).unwrap();
                    file.write_all(body).unwrap();
                    file.sync_all().unwrap();
                }
            });
        }
    });
    let time = begin.elapsed();
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("disk-"))
        .for_each(|path| fs::remove_file(path).unwrap());
    time
}

/// Small signed requests over open connections. Signing each, and reading its answer, is in the time.
fn small_requests(emulator: &Server, options: &Options) {
    let begin = Instant::now();
    let counts: Vec<u32> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = emulator.connect();
                    let mut count = 0;
                    while count == 0 || begin.elapsed() < options.requests {
                        connection.ask(&signed(&Call::new("GET", "/-/vaults/bench")), &[], 1).expect(200);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let rate = f64::from(counts.iter().sum::<u32>()) / begin.elapsed().as_secs_f64();
    let cores = thread::available_parallelism().unwrap();
    let figures = format!("{rate:.0} a second on {cores} cores, the clients included, wanted 5000");
    options.report(&format!("small signed requests, {CLIENTS} clients"), &figures, rate >= 5000.0);
}

/// Archives of up to a gibibyte each from four clients.
fn memory(emulator: &Server, options: &Options) {
    emulator.expect(Call::new("PUT", "/-/vaults/bench"), 201);
    let body = pattern(64 * MIB);
    let head = upload(&body, options.large);
    let before = emulator.most_memory();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| emulator.connect().ask(&head, &body, options.large).expect(201));
        }
    });
    let (Some(before), Some(after)) = (before, emulator.most_memory()) else {
        return options.report("memory", "this system does not tell", true);
    };
    let gibibytes = (4 * options.large * body.len()) as f64 / f64::from(1 << 30);
    let figures = format!(
        "{after} MiB at most while {gibibytes:.1} GiB came in from 4 clients, {before} MiB before, wanted less than 64"
    );
    options.report("memory", &figures, after < 64);
}

/// A server as a process of its own. It is killed when the value is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn emulator(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cas-emulator"));
        command.args(["--listen", "127.0.0.1:0", "--json", "--data"]).arg(data);
        Self::start(command.env_remove("CAS_EMULATOR_ACCOUNTS"))
    }

    /// Starts it, and reads where it listens from its first line.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split('"').next().unwrap().trim().parse().unwrap();
        Server { child, address }
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection(BufReader::new(stream))
    }

    fn expect(&self, call: Call, status: u16) {
        self.connect().ask(&signed(&call), &[], 1).expect(status);
    }

    fn delete(&self, archive: &str) {
        self.expect(Call::new("DELETE", format!("/-/vaults/bench/archives/{archive}")), 204);
    }

    /// Sends the same archive from all clients at once, so many times each.
    fn upload_from_all(&self, head: &[u8], body: &[u8], times: usize) -> Vec<Answer> {
        thread::scope(|scope| {
            let send = || {
                let mut connection = self.connect();
                (0..times).map(|_| connection.ask(head, body, 1).expect(201)).collect::<Vec<_>>()
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(send)).collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        })
    }

    /// The most memory it has held so far, in MiB.
    fn most_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes / 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A connection on which one request follows the other.
struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends a request whose body is `body` so many times, and reads the answer.
    fn ask(&mut self, head: &[u8], body: &[u8], times: usize) -> Answer {
        let stream = self.0.get_mut();
        stream.write_all(head).unwrap();
        (0..times).for_each(|_| stream.write_all(body).unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "the server has closed the connection");
        }
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Answer { head, body }
    }
}

/// An answer.
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.head.split(' ').nth(1), Some(&*status.to_string()), "{body}");
        self
    }

    fn archive_id(&self) -> Option<&str> {
        field(&self.head, "x-cas-archive-id")
    }
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn signed(call: &Call) -> Vec<u8> {
    call.head(Some(Account::default().credentials()), now())
}

/// The head of an upload of these bytes, so many times one after the other.
fn upload(body: &[u8], times: usize) -> Vec<u8> {
    let mut hasher = PayloadHasher::new();
    (0..times).for_each(|_| hasher.update(body));
    let payload = hasher.finish();
    let (sha256, tree_hash): (ContentSha256, TreeHash) = (payload.sha256, payload.tree_hash);
    let call = Call::new("POST", "/-/vaults/bench/archives").header("Content-Length", payload.size.to_string());
    let call = call.header("x-cas-content-sha256", sha256.to_string());
    signed(&call.header("x-cas-sha256-tree-hash", tree_hash.to_string()))
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The other server: receives each body, computes both hashes on the way, answers. It has the same HTTP stack and as many threads.
fn reference_server() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let serving = hyper::server::conn::http1::Builder::new()
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service_fn(receive_and_hash));
            tokio::spawn(serving);
        }
    });
}

async fn receive_and_hash(
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<http_body_util::Empty<bytes::Bytes>>, hyper::Error> {
    let mut hasher = PayloadHasher::new();
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            hasher.update(&piece);
        }
    }
    let payload = hasher.finish();
    let mut answer = http::Response::new(http_body_util::Empty::new());
    *answer.status_mut() = http::StatusCode::CREATED;
    answer.headers_mut().insert("x-cas-sha256-tree-hash", payload.tree_hash.to_string().parse().unwrap());
    Ok(answer)
}
