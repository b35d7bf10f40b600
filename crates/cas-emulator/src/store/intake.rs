//! Where bodies that come in meet, so that two are hashed in step.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{BlobWriter, storage};
use crate::failure::{Failure, Outcome};

/// Takes pieces of bodies to their files. Clones are the same place.
///
/// Hashing two bodies in step takes little more than half the time of one after the other. So a task that has a piece lets the others run for one
/// turn; whoever comes back first does the work for two. No thread stands behind this: handing bytes to one takes longer than hashing
/// them where they are, in the cache of the core that has just read them (docs/decisions/receiving-bytes.md).
#[derive(Clone, Debug, Default)]
pub(crate) struct Intake(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Batch>,
    next_number: u64,
}

/// A piece for a file, and who waits for it to be there.
#[derive(Debug)]
struct Batch {
    number: u64,
    writer: BlobWriter,
    piece: Bytes,
    done: oneshot::Sender<Outcome<BlobWriter>>,
}

impl Intake {
    /// Hashes a piece and adds it to its file. The writer comes back when that is done and the next piece can be added, unless something failed.
    ///
    /// Whoever gives this up gives the file up; other bodies notice nothing.
    pub(crate) async fn take(&self, writer: BlobWriter, piece: Bytes) -> Outcome<BlobWriter> {
        let (done, written) = oneshot::channel();
        let _place = self.wait(writer, piece, done);
        tokio::task::yield_now().await;
        while written.is_empty()
            && let Some(first) = self.next()
        {
            match self.next() {
                Some(second) => work_on_two(first, second),
                None => work_on_one(first),
            }
        }
        let mut writer = written.await.map_err(|error| Failure::internal("storing bytes", &error))??;
        writer.hand_over().await.map_err(storage)?;
        Ok(writer)
    }

    fn wait(&self, writer: BlobWriter, piece: Bytes, done: oneshot::Sender<Outcome<BlobWriter>>) -> Place<'_> {
        let mut queue = self.queue();
        let number = queue.next_number;
        queue.next_number += 1;
        queue.waiting.push_back(Batch { number, writer, piece, done });
        Place { intake: self, number }
    }

    fn next(&self) -> Option<Batch> {
        self.queue().waiting.pop_front()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue. It is given up when the value is dropped.
struct Place<'i> {
    intake: &'i Intake,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queue = self.intake.queue();
        let given_up = queue.waiting.iter().position(|batch| batch.number == self.number);
        let batch = given_up.and_then(|position| queue.waiting.remove(position));
        // Dropping the batch removes a file, which nobody should wait for.
        drop(queue);
        drop(batch);
    }
}

fn work_on_one(Batch { mut writer, piece, done, .. }: Batch) {
    let written = writer.write(&piece).map_err(storage);
    // First, so that the next bytes can be read to where these are.
    drop(piece);
    // Whoever waited may have gone; then the file goes, too.
    drop(done.send(written.map(|()| writer)));
}

fn work_on_two(mut first: Batch, mut second: Batch) {
    let written = BlobWriter::write_two([(&mut first.writer, &first.piece), (&mut second.writer, &second.piece)]);
    for (Batch { writer, piece, done, .. }, written) in [first, second].into_iter().zip(written) {
        drop(piece);
        drop(done.send(written.map_err(storage).map(|()| writer)));
    }
}

#[cfg(test)]
mod tests {
    use cas_treehash::Payload;
    use tempfile::TempDir;

    use super::*;
    use crate::store::BlobFiles;

    fn files() -> (TempDir, BlobFiles) {
        let directory = tempfile::tempdir().unwrap();
        let files = BlobFiles::open(directory.path(), false).unwrap();
        (directory, files)
    }

    fn writer(files: &BlobFiles, number: usize) -> BlobWriter {
        files.create(format!("{number:040}")).unwrap()
    }

    /// Takes in so many bytes in pieces of this size.
    async fn body(intake: &Intake, mut writer: BlobWriter, bytes: &[u8], piece: usize) -> Payload {
        for piece in bytes.chunks(piece) {
            writer = intake.take(writer, Bytes::copy_from_slice(piece)).await.unwrap();
        }
        writer.seal().payload
    }

    #[tokio::test]
    async fn each_of_many_bodies_has_its_own_hashes() {
        let (_directory, files) = files();
        let intake = Intake::default();
        let bodies: Vec<(Vec<u8>, usize)> =
            (0..9).map(|n| (vec![n; 1_300_000 * usize::from(n) + 1], 100_003 + 50_000 * usize::from(n))).collect();
        let taken = bodies.iter().enumerate().map(|(number, (bytes, piece))| {
            let (intake, writer) = (&intake, writer(&files, number));
            async move { assert_eq!(body(intake, writer, bytes, *piece).await, Payload::of(bytes), "body {number}") }
        });
        futures::future::join_all(taken).await;
        assert!(intake.next().is_none());
    }

    #[tokio::test]
    async fn whoever_comes_back_first_works_for_two() {
        let (_directory, files) = files();
        let intake = Intake::default();
        let [mut first, mut second] =
            [1, 2].map(|number| Box::pin(intake.take(writer(&files, number), Bytes::from_static(b"hello"))));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        assert!(futures::poll!(&mut second).is_ready());
        assert!(intake.next().is_none());
        assert!(futures::poll!(&mut first).is_ready());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_behind() {
        let (directory, files) = files();
        let intake = Intake::default();
        let [mut gone, mut stays] =
            [1, 2].map(|number| Box::pin(intake.take(writer(&files, number), Bytes::from_static(b"hello"))));
        assert!(futures::poll!(&mut gone).is_pending() && futures::poll!(&mut stays).is_pending());
        drop(gone);
        assert_eq!(intake.queue().waiting.len(), 1);
        let kept = stays.await.unwrap();
        // Another thread removes the file.
        while std::fs::read_dir(directory.path().join("unfinished")).unwrap().count() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(kept.seal().payload, Payload::of(b"hello"));
    }
}
