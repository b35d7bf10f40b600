//! Both tables against the wire goldens in `tests/golden`, which were typed by hand from `docs/protocol.md`.
//!
//! A request is read as a server reads it and written as a client writes it, an answer the other way round; what comes out must be the
//! golden again. A wrong header name or JSON key in a table loses the value on the way in, and the comparison fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cas_api::answers::rewrite;
use cas_api::inventory::{InventoryEntry, InventoryHead, read_csv, read_json};
use cas_api::policy::Effect;
use cas_api::{JobAction, JobDescription, UploadList};
use cas_http::document::{InventoryFormat, JobStatus, NotificationEvent, Tier};
use cas_http::error_body::code;
use cas_http::json::Document;
use cas_http::ops::{AnyOperation, route};
use cas_http::wire::ShapeKind;
use cas_http::{OPERATIONS, ServiceError, TreeHash, Uid, WireError};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::Value;

/// A golden: its first line, its headers and its body.
pub(crate) struct Golden {
    first: Vec<String>,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Golden {
    pub(crate) fn load(operation: &str, file: &str) -> Golden {
        let path = folder().join(operation).join(format!("{file}.http"));
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let end = bytes
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .unwrap_or_else(|| panic!("{}: no blank line", path.display()));
        let mut lines = bytes[..end].split(|&byte| byte == b'\n');
        let first = String::from_utf8(lines.next().unwrap().to_vec()).unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let colon = line.iter().position(|&byte| byte == b':').unwrap();
            let name = HeaderName::from_bytes(&line[..colon]).unwrap();
            headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).unwrap());
        }
        let body = Bytes::copy_from_slice(&bytes[end + 2..]);
        Golden { first: first.split(' ').map(str::to_owned).collect(), headers, body }
    }

    pub(crate) fn read(&self) -> (Uid, AnyOperation) {
        self.try_read().unwrap()
    }

    fn try_read(&self) -> Result<(Uid, AnyOperation), WireError> {
        let method: Method = self.first[0].parse().unwrap();
        let (path, query) = self.first[1].split_once('?').unwrap_or((&self.first[1], ""));
        let info = route(&method, path).unwrap_or_else(|| panic!("no operation has {method} {path}"));
        let body = if info.shape == ShapeKind::Upload { &[][..] } else { &self.body };
        AnyOperation::read(info, path, query, &self.headers, body)
    }

    fn status(&self) -> StatusCode {
        self.first[1].parse().unwrap()
    }

    fn answer(&self) -> Response<Bytes> {
        let mut answer = Response::new(self.body.clone());
        *answer.status_mut() = self.status();
        *answer.headers_mut() = self.headers.clone();
        answer
    }

    pub(crate) fn rewritten(&self, operation: &str) -> Response<Bytes> {
        rewrite(operation, self.answer()).unwrap()
    }

    /// The bytes in which it travels.
    #[cfg(feature = "client")]
    pub(crate) fn on_the_wire(&self) -> Bytes {
        let mut bytes = self.first.join(" ").into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(&[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
        }
        bytes.extend_from_slice(&[b"\r\n\r\n", &self.body[..]].concat());
        bytes.into()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// The folder and name of each operation.
fn operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPERATIONS.iter().map(|info| (info.method_name, info.name))
}

/// The names, without `.http`, of an operation's goldens that begin with `prefix`.
fn files(operation: &str, prefix: &str) -> Vec<String> {
    let entries =
        fs::read_dir(folder().join(operation)).unwrap_or_else(|error| panic!("{operation} has no goldens: {error}"));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| name.strip_suffix(".http").filter(|name| name.starts_with(prefix)).map(str::to_owned))
        .collect()
}

