//! Feature `http`: heads of requests, signed in place and checked.

use cas_sign::{
    Credentials, Key, ParameterReading, SignError, Signer, SigningOptions, Verifier, VerifyError, http as signing,
};
use http::Request;
use http::request::Parts;

use crate::support::{HOST, ID, KEY, NOW, credentials, times};

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let builder = Request::builder().method(method).uri(uri);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).unwrap().into_parts().0
}

fn temporary(token: &str) -> Credentials {
    credentials().with_token(token).unwrap()
}

fn value<'p>(head: &'p Parts, name: &str) -> Option<&'p str> {
    head.headers.get(name).map(|value| value.to_str().unwrap())
}

fn lookup(id: &str) -> Option<Key> {
    (id == ID).then(|| credentials().key().clone())
}

#[test]
fn a_head_is_signed_as_its_parts_would_be() {
    let mut head = head("GET", "/-/vaults/photos/jobs?marker=A%2Bb&limit=1", &[("host", HOST), ("user-agent", "test")]);
    let signed = signing::sign(&mut head, &credentials(), times(), &SigningOptions::cas()).unwrap();
    assert_eq!(signed.format_string(), format!("get\n/-/vaults/photos/jobs\nlimit=1&marker=a%2Bb\nhost={HOST}\n"));
    assert_eq!(value(&head, "authorization"), Some(signed.authorization()));
    assert!(head.headers["authorization"].is_sensitive());
}

#[test]
fn a_missing_host_is_added_as_a_client_would_send_it() {
    for (uri, host) in [
        ("https://cas.ap-chengdu.myqcloud.com/-/vaults", HOST),
        ("https://cas.ap-chengdu.myqcloud.com:443/-/vaults", HOST),
        ("http://cas.ap-chengdu.myqcloud.com:80/-/vaults", HOST),
        ("http://127.0.0.1:9580/-/vaults", "127.0.0.1:9580"),
        ("http://[::1]:9580", "[::1]:9580"),
        ("https://user:pass@cas.ap-chengdu.myqcloud.com:80/", "cas.ap-chengdu.myqcloud.com:80"),
    ] {
        let mut head = head("GET", uri, &[]);
        let signed = signing::sign(&mut head, &credentials(), times(), &SigningOptions::cas()).unwrap();
        assert_eq!(value(&head, "host"), Some(host), "{uri}");
        assert_eq!(signed.header_list(), "host");
    }
    let mut origin_form = head("GET", "/-/vaults", &[]);
    let signed = signing::sign(&mut origin_form, &credentials(), times(), &SigningOptions::cas()).unwrap();
    assert_eq!((value(&origin_form, "host"), signed.header_list()), (None, ""));
}

#[test]
fn a_host_that_is_there_is_left_as_it_is() {
    let mut head = head("GET", "http://127.0.0.1:9580/-/vaults", &[("host", HOST)]);
    let signed = signing::sign(&mut head, &credentials(), times(), &SigningOptions::cas()).unwrap();
    assert_eq!(head.headers.get_all("host").iter().collect::<Vec<_>>(), [HOST]);
    assert_eq!(signed.format_string(), format!("get\n/-/vaults\n\nhost={HOST}\n"));
}

#[test]
fn the_token_is_sent_signed_and_sensitive() {
    for (options, name) in
        [(SigningOptions::cas(), "x-cas-security-token"), (SigningOptions::cos(), "x-cos-security-token")]
    {
        let mut head = head("GET", "/a", &[("host", HOST)]);
        let signed = signing::sign(&mut head, &temporary("token-1"), times(), &options).unwrap();
        assert_eq!(value(&head, name), Some("token-1"));
        assert!(head.headers[name].is_sensitive());
        assert_eq!(signed.header_list(), format!("host;{name}"));
    }
}

