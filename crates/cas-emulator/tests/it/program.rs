//! The program as a program: its one line, its signals, its refusals, and what is left of it when it is killed.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use cas_emulator::{Account, Tolerance};
use cas_http::AppId;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::wire::{Call, Wire, now, pattern};

const MIB: usize = 1 << 20;
const SECRET: &str = "program-secret-key";

/// A running program. It is killed when the value is dropped.
struct Program {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    line: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cas-emulator"));
    command.args(arguments).env_remove("CAS_EMULATOR_ACCOUNTS").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Program { child, stdout, line }
    }

    fn on(directory: &Path) -> Self {
        let account = format!("program:{SECRET}:1250000009");
        let directory = directory.to_str().unwrap();
        Self::start(&mut command(&["--listen", "127.0.0.1:0", "--data", directory, "--account", &account, "--json"]))
    }

    fn endpoint(&self) -> String {
        let line: Value = serde_json::from_str(&self.line).unwrap();
        line["endpoint"].as_str().unwrap().to_owned()
    }

    async fn connect(&self) -> Wire<TcpStream> {
        self.connect_as(&Account::new("program", SECRET, AppId::new(1_250_000_009)).unwrap()).await
    }

    async fn connect_as(&self, account: &Account) -> Wire<TcpStream> {
        let stream = TcpStream::connect(self.endpoint().strip_prefix("http://").unwrap()).await.unwrap();
        Wire::signed(stream, account.credentials().clone(), now())
    }

    /// Sends a signal and waits for the end: the status, and everything it said after its line.
    fn end(mut self, signal: &str) -> (ExitStatus, String, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap(), out, err)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The program on a directory, by a shell that sets a limit first.
fn limited(limit: &str, directory: &Path) -> Command {
    let mut command = Command::new("sh");
    let account = format!("program:{SECRET}:1250000009");
    let script = format!("ulimit {limit} && exec \"$@\"");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_cas-emulator"), "--listen", "127.0.0.1:0", "--json"]);
    command.args(["--account", &account, "--data", directory.to_str().unwrap()]);
    command.env_remove("CAS_EMULATOR_ACCOUNTS").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end: the exit code, what it said on standard output, and on standard error.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The same for a program that should refuse to serve. If it says a word on standard output it serves, and is killed: then there is no exit code.
fn run_refused(command: &mut Command) -> (Option<i32>, String, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if !said.is_empty() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), said, String::from_utf8(output.stderr).unwrap())
}

fn fsck(directory: &Path) -> (Option<i32>, String, String) {
    run(&mut command(&["fsck", "--data", directory.to_str().unwrap()]))
}

#[tokio::test]
async fn it_says_one_line_and_ends_cleanly_on_both_signals() {
    let directory = tempfile::tempdir().unwrap();
    for signal in ["-TERM", "-INT"] {
        let program = Program::on(directory.path());
        let line: Value = serde_json::from_str(&program.line).unwrap();
        let endpoint = program.endpoint();
        assert_eq!(line, json!({"endpoint": endpoint, "app_id": "1250000009", "secret_id": "program"}));
        assert!(endpoint.starts_with("http://127.0.0.1:") && !endpoint.ends_with(":0"), "{endpoint}");
        program.connect().await.create_vault("photos").await;
        let (status, out, err) = program.end(signal);
        assert_eq!((status.code(), out.as_str(), err.as_str()), (Some(0), "", ""), "{signal}");
    }
}

