//! Jobs of all four kinds: when they are done, what comes out of them, and how long it is there.

use std::time::Duration;

use cas_emulator::{Clock, Emulator, JobDelay};
use cas_http::TreeHash;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::wire::{Call, Wire, connect, pattern, with_photos};

const MIB: usize = 1 << 20;

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

/// Waits until the background has done a job.
async fn finished<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(wire: &mut Wire<IO>, job: &str) -> Value {
    loop {
        let described = wire.describe_job("photos", job).await;
        if described["Completed"] == true {
            return described;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_job_waits_the_hours_of_its_tier() {
    let clock = Clock::manual("2024-03-01T02:00:00Z".parse().unwrap());
    let builder = Emulator::builder().without_port().job_delay(JobDelay::ByTier).clock(clock.clone());
    let emulator = builder.start().await.unwrap();
    for (tier, delay) in [("Expedited", Duration::from_secs(180)), ("Standard", hours(4)), ("Bulk", hours(8))] {
        let mut wire = connect(&emulator);
        wire.create_vault("photos").await;
        let archive = wire.upload("photos", b"hello").await;
        let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive, "Tier": tier})).await;
        clock.advance(delay - Duration::from_secs(1));
        let mut wire = connect(&emulator);
        let waiting = wire.describe_job("photos", &job).await;
        assert_eq!(
            (&waiting["StatusCode"], &waiting["CompletionDate"]),
            (&json!("InProgress"), &Value::Null),
            "{tier}"
        );
        assert_eq!(wire.output("photos", &job, None).await.error(), "400 InvalidParameterValueException");
        clock.advance(Duration::from_secs(1));
        let done = connect(&emulator).describe_job("photos", &job).await;
        assert_eq!((&done["StatusCode"], &done["Tier"]), (&json!("Succeeded"), &json!(tier)));
        assert_eq!(done["CompletionDate"], clock.now().to_string());
    }
}

#[tokio::test]
async fn a_job_ends_when_its_time_is_over_however_late_that_is_noticed() {
    let clock = Clock::manual("2024-03-01T02:00:00Z".parse().unwrap());
    let builder = Emulator::builder().without_port().job_delay(JobDelay::ByTier).clock(clock.clone());
    let emulator = builder.start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", b"hello").await;
    let jobs = [json!({"Type": "archive-retrieval", "ArchiveId": archive}), json!({"Type": "inventory-retrieval"})];
    let start = async |wire: &mut Wire<_>| {
        let mut ids = Vec::new();
        for job in &jobs {
            ids.push(wire.job("photos", job.clone()).await);
        }
        ids
    };
    let first = start(&mut wire).await;
    clock.advance(hours(20));
    let mut wire = connect(&emulator);
    for job in &first {
        assert_eq!(wire.describe_job("photos", job).await["CompletionDate"], "2024-03-01T06:00:00.000Z");
        wire.output("photos", job, None).await.expect(200);
    }
    let inventory = wire.output("photos", &first[1], None).await.json();
    assert_eq!(inventory["InventoryDate"], "2024-03-01T06:00:00.000Z");
    assert_eq!(wire.get("/-/vaults/photos").await.json()["LastInventoryDate"], "2024-03-01T06:00:00.000Z");

    let second = start(&mut wire).await;
    clock.advance(hours(40));
    let mut wire = connect(&emulator);
    for job in &second {
        assert_eq!(wire.output("photos", job, None).await.error(), "404 ResourceNotFoundException");
    }
    assert_eq!(wire.get("/-/vaults/photos/jobs").await.json()["JobList"], json!([]));
    assert_eq!(wire.get("/-/vaults/photos").await.json()["LastInventoryDate"], clock.now().to_string());
}

