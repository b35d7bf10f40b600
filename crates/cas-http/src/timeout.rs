//! Time limits: what they are, and how silence is told from slowness.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The longest time that is waited for anything; whatever is longer counts as this. Sums with it do not overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The time limits of a client, of at most a year; one that is longer counts as a year. hyper has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For a connection to the service or the proxy, the look-up of its name included: 5 s.
    pub connect: Duration,
    /// For the TLS handshake: 10 s.
    pub tls: Duration,
    /// For the head of the answer, counted from the moment the operating system took the last of the request: 30 s. One more second is
    /// allowed for each 64 KiB of the last 4 MiB of a body, which the operating system may still hold then.
    pub head: Duration,
    /// For silence while the body of an answer arrives: 30 s. Waiting counts, not the time the caller takes between two reads.
    pub read: Duration,
    /// For silence while a request is being sent: 30 s.
    pub write: Duration,
    /// For a whole call with its repeats: none. A call may set its own.
    pub operation: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(5),
            tls: Duration::from_secs(10),
            head: Duration::from_secs(30),
            read: Duration::from_secs(30),
            write: Duration::from_secs(30),
            operation: None,
        }
    }
}

impl Timeouts {
    /// The same with no limit that is too long to reckon with. That of an operation is none then.
    pub(crate) fn bounded(self) -> Self {
        let Timeouts { connect, tls, head, read, write, operation } = self;
        let [connect, tls, head, read, write] = [connect, tls, head, read, write].map(|limit| limit.min(LONGEST));
        Timeouts { connect, tls, head, read, write, operation }
    }
}

/// How many bytes must move within one silence limit for a link to count as moving: about 34 bytes a second with the usual limit. Less is
/// as good as silence, though a byte comes now and then.
pub const PROGRESS_FLOOR: u64 = 1024;

/// Watches one direction of a connection: the time that was spent waiting since [`PROGRESS_FLOOR`] bytes last moved.
#[derive(Debug)]
pub(crate) struct Silence {
    limit: Duration,
    left: Duration,
    moved: u64,
    waiting: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    /// A watch over silence of at most [`LONGEST`].
    pub(crate) fn new(limit: Duration) -> Self {
        Silence { limit, left: limit, moved: 0, waiting: None, timer: None }
    }

    /// Notes that bytes moved, or that there is nothing to wait for at the moment.
    pub(crate) fn moved(&mut self, bytes: u64) {
        if let Some(since) = self.waiting.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= PROGRESS_FLOOR {
            (self.left, self.moved) = (self.limit, 0);
        }
    }

    /// To be called whenever there is something to wait for: ready when the wait has lasted too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none() {
            let now = Instant::now();
            self.waiting = Some(now);
            let until = now + self.left;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(until),
                None => self.timer = Some(Box::pin(sleep_until(until))),
            }
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn waited_out(silence: &mut Silence, wait: Duration) -> bool {
        tokio::time::timeout(wait, poll_fn(|cx| silence.poll(cx))).await.is_ok()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_is_silence() {
        let mut silence = Silence::new(30 * SECOND);
        for _ in 0..29 {
            assert!(!waited_out(&mut silence, SECOND).await);
            silence.moved(1);
        }
        assert!(waited_out(&mut silence, 2 * SECOND).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_link_that_moves_is_not_silent() {
        let mut silence = Silence::new(30 * SECOND);
        for _ in 0..100 {
            assert!(!waited_out(&mut silence, 29 * SECOND).await);
            silence.moved(PROGRESS_FLOOR);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_does_not_count() {
        let mut silence = Silence::new(30 * SECOND);
        assert!(!waited_out(&mut silence, SECOND).await);
        silence.moved(1);
        tokio::time::sleep(3600 * SECOND).await;
        assert!(!waited_out(&mut silence, 28 * SECOND).await);
        assert!(waited_out(&mut silence, 2 * SECOND).await);
    }
}