#[tokio::test]
async fn a_temporary_state_is_gone_at_the_end_whatever_is_going_on() {
    for signal in ["-TERM", "-INT"].into_iter().cycle().take(10) {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::start(command(&["--listen", "127.0.0.1:0", "--json"]).env("TMPDIR", folder.path()));
        let mut wire = program.connect_as(&Account::default()).await;
        wire.create_vault("photos").await;
        let archive = wire.upload("photos", &pattern(MIB)).await;
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        for _ in 0..3 {
            wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
            let push = json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": "b", "Object": "o"});
            wire.job("photos", push).await;
        }
        let (status, ..) = program.end(signal);
        assert_eq!(status.code(), Some(0));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_seed_repeats_the_identifiers_however_often_somebody_looks() {
    let mut stories = Vec::new();
    for looks in [0, 3] {
        let program = Program::start(&mut command(&["--listen", "127.0.0.1:0", "--json", "--seed", "7"]));
        let mut wire = program.connect_as(&Account::default()).await;
        wire.create_vault("photos").await;
        let mut identifiers = Vec::new();
        for _ in 0..2 {
            identifiers.push(wire.upload("photos", b"hello").await);
            identifiers.push(wire.initiate_upload("photos", MIB as u64).await);
            identifiers.push(wire.job("photos", json!({"Type": "inventory-retrieval"})).await);
            for _ in 0..looks {
                wire.describe_job("photos", &identifiers[2]).await;
            }
        }
        stories.push(identifiers);
        program.end("-TERM");
    }
    assert_eq!(stories[0], stories[1]);
}

/// A copy that does not get on: its object is a pipe that nobody writes to.
#[tokio::test]
async fn a_job_that_copies_is_not_waited_for_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let bucket = directory.path().join("cos/b");
    std::fs::create_dir_all(&bucket).unwrap();
    assert!(Command::new("mkfifo").arg(bucket.join("o")).status().unwrap().success());
    let program = Program::on(directory.path());
    let mut wire = program.connect().await;
    wire.create_vault("photos").await;
    let job = wire.job("photos", json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o"})).await;
    assert_eq!(wire.describe_job("photos", &job).await["Completed"], false);
    let pid = program.child.id().to_string();
    let ended = tokio::task::spawn_blocking(move || program.end("-TERM"));
    // Four times what the manual promises; whoever does not end by then is ended, so that the test can tell.
    let Ok(ended) = tokio::time::timeout(Duration::from_secs(20), ended).await else {
        Command::new("kill").args(["-KILL", &pid]).status().unwrap();
        panic!("the program does not end");
    };
    let (status, _, err) = ended.unwrap();
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn no_output_holds_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    let account = format!("program:{SECRET}:1250000009");
    let data = directory.path().to_str().unwrap();
    let mut command = command(&["--listen", "127.0.0.1:0", "--data", data]);
    let program = Program::start(command.env("CAS_EMULATOR_ACCOUNTS", &account).env("CAS_LOG", "trace"));
    assert!(program.line.contains("secret id program"), "{}", program.line);
    let mut said = program.line.clone();
    let endpoint = said.split("http://").nth(1).unwrap().split(' ').next().unwrap();
    let account = Account::new("program", SECRET, AppId::new(1)).unwrap();
    let stream = TcpStream::connect(endpoint).await.unwrap();
    let mut wire = Wire::signed(stream, account.credentials().clone(), now());
    wire.create_vault("photos").await;
    wire.credentials = Account::default().credentials().clone();
    assert_eq!(wire.get("/-/vaults").await.error(), "400 UnrecognizedClientException");
    let (_, out, err) = program.end("-TERM");
    said = said + &out + &err;
    assert!(err.contains("refused"), "the log was written: {err}");
    assert!(!said.contains(SECRET) && !said.contains("q-signature="), "{said}");
}

#[tokio::test]
async fn a_killed_program_loses_nothing_that_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(3 * MIB + 7);
    let mut archives = Vec::new();
    for round in 0..3 {
        let program = Program::on(directory.path());
        let mut wire = program.connect().await;
        wire.create_vault("photos").await;
        archives.push(wire.upload("photos", &bytes[round..]).await);
        let upload = wire.initiate_upload("photos", MIB as u64).await;
        wire.upload_part("photos", &upload, 0, &bytes[..MIB]).await.expect(204);

        // Half of an archive and half of a part are on their way when it is killed.
        let archive = Call::new("POST", "/-/vaults/photos/archives").body(&bytes).hashed();
        let part = Call::new("PUT", format!("/-/vaults/photos/multipart-uploads/{upload}"))
            .header("Content-Range", format!("bytes {MIB}-{}/*", 2 * MIB - 1))
            .body(&bytes[MIB..2 * MIB])
            .hashed();
        let mut half_sent = Vec::new();
        for call in [archive, part] {
            let mut wire = program.connect().await;
            wire.io.write_all(&call.head(Some(&wire.credentials), wire.now)).await.unwrap();
            wire.io.write_all(&call.body[..call.body.len() / 2]).await.unwrap();
            half_sent.push(wire);
        }
        let (status, ..) = program.end("-KILL");
        assert!(!status.success());

        let (code, report, _) = fsck(directory.path());
        assert_eq!(code, Some(0), "{report}");
        let program = Program::on(directory.path());
        let mut wire = program.connect().await;
        for (index, archive) in archives.iter().enumerate() {
            let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
            assert!(wire.output("photos", &job, None).await.expect(200).body == bytes[index..]);
        }
        let parts = wire.get(format!("/-/vaults/photos/multipart-uploads/{upload}")).await.json();
        assert_eq!(parts["Parts"].as_array().unwrap().len(), 1);
        let inventory = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
        let listed = wire.output("photos", &inventory, None).await.json()["ArchiveList"].clone();
        assert_eq!(listed.as_array().unwrap().len(), archives.len(), "nothing that was not acknowledged");
        assert_eq!(std::fs::read_dir(directory.path().join("unfinished")).unwrap().count(), 0);
    }
}

/// S3: a thousand half-sent heads and half-sent bodies, on a system that gives 1024 descriptors unless one asks for more.
#[tokio::test]
async fn s3_a_good_client_is_served_among_a_thousand_slow_ones() {
    const SLOW: usize = 1000;
    allow_open_files(SLOW as u64 + 200);
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(&mut limited("-Sn 1024", directory.path()));
    let story = async {
        let mut good = program.connect().await;
        good.create_vault("photos").await;
        let call = Call::new("POST", "/-/vaults/photos/archives").body(pattern(MIB)).hashed();
        let head = call.head(Some(&good.credentials), good.now);
        let mut slow = Vec::new();
        for number in 0..SLOW {
            let mut wire = program.connect().await;
            if number % 2 == 0 {
                wire.io.write_all(&head[..head.len() / 2]).await.unwrap();
            } else {
                wire.io.write_all(&head).await.unwrap();
                wire.io.write_all(&call.body[..MIB / 4]).await.unwrap();
            }
            slow.push(wire);
        }
        while std::fs::read_dir(directory.path().join("unfinished")).unwrap().count() < SLOW / 2 {
            good.get("/-/vaults/photos").await.expect(200);
        }
        let bytes = pattern(2 * MIB);
        let archive = program.connect().await.upload("photos", &bytes).await;
        let job = good.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
        assert!(good.output("photos", &job, None).await.expect(200).body == bytes);
        // What was half sent can still be completed.
        let mut last = slow.pop().unwrap();
        last.io.write_all(&call.body[MIB / 4..]).await.unwrap();
        last.receive().await.unwrap().expect(201);
    };
    // Who is not served would wait for ever.
    tokio::time::timeout(Duration::from_secs(60), story).await.expect("everybody is served");
    if cfg!(target_os = "linux") {
        // These have sent little: heads hold next to nothing, and bodies no more than came of them. What they can hold is below.
        let most = peak_memory(program.child.id());
        assert!(most < 200 * MIB, "{most} bytes");
    }
    let (status, _, err) = program.end("-TERM");
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
}

/// The manual says 1.5 MiB for each connection at most, and 32 MiB for large uploads: bodies and answers that stop where they hold the most.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_connection_holds_as_much_memory_as_the_manual_says() {
    const SLOW: usize = 150;
    let directory = tempfile::tempdir().unwrap();
    let program = Program::on(directory.path());
    let mut good = program.connect().await;
    good.create_vault("photos").await;
    let archive = good.upload("photos", &pattern(8 * MIB)).await;
    let job = good.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let before = peak_memory(program.child.id());
    let upload = Call::new("POST", "/-/vaults/photos/archives").body(pattern(2 * MIB)).hashed();
    let document = Call::new("POST", "/-/vaults/photos/jobs").body(vec![b' '; MIB]);
    let output = Call::new("GET", format!("/-/vaults/photos/jobs/{job}/output"));
    let mut slow = Vec::new();
    for (call, sent) in [(upload, 3 * MIB / 2), (document, MIB - 1), (output, 0)] {
        let head = call.head(Some(&good.credentials), good.now);
        for _ in 0..SLOW / 3 {
            let mut wire = program.connect().await;
            wire.io.write_all(&head).await.unwrap();
            wire.io.write_all(&call.body[..sent]).await.unwrap();
            good.get("/-/vaults/photos").await.expect(200);
            slow.push(wire);
        }
    }
    let held = peak_memory(program.child.id()) - before;
    assert!(held < SLOW * MIB * 3 / 2 + 32 * MIB, "{held} bytes");
}

