//! Waiting for calls from code that is not async: one method for all of them.
//!
//! There is no second set of methods. Whatever one awaits, of this crate or the layers above it, one can also wait for here.

use std::fmt;
use std::future::{Future, IntoFuture};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::Error;

/// A runtime of its own on which calls are waited for. Make one and keep it: connections live on it.
///
/// ```no_run
/// use cas_http::{Blocking, Client};
///
/// let blocking = Blocking::new()?;
/// let client = Client::from_env()?;
/// let answer = blocking.wait(client.list_vaults())?;
/// println!("{}", answer.status());
/// # Ok::<(), cas_http::Error>(())
/// ```
pub struct Blocking {
    /// Taken out only when it is dropped.
    runtime: Option<Runtime>,
}

impl Blocking {
    /// Starts the runtime: two threads that sleep while nothing is under way.
    ///
    /// # Errors
    ///
    /// When the operating system gives no threads.
    pub fn new() -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("cas-blocking").enable_all().build();
        let runtime = runtime
            .map_err(|error| Error::config("the runtime for blocking calls did not start").with_source(error))?;
        Ok(Blocking { runtime: Some(runtime) })
    }

    /// Waits for a call, an upload, a job: for anything that can be awaited.
    ///
    /// # Errors
    ///
    /// What the call fails with; and an error of kind [`Config`](crate::ErrorKind::Config), without making the call, when async code calls this:
    /// there, await the call instead.
    pub fn wait<T, E: From<Error>>(&self, call: impl IntoFuture<Output = Result<T, E>>) -> Result<T, E> {
        self.run(async move { call.into_future().await })
    }

    fn run<T, E: From<Error>>(&self, future: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        if Handle::try_current().is_ok() {
            return Err(Error::config(
                "a blocking call was made from async code, which it would hold up: await it instead",
            )
            .into());
        }
        self.runtime.as_ref().expect("the runtime is there until this is dropped").block_on(future)
    }
}

impl Drop for Blocking {
    /// Lets go of the threads without waiting for them: dropping a runtime in async code would panic.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocking")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn what_is_awaited_can_be_waited_for() {
        let blocking = Blocking::new().unwrap();
        assert_eq!(blocking.wait(async { Ok::<_, Error>(tokio::spawn(async { 5 }).await.unwrap()) }).unwrap(), 5);
    }

    #[tokio::test]
    async fn async_code_is_told_to_await() {
        let blocking = Blocking::new().unwrap();
        let error = blocking.wait(async { Ok::<(), Error>(()) }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}
