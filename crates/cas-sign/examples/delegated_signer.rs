//! A broker keeps the secret key; a client that it does not trust signs for an hour with what the broker hands on.
//!
//! Run it with `cargo run -p cas-sign --example delegated_signer`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use cas_sign::{
    Algorithm, Credentials, SignError, SignableRequest, SigningKey, SigningOptions, TimeRange, Verifier, sign,
};

const SECRET_ID: &str = "example-secret-id";
const SECRET_KEY: &str = "CasExampleSecretKey0123456789abcd";

/// What goes from the broker to the client, over a channel that they trust.
struct Permit {
    secret_id: String,
    signing_key: String,
    key_time: TimeRange,
}

fn broker(now: u64) -> Result<Permit, SignError> {
    let key_time = TimeRange::around(now, 60, 3600);
    let signing_key = Credentials::new(SECRET_ID, SECRET_KEY)?.signing_key(Algorithm::Sha1, key_time)?;
    Ok(Permit { secret_id: SECRET_ID.to_owned(), signing_key: signing_key.expose().to_owned(), key_time })
}

fn client(permit: &Permit, request: &SignableRequest<'_>, now: u64) -> Result<String, SignError> {
    let signing_key = SigningKey::from_hex(Algorithm::Sha1, &permit.signing_key, permit.key_time)?;
    let credentials = Credentials::delegated(&permit.secret_id, signing_key)?;
    let signed = sign(request, &credentials, TimeRange::around(now, 0, 60), &SigningOptions::cas())?;
    Ok(signed.authorization().to_owned())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = 1_480_932_292;
    let permit = broker(now)?;
    let request = SignableRequest::new("GET", "/-/vaults").with_header("Host", "cas.ap-chengdu.myqcloud.com");

    let authorization = client(&permit, &request, now + 1800)?;
    println!("half an hour later the client signs:\n  {authorization}");

    let service = Credentials::new(SECRET_ID, SECRET_KEY)?;
    let verified =
        Verifier::cas().verify(&request, Some(&authorization), now + 1830, |_| Some(service.key().clone()))?;
    println!("the service finds it good: signed for {}", verified.authorization.sign_time);

    let too_late = client(&permit, &request, now + 3600);
    assert!(matches!(too_late, Err(SignError::OutsideKeyTime { .. })));
    println!("an hour later the client cannot: {}", too_late.err().map(|error| error.to_string()).unwrap_or_default());
    Ok(())
}
