//! What a signature must be, and what is answered to each that is not (`docs/protocol.md` §3.9).

use std::time::Duration;

use cas_emulator::{Account, Emulator};
use cas_http::AppId;
use cas_sign::{Algorithm, Credentials, ParameterReading, TimeRange};
use serde_json::json;

use crate::wire::{Call, Wire, connect};

async fn emulator() -> Emulator {
    Emulator::builder().without_port().start().await.unwrap()
}

async fn list(wire: &mut Wire<tokio::io::DuplexStream>) -> String {
    let answer = wire.get("/-/vaults").await;
    if answer.status == 200 { "200".to_owned() } else { answer.error() }
}

#[tokio::test]
async fn a_missing_signature_a_wrong_key_and_an_unknown_id_have_their_errors() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    assert_eq!(list(&mut wire).await, "200");
    let unsigned = wire.send_unsigned(Call::new("GET", "/-/vaults")).await;
    assert_eq!(unsigned.error(), "400 MissingAuthenticationTokenException");
    assert_eq!(unsigned.json()["type"], "Client");
    wire.credentials = Credentials::new(Account::DEFAULT_SECRET_ID, "another-key").unwrap();
    assert_eq!(list(&mut wire).await, "400 InvalidSignatureException");
    wire.credentials = Credentials::new("nobody", Account::DEFAULT_SECRET_KEY).unwrap();
    assert_eq!(list(&mut wire).await, "400 UnrecognizedClientException");
}

#[tokio::test]
async fn both_time_ranges_are_checked() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    // A signature may come up to 300 seconds early and not a second late.
    for (window, outcome) in [
        ((-100, 100), "200"),
        ((200, 500), "200"),
        ((400, 500), "400 InvalidSignatureException"),
        ((-500, -10), "400 InvalidSignatureException"),
    ] {
        let mut call = Call::new("GET", "/-/vaults");
        call.window = window;
        let answer = wire.send(call).await;
        assert_eq!(if answer.status == 200 { "200".to_owned() } else { answer.error() }, outcome, "{window:?}");
    }
    let mut call = Call::new("GET", "/-/vaults");
    call.window = (-500, -10);
    assert!(wire.send(call).await.message().contains("ended at"), "the message tells the time");

    // A key range that is over, beside a sign time that is not.
    let good = String::from_utf8(Call::new("GET", "/-/vaults").head(Some(&wire.credentials), wire.now)).unwrap();
    let (before, rest) = good.split_once("q-key-time=").unwrap();
    let (_, after) = rest.split_once('&').unwrap();
    let late = format!("{before}q-key-time={};{}&{after}", wire.now - 500, wire.now - 10);
    let answer = wire.exchange(late.as_bytes(), b"").await.unwrap();
    assert_eq!(answer.error(), "400 InvalidSignatureException");
    assert!(answer.message().starts_with("q-key-time: ended at"), "{}", answer.message());
}

#[tokio::test]
async fn the_service_s_clock_can_be_wrong_on_demand() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    emulator.clock().set_signing_offset(3600);
    let answer = wire.get("/-/vaults").await;
    assert_eq!(answer.error(), "400 InvalidSignatureException");
    let date = httpdate::parse_http_date(&answer.headers["date"]).unwrap();
    let seconds = date.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs();
    wire.now = i64::try_from(seconds).unwrap();
    assert_eq!(list(&mut wire).await, "200", "the Date header tells what time the service has");
}

#[tokio::test]
async fn service_time_does_not_touch_signatures() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    emulator.clock().advance(Duration::from_secs(100 * 24 * 3600));
    assert_eq!(list(&mut wire).await, "200");
}

#[tokio::test]
async fn every_reading_of_parameter_values_is_accepted() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    for reading in ParameterReading::ALL {
        let call = Call::new("GET", "/-/vaults/photos/jobs?statuscode=InProgress&marker=A%2Bb");
        wire.send(call.sign_with(|signing| signing.dialect.reading = reading)).await.expect(200);
    }
}

