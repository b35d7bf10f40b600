//! A call before it is made: an operation, its payload, and what the caller wants otherwise than the client's configuration says.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::id::{RequestId, Uid};
use crate::retry::RetryPolicy;
use crate::wire::{Operation, Shape};

/// A future in a box that may move to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request that waits to be sent: a value with setters. Await it, or call [`send`](Pending::send).
///
/// The optional fields of the operation are setters of the same names.
///
/// Cancel safety: dropping the future ends the call; whether the service acts on what was already sent is unknown.
#[must_use = "nothing is sent until it is awaited"]
pub struct Pending<C, O: Operation> {
    caller: C,
    pub(crate) operation: O,
    pub(crate) payload: <O::Shape as Shape>::Payload,
    options: CallOptions,
}

/// Whoever can make a call: the client of this crate, and the typed one above it.
pub trait Caller<O: Operation>: Clone + Send + 'static {
    /// What a call yields.
    type Output: Send;
    /// What it fails with.
    type Error: Send;

    /// Makes the call.
    fn call(self, call: Call<O>) -> BoxFuture<'static, Result<Self::Output, Self::Error>>;
}

/// Everything of one call.
#[non_exhaustive]
pub struct Call<O: Operation> {
    /// The operation.
    pub operation: O,
    /// The body of an upload; `()` otherwise.
    pub payload: <O::Shape as Shape>::Payload,
    /// What the caller wants otherwise.
    pub options: CallOptions,
}

impl<O: Operation> Call<O> {
    /// A call with its payload and options.
    pub fn new(operation: O, payload: <O::Shape as Shape>::Payload, options: CallOptions) -> Self {
        Call { operation, payload, options }
    }
}

/// What a caller wants otherwise than the client is configured, for one call.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// The account in the path.
    pub uid: Option<Uid>,
    /// The time limit for the whole call with its repeats.
    pub timeout: Option<Duration>,
    /// When to try again.
    pub retry: Option<RetryPolicy>,
    /// Headers besides the operation's own.
    pub headers: HeaderMap,
}

/// What a call took. The body of every answer has it: [`ResponseBody::report`](crate::ResponseBody::report).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallReport {
    /// The operation's name as the service spells it.
    pub operation: &'static str,
    /// How many requests were sent, or tried; at least 1.
    pub attempts: u32,
    /// How long it took from the call to the head of the answer, with all waits.
    pub elapsed: Duration,
    /// How much of that was waiting before a repeat.
    pub waited: Duration,
    /// The service's identifier of the last request.
    pub request_id: Option<RequestId>,
    /// What the answer means for the operation, where its status alone does not tell.
    pub outcome: Outcome,
}

/// What an answer means for the operation, where its status alone does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// What its status says.
    AsAnswered,
    /// Done, although the status is 404: the operation removes something, an earlier try may have reached the service, and now the thing
    /// is gone.
    AlreadyGone,
    /// Unknown: the operation is unsafe to repeat, and the answer, a 502 say, does not tell whether it happened.
    Unknown,
}

impl<C, O: Operation> Pending<C, O> {
    /// A call of this operation by this caller, with its payload: the body of an upload, `()` otherwise.
    pub fn new(caller: C, operation: O, payload: <O::Shape as Shape>::Payload) -> Self {
        Pending { caller, operation, payload, options: CallOptions::default() }
    }

    /// Acts on the vaults of another account, as its policies allow.
    pub fn uid(mut self, uid: impl Into<Uid>) -> Self {
        self.options.uid = Some(uid.into());
        self
    }

    /// Sets the time limit for the whole call with its repeats. It covers the head of the answer, and its body while that is read.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.timeout = Some(limit);
        self
    }

    /// Sets when to try again, for this call only.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.options.retry = Some(policy);
        self
    }

    /// Adds a header, in place of the operation's own if it has one of that name. It is signed as far as the client's signing options
    /// say. A header that belongs to the connection or the signature makes the call fail with
    /// [`ErrorKind::Config`](crate::ErrorKind::Config).
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.options.headers.insert(name, value);
        self
    }

    /// The operation as it stands.
    pub fn operation(&self) -> &O {
        &self.operation
    }

    /// The caller, and the call it would make.
    pub fn into_call(self) -> (C, Call<O>) {
        let Pending { caller, operation, payload, options } = self;
        (caller, Call { operation, payload, options })
    }

    /// What was set besides the operation.
    pub fn options(&self) -> &CallOptions {
        &self.options
    }

    /// Sends the request; the same as awaiting the value.
    ///
    /// # Errors
    ///
    /// What the caller fails with.
    pub async fn send(self) -> Result<C::Output, C::Error>
    where
        C: Caller<O>,
    {
        self.await
    }
}

impl<C: Caller<O>, O: Operation> IntoFuture for Pending<C, O> {
    type Output = Result<C::Output, C::Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let (caller, call) = self.into_call();
        caller.call(call)
    }
}

impl<C, O: Operation> fmt::Debug for Pending<C, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("operation", &self.operation)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<O: Operation> fmt::Debug for Call<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Header values are left out: a caller may have put anything there.
impl fmt::Debug for CallOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("CallOptions")
            .field("uid", &self.uid)
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .field("headers", &names)
            .finish()
    }
}
