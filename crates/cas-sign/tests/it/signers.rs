//! `Signer` and delegation: the same strings as `sign`, with fewer keys derived.

use cas_sign::{
    Algorithm, Credentials, KeyTime, SignError, SignableRequest, Signer, SigningKey, SigningOptions, TimeRange,
    Verifier, sign,
};

use crate::support::{HOST, ID, KEY, credentials, times};

fn request() -> SignableRequest<'static> {
    SignableRequest::new("GET", "/-/vaults").with_header("Host", HOST)
}

fn at(now: u64) -> TimeRange {
    TimeRange::around(now, 60, 600)
}

/// Clones of one signing key have their digits at one address.
fn same_key(a: &SigningKey, b: &SigningKey) -> bool {
    std::ptr::eq(a.expose(), b.expose())
}

#[test]
fn a_signer_gives_what_sign_gives() {
    for key_time in [KeyTime::SignTime, KeyTime::Window { seconds: 3600 }] {
        let mut options = SigningOptions::cas();
        options.key_time = key_time;
        let signer = Signer::new(options.clone());
        for now in [1_000_000, 1_000_000, 1_000_001, 1_003_600, 1_000_002] {
            for credentials in [credentials(), Credentials::new(ID, "another").unwrap()] {
                let ours = signer.sign(&request(), &credentials, at(now)).unwrap();
                let theirs = sign(&request(), &credentials, at(now), &options).unwrap();
                assert_eq!(ours.authorization(), theirs.authorization());
            }
        }
    }
}

#[test]
fn a_key_is_derived_once_while_its_key_time_holds() {
    let mut options = SigningOptions::cas();
    options.key_time = KeyTime::Window { seconds: 3600 };
    let signer = Signer::new(options);
    let sign =
        |credentials: &Credentials, now| signer.sign(&request(), credentials, at(now)).unwrap().signing_key().clone();

    let first = sign(&credentials(), 3_600_100);
    assert!(same_key(&first, &sign(&credentials(), 3_603_600)));
    let next = sign(&credentials(), 3_603_700);
    assert!(!same_key(&first, &next));
    assert!(same_key(&first, &sign(&credentials(), 3_600_100)), "the one before is still known");

    let other = Credentials::new(ID, "another").unwrap();
    assert!(!same_key(&first, &sign(&other, 3_600_100)), "the same id with another secret is another key");
    for number in 0..4 {
        sign(&Credentials::new(format!("id-{number}"), KEY).unwrap(), 3_600_100);
    }
    assert!(!same_key(&first, &sign(&credentials(), 3_600_100)), "only a few are remembered");
}

#[test]
fn a_signer_is_shared_between_threads() {
    let signer = Signer::new(SigningOptions::cas());
    let expected = sign(&request(), &credentials(), times(), signer.options()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let signed = signer.sign(&request(), &credentials(), times()).unwrap();
                    assert_eq!(signed.authorization(), expected.authorization());
                }
            });
        }
    });
}

#[test]
fn a_broker_hands_on_a_key_that_signs_only_in_its_time() {
    let hour = TimeRange::new(1_000_000, 1_003_600).unwrap();
    let handed_on = credentials().signing_key(Algorithm::Sha1, hour).unwrap().expose().to_owned();

    let key = SigningKey::from_hex(Algorithm::Sha1, &handed_on, hour).unwrap();
    let client = Credentials::delegated(ID, key).unwrap();
    let minute = TimeRange::new(1_000_060, 1_000_120).unwrap();
    let mut options = SigningOptions::cas();
    let signed = sign(&request(), &client, minute, &options).unwrap();
    assert_eq!(signed.key_time(), hour);

    let lookup = |_: &str| Some(credentials().key().clone());
    assert!(Verifier::cas().verify(&request(), Some(signed.authorization()), 1_000_100, lookup).is_ok());

    let late = TimeRange::new(1_003_000, 1_003_601).unwrap();
    for refused in
        [sign(&request(), &client, late, &options), Signer::new(options.clone()).sign(&request(), &client, late)]
    {
        assert!(matches!(refused, Err(SignError::OutsideKeyTime { .. })));
    }
    options.algorithm = Algorithm::Sha256;
    assert!(matches!(sign(&request(), &client, minute, &options), Err(SignError::WrongAlgorithm { .. })));
}