#[tokio::test]
async fn empty_values_may_be_signed_with_and_without_an_equals_sign() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    for target in ["/-/vaults?marker&limit=5", "/-/vaults?marker=&limit=5"] {
        for form in [cas_sign::EmptyValues::Bare, cas_sign::EmptyValues::WithEquals] {
            let call = Call::new("GET", target).sign_with(|signing| signing.dialect.empty_values = form);
            wire.send(call).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_delegated_signing_key_signs_like_its_owner_until_its_time_is_over() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    let now = u64::try_from(wire.now).unwrap();
    let delegate = |from, to| {
        let key = emulator.credentials().signing_key(Algorithm::Sha1, TimeRange::new(from, to).unwrap()).unwrap();
        Credentials::delegated(emulator.secret_id(), key).unwrap()
    };
    wire.credentials = delegate(now - 1000, now + 1000);
    assert_eq!(list(&mut wire).await, "200");
    wire.credentials = delegate(now - 5000, now - 1000);
    let mut call = Call::new("GET", "/-/vaults");
    call.window = (-4000, -2000);
    assert_eq!(wire.send(call).await.error(), "400 InvalidSignatureException");
}

#[tokio::test]
async fn sha256_signatures_are_refused_as_the_current_page_says() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    let call = Call::new("GET", "/-/vaults").sign_with(|signing| signing.algorithm = Algorithm::Sha256);
    assert_eq!(wire.send(call).await.error(), "400 InvalidSignatureException");
}

/// S4: bad, truncated, overlong, upper-case and non-hex signatures, and items that are missing, unknown, doubled or wrong.
#[tokio::test]
async fn s4_a_malformed_authorization_is_an_invalid_signature() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    let call = Call::new("GET", "/-/vaults");
    let good = String::from_utf8(call.head(Some(&wire.credentials), wire.now)).unwrap();
    let signature = good.split("q-signature=").nth(1).unwrap().trim().to_owned();
    let time = good.split("q-sign-time=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let changes: [(&str, &str); 12] = [
        (&signature, &signature[1..]),
        (&signature, &format!("{signature}0")),
        (&signature, ""),
        (&signature, "zz"),
        (&signature, &"0".repeat(40)),
        (&signature, &"f".repeat(10_000)),
        ("q-sign-algorithm=sha1", "q-sign-algorithm=md5"),
        ("q-sign-algorithm=sha1&", ""),
        ("q-signature=", "q-signatur="),
        (&format!("q-sign-time={time}"), "q-sign-time=now;then"),
        (&format!("q-key-time={time}"), "q-key-time=2;1"),
        ("Authorization: ", "Authorization: Bearer "),
    ];
    for (from, to) in changes {
        assert!(good.contains(from), "{from}");
        let answer = wire.exchange(good.replacen(from, to, 1).as_bytes(), b"").await.unwrap();
        assert_eq!(answer.error(), "400 InvalidSignatureException", "{from} -> {to}");
    }
    let twice = good.replacen("Authorization: ", "Authorization: x\r\nAuthorization: ", 1);
    assert_eq!(wire.exchange(twice.as_bytes(), b"").await.unwrap().error(), "400 InvalidSignatureException");
    assert_eq!(wire.exchange(good.as_bytes(), b"").await.unwrap().status, 200, "the unchanged one is good");
}

/// S5: a signature is good as often as it is sent within its window, for its own request only.
#[tokio::test]
async fn s5_a_signature_can_be_repeated_but_not_moved() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    let good =
        String::from_utf8(Call::new("GET", "/-/vaults?limit=5").head(Some(&wire.credentials), wire.now)).unwrap();
    for _ in 0..2 {
        assert_eq!(wire.exchange(good.as_bytes(), b"").await.unwrap().status, 200);
    }
    for (from, to) in
        [("GET ", "DELETE "), ("/-/vaults?", "/-/vaults/v?"), ("limit=5", "limit=6"), ("limit=5", "marker=5")]
    {
        let moved = good.replacen(from, to, 1);
        assert_eq!(
            wire.exchange(moved.as_bytes(), b"").await.unwrap().error(),
            "400 InvalidSignatureException",
            "{to}"
        );
    }
}

/// S6: listed headers must be there, and what is not listed is not protected, as with the official clients.
#[tokio::test]
async fn s6_only_listed_headers_are_signed_and_each_has_one_value() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let call = Call::new("POST", "/-/vaults/photos/archives")
        .header("x-cas-archive-description", "one")
        .body("hello")
        .hashed();
    let good = String::from_utf8(call.head(Some(&wire.credentials), wire.now)).unwrap();
    for (from, to) in [
        ("x-cas-archive-description: one\r\n", ""),
        ("x-cas-archive-description: one", "x-cas-archive-description: two"),
        ("x-cas-archive-description: one", "x-cas-archive-description: one\r\nx-cas-archive-description: two"),
    ] {
        let answer = wire.exchange(good.replacen(from, to, 1).as_bytes(), b"hello").await.unwrap();
        assert_eq!(answer.error(), "400 InvalidSignatureException", "{to}");
    }
    let bare =
        Call::new("GET", "/-/vaults/photos/jobs").sign_with(|signing| signing.headers = cas_sign::HeaderPolicy::None);
    let twice = bare.header("Range", "bytes=0-1").header("Range", "bytes=0-2");
    assert_eq!(wire.send(twice).await.error(), "400 InvalidParameterValueException");
    let spaces = good.replacen(": one", ":   one  ", 1);
    assert_eq!(
        wire.exchange(spaces.as_bytes(), b"hello").await.unwrap().status,
        201,
        "blanks around a value are not part of it"
    );
}

