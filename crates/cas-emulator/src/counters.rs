//! What an emulator has done so far, in numbers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an emulator has done since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// How many requests came.
    pub requests: u64,
    /// How many of them were answered with an error, faults included.
    pub refusals: u64,
    /// How many requests asked for each operation and were allowed to.
    pub operations: BTreeMap<&'static str, u64>,
    /// How many times something went wrong on demand.
    pub faults: u64,
    /// How many reports of finished jobs were taken by their receivers.
    pub reports_delivered: u64,
    /// How many reports of finished jobs were given up.
    pub reports_given_up: u64,
}

/// The counters of requests, as they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counting(Mutex<Counters>);

impl Counting {
    pub(crate) fn request(&self) {
        self.lock().requests += 1;
    }

    pub(crate) fn refusal(&self) {
        self.lock().refusals += 1;
    }

    pub(crate) fn operation(&self, name: &'static str) {
        *self.lock().operations.entry(name).or_default() += 1;
    }

    pub(crate) fn so_far(&self) -> Counters {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