/// Lets this process have so many open files.
fn allow_open_files(count: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < count) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum });
        assert!(raised.is_ok(), "this test needs {count} open files, the system allows {maximum:?}");
    }
}

/// The most memory that a process has held, in bytes.
fn peak_memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// S10: no file may grow beyond 2 MiB, neither one of bytes nor one of the database: for the program that is a full disk.
#[tokio::test]
async fn s10_a_full_disk_is_a_server_error_and_leaves_the_old_state_intact() {
    let directory = tempfile::tempdir().unwrap();
    // The unit is 512 bytes here; without the trap the program would be ended by a signal.
    let program = Program::start(&mut limited("-f 4096 && trap '' XFSZ", directory.path()));
    let mut wire = program.connect().await;
    wire.create_vault("photos").await;
    // So long that some of it is written while more comes in.
    let bytes = pattern(9 * MIB);
    let archive = wire.upload("photos", &bytes[..MIB]).await;
    let too_much = Call::new("POST", "/-/vaults/photos/archives").body(&bytes).hashed();
    let mut refused = program.connect().await;
    assert_eq!(refused.send(too_much.clone()).await.error(), "500 ServiceUnavailableException");
    wire.upload("photos", &bytes[MIB..2 * MIB]).await;

    // Each of these commits adds to the database's log.
    let mut vaults = 0;
    let refusal = loop {
        let answer = wire.send(Call::new("PUT", format!("/-/vaults/v{vaults:04}"))).await;
        if answer.status != 201 {
            break answer;
        }
        vaults += 1;
    };
    assert_eq!(refusal.error(), "500 ServiceUnavailableException");
    assert!(vaults > 10);
    wire.get("/-/vaults/v0000").await.expect(200);
    wire.get(format!("/-/vaults/v{vaults:04}")).await.expect(404);
    program.end("-KILL");

    let program = Program::on(directory.path());
    let mut wire = program.connect().await;
    let listed = wire.get("/-/vaults").await.json();
    assert_eq!(listed["VaultList"].as_array().unwrap().len(), vaults + 1);
    wire.send(too_much).await.expect(201);
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    assert!(wire.output("photos", &job, None).await.expect(200).body == bytes[..MIB]);
    let (status, ..) = program.end("-TERM");
    assert!(status.success());
    let (code, report, _) = fsck(directory.path());
    assert_eq!((code, report.contains("unneeded")), (Some(0), false), "{report}");
}

