//! Trouble on demand: rules that say what goes wrong, with which requests, and how often.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cas_http::error_body::code;
use cas_http::{ContentSha256, VaultName};
use http::StatusCode;

/// Something that goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request is answered with this error, and nothing is done.
    Answer {
        /// The status.
        status: StatusCode,
        /// The service's code, such as `PolicyEnforcedException`.
        code: String,
        /// The sentence for people.
        message: String,
    },
    /// The request is answered, but only after this much real time.
    Delay(Duration),
    /// The connection is closed when so many bytes of the request's body have come, and nothing is done. A request whose body is shorter is
    /// done as if there were no fault.
    CutRequest {
        /// How many bytes are still read; that may be all of them, or none.
        after: u64,
    },
    /// The request is done and answered, but the connection is closed after the head and so many bytes of the answer's body. An answer whose body
    /// is shorter, or that has none, comes whole.
    CutAnswer {
        /// How many bytes are still sent; that may be all of them, or none.
        after: u64,
    },
    /// The request is done, and the connection is closed without an answer.
    LoseAnswer,
    /// The request is done and answered, but one bit of this byte of the answer's body, counted from 0, is wrong.
    FlipByte {
        /// Which byte.
        at: u64,
    },
    /// The request is done and answered, but the tree hash in the answer's head is that of other bytes.
    WrongTreeHash,
}

impl Fault {
    /// The answer of a service that wants one to slow down.
    #[must_use]
    pub fn throttle() -> Self {
        Fault::answer(StatusCode::BAD_REQUEST, code::THROTTLING, "slow down")
    }

    /// The answer of a service that has trouble of its own.
    #[must_use]
    pub fn unavailable() -> Self {
        Fault::answer(StatusCode::INTERNAL_SERVER_ERROR, code::SERVICE_UNAVAILABLE, "try again later")
    }

    /// An error of one's own.
    #[must_use]
    pub fn answer(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Fault::Answer { status, code: code.into(), message: message.into() }
    }
}

/// What goes wrong, with which requests, and how often. A new rule is about every request, always.
#[derive(Clone, Debug)]
pub struct FaultRule {
    fault: Fault,
    operation: Option<String>,
    vault: Option<VaultName>,
    skip: u64,
    times: Option<u64>,
    probability: Option<f64>,
}

impl FaultRule {
    /// Lets this go wrong with every request.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        FaultRule { fault, operation: None, vault: None, skip: 0, times: None, probability: None }
    }

    /// Only with requests of this operation, by the service's name for it: `UploadPart`.
    #[must_use]
    pub fn operation(mut self, name: impl Into<String>) -> Self {
        self.operation = Some(name.into());
        self
    }

    /// Only with requests about this vault.
    #[must_use]
    pub fn vault(mut self, name: VaultName) -> Self {
        self.vault = Some(name);
        self
    }

    /// Not with the first so many of these requests.
    #[must_use]
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// So many times, then never again.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// With this share of these requests, from 0 to 1. Which ones follows from the emulator's seed.
    #[must_use]
    pub fn probability(mut self, share: f64) -> Self {
        self.probability = Some(share);
        self
    }

    fn is_about(&self, operation: &str, vault: Option<&VaultName>) -> bool {
        self.operation.as_deref().is_none_or(|name| name == operation)
            && self.vault.as_ref().is_none_or(|name| Some(name) == vault)
    }
}

/// The rules of an emulator. Clones are the same rules.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rules: Mutex<Vec<FaultRule>>,
    chance: Mutex<Chance>,
    fired: AtomicU64,
}

