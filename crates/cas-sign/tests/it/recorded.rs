//! The cases of `tests/vectors/signature.json`: 80 for CAS from a slow signer, 55 for COS from the official Python client of COS.

use cas_sign::{Algorithm, Credentials, Dialect, HeaderPolicy, KeyTime, SignableRequest, SigningOptions, sign};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    dialect: String,
    algorithm: String,
    reading: String,
    method: String,
    path: String,
    params: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    secret_id: String,
    secret_key: String,
    sign_time: String,
    key_time: String,
    format_string: String,
    signing_key: String,
    string_to_sign: String,
    authorization: String,
}

#[test]
fn every_recorded_case_passes_stage_by_stage() {
    let file: File = serde_json::from_str(include_str!("../vectors/signature.json")).unwrap();
    assert_eq!(file.cases.len(), 135);
    for (index, case) in file.cases.iter().enumerate() {
        let mut request = SignableRequest::new(&case.method, &case.path);
        for (name, value) in &case.params {
            request = request.with_parameter(name, value);
        }
        for (name, value) in &case.headers {
            request = request.with_header(name, value);
        }
        let dialect = match case.dialect.as_str() {
            "cas" => Dialect::CAS,
            "cos" => Dialect::COS,
            other => panic!("case {index}: unknown dialect {other}"),
        };
        let mut options = SigningOptions::new(dialect);
        options.algorithm = case.algorithm.parse::<Algorithm>().unwrap();
        options.dialect.reading = case.reading.parse().unwrap();
        options.headers = HeaderPolicy::All;
        options.key_time = KeyTime::Fixed(case.key_time.parse().unwrap());
        let credentials = Credentials::new(&case.secret_id, &case.secret_key).unwrap();
        let signed = sign(&request, &credentials, case.sign_time.parse().unwrap(), &options).unwrap();
        assert_eq!(signed.format_string(), case.format_string, "case {index}: format string");
        assert_eq!(signed.signing_key().expose(), case.signing_key, "case {index}: signing key");
        assert_eq!(signed.string_to_sign(), case.string_to_sign, "case {index}: string to sign");
        assert_eq!(signed.authorization(), case.authorization, "case {index}: authorization");
    }
}
