//! An upload, step by step: one request for a small archive, parallel parts for a large one, and going on with what is there.
//!
//! A part is hashed, sent with both hashes, and done when the service names the tree hash we computed. Parts that an earlier run sent are
//! hashed again before they are believed. The archive is complete when the service accepts the tree hash the parts combine to.

use std::sync::Arc;

use cas_api::cas_http::{
    ArchiveId, ArchiveSize, BoxFuture, ByteRange, ContentSha256, Description, PartRange, PartSize, TreeHash, UploadId,
};
use cas_treehash::{Payload, combine};
use tokio::task::JoinSet;

use crate::error::{Error, ErrorKind};
use crate::multipart_upload::MultipartUpload;
use crate::plan::PartPlan;
use crate::progress::Progress;
use crate::source::Source;
use crate::vault::Vault;

/// From this many bytes on an archive goes up in parts: 100 MiB, as in the official client.
pub const MULTIPART_THRESHOLD: u64 = 100 << 20;

/// How many parts are under way at once unless something else is asked for.
pub const PARTS_IN_FLIGHT: usize = 4;

/// An upload about to begin: a value with setters. Await it to do it.
///
/// Memory: 1 MiB per part being hashed and less than 1 MiB per part being sent, whatever the size of a part or the archive.
///
/// Cancel safety: dropping the future stops it. Parts that were acknowledged stay with the service, and
/// [`Progress::upload_begun`] has given the upload's identifier for [`Vault::resume_upload`]. When it is dropped during the single request of a small
/// archive, or while the parts are made an archive, the archive may be stored all the same: the vault's next inventory tells.
#[derive(Clone, Debug)]
#[must_use = "nothing is uploaded until it is awaited"]
pub struct UploadArchive {
    vault: Vault,
    source: Source,
    description: Option<Description>,
    part_size: PartSize,
    threshold: u64,
    parts_in_flight: usize,
    progress: Progress,
    resuming: Option<UploadId>,
}

/// An archive that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uploaded {
    /// Its identifier, the only way to find it again. Keep it.
    pub archive_id: ArchiveId,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, when it went up in one request; in parts it is not computed over the whole.
    pub sha256: Option<ContentSha256>,
    /// Its tree hash, computed here and accepted by the service.
    pub tree_hash: TreeHash,
    /// How many parts it went up in; 1 for a single request.
    pub parts: u64,
    /// How many of them this run sent; the others were there already and were verified.
    pub parts_sent: u64,
    /// The multipart upload it was, which is gone now.
    pub upload_id: Option<UploadId>,
}

impl UploadArchive {
    pub(crate) fn new(vault: &Vault, source: Source) -> Self {
        UploadArchive {
            vault: vault.clone(),
            source,
            description: None,
            part_size: PartSize::DEFAULT,
            threshold: MULTIPART_THRESHOLD,
            parts_in_flight: PARTS_IN_FLIGHT,
            progress: Progress::new(),
            resuming: None,
        }
    }

    pub(crate) fn resuming(mut self, id: UploadId) -> Self {
        self.resuming = Some(id);
        self
    }