/// Headers as they are compared: without those that are not the operation's own, `Content-Length` only where we write it.
fn comparable(headers: &HeaderMap, left_out: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let kept = headers.iter().filter(|(name, _)| !left_out.contains(&name.as_str()));
    kept.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// Bodies as they are compared: JSON as values, and a policy as what its string holds.
fn json(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let mut value: Value = serde_json::from_slice(body).unwrap();
    if let Some(policy) = value.get_mut("policy")
        && let Some(text) = policy.as_str()
    {
        *policy = serde_json::from_str(text).unwrap();
    }
    value
}

fn assert_request(name: &str, golden: &Golden, written: &Request<Bytes>, shape: ShapeKind) {
    assert_eq!(written.method().as_str(), golden.first[0], "{name}");
    assert_eq!(written.uri().to_string(), golden.first[1], "{name}");
    // Host and the length of archive data are added by whoever sends the request.
    let left_out: &[&str] = if shape == ShapeKind::Upload { &["host", "content-length"] } else { &["host"] };
    assert_eq!(comparable(written.headers(), left_out), comparable(&golden.headers, left_out), "{name}");
    if shape != ShapeKind::Upload {
        assert_eq!(json(written.body()), json(&golden.body), "{name}");
    }
}

#[test]
fn every_operation_has_its_three_goldens() {
    for (operation, _) in operations() {
        for file in ["request", "response", "error"] {
            Golden::load(operation, file);
        }
    }
}

#[test]
fn what_a_server_reads_and_a_client_writes_is_the_golden() {
    for (folder, name) in operations() {
        for file in files(folder, "request").iter().filter(|file| !file.contains("-odd-")) {
            let golden = Golden::load(folder, file);
            let (uid, operation) = golden.read();
            assert_eq!(operation.info().name, name, "{folder}/{file}");
            assert_request(&format!("{folder}/{file}"), &golden, &operation.encode(uid), operation.info().shape);
        }
    }
}

/// Requests of other clients, and the golden each must be read as. The ones in `ROUTERS` are about the request line.
const ODD_REQUESTS: [(&str, &str, &str); 21] = [
    ("list_vaults", "request-odd-bare-marker", "request-minimal"),
    ("list_vaults", "request-odd-empty-marker", "request-minimal"),
    ("list_vaults", "request-odd-bare-slash", "request"),
    ("list_jobs", "request-odd-bare-marker", "request-minimal"),
    ("list_jobs", "request-odd-completed-capital", "?completed"),
    ("list_parts", "request-odd-bare-marker", "request-minimal"),
    ("list_multipart_uploads", "request-odd-bare-marker", "request-minimal"),
    ("set_vault_access_policy", "request-odd-capital-key", "request"),
    ("set_vault_access_policy", "request-odd-singular-resource", "?:vault/My.Vault-1"),
    ("set_vault_notification_configuration", "request-odd-event-string", "request-one-event"),
    ("set_vault_notification_configuration", "request-odd-event-blank", "request"),
    ("upload_archive", "request-odd-two-hosts", "request-minimal"),
    ("upload_archive", "request-odd-content-type-false", "request-minimal"),
    ("upload_archive", "request-odd-upper-case-hashes", "request-minimal"),
    ("upload_archive", "request-odd-latin-1-description", "?description"),
    ("initiate_job", "request-odd-type-blank", "request-push-to-cos-minimal"),
    ("initiate_job", "request-odd-limit-number", "request-inventory-retrieval"),
    ("initiate_job", "request-odd-empty-parameters", "request-inventory-retrieval-minimal"),
    ("initiate_job", "request-odd-open-range", "?range"),
    ("initiate_job", "request-odd-range-unit", "request-pull-from-cos"),
    ("initiate_job", "request-odd-unmodified-since", "request-pull-from-cos"),
];

/// Oddities of the request line, which the emulator's router undoes before the table is asked; its own tests read these files.
const ROUTERS: [&str; 3] = ["request-odd-absolute-form", "request-odd-trailing-slash", "request-odd-capital-output"];

/// What no server can read as meant.
const REFUSED: &str = "request-odd-raw-document";

#[test]
fn what_other_clients_send_is_read_as_meant() {
    for (folder, _) in operations() {
        let is_other = |file: &&String| ROUTERS.contains(&file.as_str()) || *file == REFUSED;
        for file in files(folder, "request").iter().filter(|file| file.contains("-odd-") && !is_other(file)) {
            let (_, operation) = Golden::load(folder, file).read();
            let written = operation.encode(Uid::Own);
            let text = format!("{:?} {:?} {:?}", written.uri(), written.headers(), written.body());
            let meant = match (folder, file.as_str()) {
                ("upload_part", _) => "request",
                ("get_job_output", "request-odd-range-open") => "?bytes=1-\"",
                ("get_job_output", "request-odd-range-suffix") => "?bytes=-3\"",
                _ => {
                    ODD_REQUESTS
                        .iter()
                        .find(|row| (row.0, row.1) == (folder, file))
                        .unwrap_or_else(|| panic!("{folder}/{file} is new"))
                        .2
                }
            };
            match meant {
                "?completed" => assert!(text.contains("completed=true"), "{text}"),
                "?description" => {
                    assert_eq!(written.headers()["x-cas-archive-description"].as_bytes(), "café".as_bytes())
                }
                "?range" => assert!(text.contains(r#"\"RetrievalByteRange\":\"4194304-\""#), "{text}"),
                other if other.starts_with('?') => assert!(text.contains(&other[1..]), "{text}"),
                other => assert_eq!(operation, Golden::load(folder, other).read().1, "{folder}/{file}"),
            }
        }
    }
}

#[test]
fn a_policy_that_is_the_body_itself_is_refused_as_documented() {
    let refusal = Golden::load("set_vault_access_policy", REFUSED).try_read().unwrap_err();
    assert_eq!(refusal, WireError::missing("policy"));
    let documented = error("set_vault_access_policy", "error-raw-document");
    assert_eq!(documented.message.as_deref(), Some(refusal.to_string().as_str()));
}

#[test]
fn what_a_client_reads_and_a_server_writes_is_the_golden() {
    for (folder, name) in operations() {
        for file in files(folder, "response").iter().filter(|file| !file.contains("-odd-")) {
            let (golden, label) = (Golden::load(folder, file), format!("{folder}/{file}"));
            let written = golden.rewritten(name);
            assert_eq!(written.status(), golden.status(), "{label}");
            // A body that is archive data, and the length of none, are added by whoever sends the answer.
            let archive_data = name == "GetJobOutput";
            let left_out: &[&str] = if archive_data || golden.body.is_empty() { &["content-length"] } else { &[] };
            assert_eq!(comparable(written.headers(), left_out), comparable(&golden.headers, left_out), "{label}");
            if !archive_data {
                assert_eq!(json(written.body()), json(&golden.body), "{label}");
            }
        }
    }
}

#[test]
fn answers_in_other_forms_are_read_as_meant() {
    for (folder, name) in operations() {
        for file in files(folder, "response").iter().filter(|file| file.contains("-odd-")) {
            let meant = match (folder, file.as_str()) {
                (_, file) if file.starts_with("response-odd-status-") => "response",
                ("describe_vault", "response-odd-missing-keys") => "response-before-inventory",
                ("describe_vault", "response-odd-null-last-inventory") => continue,
                ("list_multipart_uploads", "response-odd-part-size") => continue,
                ("list_vaults" | "list_jobs" | "list_parts" | "list_multipart_uploads", _) => "response-last",
                (
                    "describe_job",
                    "response-odd-action-slip"
                    | "response-odd-numbers-as-strings"
                    | "response-odd-inventory-missing-keys",
                ) => "response-inventory-retrieval",
                ("get_job_output", _) => continue,
                _ => "response",
            };
            let (odd, plain) =
                (Golden::load(folder, file).rewritten(name), Golden::load(folder, meant).rewritten(name));
            assert_eq!(json(odd.body()), json(plain.body()), "{folder}/{file}");
            // The length of the bodies just compared, and the request id's own oddity, are no difference.
            let left_out = &["content-length", "x-cas-requestid"];
            assert_eq!(comparable(odd.headers(), left_out), comparable(plain.headers(), left_out), "{folder}/{file}");
        }
    }
}

#[test]
fn a_vault_may_lack_only_its_inventory_date() {
    let written =
        json(Golden::load("describe_vault", "response-odd-null-last-inventory").rewritten("DescribeVault").body());
    let plain = json(Golden::load("describe_vault", "response").rewritten("DescribeVault").body());
    assert_eq!(written["LastInventoryDate"], Value::Null);
    assert_eq!(written["SizeInBytes"], plain["SizeInBytes"]);
}

#[test]
fn a_part_size_that_no_client_of_ours_would_choose_is_shown() {
    let list = UploadList::from_json(&Golden::load("list_multipart_uploads", "response-odd-part-size").body).unwrap();
    assert_eq!(list.uploads[0].part_size_in_bytes, 48 << 20);
    assert!(list.uploads[0].part_size().is_err());
}

#[test]
fn a_tree_hash_of_an_inventory_is_read_where_one_comes() {
    let written = Golden::load("get_job_output", "response-odd-inventory-tree-hash").rewritten("GetJobOutput");
    let plain = Golden::load("get_job_output", "response-inventory-json").rewritten("GetJobOutput");
    assert_eq!(written.headers()["x-cas-sha256-tree-hash"], TreeHash::of(b"hello").to_string());
    assert!(!plain.headers().contains_key("x-cas-sha256-tree-hash"));
}

#[test]
fn a_callback_is_what_describe_job_answers() {
    for file in files("describe_job", "response") {
        let body = Golden::load("describe_job", &file).body;
        let called = JobDescription::from_callback(&body).unwrap();
        assert_eq!(called.vault().unwrap().as_str(), "My.Vault-1", "{file}");
        assert_eq!(Ok(called), JobDescription::from_json(&body), "{file}");
    }
}

#[test]
fn the_request_id_is_found_under_any_spelling() {
    for file in ["response", "response-odd-lower-case-request-id"] {
        let written = Golden::load("describe_vault", file).rewritten("DescribeVault");
        assert_eq!(written.headers()["x-cas-requestId"], "ZtZhLV3kk9jTbCNFi9fVKoeiRB4CNVOSPmOn==", "{file}");
    }
}

#[test]
fn a_content_range_may_leave_the_total_unsaid() {
    for file in ["response-odd-content-range-star", "response-odd-content-range-bare"] {
        let written = Golden::load("get_job_output", file).rewritten("GetJobOutput");
        assert_eq!(written.headers()["content-range"], "bytes 1-3/*", "{file}");
    }
}

fn inventory(file: &str) -> Vec<InventoryEntry> {
    inventory_with_head(file).1
}

fn inventory_with_head(file: &str) -> (InventoryHead, Vec<InventoryEntry>) {
    let (golden, mut entries) = (Golden::load("get_job_output", file), Vec::new());
    let read = match file.contains("csv") {
        true => read_csv(&golden.body[..], |entry| entries.push(entry)),
        false => read_json(&golden.body[..], |entry| entries.push(entry)),
    };
    (read.unwrap_or_else(|error| panic!("{file}: {error}")), entries)
}

#[test]
fn an_inventory_says_of_which_vault_and_when() {
    for file in ["response-inventory-json", "response-odd-inventory-json"] {
        let head = inventory_with_head(file).0;
        assert_eq!(
            head.vault_qcs.as_deref(),
            Some("qcs:id/0:cas:ap-chengdu:uid/1250000000:vaults/My.Vault-1"),
            "{file}"
        );
        assert_eq!(head.date, "2024-03-01T00:00:00.000Z".parse().ok(), "{file}");
    }
    assert_eq!(inventory_with_head("response-inventory-csv").0, InventoryHead::default());
}

#[test]
fn inventories_are_read_in_every_form() {
    let entries = inventory("response-inventory-json");
    assert_eq!(entries.len(), 2);
    for file in ["response-inventory-csv", "response-odd-inventory-json", "response-odd-inventory-csv-other-order"] {
        assert_eq!(inventory(file), entries, "{file}");
    }
    let without_hashes: Vec<_> = entries
        .into_iter()
        .map(|entry| InventoryEntry::new(entry.archive_id, entry.creation_date, entry.size, None))
        .collect();
    let mut four = inventory("response-odd-inventory-csv-four-columns");
    four.iter_mut().for_each(|entry| entry.description.clear());
    assert_eq!(four, without_hashes);
}

#[test]
fn an_inventory_is_written_as_the_golden() {
    let golden: Value =
        serde_json::from_slice(&Golden::load("get_job_output", "response-inventory-json").body).unwrap();
    let written: Vec<Value> = inventory("response-inventory-json").iter().map(InventoryEntry::to_value).collect();
    assert_eq!(Value::Array(written), golden["ArchiveList"]);
}

fn error(folder: &str, file: &str) -> ServiceError {
    let golden = Golden::load(folder, file);
    ServiceError::read(golden.status(), &golden.headers, &golden.body)
}

#[test]
fn every_error_is_read_and_written_as_the_golden() {
    for (folder, _) in operations() {
        for file in files(folder, "error").iter().filter(|file| !file.contains("-odd-")) {
            let (error, golden) = (error(folder, file), Golden::load(folder, file));
            assert_eq!(json(&error.to_json()), json(&golden.body), "{folder}/{file}");
            assert!(error.request_id.is_some() && error.body_start.is_none(), "{folder}/{file}");
            let made = ServiceError::new(error.status, error.code.as_deref().unwrap(), error.message.clone().unwrap());
            assert_eq!(made.fault, error.fault, "{folder}/{file}");
        }
    }
}

#[test]
fn errors_in_other_forms_still_say_what_they_can() {
    let plain = error("describe_vault", "error");
    for file in ["error-odd-key-case", "error-odd-lower-case-request-id"] {
        assert_eq!(error("describe_vault", file), plain, "{file}");
    }
    let other_fault = error("describe_vault", "error-odd-type-case");
    assert_eq!(other_fault.code, plain.code);
    assert!(other_fault.fault.unwrap().eq_ignore_ascii_case("client"));
    for file in ["error-odd-empty", "error-odd-cut-json"] {
        let error = error("describe_vault", file);
        assert_eq!(
            (error.status, error.code, error.request_id),
            (plain.status, None, plain.request_id.clone()),
            "{file}"
        );
    }
    let draft = error("describe_vault", "error-odd-draft-code");
    assert_eq!((draft.status, draft.code.as_deref()), (StatusCode::BAD_REQUEST, Some("InvalidParameter")));
    let html = error("describe_vault", "error-odd-html");
    assert_eq!((html.status, html.code, html.request_id), (StatusCode::BAD_GATEWAY, None, None));
    assert!(html.body_start.unwrap().contains("<html"));
}

/// The codes of `docs/protocol.md` §6.2, with the status of each.
const CODES: [(&str, &str, u16); 16] = [
    (code::ACCESS_DENIED, "AccessDeniedException", 403),
    (code::BAD_REQUEST, "BadRequest", 400),
    (code::EXPIRED_TOKEN, "ExpiredTokenException", 403),
    (code::INSUFFICIENT_CAPACITY, "InsufficientCapacityException", 503),
    (code::INVALID_PARAMETER_VALUE, "InvalidParameterValueException", 400),
    (code::INVALID_SIGNATURE, "InvalidSignatureException", 400),
    (code::LIMIT_EXCEEDED, "LimitExceededException", 400),
    (code::MISSING_AUTHENTICATION_TOKEN, "MissingAuthenticationTokenException", 400),
    (code::MISSING_PARAMETER_VALUE, "MissingParameterValueException", 400),
    (code::POLICY_ENFORCED, "PolicyEnforcedException", 400),
    (code::REQUEST_TIMEOUT, "RequestTimeoutException", 408),
    (code::RESOURCE_NOT_FOUND, "ResourceNotFoundException", 404),
    (code::SERIALIZATION, "SerializationException", 400),
    (code::SERVICE_UNAVAILABLE, "ServiceUnavailableException", 500),
    (code::THROTTLING, "ThrottlingException", 400),
    (code::UNRECOGNIZED_CLIENT, "UnrecognizedClientException", 400),
];

#[test]
fn every_documented_code_has_a_golden_with_its_status() {
    let goldens =
        operations().flat_map(|(folder, _)| files(folder, "error").into_iter().map(move |file| (folder, file)));
    let errors: Vec<ServiceError> = goldens.map(|(folder, file)| error(folder, &file)).collect();
    for (constant, text, status) in CODES {
        assert_eq!(constant, text);
        assert!(errors.iter().any(|error| error.is(text) && error.status.as_u16() == status), "{status} {text}");
    }
}

/// The rows of `docs/protocol.md` §11, each with what pins the decision: goldens, or the vectors of the signer.
const CONFLICTS: [&[&str]; 24] = [
    &["../../crates/cas-sign/tests/vectors/sha256"],
    &["../../crates/cas-sign/tests/vectors/parameters-reading-a"],
    &["../../crates/cas-sign/tests/vectors/part-standard"],
    &["list_vaults/request-odd-bare-marker.http", "list_vaults/request-odd-empty-marker.http"],
    &["create_vault/response-odd-status-204.http", "upload_archive/response-odd-status-200.http"],
    &["set_vault_access_policy/request-odd-capital-key.http", "set_vault_access_policy/request-odd-raw-document.http"],
    &["set_vault_access_policy/request-odd-singular-resource.http"],
    &["set_vault_notification_configuration/request-odd-event-string.http"],
    &["describe_job/response-odd-callback-url-only.http", "describe_job/response-odd-job-callback-url-only.http"],
    &["describe_job/response-odd-action-slip.http"],
    &["initiate_job/request-odd-limit-number.http", "describe_job/response-odd-numbers-as-strings.http"],
    &["describe_job/response-odd-missing-keys.http", "list_parts/response-odd-null-description.http"],
    &["list_multipart_uploads/response-odd-part-size.http", "initiate_multipart_upload/error.http"],
    &["complete_multipart_upload/request-largest.http"],
    &["get_job_output/response-odd-inventory-tree-hash.http", "get_job_output/response-inventory-json.http"],
    &["get_job_output/response.http", "describe_job/response-failed.http"],
    &["get_job_output/request-odd-capital-output.http", "list_multipart_uploads/request-odd-trailing-slash.http"],
    &["initiate_job/request-pull-from-cos.http", "initiate_job/request-odd-unmodified-since.http"],
    &["get_job_output/response-inventory-csv.http", "get_job_output/response-odd-inventory-csv-four-columns.http"],
    &["list_multipart_uploads/response.http"],
    &["initiate_job/request.http", "initiate_job/request-push-to-cos.http"],
    &["initiate_job/request-pull-from-cos-minimal.http", "describe_job/response-pull-from-cos.http"],
    &["delete_archive/response.http", "delete_archive/response-odd-archive-id.http"],
    &["initiate_job/error-expedited-size.http"],
];

#[test]
fn every_conflict_of_the_sources_has_a_golden() {
    for (row, files) in (1..).zip(CONFLICTS) {
        for file in files {
            assert!(folder().join(file).exists(), "row {row} of §11: {file}");
        }
    }
}

/// A word, as the service's pages spell it, in both directions.
fn word<T: From<&'static str> + PartialEq + std::fmt::Debug + ToString>(value: T, text: &'static str) {
    assert_eq!(value.to_string(), text);
    assert_eq!(T::from(text), value);
}

#[test]
fn words_are_spelled_as_on_the_pages_of_the_service() {
    word(Tier::Expedited, "Expedited");
    word(Tier::Standard, "Standard");
    word(Tier::Bulk, "Bulk");
    word(JobStatus::InProgress, "InProgress");
    word(JobStatus::Succeeded, "Succeeded");
    word(JobStatus::Failed, "Failed");
    word(InventoryFormat::Json, "JSON");
    word(InventoryFormat::Csv, "CSV");
    word(NotificationEvent::ArchiveRetrievalCompleted, "ArchiveRetrievalCompleted");
    word(NotificationEvent::InventoryRetrievalCompleted, "InventoryRetrievalCompleted");
    word(NotificationEvent::PushToCosCompleted, "PushToCOSCompleted");
    word(NotificationEvent::PullFromCosCompleted, "PullFromCOSCompleted");
    word(JobAction::ArchiveRetrieval, "ArchiveRetrieval");
    word(JobAction::InventoryRetrieval, "InventoryRetrieval");
    word(JobAction::PushToCos, "PushToCOS");
    word(JobAction::PullFromCos, "PullFromCOS");
    word(Effect::Allow, "allow");
    word(Effect::Deny, "deny");
}
