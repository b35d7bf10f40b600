//! The server's half: what it accepts, and which error each refusal is.

use cas_sign::{
    Algorithm, AuthorizationError, Credentials, Dialect, EmptyValues, HeaderPolicy, Key, ParameterPolicy,
    ParameterReading, SignableRequest, SigningOptions, Time, TimeRange, Tolerance, Verified, Verifier, VerifyError,
};

use crate::support::{HOST, ID, NOW, credentials, signed, times};

fn lookup(id: &str) -> Option<Key> {
    (id == ID).then(|| credentials().key().clone())
}

fn verify(request: &SignableRequest<'_>, authorization: &str) -> Result<Verified, VerifyError> {
    Verifier::cas().verify(request, Some(authorization), NOW, lookup)
}

fn jobs() -> SignableRequest<'static> {
    SignableRequest::new("GET", "/-/vaults/photos/jobs")
        .with_header("Host", HOST)
        .with_query("statuscode=InProgress&marker=A+b")
}

#[test]
fn every_reading_is_recognised() {
    for reading in ParameterReading::ALL {
        let mut options = SigningOptions::cas();
        options.dialect.reading = reading;
        let verified = verify(&jobs(), signed(&jobs(), &options).authorization()).unwrap();
        assert_eq!(verified.matched.reading, reading);
    }
}

#[test]
fn every_way_with_empty_values_is_recognised() {
    let request = jobs().with_query("a&b=");
    for empty_values in [EmptyValues::Bare, EmptyValues::WithEquals, EmptyValues::AsWritten] {
        let mut options = SigningOptions::cas();
        options.dialect.empty_values = empty_values;
        let verified = verify(&request, signed(&request, &options).authorization()).unwrap();
        assert_eq!(verified.matched.empty_values, empty_values);
    }
}

#[test]
fn every_policy_is_accepted() {
    for headers in [HeaderPolicy::Standard, HeaderPolicy::OfficialPython, HeaderPolicy::All, HeaderPolicy::None] {
        for parameters in [ParameterPolicy::All, ParameterPolicy::None] {
            let mut options = SigningOptions::cas();
            (options.headers, options.parameters) = (headers.clone(), parameters);
            let verified = verify(&jobs(), signed(&jobs(), &options).authorization()).unwrap();
            assert_eq!(verified.authorization.header_list.contains_header("Host"), headers != HeaderPolicy::None);
            let covered = verified.authorization.parameter_list.contains_parameter(b"StatusCode");
            assert_eq!(covered, parameters == ParameterPolicy::All);
        }
    }
}

#[test]
fn of_two_hosts_either_may_have_been_signed() {
    let received =
        SignableRequest::new("PUT", "/-/vaults/a").with_header("Host", "127.0.0.1:9580").with_header("Host", HOST);
    for host in ["127.0.0.1:9580", "127.0.0.1", HOST] {
        let sent = SignableRequest::new("PUT", "/-/vaults/a").with_header("Host", host);
        let verified = verify(&received, signed(&sent, &SigningOptions::cas()).authorization()).unwrap();
        assert_eq!(verified.matched.host.as_deref(), Some(host));
    }
    let both = signed(&received, &SigningOptions::cas());
    assert_eq!(verify(&received, both.authorization()).unwrap().matched.host, None);
    let neither = SignableRequest::new("PUT", "/-/vaults/a").with_header("Host", "example.com");
    let signed = signed(&neither, &SigningOptions::cas());
    assert_eq!(verify(&received, signed.authorization()).unwrap_err(), VerifyError::Mismatch);
}

#[test]
fn a_host_may_have_been_signed_with_a_default_port() {
    let received = SignableRequest::new("GET", "/").with_header("Host", HOST);
    for port in [80, 443] {
        let host = format!("{HOST}:{port}");
        let sent = SignableRequest::new("GET", "/").with_header("Host", &host);
        assert!(verify(&received, signed(&sent, &SigningOptions::cas()).authorization()).is_ok());
    }
}