/// A sequence of numbers that follows from a seed.
#[derive(Debug)]
struct Chance {
    seed: u64,
    drawn: u64,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        let (chance, fired) = (Mutex::new(Chance { seed, drawn: 0 }), AtomicU64::new(0));
        Faults(Arc::new(Inner { rules: Mutex::default(), chance, fired }))
    }

    /// Begins the chance of rules with a probability anew: the same seed, rules and requests have the same outcome.
    pub fn seed(&self, seed: u64) {
        *self.chance() = Chance { seed, drawn: 0 };
    }

    /// Adds a rule. The first rule, in the order they were added, that wants something to go wrong with a request has its way.
    pub fn add(&self, rule: FaultRule) {
        self.rules().push(rule);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// How many times something went wrong on demand.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.0.fired.load(Ordering::SeqCst)
    }

    /// What is to go wrong with a request, if anything. Asking counts as one such request.
    pub(crate) fn strike(&self, operation: &str, vault: Option<&VaultName>) -> Option<Fault> {
        let mut rules = self.rules();
        let fault = rules.iter_mut().filter(|rule| rule.is_about(operation, vault)).find_map(|rule| {
            if rule.skip > 0 {
                rule.skip -= 1;
                return None;
            }
            if rule.times == Some(0) || rule.probability.is_some_and(|share| self.draw() >= share) {
                return None;
            }
            rule.times = rule.times.map(|times| times - 1);
            Some(rule.fault.clone())
        })?;
        self.0.fired.fetch_add(1, Ordering::SeqCst);
        Some(fault)
    }

    /// A number from 0 to 1, the same ones in the same order for the same seed.
    fn draw(&self) -> f64 {
        let mut chance = self.chance();
        let mut text = chance.seed.to_be_bytes().to_vec();
        text.extend_from_slice(&chance.drawn.to_be_bytes());
        chance.drawn += 1;
        let digest = ContentSha256::of(&text);
        let bits = digest.as_bytes().iter().take(4).fold(0, |bits: u32, byte| bits << 8 | u32::from(*byte));
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    fn chance(&self) -> MutexGuard<'_, Chance> {
        self.0.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<FaultRule>> {
        self.0.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(faults: &Faults, operation: &str, count: usize) -> usize {
        (0..count).filter(|_| faults.strike(operation, None).is_some()).count()
    }

    #[test]
    fn a_rule_is_about_its_operation_and_its_vault_only() {
        let [photos, films] = ["photos", "films"].map(|name| VaultName::parse(name).unwrap());
        let faults = Faults::new(1);
        faults.add(FaultRule::new(Fault::LoseAnswer).operation("UploadPart").vault(photos.clone()));
        assert_eq!(faults.strike("UploadPart", Some(&photos)), Some(Fault::LoseAnswer));
        assert_eq!(faults.strike("UploadPart", Some(&films)), None);
        assert_eq!(faults.strike("UploadPart", None), None);
        assert_eq!(faults.strike("ListParts", Some(&photos)), None);
        assert_eq!(faults.fired(), 1);
    }

    #[test]
    fn a_rule_can_wait_and_can_end() {
        let faults = Faults::new(1);
        faults.add(FaultRule::new(Fault::throttle()).skip(2).times(3));
        let pattern: Vec<bool> = (0..7).map(|_| faults.strike("ListJobs", None).is_some()).collect();
        assert_eq!(pattern, [false, false, true, true, true, false, false]);
    }

    #[test]
    fn the_first_rule_that_wants_something_has_its_way() {
        let faults = Faults::new(1);
        faults.add(FaultRule::new(Fault::throttle()).times(1));
        faults.add(FaultRule::new(Fault::unavailable()).times(1));
        assert_eq!(faults.strike("ListJobs", None), Some(Fault::throttle()));
        assert_eq!(faults.strike("ListJobs", None), Some(Fault::unavailable()));
        assert_eq!(faults.strike("ListJobs", None), None);
    }

    #[test]
    fn a_share_is_met_and_repeats_with_its_seed() {
        let pattern = |seed| {
            let faults = Faults::new(seed);
            faults.add(FaultRule::new(Fault::LoseAnswer).probability(0.25));
            (0..1000).map(|_| faults.strike("ListJobs", None).is_some()).collect::<Vec<bool>>()
        };
        let hit = pattern(1).iter().filter(|hit| **hit).count();
        assert!((200..300).contains(&hit), "{hit}");
        assert_eq!(pattern(1), pattern(1));
        assert_ne!(pattern(1), pattern(2));
        let faults = Faults::new(1);
        faults.add(FaultRule::new(Fault::LoseAnswer).probability(0.25));
        let strike = || (0..1000).map(|_| faults.strike("ListJobs", None).is_some()).collect::<Vec<bool>>();
        assert_ne!((strike(), strike()), (pattern(2), pattern(2)));
        faults.seed(2);
        assert_eq!(strike(), pattern(2));
    }

    #[test]
    fn cleared_rules_are_gone() {
        let faults = Faults::new(1);
        faults.add(FaultRule::new(Fault::LoseAnswer));
        faults.clear();
        assert_eq!(hits(&faults, "ListJobs", 10), 0);
    }
}
