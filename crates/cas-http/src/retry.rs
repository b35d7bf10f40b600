//! When to try again: the policy, the budget, and the judgement of one try. Pure: time and chance are arguments.

use std::time::Duration;

/// When a call is tried again, and how long the wait is.
///
/// Waits are random between nothing and a bound that doubles with each try, so that many clients do not come back at the same moment.
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
}
