//! The typed client: the same 22 methods as the low-level one, with typed outputs and errors.

use bytes::Bytes;
use cas_http::client_methods;
use cas_http::document::{AccessPolicy, JobParameters, NotificationConfiguration};
use cas_http::header::X_CAS_REQUEST_ID;
use cas_http::wire::{Plain, Shape, Upload};
use cas_http::{
    ArchiveId, ArchiveSize, BoxFuture, Call, Caller, Client, ContentSha256, JobId, Outcome, PartRange, PartSize,
    ResponseBody, ServiceError, TreeHash, UploadId, VaultName, WireError,
};
use http::{HeaderMap, Response, StatusCode};

use crate::error::{Context, Error};
use crate::wire::{Answer, Output};

/// The typed client. Cheap to clone; clones share one pool of connections and one budget of repeats.
///
/// The optional fields of an operation are setters on the value a method returns; awaiting it sends the request.
#[derive(Clone, Debug)]
pub struct CasApi {
    client: Client,
}

impl CasApi {
    /// A typed client over a low-level one.
    #[must_use]
    pub fn new(client: Client) -> Self {
        CasApi { client }
    }

    /// The low-level client: its [`raw`](Client::raw) reaches what the service adds later.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl From<Client> for CasApi {
    fn from(client: Client) -> Self {
        CasApi::new(client)
    }
}

cas_http::operations!(client_methods CasApi);

/// The head of a job's output and its bytes, which come as they are read.
#[derive(Debug)]
pub struct Download<T> {
    /// The head, typed.
    pub output: T,
    /// The bytes. They are held to their number and, where the head has one, to their tree hash: what is not them ends with an error.
    pub body: ResponseBody,
}

/// How an operation of some shape hands over its answer: as an output, or as an output and a body.
/// [`Shape`] is closed, so this is, too.
pub trait Delivery: Shape {
    /// What the caller gets.
    type Delivered<T: Output>: Send;

    /// Reads the answer, and its body unless that is archive data.
    #[doc(hidden)]
    fn deliver<T: Output>(
        answer: Response<ResponseBody>,
    ) -> BoxFuture<'static, Result<Self::Delivered<T>, DeliveryError>>;
}

/// Why an answer could not be handed over.
#[doc(hidden)]
#[derive(Debug)]
pub enum DeliveryError {
    Wire(WireError),
    Http(cas_http::Error),
}

/// A JSON answer longer than this is refused: a page of 1000 jobs is below 2 MiB.
const MAX_DOCUMENT: u64 = 8 << 20;

/// An error body longer than this is not read to its end.
const MAX_ERROR: u64 = 64 << 10;

async fn deliver_document<T: Output>(answer: Response<ResponseBody>) -> Result<T, DeliveryError> {
    let (head, body) = answer.into_parts();
    let body: Bytes = body.bytes(MAX_DOCUMENT).await.map_err(DeliveryError::Http)?;
    T::read(head.status, head.headers, &body).map_err(DeliveryError::Wire)
}

impl Delivery for Plain {
    type Delivered<T: Output> = T;

    fn deliver<T: Output>(answer: Response<ResponseBody>) -> BoxFuture<'static, Result<T, DeliveryError>> {
        Box::pin(deliver_document(answer))
    }
}

impl Delivery for Upload {
    type Delivered<T: Output> = T;

    fn deliver<T: Output>(answer: Response<ResponseBody>) -> BoxFuture<'static, Result<T, DeliveryError>> {
        Box::pin(deliver_document(answer))
    }
}

impl Delivery for cas_http::wire::Download {
    type Delivered<T: Output> = Download<T>;

    fn deliver<T: Output>(answer: Response<ResponseBody>) -> BoxFuture<'static, Result<Download<T>, DeliveryError>> {
        let (head, body) = answer.into_parts();
        let output = T::read(head.status, head.headers, b"").map_err(DeliveryError::Wire);
        Box::pin(async move { Ok(Download { output: output?, body }) })
    }
}

impl<O: Answer> Caller<O> for CasApi
where
    O::Shape: Delivery,
{
    type Output = <O::Shape as Delivery>::Delivered<O::Output>;
    type Error = Error;

    fn call(self, call: Call<O>) -> BoxFuture<'static, Result<Self::Output, Error>> {
        Box::pin(async move {
            let operation = call.operation.clone();
            let mut answer = self.client.call(call).await?;
            let report = answer.body().report().cloned();
            let gone = report.as_ref().is_some_and(|report| report.outcome == Outcome::AlreadyGone);
            let vault = operation.vault().cloned();
            let context = Context { operation: O::INFO.name, vault, report };
            if gone {
                // The operation removes something, and it is removed. Such outputs have no field of their own.
                *answer.status_mut() = O::Output::STATUS;
            }
            if !answer.status().is_success() {
                return Err(context.service(read_error(answer).await));
            }
            if let Err(error) = check_head(&operation, &answer) {
                return Err(context.delivery(DeliveryError::Wire(error)));
            }
            O::Shape::deliver::<O::Output>(answer).await.map_err(|error| context.delivery(error))
        })
    }
}

/// Looks whether a success comes from the service and is an answer to the request.
fn check_head<O: Answer>(operation: &O, answer: &Response<ResponseBody>) -> Result<(), WireError> {
    // The service puts its request id on every answer. Whoever answers without one, and not even as documented, is somebody else: a proxy's
    // page of welcome must not pass for a deletion.
    if answer.status() != O::Output::STATUS && !answer.headers().contains_key(X_CAS_REQUEST_ID) {
        return Err(WireError::missing(X_CAS_REQUEST_ID.as_str().to_owned()));
    }
    operation.check(answer.status(), answer.headers())
}

async fn read_error(answer: Response<ResponseBody>) -> ServiceError {
    let (head, body): (_, ResponseBody) = answer.into_parts();
    let (status, headers): (StatusCode, HeaderMap) = (head.status, head.headers);
    // An error body that is cut or too long still leaves the status and the request id, which are what counts.
    let body = body.bytes(MAX_ERROR).await.unwrap_or_default();
    ServiceError::read(status, &headers, &body)
}
