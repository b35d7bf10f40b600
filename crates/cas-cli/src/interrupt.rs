//! Ctrl-C: the first stops what can be gone on with, the second ends the program at once.

use crate::exit::Code;

/// Runs a future until it ends; none when somebody presses Ctrl-C (or sends SIGTERM) before that, and the future is dropped.
///
/// From the first signal on a second one ends the program, whatever it is doing.
pub(crate) async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut signals = Signals::listen();
    tokio::select! {
        outcome = work => Some(outcome),
        () = signals.wait() => {
            tokio::spawn(async move {
                signals.wait().await;
                std::process::exit(Code::Interrupted as i32);
            });
            None
        }
    }
}

/// Ctrl-C, on Unix also SIGTERM. They do not end the program any more once this exists.
#[cfg(unix)]
pub(crate) struct Signals([Option<tokio::signal::unix::Signal>; 2]);

#[cfg(unix)]
impl Signals {
    /// Begins to listen. A signal that nobody can listen to ends the program as it always did.
    pub(crate) fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        Signals([SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok()))
    }

    /// Waits for the next.
    pub(crate) async fn wait(&mut self) {
        async fn next(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => _ = signal.recv().await,
                None => std::future::pending().await,
            }
        }
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            () = next(interrupt) => {}
            () = next(terminate) => {}
        }
    }
}

/// Ctrl-C, on Unix also SIGTERM. They do not end the program any more once this exists.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Begins to listen.
    pub(crate) fn listen() -> Self {
        Signals
    }

    /// Waits for the next.
    pub(crate) async fn wait(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
