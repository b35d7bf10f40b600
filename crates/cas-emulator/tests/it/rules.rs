//! The rules by which both official clients work unmodified (`docs/protocol.md` §2.4), one test each, by number.

use std::collections::BTreeSet;

use cas_emulator::{Emulator, Tolerance};
use cas_http::TreeHash;
use cas_sign::{HeaderPolicy, ParameterPolicy};
use serde_json::{Value, json};

use crate::wire::{Call, HOST, connect, pattern, with_photos};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn rule_1_two_host_headers_are_accepted_on_uploads() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let two_hosts = |call: Call| call.header("Host", format!("{HOST}:9580")).header("Host", HOST);
    let archive = two_hosts(Call::new("POST", "/-/vaults/photos/archives")).body("hello").hashed();
    wire.send(archive).await.expect(201);
    let upload = wire.initiate_upload("photos", MIB as u64).await;
    let part = two_hosts(Call::new("PUT", format!("/-/vaults/photos/multipart-uploads/{upload}")));
    wire.send(part.header("Content-Range", "bytes 0-4/*").body("hello").hashed()).await.expect(204);
}

#[tokio::test]
async fn rule_2_a_host_is_taken_with_and_without_its_port() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    for (sent, signed) in [
        ("127.0.0.1:9580", "127.0.0.1:9580"),
        ("127.0.0.1:9580", "127.0.0.1"),
        (HOST, HOST),
        (HOST, "cas.ap-chengdu.myqcloud.com:80"),
    ] {
        let signed_head = Call::new("GET", "/-/vaults").header("Host", signed).head(Some(&wire.credentials), wire.now);
        let head =
            String::from_utf8(signed_head).unwrap().replacen(&format!("Host: {signed}"), &format!("Host: {sent}"), 1);
        assert_eq!(wire.exchange(head.as_bytes(), b"").await.unwrap().status, 200, "sent {sent}, signed {signed}");
    }
    let other = Call::new("GET", "/-/vaults").header("Host", "elsewhere").head(Some(&wire.credentials), wire.now);
    let head = String::from_utf8(other).unwrap().replacen("Host: elsewhere", "Host: 127.0.0.1", 1);
    assert_eq!(wire.exchange(head.as_bytes(), b"").await.unwrap().error(), "400 InvalidSignatureException");
}

#[tokio::test]
async fn rule_2_a_host_may_be_signed_with_the_port_it_was_sent_without() {
    let emulator = cas_emulator::Emulator::start().await.unwrap();
    let mut wire = connect(&emulator);
    let signed = format!("Host: {}", emulator.address().unwrap());
    let call = Call::new("GET", "/-/vaults").header("Host", &signed["Host: ".len()..]);
    let head = String::from_utf8(call.head(Some(&wire.credentials), wire.now)).unwrap();
    let head = head.replacen(&signed, "Host: 127.0.0.1", 1);
    assert_eq!(wire.exchange(head.as_bytes(), b"").await.unwrap().status, 200);
}

#[tokio::test]
async fn rule_3_the_target_may_be_an_absolute_url() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let list = wire.get(format!("http://{HOST}/-/vaults?limit=5")).await.expect(200).json();
    assert_eq!(list["VaultList"][0]["VaultName"], "photos");
}

#[tokio::test]
async fn rule_4_nothing_but_method_and_path_needs_to_be_signed() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let bare = |call: Call| {
        call.sign_with(|signing| (signing.headers, signing.parameters) = (HeaderPolicy::None, ParameterPolicy::None))
    };
    let call = bare(Call::new("GET", "/-/vaults?limit=1"));
    assert!(
        String::from_utf8_lossy(&call.head(Some(&wire.credentials), wire.now))
            .contains("q-header-list=&q-url-param-list=&")
    );
    wire.send(call).await.expect(200);
    wire.send(bare(Call::new("POST", "/-/vaults/photos/archives")).body("hello").hashed()).await.expect(201);
}

