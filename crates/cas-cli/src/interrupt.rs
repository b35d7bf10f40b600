//! Ctrl-C: the first stops what can be gone on with, the second ends the program at once.

use crate::exit::Code;

/// Runs a future until it ends; none when somebody presses Ctrl-C (or sends SIGTERM) before that, and the future is dropped.
///
/// From the first signal on a second one ends the program, whatever it is doing.
pub(crate) async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        outcome = work => Some(outcome),
        () = signal() => {
            tokio::spawn(async {
                signal().await;
                std::process::exit(Code::Interrupted as i32);
            });
            None
        }
    }
}

/// Waits for Ctrl-C, on Unix also for SIGTERM.
pub(crate) async fn signal() {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => _ = signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending();
    let pressed = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // No handler can be had: then the signal ends the program, as it would without us.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = pressed => {}
        () = terminated => {}
    }
}
