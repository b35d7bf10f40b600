//! When to try again: the policy, the budget, and the judgement of one try. Pure: time and chance are arguments.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::StatusCode;

use crate::call::Outcome;
use crate::error::ErrorKind;
use crate::error_body::code;
use crate::timeout::LONGEST;
use crate::wire::{Repeat, ShapeKind};

/// When a call is tried again, and how long the wait is. It is tried until the head of an answer has come; a body that is cut behind it is an
/// error of whoever reads it.
///
/// Waits are random between nothing and a bound that doubles with each try, so that many clients do not come back at the same moment. None is
/// longer than a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Most tries of an operation without archive data, the first included: 4.
    pub attempts: u32,
    /// Most tries of an operation that uploads or downloads archive data: 6.
    pub transfer_attempts: u32,
    /// The bound of the first wait after a transient failure: 50 ms.
    pub base: Duration,
    /// The bound of the first wait after the service asked to slow down: 1 s.
    pub throttled_base: Duration,
    /// The highest bound of a wait: 20 s.
    pub cap: Duration,
    /// The longest wait that is granted when the service names one: 60 s. When it names a longer one its answer is returned at once.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts: 4,
            transfer_attempts: 6,
            base: Duration::from_millis(50),
            throttled_base: Duration::from_secs(1),
            cap: Duration::from_secs(20),
            max_retry_after: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// The usual policy with at most this many tries of any operation; at least one is made.
    #[must_use]
    pub fn with_attempts(attempts: u32) -> Self {
        RetryPolicy { attempts, transfer_attempts: attempts, ..RetryPolicy::default() }
    }

    /// One try.
    #[must_use]
    pub fn never() -> Self {
        RetryPolicy::with_attempts(1)
    }

    /// Most tries of an operation of this shape.
    pub(crate) fn attempts_of(&self, shape: ShapeKind) -> u32 {
        match shape {
            ShapeKind::Plain => self.attempts,
            ShapeKind::Upload | ShapeKind::Download => self.transfer_attempts,
        }
    }

    /// How long to wait before the `nth` repeat, counted from 1; `None` when the service asks for more than is granted.
    ///
    /// `chance` is from 0 to 1, both included. What the service names is waited in full, and the random wait on top.
    pub(crate) fn wait(&self, cause: Cause, nth: u32, chance: f64, named: Option<Duration>) -> Option<Duration> {
        let base = match cause {
            Cause::Transient => self.base,
            Cause::Throttled => self.throttled_base,
        };
        let doubled = base.saturating_mul(2_u32.saturating_pow(nth.saturating_sub(1)));
        let random = doubled.min(self.cap).min(LONGEST).mul_f64(chance.clamp(0.0, 1.0));
        match named {
            None => Some(random),
            Some(named) if named > self.max_retry_after => None,
            Some(named) => Some(named.saturating_add(random).min(LONGEST)),
        }
    }
}

/// What is tried again for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Something broke that may be whole next time.
    Transient,
    /// The service asked to slow down.
    Throttled,
}

/// How much of a request went out before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nothing: there was no connection.
    Nothing,
    /// Less than its announced length, so the service cannot have acted on it.
    Part,
    /// As far as we can tell, everything.
    Whole,
}

/// How one try ended, as far as the judgement needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending<'a> {
    /// With the head of an answer. The code is the service's own, if its body has one.
    Answer { status: StatusCode, code: Option<&'a str> },
    /// Without one. A lasting failure will be the same next time.
    Failure { kind: ErrorKind, sent: Sent, lasting: bool },
}

/// What follows from the ending of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stands, and means this for the operation.
    Stands(Outcome),
    /// Try again, if attempts, budget and time allow; if they do not it stands as it is.
    Repeat(Cause),
}

/// Judges the ending of one try of an operation. `reached` is whether an earlier try may have reached the service.
pub(crate) fn judge(repeat: Repeat, ending: Ending<'_>, reached: bool) -> Verdict {
    match ending {
        Ending::Answer { status, code } => judge_answer(repeat, status, code, reached),
        Ending::Failure { kind, sent, lasting } => judge_failure(repeat, kind, sent, lasting),
    }
}