#[tokio::test]
async fn rule_5_dates_and_content_types_may_be_missing_or_nonsense() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    for (name, value) in [
        ("Date", "2017-08-29T08:29:41Z"),
        ("Date", "yesterday"),
        ("Content-Type", "false"),
        ("Content-Type", "text/html; charset=utf-8"),
    ] {
        let call = Call::new("POST", "/-/vaults/photos/archives").header(name, value).body("hello").hashed();
        wire.send(call).await.expect(201);
    }
    let call = Call::new("POST", "/-/vaults/photos/jobs").body(json!({"Type": "inventory-retrieval"}).to_string());
    assert!(!String::from_utf8_lossy(&call.head(None, 0)).contains("Content-Type"));
    wire.send(call).await.expect(202);
}

#[tokio::test]
async fn rule_6_queries_are_read_as_official_clients_write_them() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let job = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
    wire.describe_job("photos", &job).await;
    for query in ["marker&completed=True", "marker=&completed=True", "completed=true&marker"] {
        let list = wire.get(format!("/-/vaults/photos/jobs?{query}")).await.expect(200).json();
        assert_eq!(list["JobList"].as_array().unwrap().len(), 1, "{query}");
    }
    let list = wire.get("/-/vaults?marker=qcs:id/0:cas:ap-chengdu:uid/1250000000:vaults/a%7E").await.expect(200).json();
    assert_eq!(list["VaultList"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn rule_7_an_empty_body_has_no_content_type() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let archive = wire.upload("photos", b"hello").await;
    let calls = [
        Call::new("PUT", "/-/vaults/photos"),
        Call::new("POST", "/-/vaults/photos/jobs").body(r#"{"Type":"inventory-retrieval"}"#),
        Call::new("POST", "/-/vaults/photos/archives").body("hello").hashed(),
        Call::new("DELETE", format!("/-/vaults/photos/archives/{archive}")),
        Call::new("DELETE", "/-/vaults/photos/access-policy"),
    ];
    for call in calls {
        let answer = wire.send(call).await;
        assert!(answer.status < 300 && answer.body.is_empty(), "{answer:?}");
        assert!(!answer.headers.contains_key("content-type"), "{answer:?}");
    }
}

#[tokio::test]
async fn rule_8_every_answer_has_a_request_id() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let answers = [
        wire.get("/-/vaults").await,
        wire.get("/-/vaults/none").await,
        wire.delete("/-/vaults/photos/access-policy").await,
        wire.send_unsigned(Call::new("GET", "/-/vaults")).await,
        wire.get("/nonsense").await,
    ];
    let mut ids: Vec<String> = answers.iter().map(|answer| answer.headers["x-cas-requestid"].clone()).collect();
    assert!(ids.iter().all(|id| id.len() == 38 && id.ends_with("==")), "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn rule_9_every_request_with_a_range_is_answered_with_206() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let archive = wire.upload("photos", b"hello").await;
    let retrieval = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let inventory = wire.job("photos", json!({"Type": "inventory-retrieval", "Format": "CSV"})).await;
    for job in [retrieval, inventory] {
        let whole = wire.output("photos", &job, None).await.expect(200);
        assert!(!whole.headers.contains_key("content-range"));
        let size = whole.body.len();
        for (range, first, last) in [
            ("bytes=0-2", 0, 2),
            ("bytes=1-", 1, size - 1),
            ("bytes=-2", size - 2, size - 1),
            ("bytes=0-99999", 0, size - 1),
            ("Bytes=0-18446744073709551616", 0, size - 1),
        ] {
            let part = wire.output("photos", &job, Some(range)).await.expect(206);
            assert_eq!(part.headers["content-range"], format!("bytes {first}-{last}/{size}"));
            assert_eq!(part.body, &whole.body[first..=last], "{range}");
        }
    }
}

#[tokio::test]
async fn rule_10_every_job_has_every_key() {
    let keys = [
        "Action",
        "ArchiveDescription",
        "ArchiveId",
        "ArchiveSHA256TreeHash",
        "ArchiveSizeInBytes",
        "Bucket",
        "CallBackUrl",
        "Completed",
        "CompletionDate",
        "Condition",
        "CreationDate",
        "InventoryRetrievalParameters",
        "InventorySizeInBytes",
        "JobCallBackUrl",
        "JobDescription",
        "JobId",
        "Object",
        "Range",
        "RetrievalByteRange",
        "SHA256TreeHash",
        "StatusCode",
        "StatusMessage",
        "Tier",
        "VaultQCS",
    ];
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let archive = wire.upload("photos", b"hello").await;
    emulator.cos().put("b", "o", b"from cos").unwrap();
    for parameters in [
        json!({"Type": "archive-retrieval", "ArchiveId": archive}),
        json!({"Type": "inventory-retrieval"}),
        json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": "b", "Object": "p"}),
        json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o"}),
    ] {
        let job = wire.job("photos", parameters).await;
        let described = wire.describe_job("photos", &job).await;
        assert_eq!(described.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
    }
    let listed = wire.get("/-/vaults/photos/jobs").await.json();
    for job in listed["JobList"].as_array().unwrap() {
        assert_eq!(job.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
    }
}

#[tokio::test]
async fn rule_11_every_listing_has_a_marker() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let upload = wire.initiate_upload("photos", MIB as u64).await;
    for target in [
        "/-/vaults".to_owned(),
        "/-/vaults/photos/jobs".to_owned(),
        "/-/vaults/photos/multipart-uploads".to_owned(),
        format!("/-/vaults/photos/multipart-uploads/{upload}"),
    ] {
        let list = wire.get(target.as_str()).await.expect(200).json();
        assert_eq!(list.get("Marker"), Some(&Value::Null), "{target}");
    }
}

#[tokio::test]
async fn rule_12_a_description_in_a_list_of_uploads_is_a_string() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let upload = wire.initiate_upload("photos", MIB as u64).await;
    let list = wire.get("/-/vaults/photos/multipart-uploads").await.json();
    assert_eq!(list["UploadsList"][0]["ArchiveDescription"], "");
    let parts = wire.get(format!("/-/vaults/photos/multipart-uploads/{upload}")).await.json();
    assert_eq!(parts["ArchiveDescription"], "");
}

#[tokio::test]
async fn rule_13_a_policy_comes_back_as_a_string() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let policy = r#"{"version":"2.0","statement":[]}"#;
    let set = Call::new("PUT", "/-/vaults/photos/access-policy").body(json!({"policy": policy}).to_string());
    wire.send(set).await.expect(204);
    assert_eq!(wire.get("/-/vaults/photos/access-policy").await.expect(200).json(), json!({"policy": policy}));
}

#[tokio::test]
async fn rule_14_every_aligned_slice_of_an_output_has_its_tree_hash() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let bytes = pattern(33 * MIB + 12345);
    let archive = wire.upload("photos", &bytes).await;
    let job = wire.job("photos", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    for (index, slice) in bytes.chunks(32 * MIB).enumerate() {
        let start = index * 32 * MIB;
        let part =
            wire.output("photos", &job, Some(&format!("bytes={start}-{}", start + slice.len() - 1))).await.expect(206);
        assert_eq!(part.headers["x-cas-sha256-tree-hash"], TreeHash::of(slice).to_string(), "slice {index}");
        assert!(part.body == slice);
    }
}

#[tokio::test]
async fn rule_15_hashes_are_compared_without_regard_to_case() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    let hash = TreeHash::of(b"hello").to_string().to_uppercase();
    let call = Call::new("POST", "/-/vaults/photos/archives")
        .header("x-cas-content-sha256", &hash)
        .header("x-cas-sha256-tree-hash", &hash)
        .body("hello");
    let answer = wire.send(call).await.expect(201);
    assert_eq!(answer.headers["x-cas-sha256-tree-hash"], hash.to_lowercase());
}