#[tokio::test]
async fn a_retrieval_is_described_as_the_service_does() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let bytes = pattern(6 * MIB + MIB / 2);
    let archive = wire.upload("photos", &bytes).await;
    let answer = wire
        .start_job(
            "photos",
            json!({"Type": "archive-retrieval", "ArchiveId": archive, "RetrievalByteRange": "4194304-6291455",
                   "Tier": "Bulk", "Description": "why", "CallBackUrl": "http://e.com/done"}),
        )
        .await
        .expect(202);
    let job = answer.headers["x-cas-job-id"].clone();
    assert_eq!(answer.headers["location"], format!("/1250000000/vaults/photos/jobs/{job}"));
    let described = wire.describe_job("photos", &job).await;
    assert_eq!(
        described,
        json!({
            "Action": "ArchiveRetrieval", "ArchiveDescription": null, "ArchiveId": archive,
            "ArchiveSHA256TreeHash": "f444c8acf99f44ebb8dd5b7a3ea3aba603b79ab90071611ee2e89ec1970f4a25",
            "ArchiveSizeInBytes": 6_815_744, "Bucket": null, "CallBackUrl": "http://e.com/done", "Completed": true,
            "CompletionDate": described["CompletionDate"], "Condition": null, "CreationDate": described["CreationDate"],
            "InventoryRetrievalParameters": null, "InventorySizeInBytes": 0, "JobCallBackUrl": "http://e.com/done",
            "JobDescription": "why", "JobId": job, "Object": null, "Range": null, "RetrievalByteRange": "4194304-6291455",
            "SHA256TreeHash": "a83b66c19f7ef84ef0cbed9d9ea028134e7e36aa69f5b4c5abd2937f13fc9c49", "StatusCode": "Succeeded",
            "StatusMessage": "Succeeded", "Tier": "Bulk",
            "VaultQCS": "qcs:id/0:cas:ap-chengdu:uid/1250000000:vaults/photos",
        })
    );
    assert_eq!(wire.get("/-/vaults/photos/jobs/none").await.error(), "404 ResourceNotFoundException");
}

/// The cases of `docs/protocol.md` §4.3, on an archive of one file and on one of parts.
#[tokio::test]
async fn a_tree_hash_comes_with_exactly_the_ranges_that_are_one_sub_tree() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let bytes = pattern(6 * MIB + MIB / 2);
    let upload = wire.initiate_upload("photos", 2 * MIB as u64).await;
    for (index, part) in bytes.chunks(2 * MIB).enumerate() {
        wire.upload_part("photos", &upload, index * 2 * MIB, part).await.expect(204);
    }
    let in_parts = wire.complete("photos", &upload, &bytes).await.headers["x-cas-archive-id"].clone();
    let archives = [wire.upload("photos", &bytes).await, in_parts];
    let m = MIB;
    // The job's range, whether it is a sub-tree, the output's range, whether both are.
    type Wanted = Option<(usize, usize)>;
    let cases: [(Wanted, bool, Wanted, bool); 12] = [
        (None, true, None, true),
        (None, true, Some((0, 4 * m - 1)), true),
        (None, true, Some((2 * m, 3 * m - 1)), true),
        (None, true, Some((4 * m, 6 * m + m / 2 - 1)), true),
        (None, true, Some((6 * m, 6 * m + m / 2 - 1)), true),
        (None, true, Some((m, 3 * m - 1)), false),
        (None, true, Some((0, 100)), false),
        (Some((4 * m, 6 * m - 1)), true, None, true),
        (Some((4 * m, 6 * m - 1)), true, Some((m, 2 * m - 1)), true),
        (Some((4 * m, 6 * m - 1)), true, Some((5, 2 * m - 1)), false),
        (Some((m, 3 * m - 1)), false, None, false),
        (Some((m, 3 * m - 1)), false, Some((m, 2 * m - 1)), false),
    ];
    for archive in &archives {
        for (retrieved, is_subtree, read, has_hash) in cases {
            let mut parameters = json!({"Type": "archive-retrieval", "ArchiveId": archive});
            let (start, end) = retrieved.unwrap_or((0, bytes.len() - 1));
            if retrieved.is_some() {
                parameters["RetrievalByteRange"] = format!("{start}-{end}").into();
            }
            let job = wire.job("photos", parameters).await;
            let described = wire.describe_job("photos", &job).await;
            let retrieved_bytes = &bytes[start..=end];
            let expected = is_subtree.then(|| TreeHash::of(retrieved_bytes).to_string());
            assert_eq!(described["SHA256TreeHash"].as_str(), expected.as_deref(), "{retrieved:?}");
            let range = read.map(|(first, last)| format!("bytes={first}-{last}"));
            let output = wire.output("photos", &job, range.as_deref()).await;
            let wanted = match read {
                Some((first, last)) => &retrieved_bytes[first..=last],
                None => retrieved_bytes,
            };
            assert!(output.body == wanted, "{retrieved:?} {read:?}");
            let expected = has_hash.then(|| TreeHash::of(wanted).to_string());
            assert_eq!(output.headers.get("x-cas-sha256-tree-hash"), expected.as_ref(), "{retrieved:?} {read:?}");
            assert_eq!(output.headers["content-type"], "application/octet-stream");
        }
    }
}