    /// Keeps this text with the archive. A resumed upload keeps the one it was begun with.
    pub fn description(mut self, text: impl Into<Description>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// The size of parts to begin with; it is doubled until 10 000 parts are enough. 16 MiB unless set. A resumed upload keeps its own.
    pub fn part_size(mut self, size: PartSize) -> Self {
        self.part_size = size;
        self
    }

    /// From how many bytes on the archive goes up in parts; [`MULTIPART_THRESHOLD`] unless set.
    pub fn threshold(mut self, bytes: u64) -> Self {
        self.threshold = bytes;
        self
    }

    /// How many parts are under way at once, at least 1; [`PARTS_IN_FLIGHT`] unless set.
    pub fn parts_in_flight(mut self, count: usize) -> Self {
        self.parts_in_flight = count.max(1);
        self
    }

    /// Where to count how far it is.
    pub fn progress(mut self, progress: &Progress) -> Self {
        self.progress = progress.clone();
        self
    }

    async fn run(self) -> Result<Uploaded, Error> {
        let name = self.source.to_string();
        let outcome = match self.resuming.clone() {
            Some(id) => self.resume(&id).await,
            None if self.source.size().bytes() < self.threshold => self.in_one_request().await,
            None => self.in_parts().await,
        };
        outcome.map_err(|error| error.while_doing(|| format!("upload of {name} did not succeed")))
    }

    async fn in_one_request(self) -> Result<Uploaded, Error> {
        let UploadArchive { vault, source, description, progress, .. } = self;
        let whole = ByteRange::with_len(0, source.size().bytes())?;
        progress.begin(whole.len(), 1);
        let hashes = source.hashed(whole).await?;
        let body = source.body(whole);
        let mut call = vault.api().upload_archive(vault.name(), hashes.sha256, hashes.tree_hash, body);
        if let Some(description) = description {
            call = call.description(description);
        }
        let stored = match call.await {
            Ok(stored) => stored,
            Err(error) => return Err(blame(&source, whole, &hashes, error.into()).await),
        };
        if let Some(tree_hash) = stored.tree_hash {
            same_hash(&tree_hash, &hashes.tree_hash, || format!("archive {}", stored.archive_id))?;
        }
        progress.part_done(whole.len(), false);
        Ok(Uploaded {
            archive_id: stored.archive_id,
            size: whole.len(),
            sha256: Some(hashes.sha256),
            tree_hash: hashes.tree_hash,
            parts: 1,
            parts_sent: 1,
            upload_id: None,
        })
    }

    async fn in_parts(self) -> Result<Uploaded, Error> {
        let plan = PartPlan::fitting(self.source.size(), self.part_size);
        let upload = MultipartUpload::start(&self.vault, plan.part_size(), self.description.clone()).await?;
        let id = upload.id().clone();
        self.send(&upload, plan).await.map_err(|error| error.keeping(&id))
    }

    async fn resume(self, id: &UploadId) -> Result<Uploaded, Error> {
        let upload = MultipartUpload::describe(&self.vault, id).await?;
        let part_size = upload.description().part_size()?;
        let plan = PartPlan::new(self.source.size(), part_size)?;
        self.send(&upload, plan).await.map_err(|error| error.keeping(id))
    }

    /// Sends what the service has not, and completes the upload.
    async fn send(self, upload: &MultipartUpload, plan: PartPlan) -> Result<Uploaded, Error> {
        let standing = plan.standing(upload.parts())?;
        self.progress.begin(plan.size(), plan.count());
        self.progress.begin_upload(upload.id());
        let sender = Arc::new(PartSender {
            vault: self.vault.clone(),
            upload_id: upload.id().clone(),
            source: self.source.clone(),
        });
        let sent = send_parts(sender, &plan, &standing, self.parts_in_flight, &self.progress).await?;

        // What was sent must still be what is on disk, or the archive is of no moment in time.
        self.source.check_unchanged().await?;
        let hashes = plan.parts().zip(&sent).map(|(part, sent)| (part.len(), sent.tree_hash));
        let tree_hash = combine(hashes)
            .map_err(|error| Error::new(ErrorKind::Integrity, "the parts do not combine").caused_by(error))?;
        let archive_id = complete(&self.vault, upload.id(), self.source.size(), tree_hash).await?;
        Ok(Uploaded {
            archive_id,
            size: plan.size(),
            sha256: None,
            tree_hash,
            parts: plan.count(),
            parts_sent: sent.iter().filter(|sent| sent.now).count() as u64,
            upload_id: Some(upload.id().clone()),
        })
    }
}

impl IntoFuture for UploadArchive {
    type Output = Result<Uploaded, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A part the service has, verified.
#[derive(Clone, Copy)]
struct SentPart {
    tree_hash: TreeHash,
    /// Whether this run sent it.
    now: bool,
}

/// What every part task needs.
struct PartSender {
    vault: Vault,
    upload_id: UploadId,
    source: Source,
}

impl PartSender {
    /// Hashes a part and sends it, unless the service has exactly it.
    async fn send(&self, part: PartRange, standing: Option<TreeHash>) -> Result<SentPart, Error> {
        let range = part.bytes();
        let hashes = self.source.hashed(range).await?;
        if standing == Some(hashes.tree_hash) {
            return Ok(SentPart { tree_hash: hashes.tree_hash, now: false });
        }
        let api = self.vault.api();
        let body = self.source.body(range);
        let call = api.upload_part(self.vault.name(), &self.upload_id, part, hashes.sha256, hashes.tree_hash, body);
        match call.await {
            Ok(stored) => same_hash(&stored.tree_hash, &hashes.tree_hash, || format!("part {part}"))?,
            Err(error) => return Err(blame(&self.source, range, &hashes, error.into()).await),
        }
        Ok(SentPart { tree_hash: hashes.tree_hash, now: true })
    }
}

/// Runs the part tasks, so many at once. The first failure ends the others.
async fn send_parts(
    sender: Arc<PartSender>,
    plan: &PartPlan,
    standing: &[Option<TreeHash>],
    in_flight: usize,
    progress: &Progress,
) -> Result<Vec<SentPart>, Error> {
    let mut waiting = plan.parts().zip(standing.iter().copied()).enumerate();
    let mut sent: Vec<Option<SentPart>> = vec![None; standing.len()];
    // Dropping the set, on failure or cancellation, aborts what is in it.
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < in_flight
            && let Some((index, (part, standing))) = waiting.next()
        {
            let sender = Arc::clone(&sender);
            tasks.spawn(async move { (index, part, sender.send(part, standing).await) });
        }
        let Some(outcome) = tasks.join_next().await else { break };
        let (index, part, outcome) =
            outcome.map_err(|error| Error::new(ErrorKind::LocalIo, "a part task did not finish").caused_by(error))?;
        let count = plan.count();
        let done = outcome.map_err(|error| {
            error.while_doing(|| format!("upload of {} stopped at part {} of {count}", sender.source, index + 1))
        })?;
        progress.part_done(part.len(), !done.now);
        sent[index] = Some(done);
    }
    Ok(sent.into_iter().map(|sent| sent.expect("every part was sent or the loop ended in an error")).collect())
}

/// Completes the upload. The call is not repeated blindly: when its outcome is unknown, the list of parts tells whether the upload is still
/// there, and only then is it made again.
async fn complete(vault: &Vault, id: &UploadId, size: ArchiveSize, tree_hash: TreeHash) -> Result<ArchiveId, Error> {
    let probably_stored = |error: cas_api::Error| {
        Error::from(error).while_doing(|| {
            format!(
                "the upload {id} is gone, so the archive of {size} bytes with tree hash {tree_hash} is probably stored; its identifier \
                 will be in the vault's next inventory"
            )
        })
    };
    let mut tries_left = 3;
    let mut unknown: Option<cas_api::Error> = None;
    loop {
        tries_left -= 1;
        let error = match vault.api().complete_multipart_upload(vault.name(), id, size, tree_hash).await {
            Ok(completed) => return Ok(completed.archive_id),
            Err(error) => error,
        };
        match (error.kind(), unknown.take()) {
            (cas_api::ErrorKind::Ambiguous, _) => {}
            // It is gone because the try before, whose outcome was unknown, did complete it.
            (cas_api::ErrorKind::NotFound, Some(before)) => return Err(probably_stored(before)),
            _ => return Err(error.into()),
        }
        match vault.api().list_parts(vault.name(), id).await {
            Ok(_) if tries_left > 0 => unknown = Some(error),
            Err(gone) if gone.kind() == cas_api::ErrorKind::NotFound => return Err(probably_stored(error)),
            _ => return Err(error.into()),
        }
    }
}

/// Finds out whether a refused body was refused because the source changed after it was hashed.
async fn blame(source: &Source, range: ByteRange, sent: &Payload, error: Error) -> Error {
    // A file that has become shorter gives fewer bytes than were announced.
    const SHORT: cas_api::ErrorKind = cas_api::ErrorKind::Transport(cas_api::cas_http::ErrorKind::Body);
    if !matches!(error.kind(), ErrorKind::Api(cas_api::ErrorKind::Refused | SHORT)) {
        return error;
    }
    match source.hashed(range).await {
        Ok(now) if now.tree_hash == sent.tree_hash => error,
        Ok(_) => source.changed(range).caused_by(error),
        Err(unreadable) => unreadable,
    }
}

fn same_hash(theirs: &TreeHash, ours: &TreeHash, what: impl FnOnce() -> String) -> Result<(), Error> {
    if theirs == ours {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Integrity, format!("{}: the service computed tree hash {theirs}, we {ours}", what())))
}
