//! The client: one connection pool, and the one loop that signs, sends and tries again.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cas_sign::{Key, SignError, Signer, TimeRange};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use crate::body::Body;
#[cfg(doc)]
use crate::call::CallReport;
use crate::call::{BoxFuture, Call, CallOptions, Caller, Outcome, Pending};
use crate::clock::{Clock, Lesson, Skew, judge_refusal, unix_seconds};
use crate::config::ClientBuilder;
use crate::credentials::{Cached, Credentials, ProvideCredentials};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Facts, TimeLimit};
use crate::error_body::code;
use crate::exchange::Exchange;
use crate::id::{Uid, VaultName};
use crate::observe::{Counters, Counts, add, attempt_span, log_request, millis, operation_span, record};
use crate::ops::{DescribeVault, Operation};
use crate::raw::Raw;
use crate::response_body::ResponseBody;
use crate::retry::{Budget, Cause, RetryPolicy, Verdict, judge, may_have_happened, retry_after};
use crate::run::{Ended, Run, look_into_error};
use crate::wire::{OperationInfo, Shape};

/// The low-level client: each operation is a method, and yields the service's answer.
///
/// An answer that is not a success is an answer too: look at its status, and read its body with
/// [`ServiceError::read`](crate::ServiceError::read). Redirects are not followed. The body of each answer has the
/// [`CallReport`] of its call.
///
/// A clone is the same client: it shares connections, credentials and the budget for repeats. Calls need a tokio runtime.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

/// What clones of a client share.
pub(crate) struct Shared {
    pub(crate) endpoint: Endpoint,
    pub(crate) account: Uid,
    pub(crate) credentials: Cached<Arc<dyn ProvideCredentials>>,
    pub(crate) signer: Signer,
    pub(crate) exchange: Exchange,
    pub(crate) retry: RetryPolicy,
    pub(crate) budget: Budget,
    pub(crate) jitter: Mutex<fastrand::Rng>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) skew: Skew,
    pub(crate) usual_headers: HeaderMap,
    pub(crate) proxy_authorization: Option<HeaderValue>,
    pub(crate) counts: Arc<Counts>,
}

mod methods {
    use super::Client;
    use crate::document::{AccessPolicy, JobParameters, NotificationConfiguration};
    use crate::id::{ArchiveId, JobId, UploadId, VaultName};
    use crate::range::{ArchiveSize, PartRange, PartSize};
    use cas_treehash::{ContentSha256, TreeHash};

    crate::operations!(client_methods Client);
}

impl Client {
    /// Begins to configure a client.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// A client configured by environment variables: see [`ClientBuilder::environment`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when neither an endpoint nor a region is named, or a variable makes no sense.
    pub fn from_env() -> Result<Self, Error> {
        Client::builder().environment(&crate::credentials::Environment::of_process()).build()
    }

    /// Where the service is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// The account in the path of requests that name no other.
    #[must_use]
    pub fn account(&self) -> Uid {
        self.shared.account
    }

    /// A request that stands in no row of the table: see [`Raw`]. Await the value to send it.
    ///
    /// # Examples
    ///
    /// The tags of a vault, which the service drafted and no SDK has:
    ///
    /// ```
    /// # #[cfg(feature = "test-util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use cas_http::test_util::{Script, ScriptedServer};
    /// # use cas_http::{Client, Credentials};
    /// use cas_http::{Raw, ServiceError};
    /// use http::Method;
    /// # let server = ScriptedServer::start([Script::answer(200, &[], r#"{"Tags":{"year":"2026"}}"#)]).await?;
    /// # let credentials = Credentials::new("example-secret-id", "example-secret-key")?;
    /// # let client = Client::builder().endpoint(server.endpoint()).credentials(credentials).build()?;
    ///
    /// let answer = client.raw(Raw::new(Method::GET, "vaults/photos/tags")?).await?;
    /// let (head, body) = answer.into_parts();
    /// let body = body.bytes(64 << 10).await?; // at most 64 KiB; more is an error
    /// if !head.status.is_success() {
    ///     return Err(ServiceError::read(head.status, &head.headers, &body).into());
    /// }
    /// assert_eq!(body, r#"{"Tags":{"year":"2026"}}"#);
    /// # assert_eq!(server.received()[0].line(), "GET /-/vaults/photos/tags HTTP/1.1");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "test-util"))]
    /// # fn main() {}
    /// ```
    pub fn raw(&self, request: Raw) -> Pending<Client, Raw> {
        Pending::new(self.clone(), request, None)
    }

