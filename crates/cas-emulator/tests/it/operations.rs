//! Each operation that is not about jobs or other accounts: what it answers when all is well, and the errors that tell something.

use std::time::Duration;

use cas_emulator::Emulator;
use cas_http::TreeHash;
use serde_json::json;

use crate::wire::{Call, connect, pattern};

const MIB: usize = 1 << 20;
const QCS: &str = "qcs:id/0:cas:ap-chengdu:uid/1250000000:vaults/";

async fn emulator() -> Emulator {
    Emulator::builder().without_port().start().await.unwrap()
}

// Vaults.

#[tokio::test]
async fn a_vault_is_created_once_and_then_again() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    for uid in ["-", "1250000000"] {
        let answer = wire.send(Call::new("PUT", format!("/{uid}/vaults/My.Vault-1"))).await.expect(201);
        assert_eq!(answer.headers["location"], "/1250000000/vaults/My.Vault-1");
        assert_eq!(answer.headers["content-length"], "0");
    }
    assert_eq!(wire.get("/-/vaults").await.json()["VaultList"].as_array().unwrap().len(), 1);
    let long = "x".repeat(256);
    for name in ["a%20b", "..", "%2e%2e", long.as_str()] {
        let answer = wire.send(Call::new("PUT", format!("/-/vaults/{name}"))).await;
        assert_eq!(answer.error(), "400 InvalidParameterValueException", "{name}");
    }
}

#[tokio::test]
async fn an_account_has_a_thousand_vaults_at_most() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    for number in 0..1000 {
        wire.create_vault(&format!("v{number:04}")).await;
    }
    let call = Call::new("PUT", "/-/vaults/one-more");
    assert_eq!(wire.send(call).await.error(), "400 LimitExceededException");
    wire.create_vault("v0000").await;
    let first = wire.get("/-/vaults").await.expect(200).json();
    assert_eq!(first["VaultList"].as_array().unwrap().len(), 1000);
    assert_eq!(first["Marker"], json!(null));
}

#[tokio::test]
async fn a_vault_is_described_without_totals_until_its_first_inventory() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    wire.upload("photos", b"hello").await;
    let vault = wire.get("/-/vaults/photos").await.expect(200).json();
    let created = vault["CreationDate"].as_str().unwrap();
    assert!(created.len() == 24 && created.ends_with('Z'), "{created}");
    assert_eq!(
        vault,
        json!({"CreationDate": created, "LastInventoryDate": null, "NumberOfArchives": null, "SizeInBytes": null,
               "VaultName": "photos", "VaultQCS": format!("{QCS}photos")})
    );
    emulator.clock().advance(Duration::from_secs(24 * 3600));
    let vault = wire.get("/-/vaults/photos").await.json();
    assert_eq!((vault["NumberOfArchives"].as_u64(), vault["SizeInBytes"].as_u64()), (Some(1), Some(5)));
    wire.upload("photos", b"more").await;
    assert_eq!(wire.get("/-/vaults/photos").await.json(), vault, "until the next day");
    assert_eq!(wire.get("/-/vaults/none").await.error(), "404 ResourceNotFoundException");
}

#[tokio::test]
async fn totals_can_be_those_of_the_moment() {
    let emulator = Emulator::builder().without_port().live_totals(true).start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    wire.upload("photos", b"hello").await;
    let listed = wire.get("/-/vaults").await.json()["VaultList"][0].clone();
    assert_eq!((listed["NumberOfArchives"].as_u64(), listed["SizeInBytes"].as_u64()), (Some(1), Some(5)));
}

#[tokio::test]
async fn vaults_are_listed_page_by_page_in_the_order_of_their_names() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    for name in ["b", "d", "a", "c", "e"] {
        wire.create_vault(name).await;
    }
    let mut names = Vec::new();
    let mut target = "/-/vaults?limit=2".to_owned();
    loop {
        let page = wire.get(target.as_str()).await.expect(200).json();
        let vaults = page["VaultList"].as_array().unwrap();
        assert!(vaults.len() <= 2);
        names.extend(vaults.iter().map(|vault| vault["VaultName"].as_str().unwrap().to_owned()));
        let Some(marker) = page["Marker"].as_str() else { break };
        assert!(marker.starts_with(QCS));
        target = format!("/-/vaults?limit=2&marker={}", marker.replace('/', "%2F").replace(':', "%3A"));
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    for bad in ["limit=0", "limit=1001", "limit=x"] {
        let answer = wire.get(format!("/-/vaults?{bad}")).await;
        assert_eq!(answer.error(), "400 InvalidParameterValueException", "{bad}");
    }
}

