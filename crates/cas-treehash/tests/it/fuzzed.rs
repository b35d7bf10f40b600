//! What the fuzz targets do, and the inputs that they found worth keeping, as plain tests.

mod forms;
mod splits;

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(folder).expect("a corpus") {
        run(&fs::read(entry.expect("an entry").path()).expect("an input"));
        inputs += 1;
    }
    assert!(inputs >= 10, "only {inputs} inputs for {target}");
}

#[test]
fn every_kept_input_of_splits_is_right() {
    replay("treehash_splits", splits::check);
}

#[test]
fn every_kept_input_of_forms_is_right() {
    replay("treehash_forms", forms::check);
}