#[tokio::test]
async fn the_hash_of_a_range_is_told_when_the_job_is_done() {
    let builder = Emulator::builder().without_port().job_delay(JobDelay::Fixed(hours(1)));
    let emulator = builder.start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", &pattern(2 * MIB)).await;
    let part = json!({"Type": "archive-retrieval", "ArchiveId": archive, "RetrievalByteRange": "0-1048575"});
    let part = wire.job("photos", part).await;
    let whole = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let described = wire.describe_job("photos", &part).await;
    assert_eq!((&described["SHA256TreeHash"], &described["RetrievalByteRange"]), (&Value::Null, &json!("0-1048575")));
    let described = wire.describe_job("photos", &whole).await;
    assert!(described["SHA256TreeHash"].is_string());
    assert_eq!(described["RetrievalByteRange"], "0-2097151");
    emulator.clock().advance(hours(1));
    assert!(wire.describe_job("photos", &part).await["SHA256TreeHash"].is_string());
}

#[tokio::test]
async fn ranges_and_words_that_make_no_sense_are_refused() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let archive = wire.upload("photos", &pattern(2 * MIB + 5)).await;
    let with = |key: &str, value: Value| {
        let mut parameters = json!({"Type": "archive-retrieval", "ArchiveId": archive});
        parameters[key] = value;
        parameters
    };
    for range in ["1-1048575", "0-1048576", "0-2097157", "2097152-1048575", "x", "3145728-"] {
        let answer = wire.start_job("photos", with("RetrievalByteRange", range.into())).await;
        assert_eq!(answer.error(), "400 InvalidParameterValueException", "{range}");
    }
    for range in ["0-1048575", "1048576-2097156", "2097152-", "0-2097156"] {
        wire.start_job("photos", with("RetrievalByteRange", range.into())).await.expect(202);
    }
    for (parameters, error) in [
        (with("Tier", "Overnight".into()), "400 InvalidParameterValueException"),
        (with("CallBackUrl", "gopher://e.com".into()), "400 InvalidParameterValueException"),
        (with("ArchiveId", "none".into()), "404 ResourceNotFoundException"),
        (with("ArchiveId", Value::Null), "400 MissingParameterValueException"),
        (with("Type", "select".into()), "400 InvalidParameterValueException"),
        (with("Type", Value::Null), "400 MissingParameterValueException"),
        (json!({"Type": "inventory-retrieval", "Format": "XML"}), "400 InvalidParameterValueException"),
        (json!({"Type": "inventory-retrieval", "Tier": "Nope"}), "400 InvalidParameterValueException"),
        (json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": "b"}), "400 MissingParameterValueException"),
        (json!({"Type": "pull-from-cos", "Object": "o"}), "400 MissingParameterValueException"),
        (
            json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o", "Condition": {"If-Range": "x"}}),
            "400 InvalidParameterValueException",
        ),
        (json!([]), "400 SerializationException"),
    ] {
        assert_eq!(wire.start_job("photos", parameters.clone()).await.error(), error, "{parameters}");
    }
    assert_eq!(
        wire.start_job("none", json!({"Type": "inventory-retrieval"})).await.error(),
        "404 ResourceNotFoundException"
    );
}

