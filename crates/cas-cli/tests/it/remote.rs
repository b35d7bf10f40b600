//! `cas` against an emulator in another process: keys from the environment, and everything that can be wrong with them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};

use cas_treehash::{ContentSha256, TreeHash};
use serde_json::Value;

use crate::folder::{CAS, Folder, SIZE, TREE_HASH, pattern, text};

const ID: &str = "remote-id";
const KEY: &str = "remote-key-nobody-may-see";
const ACCOUNT: &str = "remote-id:remote-key-nobody-may-see:1250000001";

/// `cas emulator` as a process of its own. It is killed when the value is dropped.
struct Service {
    child: Child,
    endpoint: String,
}

impl Service {
    /// Starts in this folder, and waits for the line it prints when it listens.
    fn start(folder: &Folder, more: &[&str]) -> Self {
        let words = ["emulator", "--listen", "127.0.0.1:0", "--data", "data", "--account", ACCOUNT, "--json"];
        let mut child = folder.command(CAS, &[&words, more].concat()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((text(&told, "secret_id").as_str(), text(&told, "app_id").as_str()), (ID, "1250000001"));
        Service { child, endpoint: text(&told, "endpoint") }
    }

    /// A folder whose environment leads here.
    fn folder(&self) -> Folder {
        Folder::with_keys(&self.endpoint, ID, KEY)
    }

    /// The address without its scheme.
    fn host(&self) -> &str {
        self.endpoint.strip_prefix("http://").unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn an_archive_goes_up_and_comes_back() {
    let home = Folder::new();
    let service = Service::start(&home, &[]);
    let folder = service.folder();
    folder.write("film", pattern(SIZE));
    folder.cas("vault create films").ok();
    let uploaded = folder.cas("upload films film -p 1M --json").ok().json();
    assert_eq!(text(&uploaded, "tree_hash"), TREE_HASH);
    let archive = text(&uploaded, "archive_id");
    folder.cas(&format!("retrieve films {archive} -o back")).ok().complains("is started").says(TREE_HASH);
    assert_eq!(folder.read("back"), pattern(SIZE));
    assert!(!folder.exists(".cas-local"), "nothing local was needed");
    folder.cas("--app-id 1250000001 vault list").ok().says("films");
}

#[test]
fn a_stopped_emulator_finds_everything_again() {
    let home = Folder::new();
    let mut service = Service::start(&home, &[]);
    service.folder().cas("vault create films").ok();
    let killed = Command::new("kill").args(["-TERM", &service.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(service.child.wait().unwrap().success(), "SIGTERM is a clean end");
    let service = Service::start(&home, &[]);
    service.folder().cas("vault show films").ok();
    drop(service);
    let service = Service::start(&home, &[]);
    service.folder().cas("vault show films").ok();
}

#[test]
fn wrong_keys_are_told_with_what_to_do() {
    let home = Folder::new();
    let service = Service::start(&home, &[]);
    let folder = service.folder();
    let wrong_key = folder.cas("vault list --secret-key not-the-key").ends_with(3);
    wrong_key.complains("InvalidSignatureException").complains("cas sign").complains("is the clock right?");
    let wrong_id = folder.cas("vault list --secret-id nobody").ends_with(3);
    wrong_id.complains("UnrecognizedClientException").complains("does not know the secret id");
    let wrong_account = folder.cas("vault list --app-id 17").ends_with(3);
    wrong_account.complains("AccessDeniedException").complains("--app-id");
    let error = folder.cas("vault list --secret-key not-the-key --json").ends_with(3).error();
    assert_eq!((text(&error, "kind").as_str(), error["status"].as_i64()), ("denied", Some(400)));
    assert_eq!(text(&error, "code"), "InvalidSignatureException");
    assert!(!text(&error, "request_id").is_empty());
    let printed = folder.printed();
    assert!(!printed.contains("not-the-key") && !printed.contains(KEY), "{printed}");
}

#[test]
fn a_job_that_takes_its_time_is_not_ready_yet() {
    let home = Folder::new();
    let service = Service::start(&home, &["--job-delay", "4h"]);
    let folder = service.folder();
    folder.write("film", "film");
    folder.cas("vault create films").ok();
    let archive = text(&folder.cas("upload films film --json").ok().json(), "archive_id");
    let job = text(&folder.cas(&format!("retrieve films {archive} --no-wait --json")).ok().json(), "job_id");
    let error = folder.cas(&format!("fetch films {job} out --json")).ends_with(75).error();
    assert_eq!(text(&error, "kind"), "not-ready");
    folder.cas(&format!("fetch films {job} out")).ends_with(75).complains("cas job wait");
    folder.cas(&format!("job show films {job}")).ok().says("InProgress");
    assert!(!folder.exists("out"));
}

#[test]
fn a_list_that_one_job_cuts_off_is_gone_on_with_in_another() {
    let home = Folder::new();
    let service = Service::start(&home, &[]);
    let folder = service.folder();
    folder.cas("vault create films").ok();
    let mut archives: Vec<String> = ["a", "b", "c"]
        .map(|content| {
            folder.write("film", content);
            text(&folder.cas("upload films film --json").ok().json(), "archive_id")
        })
        .into();
    let body = br#"{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit":"1"}}"#;
    let length = body.len().to_string();
    let headers = [("Host", service.host()), ("Content-Length", &length)];
    assert_eq!(send(&service, ("POST", "/-/vaults/films/jobs"), &headers, body, &[]).0, 202);
    let jobs = folder.cas("job list films --json").ok().json();
    let job = text(&jobs["jobs"][0], "job_id");
    let inventory = folder.cas(&format!("inventory films --job {job} --json")).ok().json();
    assert_eq!((text(&inventory, "job_id"), inventory["number_of_archives"].as_u64()), (job, Some(3)));
    let mut listed: Vec<String> =
        inventory["archives"].as_array().unwrap().iter().map(|entry| text(entry, "archive_id")).collect();
    archives.sort();
    listed.sort();
    assert_eq!(listed, archives);
    assert_eq!(folder.cas("job list films --json").ok().json()["jobs"].as_array().unwrap().len(), 2);
}

/// One request, signed by `cas sign` with exactly these headers, sent as it stands; the answer's status and the code in it.
fn send(service: &Service, line: (&str, &str), headers: &[(&str, &str)], body: &[u8], time: &[&str]) -> (u16, String) {
    let (method, path) = line;
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let options = lines.iter().flat_map(|line| ["--header", line.as_str()]);
    let words: Vec<&str> = ["sign", method, path].into_iter().chain(options).chain(time.iter().copied()).collect();
    let authorization = service.folder().run(&words).ok().stdout;
    let mut stream = TcpStream::connect(service.host()).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\n{}\r\nConnection: close\r\nAuthorization: {authorization}\r\n",
        lines.join("\r\n")
    );
    stream.write_all(head.replace("\n\r\n", "\r\n\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let code = json["code"].as_str().unwrap_or_default().to_owned();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), code)
}

#[test]
fn what_cas_sign_signs_is_accepted_now_and_refused_when_its_time_is_over() {
    let home = Folder::new();
    let service = Service::start(&home, &[]);
    let headers = [("Host", service.host())];
    let list = ("GET", "/-/vaults");
    assert_eq!(send(&service, list, &headers, b"", &[]), (200, String::new()));
    let over = ["--sign-time", "1480932292;1481012292"];
    assert_eq!(send(&service, list, &headers, b"", &over), (400, "InvalidSignatureException".to_owned()));
}

#[test]
fn a_body_with_another_tree_hash_is_refused() {
    let home = Folder::new();
    let service = Service::start(&home, &[]);
    service.folder().cas("vault create films").ok();
    let sha256 = ContentSha256::of(b"film").to_string();
    let upload = |tree_hash: TreeHash| {
        let tree_hash = tree_hash.to_string();
        let headers = [
            ("Host", service.host()),
            ("Content-Length", "4"),
            ("x-cas-content-sha256", &sha256),
            ("x-cas-sha256-tree-hash", &tree_hash),
        ];
        send(&service, ("POST", "/-/vaults/films/archives"), &headers, b"film", &[])
    };
    assert_eq!(upload(TreeHash::of(b"film")).0, 201);
    assert_eq!(upload(TreeHash::of(b"another film")), (400, "InvalidParameterValueException".to_owned()));
}

#[test]
fn an_emulator_says_what_is_wrong_with_its_options() {
    let folder = Folder::new();
    folder.cas("emulator --account hush").ends_with(2).complains("SECRET_ID:SECRET_KEY:APPID");
    folder.cas("emulator --job-delay soon").ends_with(2).complains("job delay");
    folder.cas("emulator --endpoint http://x").ends_with(2);
    assert!(!folder.printed().contains("hush"));
    assert!(!folder.exists(".cas-local"));
}

#[test]
fn an_emulator_without_options_is_that_of_local() {
    let folder = Folder::new();
    folder.cas("vault create films --local").ok();
    let mut child = folder.command(CAS, &["emulator", "--listen", "127.0.0.1:0", "--json"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let keys: Value = serde_json::from_slice(&folder.read(".cas-local/account.json")).unwrap();
    let other = Folder::with_keys(&text(&told, "endpoint"), &text(&keys, "secret_id"), &text(&keys, "secret_key"));
    other.cas("vault show films").ok();
    // Two programs cannot keep their state in one folder at the same time.
    folder.cas("vault list --local").ends_with(1).complains(".cas-local/");
    child.kill().unwrap();
    child.wait().unwrap();
    folder.cas("vault show films --local").ok();
}