#[test]
fn the_token_header_is_the_callers_choice() {
    let mut options = SigningOptions::cas();
    options.dialect.token_header = "x-other-token".into();
    let mut good = head("GET", "/a", &[("host", HOST)]);
    signing::sign(&mut good, &temporary("token-1"), times(), &options).unwrap();
    assert_eq!(value(&good, "x-other-token"), Some("token-1"));

    options.dialect.token_header = "no header".into();
    let error = signing::sign(&mut good, &temporary("token-1"), times(), &options).unwrap_err();
    assert_eq!(error, SignError::InvalidTokenHeader { name: "no header".to_owned() });
}

#[test]
fn signing_again_replaces_what_the_last_attempt_added() {
    let mut again = head("GET", "/a", &[("host", HOST)]);
    signing::sign(&mut again, &temporary("token-1"), times(), &SigningOptions::cas()).unwrap();
    signing::sign(&mut again, &temporary("token-2"), times(), &SigningOptions::cas()).unwrap();

    let mut once = head("GET", "/a", &[("host", HOST)]);
    signing::sign(&mut once, &temporary("token-2"), times(), &SigningOptions::cas()).unwrap();
    assert_eq!(again.headers, once.headers);
}

#[test]
fn a_failed_signing_changes_nothing() {
    let uri = "http://127.0.0.1:9580/a?=no-name";
    let mut failed = head("GET", uri, &[]);
    assert!(signing::sign(&mut failed, &temporary("token"), times(), &SigningOptions::cas()).is_err());
    assert!(signing::presign(&mut failed, &temporary("token"), times(), &SigningOptions::cos()).is_err());
    assert_eq!((failed.headers.len(), failed.uri.to_string()), (0, uri.to_owned()));
}

#[test]
fn a_signer_signs_heads_too() {
    let signer = Signer::new(SigningOptions::cas());
    let [mut a, mut b] = [(); 2].map(|()| head("GET", "https://cas.ap-chengdu.myqcloud.com/-/vaults", &[]));
    signer.sign_parts(&mut a, &temporary("token"), times()).unwrap();
    signing::sign(&mut b, &temporary("token"), times(), signer.options()).unwrap();
    assert_eq!(a.headers, b.headers);
}

#[test]
fn a_received_head_is_verified() {
    let mut options = SigningOptions::cas();
    options.dialect.reading = ParameterReading::B;
    let mut head = head("PUT", "/-/vaults/a?marker=A%2Bb", &[("host", HOST)]);
    let verify = |head: &Parts| signing::verify(&Verifier::cas(), head, NOW, lookup);
    assert_eq!(verify(&head).unwrap_err(), VerifyError::Missing);

    signing::sign(&mut head, &credentials(), times(), &options).unwrap();
    head.headers.append("host", "127.0.0.1:9580".parse().unwrap());
    assert_eq!(verify(&head).unwrap().matched.reading, ParameterReading::B);

    // The absolute form, as it comes through a proxy.
    head.uri = "http://127.0.0.1:9580/-/vaults/a?marker=A%2Bb".parse().unwrap();
    assert!(verify(&head).is_ok());

    head.headers.insert("authorization", http::HeaderValue::from_bytes(b"q-ak=\xff").unwrap());
    assert!(matches!(verify(&head), Err(VerifyError::Malformed(_))));
}

#[test]
fn a_link_is_made_from_a_head_and_verified() {
    for (uri, before) in
        [("https://b.example.com/a%20b?uploads", "uploads&"), ("https://b.example.com", ""), ("/a?", "")]
    {
        let mut head = head("GET", uri, &[]);
        signing::presign(&mut head, &Credentials::new(ID, KEY).unwrap(), times(), &SigningOptions::cos()).unwrap();
        let query = head.uri.query().unwrap();
        assert!(query.starts_with(&format!("{before}q-sign-algorithm=sha1&q-ak=")), "{query}");
        assert!(signing::verify(&Verifier::cos(), &head, NOW, lookup).is_ok(), "{uri}");
    }
}