#[tokio::test]
async fn a_range_beyond_the_output_is_told_the_size() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let archive = wire.upload("photos", b"hello").await;
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    wire.describe_job("photos", &job).await;
    for range in ["bytes=5-", "bytes=5-9", "bytes=-0", "bytes=18446744073709551616-"] {
        let answer = wire.output("photos", &job, Some(range)).await;
        assert_eq!(answer.error(), "416 InvalidParameterValueException", "{range}");
        assert_eq!(answer.headers["content-range"], "bytes */5");
    }
    for range in ["bytes=3-1", "bytes=0-1,3-4", "0-1"] {
        let answer = wire.output("photos", &job, Some(range)).await;
        assert_eq!(answer.error(), "400 InvalidParameterValueException", "{range}");
    }
}

#[tokio::test]
async fn an_inventory_is_a_snapshot_of_the_moment_it_is_made() {
    let builder = Emulator::builder().without_port().job_delay(JobDelay::Fixed(hours(4)));
    let emulator = builder.start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let kept = wire.upload("photos", b"hello").await;
    let job = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
    let described = wire.describe_job("photos", &job).await;
    assert_eq!(
        (&described["Action"], described["InventorySizeInBytes"].as_u64()),
        (&json!("InventoryRetrieval"), Some(0))
    );
    let later = wire.upload("photos", b"later").await;
    emulator.clock().advance(hours(4));
    let done = wire.describe_job("photos", &job).await;
    wire.upload("photos", b"too late").await;

    let output = wire.output("photos", &job, None).await.expect(200);
    assert_eq!(done["InventorySizeInBytes"].as_u64(), Some(output.body.len() as u64));
    assert!(!output.headers.contains_key("x-cas-sha256-tree-hash"));
    let inventory = output.json();
    assert_eq!(inventory["VaultQCS"], "qcs:id/0:cas:ap-chengdu:uid/1250000000:vaults/photos");
    assert_eq!(inventory["InventoryDate"], done["CompletionDate"]);
    let mut expected = [kept, later];
    expected.sort();
    let listed: Vec<&str> = inventory["ArchiveList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|archive| archive["ArchiveId"].as_str().unwrap())
        .collect();
    assert_eq!(listed, expected, "by their IDs");
    assert_eq!(inventory["ArchiveList"][0]["Size"], 5);
    assert_eq!(inventory["ArchiveList"][0]["SHA256TreeHash"].as_str().unwrap().len(), 64);
    let vault = wire.get("/-/vaults/photos").await.json();
    assert_eq!((vault["NumberOfArchives"].as_u64(), &vault["LastInventoryDate"]), (Some(2), &done["CompletionDate"]));
}

#[tokio::test]
async fn an_inventory_can_be_filtered_and_continued() {
    let clock = Clock::manual("2024-03-01T00:00:00Z".parse().unwrap());
    let emulator = Emulator::builder().without_port().clock(clock.clone()).start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let mut ids = Vec::new();
    for day in 0..3 {
        let mut wire = connect(&emulator);
        ids.push(wire.upload("photos", format!("day {day}").as_bytes()).await);
        clock.advance(hours(24));
    }
    let mut wire = connect(&emulator);
    let filtered = json!({"StartDate": "2024-03-02T00:00:00Z", "EndDate": "2024-03-02T00:00:00Z"});
    let job =
        wire.job("photos", json!({"Type": "inventory-retrieval", "InventoryRetrievalParameters": filtered})).await;
    let described = wire.describe_job("photos", &job).await;
    let parameters = json!({"Format": "JSON", "StartDate": "2024-03-02T00:00:00.000Z", "EndDate": "2024-03-02T00:00:00.000Z",
                            "Limit": 0, "Marker": null});
    assert_eq!(described["InventoryRetrievalParameters"], parameters);
    let list = wire.output("photos", &job, None).await.json()["ArchiveList"].clone();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["ArchiveId"]), (1, &json!(ids[1])), "both ends are included");

    let mut listed = Vec::new();
    let mut parameters = json!({"Limit": "2"});
    loop {
        let job = wire
            .job("photos", json!({"Type": "inventory-retrieval", "InventoryRetrievalParameters": parameters}))
            .await;
        let marker = wire.describe_job("photos", &job).await["InventoryRetrievalParameters"]["Marker"].clone();
        let list = wire.output("photos", &job, None).await.json()["ArchiveList"].clone();
        listed.extend(list.as_array().unwrap().iter().map(|archive| archive["ArchiveId"].as_str().unwrap().to_owned()));
        if marker.is_null() {
            break;
        }
        parameters = json!({"Limit": 2, "Marker": marker});
    }
    ids.sort();
    assert_eq!(listed, ids);
}