fn judge_answer(repeat: Repeat, status: StatusCode, code: Option<&str>, reached: bool) -> Verdict {
    let gone = status == StatusCode::NOT_FOUND && code == Some(code::RESOURCE_NOT_FOUND);
    if repeat == Repeat::SafeIfGone && reached && gone {
        return Verdict::Stands(Outcome::AlreadyGone);
    }
    // Refused before anything happened, and the service says so itself.
    if status == StatusCode::TOO_MANY_REQUESTS || code == Some(code::THROTTLING) {
        return Verdict::Repeat(Cause::Throttled);
    }
    // The body came too slowly to be whole, so nothing can have happened.
    if code == Some(code::REQUEST_TIMEOUT) {
        return Verdict::Repeat(Cause::Transient);
    }
    if code == Some(code::INSUFFICIENT_CAPACITY) {
        return Verdict::Stands(Outcome::AsAnswered);
    }
    match (status.as_u16(), repeat) {
        (408, _) => Verdict::Repeat(Cause::Transient),
        (501 | 505, _) => Verdict::Stands(Outcome::AsAnswered),
        // A gateway, or the service in trouble: nobody says whether it happened.
        (500..=599, Repeat::Unsafe) => Verdict::Stands(Outcome::Unknown),
        (500..=599, _) => Verdict::Repeat(Cause::Transient),
        _ => Verdict::Stands(Outcome::AsAnswered),
    }
}

fn judge_failure(repeat: Repeat, kind: ErrorKind, sent: Sent, lasting: bool) -> Verdict {
    let outcome = match (repeat, sent) {
        (Repeat::Unsafe, Sent::Whole) => Outcome::Unknown,
        _ => Outcome::AsAnswered,
    };
    let transient = matches!(
        kind,
        ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Timeout(_) | ErrorKind::Disconnected | ErrorKind::Protocol
    );
    if lasting || !transient || outcome == Outcome::Unknown {
        Verdict::Stands(outcome)
    } else {
        Verdict::Repeat(Cause::Transient)
    }
}

/// Whether a try that ended so may have reached the service and been acted on.
pub(crate) fn may_have_happened(ending: Ending<'_>) -> bool {
    match ending {
        Ending::Failure { sent, .. } => sent == Sent::Whole,
        Ending::Answer { status, code } => {
            let refused = matches!(code, Some(code::THROTTLING | code::REQUEST_TIMEOUT));
            status.is_server_error() && !refused
        }
    }
}

/// The wait a `Retry-After` header names: seconds, or a date. What makes no sense names none.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// What may be spent on repeats, shared by all clones of a client. When nothing works any more repeats end here, and with them the load
/// on a service that is down.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<u32>);

impl Budget {
    const FULL: u32 = 500;

    pub(crate) fn new() -> Self {
        Budget(Mutex::new(Self::FULL))
    }

    /// What a repeat costs.
    pub(crate) fn cost(cause: Cause) -> u32 {
        match cause {
            Cause::Transient => 14,
            Cause::Throttled => 5,
        }
    }

