//! What is typed wrongly, and what is refused before anything is done.

use crate::folder::{Folder, text};

#[test]
fn help_and_version_are_there() {
    let folder = Folder::new();
    folder.cas("--help").ok().says("tree-hash").says("--local");
    folder.cas("vault delete --help").ok().says("--yes");
    folder.cas("--version").ok().says(env!("CARGO_PKG_VERSION"));
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let folder = Folder::new();
    for line in
        ["", "no-such-command", "vault show", "vault show not/a/name", "upload v f --part-size 3M", "job show v --jsn"]
    {
        folder.cas(line).ends_with(2);
    }
    let error = folder.cas("vault show a/b --json").ends_with(2).error();
    assert_eq!((text(&error, "kind").as_str(), error["exit_code"].as_i64()), ("usage", Some(2)));
}

#[test]
fn a_missing_endpoint_says_how_to_name_one() {
    Folder::new().cas("vault list").ends_with(2).complains("CAS_ENDPOINT").complains("--local");
}

#[test]
fn missing_credentials_list_every_place_that_was_looked_into() {
    let folder = Folder::new();
    let run = folder.cas("vault list --endpoint http://127.0.0.1:9").ends_with(3);
    run.complains("TENCENTCLOUD_SECRET_ID").complains("profile").complains("instance role").complains("--local");
}

#[test]
fn a_local_emulator_takes_no_keys_of_elsewhere() {
    let folder = Folder::new();
    folder.cas("vault list --local --endpoint http://127.0.0.1:9").ends_with(2).complains("--endpoint");
    folder.cas("demo --profile work").ends_with(2).complains("--profile");
    assert!(!folder.exists(".cas-local"));
}

#[test]
fn nothing_is_deleted_where_nobody_can_be_asked() {
    let folder = Folder::new();
    folder.cas("vault create photos --local").ok();
    folder.cas("vault delete photos --local").ends_with(2).complains("--yes");
    folder.cas("archive delete photos -abc --local").ends_with(2).complains("--yes");
    folder.cas("rm photos --local").ends_with(2).complains("--yes");
    folder.cas("vault show photos --local").ok();
    folder.cas("vault delete photos --yes --local").ok();
    folder.cas("vault show photos --local").ends_with(4);
}

#[test]
fn a_file_that_is_no_archive_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    folder.write("empty", "");
    for (file, why) in [("missing", "No such file"), ("empty", "is empty"), (".", "is not a regular file")] {
        for line in [format!("demo {file}"), format!("upload photos {file} --local")] {
            folder.cas(&line).ends_with(1).complains(why).complains(file);
        }
    }
    assert!(!folder.exists(".cas-local"));
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_a_job_is_paid_for() {
    let folder = Folder::new();
    folder.write("full", "something");
    folder.cas("retrieve photos -abc -o full --local").ends_with(1).complains("--force");
    folder.cas("retrieve photos -abc -o no/such/folder --local").ends_with(1).complains("no folder");
    folder.cas("fetch photos -abc full --local").ends_with(1).complains("--force");
    assert!(!folder.exists(".cas-local"));
}
