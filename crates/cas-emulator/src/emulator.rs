//! The outside of the emulator: how one is configured, started, asked about itself, and ended.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cas_http::{AppId, ArchiveId, Description, VaultName};
use cas_sign::{Credentials, Verifier};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;

use crate::account::Account;
use crate::admin;
use crate::auth::Accounts;
use crate::clock::Clock;
use crate::cos::Cos;
use crate::counters::Counters;
use crate::error::{Error, ErrorKind};
use crate::faults::Faults;
use crate::ids::Ids;
use crate::jobs;
use crate::notify::Notifier;
use crate::seed::{self, Content};
use crate::server::Server;
use crate::service::Service;
use crate::settings::{JobDelay, Limits, Settings};
use crate::store::{DataDirectory, Store, vaults};
use crate::tolerance::Tolerance;

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
        self.service.stop_background();
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
            self.service.stop_background();
            self.service.store.release();
        }
    }
}

/// The configuration of an emulator. Nothing has to be set.
#[derive(Debug)]
pub struct Builder {
    data_dir: Option<PathBuf>,
    listen: Option<String>,
    admin: Option<String>,
    allow_remote: bool,
    accounts: Vec<Account>,
    clock: Clock,
    seed: Option<u64>,
    cos_dir: Option<PathBuf>,
    notify: Vec<String>,
    settings: Settings,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            data_dir: None,
            listen: Some("127.0.0.1:0".to_owned()),
            admin: None,
            allow_remote: false,
            accounts: Vec::new(),
            clock: Clock::system(),
            seed: None,
            cos_dir: None,
            notify: Vec::new(),
            settings: Settings {
                region: "ap-chengdu".to_owned(),
                job_delay: JobDelay::default(),
                live_totals: false,
                refused: Vec::new(),
                limits: Limits::default(),
            },
        }
    }
}

impl Builder {
    /// Keeps the state in this directory, which is made if it is not there. Without one the state is temporary, and not safe from a power cut.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Listens on this address and port; port 0 picks a free one. Without it, a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Listens nowhere: the only way in is [`Emulator::connect`].
    #[must_use]
    pub fn without_port(mut self) -> Self {
        self.listen = None;
        self
    }

    /// Opens the admin endpoint on this loopback address: health, counters, clock, faults, seed and reset as JSON over HTTP, for tests in other
    /// languages. It asks nobody who they are.
    #[must_use]
    pub fn admin(mut self, address: impl Into<String>) -> Self {
        self.admin = Some(address.into());
        self
    }

    /// Lets it listen on addresses that other machines can reach. It still refuses to do so with the key that everybody knows.
    #[must_use]
    pub fn allow_remote(mut self, allow: bool) -> Self {
        self.allow_remote = allow;
        self
    }

    /// Adds an account. Without any there is [`Account::default`].
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Goes by this clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Lets jobs take this long by the clock; without it they are done at once.
    #[must_use]
    pub fn job_delay(mut self, delay: JobDelay) -> Self {
        self.settings.job_delay = delay;
        self
    }

