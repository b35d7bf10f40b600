//! Properties over any request: both halves agree, and a slow signer written straight from the protocol agrees with both.

use cas_sign::{
    Credentials, Dialect, EmptyValues, FormatString, HeaderPolicy, Key, KeyTime, ParameterPolicy, ParameterReading,
    SignableRequest, SigningOptions, TimeRange, Verdict, Verifier, VerifyError, explain, sign,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Any request that may be signed, in text of its own.
#[derive(Clone, Debug)]
struct AnyRequest {
    method: String,
    path: String,
    parameters: Vec<(String, Option<String>)>,
    headers: Vec<(String, Vec<u8>)>,
}

impl AnyRequest {
    fn view(&self) -> SignableRequest<'_> {
        let mut request = SignableRequest::new(&self.method, &self.path);
        for (name, value) in &self.parameters {
            request.push_parameter(name.as_bytes(), value.as_ref().map(String::as_bytes));
        }
        for (name, value) in &self.headers {
            request.push_header(name, value);
        }
        request
    }
}

fn any_request() -> impl Strategy<Value = AnyRequest> {
    let header_value = vec(any::<u8>().prop_filter("no line break", |byte| !matches!(byte, b'\r' | b'\n' | 0)), 0..20);
    (
        "[A-Za-z]{1,8}",
        "/([a-zA-Z0-9%/._~+ -]|\\PC){0,30}".prop_filter("a path", |path| !path.contains(['?', '#'])),
        vec(("[a-zA-Z_%+ ~é-]{1,8}", option::of("\\PC{0,12}")), 0..5),
        vec(
            ("([Hh]ost|HOST|[Rr]ange|date|[Cc]ontent-([Ll]ength|range|type)|[Xx]-[Cc]as-[a-cA-C]{1,2})", header_value),
            0..8,
        ),
    )
        .prop_map(|(method, path, parameters, headers)| AnyRequest { method, path, parameters, headers })
}

fn any_options() -> impl Strategy<Value = SigningOptions> {
    let reading = prop::sample::select(ParameterReading::ALL.to_vec());
    let empty = prop::sample::select(vec![EmptyValues::Bare, EmptyValues::WithEquals, EmptyValues::AsWritten]);
    let headers = prop::sample::select(vec![
        HeaderPolicy::Standard,
        HeaderPolicy::OfficialPython,
        HeaderPolicy::All,
        HeaderPolicy::None,
        HeaderPolicy::Named(vec!["Host".into(), "DATE".into()]),
    ]);
    let parameters = prop::sample::select(vec![ParameterPolicy::All, ParameterPolicy::None]);
    let key_time = prop::sample::select(vec![KeyTime::SignTime, KeyTime::Window { seconds: 1000 }]);
    (reading, empty, headers, parameters, key_time).prop_map(|(reading, empty, headers, parameters, key_time)| {
        let mut options = SigningOptions::cas();
        (options.dialect.reading, options.dialect.empty_values) = (reading, empty);
        (options.headers, options.parameters, options.key_time) = (headers, parameters, key_time);
        options
    })
}

fn any_credentials() -> impl Strategy<Value = Credentials> {
    ("[!-%'-~]{1,20}", "\\PC{1,40}").prop_map(|(id, key)| Credentials::new(id, key).unwrap())
}

fn any_times() -> impl Strategy<Value = TimeRange> {
    (0..u64::MAX / 4, 0..100_000_u64).prop_map(|(start, length)| TimeRange::new(start, start + length).unwrap())
}

fn verify(
    verifier: &Verifier,
    request: &AnyRequest,
    authorization: &str,
    now: u64,
    key: &Key,
) -> Result<(), VerifyError> {
    verifier.verify(&request.view(), Some(authorization), now, |_| Some(key.clone())).map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_signed_verifies_and_is_explained_as_good(
        request in any_request(), options in any_options(), credentials in any_credentials(), times in any_times(),
    ) {
        let signed = sign(&request.view(), &credentials, times, &options).unwrap();
        prop_assert_eq!(verify(&Verifier::cas(), &request, signed.authorization(), times.start(), credentials.key()), Ok(()));
        prop_assert_eq!(verify(&Verifier::new(options.dialect.clone()), &request, signed.authorization(), times.end(), credentials.key()), Ok(()));
        let explanation = explain(&request.view(), signed.authorization(), &credentials, &Dialect::CAS, Some(times.start()));
        prop_assert!(matches!(explanation.verdict, Verdict::Good(_)), "{}", explanation);
    }

    #[test]
    fn nothing_else_verifies(
        request in any_request(), options in any_options(), credentials in any_credentials(), times in any_times(),
        at in any::<prop::sample::Index>(),
    ) {
        let signed = sign(&request.view(), &credentials, times, &options).unwrap();
        let check = |request: &AnyRequest, authorization: &str, key: &Key| {
            verify(&Verifier::cas(), request, authorization, times.start(), key)
        };
        let other = Credentials::new("id", "another secret").unwrap();
        prop_assert_eq!(check(&request, signed.authorization(), other.key()), Err(VerifyError::Mismatch));

        let longer = AnyRequest { path: format!("{}x", request.path), ..request.clone() };
        prop_assert_eq!(check(&longer, signed.authorization(), credentials.key()), Err(VerifyError::Mismatch));
        let post = AnyRequest { method: format!("{}x", request.method), ..request.clone() };
        prop_assert_eq!(check(&post, signed.authorization(), credentials.key()), Err(VerifyError::Mismatch));

        // One digit of the signature.
        let mut spoilt = signed.authorization().to_owned().into_bytes();
        let digit = spoilt.len() - 40 + at.index(40);
        spoilt[digit] = if spoilt[digit] == b'0' { b'1' } else { b'0' };
        let spoilt = String::from_utf8(spoilt).unwrap();
        prop_assert_eq!(check(&request, &spoilt, credentials.key()), Err(VerifyError::Mismatch));
    }

    #[test]
    fn the_format_string_has_four_line_breaks_and_escapes_only_what_it_must(request in any_request(), options in any_options()) {
        let view = request.view();
        let text = FormatString::new(&view, &options).unwrap().to_string();
        prop_assert_eq!(text.matches('\n').count(), 4);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%=&".contains(&byte);
        prop_assert!(text.lines().skip(2).all(|line| line.bytes().all(plain)), "{}", text);
    }

    #[test]
    fn no_text_at_all_makes_the_parser_or_the_verifier_fail_badly(text in "(q-(ak|sign-time|signature|sign-algorithm)=|[&;=0-9]|\\PC){0,60}") {
        let request = SignableRequest::new("GET", "/");
        let error = Verifier::cas().verify(&request, Some(&text), 0, |_| None).unwrap_err();
        prop_assert!(matches!(error, VerifyError::Malformed(_) | VerifyError::UnknownSecretId));
    }
}
