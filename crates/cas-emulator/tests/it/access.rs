//! Several accounts, and what one lets another do.

use cas_emulator::{Account, Emulator};
use cas_http::AppId;
use serde_json::json;

use crate::wire::{Call, Wire, connect};

const OWNER: u64 = 1_250_000_000;
const GUEST: u64 = 1_250_000_001;

async fn emulator() -> (Emulator, Account) {
    let guest = Account::new("guest", "guest-key", AppId::new(GUEST)).unwrap().uin("77");
    let builder = Emulator::builder().without_port().account(Account::default()).account(guest.clone());
    let emulator = builder.start().await.unwrap();
    connect(&emulator).create_vault("photos").await;
    (emulator, guest)
}

fn guest_wire(emulator: &Emulator, guest: &Account) -> Wire<tokio::io::DuplexStream> {
    let mut wire = connect(emulator);
    wire.credentials = guest.credentials().clone();
    wire
}

async fn set_policy(emulator: &Emulator, statements: serde_json::Value) {
    let policy = json!({"version": "2.0", "statement": statements}).to_string();
    let call = Call::new("PUT", "/-/vaults/photos/access-policy").body(json!({"policy": policy}).to_string());
    connect(emulator).send(call).await.expect(204);
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let (emulator, guest) = emulator().await;
    let mut wire = guest_wire(&emulator, &guest);
    assert_eq!(wire.get("/-/vaults").await.expect(200).json()["VaultList"], json!([]));
    wire.create_vault("photos").await;
    let mine = wire.get("/-/vaults/photos").await.json();
    assert_eq!(mine["VaultQCS"], format!("qcs:id/0:cas:ap-chengdu:uid/{GUEST}:vaults/photos"));
    let archive = wire.upload("photos", b"hello").await;
    let mut owner = connect(&emulator);
    let theirs = owner.delete(format!("/-/vaults/photos/archives/{archive}")).await;
    assert_eq!(theirs.error(), "404 ResourceNotFoundException", "an archive belongs to its vault");
}

#[tokio::test]
async fn another_account_in_the_path_is_refused_unless_the_policy_allows_it() {
    let (emulator, guest) = emulator().await;
    let mut wire = guest_wire(&emulator, &guest);
    for target in [
        format!("/{OWNER}/vaults/photos"),
        format!("/{OWNER}/vaults/none"),
        format!("/{OWNER}/vaults"),
        "/7/vaults/x".to_owned(),
    ] {
        assert_eq!(wire.get(target.as_str()).await.error(), "403 AccessDeniedException", "{target}");
    }
    let resource = format!("qcs::cas:ap-chengdu:uid/{OWNER}:vaults/photos");
    set_policy(&emulator, json!([{
        "effect": "allow",
        "principal": {"qcs": ["qcs::cam::uin/77:uin/77"]},
        "action": ["name/cas:DescribeVault", "name/cas:UploadArchive", "name/cas:InitiateJob", "name/cas:GetJobOutput"],
        "resource": [resource],
    }]))
    .await;
    let vault = wire.get(format!("/{OWNER}/vaults/photos")).await.expect(200).json();
    assert_eq!(vault["VaultQCS"], format!("qcs:id/0:cas:ap-chengdu:uid/{OWNER}:vaults/photos"));
    let upload = Call::new("POST", format!("/{OWNER}/vaults/photos/archives")).body("hello").hashed();
    let uploaded = wire.send(upload).await.expect(201);
    let archive = &uploaded.headers["x-cas-archive-id"];
    assert_eq!(uploaded.headers["location"], format!("/{OWNER}/vaults/photos/archives/{archive}"));
    let retrieval = json!({"Type": "archive-retrieval", "ArchiveId": archive}).to_string();
    let started =
        wire.send(Call::new("POST", format!("/{OWNER}/vaults/photos/jobs")).body(retrieval)).await.expect(202);
    let job = &started.headers["x-cas-job-id"];
    assert_eq!(wire.get(format!("/{OWNER}/vaults/photos/jobs/{job}/output")).await.expect(200).body, b"hello");
    assert_eq!(wire.get(format!("/{OWNER}/vaults/photos/jobs/{job}")).await.error(), "403 AccessDeniedException");
    assert_eq!(wire.delete(format!("/{OWNER}/vaults/photos")).await.error(), "403 AccessDeniedException");
}

#[tokio::test]
async fn multipart_uploads_policies_and_notifications_are_the_owner_s_alone() {
    let (emulator, guest) = emulator().await;
    set_policy(&emulator, json!([{"effect": "allow", "principal": "*", "action": "*", "resource": "*"}])).await;
    let mut wire = guest_wire(&emulator, &guest);
    wire.get(format!("/{OWNER}/vaults/photos")).await.expect(200);
    for target in ["access-policy", "notification-configuration", "multipart-uploads", "multipart-uploads/x"] {
        let answer = wire.get(format!("/{OWNER}/vaults/photos/{target}")).await;
        assert_eq!(answer.error(), "403 AccessDeniedException", "{target}");
    }
    let mut owner = connect(&emulator);
    owner.get(format!("/{OWNER}/vaults/photos/access-policy")).await.expect(200);
}

#[tokio::test]
async fn a_deny_and_a_condition_close_what_was_open() {
    let (emulator, guest) = emulator().await;
    let mut wire = guest_wire(&emulator, &guest);
    let allow = json!({"effect": "allow", "principal": "*", "action": "*", "resource": "*"});
    let mut deny = allow.clone();
    deny["effect"] = "deny".into();
    deny["condition"] = json!({"ip_not_equal": {"qcs:ip": "10.0.0.0/8"}});
    set_policy(&emulator, json!([allow, deny])).await;
    assert_eq!(wire.get(format!("/{OWNER}/vaults/photos")).await.error(), "403 AccessDeniedException");
    deny["condition"] = json!({"ip_not_equal": {"qcs:ip": "127.0.0.0/8"}});
    set_policy(&emulator, json!([allow, deny])).await;
    wire.get(format!("/{OWNER}/vaults/photos")).await.expect(200);
}

#[tokio::test]
async fn two_key_pairs_of_one_account_see_the_same_vaults() {
    let second = Account::new("second", "second-key", AppId::new(OWNER)).unwrap();
    let builder = Emulator::builder().without_port().account(Account::default()).account(second.clone());
    let emulator = builder.start().await.unwrap();
    connect(&emulator).create_vault("photos").await;
    let mut wire = guest_wire(&emulator, &second);
    wire.get("/-/vaults/photos").await.expect(200);
}

#[tokio::test]
async fn a_secret_id_belongs_to_one_account() {
    let twice = Emulator::builder().without_port().account(Account::default()).account(Account::default());
    let error = twice.start().await.unwrap_err();
    assert_eq!(error.to_string(), "the secret id emulator is given twice");
}
