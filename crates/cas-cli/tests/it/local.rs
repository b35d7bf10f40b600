//! Every command with `--local`: one story told by many processes, each of which finds what the others left.

use serde_json::json;

use crate::folder::{Folder, RANGE, RANGE_TREE_HASH, SHA256, SIZE, TREE_HASH, pattern, text};

#[test]
fn vaults_come_and_go() {
    let folder = Folder::new();
    folder.cas("vault list --local").ok().says("no vaults").complains(".cas-local/");
    folder.cas("vault create cas://photos --local").ok().says("photos");
    folder.cas("vault create photos --local").ok();
    folder.cas("--local cv films").ok();
    folder.cas("vault list --local").ok().says("photos").says("films");
    let vaults = folder.cas("vault list --local --json").ok().json();
    assert_eq!(vaults["vaults"].as_array().unwrap().len(), 2);
    let vault = folder.cas("--json vault show photos --local").ok().json();
    assert_eq!((text(&vault, "vault").as_str(), &vault["number_of_archives"]), ("photos", &json!(0)));
    folder.cas("vault show photos --local").ok().says("archives  0").says("vaults/photos");
    folder.cas("vault delete photos --yes --local --json").ok();
    let error = folder.cas("vault show photos --local --json").ends_with(4).error();
    assert_eq!(text(&error, "kind"), "not-found");
    assert_eq!(text(&error, "code"), "ResourceNotFoundException");
    assert_eq!(error["status"], 404);
    assert!(!text(&error, "request_id").is_empty());
    assert!(text(&error, "message").contains("DescribeVault"));
}

#[test]
fn a_small_file_goes_up_in_one_request_and_comes_back() {
    let folder = Folder::new();
    folder.write("film", pattern(SIZE));
    folder.cas("vault create films --local").ok();
    let uploaded =
        folder.run(&["upload", "films", "film", "--description", "Urlaub 2024, Köln", "--local", "--json"]).ok().json();
    assert_eq!(text(&uploaded, "vault"), "films");
    assert_eq!(uploaded["size"], SIZE);
    assert_eq!(text(&uploaded, "sha256"), SHA256);
    assert_eq!(text(&uploaded, "tree_hash"), TREE_HASH);
    let archive = text(&uploaded, "archive_id");

    let inventory = folder.cas("inventory films --local --json").ok().json();
    assert!(!text(&inventory, "job_id").is_empty());
    let [entry] = &inventory["archives"].as_array().unwrap()[..] else { panic!("{inventory}") };
    assert_eq!(
        (text(entry, "archive_id"), text(entry, "description")),
        (archive.clone(), "Urlaub 2024, Köln".to_owned())
    );
    assert_eq!(text(entry, "tree_hash"), TREE_HASH);
    folder
        .cas("inventory films --local")
        .ok()
        .says(&archive)
        .says("6.5 MiB")
        .says("Köln")
        .complains("1 archive, 6.5 MiB");

    let retrieved = folder.cas(&format!("retrieve films {archive} -o back --local --json")).ok().json();
    assert_eq!(
        (text(&retrieved, "status").as_str(), text(&retrieved, "verified_by").as_str()),
        ("Succeeded", "tree_hash")
    );
    assert_eq!(folder.read("back"), pattern(SIZE));
    folder.cas(&format!("archive delete films {archive} --yes --local")).ok();
    folder.cas("vault delete films --yes --local").ok();
}

#[test]
fn parts_are_sent_when_a_part_size_is_named() {
    let folder = Folder::new();
    folder.write("my film.mp4", pattern(SIZE));
    folder.cas("vault create films --local").ok();
    let words = ["--local", "upload", "films", "my film.mp4", "--part-size", "2M", "--parts-in-flight", "2", "--json"];
    let uploaded = folder.run(&words).ok().json();
    assert_eq!((&uploaded["parts"], &uploaded["sha256"]), (&json!(4), &json!(null)));
    assert_eq!(text(&uploaded, "tree_hash"), TREE_HASH);
    folder.cas("multipart list films --local").ok().says("no unfinished uploads");
}

