//! What must hold for any text that comes as an `Authorization`. Shared by the fuzz target of the same name and the test that replays its corpus.

use cas_sign::{Authorization, Credentials, Dialect, SignableRequest, Verifier, explain};

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let request =
        SignableRequest::new("GET", "/-/vaults").with_query(text).with_header("host", "cas.ap-chengdu.myqcloud.com");
    let credentials =
        Credentials::new("example-secret-id", "CasExampleSecretKey0123456789abcd").expect("both are good");
    let lookup = |_: &str| Some(credentials.key().clone());

    // The header form: what is read is what is written.
    match text.parse::<Authorization>() {
        Ok(read) => {
            let written = read.to_string();
            let again: Authorization = written.parse().expect("what was written can be read");
            assert_eq!(again.to_string(), written);
            let query = written.replace('%', "%25");
            let as_parameters = SignableRequest::new("GET", "/").with_query(&query);
            let from_query = Authorization::from_parameters(as_parameters.parameters())
                .expect("it is the same")
                .expect("it is there");
            assert_eq!(from_query.to_string(), written);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    // The query form, from any query.
    let _ = Authorization::from_parameters(request.parameters());
    // Nobody can have made a good signature without the key.
    assert!(Verifier::cas().verify(&request, Some(text), 1_480_932_292, lookup).is_err());
    assert!(Verifier::cos().verify(&request, None, 1_480_932_292, lookup).is_err());
    if input.len() < 512 {
        assert!(!explain(&request, text, &credentials, &Dialect::CAS, Some(0)).is_good());
    }
}
