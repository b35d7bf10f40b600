//! The numbers on the page about the tree hash are the crate's.

use cas_treehash::{ContentSha256, TreeHash};

use crate::oracle::MIB;

const PAGE: &str = include_str!("../../../../docs/tree-hash.md");

#[test]
fn the_counter_example_of_the_page_is_true() {
    let half = TreeHash::of(&[7; 3 * MIB]);
    let combined = ContentSha256::of(&[*half.as_bytes(), *half.as_bytes()].concat());
    let whole = TreeHash::of(&[7; 6 * MIB]);
    assert_ne!(whole.as_bytes(), combined.as_bytes());
    for number in [half.to_string(), combined.to_string(), whole.to_string()] {
        assert!(PAGE.contains(&number), "the page does not tell {number}");
    }
}

#[test]
fn the_bars_of_the_page_are_those_of_the_bench() {
    let bench = include_str!("../../benches/hash.rs");
    let rows = [
        ("| `x86-sha-avx512vl`: both hashes, one body |", "1.05"),
        ("| `x86-sha-avx512vl`: both hashes, two bodies at once, one thread |", "0.65"),
        ("| `x86-sha-avx512vl`: the tree alone |", "0.50"),
        ("| `x86-sha`: both hashes, one body |", "1.05"),
        ("| `x86-sha`: the tree alone |", "0.57"),
        ("| both hashes of all parts of a 2 GiB file, two threads |", "0.33"),
    ];
    for (row, bar) in rows {
        let line = PAGE.lines().find(|line| line.starts_with(row)).expect(row);
        assert!(line.contains(&format!("| {bar} |")), "{line}");
        assert!(bench.contains(bar), "{bar}");
    }
}