#[test]
fn whatever_is_covered_cannot_be_changed() {
    let request = |method, path, marker, range| {
        SignableRequest::new(method, path)
            .with_header("Host", HOST)
            .with_parameter("marker", marker)
            .with_header("Range", range)
    };
    let authorization = signed(&request("GET", "/-/vaults/a", "m", "bytes=0-1"), &SigningOptions::cas());
    let authorization = authorization.authorization();
    assert!(verify(&request("GET", "/-/vaults/a", "m", "bytes=0-1"), authorization).is_ok());
    for changed in [
        request("PUT", "/-/vaults/a", "m", "bytes=0-1"),
        request("GET", "/-/vaults/b", "m", "bytes=0-1"),
        request("GET", "/-/vaults/A", "m", "bytes=0-1"),
        request("GET", "/-/vaults/a", "n", "bytes=0-1"),
        request("GET", "/-/vaults/a", "m", "bytes=0-2"),
        request("GET", "/-/vaults/a", "m", "bytes=0-1").with_header("Range", "bytes=0-1"),
        request("GET", "/-/vaults/a", "m", "bytes=0-1").with_parameter("marker", "m"),
    ] {
        assert_eq!(verify(&changed, authorization).unwrap_err(), VerifyError::Mismatch, "{changed:?}");
    }
}

#[test]
fn what_is_not_listed_may_be_added_on_the_way() {
    let request = || SignableRequest::new("GET", "/-/vaults").with_header("Host", HOST);
    let signed = signed(&request(), &SigningOptions::cas());
    let longer = request().with_header("Via", "a proxy").with_header("x-cas-new", "1").with_query("limit=1&=&");
    assert!(verify(&longer, signed.authorization()).is_ok());
}

#[test]
fn a_listed_name_that_is_missing_is_left_out() {
    let request = SignableRequest::new("GET", "/-/vaults").with_header("Host", HOST);
    let listed = signed(&request, &SigningOptions::cas())
        .authorization()
        .replace("q-header-list=host", "q-header-list=date;host");
    assert!(verify(&request, &listed).is_ok(), "the format string is the same");
    let with_date = request.clone().with_header("Date", "today");
    assert_eq!(verify(&with_date, &listed).unwrap_err(), VerifyError::Mismatch);
}

#[test]
fn the_lists_may_be_unsorted_repeated_and_in_any_case() {
    let signed = signed(&jobs(), &SigningOptions::cas());
    let untidy = signed
        .authorization()
        .replace("q-header-list=host", "q-header-list=;HOST;host;")
        .replace("q-url-param-list=marker;statuscode", "q-url-param-list=StatusCode;marker;marker");
    assert!(verify(&jobs(), &untidy).is_ok());
}

#[test]
fn each_step_has_its_error() {
    let request = SignableRequest::new("GET", "/-/vaults").with_header("Host", HOST);
    let good = signed(&request, &SigningOptions::cas()).authorization().to_owned();
    let error =
        |authorization: Option<&str>, now| Verifier::cas().verify(&request, authorization, now, lookup).unwrap_err();

    assert_eq!(error(None, NOW), VerifyError::Missing);
    let missing = AuthorizationError::Missing { item: "q-sign-algorithm" };
    assert_eq!(error(Some("Bearer abc"), NOW), VerifyError::Malformed(missing));
    let unknown = AuthorizationError::UnknownAlgorithm { name: "md5".to_owned() };
    assert_eq!(error(Some(&good.replace("=sha1", "=md5")), NOW), VerifyError::Malformed(unknown));
    assert_eq!(error(Some(&good.replace(ID, "stranger")), NOW), VerifyError::UnknownSecretId);
    let (range, early, late) = (times(), times().start() - 301, times().end() + 1);
    assert_eq!(error(Some(&good), early), VerifyError::NotYetValid { which: Time::Sign, range, now: early });
    assert_eq!(error(Some(&good), late), VerifyError::Expired { which: Time::Sign, range, now: late });
    let spoilt = format!("{}0", &good[..good.len() - 1]);
    assert_eq!(error(Some(&spoilt), NOW), VerifyError::Mismatch);
    assert_eq!(error(Some(&spoilt), late), VerifyError::Expired { which: Time::Sign, range, now: late });
}

