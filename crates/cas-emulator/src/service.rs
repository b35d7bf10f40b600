//! From a request to its answer: who signed it, what it asks for, whether that is allowed, and then the operation itself.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use cas_http::header::{CONTENT_RANGE, CONTENT_TYPE, X_CAS_REQUEST_ID, X_CAS_SHA256_TREE_HASH};
use cas_http::ops::{AnyOperation, route};
use cas_http::wire::{OperationInfo, ShapeKind, query_pairs};
use cas_http::{AppId, RequestId, TreeHash, Uid, VaultName};
use http::header::{CONNECTION, DATE, EXPECT, RANGE, SERVER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tokio::task::JoinSet;

use crate::auth::{Accounts, Caller};
use crate::body::{AnswerBody, RequestBody, Stop};
use crate::clock::Clock;
use crate::cos::Cos;
use crate::counters::{Counters, Counting};
use crate::failure::{Failure, Outcome};
use crate::faults::{Fault, Faults};
use crate::handlers::receive::Receiving;
use crate::handlers::{Scope, access_policy, archive, job, multipart, notification, vault};
use crate::ids::Ids;
use crate::jobs::{self, Jobs};
use crate::notify::Notifier;
use crate::policy::{self, Attempt};
use crate::server::{Closing, FAREWELL};
use crate::settings::Settings;
use crate::store::{Store, vaults};
use crate::tolerance::{self, Seen};

/// The service: everything that is needed to answer requests, whatever connection they come on.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) settings: Settings,
    pub(crate) accounts: Accounts,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) faults: Faults,
    pub(crate) cos: Cos,
    pub(crate) notifier: Notifier,
    pub(crate) jobs: Jobs,
    pub(crate) receiving: Receiving,
    pub(crate) counting: Counting,
    /// What runs besides the connections; it ends with the emulator.
    pub(crate) background: Mutex<JoinSet<()>>,
}

/// How much of an unread body is still read, so that the connection can be used for the next request.
const SMALL_REST: u64 = 64 << 10;

/// How many headers a request may have.
const HEADERS: usize = 100;

