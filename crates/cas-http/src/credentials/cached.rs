//! Credentials kept until shortly before they end, and fetched by one caller for all.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use cas_sign::Credentials;
use futures::FutureExt;
use futures::future::{Shared, WeakShared};

use super::{CredentialsError, ProvideCredentials};
use crate::call::BoxFuture;
use crate::clock::{Clock, SystemClock, unix_seconds};

/// Keeps what a source provides.
///
/// Credentials that end are fetched anew five minutes before, by one caller while the others go on with what is kept. When that fails they
/// are served until they truly end. Callers that must wait share one fetch and its outcome.
pub struct Cached<P> {
    inner: Arc<Inner<P>>,
}

struct Inner<P> {
    provider: P,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Credentials>,
    fetch: Option<WeakShared<Fetch>>,
    /// When to try again after a fetch failed while what is held still served.
    not_before: u64,
}

type Fetch = BoxFuture<'static, Result<Credentials, CredentialsError>>;

/// How long before their end credentials are fetched anew.
const EARLY_SECONDS: u64 = 300;
/// How long credentials that still serve are left alone after a fetch failed.
const PAUSE_SECONDS: u64 = 10;
/// How long a fetch may take.
const FETCH_LIMIT: Duration = Duration::from_secs(30);

impl<P: ProvideCredentials> Cached<P> {
    /// Keeps what this source provides.
    #[must_use]
    pub fn new(provider: P) -> Self {
        Cached::with_clock(provider, Arc::new(SystemClock))
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(provider: P, clock: Arc<dyn Clock>) -> Self {
        Cached { inner: Arc::new(Inner { provider, clock, state: Mutex::default() }) }
    }

    /// What is kept, while nothing is to be fetched.
    pub(crate) fn held(&self, now: SystemTime) -> Option<Credentials> {
        match self.inner.choose(unix_seconds(now)) {
            Choice::Held(credentials) => Some(credentials),
            Choice::Fetch(..) => None,
        }
    }

    async fn get(&self) -> Result<Credentials, CredentialsError> {
        let now = unix_seconds(self.inner.clock.now());
        let (held, fetch) = match self.inner.choose(now) {
            Choice::Held(credentials) => return Ok(credentials),
            Choice::Fetch(held, fetch) => (held, fetch),
        };
        match (fetch.await, held) {
            (Err(error), Some(held)) => {
                tracing::warn!(error = %error, "credentials could not be fetched anew; the old ones still serve");
                Ok(held)
            }
            (outcome, _) => outcome,
        }
    }
}

enum Choice {
    Held(Credentials),
    /// Wait for this fetch; what is held serves if it fails.
    Fetch(Option<Credentials>, Shared<Fetch>),
}

impl<P: ProvideCredentials> Inner<P> {
    fn choose(self: &Arc<Self>, now: u64) -> Choice {
        let mut state = self.state();
        let running = state.fetch.as_ref().and_then(WeakShared::upgrade);
        let serving = state.held.as_ref().filter(|held| held.expires_at().is_none_or(|end| now < end));
        if let Some(held) = serving {
            let fresh = held.expires_at().is_none_or(|end| now.saturating_add(EARLY_SECONDS) < end);
            if fresh || running.is_some() || now < state.not_before {
                return Choice::Held(held.clone());
            }
        }
        let serving = serving.cloned();
        let fetch = running.unwrap_or_else(|| {
            let fetch = Arc::clone(self).fetch().boxed().shared();
            state.fetch = fetch.downgrade();
            fetch
        });
        Choice::Fetch(serving, fetch)
    }

    async fn fetch(self: Arc<Self>) -> Result<Credentials, CredentialsError> {
        let outcome = match tokio::time::timeout(FETCH_LIMIT, self.provider.provide()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let why = format!("no credentials came within {} s", FETCH_LIMIT.as_secs());
                Err(CredentialsError::broken("credentials", why))
            }
        };
        let now = self.clock.now();
        let mut state = self.state();
        state.fetch = None;
        match &outcome {
            Ok(credentials) => state.held = Some(credentials.clone()),
            Err(_) => state.not_before = unix_seconds(now).saturating_add(PAUSE_SECONDS),
        }
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: ProvideCredentials> ProvideCredentials for Cached<P> {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(self.get())
    }

    fn forget(&self) {
        self.inner.state().held = None;
        self.inner.provider.forget();
    }
}

impl<P: fmt::Debug> fmt::Debug for Cached<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cached").field(&self.inner.provider).finish()
    }
}