#[test]
fn a_job_that_one_process_starts_is_found_by_the_next() {
    let folder = Folder::new();
    folder.write("film", pattern(SIZE));
    folder.cas("vault create films --local").ok();
    let archive = text(&folder.cas("upload films film --local --json").ok().json(), "archive_id");
    let line = format!("retrieve films {archive} --range {RANGE} --tier expedited --no-wait --local --json");
    let started = folder.cas(&line).ok().json();
    assert_eq!(text(&started, "archive_id"), archive);
    let job = text(&started, "job_id");

    folder.cas("job list films --local").ok().says(&job).says("ArchiveRetrieval");
    let waited = folder.cas(&format!("job wait films {job} --local --json")).ok().json();
    assert_eq!(
        (text(&waited, "job_id"), text(&waited, "status"), text(&waited, "range")),
        (job.clone(), "Succeeded".into(), RANGE.into())
    );
    assert_eq!(text(&waited, "tree_hash"), RANGE_TREE_HASH);
    folder.cas(&format!("job show films {job} --local")).ok().says("Expedited").says("Succeeded");
    let done = folder.cas("job list films --completed true --local --json").ok().json();
    assert_eq!(text(&done["jobs"][0], "job_id"), job);
    folder.cas("job list films --completed false --local").ok().says("no jobs");

    let fetched = folder.cas(&format!("fetch films {job} part --ranges-in-flight 2 --local --json")).ok().json();
    assert_eq!((text(&fetched, "tree_hash").as_str(), &fetched["size"]), (RANGE_TREE_HASH, &json!(2 << 20)));
    assert_eq!(folder.read("part"), pattern(SIZE)[4 << 20..6 << 20]);
    folder.cas(&format!("fetch films {job} part --local")).ends_with(1).complains("--force");
    folder.cas(&format!("fetch films {job} part --force --local")).ok();
}

#[test]
fn an_inventory_can_be_started_now_and_read_later() {
    let folder = Folder::new();
    folder.write("film", "film");
    folder.cas("vault create films --local").ok();
    let archive = text(&folder.cas("upload films film --local --json").ok().json(), "archive_id");
    let job = text(&folder.cas("inventory films --no-wait --local --json").ok().json(), "job_id");
    folder.cas(&format!("inventory films --job {job} --local")).ok().says(&archive);
    folder.cas(&format!("fetch films {job} raw.json --local")).ok().says("number of bytes");
    let raw: serde_json::Value = serde_json::from_slice(&folder.read("raw.json")).unwrap();
    assert_eq!(text(&raw["ArchiveList"][0], "ArchiveId"), archive);
    let retrieval =
        text(&folder.cas(&format!("retrieve films {archive} --no-wait --local --json")).ok().json(), "job_id");
    folder.cas(&format!("inventory films --job {retrieval} --local")).ends_with(1).complains("it makes no inventory");
}

#[test]
fn an_identifier_that_begins_with_a_dash_reaches_the_service() {
    let folder = Folder::new();
    folder.cas("vault create films --local").ok();
    let id = "-6ZUS3Xlabcdefghijklmnopqrstuvwxyz";
    for line in [
        format!("job show films {id} --local"),
        format!("--local job wait films {id}"),
        format!("fetch films {id} out --local"),
        format!("archive delete films {id} --yes --local"),
        format!("--local archive delete --yes -- films {id}"),
        format!("multipart show films {id} --local"),
        format!("multipart abort films {id} --local"),
        format!("inventory films --job {id} --local"),
        format!("job show films --local -- -{id}"),
    ] {
        folder.cas(&line).ends_with(4).complains("not found");
    }
    folder.write("film", "film");
    folder.cas(&format!("upload films film --resume {id} --local")).ends_with(4).complains("cas multipart list");
}

#[test]
fn a_vault_with_something_in_it_stays() {
    let folder = Folder::new();
    folder.write("film", "film");
    folder.cas("vault create films --local").ok();
    folder.cas("upload films film --local").ok();
    folder.cas("vault delete films --yes --local").ends_with(5).complains("must be empty");
}

