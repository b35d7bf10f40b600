//! How far a transfer is, for whoever wants to show it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cas_api::cas_http::UploadId;
use tokio::sync::watch;

/// How far a transfer is. Hand a clone to the transfer and look at [`snapshot`](Self::snapshot) as often as you like.
///
/// Nothing is called back: a transfer only counts.
#[derive(Clone, Default)]
pub struct Progress(Arc<State>);

#[derive(Default)]
struct State {
    total_bytes: AtomicU64,
    done_bytes: AtomicU64,
    resumed_bytes: AtomicU64,
    total_parts: AtomicU64,
    done_parts: AtomicU64,
    upload_id: watch::Sender<Option<UploadId>>,
}

/// One look at a transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// How many bytes there are in all; 0 before the transfer knows.
    pub total_bytes: u64,
    /// How many of them are transferred and verified, in this run or an earlier one.
    pub done_bytes: u64,
    /// How many of those were there before this run began.
    pub resumed_bytes: u64,
    /// How many parts or slices there are in all.
    pub total_parts: u64,
    /// How many of them are done.
    pub done_parts: u64,
    /// The multipart upload, once there is one: it can be resumed if this run ends.
    pub upload_id: Option<UploadId>,
}

impl Progress {
    /// A transfer that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Progress::default()
    }

    /// How far it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            total_bytes: load(&self.0.total_bytes),
            done_bytes: load(&self.0.done_bytes),
            resumed_bytes: load(&self.0.resumed_bytes),
            total_parts: load(&self.0.total_parts),
            done_parts: load(&self.0.done_parts),
            upload_id: self.0.upload_id.borrow().clone(),
        }
    }

    /// Waits until a multipart upload has begun, and gives its identifier: whoever keeps it can go on with the upload after any end of this
    /// process. A transfer that is no multipart upload never gets there.
    ///
    /// Cancel safety: nothing is lost when the future is dropped.
    pub async fn upload_begun(&self) -> UploadId {
        let mut begun = self.0.upload_id.subscribe();
        loop {
            if let Some(id) = &*begun.borrow_and_update() {
                return id.clone();
            }
            // The sender is in `self`: the wait ends with a change.
            _ = begun.changed().await;
        }
    }

    /// Counts from 0 again: the same value may be handed to a second try.
    pub(crate) fn begin(&self, total_bytes: u64, total_parts: u64) {
        for counter in [&self.0.done_bytes, &self.0.resumed_bytes, &self.0.done_parts] {
            counter.store(0, Ordering::Relaxed);
        }
        self.0.upload_id.send_replace(None);
        self.0.total_bytes.store(total_bytes, Ordering::Relaxed);
        self.0.total_parts.store(total_parts, Ordering::Relaxed);
    }

    pub(crate) fn begin_upload(&self, upload_id: &UploadId) {
        self.0.upload_id.send_replace(Some(upload_id.clone()));
    }

    pub(crate) fn part_done(&self, bytes: u64, resumed: bool) {
        self.0.done_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.done_parts.fetch_add(1, Ordering::Relaxed);
        if resumed {
            self.0.resumed_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_try_counts_from_the_beginning() {
        let progress = Progress::new();
        for _ in 0..2 {
            progress.begin(10, 2);
            progress.part_done(6, true);
            let now = progress.snapshot();
            assert_eq!((now.done_bytes, now.resumed_bytes, now.done_parts), (6, 6, 1));
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_the_upload_is_told_its_identifier() {
        let (progress, id) = (Progress::new(), UploadId::parse("an-upload").unwrap());
        let waiting = progress.upload_begun();
        let begin = async { progress.begin_upload(&id) };
        assert_eq!(tokio::join!(waiting, begin).0, id);
        assert_eq!(progress.upload_begun().await, id, "also afterwards");
        progress.begin(1, 1);
        assert_eq!(progress.snapshot().upload_id, None, "a second try is another upload");
    }
}