/// When something ends, in whole seconds, from an RFC 3339 text.
pub(super) fn parse_end(text: &str) -> Option<u64> {
    let time: crate::Timestamp = text.parse().ok()?;
    Some(unix_seconds(SystemTime::from(time)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::test_util::ManualClock;

    /// Provides `id-1`, `id-2`, … that live an hour; fails or takes its time when told to.
    #[derive(Debug)]
    struct Source {
        clock: ManualClock,
        fetches: AtomicU64,
        failing: std::sync::atomic::AtomicBool,
        takes: Duration,
    }

    impl ProvideCredentials for Source {
        fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
            Box::pin(async {
                tokio::time::sleep(self.takes).await;
                let count = self.fetches.fetch_add(1, Ordering::Relaxed) + 1;
                if self.failing.load(Ordering::Relaxed) {
                    return Err(CredentialsError::broken("source", "it is down"));
                }
                let end = unix_seconds(self.clock.now()) + 3600;
                Ok(Credentials::new(format!("id-{count}"), "key").unwrap().with_expiry(end))
            })
        }
    }

    fn cached(takes: Duration) -> (Arc<Source>, ManualClock, Cached<Arc<Source>>) {
        let clock = ManualClock::default();
        let source = Source { clock: clock.clone(), fetches: AtomicU64::new(0), failing: false.into(), takes };
        let source = Arc::new(source);
        (Arc::clone(&source), clock.clone(), Cached::with_clock(source, Arc::new(clock)))
    }

    async fn id(cached: &Cached<Arc<Source>>) -> Result<String, String> {
        let credentials = cached.provide().await.map_err(|error| error.to_string())?;
        Ok(credentials.secret_id().to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn one_fetch_serves_everybody_who_waits() {
        let (source, _, cached) = cached(Duration::from_secs(1));
        let ids = futures::future::join_all((0..50).map(|_| id(&cached))).await;
        assert!(ids.iter().all(|id| id.as_deref() == Ok("id-1")), "{ids:?}");
        assert_eq!(source.fetches.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_fetch_fails_everybody_who_waits_and_nobody_later() {
        let (source, _, cached) = cached(Duration::from_secs(1));
        source.failing.store(true, Ordering::Relaxed);
        let ids = futures::future::join_all((0..50).map(|_| id(&cached))).await;
        assert!(ids.iter().all(|id| id.as_ref().is_err_and(|why| why == "source: it is down")), "{ids:?}");
        assert_eq!(source.fetches.load(Ordering::Relaxed), 1);
        source.failing.store(false, Ordering::Relaxed);
        assert_eq!(id(&cached).await.as_deref(), Ok("id-2"));
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_fetched_anew_five_minutes_early_by_one_while_others_go_on() {
        let (source, clock, cached) = cached(Duration::from_secs(1));
        assert_eq!(id(&cached).await.as_deref(), Ok("id-1"));
        clock.advance(Duration::from_secs(3299));
        assert_eq!(id(&cached).await.as_deref(), Ok("id-1"));
        clock.advance(Duration::from_secs(1));
        let ids = futures::future::join_all((0..3).map(|_| id(&cached))).await;
        assert_eq!(ids, [Ok("id-2".to_owned()), Ok("id-1".to_owned()), Ok("id-1".to_owned())]);
        assert_eq!(source.fetches.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_old_ones_serve_until_they_truly_end() {
        let (source, clock, cached) = cached(Duration::ZERO);
        assert_eq!(id(&cached).await.as_deref(), Ok("id-1"));
        source.failing.store(true, Ordering::Relaxed);
        clock.advance(Duration::from_secs(3599));
        for _ in 0..5 {
            assert_eq!(id(&cached).await.as_deref(), Ok("id-1"));
        }
        assert_eq!(source.fetches.load(Ordering::Relaxed), 2, "a source that is down is not asked by everybody");
        clock.advance(Duration::from_secs(1));
        assert_eq!(id(&cached).await.unwrap_err(), "source: it is down");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_hangs_is_given_up() {
        let (_, _, cached) = cached(Duration::from_secs(3600));
        assert_eq!(id(&cached).await.unwrap_err(), "credentials: no credentials came within 30 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_goes_away_does_not_spoil_the_fetch() {
        let (_, _, cached) = cached(Duration::from_secs(2));
        assert!(tokio::time::timeout(Duration::from_secs(1), id(&cached)).await.is_err());
        assert_eq!(id(&cached).await.as_deref(), Ok("id-1"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_service_refused_is_dropped() {
        let (_, _, cached) = cached(Duration::ZERO);
        assert_eq!(id(&cached).await.as_deref(), Ok("id-1"));
        cached.forget();
        assert_eq!(id(&cached).await.as_deref(), Ok("id-2"));
    }
}