    /// What the client and its clones have done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counts.snapshot()
    }
}

impl<O: Operation> Caller<O> for Client {
    type Output = Response<ResponseBody>;
    type Error = Error;

    fn call(self, call: Call<O>) -> BoxFuture<'static, Result<Self::Output, Error>> {
        let Call { operation, payload, options } = call;
        let uid = options.uid.unwrap_or(self.shared.account);
        let request = operation.encode(uid).map(|document| O::Shape::body(payload, document));
        match self.shared.prepare(operation.info(), operation.vault().cloned(), uid, request, options) {
            Ok(mut run) => Box::pin(async move {
                let span = operation_span(run.info, run.vault.as_ref(), &run.head);
                // Pinned where it is: it is large, and a span would move it.
                let running = pin!(self.shared.run(&mut run));
                running.instrument(span).await
            }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.shared.endpoint.to_string())
            .field("account", &self.shared.account)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn prepare(
        &self,
        info: &'static OperationInfo,
        vault: Option<VaultName>,
        uid: Uid,
        request: Request<Body>,
        options: CallOptions,
    ) -> Result<Run, Error> {
        let (mut head, body) = request.into_parts();
        // The length of its document is an operation's own to set.
        let own = head.headers.keys().filter(|&name| name != header::CONTENT_LENGTH);
        if let Some(name) = own.chain(options.headers.keys()).find(|name| is_reserved(name)) {
            let what = format!("the header {name} belongs to the connection or the signature and cannot be set");
            let facts = Facts { operation: Some(info.name), vault, ..Facts::default() };
            return Err(Error::config(what).with_facts(facts));
        }
        // Even for none it would make room.
        if !options.headers.is_empty() {
            head.headers.extend(options.headers);
        }
        Ok(Run {
            info,
            vault,
            uid,
            head,
            body_len: body.len(),
            body: Some(body),
            policy: options.retry.unwrap_or(self.retry),
            limit: options.timeout.or(self.exchange.timeouts.operation),
            started: None,
            deadline: None,
            attempts: 0,
            waited: Duration::ZERO,
            request_id: None,
            reached: false,
            spent: None,
            skew: 0,
            signed_for_clock: false,
            refreshed: false,
        })
    }

    /// The head of one try: the call's own with the headers of the connection, which take the place of its own. The URI is path and query.
    fn complete(&self, own: &Parts, body_len: u64) -> Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = own.method.clone();
        head.uri = own.uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
        head.headers = self.usual_headers.clone();
        for (name, value) in &own.headers {
            if name != header::CONTENT_LENGTH && !self.usual_headers.contains_key(name) {
                head.headers.append(name, value.clone());
            }
        }
        if body_len > 0 || head.method == Method::PUT || head.method == Method::POST {
            head.headers.insert(header::CONTENT_LENGTH, body_len.into());
        }
        head
    }

    /// The loop: try, judge, wait, try again.
    async fn run(&self, run: &mut Run) -> Result<Response<ResponseBody>, Error> {
        add(&self.counts.calls, 1);
        run.begin();
        loop {
            // What comes after a try is in a box: most calls do without it, and need not carry the room for it.
            let repeating = {
                let ended = self.attempt(run).await?;
                if self.learn(run, &ended) && run.may_repeat() {
                    continue;
                }
                let verdict = judge(run.info.repeat, ended.as_ending(), run.reached);
                run.reached |= may_have_happened(ended.as_ending());
                let cause = match verdict {
                    Verdict::Stands(outcome) => {
                        if matches!(ended, Ended::Answer(..)) && outcome != Outcome::Unknown {
                            self.budget.give(run.spent.unwrap_or(1));
                        }
                        return run.finish(ended, outcome);
                    }
                    Verdict::Repeat(cause) => cause,
                };
                let Some(wait) = self.wait_before_repeat(run, cause, &ended) else {
                    return run.finish(ended, Outcome::AsAnswered);
                };
                tracing::warn!(
                    rpc.method = run.info.name,
                    attempt = run.attempts,
                    reason = %ended.reason(),
                    wait_ms = millis(wait),
                    "trying again",
                );
                let asks = ended.calls_for_a_question(run);
                Box::pin(self.wait_and_ask(run, wait, asks))
            };
            if let Some(refusal) = repeating.await {
                return run.finish(refusal, Outcome::AsAnswered);
            }
        }
    }

    /// Waits for the next try, and asks a question first if that is called for. The answer, if it speaks against the try.
    async fn wait_and_ask(&self, run: &mut Run, wait: Duration, asks: bool) -> Option<Ended> {
        tokio::time::sleep(wait).await;
        run.waited += wait;
        if asks { self.probe(run).await } else { None }
    }