/// S7: parameters that are doubled, empty, escaped twice, written with plus, or not listed.
#[tokio::test]
async fn s7_odd_queries_are_read_in_one_way_or_refused() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    for (query, outcome) in [
        ("limit=1&limit=2", 400),
        ("limit=1&LIMIT=2", 400),
        ("limit=%31", 200),
        ("limit=%2531", 400),
        ("limit=1&&", 200),
        ("=5", 200),
        ("unknown=1&unknown2", 200),
        ("%6cimit=0", 400),
        ("limit=1%00", 400),
        ("marker=%ff%fe", 200),
    ] {
        let bare = Call::new("GET", format!("/-/vaults?{query}"))
            .sign_with(|signing| signing.parameters = cas_sign::ParameterPolicy::None);
        assert_eq!(wire.send(bare).await.status, outcome, "{query}");
    }
    for path in ["/-/vaults//photos", "/-/vaults/photos%2Fjobs", "/-/vaults/./photos", "/-//vaults"] {
        let answer = wire.get(path).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
    }
}

/// S8: a stranger learns nothing from how an unknown key is answered but that it is unknown; both take the same way.
#[tokio::test]
async fn s8_nothing_is_revealed_about_vaults_to_who_cannot_sign() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    wire.credentials = Credentials::new("nobody", "x").unwrap();
    let [there, not_there] = [wire.get("/-/vaults/photos").await, wire.get("/-/vaults/films").await];
    assert_eq!((there.error(), there.message()), (not_there.error(), not_there.message()));
}

#[tokio::test]
async fn temporary_credentials_need_their_token_until_they_expire() {
    let clock = cas_emulator::Clock::manual("2024-03-01T00:00:00Z".parse().unwrap());
    let expires = "2024-03-01T01:00:00Z".parse().unwrap();
    let account = Account::new("temporary", "key", AppId::new(1)).unwrap().temporary("the-token", expires).unwrap();
    let builder = Emulator::builder().without_port().account(account).account(Account::default()).clock(clock.clone());
    let emulator = builder.start().await.unwrap();
    let mut wire = connect(&emulator);
    let token = "x-cas-security-token";
    assert_eq!(list(&mut wire).await, "400 UnrecognizedClientException");
    let wrong = Call::new("GET", "/-/vaults").header(token, "another");
    assert_eq!(wire.send(wrong).await.error(), "400 UnrecognizedClientException");
    wire.send(Call::new("GET", "/-/vaults").header(token, "the-token")).await.expect(200);
    clock.advance(Duration::from_secs(3600));
    let mut wire = connect(&emulator);
    let late = wire.send(Call::new("GET", "/-/vaults").header(token, "the-token")).await;
    assert_eq!(late.error(), "403 ExpiredTokenException");
    wire.credentials = Account::default().credentials().clone();
    assert_eq!(list(&mut wire).await, "200", "permanent ones need none");
    let needless = Call::new("GET", "/-/vaults").header(token, "the-token");
    assert_eq!(wire.send(needless).await.error(), "400 UnrecognizedClientException");
}

#[tokio::test]
async fn wrong_hashes_and_wrong_keys_are_told_apart_whatever_comes_first() {
    let emulator = emulator().await;
    let mut wire = connect(&emulator);
    wire.create_vault("photos").await;
    let call = Call::new("POST", "/-/vaults/photos/archives").body("hello").hashed().body("hullo");
    let answer = wire.send(call.clone()).await;
    assert_eq!(
        answer.json(),
        json!({
            "code": "InvalidParameterValueException",
            "message": answer.message(),
            "type": "Client",
        })
    );
    wire.credentials = Credentials::new(Account::DEFAULT_SECRET_ID, "another-key").unwrap();
    assert_eq!(wire.send(call).await.error(), "400 InvalidSignatureException");
}
