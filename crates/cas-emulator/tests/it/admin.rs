//! The admin endpoint, as a test in another language sees it.

use cas_emulator::{Emulator, ErrorKind};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::wire::{Answer, Call, Wire, connect, pattern};

struct Admin(Wire<TcpStream>);

impl Admin {
    async fn of(emulator: &Emulator) -> Self {
        let address = emulator.admin_endpoint().unwrap().strip_prefix("http://").unwrap().to_owned();
        Admin(Wire::new(TcpStream::connect(address).await.unwrap(), emulator))
    }

    async fn ask(&mut self, method: &'static str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.0.send_unsigned(Call::new(method, path).body(body)).await
    }
}

async fn emulator() -> Emulator {
    let emulator = Emulator::builder().without_port().admin("127.0.0.1:0").start().await.unwrap();
    connect(&emulator).create_vault("photos").await;
    emulator
}

#[tokio::test]
async fn health_and_counters_are_told() {
    let emulator = emulator().await;
    let mut admin = Admin::of(&emulator).await;
    assert_eq!(admin.ask("GET", "/health", Value::Null).await.expect(200).json(), json!({"status": "ok"}));
    connect(&emulator).get("/-/vaults/none").await.expect(404);
    let counters = admin.ask("GET", "/counters", Value::Null).await.expect(200).json();
    assert_eq!(
        counters,
        json!({"requests": 2, "refusals": 1, "operations": {"CreateVault": 1, "DescribeVault": 1}, "faults": 0,
               "reports_delivered": 0, "reports_given_up": 0})
    );
}

#[tokio::test]
async fn the_clock_is_moved() {
    let emulator = emulator().await;
    let mut admin = Admin::of(&emulator).await;
    let before = emulator.clock().now();
    admin.ask("POST", "/clock", json!({"advance_seconds": 3600, "signing_offset_seconds": -900})).await.expect(200);
    assert!(emulator.clock().now().unix_seconds() >= before.unix_seconds() + 3600);
    let clock = admin.ask("GET", "/clock", Value::Null).await.json();
    let [now, signing] =
        ["now", "signing_now"].map(|key| clock[key].as_str().unwrap().parse::<cas_http::Timestamp>().unwrap());
    assert_eq!((now.unix_seconds() - signing.unix_seconds() + 5) / 10, 450);
    for wrong in [json!({"advance": 1}), json!({"advance_seconds": "1"})] {
        assert_eq!(admin.ask("POST", "/clock", wrong).await.error(), "400 InvalidParameterValueException");
    }
}

#[tokio::test]
async fn faults_come_and_go() {
    let emulator = emulator().await;
    let mut admin = Admin::of(&emulator).await;
    admin.ask("POST", "/faults", json!({"fault": "throttle", "operation": "ListVaults", "times": 1})).await.expect(200);
    let mut wire = connect(&emulator);
    assert_eq!(wire.get("/-/vaults").await.error(), "400 ThrottlingException");
    wire.get("/-/vaults").await.expect(200);
    admin.ask("POST", "/faults", json!({"fault": "unavailable"})).await.expect(200);
    admin.ask("DELETE", "/faults", Value::Null).await.expect(200);
    wire.get("/-/vaults").await.expect(200);
    for refused in [json!({"fault": "melt"}), json!({"fault": "throttle", "time": 1})] {
        assert_eq!(admin.ask("POST", "/faults", refused).await.error(), "400 InvalidParameterValueException");
    }
    wire.get("/-/vaults").await.expect(200);
}

#[tokio::test]
async fn a_reset_removes_every_vault_and_every_byte() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.upload("photos", b"hello").await;
    let upload = wire.initiate_upload("photos", 1 << 20).await;
    wire.upload_part("photos", &upload, 0, b"hello").await.expect(204);
    let job = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
    wire.output("photos", &job, None).await.expect(200);
    Admin::of(&emulator).await.ask("POST", "/reset", Value::Null).await.expect(200);
    assert_eq!(wire.get("/-/vaults").await.json()["VaultList"], json!([]));
    let folders = std::fs::read_dir(emulator.data_dir().join("blobs")).unwrap();
    assert_eq!(folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum::<usize>(), 0);
    wire.create_vault("photos").await;
    emulator.reset().await.unwrap();
    assert_eq!(wire.get("/-/vaults").await.json()["VaultList"], json!([]));
}