    /// Names vaults by this region; without it, by `ap-chengdu`.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.settings.region = region.into();
        self
    }

    /// Tells the totals of vaults as they are at the moment, rather than as of the last inventory, as the service does.
    #[must_use]
    pub fn live_totals(mut self, live: bool) -> Self {
        self.settings.live_totals = live;
        self
    }

    /// Makes identifiers and chance repeat from run to run.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets what clients may ask of it.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Turns off these tolerances, by number; see [`Tolerance::all`].
    #[must_use]
    pub fn refuse(mut self, tolerances: impl IntoIterator<Item = u8>) -> Self {
        self.settings.refused.extend(tolerances);
        self
    }

    /// Turns off every tolerance that can be turned off.
    #[must_use]
    pub fn strict(self) -> Self {
        self.refuse(
            Tolerance::all().iter().filter(|tolerance| tolerance.is_optional()).map(|tolerance| tolerance.number),
        )
    }

    /// Reports finished jobs to addresses on these hosts. Without any, nothing is ever sent anywhere.
    #[must_use]
    pub fn notify(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.notify.extend(hosts.into_iter().map(Into::into));
        self
    }

    /// Keeps the stand-in for COS in this directory; without it, in `cos` below the directory of the state.
    #[must_use]
    pub fn cos_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.cos_dir = Some(path.into());
        self
    }

    /// Starts the emulator. When this returns it can be used.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when settings contradict each other, [`ErrorKind::Listen`] when the address cannot be had,
    /// [`ErrorKind::Locked`] when another emulator uses the directory, [`ErrorKind::Storage`] when it cannot be used.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn start(mut self) -> Result<Emulator, Error> {
        let own_accounts = !self.accounts.is_empty();
        if !own_accounts {
            self.accounts.push(Account::default());
        }
        let account = self.check()?;
        let listener = match &self.listen {
            Some(address) => Some(bind(address, self.allow_remote, own_accounts).await?),
            None => None,
        };
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let admin = match &self.admin {
            Some(address) => Some(bind(address, false, true).await?),
            None => None,
        };
        let random = random_seed()?;
        let seed = self.seed.map_or(random.to_vec(), |seed| seed.to_be_bytes().to_vec());
        let chance = self.seed.unwrap_or(u64::from_be_bytes(*random.first_chunk().unwrap_or(&[0; 8])));
        let data_dir = self.data_dir.take();
        let store = tokio::task::spawn_blocking(move || {
            Store::open(match data_dir {
                Some(path) => DataDirectory::take(&path)?,
                // The name is never that of another emulator with the same seed.
                None => DataDirectory::temporary(&Ids::new(&random, 0))?,
            })
        });
        let opened =
            store.await.map_err(|error| Error::new(ErrorKind::Storage, "opening the state failed").because(error))?;
        let store = Arc::new(opened?);
        let cos = Cos::new(self.cos_dir.take().unwrap_or_else(|| store.path().join("cos")));
        let service = Arc::new(Service {
            accounts: Accounts {
                known: self.accounts,
                verifier: Verifier::cas(),
                port: address.map(|address| address.port()),
            },
            ids: Ids::new(&seed, store.run),
            faults: Faults::new(chance),
            notifier: Notifier::new(self.notify),
            clock: self.clock,
            settings: self.settings,
            jobs: Default::default(),
            receiving: Default::default(),
            counting: Default::default(),
            background: Default::default(),
            store,
            cos,
        });
        service.spawn(jobs::run(service.clone()));
        let server = Arc::new(Server::new(service.clone()));
        if let Some(listener) = listener {
            server.listen(listener);
        }
        let admin_endpoint =
            admin.as_ref().and_then(|admin| admin.local_addr().ok()).map(|address| format!("http://{address}"));
        if let Some(admin) = admin {
            service.spawn(admin::serve(service.clone(), admin));
        }
        let endpoint = address.map_or("http://cas.emulator".to_owned(), |address| format!("http://{address}"));
        Ok(Emulator { service, server, account, address, endpoint, admin_endpoint, ended: false })
    }

    /// Looks for contradictions, and tells the first account.
    fn check(&self) -> Result<Account, Error> {
        let config = |message: String| Error::new(ErrorKind::Config, message);
        for (index, account) in self.accounts.iter().enumerate() {
            if self.accounts[..index].iter().any(|other| other.secret_id() == account.secret_id()) {
                return Err(config(format!("the secret id {} is given twice", account.secret_id())));
            }
        }
        if let Some(number) = self.settings.refused.iter().find(|number| !is_optional(**number)) {
            return Err(config(format!("there is no tolerance {number} that can be turned off")));
        }
        let region = &self.settings.region;
        if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(config(format!("region: expected letters, digits and dashes, found {region:?}")));
        }
        self.accounts.first().cloned().ok_or_else(|| config("there is no account".to_owned()))
    }
}

fn is_optional(number: u8) -> bool {
    Tolerance::all().iter().any(|tolerance| tolerance.number == number && tolerance.is_optional())
}

/// Takes the address, unless other machines could reach it and that was not asked for.
async fn bind(address: &str, allow_remote: bool, own_accounts: bool) -> Result<TcpListener, Error> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Listen, format!("{address} cannot be listened on")).because(error)
    };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(failed)?.collect();
    if addresses.iter().any(|address| !address.ip().is_loopback()) {
        let config =
            |why: &str| Error::new(ErrorKind::Config, format!("{address} can be reached from other machines: {why}"));
        if !allow_remote {
            return Err(config("that has to be allowed"));
        }
        if !own_accounts {
            return Err(config("configure an account, since everybody knows the default one's key"));
        }
    }
    TcpListener::bind(&addresses[..]).await.map_err(failed)
}

fn random_seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    let filled = SystemRandom::new().fill(&mut seed);
    filled.map_err(|_| Error::new(ErrorKind::Config, "the system gives no random numbers"))?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn shared<T: Send + Sync + 'static>() {}
    const _: () = shared::<Emulator>();
    const _: () = shared::<Builder>();
    const _: () = shared::<Error>();

    #[test]
    fn contradictions_are_found_before_anything_is_begun() {
        let message = |builder: Builder| builder.check().unwrap_err().to_string();
        let account = Account::default;
        let with_account = || Builder::default().account(account());
        assert_eq!(message(with_account().account(account())), "the secret id emulator is given twice");
        assert_eq!(message(with_account().refuse([8])), "there is no tolerance 8 that can be turned off");
        assert_eq!(
            message(with_account().region("ap chengdu")),
            "region: expected letters, digits and dashes, found \"ap chengdu\""
        );
        assert!(with_account().strict().check().is_ok());
    }
}