impl Service {
    /// Runs something besides the connections.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut background = self.background.lock().unwrap_or_else(PoisonError::into_inner);
        while background.try_join_next().is_some() {}
        background.spawn(task);
    }

    /// Ends what runs besides the connections, and waits until it has, unless that takes too long.
    pub(crate) async fn stop_background(&self) {
        let mut background = std::mem::take(&mut *self.background.lock().unwrap_or_else(PoisonError::into_inner));
        if tokio::time::timeout(FAREWELL, background.shutdown()).await.is_err() {
            tracing::warn!("something in the background does not end");
        }
    }

    /// Ends what runs besides the connections, some time soon.
    pub(crate) fn abort_background(&self) {
        self.background.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// What was done so far.
    pub(crate) fn counters(&self) -> Counters {
        let (reports_delivered, reports_given_up) = self.notifier.counts();
        Counters { faults: self.faults.fired(), reports_delivered, reports_given_up, ..self.counting.so_far() }
    }

    /// What the resource names of an account's vaults begin with.
    pub(crate) fn qcs_prefix(&self, owner: AppId) -> String {
        format!("qcs:id/0:cas:{}:uid/{owner}:vaults/", self.settings.region)
    }

    /// The resource name of a vault.
    pub(crate) fn qcs(&self, owner: AppId, vault: &VaultName) -> String {
        self.qcs_prefix(owner) + vault.as_str()
    }

    /// The path of a vault, always with the account's number.
    pub(crate) fn vault_path(&self, owner: AppId, vault: &VaultName) -> String {
        format!("/{owner}/vaults/{vault}")
    }

    /// Answers a request, or says that the connection is to be closed without an answer. `closing` is told how, when it is to be closed.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        address: IpAddr,
        closing: &Arc<Closing>,
    ) -> Result<Response<AnswerBody>, HungUp> {
        self.counting.request();
        let request_id = self.ids.request_id();
        let (head, body) = request.into_parts();
        let mut body = RequestBody::new(body, self.settings.limits.body_silence);
        let mut answer = match self.work(&head, &mut body, address, closing).await {
            Ok(answer) => answer,
            Err(Stop::Failure(failure)) => {
                tracing::debug!(%request_id, method = %head.method, path = head.uri.path(), ?failure, "refused");
                self.counting.refusal();
                refusal(&failure)
            }
            Err(Stop::HangUp) => return Err(HungUp),
        };
        // Bytes that may or may not be the next request make the connection unusable, and whoever waits to be told to go on with a body
        // must not be told so now.
        let unusable = self.excess(&head).is_some()
            || [TRANSFER_ENCODING, EXPECT].iter().any(|name| head.headers.contains_key(name)) && !body.is_finished();
        if unusable || !body.drain(SMALL_REST).await {
            closing.unread.store(true, Ordering::SeqCst);
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.finish(&mut answer, &request_id);
        Ok(answer)
    }

    /// Adds what every answer carries.
    fn finish(&self, answer: &mut Response<AnswerBody>, request_id: &RequestId) {
        let headers = answer.headers_mut();
        if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
            headers.insert(X_CAS_REQUEST_ID, value);
        }
        if let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(self.clock.signing_now().into())) {
            headers.insert(DATE, value);
        }
        headers.insert(SERVER, HeaderValue::from_static("cas-emulator"));
    }

    /// What a head has more of than it may have. It was read all the same, up to twice as many bytes.
    fn excess(&self, head: &Parts) -> Option<String> {
        if head.headers.len() > HEADERS {
            return Some(format!("head: more than {HEADERS} headers"));
        }
        let headers = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
        let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let most = self.settings.limits.head_size;
        (target + headers.sum::<usize>() > most).then(|| format!("head: longer than {most} bytes"))
    }

    async fn work(
        self: &Arc<Self>,
        head: &Parts,
        body: &mut RequestBody,
        address: IpAddr,
        closing: &Arc<Closing>,
    ) -> Result<Response<AnswerBody>, Stop> {
        if let Some(why) = self.excess(head) {
            return Err(Failure::bad_request(why).into());
        }
        check_framing(head)?;
        let caller = self.accounts.authenticate(head, self.clock.signing_now())?;
        let (info, path) = find_operation(&head.method, head.uri.path())?;
        check_duplicates(head)?;
        let document = match info.shape {
            ShapeKind::Upload => Default::default(),
            _ => body.collect(self.settings.limits.document_size).await?,
        };
        let query = head.uri.query().unwrap_or_default();
        let (uid, operation) =
            AnyOperation::read(info, &path, query, &head.headers, &document).map_err(Failure::from)?;
        if !self.settings.refused.is_empty() {
            let (verified, written) = (&caller.verified, &operation.encode(uid));
            self.check_tolerances(&Seen { head, info, path: &path, verified, body: &document, written })?;
        }
        let owner = self.authorise(&caller, uid, &operation, address).await?;

        self.counting.operation(info.name);
        let fault = self.faults.strike(info.name, operation.vault());
        match &fault {
            Some(Fault::Answer { status, code, message }) => {
                return Err(Failure::new(*status, code, message.as_str()).into());
            }
            Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
            Some(Fault::CutRequest { after }) if document.len() as u64 >= *after => return Err(Stop::HangUp),
            Some(Fault::CutRequest { after }) => body.set_fuse(*after),
            _ => {}
        }
        if shows_jobs_or_totals(&operation) {
            // What could not be done was logged, and is no reason to refuse a look at the rest: who reads minds what has expired.
            let _all_done = jobs::keep_house(self).await;
        }
        let scope = Scope { owner, now: self.clock.now() };
        let mut answer = self.dispatch(scope, operation, head, body).await?;
        match fault {
            Some(Fault::LoseAnswer) => return Err(Stop::HangUp),
            Some(Fault::CutAnswer { after }) => answer.body_mut().set_cut(after, closing.clone()),
            Some(Fault::FlipByte { at }) => answer.body_mut().set_flip(at),
            Some(Fault::WrongTreeHash) => spoil_tree_hash(&mut answer),
            _ => {}
        }
        Ok(answer)
    }

    fn check_tolerances(&self, seen: &Seen<'_>) -> Outcome<()> {
        match tolerance::first_refused(&self.settings.refused, seen) {
            Some(tolerance) => {
                Err(Failure::invalid(format!("tolerance {} is off: {}", tolerance.number, tolerance.what)))
            }
            None => Ok(()),
        }
    }

    /// Whose vaults the request is about, if the caller may do that with them: one's own, or one whose policy allows it.
    async fn authorise(&self, caller: &Caller, uid: Uid, operation: &AnyOperation, address: IpAddr) -> Outcome<AppId> {
        let owner = match uid {
            Uid::Own => return Ok(caller.account.app_id()),
            Uid::App(owner) if owner == caller.account.app_id() => return Ok(owner),
            Uid::App(owner) => owner,
        };
        let denied =
            || Failure::denied(format!("the account {owner} does not allow this to {}", caller.account.app_id()));
        let Some(name) = operation.vault().filter(|_| opens_to_others(operation)).cloned() else {
            return Err(denied());
        };
        // A vault that does not exist and one that is closed look the same from outside.
        let policy = {
            let name = name.clone();
            let found = self.store.read(move |tx| vaults::find(tx, owner, &name)).await?;
            found.and_then(|vault| vault.policy).ok_or_else(denied)?
        };
        let attempt = Attempt {
            uin: caller.account.owner(),
            action: operation.info().name,
            region: &self.settings.region,
            owner,
            vault: name.as_str(),
            address,
            now: self.clock.now(),
        };
        if policy::allows(&policy, &attempt) { Ok(owner) } else { Err(denied()) }
    }

    async fn dispatch(
        &self,
        scope: Scope,
        operation: AnyOperation,
        head: &Parts,
        body: &mut RequestBody,
    ) -> Result<Response<AnswerBody>, Stop> {
        let answer = match operation {
            AnyOperation::UploadArchive(operation) => {
                return archive::upload(self, scope, operation, &head.headers, body).await;
            }
            AnyOperation::UploadPart(operation) => {
                return multipart::upload_part(self, scope, operation, &head.headers, body).await;
            }
            AnyOperation::CreateVault(operation) => vault::create(self, scope, operation).await,
            AnyOperation::DeleteVault(operation) => vault::delete(self, scope, operation).await,
            AnyOperation::DescribeVault(operation) => vault::describe(self, scope, operation).await,
            AnyOperation::ListVaults(operation) => vault::list(self, scope, operation).await,
            AnyOperation::SetVaultAccessPolicy(operation) => access_policy::set(self, scope, operation).await,
            AnyOperation::GetVaultAccessPolicy(operation) => access_policy::get(self, scope, operation).await,
            AnyOperation::DeleteVaultAccessPolicy(operation) => access_policy::delete(self, scope, operation).await,
            AnyOperation::SetVaultNotificationConfiguration(operation) => {
                notification::set(self, scope, operation).await
            }
            AnyOperation::GetVaultNotifications(operation) => notification::get(self, scope, operation).await,
            AnyOperation::DeleteVaultNotifications(operation) => notification::delete(self, scope, operation).await,
            AnyOperation::DeleteArchive(operation) => archive::delete(self, scope, operation).await,
            AnyOperation::InitiateMultipartUpload(operation) => multipart::initiate(self, scope, operation).await,
            AnyOperation::CompleteMultipartUpload(operation) => multipart::complete(self, scope, operation).await,
            AnyOperation::AbortMultipartUpload(operation) => multipart::abort(self, scope, operation).await,
            AnyOperation::ListParts(operation) => multipart::list_parts(self, scope, operation).await,
            AnyOperation::ListMultipartUploads(operation) => multipart::list(self, scope, operation).await,
            AnyOperation::InitiateJob(operation) => job::initiate(self, scope, operation).await,
            AnyOperation::DescribeJob(operation) => job::describe(self, scope, operation).await,
            AnyOperation::ListJobs(operation) => job::list(self, scope, operation).await,
            AnyOperation::GetJobOutput(operation) => job::output(self, scope, operation).await,
            other => Err(Failure::bad_request(format!("{} is not known here", other.info().name))),
        };
        Ok(answer?)
    }
}

