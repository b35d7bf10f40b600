//! `cas tree-hash`: files, ranges, standard input, kept leaves, kept hashes.

use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use crate::folder::{CAS, Folder, RANGE, RANGE_TREE_HASH, SHA256, SIZE, TREE_HASH, pattern};

#[test]
fn one_file_is_told_in_one_form_for_people_and_one_for_programs() {
    let folder = Folder::new();
    folder.write("film", pattern(SIZE));
    assert_eq!(folder.cas("tree-hash film").ok().stdout, format!("{TREE_HASH}  film\n"));
    let expected = format!("{{\"size\":{SIZE},\"sha256\":\"{SHA256}\",\"tree_hash\":\"{TREE_HASH}\"}}\n");
    assert_eq!(folder.cas("tree-hash film --json").ok().stdout, expected);
    assert_eq!(folder.cas("file_tree_etag film --json").ok().stdout, expected);
}

#[test]
fn a_range_is_hashed_alone_with_both_ends_in_it() {
    let folder = Folder::new();
    folder.write("film", pattern(SIZE));
    folder.cas(&format!("tree-hash film --range {RANGE}")).ok().says(RANGE_TREE_HASH);
    let json = folder.cas(&format!("tree-hash film --range {RANGE} --json")).ok().json();
    assert_eq!((&json["size"], &json["tree_hash"]), (&json!(2 << 20), &json!(RANGE_TREE_HASH)));
    folder.cas(&format!("tree-hash film --range 0-{SIZE}")).ends_with(1).complains("reaches beyond");
    folder.cas("tree-hash film --range 5-4").ends_with(2);
}

#[test]
fn standard_input_is_hashed_as_it_comes() {
    let folder = Folder::new();
    for (words, hash) in
        [(&["tree-hash", "-"][..], TREE_HASH), (&["tree-hash", "-", "--range", RANGE], RANGE_TREE_HASH)]
    {
        let mut child = folder.command(CAS, words).stdin(Stdio::piped()).spawn().unwrap();
        // It may close its end when it has read the range.
        _ = child.stdin.take().unwrap().write_all(&pattern(SIZE));
        folder.finish(words.join(" "), child.wait_with_output().unwrap()).ok().says(hash).says("  -");
    }
}

#[test]
fn several_files_are_told_one_by_one_and_what_fails_does_not_keep_the_others() {
    let folder = Folder::new();
    folder.write("a", "abc");
    folder.write("empty", "");
    let run = folder
        .cas("tree-hash a missing empty")
        .ends_with(1)
        .complains("missing cannot be read")
        .complains("1 of 3 failed");
    assert_eq!(run.stdout.lines().count(), 2);
    let run = folder.cas("tree-hash a empty --json").ok();
    let objects: Vec<serde_json::Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&objects[0]["file"], &objects[1]["size"]), (&json!("a"), &json!(0)));
    folder.cas("tree-hash .").ends_with(1).complains("is a folder");
}

#[test]
fn kept_hashes_find_the_file_that_changed() {
    let folder = Folder::new();
    folder.write("a", "abc");
    folder.write("b with blanks", "abc");
    let list = folder.run(&["tree-hash", "a", "b with blanks"]).ok().stdout;
    folder.write("list", list);
    folder.cas("tree-hash --check list").ok().says("a: right").says("b with blanks: right");
    folder.write("a", "abd");
    folder.cas("tree-hash --check list").ends_with(6).says("a: wrong").complains("1 of 2 files");
    folder.write("list", "nonsense\n");
    folder.cas("tree-hash -c list").ends_with(1).complains("line 1");
}

#[test]
fn kept_leaves_tell_where_a_file_changed() {
    let folder = Folder::new();
    folder.write("film", pattern(SIZE));
    folder.cas("tree-hash film --leaves film.leaves").ok().says(TREE_HASH);
    assert_eq!(folder.read("film.leaves").len(), 16 + 7 * 32 + 32);
    folder.cas("tree-hash film --leaves film.leaves --check").ok().says("as it was");
    let mut changed = pattern(SIZE);
    changed[3_500_000] ^= 1;
    folder.write("film", &changed);
    let run = folder.cas("tree-hash film --leaves film.leaves --check --json").ends_with(6);
    assert_eq!(run.json(), json!({"file": "film", "ok": false, "first_difference": 3 << 20}));
    folder.write("film.leaves", "x");
    folder.cas("tree-hash film --leaves film.leaves --check").ends_with(1).complains("not a file of leaves");
    folder.cas("tree-hash film other --leaves x").ends_with(2);
}
