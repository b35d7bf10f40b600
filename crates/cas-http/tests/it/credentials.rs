//! Services that hand out credentials.

use std::error::Error as _;

use cas_http::credentials::{Chain, CredentialsError, Environment, InstanceRole, WebIdentity};
use cas_http::test_util::{Script, ScriptedServer};
use cas_http::{Credentials, ProvideCredentials};

use crate::support::{ok, server};

const ROLE: &str = r#"{"TmpSecretId":"id","TmpSecretKey":"key","ExpiredTime":1700003600,"Expiration":"2023-11-14T23:13:20Z","Token":"token","Code":"Success"}"#;

async fn instance_role(server: &ScriptedServer) -> Result<Credentials, CredentialsError> {
    InstanceRole::new(&Environment::from_pairs([])).endpoint(server.endpoint()).provide().await
}

#[tokio::test]
async fn the_role_of_an_instance_is_named_and_then_asked_for() {
    let server = server([ok("CAS_Role"), ok(ROLE)]).await;
    let credentials = instance_role(&server).await.unwrap();
    assert_eq!((credentials.secret_id().as_str(), credentials.expires_at()), ("id", Some(1_700_003_600)));
    assert_eq!(credentials.token().unwrap().expose(), "token");
    let lines: Vec<_> = server.received().iter().map(|request| request.line().to_owned()).collect();
    assert_eq!(
        lines,
        [
            "GET /latest/meta-data/cam/security-credentials/ HTTP/1.1",
            "GET /latest/meta-data/cam/security-credentials/CAS_Role HTTP/1.1"
        ]
    );
}

#[tokio::test]
async fn an_instance_without_a_role_has_no_credentials_and_that_is_fine() {
    let error = instance_role(&server([Script::answer(404, &[], "not found")]).await).await.unwrap_err();
    assert!(error.is_absent(), "{error}");
    let error = instance_role(&server([Script::new().close(), Script::new().close()]).await).await.unwrap_err();
    assert!(error.is_absent(), "away from the cloud nothing answers: {error}");
    let disabled = Environment::from_pairs([("CAS_METADATA_DISABLED", "true")]);
    assert!(InstanceRole::new(&disabled).provide().await.unwrap_err().is_absent());
}

#[tokio::test]
async fn one_failure_of_the_metadata_service_is_forgiven() {
    assert!(
        instance_role(&server([Script::new().close(), ok("r"), Script::new().close(), ok(ROLE)]).await).await.is_ok()
    );
}

#[tokio::test]
async fn a_metadata_service_that_talks_nonsense_is_broken() {
    let long = "x".repeat(100_000);
    for scripts in [
        vec![ok("<html>a portal</html>")],
        vec![Script::answer(302, &[("Location", "http://elsewhere.example/")], "")],
        vec![ok("r"), ok("<html>")],
        vec![ok("r"), ok("{}")],
        vec![ok("r"), ok(r#"{"Code":"Failed","TmpSecretId":"id","TmpSecretKey":"hunter2"}"#)],
        vec![ok("r"), Script::answer(500, &[], "")],
        vec![ok("r"), ok(&long), ok(&long)],
        vec![ok("r"), Script::new().close(), Script::new().close()],
    ] {
        let error = instance_role(&server(scripts).await).await.unwrap_err();
        assert!(!error.is_absent(), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_metadata_service_that_hangs_is_given_up() {
    let server = server([]).await.otherwise(Script::new().stall());
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    assert!(instance_role(&server).await.unwrap_err().is_absent());
    assert!(began.elapsed().as_secs() <= 4, "{:?}", began.elapsed());
}

fn pod(token_file: &str) -> Environment {
    Environment::from_pairs([
        ("TKE_REGION", "ap-chengdu"),
        ("TKE_PROVIDER_ID", "provider"),
        ("TKE_WEB_IDENTITY_TOKEN_FILE", token_file),
        ("TKE_ROLE_ARN", "qcs::cam::uin/1:roleName/r"),
    ])
}

#[tokio::test]
async fn a_pods_token_is_exchanged_for_credentials() {
    let answer = r#"{"Response":{"Credentials":{"Token":"token","TmpSecretId":"id","TmpSecretKey":"key"},"ExpiredTime":1700007200}}"#;
    let server = server([ok(answer)]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "the.jwt\n").unwrap();
    let identity = WebIdentity::new(pod(file.path().to_str().unwrap())).endpoint(server.endpoint());
    let credentials = identity.provide().await.unwrap();
    assert_eq!((credentials.secret_id().as_str(), credentials.expires_at()), ("id", Some(1_700_007_200)));
    let request = &server.received()[0];
    assert_eq!(request.line(), "POST / HTTP/1.1");
    assert_eq!(request.header("x-tc-action"), Some("AssumeRoleWithWebIdentity"));
    assert_eq!(
        (request.header("x-tc-version"), request.header("x-tc-region")),
        (Some("2018-08-13"), Some("ap-chengdu"))
    );
    assert_eq!(request.header("authorization"), Some("SKIP"));
    let body = std::str::from_utf8(&request.body).unwrap();
    assert!(body.contains(r#""WebIdentityToken":"the.jwt""#) && body.contains(r#""ProviderId":"provider""#), "{body}");
}

#[tokio::test]
async fn a_pod_whose_token_is_refused_is_broken() {
    let refusal =
        r#"{"Response":{"Error":{"Code":"InvalidParameter.WebIdentityTokenError","Message":"m"},"RequestId":"r"}}"#;
    for script in [ok(refusal), ok("<html>"), Script::answer(500, &[], ""), Script::new().close()] {
        let server = server([script]).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        let identity = WebIdentity::new(pod(file.path().to_str().unwrap())).endpoint(server.endpoint());
        assert!(!identity.provide().await.unwrap_err().is_absent());
    }
    let error = WebIdentity::new(pod("/no/such/file")).provide().await.unwrap_err();
    assert!(error.source().is_some() && !error.is_absent(), "{error}");
}

#[tokio::test]
async fn the_standard_chain_says_what_it_tried() {
    let environment = Environment::from_pairs([("HOME", "/no/such/home"), ("CAS_METADATA_DISABLED", "1")]);
    let error = Chain::standard(&environment).provide().await.unwrap_err();
    let text = error.to_string();
    for source in ["environment:", "profile:", "pod identity:", "instance role:"] {
        assert!(text.contains(source), "{text}");
    }
    let environment = Environment::from_pairs([("TENCENTCLOUD_SECRET_ID", "id"), ("TENCENTCLOUD_SECRET_KEY", "key")]);
    assert_eq!(Chain::standard(&environment).provide().await.unwrap().secret_id().as_str(), "id");
}