#[tokio::test]
async fn vaults_and_archives_can_be_there_from_the_beginning() {
    let emulator = emulator().await;
    let mut admin = Admin::of(&emulator).await;
    let state = json!({"vaults": [
        {"name": "films", "archives": [{"text": "hello", "description": "a greeting"}, {"size": 3145728}]},
        {"name": "photos"},
    ]});
    let made = admin.ask("POST", "/seed", state).await.expect(200).json();
    assert_eq!(
        (&made["vaults"][0]["name"], &made["vaults"][1]),
        (&json!("films"), &json!({"name": "photos", "archives": []}))
    );
    let mut wire = connect(&emulator);
    for (index, bytes) in [b"hello".to_vec(), pattern(3 << 20)].iter().enumerate() {
        let archive = &made["vaults"][0]["archives"][index];
        let job = wire.job("films", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
        assert!(wire.output("films", &job, None).await.expect(200).body == *bytes);
    }
    let inventory = wire.job("films", json!({"Type": "inventory-retrieval"})).await;
    let listed = wire.output("films", &inventory, None).await.json()["ArchiveList"].clone();
    let described = listed.as_array().unwrap().iter().filter(|archive| archive["ArchiveDescription"] == "a greeting");
    assert_eq!(described.count(), 1);

    for state in [
        json!({"vaults": [{"name": "a/b"}]}),
        json!({"vaults": [{"name": "new"}, {"archives": []}]}),
        json!({"vaults": [{"name": "new", "archives": [{"text": ""}]}]}),
        json!({"vaults": [{"name": "new", "archives": [{"text": "x", "size": 1}]}]}),
        json!({"vaults": [{"name": "new", "archives": [{"size": 0}]}]}),
        json!({"vaults": [{"name": "new", "archives": [{"size": "1"}]}]}),
        json!({"vaults": [{"name": "new", "archives": [{"size": 1, "descriptoin": "x"}]}]}),
        json!({"vaults": [{"name": "new", "archive": []}]}),
        json!({"vaults": {}}),
        json!({"chance": -1}),
        json!({"chance": "1"}),
        json!({"vault": []}),
    ] {
        assert_eq!(admin.ask("POST", "/seed", state.clone()).await.status, 400, "{state}");
    }
    wire.get("/-/vaults/new").await.expect(404);
}

#[tokio::test]
async fn chance_can_be_begun_anew() {
    let emulator = emulator().await;
    let mut admin = Admin::of(&emulator).await;
    admin.ask("POST", "/faults", json!({"fault": "throttle", "probability": 0.5})).await.expect(200);
    let mut patterns = Vec::new();
    for seed in [1, 2, 1] {
        admin.ask("POST", "/seed", json!({"chance": seed})).await.expect(200);
        let mut wire = connect(&emulator);
        let mut pattern = String::new();
        for _ in 0..32 {
            pattern.push(if wire.get("/-/vaults").await.status == 200 { '.' } else { 'x' });
        }
        patterns.push(pattern);
    }
    assert_eq!(patterns[0], patterns[2]);
    assert_ne!(patterns[0], patterns[1]);
}

#[tokio::test]
async fn nobody_else_is_let_in() {
    let emulator = emulator().await;
    let mut admin = Admin::of(&emulator).await;
    let from_a_page = Call::new("POST", "/reset").header("Origin", "http://example.com");
    assert_eq!(admin.0.send_unsigned(from_a_page).await.error(), "403 AccessDeniedException");
    assert_eq!(admin.ask("GET", "/secrets", Value::Null).await.error(), "404 ResourceNotFoundException");
    connect(&emulator).get("/-/vaults/photos").await.expect(200);
    let remote = Emulator::builder().without_port().allow_remote(true).admin("0.0.0.0:0").start().await.unwrap_err();
    assert_eq!(remote.kind(), ErrorKind::Config);
}