#[tokio::test]
async fn old_spellings_of_two_paths_are_taken() {
    let emulator = with_photos().await;
    let mut wire = connect(&emulator);
    wire.get("/-/vaults/photos/multipart-uploads/").await.expect(200);
    let job = wire.job("photos", json!({"Type": "inventory-retrieval"})).await;
    wire.get(format!("/-/vaults/photos/jobs/{job}/Output")).await.expect(200);
    for other in ["/-/vaults/", "/-/vaults/photos/", "/-/vaults/photos/jobs/"] {
        assert_eq!(wire.get(other).await.error(), "404 ResourceNotFoundException", "{other}");
    }
}

/// A request for each tolerance that can be turned off: it needs that one and no other. The second text of a pair replaces the first after
/// signing.
fn needy(archive: &str, upload: &str) -> Vec<(u8, Call, (&'static str, &'static str))> {
    let vaults = || Call::new("GET", "/-/vaults");
    let photos = |method, below: &str| Call::new(method, format!("/-/vaults/photos/{below}"));
    let job = |json: Value| photos("POST", "jobs").body(json.to_string());
    let retrieval = |range| json!({"Type": "archive-retrieval", "ArchiveId": archive, "RetrievalByteRange": range});
    let inventory = |limit| json!({"Type": "inventory-retrieval", "InventoryRetrievalParameters": {"Limit": limit}});
    let pull = |key: &str, value| json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o", key: value});
    let upper = TreeHash::of(b"hello").to_string().to_uppercase();
    let described = json!({"Type": "inventory-retrieval", "Description": 5});
    let since = |date| json!({"Type": "inventory-retrieval", "InventoryRetrievalParameters": {"StartDate": date}});
    let events = |events| {
        let body = json!({"CallBackUrl": "http://e.com/", "Events": events}).to_string();
        photos("PUT", "notification-configuration").body(body)
    };
    let part = |range| {
        photos("PUT", &format!("multipart-uploads/{upload}")).header("Content-Range", range).body("hello").hashed()
    };
    let unsigned = vaults().sign_with(|signing| signing.headers = HeaderPolicy::None);
    let reading_c = photos("GET", "jobs?statuscode=InProgress");
    let reading_c = reading_c.sign_with(|signing| signing.dialect.reading = cas_sign::ParameterReading::C);
    let hashed = photos("POST", "archives").body("hello").hashed();
    let as_sent = ("", "");
    vec![
        (1, vaults().header("Host", "other").header("Host", HOST), as_sent),
        (2, vaults(), ("Host: cas.ap-chengdu.myqcloud.com", "Host: cas.ap-chengdu.myqcloud.com:80")),
        (3, Call::new("GET", format!("http://{HOST}/-/vaults")), as_sent),
        (4, unsigned, as_sent),
        (5, vaults().header("Date", "2017-08-29T08:29:41Z"), as_sent),
        (5, vaults().header("Content-Type", "false"), as_sent),
        (6, Call::new("GET", "/-/vaults?marker"), as_sent),
        (6, photos("GET", "jobs?completed=True"), as_sent),
        (
            15,
            photos("POST", "archives")
                .header("x-cas-content-sha256", &upper)
                .header("x-cas-sha256-tree-hash", &upper)
                .body("hello"),
            as_sent,
        ),
        (16, reading_c, as_sent),
        (17, photos("GET", "multipart-uploads/"), as_sent),
        (18, photos("GET", "jobs/none/Output"), as_sent),
        (19, part("bytes 0-4"), as_sent),
        (19, part("bytes=0-4/*"), as_sent),
        (20, photos("PUT", "access-policy").body(r#"{"Policy":"{\"version\":\"2.0\",\"statement\":[]}"}"#), as_sent),
        (
            21,
            photos("PUT", "notification-configuration")
                .body(r#"{"CallBackUrl":"http://e.com/","Event":"InventoryRetrievalCompleted"}"#),
            as_sent,
        ),
        (21, events(json!("InventoryRetrievalCompleted")), as_sent),
        (22, job(retrieval("0-")), as_sent),
        (23, job(inventory(5)), as_sent),
        (23, job(described), as_sent),
        (24, hashed.header("x-cas-archive-description", b"caf\xe9"), as_sent),
        (25, job(pull("Range", json!("bytes=0-4"))), as_sent),
        (25, job(pull("Condition", json!({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:10 GMT"}))), as_sent),
        (26, job(json!({"Type": "archive-retrieval", "ArchiveId": archive, "Tier": "bulk"})), as_sent),
        (26, job(json!({"Type": "inventory-retrieval", "Format": "csv"})), as_sent),
        (26, job(json!({"Type": " inventory-retrieval"})), as_sent),
        (26, events(json!(["inventoryretrievalcompleted"])), as_sent),
        (26, events(json!(["InventoryRetrievalCompleted", " ArchiveRetrievalCompleted"])), as_sent),
        (26, photos("GET", "jobs?statuscode=succeeded"), as_sent),
        (26, photos("GET", "jobs?LIMIT=5"), as_sent),
        (27, job(since("2017-08-29T16:29:41+08:00")), as_sent),
        (27, job(since("20170829T082941Z")), as_sent),
        (28, vaults(), ("q-header-list=host", "q-header-list=HOST")),
        (28, photos("GET", "jobs?limit=5&marker=a"), ("=limit;marker", "=marker;limit")),
        (28, vaults(), ("&q-signature=", "&q-more=x&q-signature=")),
    ]
}

#[tokio::test]
async fn each_tolerance_is_turned_off_by_its_number_and_by_no_other() {
    let optional: Vec<u8> = Tolerance::all().iter().filter(|t| t.is_optional()).map(|t| t.number).collect();
    let numbers: BTreeSet<u8> = needy("a", "u").iter().map(|(number, ..)| *number).collect();
    assert!(numbers.into_iter().eq(optional.iter().copied()), "each is tried");
    for &number in &optional {
        // Of two hosts only one can be signed, which is a tolerance of its own.
        let is_other = |other: u8| other != number && (number, other) != (1, 2);
        let others = optional.iter().copied().filter(|other| is_other(*other));
        let builder = || Emulator::builder().without_port();
        for (builder, is_refused) in
            [(builder().strict(), true), (builder().refuse([number]), true), (builder().refuse(others), false)]
        {
            let emulator = builder.start().await.unwrap();
            let mut wire = connect(&emulator);
            wire.create_vault("photos").await;
            let (archive, upload) =
                (wire.upload("photos", b"hello").await, wire.initiate_upload("photos", 1 << 20).await);
            for (_, call, (signed, sent)) in needy(&archive, &upload).into_iter().filter(|(other, ..)| *other == number)
            {
                let head = call.head(Some(&wire.credentials), wire.now);
                // A description may be no UTF-8, so this is done with bytes.
                let at = head.windows(signed.len().max(1)).position(|window| window == signed.as_bytes());
                let head = match at {
                    Some(at) => [&head[..at], sent.as_bytes(), &head[at + signed.len()..]].concat(),
                    None => head,
                };
                let answer = wire.exchange(&head, &call.body).await.unwrap();
                let refusal = format!("tolerance {number} is off: ");
                if is_refused {
                    assert_eq!(answer.error(), "400 InvalidParameterValueException", "{number}");
                    assert!(answer.message().starts_with(&refusal), "{}", answer.message());
                } else {
                    // Of these, only the job that never was is not found.
                    assert!(answer.status < 300 || (number, answer.status) == (18, 404), "{number}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_tolerance_that_is_off_is_not_walked_around() {
    let job = |body: Value| Call::new("POST", "/-/vaults/photos/jobs").body(body.to_string());
    let retrieval = |range| json!({"Type": "archive-retrieval", "ArchiveId": "a", "RetrievalByteRange": range});
    let pull = |range| json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o", "Range": range});
    let event = json!({"CallBackUrl": "http://e.com/", "Event": " ArchiveRetrievalCompleted"}).to_string();
    for (number, call) in [
        (22, job(retrieval("0- "))),
        (22, job(retrieval("\t0-"))),
        (25, job(pull(" bytes=0-1"))),
        (26, Call::new("PUT", "/-/vaults/photos/notification-configuration").body(event)),
    ] {
        let emulator = Emulator::builder().without_port().refuse([number]).start().await.unwrap();
        let mut wire = connect(&emulator);
        wire.create_vault("photos").await;
        let answer = wire.send(call).await;
        assert_eq!(answer.error(), "400 InvalidParameterValueException", "{number}");
        assert!(answer.message().starts_with(&format!("tolerance {number} is off: ")), "{}", answer.message());
    }
}

/// Requests as the service's pages have them, to a vault of any name: create, use, delete.
fn documented(vault: &str, archive: &str, upload: &str) -> Vec<Call> {
    let call = |method, below: &str| Call::new(method, format!("/-/vaults/{vault}{below}"));
    let json = |method, below: &str, body: Value| call(method, below).body(body.to_string());
    let job = |body| json("POST", "/jobs", body);
    let part = call("PUT", &format!("/multipart-uploads/{upload}")).header("Content-Range", "bytes 0-4/*");
    let filters = json!({"StartDate": "2017-08-29T08:29:41Z", "EndDate": "2017-08-29T08:29:41.000Z", "Limit": "5"});
    let condition = json!({"If-Umodified-Since": "Thu, 01 Jan 1970 00:00:10 GMT"});
    let url = "http://e.com/Done";
    vec![
        call("PUT", ""),
        call("GET", ""),
        Call::new("GET", "/-/vaults?limit=5&marker="),
        json("PUT", "/access-policy", json!({"policy": "{\"version\":\"2.0\",\"statement\":[]}"})),
        call("GET", "/access-policy"),
        json(
            "PUT",
            "/notification-configuration",
            json!({"CallBackUrl": url, "Events": ["ArchiveRetrievalCompleted", "PushToCOSCompleted"]}),
        ),
        call("GET", "/multipart-uploads?limit=5&marker="),
        part.body("hello").hashed(),
        call("GET", &format!("/multipart-uploads/{upload}?marker=")),
        call("DELETE", &format!("/multipart-uploads/{upload}")),
        job(json!({"Type": "archive-retrieval", "ArchiveId": archive, "RetrievalByteRange": "0-4", "Tier": "Bulk"})),
        job(json!({"Type": "inventory-retrieval", "Format": "CSV", "InventoryRetrievalParameters": filters})),
        job(json!({"Type": "inventory-retrieval", "Description": " A b ", "CallBackUrl": url})),
        job(json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": "b", "Object": "O/o", "Tier": "Standard"})),
        job(json!({"Type": "pull-from-cos", "Bucket": "b", "Object": "o", "Range": "0-4", "Condition": condition})),
        call("GET", "/jobs?completed=true&limit=5&marker=&statuscode=InProgress"),
        call("DELETE", &format!("/archives/{archive}")),
        call("DELETE", ""),
    ]
}

#[tokio::test]
async fn what_is_documented_passes_however_strict_the_emulator_is() {
    let each = Tolerance::all().iter().filter(|tolerance| tolerance.is_optional()).map(|tolerance| tolerance.number);
    let all: Vec<u8> = each.clone().collect();
    for refused in each.map(|number| vec![number]).chain([all]) {
        let emulator = Emulator::builder().without_port().refuse(refused.iter().copied()).start().await.unwrap();
        let mut wire = connect(&emulator);
        for vault in ["Output", "output", "jobs", "multipart-uploads", "Archives", "access-policy", "vaults"] {
            wire.create_vault(vault).await;
            let (archive, upload) = (wire.upload(vault, b"hello").await, wire.initiate_upload(vault, 1 << 20).await);
            for call in documented(vault, &archive, &upload) {
                let (method, target) = (call.method, call.target.clone());
                let answer = wire.send(call).await;
                assert!(answer.status < 300, "{refused:?} {method} {target}: {answer:?}");
            }
        }
    }
}
