//! The admin endpoint: what a test in another language decides about a running emulator, as JSON over a port of its own.
//!
//! It asks nobody who they are, so it listens on loopback addresses only, and only when it is asked to.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cas_http::error_body::code;
use cas_http::json::{JsonObject, JsonWriter};
use cas_http::{VaultName, WireError};
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::failure::{Failure, Outcome};
use crate::faults::{Fault, FaultRule};
use crate::seed;
use crate::service::Service;
use crate::store::vaults;

/// How long a connection may take to send the head of a request, and how many bytes its body may have.
const HEAD_TIME: Duration = Duration::from_secs(30);
const BODY_SIZE: usize = 64 << 10;

/// Answers on this listener for as long as the emulator runs.
pub(crate) async fn serve(service: Arc<Service>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let service = service.clone();
        let answer = service_fn(move |request| {
            let service = service.clone();
            async move { Ok::<_, Infallible>(respond(&service, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(stream), answer);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an admin connection ended");
            }
        });
    }
}

async fn respond(service: &Service, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, json) = match work(service, request).await {
        Ok(json) => (StatusCode::OK, json.to_vec()),
        Err(failure) => (failure.status, failure.to_service_error().to_json()),
    };
    let mut answer = Response::new(Full::from(json));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

async fn work(service: &Service, request: Request<Incoming>) -> Outcome<JsonWriter> {
    // A page in somebody's browser can reach a loopback port too, and says so.
    if request.headers().contains_key(ORIGIN) {
        return Err(Failure::denied("browsers are not served"));
    }
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_SIZE).collect().await;
    let body = body.map_err(|error| Failure::invalid(format!("body: {error}")))?.to_bytes();
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/health") => {
            service.store.read(|_| Ok(())).await?;
            Ok(JsonWriter::new().set("status", "ok"))
        }
        (&Method::GET, "/counters") => Ok(counters(service)),
        (&Method::GET, "/clock") => Ok(clock(service)),
        (&Method::POST, "/clock") => move_clock(service, &JsonObject::from_slice(&body)?),
        (&Method::POST, "/faults") => {
            service.faults.add(rule(&JsonObject::from_slice(&body)?)?);
            Ok(JsonWriter::new())
        }
        (&Method::DELETE, "/faults") => {
            service.faults.clear();
            Ok(JsonWriter::new())
        }
        (&Method::POST, "/seed") => seed(service, &JsonObject::from_slice(&body)?).await,
        (&Method::POST, "/reset") => {
            service.faults.clear();
            service.store.write(vaults::delete_all).await?;
            Ok(JsonWriter::new())
        }
        (method, path) => {
            let message = format!("{method} {path} is nothing here");
            Err(Failure::new(StatusCode::NOT_FOUND, code::RESOURCE_NOT_FOUND, message))
        }
    }
}

fn counters(service: &Service) -> JsonWriter {
    let counters = service.counters();
    let operations: Map<String, Value> =
        counters.operations.iter().map(|(name, count)| ((*name).to_owned(), (*count).into())).collect();
    JsonWriter::new()
        .set("requests", counters.requests)
        .set("refusals", counters.refusals)
        .set("operations", operations)
        .set("faults", counters.faults)
        .set("reports_delivered", counters.reports_delivered)
        .set("reports_given_up", counters.reports_given_up)
}

fn clock(service: &Service) -> JsonWriter {
    let clock = &service.clock;
    JsonWriter::new().set("now", clock.now().to_string()).set("signing_now", clock.signing_now().to_string())
}

fn move_clock(service: &Service, object: &JsonObject) -> Outcome<JsonWriter> {
    only(object, &["advance_seconds", "signing_offset_seconds"])?;
    if let Some(seconds) = number(object, "advance_seconds")? {
        service.clock.advance(Duration::from_secs(seconds));
    }
    if let Some(offset) = object.get("signing_offset_seconds") {
        let seconds = offset.as_i64();
        let invalid = || WireError::invalid("signing_offset_seconds", "expected a whole number");
        service.clock.set_signing_offset(seconds.ok_or_else(invalid)?);
    }
    Ok(clock(service))
}

/// Sets chance, state, or both: `{"chance": 7, "vaults": [{"name": "photos", "archives": [{"text": "hello"}, {"size": 3000000}]}]}`.
async fn seed(service: &Service, object: &JsonObject) -> Outcome<JsonWriter> {
    only(object, &["chance", "vaults"])?;
    if let Some(chance) = number(object, "chance")? {
        service.faults.seed(chance);
    }
    let described = if object.get("vaults").is_some() { object.objects("vaults")? } else { Vec::new() };
    let account = service.accounts.known.first().ok_or_else(|| Failure::bad_request("there is no account"))?;
    let vaults = seed::vaults(service, account.app_id(), &described).await?;
    Ok(JsonWriter::new().set("vaults", vaults))
}