#[test]
fn both_ranges_count_and_the_tolerance_moves_their_ends() {
    let request = SignableRequest::new("GET", "/").with_header("Host", HOST);
    let mut options = SigningOptions::cas();
    options.key_time = cas_sign::KeyTime::Fixed(TimeRange::new(1000, 2000).unwrap());
    let sign_time = TimeRange::new(1000, 2000).unwrap();
    let signed = cas_sign::sign(&request, &credentials(), sign_time, &options).unwrap();
    let mut verifier = Verifier::cas();
    let at = |verifier: &Verifier, now| verifier.verify(&request, Some(signed.authorization()), now, lookup).map(drop);

    verifier.tolerance = Tolerance::new(0, 0);
    assert_eq!(at(&verifier, 1000), Ok(()));
    assert_eq!(at(&verifier, 2000), Ok(()));
    assert!(matches!(at(&verifier, 999), Err(VerifyError::NotYetValid { .. })));
    assert!(matches!(at(&verifier, 2001), Err(VerifyError::Expired { .. })));
    verifier.tolerance = Tolerance::new(10, 20);
    assert_eq!(at(&verifier, 990), Ok(()));
    assert_eq!(at(&verifier, 2020), Ok(()));
    assert!(at(&verifier, 989).is_err() && at(&verifier, 2021).is_err());

    let short_key = signed.authorization().replace("q-key-time=1000;2000", "q-key-time=1000;1500");
    let error = Verifier::cas().verify(&request, Some(&short_key), 1800, lookup).unwrap_err();
    assert!(matches!(error, VerifyError::Expired { which: Time::Key, .. }));
}

#[test]
fn sha256_is_accepted_only_when_asked_for() {
    let request = SignableRequest::new("GET", "/").with_header("Host", HOST);
    let mut options = SigningOptions::cas();
    options.algorithm = Algorithm::Sha256;
    let signed = signed(&request, &options);
    let mut verifier = Verifier::cas();
    let refused = verifier.verify(&request, Some(signed.authorization()), NOW, lookup).unwrap_err();
    assert_eq!(refused, VerifyError::AlgorithmRefused(Algorithm::Sha256));
    verifier.algorithms.push(Algorithm::Sha256);
    assert!(verifier.verify(&request, Some(signed.authorization()), NOW, lookup).is_ok());
}

#[test]
fn a_server_may_know_only_a_signing_key() {
    let request = SignableRequest::new("GET", "/").with_header("Host", HOST);
    let signed = signed(&request, &SigningOptions::cas());
    let verify = |key_time| {
        let key = credentials().signing_key(Algorithm::Sha1, key_time).unwrap();
        Verifier::cas().verify(&request, Some(signed.authorization()), NOW, |_| Some(Key::Signing(key))).map(drop)
    };
    assert_eq!(verify(times()), Ok(()));
    assert_eq!(verify(TimeRange::new(0, u64::MAX).unwrap()), Err(VerifyError::Mismatch));
}

#[test]
fn nobody_can_sign_as_a_stranger() {
    // The key that stands in for an unknown secret id must not open a door, whatever it is.
    let request = SignableRequest::new("GET", "/").with_header("Host", HOST);
    let stranger = Credentials::new("stranger", "nobody's").unwrap();
    let signed = cas_sign::sign(&request, &stranger, times(), &SigningOptions::cas()).unwrap();
    assert_eq!(verify(&request, signed.authorization()).unwrap_err(), VerifyError::UnknownSecretId);
}

#[test]
fn the_strict_verifier_knows_one_reading() {
    let mut options = SigningOptions::cas();
    options.dialect.reading = ParameterReading::C;
    let signed = signed(&jobs(), &options);
    let strict = Verifier::new(Dialect::CAS);
    assert_eq!(strict.verify(&jobs(), Some(signed.authorization()), NOW, lookup).unwrap_err(), VerifyError::Mismatch);
}
