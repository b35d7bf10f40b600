//! The threads that write what comes in and hash it, two bodies at once where there are two.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{BlobWriter, storage};
use crate::failure::Outcome;

/// Takes batches of bytes to their files. Clones are the same threads.
///
/// There are as many threads as the machine has cores, and only while there is work: what waits meanwhile finds a partner, and hashing two bodies
/// in step takes little more than half the time of one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Intake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    threads: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Batch>,
    /// How many threads are at work.
    working: usize,
}

/// Bytes for a file, and who waits for them to be there.
#[derive(Debug)]
struct Batch {
    writer: BlobWriter,
    pieces: Vec<Bytes>,
    done: oneshot::Sender<Outcome<BlobWriter>>,
}

impl Default for Intake {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Intake(Arc::new(Inner { threads, queue: Mutex::default() }))
    }
}

impl Intake {
    /// Writes and hashes these pieces. The writer comes back when that is done, unless it failed.
    pub(crate) fn take(&self, writer: BlobWriter, pieces: Vec<Bytes>) -> oneshot::Receiver<Outcome<BlobWriter>> {
        let (done, waiting) = oneshot::channel();
        // Started without the queue being locked: a runtime that is ending drops the work instead, which locks the queue itself.
        if let Some(working) = self.0.wait(Batch { writer, pieces, done }) {
            tokio::task::spawn_blocking(move || working.until_nothing_waits());
        }
        waiting
    }
}

impl Inner {
    /// Lets a batch wait. Comes back with the thread that is to be started for it, if all others are at work.
    fn wait(self: &Arc<Self>, batch: Batch) -> Option<Working> {
        let mut queue = self.queue();
        queue.waiting.push_back(batch);
        let starts = queue.working < self.threads;
        queue.working += usize::from(starts);
        starts.then(|| Working(self.clone()))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that is at work, however that ends.
struct Working(Arc<Inner>);

impl Working {
    fn until_nothing_waits(&self) {
        loop {
            let mut queue = self.0.queue();
            let Some(first) = queue.waiting.pop_front() else { return };
            let second = queue.waiting.pop_front();
            drop(queue);
            match second {
                Some(second) => work_on_two(first, second),
                None => work_on_one(first),
            }
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.queue().working -= 1;
    }
}

fn work_on_one(Batch { mut writer, pieces, done }: Batch) {
    let written = writer.write(&pieces).map_err(storage);
    // Whoever waited may have gone; then the file goes, too.
    drop(done.send(written.map(|()| writer)));
}

fn work_on_two(mut first: Batch, mut second: Batch) {
    let written = BlobWriter::write_two([(&mut first.writer, &first.pieces), (&mut second.writer, &second.pieces)]);
    for (batch, written) in [first, second].into_iter().zip(written) {
        drop(batch.done.send(written.map_err(storage).map(|()| batch.writer)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::BlobFiles;

    #[test]
    fn work_that_comes_while_the_runtime_ends_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let files = BlobFiles::open(directory.path(), false).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _inside = handle.enter();
        let intake = Intake::default();
        let mut waiting = intake.take(files.create("a".repeat(40)).unwrap(), vec![Bytes::from_static(b"hello")]);
        // Nobody is at work on it, and nobody is thought to be.
        assert!(waiting.try_recv().is_err());
        assert_eq!(intake.0.queue().working, 0);
    }
}