/// A rule as JSON: `{"fault": "lose-answer", "operation": "UploadPart", "times": 1}`.
fn rule(object: &JsonObject) -> Outcome<FaultRule> {
    let mut rule = FaultRule::new(fault(object)?);
    if let Some(operation) = object.text("operation")? {
        if !cas_http::OPERATIONS.iter().any(|info| info.name == operation) {
            return Err(WireError::invalid("operation", "expected a name such as UploadPart").into());
        }
        rule = rule.operation(operation);
    }
    if let Some(vault) = object.parse::<VaultName>("vault")? {
        rule = rule.vault(vault);
    }
    if let Some(count) = number(object, "skip")? {
        rule = rule.skip(count);
    }
    if let Some(count) = number(object, "times")? {
        rule = rule.times(count);
    }
    if let Some(share) = object.get("probability") {
        let share = share.as_f64().filter(|share| (0.0..=1.0).contains(share));
        rule =
            rule.probability(share.ok_or_else(|| WireError::invalid("probability", "expected a number from 0 to 1"))?);
    }
    Ok(rule)
}

fn fault(object: &JsonObject) -> Outcome<Fault> {
    let number = |key: &'static str| number(object, key)?.ok_or_else(|| WireError::missing(key));
    let name = object.require::<String>("fault")?;
    let fault = match name.as_str() {
        "throttle" => Fault::throttle(),
        "unavailable" => Fault::unavailable(),
        "answer" => {
            let status = u16::try_from(number("status")?).ok().and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.filter(|status| status.is_client_error() || status.is_server_error());
            let status = status.ok_or_else(|| WireError::invalid("status", "expected 400 to 599"))?;
            Fault::answer(status, object.require::<String>("code")?, object.text("message")?.unwrap_or_default())
        }
        "delay" => Fault::Delay(Duration::from_millis(number("millis")?)),
        "cut-request" => Fault::CutRequest { after: number("after")? },
        "cut-answer" => Fault::CutAnswer { after: number("after")? },
        "lose-answer" => Fault::LoseAnswer,
        "flip-byte" => Fault::FlipByte { at: number("at")? },
        "wrong-tree-hash" => Fault::WrongTreeHash,
        _ => {
            let expected = "throttle, unavailable, answer, delay, cut-request, cut-answer, lose-answer, flip-byte or wrong-tree-hash";
            return Err(WireError::invalid("fault", format!("expected {expected}")).into());
        }
    };
    let keys: &[&str] = match fault {
        Fault::Answer { .. } if name == "answer" => &["status", "code", "message"],
        Fault::Delay(_) => &["millis"],
        Fault::CutRequest { .. } | Fault::CutAnswer { .. } => &["after"],
        Fault::FlipByte { .. } => &["at"],
        _ => &[],
    };
    only(object, &[&["fault", "operation", "vault", "skip", "times", "probability"], keys].concat())?;
    Ok(fault)
}

/// Refuses what has another key than these: passed over, a misspelt one would change what is asked for.
pub(crate) fn only(object: &JsonObject, keys: &[&str]) -> Result<(), WireError> {
    match object.iter().find(|(key, _)| !keys.contains(key)) {
        Some((key, _)) => Err(WireError::invalid(key.to_owned(), "there is no such key here")),
        None => Ok(()),
    }
}

/// A number that is written as one. The service takes texts too, but this is not its protocol.
pub(crate) fn number(object: &JsonObject, key: &'static str) -> Result<Option<u64>, WireError> {
    match object.get(key) {
        Some(Value::String(text)) => {
            Err(WireError::invalid(key, format!("expected a number, found the text {text:?}")))
        }
        _ => object.number(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FaultRule, String> {
        let object = JsonObject::from_slice(text.as_bytes()).unwrap();
        rule(&object).map_err(|failure| failure.message)
    }

    #[test]
    fn every_fault_has_a_name() {
        for text in [
            r#"{"fault":"throttle"}"#,
            r#"{"fault":"unavailable","operation":"UploadPart","vault":"v","skip":1,"times":2,"probability":0.5}"#,
            r#"{"fault":"answer","status":503,"code":"InsufficientCapacityException"}"#,
            r#"{"fault":"delay","millis":5}"#,
            r#"{"fault":"cut-request","after":0}"#,
            r#"{"fault":"cut-answer","after":10}"#,
            r#"{"fault":"lose-answer"}"#,
            r#"{"fault":"flip-byte","at":3}"#,
            r#"{"fault":"wrong-tree-hash"}"#,
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_named() {
        for (text, message) in [
            (r#"{}"#, "fault: missing"),
            (r#"{"fault":"melt"}"#, "fault: expected throttle, "),
            (r#"{"fault":"delay"}"#, "millis: missing"),
            (r#"{"fault":"answer","status":200,"code":"x"}"#, "status: expected 400 to 599"),
            (r#"{"fault":"throttle","operation":"Upload"}"#, "operation: expected a name such as UploadPart"),
            (r#"{"fault":"throttle","vault":"a/b"}"#, "vault: "),
            (r#"{"fault":"throttle","probability":2}"#, "probability: expected a number from 0 to 1"),
            (r#"{"fault":"throttle","probability":"0.5"}"#, "probability: expected a number from 0 to 1"),
            (r#"{"fault":"throttle","time":1}"#, "time: there is no such key here"),
            (r#"{"fault":"throttle","after":1}"#, "after: there is no such key here"),
            (r#"{"fault":"throttle","skip":"1"}"#, "skip: expected a number, found the text \"1\""),
            (r#"{"fault":"throttle","times":""}"#, "times: expected a number, found the text \"\""),
            (r#"{"fault":"cut-answer","after":"0"}"#, "after: expected a number, found the text \"0\""),
            (r#"{"fault":"melt","after":1}"#, "fault: expected throttle, "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
