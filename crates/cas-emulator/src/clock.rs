//! What time it is for the service: real time, time that runs faster, or time that a test moves by hand.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cas_http::Timestamp;
use tokio::sync::watch;

/// The clock of an emulator. Clones are the same clock.
///
/// Two things need the time. *Service time* decides when a job is done and when an upload expires; it can run fast or be moved.
/// *Signing time* is what signatures are checked against and what the `Date` header says; it stays real, so that clients need not know,
/// unless the clock is a manual one, which has only one time.
///
/// ```
/// use std::time::Duration;
/// use cas_emulator::Clock;
///
/// let clock = Clock::manual("2024-03-01T02:00:00Z".parse()?);
/// clock.advance(Duration::from_secs(4 * 3600));
/// assert_eq!(clock.now().to_string(), "2024-03-01T06:00:00.000Z");
/// # Ok::<(), cas_http::InvalidValue>(())
/// ```
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pace: Pace,
    /// Milliseconds that service time was moved ahead by hand.
    skipped: AtomicI64,
    /// Seconds by which signing time is off.
    signing_offset: AtomicI64,
    moved: watch::Sender<()>,
}

#[derive(Debug)]
enum Pace {
    /// Service time runs this many times as fast as real time, from this moment on.
    Running { factor: i64, since: i64 },
    /// Time stands, here.
    Standing { at: Mutex<i64> },
}

impl Clock {
    /// Real time.
    #[must_use]
    pub fn system() -> Self {
        Clock::scaled(NonZeroU32::MIN)
    }

    /// Service time that runs `factor` times as fast as real time, from now on. Signatures are checked against real time.
    #[must_use]
    pub fn scaled(factor: NonZeroU32) -> Self {
        Clock::with(Pace::Running { factor: i64::from(factor.get()), since: real_millis() })
    }

    /// Time that stands still at `start` until it is moved. Signatures are checked against it too.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Clock::with(Pace::Standing { at: Mutex::new(start.unix_millis()) })
    }

    fn with(pace: Pace) -> Self {
        let (moved, _) = watch::channel(());
        Clock(Arc::new(Inner { pace, skipped: AtomicI64::new(0), signing_offset: AtomicI64::new(0), moved }))
    }

    /// Service time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let base = match &self.0.pace {
            Pace::Running { factor, since } => {
                since.saturating_add(real_millis().saturating_sub(*since).saturating_mul(*factor))
            }
            Pace::Standing { at } => *at.lock().unwrap_or_else(PoisonError::into_inner),
        };
        timestamp(base.saturating_add(self.0.skipped.load(Ordering::SeqCst)))
    }

    /// The time that signatures are checked against.
    #[must_use]
    pub fn signing_now(&self) -> Timestamp {
        let base = match &self.0.pace {
            Pace::Running { .. } => real_millis(),
            Pace::Standing { .. } => self.now().unix_millis(),
        };
        timestamp(base.saturating_add(self.0.signing_offset.load(Ordering::SeqCst).saturating_mul(1000)))
    }

    /// Lets this much service time pass at once. Jobs that become due are done before the next request about them is answered.
    pub fn advance(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let add = |old: i64| Some(old.saturating_add(millis));
        // The closure always gives a value, so there is no failure to look at.
        let _ = self.0.skipped.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        self.0.moved.send_replace(());
    }

    /// Makes the service's clock differ from everybody else's by so many seconds, as far as signatures and the `Date` header go.
    pub fn set_signing_offset(&self, seconds: i64) {
        self.0.signing_offset.store(seconds, Ordering::SeqCst);
    }

    /// Waits until service time is `due` or later.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn sleep_until(&self, due: Timestamp) {
        let mut moved = self.0.moved.subscribe();
        loop {
            let left = due.unix_millis().saturating_sub(self.now().unix_millis());
            let Ok(left @ 1..) = u64::try_from(left) else { return };
            let real = match &self.0.pace {
                Pace::Running { factor, .. } => Some(left.div_ceil(factor.unsigned_abs())),
                Pace::Standing { .. } => None,
            };
            let pause = async {
                match real {
                    // Long waits are cut up, since the system's own clock may be set meanwhile.
                    Some(millis) => tokio::time::sleep(Duration::from_millis(millis.min(60_000))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                _ = moved.changed() => {}
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::system()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where the emulator looks at the real clock")]
fn real_millis() -> i64 {
    Timestamp::try_from(SystemTime::now()).map_or(0, Timestamp::unix_millis)
}

/// The moment, or the nearest one that an HTTP date can tell.
fn timestamp(millis: i64) -> Timestamp {
    /// The last millisecond of the year 9998, which leaves room to add a day to every moment.
    const LAST: i64 = 253_370_764_799_999;
    Timestamp::from_unix_millis(millis.clamp(0, LAST)).expect("both bounds are within the calendar")
}

/// A moment so much later, or the last one that a calendar has.
pub(crate) fn later(time: Timestamp, by: Duration) -> Timestamp {
    timestamp(time.unix_millis().saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(count: u64) -> Duration {
        Duration::from_secs(count * 3600)
    }

    #[test]
    fn a_manual_clock_stands_until_it_is_moved() {
        let clock = Clock::manual(timestamp(1_000));
        assert_eq!(clock.now(), timestamp(1_000));
        clock.advance(Duration::from_millis(5));
        assert_eq!((clock.now(), clock.signing_now()), (timestamp(1_005), timestamp(1_005)));
    }

    #[test]
    fn service_time_can_be_moved_without_moving_signatures() {
        let clock = Clock::system();
        clock.advance(hours(5));
        let ahead = clock.now().unix_millis() - clock.signing_now().unix_millis();
        assert!((5 * 3_600_000 - 1_000..=5 * 3_600_000).contains(&ahead), "{ahead}");
    }

    #[test]
    fn signatures_can_be_checked_against_a_wrong_clock() {
        let clock = Clock::manual(timestamp(1_000_000));
        clock.set_signing_offset(-600);
        assert_eq!((clock.now(), clock.signing_now()), (timestamp(1_000_000), timestamp(400_000)));
    }

    #[test]
    fn no_amount_of_time_leaves_the_calendar() {
        let clock = Clock::manual(timestamp(0));
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(later(clock.now(), Duration::MAX), clock.now());
    }

    #[test]
    fn no_offset_leaves_what_an_http_date_can_tell() {
        let clock = Clock::system();
        for offset in [i64::MIN, i64::MAX] {
            clock.set_signing_offset(offset);
            assert!(httpdate::fmt_http_date(clock.signing_now().into()).ends_with("GMT"), "{offset}");
        }
    }

    #[tokio::test]
    async fn waiting_ends_when_the_clock_is_moved_far_enough() {
        let clock = Clock::manual(timestamp(0));
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(later(timestamp(0), hours(4))).await }
        });
        clock.advance(hours(3));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        clock.advance(hours(1));
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_fast_clock_waits_for_less() {
        let clock = Clock::scaled(NonZeroU32::new(3_600_000).unwrap());
        clock.sleep_until(later(clock.now(), hours(4))).await;
    }
}