    /// Pays for a repeat, if there is enough left.
    pub(crate) fn take(&self, cost: u32) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match left.checked_sub(cost) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => false,
        }
    }

    /// Gives back after a success: what the last repeat cost, or 1 when there was none.
    pub(crate) fn give(&self, amount: u32) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + amount).min(Self::FULL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::TimeLimit;

    fn answer(repeat: Repeat, status: u16, code: Option<&str>) -> Verdict {
        judge(repeat, Ending::Answer { status: StatusCode::from_u16(status).unwrap(), code }, false)
    }

    fn failure(repeat: Repeat, kind: ErrorKind, sent: Sent) -> Verdict {
        judge(repeat, Ending::Failure { kind, sent, lasting: false }, false)
    }

    const STANDS: Verdict = Verdict::Stands(Outcome::AsAnswered);
    const AGAIN: Verdict = Verdict::Repeat(Cause::Transient);
    const SLOWER: Verdict = Verdict::Repeat(Cause::Throttled);

    #[test]
    fn the_code_is_looked_at_before_the_status() {
        for repeat in [Repeat::Safe, Repeat::SafeIfGone, Repeat::Unsafe] {
            assert_eq!(answer(repeat, 400, Some(code::THROTTLING)), SLOWER);
            assert_eq!(answer(repeat, 429, None), SLOWER);
            assert_eq!(answer(repeat, 408, None), AGAIN);
            assert_eq!(answer(repeat, 503, Some(code::INSUFFICIENT_CAPACITY)), STANDS);
            for status in [200, 204, 301, 400, 403, 404, 501] {
                assert_eq!(answer(repeat, status, None), STANDS, "{status}");
            }
        }
    }

    #[test]
    fn an_answer_of_a_gateway_leaves_an_unsafe_operation_unknown() {
        for status in [500, 502, 503, 504, 599] {
            assert_eq!(answer(Repeat::Safe, status, None), AGAIN);
            assert_eq!(answer(Repeat::Unsafe, status, None), Verdict::Stands(Outcome::Unknown));
        }
        // The service's own trouble, too: its page does not say that nothing happened.
        assert_eq!(answer(Repeat::Safe, 500, Some(code::SERVICE_UNAVAILABLE)), AGAIN);
        assert_eq!(answer(Repeat::Unsafe, 500, Some(code::SERVICE_UNAVAILABLE)), Verdict::Stands(Outcome::Unknown));
    }

    #[test]
    fn not_found_on_a_repeat_is_done_only_if_an_earlier_try_may_have_done_it() {
        let not_found = Ending::Answer { status: StatusCode::NOT_FOUND, code: Some(code::RESOURCE_NOT_FOUND) };
        assert_eq!(judge(Repeat::SafeIfGone, not_found, true), Verdict::Stands(Outcome::AlreadyGone));
        assert_eq!(judge(Repeat::SafeIfGone, not_found, false), STANDS);
        assert_eq!(judge(Repeat::Safe, not_found, true), STANDS);
        let portal = Ending::Answer { status: StatusCode::NOT_FOUND, code: None };
        assert_eq!(judge(Repeat::SafeIfGone, portal, true), STANDS, "somebody else's 404 proves nothing");
    }

    #[test]
    fn a_failure_is_repeated_when_the_service_cannot_have_acted_twice() {
        let kinds = [ErrorKind::Disconnected, ErrorKind::Timeout(TimeLimit::Head), ErrorKind::Protocol];
        for kind in kinds {
            assert_eq!(failure(Repeat::Safe, kind, Sent::Whole), AGAIN);
            assert_eq!(failure(Repeat::SafeIfGone, kind, Sent::Whole), AGAIN);
            assert_eq!(failure(Repeat::Unsafe, kind, Sent::Whole), Verdict::Stands(Outcome::Unknown));
            assert_eq!(failure(Repeat::Unsafe, kind, Sent::Part), AGAIN);
            assert_eq!(failure(Repeat::Unsafe, kind, Sent::Nothing), AGAIN);
        }
        for kind in [ErrorKind::Config, ErrorKind::Credentials, ErrorKind::Sign, ErrorKind::Body] {
            assert_eq!(failure(Repeat::Safe, kind, Sent::Nothing), STANDS);
        }
        let bad_certificate = Ending::Failure { kind: ErrorKind::Tls, sent: Sent::Nothing, lasting: true };
        assert_eq!(judge(Repeat::Safe, bad_certificate, false), STANDS);
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let longest = |cause, nth| policy.wait(cause, nth, 1.0, None).unwrap().as_millis();
        assert_eq!([1, 2, 3, 4].map(|nth| longest(Cause::Transient, nth)), [50, 100, 200, 400]);
        assert_eq!([1, 2, 5, 6, 99].map(|nth| longest(Cause::Throttled, nth)), [1000, 2000, 16_000, 20_000, 20_000]);
        assert_eq!(policy.wait(Cause::Throttled, 3, 0.0, None), Some(Duration::ZERO));
    }

    #[test]
    fn a_wait_the_service_names_is_granted_up_to_a_minute() {
        let wait = |seconds| RetryPolicy::default().wait(Cause::Throttled, 1, 0.5, Some(Duration::from_secs(seconds)));
        assert_eq!(wait(60), Some(Duration::from_millis(60_500)));
        assert_eq!(wait(61), None);
    }

    #[test]
    fn a_policy_without_bounds_waits_no_longer_than_can_be_reckoned_with() {
        let (base, cap, max_retry_after) = (Duration::MAX, Duration::MAX, Duration::MAX);
        let policy = RetryPolicy { base, cap, max_retry_after, ..RetryPolicy::default() };
        for named in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
            assert_eq!(policy.wait(Cause::Transient, 99, 1.0, named), Some(LONGEST));
        }
    }

    #[test]
    fn retry_after_has_two_forms_and_many_that_mean_nothing() {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 10:00:00 GMT").unwrap();
        let seconds = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Mon, 23 Nov 2026 10:00:05 GMT"), Some(5));
        assert_eq!(seconds("Mon, 23 Nov 2026 09:00:00 GMT"), Some(0), "a date that has passed");
        assert_eq!(seconds("99999999999999999999999"), Some(u64::MAX));
        for text in ["", "-1", "1.5", "soon", "+7", "Mon, 99 Nov 2026 10:00:05 GMT"] {
            assert_eq!(seconds(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_budget_pays_for_thirty_five_repeats_and_no_more() {
        let budget = Budget::new();
        let paid = (0..1000).filter(|_| budget.take(Budget::cost(Cause::Transient))).count();
        assert_eq!(paid, 35);
        for _ in 0..4 {
            budget.give(1);
        }
        assert!(budget.take(14), "10 were left and 4 came back");
        budget.give(u32::from(u16::MAX));
        assert_eq!((0..1000).filter(|_| budget.take(Budget::cost(Cause::Throttled))).count(), 100);
    }
}