    /// One try, with credentials and a signature of its own.
    async fn attempt(&self, run: &mut Run) -> Result<Ended, Error> {
        run.skew = self.skew.seconds();
        let mut request = {
            let (credentials, now) = self.credentials(run.deadline).await.map_err(|error| run.failed(error))?;
            let head = self.finish(&run.head, run.body_len, &credentials, now).map_err(|error| run.failed(error))?;
            Request::from_parts(head, run.take_body())
        };
        run.attempts += 1;
        if run.attempts > 1 {
            add(&self.counts.retries, 1);
        }
        let span = attempt_span(run.info, &self.endpoint, &request, run.attempts);
        let ended = self.send(&mut request, run.deadline, &span).await;
        run.note_request_id(&ended);
        Ok(ended)
    }

    /// Sends a request, of which an empty one remains: whoever waits for an answer need not carry it.
    async fn send(&self, request: &mut Request<Body>, deadline: Option<Instant>, span: &Span) -> Ended {
        add(&self.counts.requests, 1);
        log_request(span, request);
        // Pinned where it is: it is large, and a span would move it.
        let sending = pin!(self.exchange.send(request, deadline, &self.counts));
        let looking = match sending.instrument(span.clone()).await {
            Ok(answer) if !answer.status().is_success() => look_into_error(answer, self.exchange.timeouts.head),
            sent => {
                let ended = sent.map_or_else(Ended::Failure, |answer| Ended::Answer(answer, None));
                record(span, &ended);
                return ended;
            }
        };
        // In a box, as most answers do without it.
        let ended = Box::pin(looking).instrument(span.clone()).await;
        record(span, &ended);
        ended
    }

    /// The credentials to sign with, and the time at which they do.
    async fn credentials(&self, deadline: Option<Instant>) -> Result<(Credentials, SystemTime), Error> {
        let now = self.clock.now();
        match self.credentials.held(now) {
            Some(held) => Ok((held, now)),
            // In a box: most tries do without it, and need not carry the room for it.
            None => Ok((Box::pin(self.fetch_credentials(deadline)).await?, self.clock.now())),
        }
    }