#[tokio::test]
async fn only_an_empty_vault_is_deleted() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", b"hello").await;
    let refused = wire.delete("/-/vaults/photos").await;
    assert_eq!(refused.error(), "400 BadRequest");
    assert_eq!(refused.message(), "vault is not empty, only empty vault can be delete");
    wire.delete(format!("/-/vaults/photos/archives/{archive}")).await.expect(204);
    let upload = wire.initiate_upload("photos", MIB as u64).await;
    assert_eq!(wire.delete("/-/vaults/photos").await.error(), "400 BadRequest", "an upload is being written");
    wire.delete(format!("/-/vaults/photos/multipart-uploads/{upload}")).await.expect(204);
    wire.delete("/-/vaults/photos").await.expect(204);
    assert_eq!(wire.delete("/-/vaults/photos").await.error(), "404 ResourceNotFoundException");
    assert_eq!(files(&emulator), 0);
}

// Policies and notifications.

#[tokio::test]
async fn a_policy_is_set_read_and_removed() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let path = "/-/vaults/photos/access-policy";
    assert_eq!(wire.get(path).await.error(), "404 ResourceNotFoundException");
    let policy = r#"{"version":"2.0","statement":[{"effect":"allow"}]}"#;
    for body in
        [json!({"policy": policy}), json!({"Policy": policy}), json!({"policy": {"version": "2.0", "statement": []}})]
    {
        wire.send(Call::new("PUT", path).body(body.to_string())).await.expect(204);
    }
    assert_eq!(wire.get(path).await.expect(200).json(), json!({"policy": r#"{"statement":[],"version":"2.0"}"#}));
    for _ in 0..2 {
        wire.delete(path).await.expect(204);
    }
    assert_eq!(wire.get(path).await.error(), "404 ResourceNotFoundException");
    for (body, error) in [
        ("not json", "400 SerializationException"),
        ("", "400 SerializationException"),
        ("{}", "400 MissingParameterValueException"),
        (r#"{"policy":"not json"}"#, "400 InvalidParameterValueException"),
        (r#"{"policy":"{\"version\":\"1.0\",\"statement\":[]}"}"#, "400 InvalidParameterValueException"),
    ] {
        assert_eq!(wire.send(Call::new("PUT", path).body(body)).await.error(), error, "{body}");
    }
    assert_eq!(wire.get("/-/vaults/none/access-policy").await.error(), "404 ResourceNotFoundException");
}

#[tokio::test]
async fn a_notification_configuration_is_set_read_and_removed() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let path = "/-/vaults/photos/notification-configuration";
    assert_eq!(wire.get(path).await.error(), "404 ResourceNotFoundException");
    let body = json!({"CallBackUrl": "http://e.com/x", "Events": ["ArchiveRetrievalCompleted", " InventoryRetrievalCompleted"]});
    wire.send(Call::new("PUT", path).body(body.to_string())).await.expect(204);
    let expected = json!({"CallBackUrl": "http://e.com/x", "Events": ["ArchiveRetrievalCompleted", "InventoryRetrievalCompleted"]});
    assert_eq!(wire.get(path).await.expect(200).json(), expected);
    let one = r#"{"CallBackUrl":"https://e.com","Event":"PushToCOSCompleted"}"#;
    wire.send(Call::new("PUT", path).body(one)).await.expect(204);
    assert_eq!(wire.get(path).await.json()["Events"], json!(["PushToCOSCompleted"]));
    for _ in 0..2 {
        wire.delete(path).await.expect(204);
    }
    assert_eq!(wire.get(path).await.error(), "404 ResourceNotFoundException");
    for (body, error) in [
        (r#"{"CallBackUrl":"ftp://e.com","Events":["PushToCOSCompleted"]}"#, "400 InvalidParameterValueException"),
        (r#"{"CallBackUrl":"http://e.com","Events":["SomethingElse"]}"#, "400 InvalidParameterValueException"),
        (r#"{"CallBackUrl":"http://e.com","Events":[]}"#, "400 MissingParameterValueException"),
        (r#"{"CallBackUrl":"http://e.com"}"#, "400 MissingParameterValueException"),
        (r#"{"Events":["PushToCOSCompleted"]}"#, "400 MissingParameterValueException"),
        ("[]", "400 SerializationException"),
    ] {
        assert_eq!(wire.send(Call::new("PUT", path).body(body)).await.error(), error, "{body}");
    }
}

// Archives.

#[tokio::test]
async fn an_archive_is_uploaded_in_one_request() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let bytes = pattern(3 * MIB + 17);
    let call = Call::new("POST", "/-/vaults/photos/archives").header("x-cas-archive-description", "报告 2024/Q1~a+b");
    let answer = wire.send(call.body(&bytes).hashed()).await.expect(201);
    let id = &answer.headers["x-cas-archive-id"];
    assert_eq!(id.len(), 128);
    assert_eq!(answer.headers["location"], format!("/1250000000/vaults/photos/archives/{id}"));
    assert_eq!(answer.headers["x-cas-sha256-tree-hash"], TreeHash::of(&bytes).to_string());
    assert_eq!(answer.headers["x-cas-content-sha256"].len(), 64);
    assert_ne!(&wire.upload("photos", &bytes).await, id, "the same bytes make another archive");
}

#[tokio::test]
async fn an_upload_with_wrong_hashes_leaves_nothing() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let post = || Call::new("POST", "/-/vaults/photos/archives");
    let [right, wrong] = ["hello", "hullo"].map(|text| TreeHash::of(text.as_bytes()).to_string());
    for (sha256, tree) in [(&right, &wrong), (&wrong, &right), (&right, &right[1..].to_owned())] {
        let call = post().header("x-cas-content-sha256", sha256).header("x-cas-sha256-tree-hash", tree).body("hello");
        assert_eq!(wire.send(call).await.error(), "400 InvalidParameterValueException");
    }
    let one_hash = post().header("x-cas-content-sha256", &right).body("hello");
    assert_eq!(wire.send(one_hash).await.error(), "400 MissingParameterValueException");
    assert_eq!(wire.send(post().body("").hashed()).await.error(), "400 InvalidParameterValueException");
    let long = post().header("x-cas-archive-description", "x".repeat(1025)).body("hello").hashed();
    assert_eq!(wire.send(long).await.error(), "400 InvalidParameterValueException");
    let elsewhere = Call::new("POST", "/-/vaults/none/archives").body("hello").hashed();
    assert_eq!(wire.send(elsewhere).await.error(), "404 ResourceNotFoundException");
    assert_eq!(files(&emulator), 0);
    wire.delete("/-/vaults/photos").await.expect(204);
}

#[tokio::test]
async fn an_archive_is_deleted_once() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let id = wire.upload("photos", b"hello").await;
    assert_eq!(files(&emulator), 1);
    let path = format!("/-/vaults/photos/archives/{id}");
    wire.delete(path.as_str()).await.expect(204);
    assert_eq!(files(&emulator), 0);
    assert_eq!(wire.delete(path).await.error(), "404 ResourceNotFoundException");
    assert_eq!(wire.delete("/-/vaults/photos/archives/never").await.error(), "404 ResourceNotFoundException");
}

/// Both ways to upload, since they keep descriptions in places of their own.
#[tokio::test]
async fn a_description_comes_back_as_it_was_sent() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let long = "é".repeat(1024);
    for (sent, kept) in [
        (&b"caf\xe9"[..], "café"),
        (b"caf\xe9\xa0", "café\u{a0}"),
        ("\u{3000}x\u{2028}".as_bytes(), "\u{3000}x\u{2028}"),
        (b"a\tb", "a\tb"),
        (&[0xe9; 1024], long.as_str()),
    ] {
        let described = |path| Call::new("POST", path).header("x-cas-archive-description", sent);
        let call = described("/-/vaults/photos/archives").body("hello").hashed();
        let whole = wire.send(call).await.expect(201).headers["x-cas-archive-id"].clone();
        let call = described("/-/vaults/photos/multipart-uploads").header("x-cas-part-size", MIB.to_string());
        let upload = wire.send(call).await.expect(201).headers["x-cas-multipart-upload-id"].clone();
        wire.upload_part("photos", &upload, 0, b"hello").await.expect(204);
        let in_parts = wire.complete("photos", &upload, b"hello").await.headers["x-cas-archive-id"].clone();

        let job = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
        let inventory = wire.output("photos", &job, None).await.json();
        for id in [whole, in_parts] {
            let mut listed = inventory["ArchiveList"].as_array().unwrap().iter();
            assert_eq!(listed.find(|archive| archive["ArchiveId"] == id).unwrap()["ArchiveDescription"], kept);
        }
    }
}

// Multipart uploads.

#[tokio::test]
async fn parts_come_in_any_order_and_again_and_make_an_archive() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let bytes = pattern(5 * MIB + 7);
    let call = Call::new("POST", "/-/vaults/photos/multipart-uploads")
        .header("x-cas-part-size", (2 * MIB).to_string())
        .header("x-cas-archive-description", "in parts");
    let begun = wire.send(call).await.expect(201);
    let upload = begun.headers["x-cas-multipart-upload-id"].clone();
    assert_eq!(begun.headers["location"], format!("/1250000000/vaults/photos/multipart-uploads/{upload}"));

    let empty = wire.get(format!("/-/vaults/photos/multipart-uploads/{upload}")).await.expect(200).json();
    assert_eq!(empty["Parts"], json!([]));
    assert_eq!(
        (empty["PartSizeInBytes"].as_u64(), &empty["ArchiveDescription"]),
        (Some(2 * MIB as u64), &json!("in parts"))
    );

    let chunks: Vec<(usize, &[u8])> =
        bytes.chunks(2 * MIB).enumerate().map(|(i, chunk)| (i * 2 * MIB, chunk)).collect();
    wire.upload_part("photos", &upload, 0, &pattern(MIB)).await.expect(204);
    for index in [2, 0, 1] {
        let (start, chunk) = chunks[index];
        let answer = wire.upload_part("photos", &upload, start, chunk).await.expect(204);
        assert_eq!(answer.headers["x-cas-sha256-tree-hash"], TreeHash::of(chunk).to_string());
    }
    assert_eq!(files(&emulator), 3, "the part that was sent again replaced the first");

    let listed = wire.get(format!("/-/vaults/photos/multipart-uploads/{upload}")).await.json();
    let expected: Vec<_> = chunks
        .iter()
        .map(|(start, chunk)| {
            let range = format!("{start}-{}", start + chunk.len() - 1);
            json!({"RangeInBytes": range, "SHA256TreeHash": TreeHash::of(chunk).to_string()})
        })
        .collect();
    assert_eq!(listed["Parts"], json!(expected));

    let done = wire.complete("photos", &upload, &bytes).await.expect(201);
    let archive = done.headers["x-cas-archive-id"].clone();
    assert_eq!(done.headers["location"], format!("/1250000000/vaults/photos/archives/{archive}"));
    assert_eq!(wire.complete("photos", &upload, &bytes).await.error(), "404 ResourceNotFoundException");
    assert_eq!(files(&emulator), 3, "no byte was written again");

    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let output = wire.output("photos", &job, None).await.expect(200);
    assert!(output.body == bytes);
    assert_eq!(output.headers["x-cas-sha256-tree-hash"], TreeHash::of(&bytes).to_string());
}

#[tokio::test]
async fn an_upload_that_is_not_complete_stays_open() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let bytes = pattern(3 * MIB);
    let upload = wire.initiate_upload("photos", MIB as u64).await;
    assert_eq!(
        wire.complete("photos", &upload, &bytes).await.error(),
        "400 InvalidParameterValueException",
        "no parts"
    );
    wire.upload_part("photos", &upload, 0, &bytes[..MIB]).await.expect(204);
    wire.upload_part("photos", &upload, 2 * MIB, &bytes[2 * MIB..]).await.expect(204);
    let hole = wire.complete("photos", &upload, &bytes).await;
    assert_eq!(hole.message(), "the bytes 1048576-2097151 have not been uploaded");
    wire.upload_part("photos", &upload, MIB, &bytes[MIB..2 * MIB]).await.expect(204);
    let other = pattern(3 * MIB - 1);
    assert_eq!(
        wire.complete("photos", &upload, &other).await.error(),
        "400 InvalidParameterValueException",
        "another size"
    );
    let other = vec![0; 3 * MIB];
    assert_eq!(
        wire.complete("photos", &upload, &other).await.error(),
        "400 InvalidParameterValueException",
        "other bytes"
    );
    wire.complete("photos", &upload, &bytes).await.expect(201);
}

#[tokio::test]
async fn a_part_that_does_not_fit_is_refused() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    for size in ["0", "1", "1048577", "3145728", "8589934592", "x"] {
        let call = Call::new("POST", "/-/vaults/photos/multipart-uploads").header("x-cas-part-size", size);
        assert_eq!(wire.send(call).await.error(), "400 InvalidParameterValueException", "{size}");
    }
    let call = Call::new("POST", "/-/vaults/photos/multipart-uploads");
    assert_eq!(wire.send(call).await.error(), "400 MissingParameterValueException");

    let upload = wire.initiate_upload("photos", MIB as u64).await;
    let put = |range: &str| {
        let call = Call::new("PUT", format!("/-/vaults/photos/multipart-uploads/{upload}"));
        call.header("Content-Range", range).body("hello").hashed()
    };
    for range in
        ["bytes 0-5/*", "bytes 1-5/*", "bytes 5-1/*", "bytes 10485760000-10485760004/*", "pages 0-4/*", "bytes 0-4/x"]
    {
        assert_eq!(wire.send(put(range)).await.error(), "400 InvalidParameterValueException", "{range}");
    }
    for range in ["bytes 0-4", "bytes 0-4/5", "bytes 0-4/3", "bytes 10484711424-10484711428/*"] {
        wire.send(put(range)).await.expect(204);
    }
    let wrong = put("bytes 0-4/*").body("hullo");
    assert_eq!(wire.send(wrong).await.error(), "400 InvalidParameterValueException");
    let unknown = Call::new("PUT", "/-/vaults/photos/multipart-uploads/none").header("Content-Range", "bytes 0-4/*");
    assert_eq!(wire.send(unknown.body("hello").hashed()).await.error(), "404 ResourceNotFoundException");
}

#[tokio::test]
async fn uploads_and_parts_are_listed_page_by_page() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let mut uploads = Vec::new();
    for _ in 0..3 {
        uploads.push(wire.initiate_upload("photos", MIB as u64).await);
    }
    let first = wire.get("/-/vaults/photos/multipart-uploads?limit=2").await.expect(200).json();
    let marker = first["Marker"].as_str().unwrap();
    let second = wire.get(format!("/-/vaults/photos/multipart-uploads?limit=2&marker={marker}")).await.json();
    let ids =
        [first["UploadsList"].as_array().unwrap().clone(), second["UploadsList"].as_array().unwrap().clone()].concat();
    let ids: Vec<&str> = ids.iter().map(|upload| upload["MultipartUploadId"].as_str().unwrap()).collect();
    assert_eq!(ids, uploads, "oldest first");
    assert_eq!(second["Marker"], json!(null));

    for index in 0..3 {
        wire.upload_part("photos", &uploads[0], index * MIB, b"x").await.expect(204);
    }
    let path = format!("/-/vaults/photos/multipart-uploads/{}", uploads[0]);
    let page = wire.get(format!("{path}?limit=2")).await.json();
    assert_eq!((page["Parts"].as_array().unwrap().len(), page["Marker"].as_str()), (2, Some("2097152")));
    let page = wire.get(format!("{path}?marker=2097152")).await.json();
    assert_eq!(page["Parts"][0]["RangeInBytes"], "2097152-2097152");
    for path in [path.as_str(), "/-/vaults/photos/multipart-uploads"] {
        assert_eq!(wire.get(format!("{path}?marker=x")).await.error(), "400 InvalidParameterValueException");
    }
}

