//! No `Debug`, `Display` or error of the crate shows a secret.

use std::error::Error;
use std::fmt::Debug;

use cas_sign::{
    Algorithm, Credentials, Dialect, Explanation, Field, FormatString, SignError, SignableRequest, Signer,
    SigningOptions, TimeRange, Verifier, VerifyError, explain, presign, sign,
};

use crate::support::{HOST, ID, NOW, times};

const SECRET: &str = "Very-Secret-Key-Of-Somebody";
const TOKEN: &str = "Very-Secret-Token-Of-Somebody";

fn credentials() -> Credentials {
    Credentials::new(ID, SECRET).unwrap().with_token(TOKEN).unwrap().with_expiry(9)
}

fn request() -> SignableRequest<'static> {
    SignableRequest::new("GET", "/-/vaults").with_header("Host", HOST)
}

/// Every text that must not be seen.
fn secrets() -> Vec<String> {
    let signed = sign(&request(), &credentials(), times(), &SigningOptions::cas()).unwrap();
    let texts = [SECRET, TOKEN, signed.signing_key().expose(), &signed.signature().to_string()];
    let bytes = texts.map(|text| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned());
    texts.map(str::to_owned).into_iter().chain(bytes).collect()
}

fn both(value: &(impl Debug + ?Sized)) -> [String; 2] {
    [format!("{value:?}"), format!("{value:#?}")]
}

fn chain(error: &dyn Error) -> Vec<String> {
    let mut texts = both(error).to_vec();
    let mut next = Some(error);
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}

/// The `Debug` of everything that holds, or was made with, a secret.
fn debugged() -> Vec<String> {
    let credentials = credentials();
    let options = SigningOptions::cas();
    let signed = sign(&request(), &credentials, times(), &options).unwrap();
    let link = presign(&request(), &credentials, times(), &SigningOptions::cos()).unwrap();
    let signer = Signer::new(options);
    signer.sign(&request(), &credentials, times()).unwrap();
    let lookup = |_: &str| Some(credentials.key().clone());
    let verified = Verifier::cas().verify(&request(), Some(signed.authorization()), NOW, lookup).unwrap();
    let authorization: cas_sign::Authorization = signed.authorization().parse().unwrap();
    [
        both(&credentials),
        both(credentials.key()),
        both(&credentials.token()),
        both(signed.signing_key()),
        both(signed.signature()),
        both(&signed),
        both(&link),
        both(&signer),
        both(&verified),
        both(&authorization),
        both(&Credentials::delegated(ID, signed.signing_key().clone()).unwrap()),
        both(&FormatString::new(&request(), &SigningOptions::cas()).unwrap()),
    ]
    .concat()
}

/// Every error that can be made with a secret at hand, whole chains of them.
fn refused() -> Vec<String> {
    let credentials = credentials();
    let signed = sign(&request(), &credentials, times(), &SigningOptions::cas()).unwrap();
    let authorization = signed.authorization();
    let hex = signed.signing_key().expose();
    let key_time = TimeRange::new(1, 2).unwrap();
    let delegated = Credentials::delegated(ID, credentials.signing_key(Algorithm::Sha1, key_time).unwrap()).unwrap();

    let sign_errors: Vec<SignError> = vec![
        Credentials::new(ID, format!("{SECRET}\n")).unwrap_err(),
        credentials.clone().with_token(format!("{TOKEN}\n")).unwrap_err(),
        cas_sign::SigningKey::from_hex(Algorithm::Sha256, hex, key_time).unwrap_err(),
        delegated.signing_key(Algorithm::Sha256, key_time).unwrap_err(),
        sign(&request(), &delegated, times(), &SigningOptions::cas()).unwrap_err(),
        presign(&request(), &credentials, times(), &SigningOptions::cas()).unwrap_err(),
        sign(&request().with_header("x-cas-a", "\n"), &credentials, times(), &SigningOptions::cas()).unwrap_err(),
    ];
    assert!(sign_errors.contains(&SignError::ForbiddenByte { field: Field::Token, byte: b'\n', at: TOKEN.len() }));

    let lookup = |_: &str| Some(credentials.key().clone());
    let verify =
        |authorization: &str, now| Verifier::cas().verify(&request(), Some(authorization), now, lookup).unwrap_err();
    let verify_errors: Vec<VerifyError> = vec![
        verify(&authorization[..authorization.len() - 1], NOW),
        verify(&authorization.replace("=sha1", "=sha2"), NOW),
        verify(&authorization.replace("sign-time=14", "sign-time=014"), NOW),
        verify(&authorization.replace("host", "date"), NOW),
        verify(authorization, 0),
    ];
    let sign_errors = sign_errors.iter().flat_map(|error| chain(error));
    sign_errors.chain(verify_errors.iter().flat_map(|error| chain(error))).collect()
}

/// Explanations of good and of bad signatures.
fn explained() -> Vec<String> {
    let signed = sign(&request(), &credentials(), times(), &SigningOptions::cas()).unwrap();
    let other = Credentials::new("other", format!("{SECRET}-2")).unwrap();
    let explained = |authorization: &str, credentials: &Credentials| -> Explanation {
        explain(&request(), authorization, credentials, &Dialect::CAS, Some(0))
    };
    let explanations = [
        explained(signed.authorization(), &credentials()),
        explained(signed.authorization(), &other),
        explained(&signed.authorization().replace("q-ak", "q-a"), &other),
    ];
    explanations.iter().flat_map(|explanation| [both(explanation).concat(), explanation.to_string()]).collect()
}

#[test]
fn no_text_of_the_crate_shows_a_secret() {
    let secrets = secrets();
    let shown = [debugged(), refused(), explained()].concat();
    assert!(shown.len() > 60, "{}", shown.len());
    for text in shown {
        for secret in &secrets {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn the_search_for_secrets_would_find_one() {
    let shown = both(&(SECRET, TOKEN.as_bytes())).concat();
    assert_eq!(secrets().iter().filter(|secret| shown.contains(*secret)).count(), 2);
}

#[test]
fn debug_says_that_something_is_hidden() {
    let text = format!("{:?}", credentials());
    assert!(text.contains("SecretKey(**)") && text.contains("Token(**)"), "{text}");
}