#[tokio::test]
async fn an_inventory_comes_as_csv_too() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let call = Call::new("POST", "/-/vaults/photos/archives").header("x-cas-archive-description", "say \"hi\", twice");
    let archive = wire.send(call.body("hello").hashed()).await.headers["x-cas-archive-id"].clone();
    let job = wire.job("photos", json!({"Type": "inventory-retrieval", "Format": "CSV"})).await;
    let output = wire.output("photos", &job, None).await.expect(200);
    assert_eq!(output.headers["content-type"], "text/csv");
    let text = String::from_utf8(output.body).unwrap();
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next(), Some("ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash"));
    let line = lines.next().unwrap();
    assert!(line.starts_with(&format!("{archive},\"say \"\"hi\"\", twice\",2")), "{line}");
    assert!(line.ends_with(&format!("Z,5,{}", TreeHash::of(b"hello"))), "{line}");
    assert_eq!((lines.next(), lines.next()), (Some(""), None));
}

#[tokio::test]
async fn the_inventory_of_an_empty_vault_is_empty() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let job = wire.job("photos", json!({"Type": "inventory-retrieval", "InventoryRetrievalParameters": {}})).await;
    assert_eq!(wire.output("photos", &job, None).await.expect(200).json()["ArchiveList"], json!([]));
}

#[tokio::test]
async fn jobs_are_listed_by_state_and_page_by_page() {
    let emulator = Emulator::builder().without_port().job_delay(JobDelay::Fixed(hours(1))).start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    for _ in 0..2 {
        wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
    }
    emulator.clock().advance(hours(1));
    let running = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
    for (query, count) in [
        ("", 3),
        ("completed=true", 2),
        ("completed=false", 1),
        ("statuscode=Succeeded", 2),
        ("statuscode=InProgress", 1),
        ("statuscode=Failed", 0),
        ("completed=false&statuscode=Succeeded", 0),
    ] {
        let list = wire.get(format!("/-/vaults/photos/jobs?{query}")).await.expect(200).json();
        assert_eq!(list["JobList"].as_array().unwrap().len(), count, "{query}");
    }
    let list = wire.get("/-/vaults/photos/jobs?statuscode=InProgress").await.json();
    assert_eq!(list["JobList"][0]["JobId"], json!(running));
    let first = wire.get("/-/vaults/photos/jobs?limit=2").await.json();
    let marker = first["Marker"].as_str().unwrap();
    let second = wire.get(format!("/-/vaults/photos/jobs?limit=2&marker={marker}")).await.json();
    assert_eq!((second["JobList"].as_array().unwrap().len(), &second["JobList"][0]["JobId"]), (1, &json!(marker)));
    assert_eq!(wire.get("/-/vaults/photos/jobs?statuscode=Lost").await.error(), "400 InvalidParameterValueException");
}

#[tokio::test]
async fn a_job_and_its_output_are_gone_a_day_after_it_was_done() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let archive = wire.upload("photos", b"hello").await;
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    wire.describe_job("photos", &job).await;
    emulator.clock().advance(hours(24) - Duration::from_secs(60));
    wire.output("photos", &job, None).await.expect(200);
    emulator.clock().advance(Duration::from_secs(60));
    assert_eq!(wire.output("photos", &job, None).await.error(), "404 ResourceNotFoundException");
    assert_eq!(wire.get(format!("/-/vaults/photos/jobs/{job}")).await.error(), "404 ResourceNotFoundException");
    assert_eq!(wire.get("/-/vaults/photos/jobs").await.json()["JobList"], json!([]));
}

