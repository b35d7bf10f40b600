//! Bytes that arrive in order are believed only when they are the promised ones.

use std::io::Write as _;

use cas_treehash::{RangeVerifier, TreeHash, VerifyError};

use crate::oracle::{Dice, MIB};

fn verify(size: u64, expected: TreeHash, bytes: &[u8]) -> Result<(), VerifyError> {
    let mut verifier = RangeVerifier::new(size, expected);
    for piece in bytes.chunks(100_003) {
        verifier.update(piece)?;
    }
    verifier.finish()
}

#[test]
fn the_promised_bytes_pass_and_no_others() {
    let data = Dice::new(1).bytes(2 * MIB + 5);
    let size = data.len() as u64;
    let promised = TreeHash::of(&data);
    assert_eq!(verify(size, promised, &data), Ok(()));
    assert_eq!(verify(0, TreeHash::of(&[]), &[]), Ok(()));

    for at in [0, MIB, data.len() - 1] {
        let mut changed = data.clone();
        changed[at] ^= 1;
        let error = verify(size, promised, &changed).unwrap_err();
        assert!(matches!(error, VerifyError::Mismatch { expected, .. } if expected == promised), "{error:?}");
    }
    let error = verify(size, promised, &data[1..]).unwrap_err();
    assert!(matches!(error, VerifyError::TooShort { .. }), "{error:?}");
    assert_eq!(error.to_string(), "expected 2097157 bytes, found 2097156");
    let longer = [&data[..], b"x"].concat();
    let error = verify(size, promised, &longer).unwrap_err();
    assert!(matches!(error, VerifyError::TooLong { .. }), "{error:?}");
    assert_eq!(error.to_string(), "expected 2097157 bytes, found more");
}

#[test]
fn a_mismatch_tells_both_hashes() {
    let (a, b) = (TreeHash::of(b"a"), TreeHash::of(b"b"));
    assert_eq!(verify(1, a, b"b").unwrap_err().to_string(), format!("expected tree hash {a}, found {b}"));
}

#[test]
fn too_many_bytes_are_refused_before_they_count() {
    let mut verifier = RangeVerifier::new(3, TreeHash::of(b"abc"));
    verifier.update(b"ab").unwrap();
    assert!(verifier.update(b"cd").is_err());
    assert_eq!(verifier.remaining(), 1);
    verifier.update(b"c").unwrap();
    assert_eq!(verifier.finish(), Ok(()));
}

#[test]
fn a_verifier_takes_what_is_written() {
    let mut verifier = RangeVerifier::new(3, TreeHash::of(b"abc"));
    verifier.write_all(b"abc").unwrap();
    verifier.flush().unwrap();
    let error = verifier.write_all(b"d").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "expected 3 bytes, found more");
    assert_eq!(verifier.finish(), Ok(()));
}