/// A connection that is to be closed without an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is closed without an answer")
    }
}

impl std::error::Error for HungUp {}

/// Bodies come with their length. Chunks are refused, and so is a request that could be read in two ways.
fn check_framing(head: &Parts) -> Outcome<()> {
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return Err(Failure::missing("content-length"));
    }
    Ok(())
}

/// The operation of a method and path, and the path as the table spells it. Two spellings of old pages are taken too.
fn find_operation<'p>(method: &Method, path: &'p str) -> Outcome<(&'static OperationInfo, Cow<'p, str>)> {
    let old_output = path.strip_suffix("/Output").map(|job| format!("{job}/output").into());
    let old_uploads = path.strip_suffix('/').filter(|path| path.ends_with("/multipart-uploads")).map(Cow::Borrowed);
    let spellings = [Some(Cow::Borrowed(path)), old_output, old_uploads];
    for path in spellings.into_iter().flatten() {
        if let Some(info) = route(method, &path) {
            return Ok((info, path));
        }
    }
    if cas_http::OPERATIONS.iter().any(|info| info.matches(&info.method, path)) {
        Err(Failure::bad_request(format!("no operation answers to {method} on this path")))
    } else {
        Err(Failure::not_found("operation"))
    }
}

/// A name that is given twice could be read in two ways, whatever was signed.
fn check_duplicates(head: &Parts) -> Outcome<()> {
    let counts = |name: &HeaderName| name.as_str().starts_with("x-cas-") || *name == RANGE || *name == CONTENT_RANGE;
    for name in head.headers.keys().filter(|name| counts(name)) {
        if head.headers.get_all(name).iter().count() > 1 {
            return Err(Failure::invalid(format!("{name}: given more than once")));
        }
    }
    let mut names: Vec<String> =
        query_pairs(head.uri.query().unwrap_or_default()).into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::invalid(format!("{}: given more than once", pair[0]))),
        None => Ok(()),
    }
}