#[tokio::test]
async fn an_output_outlives_its_archive_and_a_job_that_comes_too_late_fails() {
    let emulator = Emulator::builder().without_port().job_delay(JobDelay::Fixed(hours(1))).start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let bytes = pattern(2 * MIB);
    let archive = wire.upload("photos", &bytes).await;
    let retrieval = json!({"Type": "archive-retrieval", "ArchiveId": archive});
    let early = wire.job("photos", retrieval.clone()).await;
    emulator.clock().advance(hours(1));
    let under_way = wire.job("photos", retrieval.clone()).await;
    wire.delete(format!("/-/vaults/photos/archives/{archive}")).await.expect(204);
    let late = wire.job("photos", retrieval).await;
    assert!(wire.output("photos", &early, None).await.expect(200).body == bytes);
    emulator.clock().advance(hours(1));
    for job in [under_way, late] {
        let described = wire.describe_job("photos", &job).await;
        assert_eq!((&described["StatusCode"], &described["Completed"]), (&json!("Failed"), &json!(true)));
        assert_eq!(described["StatusMessage"], "the archive was deleted");
        assert_eq!(wire.output("photos", &job, None).await.error(), "400 InvalidParameterValueException");
    }
    assert!(wire.output("photos", &early, None).await.expect(200).body == bytes);
    emulator.clock().advance(hours(24));
    wire.get("/-/vaults/photos/jobs").await.expect(200);
    wire.delete("/-/vaults/photos").await.expect(204);
}

#[tokio::test]
async fn an_archive_is_pushed_to_cos_and_pulled_back() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let bytes = pattern(2 * MIB + 99);
    let archive = wire.upload("photos", &bytes).await;
    let (bucket, object) = ("backup-1250000000.cos.ap-chengdu.myqcloud.com", "2024/photos.tar");
    let push = json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": bucket, "Object": object,
                      "RetrievalByteRange": "1048576-2097250"});
    let job = wire.job("photos", push).await;
    let described = finished(&mut wire, &job).await;
    assert_eq!(described["StatusCode"], "Succeeded", "{described}");
    assert_eq!(
        (&described["Action"], &described["Tier"], &described["SHA256TreeHash"]),
        (&json!("PushToCOS"), &json!("Standard"), &Value::Null)
    );
    assert_eq!((&described["Bucket"], &described["Object"]), (&json!(bucket), &json!(object)));
    assert!(emulator.cos().get(bucket, object).unwrap() == bytes[MIB..]);
    assert_eq!(wire.output("photos", &job, None).await.error(), "400 InvalidParameterValueException");

    let pull = json!({"Type": "pull-from-cos", "Bucket": bucket, "Object": object, "Range": "bytes=10-1048584",
                      "ArchiveDescription": "back again"});
    let job = wire.job("photos", pull).await;
    let described = finished(&mut wire, &job).await;
    assert_eq!(described["StatusCode"], "Succeeded", "{described}");
    let pulled = &bytes[MIB + 10..=MIB + 1_048_584];
    assert_eq!(
        (&described["Action"], &described["Tier"], &described["Range"]),
        (&json!("PullFromCOS"), &Value::Null, &json!("10-1048584"))
    );
    assert_eq!(described["ArchiveSizeInBytes"], pulled.len());
    assert_eq!(described["ArchiveSHA256TreeHash"], TreeHash::of(pulled).to_string());
    assert_eq!(described["ArchiveDescription"], "back again");
    let retrieval = json!({"Type": "archive-retrieval", "ArchiveId": described["ArchiveId"]});
    let job = wire.job("photos", retrieval).await;
    assert!(wire.output("photos", &job, None).await.expect(200).body == pulled);
}

