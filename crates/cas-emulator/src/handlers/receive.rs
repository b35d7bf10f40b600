//! Taking in the bytes of an archive or a part: to disk, hashed on the way, never held whole.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cas_http::{ContentSha256, TreeHash};
use cas_treehash::Payload;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::body::{Next, RequestBody, Stop};
use crate::failure::{Failure, Outcome};
use crate::service::Service;
use crate::store::{BlobWriter, Intake, SealedBlob, blocking, storage};

/// How many bytes go to disk at once.
const BATCH: usize = 256 << 10;

/// After how many bytes the disk is asked to make them safe, while more are coming. Otherwise all would wait for it at the end of the body.
const SYNC: usize = 16 << 20;

/// After how long a pause what has come so far goes to disk, so that slow clients hold no memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The length that a body was announced with.
pub(crate) fn announced(headers: &HeaderMap) -> Outcome<u64> {
    let length = headers.get(CONTENT_LENGTH).ok_or_else(|| Failure::missing("content-length"))?;
    let length = length.to_str().ok().and_then(|text| text.trim().parse().ok());
    length.ok_or_else(|| Failure::invalid("content-length: not a number"))
}

/// Takes the whole body in. What comes back is on disk, but neither safe nor named.
pub(crate) async fn receive(service: &Service, body: &mut RequestBody) -> Result<SealedBlob, Stop> {
    let (files, name) = (service.store.files.clone(), service.ids.file_name());
    let writer = blocking(move || files.create(name).map_err(storage)).await?;
    let intake = service.store.intake.clone();
    let mut sink = Sink { intake, state: State::Idle(writer), batch: Vec::new(), size: 0, unsynced: 0, syncing: None };
    loop {
        let next = match body.next_or_pause(PAUSE).await? {
            Next::Pause => {
                sink.flush().await?;
                body.next().await?
            }
            next => next,
        };
        match next {
            Next::Piece(piece) => sink.push(piece).await?,
            Next::Pause => {}
            Next::End => return Ok(sink.finish().await?.seal()),
        }
    }
}

/// Compares the bytes that came with what was announced.
pub(crate) fn check(payload: &Payload, length: u64, sha256: ContentSha256, tree_hash: TreeHash) -> Outcome<()> {
    if payload.size != length {
        return Err(Failure::invalid(format!("content-length: {length} bytes announced, {} came", payload.size)));
    }
    if payload.sha256 != sha256 {
        let message = format!("x-cas-content-sha256: {sha256} announced, the bytes have {}", payload.sha256);
        return Err(Failure::invalid(message));
    }
    if payload.tree_hash != tree_hash {
        let message = format!("x-cas-sha256-tree-hash: {tree_hash} announced, the bytes have {}", payload.tree_hash);
        return Err(Failure::invalid(message));
    }
    Ok(())
}

/// Collects pieces and writes them in batches, one batch on its way to disk while the next one comes.
struct Sink {
    intake: Intake,
    state: State,
    batch: Vec<Bytes>,
    size: usize,
    /// How many bytes were written since the disk was last asked for them.
    unsynced: usize,
    syncing: Option<JoinHandle<Outcome<()>>>,
}

enum State {
    Idle(BlobWriter),
    Writing(oneshot::Receiver<Outcome<BlobWriter>>),
    /// Only while a batch is handed over, and after an error.
    Gone,
}

impl Sink {
    async fn push(&mut self, piece: Bytes) -> Outcome<()> {
        self.size += piece.len();
        self.batch.push(piece);
        if self.size >= BATCH { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Outcome<()> {
        let writer = self.writer().await?;
        self.sync_now_and_then(&writer).await?;
        let batch = std::mem::take(&mut self.batch);
        self.unsynced += std::mem::take(&mut self.size);
        self.state =
            if batch.is_empty() { State::Idle(writer) } else { State::Writing(self.intake.take(writer, batch)) };
        Ok(())
    }

    async fn finish(mut self) -> Outcome<BlobWriter> {
        self.flush().await?;
        let writer = self.writer().await?;
        self.synced().await?;
        Ok(writer)
    }

    /// Lets the disk work on what there is, one round at a time.
    async fn sync_now_and_then(&mut self, writer: &BlobWriter) -> Outcome<()> {
        if self.unsynced < SYNC || self.syncing.as_ref().is_some_and(|syncing| !syncing.is_finished()) {
            return Ok(());
        }
        self.synced().await?;
        self.unsynced = 0;
        let sync = writer.syncer().map_err(storage)?;
        self.syncing = sync.map(|sync| tokio::task::spawn_blocking(move || sync().map_err(storage)));
        Ok(())
    }

    /// Waits for the round that is under way. An error of the disk is told to one round only, so none is passed over.
    async fn synced(&mut self) -> Outcome<()> {
        match self.syncing.take() {
            Some(syncing) => syncing.await.map_err(|error| Failure::internal("storing bytes", &error))?,
            None => Ok(()),
        }
    }

    async fn writer(&mut self) -> Outcome<BlobWriter> {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Idle(writer) => Ok(writer),
            State::Writing(task) => task.await.map_err(|error| Failure::internal("storing bytes", &error))?,
            State::Gone => Err(Failure::internal("storing bytes", &"an earlier write failed")),
        }
    }
}

/// How many archives are coming in for each vault; such a vault is not deleted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receiving(Arc<Mutex<HashMap<i64, usize>>>);

impl Receiving {
    /// Notes that an archive comes in, until the value is dropped.
    pub(crate) fn begin(&self, vault: i64) -> InFlight {
        *self.counts().entry(vault).or_default() += 1;
        InFlight { all: self.clone(), vault }
    }

    pub(crate) fn is_busy(&self, vault: i64) -> bool {
        self.counts().contains_key(&vault)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<i64, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An archive that is coming in.
#[derive(Debug)]
pub(crate) struct InFlight {
    all: Receiving,
    vault: i64,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        if let Some(count) = counts.get_mut(&self.vault) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.vault);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_is_busy_until_its_last_archive_is_in() {
        let receiving = Receiving::default();
        let (first, second) = (receiving.begin(1), receiving.begin(1));
        drop(first);
        assert!(receiving.is_busy(1) && !receiving.is_busy(2));
        drop(second);
        assert!(!receiving.is_busy(1));
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let payload = Payload::of(b"hello");
        let [sha256, other] = [&b"hello"[..], b"hullo"].map(ContentSha256::of);
        let [tree, other_tree] = [&b"hello"[..], b"hullo"].map(TreeHash::of);
        assert!(check(&payload, 5, sha256, tree).is_ok());
        let message = |outcome: Outcome<()>| outcome.unwrap_err().message;
        assert_eq!(message(check(&payload, 6, sha256, tree)), "content-length: 6 bytes announced, 5 came");
        assert!(message(check(&payload, 5, other, tree)).starts_with("x-cas-content-sha256: "));
        assert!(message(check(&payload, 5, sha256, other_tree)).starts_with("x-cas-sha256-tree-hash: "));
    }
}
