//! What an operation on vaults, archives, jobs and transfers can end with, named by what the caller can do about it.

use std::fmt;
use std::io;
use std::path::Path;

use cas_api::cas_http::{InvalidValue, UploadId};

/// Any error from below, kept as the source of ours.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An operation that did not do what was asked: its kind, one sentence, and the cause in `source()`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    /// What we were doing; `None` when the error below has said it all.
    what: Option<String>,
    upload_id: Option<UploadId>,
    cause: Cause,
}

enum Cause {
    None,
    Api(cas_api::Error),
    Other(BoxError),
}

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A call to the service failed; see [`cas_api::ErrorKind`] for what to do.
    Api(cas_api::ErrorKind),
    /// What was asked for makes no sense: an empty file, a part size that does not fit. Nothing was sent. Mend the call.
    InvalidInput,
    /// A file could not be read or written. Mend that and call again; what was transferred is kept.
    LocalIo,
    /// A hash or a length is not the promised one. Of a download nothing was kept under the final name: call again; if it stays, ask the
    /// service's support. Of an upload, the message says what the service stored.
    Integrity,
    /// The source changed while it was uploaded. Let it come to rest, then resume, which sends the parts that changed again, or upload anew.
    SourceChanged,
    /// The job has not ended. Wait and call again.
    NotReady,
    /// The job ended without a result. Its status message says why; start another.
    JobFailed,
    /// Another download to the same file is under way. Let it end, or download to another file.
    Checkpoint,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, what: Some(what.into()), upload_id: None, cause: Cause::None }))
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidInput, what)
    }

    /// A file operation failed: `doing` is a verb phrase, "read", "create".
    pub(crate) fn io(doing: &str, path: &Path, error: io::Error) -> Self {
        Error::new(ErrorKind::LocalIo, format!("could not {doing} {}", path.display())).caused_by(error)
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<BoxError>) -> Self {
        self.0.cause = Cause::Other(cause.into());
        self
    }

    /// Says what we were doing when the error came up.
    pub(crate) fn while_doing(mut self, what: impl FnOnce() -> String) -> Self {
        if self.0.what.is_none() {
            self.0.what = Some(what());
        }
        self
    }

    /// The service keeps this upload: it can be resumed. Not when the error is that there is no such upload, or that it may be complete.
    pub(crate) fn keeping(mut self, upload_id: &UploadId) -> Self {
        let gone =
            [cas_api::ErrorKind::NotFound, cas_api::ErrorKind::Ambiguous].map(ErrorKind::Api).contains(&self.0.kind);
        if !gone {
            self.0.upload_id = Some(upload_id.clone());
        }
        self
    }

    /// What kind of trouble it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The error of the typed call, when a call failed.
    #[must_use]
    pub fn api(&self) -> Option<&cas_api::Error> {
        match &self.0.cause {
            Cause::Api(error) => Some(error),
            _ => None,
        }
    }

    /// The multipart upload the service keeps, with the parts it has: [`Vault::resume_upload`](crate::Vault::resume_upload) goes on with it.
    #[must_use]
    pub fn upload_id(&self) -> Option<&UploadId> {
        self.0.upload_id.as_ref()
    }

    /// Whether the same call, made again later, could end otherwise without anybody mending anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Api(_) => self.api().is_some_and(cas_api::Error::is_retryable),
            ErrorKind::NotReady => true,
            _ => false,
        }
    }
}

impl From<cas_api::Error> for Error {
    fn from(error: cas_api::Error) -> Self {
        let kind = ErrorKind::Api(error.kind());
        Error(Box::new(Inner { kind, what: None, upload_id: None, cause: Cause::Api(error) }))
    }
}

impl From<cas_api::cas_http::Error> for Error {
    fn from(error: cas_api::cas_http::Error) -> Self {
        cas_api::Error::from(error).into()
    }
}

impl From<InvalidValue> for Error {
    fn from(error: InvalidValue) -> Self {
        Error::invalid(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.what, &self.0.cause) {
            (Some(what), _) => f.write_str(what),
            (None, Cause::Api(error)) => error.fmt(f),
            (None, _) => f.write_str("the operation failed"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.0.kind).field("what", &self.0.what).field("upload_id", &self.0.upload_id);
        match &self.0.cause {
            Cause::None => {}
            Cause::Api(error) => _ = debug.field("cause", error),
            Cause::Other(error) => _ = debug.field("cause", error),
        }
        debug.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match (&self.0.cause, &self.0.what) {
            (Cause::None, _) => None,
            (Cause::Api(error), Some(_)) => Some(error),
            (Cause::Api(error), None) => std::error::Error::source(error),
            (Cause::Other(error), _) => Some(&**error),
        }
    }
}

/// The result of a blocking step that ran on the blocking pool.
///
/// The pool answers with an error of its own only when the step panicked, or the runtime is shutting down.
pub(crate) async fn blocking<T: Send + 'static>(step: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let outcome = tokio::task::spawn_blocking(step).await;
    outcome
        .map_err(|error| Error::new(ErrorKind::LocalIo, "a step on the blocking pool did not finish").caused_by(error))
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_file_error_names_the_file_and_leaves_the_cause_to_the_source() {
        let error = Error::io("read", Path::new("/x/y"), io::Error::other("broken"));
        assert_eq!(error.to_string(), "could not read /x/y");
        assert_eq!(error.source().unwrap().to_string(), "broken");
        assert_eq!(error.kind(), ErrorKind::LocalIo);
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
