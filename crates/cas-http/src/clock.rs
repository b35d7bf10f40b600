//! The one clock of the crate, and what is learned of its error.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// Where the time of day comes from. Time limits and waits use tokio's timer instead, which tests can pause.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> SystemTime;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place the lint points to")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Whole seconds since the Unix epoch; 0 for what is before it.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How far the service's clock is ahead of ours, in seconds: learned from an answer that refuses a signature for its time.
#[derive(Debug, Default)]
pub(crate) struct Skew(AtomicI64);

impl Skew {
    /// The service's time, as far as it is known.
    pub(crate) fn adjust(&self, now: SystemTime) -> SystemTime {
        let seconds = self.seconds();
        let distance = Duration::from_secs(seconds.unsigned_abs());
        let adjusted = if seconds >= 0 { now.checked_add(distance) } else { now.checked_sub(distance) };
        adjusted.unwrap_or(now)
    }

    /// The seconds that are added to our clock.
    pub(crate) fn seconds(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

/// What to do about our clock after the service refused a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// Our time was right, as far as can be told: the signature was refused for something else.
    Nothing,
    /// Add this many seconds from now on, and sign once more.
    Adjust(i64),
    /// Adding seconds does not help: add none from now on.
    Forget,
}

/// Judges a refused signature. `used` is what was added to our clock when the refused request was signed, `server` the `Date` of the
/// answer, `again` whether this call has been signed a second time for its clock already.
pub(crate) fn judge_refusal(used: i64, ours: SystemTime, server: Option<SystemTime>, again: bool) -> Lesson {
    /// What a window that begins a minute early lets pass.
    const TOLERATED: i64 = 45;
    let found = server.filter(|server| is_plausible(*server)).map(|server| seconds_between(ours, server));
    match found {
        _ if again && used != 0 => Lesson::Forget,
        _ if again => Lesson::Nothing,
        Some(found) if (found - used).abs() > TOLERATED => Lesson::Adjust(found),
        _ if used != 0 => Lesson::Adjust(0),
        _ => Lesson::Nothing,
    }
}

/// Whether a `Date` may be somebody's idea of now: from 2020 to 2099.
fn is_plausible(date: SystemTime) -> bool {
    const YEAR_2020: u64 = 1_577_836_800;
    const YEAR_2100: u64 = 4_102_444_800;
    (YEAR_2020..YEAR_2100).contains(&unix_seconds(date))
}

fn seconds_between(from: SystemTime, to: SystemTime) -> i64 {
    let [from, to] = [from, to].map(|time| i64::try_from(unix_seconds(time)).unwrap_or(i64::MAX));
    to.saturating_sub(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn an_hour_off_is_learned_in_both_directions() {
        assert_eq!(judge_refusal(0, at(NOW), Some(at(NOW + 3600)), false), Lesson::Adjust(3600));
        assert_eq!(judge_refusal(0, at(NOW), Some(at(NOW - 3600)), false), Lesson::Adjust(-3600));
    }

    #[test]
    fn a_right_clock_is_left_alone() {
        assert_eq!(judge_refusal(0, at(NOW), Some(at(NOW + 30)), false), Lesson::Nothing);
        assert_eq!(judge_refusal(0, at(NOW), None, false), Lesson::Nothing);
    }

    #[test]
    fn an_absurd_date_teaches_nothing() {
        assert_eq!(judge_refusal(0, at(NOW), Some(at(0)), false), Lesson::Nothing);
        assert_eq!(judge_refusal(0, at(NOW), Some(at(5_000_000_000)), false), Lesson::Nothing);
    }

    #[test]
    fn what_was_learned_is_dropped_when_it_does_not_help() {
        assert_eq!(judge_refusal(3600, at(NOW), Some(at(NOW + 3600)), true), Lesson::Forget);
        assert_eq!(judge_refusal(3600, at(NOW), Some(at(NOW + 3600)), false), Lesson::Adjust(0), "worth one try");
        assert_eq!(judge_refusal(0, at(NOW), Some(at(NOW + 3600)), true), Lesson::Nothing);
    }

    #[test]
    fn a_clock_that_was_set_right_is_believed_again() {
        assert_eq!(judge_refusal(3600, at(NOW), Some(at(NOW)), false), Lesson::Adjust(0));
        assert_eq!(judge_refusal(3600, at(NOW), None, false), Lesson::Adjust(0));
    }

    #[test]
    fn an_adjustment_moves_the_clock() {
        let skew = Skew::default();
        assert_eq!(skew.adjust(at(NOW)), at(NOW));
        skew.set(-10);
        assert_eq!(skew.adjust(at(NOW)), at(NOW - 10));
        skew.set(i64::MAX);
        assert_eq!(skew.adjust(at(NOW)), at(NOW), "what cannot be added is not");
    }
}
