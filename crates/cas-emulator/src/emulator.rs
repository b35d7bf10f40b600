//! A running emulator from outside: what it tells about itself, what it can be made to do, and its end. How it starts is in `builder.rs`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cas_http::{AppId, ArchiveId, Description, VaultName};
use cas_sign::Credentials;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;

use crate::account::Account;
use crate::admin;
use crate::builder::Builder;
use crate::clock::Clock;
use crate::cos::Cos;
use crate::counters::Counters;
use crate::error::{Error, ErrorKind};
use crate::faults::Faults;
use crate::jobs;
use crate::seed::{self, Content};
use crate::server::Server;
use crate::service::Service;
use crate::store::vaults;

/// A running emulator. It ends when the value is dropped, at once; [`shutdown`](Self::shutdown) lets requests finish first.
#[derive(Debug)]
pub struct Emulator {
    service: Arc<Service>,
    server: Arc<Server>,
    account: Account,
    address: Option<SocketAddr>,
    endpoint: String,
    admin_endpoint: Option<String>,
    ended: bool,
}

impl Emulator {
    /// Starts an emulator for a test: on a free loopback port, with its state in a temporary directory, jobs done at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), cas_emulator::Error> {
    /// let emulator = cas_emulator::Emulator::start().await?;
    /// assert!(emulator.endpoint().starts_with("http://127.0.0.1:"));
    /// emulator.shutdown().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub async fn start() -> Result<Self, Error> {
        Emulator::builder().start().await
    }

    /// Begins to configure an emulator.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Sets a service to work: its jobs, and the listeners there are. The account is the first one.
    pub(crate) fn run(
        service: Arc<Service>,
        account: Account,
        listener: Option<TcpListener>,
        admin: Option<TcpListener>,
    ) -> Self {
        let address_of = |listener: &TcpListener| listener.local_addr().ok();
        let url = |address: SocketAddr| format!("http://{address}");
        let (address, admin_address) = (listener.as_ref().and_then(address_of), admin.as_ref().and_then(address_of));
        service.spawn(jobs::run(service.clone()));
        let server = Arc::new(Server::new(service.clone()));
        if let Some(listener) = listener {
            server.listen(listener);
        }
        if let Some(admin) = admin {
            service.spawn(admin::serve(service.clone(), admin));
        }
        let endpoint = address.map_or("http://cas.emulator".to_owned(), url);
        Emulator { service, server, account, address, endpoint, admin_endpoint: admin_address.map(url), ended: false }
    }

    /// The address clients use: `http://127.0.0.1:<port>`, or `http://cas.emulator` when there is no port.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The address it listens on; absent when it has no port.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The public half of the first account's key.
    #[must_use]
    pub fn secret_id(&self) -> &str {
        self.account.secret_id()
    }

    /// The secret half of the first account's key.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        self.account.secret_key()
    }

    /// What it takes to sign in the first account's name.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.account.credentials().clone()
    }

    /// The first account's number.
    #[must_use]
    pub fn app_id(&self) -> AppId {
        self.account.app_id()
    }

    /// The region in the names of its vaults.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.service.settings.region
    }

    /// The clock, which can be moved.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.service.clock
    }

    /// What goes wrong on demand.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// The stand-in for COS.
    #[must_use]
    pub fn cos(&self) -> &Cos {
        &self.service.cos
    }

    /// The directory of its state.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.service.store.path()
    }

    /// What it has done so far, in numbers.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.service.counters()
    }

    /// The address of the admin endpoint, `http://127.0.0.1:<port>`; absent when none was asked for.
    #[must_use]
    pub fn admin_endpoint(&self) -> Option<&str> {
        self.admin_endpoint.as_deref()
    }

    /// Removes every vault of every account with all that is in it, and every fault. The stand-in for COS stays as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`] when the database cannot be written.
    pub async fn reset(&self) -> Result<(), Error> {
        self.faults().clear();
        let reset = self.service.store.write(vaults::delete_all).await;
        reset.map_err(|failure| Error::new(ErrorKind::Storage, failure.message))
    }

    /// Puts an archive into a vault of the first account without a request, and returns its ID. A vault that is not there is made.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let emulator = cas_emulator::Emulator::start().await?;
    /// let archive = emulator.put_archive(&"photos".parse()?, "hello", None).await?;
    /// assert_eq!(archive.as_str().len(), 128);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when there are no bytes, [`ErrorKind::Storage`] when they cannot be stored.
    pub async fn put_archive(
        &self,
        vault: &VaultName,
        bytes: impl Into<Bytes>,
        description: Option<Description>,
    ) -> Result<ArchiveId, Error> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(Error::new(ErrorKind::Config, "an archive has at least one byte"));
        }
        let put = seed::archive(&self.service, self.app_id(), vault.clone(), Content::Bytes(bytes), description);
        put.await.map_err(|failure| Error::new(ErrorKind::Storage, failure.message))
    }

    /// One end of an in-memory pipe whose other end is served like a TCP connection.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        self.server.connect()
    }

    /// Ends: requests that are being answered are finished first, for up to five seconds. Afterwards the directory can be used again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`] when the database could not be tidied up. Everything that was acknowledged is safe nevertheless.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the emulator at once.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.server.stop().await;
        self.service.stop_background().await;
        self.ended = true;
        let store = self.service.store.clone();
        let tidied = tokio::task::spawn_blocking(move || {
            let tidied = store.checkpoint();
            store.release();
            tidied
        });
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Storage, "the database could not be tidied up").because(error)
        };
        match tidied.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(error.into())),
            Err(error) => Err(failed(error.into())),
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if !self.ended {
            self.server.abort();
            self.service.abort_background();
            self.service.store.release();
        }
    }
}
