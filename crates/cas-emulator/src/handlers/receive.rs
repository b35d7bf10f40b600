//! Taking in the bytes of an archive or a part: to disk, hashed on the way, never held whole.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cas_http::{ContentSha256, TreeHash};
use cas_treehash::Payload;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::body::{Next, RequestBody, Stop};
use crate::failure::{Failure, Outcome};
use crate::service::Service;
use crate::store::{SealedBlob, blocking, storage};

/// The length that a body was announced with.
pub(crate) fn announced(headers: &HeaderMap) -> Outcome<u64> {
    let length = headers.get(CONTENT_LENGTH).ok_or_else(|| Failure::missing("content-length"))?;
    let length = length.to_str().ok().and_then(|text| text.trim().parse().ok());
    length.ok_or_else(|| Failure::invalid("content-length: not a number"))
}

/// Takes the whole body in. What comes back is on disk, but neither safe nor named.
pub(crate) async fn receive(service: &Service, body: &mut RequestBody) -> Result<SealedBlob, Stop> {
    let (files, name) = (service.store.files.clone(), service.ids.file_name());
    let length = body.length();
    let mut writer = blocking(move || Ok(files.create(name).map_err(storage)?.expecting(length))).await?;
    while let Next::Piece(piece) = body.next().await? {
        writer = service.store.intake.take(writer, piece).await?;
    }
    Ok(writer.seal())
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
