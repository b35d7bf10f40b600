//! The client: one connection pool, and the one loop that signs, sends and tries again.

use std::fmt;
use std::sync::Arc;

use http::Response;

use crate::call::{BoxFuture, Call, Caller};
use crate::error::Error;
use crate::ops::Operation;
use crate::response_body::ResponseBody;

/// The low-level client: each operation is a method and yields the service's answer.
///
/// An answer that is not a success is an answer too. A clone is the same client: it shares connections, credentials and the retry budget.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {}

mod methods {
    use super::Client;
    use crate::document::{AccessPolicy, JobParameters, NotificationConfiguration};
    use crate::id::{ArchiveId, JobId, UploadId, VaultName};
    use crate::range::{ArchiveSize, PartRange, PartSize};
    use cas_treehash::{ContentSha256, TreeHash};

    crate::operations!(client_methods Client);
}

impl<O: Operation> Caller<O> for Client {
    type Output = Response<ResponseBody>;
    type Error = Error;

    fn call(self, call: Call<O>) -> BoxFuture<'static, Result<Self::Output, Error>> {
        Box::pin(async move {
            let _ = (&self.shared, call);
            Err(Error::config("the client has no endpoint"))
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
