//! What must hold for any request: a signature that was made verifies, and no other. Shared by the fuzz target of the same name and the test that
//! replays its corpus.
//!
//! An input is a request in lines: the method, the path, then for each line a query if it begins with `?` and else a header, its name up to the first
//! colon. The first byte of all chooses the options.

use cas_sign::{
    Credentials, EmptyValues, HeaderPolicy, Key, ParameterPolicy, ParameterReading, SignableRequest, SigningOptions,
    TimeRange, Verdict, Verifier, VerifyError, explain, sign,
};

pub(crate) fn check(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    let mut lines = rest.split(|byte| *byte == b'\n');
    let mut line = || lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let (Some(method), Some(path)) = (line(), line()) else { return };
    let mut request = SignableRequest::new(method, path);
    for line in lines {
        match (line.first(), line.iter().position(|byte| *byte == b':')) {
            (Some(b'?'), _) => request.push_query(std::str::from_utf8(&line[1..]).unwrap_or_default()),
            (_, Some(colon)) => {
                request.push_header(std::str::from_utf8(&line[..colon]).unwrap_or_default(), &line[colon + 1..])
            }
            _ => {}
        }
    }
    check_request(&request, &options(*choice));
}

fn check_request(request: &SignableRequest<'_>, options: &SigningOptions) {
    let credentials =
        Credentials::new("example-secret-id", "CasExampleSecretKey0123456789abcd").expect("both are good");
    let times = TimeRange::around(1_480_932_292, 60, 900);
    let signed = match sign(request, &credentials, times, options) {
        Ok(signed) => signed,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    // A decoded path may hold line breaks of its own.
    if !request.path().contains('%') {
        assert_eq!(signed.format_string().matches('\n').count(), 4);
    }

    let verifier = if options.dialect.query_form { Verifier::cos() } else { Verifier::cas() };
    let verify = |request: &SignableRequest<'_>, authorization: &str, credentials: &Credentials| {
        let key: Key = credentials.key().clone();
        verifier.verify(request, Some(authorization), times.start(), |_| Some(key)).map(drop)
    };
    let authorization = signed.authorization();
    assert_eq!(verify(request, authorization, &credentials), Ok(()));
    let explanation = explain(request, authorization, &credentials, &options.dialect, Some(times.start()));
    assert!(matches!(explanation.verdict, Verdict::Good(_)), "{explanation}");

    let other = Credentials::new("example-secret-id", "another").expect("both are good");
    assert_eq!(verify(request, authorization, &other), Err(VerifyError::Mismatch));
    let path = format!("{}/", request.path());
    let mut moved = SignableRequest::new(request.method(), &path);
    let headers: Vec<(String, &[u8])> = request.headers().map(|(name, value)| (name.to_owned(), value)).collect();
    headers.iter().for_each(|(name, value)| moved.push_header(name, value));
    request.parameters().for_each(|(name, value)| moved.push_parameter(name, value));
    assert_eq!(verify(&moved, authorization, &credentials), Err(VerifyError::Mismatch));
}

fn options(choice: u8) -> SigningOptions {
    let mut options = if choice & 1 == 0 { SigningOptions::cas() } else { SigningOptions::cos() };
    if choice & 1 == 0 {
        options.dialect.reading = ParameterReading::ALL[usize::from(choice >> 1) % 3];
        options.dialect.empty_values =
            [EmptyValues::AsWritten, EmptyValues::Bare, EmptyValues::WithEquals][usize::from(choice >> 3) % 3];
    }
    options.headers = [HeaderPolicy::Standard, HeaderPolicy::All, HeaderPolicy::OfficialPython, HeaderPolicy::None]
        [usize::from(choice >> 5) % 4]
        .clone();
    if choice >> 7 == 1 {
        options.parameters = ParameterPolicy::None;
    }
    options
}