#[tokio::test]
async fn objects_whose_keys_differ_in_a_blank_are_two() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    emulator.cos().put("b", "k", b"another").unwrap();
    let archive = wire.upload("photos", b"hello").await;
    let push = json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": "b", "Object": " k"});
    let job = wire.job("photos", push).await;
    assert_eq!(finished(&mut wire, &job).await["Object"], " k");
    assert_eq!(emulator.cos().get("b", "k").unwrap(), b"another");
    assert_eq!(emulator.cos().get("b", " k").unwrap(), b"hello");
}

#[tokio::test]
async fn a_pull_fails_when_the_object_is_not_there_or_not_as_it_should_be() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let tag = emulator.cos().put("b", "o", b"hello").unwrap();
    for (changes, message) in [
        (json!({"Object": "other"}), "the COS object does not exist"),
        (json!({"Condition": {"If-Match": "\"x\""}}), "the COS object is not in the state asked for: If-Match (412)"),
        (
            json!({"Condition": {"If-None-Match": tag}}),
            "the COS object is not in the state asked for: If-None-Match (304)",
        ),
        (
            json!({"Condition": {"If-Umodified-Since": "Thu, 01 Jan 1970 00:00:10 GMT"}}),
            "the COS object is not in the state asked for: If-Unmodified-Since (412)",
        ),
        (json!({"Range": "3-9"}), "the COS object has 5 bytes"),
    ] {
        let mut parameters = json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o"});
        parameters.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let job = wire.job("photos", parameters).await;
        let described = finished(&mut wire, &job).await;
        assert_eq!((&described["StatusCode"], &described["StatusMessage"]), (&json!("Failed"), &json!(message)));
        assert_eq!(described["ArchiveId"], Value::Null);
    }
    let matching = json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o", "Condition": {"If-Match": tag}});
    let job = wire.job("photos", matching).await;
    let described = finished(&mut wire, &job).await;
    assert_eq!((&described["StatusCode"], &described["Condition"]), (&json!("Succeeded"), &json!({"If-Match": tag})));
}

#[tokio::test]
async fn a_push_waits_its_tier_and_fails_without_its_archive() {
    let emulator = Emulator::builder().without_port().job_delay(JobDelay::ByTier).start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", b"hello").await;
    let job =
        wire.job("photos", json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": "b", "Object": "o"})).await;
    assert_eq!(wire.describe_job("photos", &job).await["StatusCode"], "InProgress");
    wire.delete(format!("/-/vaults/photos/archives/{archive}")).await.expect(204);
    emulator.clock().advance(hours(4));
    assert_eq!(finished(&mut wire, &job).await["StatusCode"], "Failed");
    assert!(emulator.cos().get("b", "o").is_err());
}

#[tokio::test]
async fn a_folder_in_the_place_of_a_cos_object_makes_the_job_fail() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let archive = wire.upload("photos", b"hello").await;
    std::fs::create_dir_all(emulator.cos().path().join("b/o")).unwrap();
    for parameters in [
        json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": "b", "Object": "o"}),
        json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o"}),
        json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o", "Condition": {"If-Match": "x"}}),
    ] {
        let job = wire.job("photos", parameters.clone()).await;
        let described = finished(&mut wire, &job).await;
        let message = "the COS object is a folder in the stand-in for COS";
        assert_eq!((&described["StatusCode"], &described["StatusMessage"]), (&json!("Failed"), &json!(message)));
    }
    assert_eq!(std::fs::read_dir(emulator.cos().path().join("b")).unwrap().count(), 1, "nothing unfinished is left");
}

