//! The corpora of the fuzz targets, replayed as plain tests. They are in the workspace's folder `fuzz`, which a published crate does not have; there the inputs
//! below, which are always replayed, have to do.

mod sign_authorization;
mod sign_verify;

use std::fs;
use std::path::Path;

/// Every file of a target's corpus.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn the_corpus_of_authorizations_holds() {
    let texts = [
        "",
        "q-sign-algorithm=sha1&q-ak=example-secret-id&q-sign-time=1480932292;1481012292&q-key-time=1480932292;1481012292\
         &q-header-list=host&q-url-param-list=&q-signature=0000000000000000000000000000000000000000",
    ];
    texts.iter().for_each(|text| sign_authorization::check(text.as_bytes()));
    corpus("sign_authorization").iter().for_each(|input| sign_authorization::check(input));
}

#[test]
fn the_corpus_of_requests_holds() {
    for choice in 0..=u8::MAX {
        let request = b"PUT\n/a%20b/%E6%96%87\n?b=A+b&a&c=&b=2\nHost: h:80\nx-cas-a:\nContent-Length: 5\nDate: today";
        sign_verify::check(&[&[choice][..], request].concat());
    }
    corpus("sign_verify").iter().for_each(|input| sign_verify::check(input));
}
