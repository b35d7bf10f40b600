//! `cas demo` on files of all sizes.

use crate::folder::{Folder, SHA256, SIZE, TREE_HASH, pattern};

#[test]
fn a_file_goes_up_in_parts_and_comes_back_equal() {
    let folder = Folder::new();
    folder.write("photos.tar", pattern(SIZE));
    let run = folder.cas("demo photos.tar").ok();
    let run = run.says("nothing of earlier runs").says("7 parts of 1.0 MiB").says("7 ranges").says(TREE_HASH);
    run.says(SHA256).says("every byte came back").says("MiB/s").says("upload").says("download");
    assert_eq!(folder.read(".cas-local/retrieved"), pattern(SIZE));
    assert_eq!(folder.read(".cas-local/.gitignore"), b"*\n");
    folder.cas("demo .cas-local/retrieved").ends_with(1).complains("give another file");
}

#[test]
fn a_second_run_finds_what_the_first_one_left() {
    let folder = Folder::new();
    folder.write("a", "first");
    folder.write("b", "second");
    folder.cas("demo a").ok().says("one request").says("1 range");
    folder.cas("demo b").ok().says("vault demo with 1 archive, 5 bytes");
    let json = folder.cas("demo a --json").ok().json();
    assert_eq!(
        (json["size"].as_u64(), json["equal"].as_bool(), json["parts"].as_u64()),
        (Some(5), Some(true), Some(1))
    );
    let inventory = folder.cas("inventory demo --local --json").ok().json();
    assert_eq!(inventory["archives"].as_array().unwrap().len(), 3);
}

#[test]
fn the_file_it_makes_comes_back_equal() {
    let folder = Folder::new();
    let json = folder.cas("demo --json").ok().json();
    assert_eq!(
        (json["size"].as_u64(), json["parts"].as_u64(), json["ranges"].as_u64()),
        (Some(160 << 20), Some(10), Some(10))
    );
    assert_eq!(folder.read(".cas-local/retrieved"), folder.read(".cas-local/demo.bin"));
}