/// Copies that do not get on: their object is a pipe that nobody writes to, and there are more of them than threads that may block.
#[cfg(unix)]
#[test]
fn copies_leave_threads_for_requests() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(4).enable_all().build().unwrap();
    let answered = runtime.block_on(async {
        let emulator = with_photos().await;
        let bucket = emulator.cos().path().join("b");
        std::fs::create_dir_all(&bucket).unwrap();
        let pipe = bucket.join("o");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut wire = connect(&emulator);
        let requests = async {
            let mut jobs = Vec::new();
            for _ in 0..8 {
                jobs.push(wire.job("photos", json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o"})).await);
            }
            wire.get("/-/vaults").await.expect(200);
            // Once there is somebody to write, they all see that the object is empty.
            let _writer = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
            for job in jobs {
                assert_eq!(finished(&mut wire, &job).await["StatusMessage"], "the COS object has 0 bytes");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), requests).await.is_ok()
    });
    // Without this a failure would wait for threads that never end.
    runtime.shutdown_background();
    assert!(answered);
}

/// Takes reports, answering each with the next status, and gives their bodies.
async fn receiver(statuses: &'static [u16]) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/done?x=1", listener.local_addr().unwrap());
    let (sender, reports) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            let body = loop {
                let mut room = [0; 4096];
                let length = stream.read(&mut room).await.unwrap();
                text.extend_from_slice(&room[..length]);
                let so_far = String::from_utf8_lossy(&text).into_owned();
                if let Some((head, body)) = so_far.split_once("\r\n\r\n")
                    && let Some((_, length)) = head.to_lowercase().split_once("content-length: ")
                    && body.len() == length.lines().next().unwrap().parse::<usize>().unwrap()
                {
                    assert!(head.starts_with("POST /done?x=1 HTTP/1.1"), "{head}");
                    break body.to_owned();
                }
            };
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            sender.send(body).unwrap();
        }
    });
    (url, reports)
}

#[tokio::test]
async fn finished_jobs_are_reported_to_the_job_s_and_the_vault_s_address() {
    let emulator = Emulator::builder().without_port().notify(["127.0.0.1"]).start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let (for_job, mut job_reports) = receiver(&[200]).await;
    let (for_vault, mut vault_reports) = receiver(&[204]).await;
    let configuration = json!({"CallBackUrl": for_vault, "Events": ["InventoryRetrievalCompleted"]});
    let call = Call::new("PUT", "/-/vaults/photos/notification-configuration").body(configuration.to_string());
    wire.send(call).await.expect(204);
    let job = wire.job("photos", json!({"Type": "inventory-retrieval", "CallBackUrl": for_job})).await;
    let described = wire.describe_job("photos", &job).await;
    for reports in [&mut job_reports, &mut vault_reports] {
        let report: Value = serde_json::from_str(&reports.recv().await.unwrap()).unwrap();
        assert_eq!(report, described, "the report is what DescribeJob says");
    }
}

#[tokio::test]
async fn a_job_that_cannot_be_ended_holds_up_neither_other_jobs_nor_reads_nor_reports() {
    let directory = tempfile::tempdir().unwrap();
    let builder = Emulator::builder().without_port().data_dir(directory.path()).notify(["127.0.0.1"]);
    let emulator = builder.job_delay(JobDelay::Fixed(hours(1))).start().await.unwrap();
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let archive = wire.upload("photos", b"hello").await;
    let (url, mut reports) = receiver(&[200, 200, 200]).await;
    let retrieval = json!({"Type": "archive-retrieval", "ArchiveId": archive, "CallBackUrl": url});
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(wire.job("photos", retrieval.clone()).await);
    }
    let database = rusqlite::Connection::open(directory.path().join("cas.sqlite3")).unwrap();
    let full = format!(
        "CREATE TRIGGER full BEFORE UPDATE ON job WHEN OLD.job_id = '{}' BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        jobs[1]
    );
    database.execute_batch(&full).unwrap();
    emulator.clock().advance(hours(1));
    wire.get("/-/vaults").await.expect(200);
    for (job, status) in jobs.iter().zip(["Succeeded", "InProgress", "Succeeded"]) {
        assert_eq!(wire.describe_job("photos", job).await["StatusCode"], status);
    }
    let mut reported = async || {
        let report: Value = serde_json::from_str(&reports.recv().await.unwrap()).unwrap();
        report["JobId"].as_str().unwrap().to_owned()
    };
    let mut both = [reported().await, reported().await];
    let mut expected = [jobs[0].clone(), jobs[2].clone()];
    both.sort();
    expected.sort();
    assert_eq!(both, expected);
    database.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(wire.describe_job("photos", &jobs[1]).await["StatusCode"], "Succeeded");
    assert_eq!(reported().await, jobs[1]);
}
