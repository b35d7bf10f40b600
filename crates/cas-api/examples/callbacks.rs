//! A receiver of callbacks, for any web server that speaks the types of the crate `http`: it learns from each which job may have ended, asks
//! the service, and believes only the answer.
//!
//! The service is a server that follows a script, so that this runs by itself: `cargo run -p cas-api --example callbacks`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use bytes::Bytes;
use cas_api::cas_http::document::JobStatus;
use cas_api::cas_http::test_util::{Script, ScriptedServer};
use cas_api::cas_http::{Client, Credentials};
use cas_api::{CasApi, ErrorKind, JobDescription};
use http::{Request, StatusCode};

/// Answers one callback. Whoever calls is told only whether the call was understood, and not what the service says of the job.
async fn receive(api: &CasApi, request: Request<Bytes>, ended: &mut Vec<JobDescription>) -> StatusCode {
    let Ok(claim) = JobDescription::from_callback(request.body()) else { return StatusCode::BAD_REQUEST };
    let Some(vault) = claim.vault() else { return StatusCode::BAD_REQUEST };
    match api.describe_job(vault, claim.job_id).await {
        Ok(answer) if answer.job.completed => ended.push(answer.job),
        Ok(answer) => println!("the service says that job {} is still {}", answer.job.job_id, answer.job.status),
        Err(error) if error.kind() == ErrorKind::NotFound => println!("the service knows no such job"),
        // Nothing was learned: the service may call again.
        Err(error) if error.is_retryable() => return StatusCode::SERVICE_UNAVAILABLE,
        Err(error) => println!("{error}"),
    }
    StatusCode::NO_CONTENT
}

/// The description of a job, as a callback and as an answer.
fn job(id: &str, status: &str) -> String {
    format!(
        r#"{{"Action":"ArchiveRetrieval","JobId":"{id}","StatusCode":"{status}","VaultQCS":"qcs:id/0:cas:ap-chengdu:uid/1250000000:vaults/photos"}}"#
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = ScriptedServer::start([
        Script::answer(200, &[], job("first", "Succeeded")),
        Script::answer(200, &[], job("second", "InProgress")),
        Script::error(404, "ResourceNotFoundException"),
    ])
    .await?;
    let credentials = Credentials::new("example-secret-id", "example-secret-key")?;
    let api = CasApi::new(Client::builder().endpoint(service.endpoint()).credentials(credentials).build()?);

    let mut ended = Vec::new();
    for (body, status) in [
        (job("first", "Succeeded"), StatusCode::NO_CONTENT),
        // Two forgeries, and something else altogether.
        (job("second", "Succeeded"), StatusCode::NO_CONTENT),
        (job("third", "Succeeded"), StatusCode::NO_CONTENT),
        ("<xml/>".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let request = Request::post("/done").body(Bytes::from(body))?;
        assert_eq!(receive(&api, request, &mut ended).await, status);
    }
    assert_eq!(ended.len(), 1);
    println!("ended: job {}", ended[0].job_id);
    assert_eq!(ended[0].status, JobStatus::Succeeded);
    Ok(())
}
