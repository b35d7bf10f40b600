//! How an emulator is configured and started.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cas_sign::Verifier;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::net::TcpListener;

use crate::account::Account;
use crate::auth::Accounts;
use crate::clock::Clock;
use crate::cos::Cos;
use crate::emulator::Emulator;
use crate::error::{Error, ErrorKind};
use crate::faults::Faults;
use crate::ids::Ids;
use crate::notify::{self, Notifier};
use crate::service::Service;
use crate::settings::{JobDelay, Limits, Settings};
use crate::store::{DataDirectory, Store};
use crate::tolerance::Tolerance;

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

    /// Reports finished jobs to addresses on these hosts, each a name or an address without a port. Without any, nothing is ever sent anywhere.
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
        if self.accounts.is_empty() {
            self.accounts.push(Account::default());
        }
        let account = self.check()?;
        let own_keys = self.accounts.iter().all(|account| account.secret_key() != Account::DEFAULT_SECRET_KEY);
        let listener = match &self.listen {
            Some(address) => Some(bind(address, self.allow_remote, own_keys).await?),
            None => None,
        };
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let admin = match &self.admin {
            Some(address) => Some(bind(address, false, true).await?),
            None => None,
        };
        let random = random_seed()?;
        let seed = self.seed.map_or(random.to_vec(), |seed| seed.to_be_bytes().to_vec());
        let chance = self.seed.unwrap_or(first_number(random));
        let (store, cos) = open(self.data_dir.take(), self.cos_dir.take(), random).await?;
        let service = Arc::new(Service {
            accounts: Accounts {
                known: self.accounts,
                verifier: Verifier::cas(),
                port: address.map(|address| address.port()),
            },
            ids: Ids::new(&seed, store.run),
            faults: Faults::new(chance),
            notifier: Notifier::new(&self.notify),
            clock: self.clock,
            settings: self.settings,
            jobs: Default::default(),
            receiving: Default::default(),
            counting: Default::default(),
            background: Default::default(),
            store,
            cos,
        });
        Ok(Emulator::run(service, account, listener, admin))
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
        if let Some(text) = self.notify.iter().find(|text| notify::host(text).is_none()) {
            let expected = "expected the name or address of a host, without a scheme or a port";
            return Err(config(format!("notify: {expected}, found {text:?}")));
        }
        let region = &self.settings.region;
        if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(config(format!("region: expected letters, digits and dashes, found {region:?}")));
        }
        self.accounts.first().cloned().ok_or_else(|| config("there is no account".to_owned()))
    }
}

/// Opens the state in a directory, or in a temporary one whose name follows from `random`: never that of another emulator with the same seed.
/// Opens the stand-in for COS too.
async fn open(data: Option<PathBuf>, cos: Option<PathBuf>, random: [u8; 32]) -> Result<(Arc<Store>, Cos), Error> {
    let open = move || {
        let store = Store::open(match data {
            Some(path) => DataDirectory::take(&path)?,
            None => DataDirectory::temporary(&Ids::new(&random, 0))?,
        })?;
        let cos = Cos::below(cos.unwrap_or_else(|| store.path().join("cos")), first_number(random));
        Ok((Arc::new(store), cos))
    };
    let failed =
        |error: tokio::task::JoinError| Error::new(ErrorKind::Storage, "opening the state failed").because(error);
    tokio::task::spawn_blocking(open).await.map_err(failed)?
}

fn is_optional(number: u8) -> bool {
    Tolerance::all().iter().any(|tolerance| tolerance.number == number && tolerance.is_optional())
}

/// Takes the address, unless other machines could reach it and that was not asked for.
async fn bind(address: &str, allow_remote: bool, own_keys: bool) -> Result<TcpListener, Error> {
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
        if !own_keys {
            return Err(config("configure an account with a key of your own, since everybody knows the default one"));
        }
    }
    TcpListener::bind(&addresses[..]).await.map_err(failed)
}

fn first_number(random: [u8; 32]) -> u64 {
    u64::from_be_bytes(*random.first_chunk().unwrap_or(&[0; 8]))
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
        assert_eq!(
            message(with_account().notify(["ci", "localhost:80"])),
            "notify: expected the name or address of a host, without a scheme or a port, found \"localhost:80\""
        );
        assert!(with_account().strict().notify(["localhost", "::1"]).check().is_ok());
    }
}