/// What other accounts can be allowed to do. The service's pages leave out multipart uploads, policies and notifications.
fn opens_to_others(operation: &AnyOperation) -> bool {
    matches!(
        operation,
        AnyOperation::DeleteVault(_)
            | AnyOperation::DescribeVault(_)
            | AnyOperation::UploadArchive(_)
            | AnyOperation::DeleteArchive(_)
            | AnyOperation::InitiateJob(_)
            | AnyOperation::DescribeJob(_)
            | AnyOperation::ListJobs(_)
            | AnyOperation::GetJobOutput(_)
    )
}

/// Operations whose answer changes when a job's time has come.
fn shows_jobs_or_totals(operation: &AnyOperation) -> bool {
    matches!(
        operation,
        AnyOperation::DescribeVault(_)
            | AnyOperation::ListVaults(_)
            | AnyOperation::DeleteArchive(_)
            | AnyOperation::DescribeJob(_)
            | AnyOperation::ListJobs(_)
            | AnyOperation::GetJobOutput(_)
    )
}

fn refusal(failure: &Failure) -> Response<AnswerBody> {
    let body = failure.to_service_error().to_json();
    let mut answer = Response::new(AnswerBody::from(bytes::Bytes::from(body)));
    *answer.status_mut() = failure.status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(size) = failure.output_size
        && let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}"))
    {
        answer.headers_mut().insert(CONTENT_RANGE, value);
    }
    answer
}

/// Puts the tree hash of other bytes into the head.
fn spoil_tree_hash(answer: &mut Response<AnswerBody>) {
    if let Ok(value) = HeaderValue::from_str(&TreeHash::of(b"other bytes").to_string())
        && answer.headers().contains_key(X_CAS_SHA256_TREE_HASH)
    {
        answer.headers_mut().insert(X_CAS_SHA256_TREE_HASH, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_request_line_in_the_goldens_are_routed() {
        for (golden, name) in [
            ("list_vaults/request-odd-absolute-form", "ListVaults"),
            ("list_multipart_uploads/request-odd-trailing-slash", "ListMultipartUploads"),
            ("get_job_output/request-odd-capital-output", "GetJobOutput"),
        ] {
            let file = format!("{}/../../tests/golden/{golden}.http", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(file).unwrap();
            let words: Vec<&str> = text.lines().next().unwrap().split(' ').collect();
            let target: http::Uri = words[1].parse().unwrap();
            let (info, path) =
                find_operation(&words[0].parse().unwrap(), target.path()).unwrap_or_else(|_| panic!("{golden}"));
            assert!(info.matches(&info.method, &path), "{golden}");
            assert_eq!(info.name, name, "{golden}");
        }
    }
}