#[test]
fn a_second_program_on_one_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Program::on(directory.path());
    let data = directory.path().to_str().unwrap();
    let (code, out, err) = run_refused(&mut command(&["--listen", "127.0.0.1:0", "--data", data]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, format!("cas-emulator: another emulator uses the directory {data}\n"));
    assert_eq!(fsck(directory.path()).0, Some(1));
}

/// S15.
#[test]
fn s15_other_machines_are_let_in_only_on_request_and_not_with_the_default_key() {
    for (arguments, why) in [
        (&["--listen", "0.0.0.0:0"][..], "that has to be allowed"),
        (&["--listen", "[::]:0"], "that has to be allowed"),
        (&["--listen", "0.0.0.0:0", "--account", "a:b:1"], "that has to be allowed"),
        (&["--listen", "0.0.0.0:0", "--allow-remote"], "configure an account"),
        (&["--listen", "0.0.0.0:0", "--allow-remote", "--account", "a:emulator-secret-key:1"], "configure an account"),
    ] {
        let (code, out, err) = run_refused(&mut command(arguments));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(err.contains(why), "{err}");
    }
    let allowed =
        Program::start(&mut command(&["--listen", "0.0.0.0:0", "--allow-remote", "--account", "a:b:1", "--json"]));
    assert!(allowed.endpoint().starts_with("http://0.0.0.0:"));
}