    async fn fetch_credentials(&self, deadline: Option<Instant>) -> Result<Credentials, Error> {
        let providing = self.credentials.provide();
        let provided = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, providing).await.map_err(|_| {
                Error::new(
                    ErrorKind::Timeout(TimeLimit::Deadline),
                    "the call's time was up before there were credentials",
                )
            })?,
            None => providing.await,
        };
        provided.map_err(|error| {
            Error::new(ErrorKind::Credentials, "there are no credentials to sign with").with_source(error)
        })
    }

    /// The head of one try with what every request has, the signature last. That is valid from a minute ago, for clocks that are a little off, and long enough for
    /// the body to arrive at 64 KiB a second.
    fn finish(&self, own: &Parts, body_len: u64, credentials: &Credentials, now: SystemTime) -> Result<Parts, Error> {
        let mut head = self.complete(own, body_len);
        let now = unix_seconds(self.skew.adjust(now));
        let sign_time = sign_time(now, 1200 + body_len / (64 << 10), credentials);
        self.signer.sign_parts(&mut head, credentials, sign_time).map_err(cannot_sign)?;
        if let Some(authorization) = &self.proxy_authorization {
            head.headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        Ok(head)
    }

    /// Learns from an answer that refuses the signature or the credentials. `true` when it is worth signing once more.
    fn learn(&self, run: &mut Run, ended: &Ended) -> bool {
        let Ended::Answer(answer, Some(code)) = ended else { return false };
        match &**code {
            code::INVALID_SIGNATURE => {
                let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
                let server = date.and_then(|date| httpdate::parse_http_date(date).ok());
                let lesson = judge_refusal(run.skew, self.clock.now(), server, run.signed_for_clock);
                run.signed_for_clock = true;
                match lesson {
                    Lesson::Nothing => false,
                    Lesson::Forget => {
                        self.skew.set(0);
                        false
                    }
                    Lesson::Adjust(seconds) => {
                        tracing::warn!(seconds, "the signature was refused; signing once more by the service's clock");
                        self.skew.set(seconds);
                        true
                    }
                }
            }
            code::EXPIRED_TOKEN | code::UNRECOGNIZED_CLIENT => {
                self.credentials.forget();
                !std::mem::replace(&mut run.refreshed, true) && &**code == code::EXPIRED_TOKEN
            }
            _ => false,
        }
    }

    /// How long to wait before the next try; `None` when there is to be none.
    fn wait_before_repeat(&self, run: &mut Run, cause: Cause, ended: &Ended) -> Option<Duration> {
        if !run.may_repeat() {
            return None;
        }
        let named = match ended {
            Ended::Answer(answer, _) => answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()),
            Ended::Failure(_) => None,
        };
        let named = named.and_then(|value| retry_after(value, self.skew.adjust(self.clock.now())));
        let chance = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).f64();
        let wait = run.policy.wait(cause, run.attempts, chance, named)?;
        if run.deadline.is_some_and(|deadline| Instant::now() + wait >= deadline) {
            return None;
        }
        // The question before a repeat is a request, too.
        let requests = if ended.calls_for_a_question(run) { 2 } else { 1 };
        let cost = requests * Budget::cost(cause);
        let paid = self.budget.take(cost);
        run.spent = Some(cost);
        paid.then_some(wait)
    }

    /// Asks something small before a large body is sent once more: a service that refuses an upload may close the connection before its
    /// answer is read, and would do so again. The answer, if it refuses the upload as well and nothing is learned from it.
    async fn probe(&self, run: &mut Run) -> Option<Ended> {
        let (own, _) = DescribeVault::new(run.vault.as_ref()?).encode(run.uid).into_parts();
        run.skew = self.skew.seconds();
        let (credentials, now) = self.credentials(run.deadline).await.ok()?;
        let head = self.finish(&own, 0, &credentials, now).ok()?;
        let mut request = Request::from_parts(head, Body::empty());
        let span = attempt_span(DescribeVault::INFO, &self.endpoint, &request, 1);
        let ended = self.send(&mut request, run.deadline, &span).await;
        if self.learn(run, &ended) {
            return None;
        }
        let Ended::Answer(answer, code) = &ended else { return None };
        let refuses = matches!(
            code.as_deref(),
            Some(
                code::INVALID_SIGNATURE
                    | code::EXPIRED_TOKEN
                    | code::UNRECOGNIZED_CLIENT
                    | code::MISSING_AUTHENTICATION_TOKEN
            )
        );
        let no_vault = answer.status() == StatusCode::NOT_FOUND && code.as_deref() == Some(code::RESOURCE_NOT_FOUND);
        if !(refuses || no_vault) {
            return None;
        }
        run.note_request_id(&ended);
        Some(ended)
    }
}

/// The headers that all requests of a client have. The signature is another in each, but has its place here, so that a copy need not grow for it.
pub(crate) fn usual_headers(host: HeaderValue, user_agent: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([
        (header::HOST, host),
        (header::USER_AGENT, user_agent),
        (header::ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        (header::AUTHORIZATION, HeaderValue::from_static("")),
    ])
}

/// When a request signed now may be made. A signing key that was handed on may not last as long as we would like.
fn sign_time(now: u64, life: u64, credentials: &Credentials) -> TimeRange {
    let wanted = TimeRange::around(now, 60, life);
    let Key::Signing(key) = credentials.key() else { return wanted };
    let key_time = key.key_time();
    // When they have nothing in common the signer says so.
    TimeRange::new(wanted.start().max(key_time.start()), wanted.end().min(key_time.end())).unwrap_or(wanted)
}

fn cannot_sign(error: SignError) -> Error {
    Error::new(ErrorKind::Sign, "the request could not be signed").with_source(error)
}

/// Whether a header is ours to set.
fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [HeaderName; 10] = [
        header::AUTHORIZATION,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::HOST,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    RESERVED.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_goes_where_its_caller_goes() {
        const fn is_shared<T: Clone + Send + Sync + 'static>() {}
        const { is_shared::<Client>() };
    }

    #[test]
    fn a_key_that_was_handed_on_shortens_the_sign_time() {
        let broker = Credentials::new("id", "key").unwrap();
        assert_eq!(sign_time(1000, 1200, &broker), TimeRange::new(940, 2200).unwrap());
        let key = |start, end| {
            let time = TimeRange::new(start, end).unwrap();
            Credentials::delegated("id", broker.signing_key(cas_sign::Algorithm::Sha1, time).unwrap()).unwrap()
        };
        assert_eq!(sign_time(1000, 1200, &key(990, 1500)), TimeRange::new(990, 1500).unwrap());
        assert_eq!(sign_time(1000, 1200, &key(1, 2)), TimeRange::new(940, 2200).unwrap());
    }
}