#[tokio::test]
async fn an_upload_is_given_up_or_expires_after_a_day() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let upload = wire.initiate_upload("photos", MIB as u64).await;
    wire.upload_part("photos", &upload, 0, b"hello").await.expect(204);
    let path = format!("/-/vaults/photos/multipart-uploads/{upload}");
    wire.delete(path.as_str()).await.expect(204);
    assert_eq!(wire.delete(path).await.error(), "404 ResourceNotFoundException");
    assert_eq!(files(&emulator), 0);

    let upload = wire.initiate_upload("photos", MIB as u64).await;
    wire.upload_part("photos", &upload, 0, b"hello").await.expect(204);
    emulator.clock().advance(Duration::from_secs(24 * 3600 - 60));
    wire.upload_part("photos", &upload, 0, b"hello").await.expect(204);
    emulator.clock().advance(Duration::from_secs(60));
    assert_eq!(wire.upload_part("photos", &upload, 0, b"hello").await.error(), "404 ResourceNotFoundException");
    assert_eq!(wire.get("/-/vaults/photos/multipart-uploads").await.json()["UploadsList"], json!([]));
    wire.get("/-/vaults/photos").await.expect(200);
    assert_eq!(files(&emulator), 0, "its bytes are gone too");
    wire.delete("/-/vaults/photos").await.expect(204);
}

// What is no operation.

#[tokio::test]
async fn what_is_no_operation_is_refused() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    for (method, path, error) in [
        ("GET", "/", "404 ResourceNotFoundException"),
        ("GET", "/-/vaults/v/tags", "404 ResourceNotFoundException"),
        ("GET", "//-/vaults", "404 ResourceNotFoundException"),
        ("PATCH", "/-/vaults/v", "400 BadRequest"),
        ("OPTIONS", "/-/vaults", "400 BadRequest"),
        ("GET", "/me/vaults", "400 InvalidParameterValueException"),
    ] {
        assert_eq!(wire.send(Call::new(method, path)).await.error(), error, "{method} {path}");
    }
}

/// How many files of bytes the emulator keeps.
fn files(emulator: &Emulator) -> usize {
    let folders = std::fs::read_dir(emulator.data_dir().join("blobs")).unwrap();
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}
