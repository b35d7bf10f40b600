//! The typed client against a server that follows a script.

use cas_api::{CasApi, Error, ErrorKind, Listing, Pages};
use cas_http::document::JobParameters;
use cas_http::test_util::{Script, ScriptedServer};
use cas_http::{ArchiveId, Client, JobId, Marker, Pending, RetryPolicy, UploadId};
use futures::{StreamExt, TryStreamExt};

use crate::goldens::Golden;
use crate::support::{api, vault};

fn json(body: &str) -> Script {
    Script::answer(200, &[("content-type", "application/json")], body)
}

/// A page of vaults: their names, and the marker.
fn page(names: &[&str], marker: &str) -> Script {
    let entries: Vec<String> = names
        .iter()
        .map(|name| format!(r#"{{"VaultName":"{name}","CreationDate":"2024-03-01T02:03:04.000Z"}}"#))
        .collect();
    json(&format!(r#"{{"VaultList":[{}],"Marker":{marker}}}"#, entries.join(",")))
}

async fn names(scripts: impl IntoIterator<Item = Script>) -> (Result<Vec<String>, Error>, ScriptedServer) {
    let server = ScriptedServer::start(scripts).await.unwrap();
    let vaults = api(&server).list_vaults().items().map_ok(|vault| vault.name.to_string());
    (vaults.try_collect().await, server)
}

#[test]
fn the_client_is_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<CasApi>();
    shared::<Client>();
}

#[tokio::test]
async fn a_typed_call_gives_output_status_and_request_id() {
    let server = ScriptedServer::start([Script::answer(202, &[("x-cas-job-id", "-j")], "")]).await.unwrap();
    let parameters = JobParameters::archive_retrieval(ArchiveId::parse("-a").unwrap());
    let output = api(&server).initiate_job(vault(), parameters).await.unwrap();
    assert_eq!(output.job_id, JobId::parse("-j").unwrap());
    assert_eq!((output.status().as_u16(), output.request_id().unwrap().as_str()), (202, "scripted"));
    assert_eq!(server.received()[0].line(), "POST /-/vaults/photos/jobs HTTP/1.1");
}

#[tokio::test]
async fn pages_are_followed_by_their_markers() {
    let (names, server) = names([page(&["a", "b"], r#""m/1""#), page(&["c"], r#""m2""#), page(&[], "null")]).await;
    assert_eq!(names.unwrap(), ["a", "b", "c"]);
    let lines: Vec<String> = server.received().iter().map(|request| request.line().to_owned()).collect();
    assert_eq!(lines[1..], ["GET /-/vaults?marker=m%2F1 HTTP/1.1", "GET /-/vaults?marker=m2 HTTP/1.1"]);
}

#[tokio::test]
async fn c27_an_entry_at_the_seam_of_two_pages_comes_once() {
    let (names, _server) =
        names([page(&["a", "b"], r#""b""#), page(&["b", "c"], r#""c""#), page(&["c", "d"], "null")]).await;
    assert_eq!(names.unwrap(), ["a", "b", "c", "d"]);
}

/// A listing that ends with an error of the kind for answers that make no sense, after fewer requests than there are pages.
async fn refused(pages: Vec<Script>) {
    let number = pages.len();
    let (names, server) = names(pages).await;
    let error = names.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Decode, Some("ListVaults")));
    assert!(server.received().len() < number, "{} requests", server.received().len());
}

#[tokio::test]
async fn c27_a_marker_that_comes_again_is_refused() {
    refused(vec![page(&["a"], r#""m""#), page(&["b"], r#""n""#), page(&["c"], r#""m""#), page(&["d"], "null")]).await;
    refused(vec![page(&["a"], r#""m""#), page(&["a"], r#""m""#), page(&["a"], r#""m""#)]).await;
}

#[tokio::test]
async fn c27_the_marker_the_caller_began_with_is_refused_when_it_comes_again() {
    let server = ScriptedServer::start([page(&["a"], r#""m""#), page(&["b"], "null")]).await.unwrap();
    let began = Marker::parse("m").unwrap();
    let error = api(&server).list_vaults().marker(began).collect_all().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn c27_pages_without_end_and_without_anything_new_are_refused() {
    refused((0..30).map(|number| page(&[], &format!(r#""m{number}""#))).collect()).await;
    refused((0..30).map(|number| page(&["a"], &format!(r#""m{number}""#))).collect()).await;
}

#[tokio::test]
async fn c27_a_few_empty_pages_are_passed_over_and_the_seam_across_them_is_seen() {
    let empty = (0..10).map(|number| page(&[], &format!(r#""e{number}""#)));
    let pages = [page(&["a", "b"], r#""m""#)].into_iter().chain(empty).chain([page(&["b", "c"], "null")]);
    assert_eq!(names(pages).await.0.unwrap(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_listing_can_be_taken_up_again_from_a_marker() {
    let server = ScriptedServer::start([page(&["a"], r#""m""#), page(&["b"], "null")]).await.unwrap();
    let api = api(&server);
    let first = std::pin::pin!(api.list_vaults().pages()).next().await.unwrap().unwrap();
    let rest = api.list_vaults().marker(first.page.marker.unwrap()).collect_all().await.unwrap();
    assert_eq!(rest.len(), 1);
}

/// Follows a listing over the goldens of its operation: the number of entries, and the target of the second request.
async fn follow<O: Listing>(golden: &str, list: impl FnOnce(&CasApi) -> Pending<CasApi, O>) -> (usize, String) {
    let pages = ["response", "response-last"].map(|file| Script::answer(200, &[], &Golden::load(golden, file).body));
    let server = ScriptedServer::start(pages).await.unwrap();
    let entries = list(&api(&server)).collect_all().await.unwrap();
    let second = server.received()[1].line().to_owned();
    (entries.len(), second.split(' ').nth(1).unwrap().to_owned())
}

#[tokio::test]
async fn each_of_the_four_listings_is_followed() {
    let upload = UploadId::parse("u").unwrap();
    let [jobs, parts, uploads, vaults] = [
        follow("list_jobs", |api| api.list_jobs(vault())).await,
        follow("list_parts", |api| api.list_parts(vault(), upload)).await,
        follow("list_multipart_uploads", |api| api.list_multipart_uploads(vault())).await,
        follow("list_vaults", CasApi::list_vaults).await,
    ];
    let marker = "wWY9B5HmeC62TTE-_ShFOgb-q6_pdVwDLZYh3ReY2BssR8PwUFtxtBp7-ZrjtDLV";
    assert_eq!(jobs.1, format!("/-/vaults/photos/jobs?marker={marker}"));
    assert_eq!(parts.1, "/-/vaults/photos/multipart-uploads/u?marker=50331648");
    let marker = "Qe5_uGy8Rn2Lk-Vt9Xs4Wd7Jb0Mz3Hc6Pf1TaYoIiUrEwQqAaSsDdFfGgHhJjKkL";
    assert_eq!(uploads.1, format!("/-/vaults/photos/multipart-uploads?marker={marker}"));
    assert_eq!(vaults.1, "/-/vaults?marker=qcs%3Aid%2F0%3Acas%3Aap-chengdu%3Auid%2F1250000000%3Avaults%2Fvideos");
    assert_eq!([jobs.0, parts.0, uploads.0, vaults.0], [3; 4], "two on the first page, one on the last");
}

async fn failing(script: Script) -> Error {
    let server = ScriptedServer::start([script]).await.unwrap();
    api(&server).describe_vault(vault()).retry(RetryPolicy::never()).await.unwrap_err()
}

#[tokio::test]
async fn errors_are_named_by_what_to_do() {
    for (status, code, kind) in [
        (404, "ResourceNotFoundException", ErrorKind::NotFound),
        (403, "AccessDeniedException", ErrorKind::Denied),
        (400, "InvalidSignatureException", ErrorKind::Denied),
        (400, "UnrecognizedClientException", ErrorKind::Denied),
        (400, "MissingAuthenticationTokenException", ErrorKind::Denied),
        (403, "ExpiredTokenException", ErrorKind::Denied),
        (400, "ThrottlingException", ErrorKind::Throttled),
        (400, "PolicyEnforcedException", ErrorKind::Throttled),
        (400, "InvalidParameterValueException", ErrorKind::Refused),
        (400, "BadRequest", ErrorKind::Refused),
        (400, "LimitExceededException", ErrorKind::Refused),
        (400, "SomethingNewException", ErrorKind::Refused),
        (408, "RequestTimeoutException", ErrorKind::Unavailable),
        (500, "ServiceUnavailableException", ErrorKind::Unavailable),
        (503, "InsufficientCapacityException", ErrorKind::Unavailable),
    ] {
        let error = failing(Script::error(status, code)).await;
        assert_eq!(error.what_to_look_up(), None);
        assert_eq!((error.kind(), error.code(), error.status().unwrap().as_u16()), (kind, Some(code), status));
        assert_eq!((error.operation(), error.vault(), error.attempts()), (Some("DescribeVault"), Some(&vault()), 1));
        assert_eq!(error.is_retryable(), matches!(kind, ErrorKind::Throttled | ErrorKind::Unavailable), "{code}");
    }
}

#[tokio::test]
async fn an_error_without_a_readable_body_still_says_what_it_can() {
    let error = failing(Script::answer(502, &[], "<html>bad gateway")).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, None));
    assert_eq!(error.request_id().unwrap().as_str(), "scripted");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("<html>bad gateway"));
    assert_eq!(failing(Script::answer(403, &[], "")).await.kind(), ErrorKind::Denied);
    assert_eq!(
        failing(Script::answer(302, &[("location", "http://example.com/")], "")).await.kind(),
        ErrorKind::Decode
    );
}

#[tokio::test]
async fn a_success_that_is_none_is_no_success() {
    for body in [
        "",
        "<html>welcome</html>",
        "{}",
        "[]",
        r#"{"VaultName":17}"#,
        r#"{"VaultName":"v","CreationDate":"2024-03-01T02:03:04Z""#,
    ] {
        let error = failing(Script::answer(200, &[("content-type", "text/html")], body)).await;
        assert_eq!(error.kind(), ErrorKind::Decode, "{body}");
    }
}

#[tokio::test]
async fn what_was_removed_by_a_try_whose_answer_was_lost_is_removed() {
    let server =
        ScriptedServer::start([Script::new().close(), Script::error(404, "ResourceNotFoundException")]).await.unwrap();
    api(&server).delete_archive(vault(), ArchiveId::parse("a").unwrap()).await.unwrap();
    assert_eq!(server.received().len(), 2);
    let server = ScriptedServer::start([Script::error(404, "ResourceNotFoundException")]).await.unwrap();
    let never_there = api(&server).delete_archive(vault(), ArchiveId::parse("a").unwrap()).await.unwrap_err();
    assert_eq!(never_there.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_unsafe_operation_whose_answer_is_lost_is_ambiguous() {
    for script in [Script::new().close(), Script::answer(502, &[], "<html>")] {
        let server = ScriptedServer::start([script]).await.unwrap();
        let error = api(&server).initiate_job(vault(), JobParameters::inventory_retrieval()).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Ambiguous, Some("InitiateJob")));
        assert_eq!(server.received().len(), 1, "it is not repeated");
        assert!(error.what_to_look_up().unwrap().contains("the vault's jobs"));
        assert!(!error.is_retryable());
    }
}
