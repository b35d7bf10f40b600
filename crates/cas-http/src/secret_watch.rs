//! Watches what a whole test run logs and shows for the secrets it uses. For the tests of this workspace and of code above it.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// What tells a secret, in tests that choose their secrets accordingly: keys, tokens, passwords and private keys of theirs hold the first (or the
/// second, in Basic authorization), the accounts of examples and emulators have the next two, and the last stands in each `Authorization`.
const MARKS: [&str; 5] = ["hunter2", "aHVudGVyMg", "example-secret-key", "emulator-secret-key", "q-signature="];

/// Which parts of the program have logged something since the watch began.
static HEARD: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// Watches all that is logged in this process from now on, at every level and by every library that logs through `tracing`; what goes to the `log`
/// crate is not heard. The first line that tells a secret ends the process with a message: a panic might be caught by the task that logs.
///
/// To be called by whatever the tests of a suite make their clients with; it does something the first time only.
///
/// # Panics
///
/// When something else receives the log already.
pub fn watch_the_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Watch(AtomicU64::new(1))).expect("nothing else receives the log");
    });
}

/// Which parts of the program have logged something since the watch began, as the paths of their modules.
#[must_use]
pub fn heard() -> Vec<&'static str> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
}

/// The secret that a text tells, if it tells one.
#[must_use]
pub fn secret_in(text: &str) -> Option<&'static str> {
    MARKS.into_iter().find(|mark| text.contains(mark))
}

/// An error as people see it: its message with those of all its causes, and its `Debug`.
///
/// # Panics
///
/// When it tells a secret.
#[track_caller]
pub fn shown(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = chain.map(|error| format!("{error}; {error:?}")).collect();
    let text = texts.join("; ");
    assert_eq!(secret_in(&text), None, "an error tells a secret: {text}");
    text
}

/// Receives the log and keeps nothing of it.
struct Watch(AtomicU64);

impl Subscriber for Watch {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        hear(span.metadata());
        span.record(&mut Check);
        Id::from_u64(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Check);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        hear(event.metadata());
        event.record(&mut Check);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn hear(metadata: &Metadata<'static>) {
    if let Some(module) = metadata.module_path() {
        HEARD.lock().unwrap_or_else(PoisonError::into_inner).insert(module);
    }
}

/// Looks at each value of a line.
struct Check;

impl Visit for Check {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if let Some(secret) = secret_in(&text) {
            // The harness does not catch what is written here.
            let _ = writeln!(io::stderr(), "the log tells a secret, {secret:?}: {} = {text}", field.name());
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_tells_a_secret_is_known() {
        assert_eq!(secret_in("key: hunter2-of-mine"), Some("hunter2"));
        assert_eq!(secret_in("Basic bWU6aHVudGVyMg=="), Some("aHVudGVyMg"));
        assert_eq!(secret_in("q-ak=id&q-signature=00"), Some("q-signature="));
        assert_eq!(secret_in("secret key"), None);
    }

    #[test]
    #[should_panic(expected = "an error tells a secret")]
    fn a_cause_is_looked_at_too() {
        shown(&crate::Error::config("it failed").with_source("hunter2"));
    }
}