#[test]
fn what_is_wrong_with_a_command_line_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, code, message) in [
        (&["--listen", &address][..], 1, "cannot be listened on"),
        (&["--listen", "nowhere"], 1, "cannot be listened on"),
        (&["--account", "id-without-a-key"], 1, "expected SECRET_ID:SECRET_KEY:APPID"),
        (&["--strict=99"], 1, "there is no tolerance 99"),
        (&["--strict=7"], 1, "there is no tolerance 7 that can be turned off"),
        (&["--notify", "http://x"], 1, "notify: expected the name or address of a host"),
        (&["--notify", "localhost:80"], 1, "notify: expected the name or address of a host"),
        (&["--account", ""], 1, "expected SECRET_ID:SECRET_KEY:APPID"),
        (&["--job-delay", "soon"], 2, "expected tier, or a time"),
        (&["--time-scale", "0"], 2, "--time-scale"),
        (&["--listen", "127.0.0.1:0", "--data", "/dev/null/x"], 1, "cannot be used"),
        (&["fsck"], 2, "--data"),
        (&["--no-such-option"], 2, "--no-such-option"),
    ] {
        let (actual, out, err) = run_refused(&mut command(arguments));
        assert_eq!((actual, out.as_str()), (Some(code), ""), "{arguments:?}: {err}");
        assert!(err.contains(message), "{arguments:?}: {err}");
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_is_no_account() {
    let program = Program::start(command(&["--listen", "127.0.0.1:0", "--json"]).env("CAS_EMULATOR_ACCOUNTS", ""));
    assert!(program.line.contains(&format!("\"{}\"", Account::DEFAULT_SECRET_ID)), "{}", program.line);
}

/// As when its output goes to a program such as `head`, which does not read all of it.
#[tokio::test]
async fn it_does_not_mind_when_nobody_reads_what_it_says() {
    let nobody = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let unread = |arguments: &[&str]| command(arguments).stdout(nobody()).stderr(nobody()).status().unwrap().code();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    assert_eq!(unread(&["--list-tolerances"]), Some(0));
    assert_eq!(unread(&["--strict=99"]), Some(1));
    assert_eq!(unread(&["fsck", "--data", "/dev/null/x"]), Some(1));

    let mut command = command(&["--listen", "127.0.0.1:0", "--json", "--data", data]);
    let program = Program::start(command.stderr(nobody()).env("CAS_LOG", "trace"));
    program.connect_as(&Account::default()).await.create_vault("photos").await;
    drop(program);
    assert_eq!(unread(&["fsck", "--data", data]), Some(0));
}

#[test]
fn strict_is_all_or_the_numbers_of_some() {
    for (arguments, code, message) in [
        (&["--strict=0"][..], 1, "there is no tolerance 0 that can be turned off"),
        (&["--strict=6,0"], 1, "there is no tolerance 0 that can be turned off"),
        (&["--strict", "--strict=6"], 2, "cannot be used multiple times"),
    ] {
        let (actual, _, err) = run_refused(&mut command(&[arguments, &["--listen", "127.0.0.1:0"]].concat()));
        assert_eq!(actual, Some(code), "{arguments:?}: {err}");
        assert!(err.contains(message), "{arguments:?}: {err}");
    }
    for arguments in [&["--strict"][..], &["--strict=1,6"]] {
        Program::start(&mut command(&[arguments, &["--listen", "127.0.0.1:0", "--json"]].concat()));
    }
}

#[test]
fn tolerances_are_listed() {
    let (code, out, _) = run(&mut command(&["--list-tolerances"]));
    assert_eq!((code, out.lines().count()), (Some(0), Tolerance::all().len()));
    assert!(out.starts_with(" 1  two Host headers, "), "{out}");
}