#[test]
fn no_output_holds_the_secret_key() {
    let mut folder = Folder::new();
    folder.set("CAS_LOG", "trace");
    folder.write("film", pattern(3 << 20));
    for line in [
        "vault create films --local",
        "upload films film --part-size 1M --local",
        "inventory films --local",
        "retrieve films -nope --local",
        "vault delete films --yes --local --json",
        "demo film",
    ] {
        folder.cas(line);
    }
    let keys: serde_json::Value = serde_json::from_slice(&folder.read(".cas-local/account.json")).unwrap();
    let printed = folder.printed();
    assert!(printed.len() > 10_000, "the log was on");
    assert!(!printed.contains(&text(&keys, "secret_key")));
}

/// The smallest document that says something.
const POLICY: &str = r#"{"version":"2.0","statement":[{"effect":"allow","principal":{"qcs":["qcs::cam::uin/1:uin/2"]},
    "action":["name/cas:DescribeJob"],"resource":["qcs::cas:ap-chengdu:uid/1250000000:vaults/films"]}]}"#;

#[test]
fn a_policy_is_set_shown_and_deleted() {
    let folder = Folder::new();
    folder.cas("vault create films --local").ok();
    folder.cas("policy show films --local").ends_with(4).complains("ResourceNotFoundException");
    folder.write("policy", POLICY);
    folder.cas("policy set films policy --local").ok().says("vault films has the policy");
    let shown = folder.cas("policy show films --local --json").ok().json();
    assert_eq!(shown["policy"], serde_json::from_str::<serde_json::Value>(POLICY).unwrap());
    folder.paste("cas policy show films --local | cas policy set films - --local").ok();
    let again = folder.cas("policy show films --local").ok();
    assert_eq!(again.json(), shown["policy"], "what is shown can be set again");
    folder.cas("policy delete films --local").ends_with(2).complains("--yes");
    folder.cas("policy delete films --yes --local").ok();
    folder.cas("policy show films --local").ends_with(4);
}

#[test]
fn what_is_no_policy_is_refused_before_anything_is_sent() {
    let folder = Folder::new();
    let too_large = " ".repeat((1 << 20) + 1);
    for (text, says) in [
        ("", "policy holds no access policy"),
        (r#"{"version":"1.0","statement":[]}"#, "2.0"),
        (r#"{"version":"2.0","statement":[{"effect":"allow","action":[1]}]}"#, "action"),
        (too_large.as_str(), "more than 1 MiB"),
    ] {
        folder.write("policy", text);
        folder.cas("policy set films policy --local").ends_with(1).complains(says);
    }
    folder.cas("policy set films missing --local").ends_with(1).complains("missing cannot be read");
    assert!(!folder.exists(".cas-local"), "not even an emulator was started");
}

#[test]
fn notifications_are_set_shown_and_deleted() {
    let folder = Folder::new();
    folder.cas("vault create films --local").ok();
    folder.cas("notification show films --local").ends_with(4);
    folder.cas("notification set films ftp://127.0.0.1/ --local").ends_with(2).complains("http://");
    folder.cas("notification set films http://127.0.0.1:9/done --event NoSuch --local").ends_with(2);
    folder.cas("notification set films http://127.0.0.1:9/done --local").ok().says("http://127.0.0.1:9/done");
    let all = folder.cas("notification show films --local --json").ok().json();
    assert_eq!((text(&all, "url").as_str(), all["events"].as_array().unwrap().len()), ("http://127.0.0.1:9/done", 4));
    let one = "notification set films http://127.0.0.1:9/done --event pushtocoscompleted --local";
    folder.cas(one).ok();
    folder.cas("notification show films --local").ok().says("PushToCOSCompleted");
    folder.cas("notification delete films --local").ends_with(2).complains("--yes");
    folder.cas("notification delete films --yes --local").ok();
    folder.cas("notification show films --local").ends_with(4);
}
