//! The query form, both ways.

use cas_sign::{Credentials, SignError, SignableRequest, SigningOptions, Verifier, VerifyError, presign};

use crate::support::{KEY, NOW, credentials, times};

const HOST: &str = "b-1250000000.cos.ap-beijing.myqcloud.com";

fn photo() -> SignableRequest<'static> {
    SignableRequest::new("GET", "/photo%20album/1.jpg").with_header("Host", HOST)
}

fn verify(request: &SignableRequest<'_>, now: u64) -> Result<(), VerifyError> {
    Verifier::cos().verify(request, None, now, |_| Some(credentials().key().clone())).map(drop)
}

#[test]
fn a_link_verifies_as_it_is_and_not_otherwise() {
    let request = photo().with_query("response-content-type=image%2Fjpeg");
    let link = presign(&request, &credentials(), times(), &SigningOptions::cos()).unwrap();
    let query = format!("response-content-type=image%2Fjpeg&{}", link.query());
    assert_eq!(verify(&photo().with_query(&query), NOW), Ok(()));

    let other_type = query.replace("image%2Fjpeg", "text%2Fhtml");
    assert_eq!(verify(&photo().with_query(&other_type), NOW), Err(VerifyError::Mismatch));
    assert!(matches!(verify(&photo().with_query(&query), times().end() + 1), Err(VerifyError::Expired { .. })));
    assert_eq!(verify(&photo(), NOW), Err(VerifyError::Missing));
    let cut = query.replace("&q-ak=example-secret-id", "");
    assert!(matches!(verify(&photo().with_query(&cut), NOW), Err(VerifyError::Malformed(_))));
}

#[test]
fn a_token_becomes_a_signed_parameter() {
    let temporary = Credentials::new("example-secret-id", KEY).unwrap().with_token("to/ken+==").unwrap();
    let link = presign(&photo(), &temporary, times(), &SigningOptions::cos()).unwrap();
    assert_eq!(link.signed().parameter_list(), "x-cos-security-token");
    assert!(link.query().ends_with("&x-cos-security-token=to%2Fken%2B%3D%3D"));
    assert_eq!(verify(&photo().with_query(link.query()), NOW), Ok(()));
    let other_token = link.query().replace("ken", "kem");
    assert_eq!(verify(&photo().with_query(&other_token), NOW), Err(VerifyError::Mismatch));
}

#[test]
fn a_request_that_carries_an_item_already_is_refused() {
    for parameter in ["q-ak", "q-signature", "x-cos-security-token"] {
        let query = format!("{parameter}=1");
        let error = presign(&photo().with_query(&query), &credentials(), times(), &SigningOptions::cos()).unwrap_err();
        assert_eq!(error, SignError::AlreadySigned { parameter: parameter.to_owned() });
    }
}

#[test]
fn cas_has_no_query_form_on_either_side() {
    let error = presign(&photo(), &credentials(), times(), &SigningOptions::cas()).unwrap_err();
    assert_eq!(error, SignError::NoQueryForm { dialect: "CAS".to_owned() });
    let link = presign(&photo(), &credentials(), times(), &SigningOptions::cos()).unwrap();
    let request = photo().with_query(link.query());
    let lookup = |_: &str| Some(credentials().key().clone());
    assert_eq!(Verifier::cas().verify(&request, None, NOW, lookup).map(drop), Err(VerifyError::Missing));
}
