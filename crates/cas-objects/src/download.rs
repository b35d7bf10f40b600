//! A download, step by step: slices in parallel into a file beside the target, each verified, the whole verified, then renamed.
//!
//! A slice counts when exactly the bytes asked for arrived and, if the service sent their tree hash, they have it. The file counts when the
//! slices combine to the tree hash the service has for the output. What an earlier run left on disk is hashed again before it is believed.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cas_api::answers::GetJobOutputOutput;
use cas_api::cas_http::header::CONTENT_RANGE;
use cas_api::cas_http::{ArchiveSize, BoxFuture, ByteRange, JobId, PartSize, ResponseBody, TreeHash};
use cas_treehash::{TreeHasher, combine, read};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::checkpoint::{Journal, Subject, VERSION};
use crate::error::{Error, ErrorKind, blocking};
use crate::job::Job;
use crate::plan::PartPlan;
use crate::progress::Progress;
use crate::target::{Target, write_all_at};
use crate::vault::Vault;

/// The size of a slice unless something else is asked for: 32 MiB, as in the official client.
pub const SLICE_SIZE: PartSize = match PartSize::DEFAULT.doubled() {
    Some(size) => size,
    None => PartSize::DEFAULT,
};

/// How many slices are under way at once unless something else is asked for.
pub const SLICES_IN_FLIGHT: usize = 4;

/// A download about to begin: a value with setters. Await it to do it.
///
/// Memory: about 1 MiB per slice under way, whatever the size of the output.
///
/// Cancel safety: dropping the future stops it; the unfinished file and its journal stay, and the same call goes on with them.
#[derive(Clone, Debug)]
#[must_use = "nothing is downloaded until it is awaited"]
pub struct DownloadToFile {
    job: Job,
    path: PathBuf,
    slice_size: PartSize,
    slices_in_flight: usize,
    overwrite: bool,
    wait: bool,
    progress: Progress,
}

/// A file that is there, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Downloaded {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The tree hash of its bytes, computed here.
    pub tree_hash: TreeHash,
    /// What its bytes were compared with.
    pub verification: Verification,
    /// How many slices it has.
    pub slices: u64,
    /// How many of them this run fetched; the others were on disk already and were verified.
    pub slices_fetched: u64,
}

/// What bytes that arrived were compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verification {
    /// The tree hash the service has for them.
    TreeHash,
    /// Their number only: the service tells no tree hash of an inventory, nor of a range that is no subtree of the archive's tree.
    LengthOnly,
}

/// A range that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeRead {
    /// How many bytes came: all that were asked for.
    pub size: u64,
    /// Their tree hash, computed here.
    pub tree_hash: TreeHash,
    /// What they were compared with.
    pub verification: Verification,
}

impl DownloadToFile {
    pub(crate) fn new(job: &Job, path: PathBuf) -> Self {
        DownloadToFile {
            job: job.clone(),
            path,
            slice_size: SLICE_SIZE,
            slices_in_flight: SLICES_IN_FLIGHT,
            overwrite: false,
            wait: false,
            progress: Progress::new(),
        }
    }

    /// The size of a slice; [`SLICE_SIZE`] unless set.
    pub fn slice_size(mut self, size: PartSize) -> Self {
        self.slice_size = size;
        self
    }

    /// How many slices are under way at once, at least 1; [`SLICES_IN_FLIGHT`] unless set.
    pub fn slices_in_flight(mut self, count: usize) -> Self {
        self.slices_in_flight = count.max(1);
        self
    }

    /// Whether a file that is there already may be replaced. It stays as it is until the new one is whole.
    ///
    /// Without it a file that is there is refused, looked for at the beginning and in the step that gives the new one its name. On Linux and
    /// macOS that step is one; elsewhere, and on a file system without it, a file that somebody makes in the last moment is replaced.
    pub fn overwrite(mut self, yes: bool) -> Self {
        self.overwrite = yes;
        self
    }

    /// Whether to wait for a job that has not ended; otherwise that is an error of kind [`NotReady`](ErrorKind::NotReady).
    #[doc(alias = "block")]
    pub fn wait(mut self, yes: bool) -> Self {
        self.wait = yes;
        self
    }

    /// Where to count how far it is.
    pub fn progress(mut self, progress: &Progress) -> Self {
        self.progress = progress.clone();
        self
    }

    async fn run(mut self) -> Result<Downloaded, Error> {
        let target = Target::check(&self.path, self.overwrite)?;
        if self.wait {
            self.job.wait().await?;
        } else if !self.job.completed {
            self.job.update_status().await?;
        }
        self.job.check_output()?;
        let name = self.path.display().to_string();
        self.fetch(target).await.map_err(|error| error.while_doing(|| format!("download of {name} did not succeed")))
    }

    async fn fetch(self, target: Target) -> Result<Downloaded, Error> {
        let size = self.job.output_size().ok_or_else(|| {
            Error::new(
                ErrorKind::Integrity,
                format!("the service does not tell the size of the output of job {}", self.job.id()),
            )
        })?;
        let promised = self.job.output_tree_hash();
        let plan = PartPlan::slices(ArchiveSize::new(size)?, self.slice_size);
        self.progress.begin(size, plan.count());
        let subject = Subject {
            version: VERSION,
            vault: self.job.vault().name().to_string(),
            job: self.job.id().to_string(),
            size,
            slice_size: plan.part_size().bytes(),
            tree_hash: promised.map(|hash| hash.to_string()),
        };
        let (file, mut journal, noted) = target.open_when_free(&subject, &plan).await?;

        let (vault, job, lock) = (self.job.vault().clone(), self.job.id().clone(), journal.hold()?);
        let fetcher = Arc::new(Fetcher { vault, job, file, _lock: lock });
        let hashes = fetch_slices(&fetcher, &plan, noted, self.slices_in_flight, &self.progress, &mut journal).await?;
        let slices_fetched = hashes.iter().filter(|(_, now)| *now).count() as u64;
        let tree_hash = combine(plan.parts().zip(&hashes).map(|(slice, (hash, _))| (slice.len(), *hash)))
            .map_err(|error| Error::new(ErrorKind::Integrity, "the slices do not combine").caused_by(error))?;
        let verification = match compare(tree_hash, promised, || format!("the output of job {}", self.job.id())) {
            Ok(verification) => verification,
            Err(error) => {
                // Which slice is wrong nobody can say, and each has the hash the journal has for it: believed again, they would fail again.
                blocking(move || journal.remove()).await??;
                return Err(error);
            }
        };
        blocking(move || target.finish(&fetcher.file, journal)).await??;
        Ok(Downloaded { path: self.path, size, tree_hash, verification, slices: plan.count(), slices_fetched })
    }
}

impl IntoFuture for DownloadToFile {
    type Output = Result<Downloaded, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// What every slice task needs.
struct Fetcher {
    vault: Vault,
    job: JobId,
    file: File,
    /// A write outlives the task that began it; the next download to this file must not begin before.
    _lock: File,
}

/// How often a slice is fetched whose bytes are not the promised ones, or that breaks off in the middle.
const SLICE_TRIES: u64 = 3;

impl Fetcher {
    /// A slice's tree hash, and whether this run fetched it: what was noted for it is believed when the bytes on disk have it.
    async fn have(self: &Arc<Self>, range: ByteRange, noted: Option<TreeHash>) -> Result<(TreeHash, bool), Error> {
        if let Some(noted) = noted {
            let fetcher = Arc::clone(self);
            let actual = blocking(move || read::tree_hash_at(&fetcher.file, range.start()..range.end() + 1)).await?;
            if actual.is_ok_and(|actual| actual == noted) {
                return Ok((noted, false));
            }
        }
        Ok((self.fetch(range).await?, true))
    }

    /// Fetches a slice into the file and returns its tree hash.
    async fn fetch(self: &Arc<Self>, range: ByteRange) -> Result<TreeHash, Error> {
        let mut tries = 1;
        loop {
            match self.fetch_once(range).await {
                Err(error) if is_worth_another_fetch(&error) && tries < SLICE_TRIES => {}
                outcome => return outcome,
            }
            tokio::time::sleep(Duration::from_secs(tries)).await;
            tries += 1;
        }
    }

    async fn fetch_once(self: &Arc<Self>, range: ByteRange) -> Result<TreeHash, Error> {
        let (output, mut body) = open_range(&self.vault, &self.job, range).await?;
        let mut hasher = TreeHasher::new();
        let mut offset = range.start();
        while let Some(batch) = next_batch(&mut body).await? {
            let fetcher = Arc::clone(self);
            let len: u64 = batch.iter().map(|frame| frame.len() as u64).sum();
            if offset + len > range.end() + 1 {
                return Err(wrong_length(range, offset + len - range.start()));
            }
            let written: std::io::Result<TreeHasher> = blocking(move || {
                let mut place = offset;
                for frame in &batch {
                    write_all_at(&fetcher.file, frame, place)?;
                    hasher.update(frame);
                    place += frame.len() as u64;
                }
                Ok(hasher)
            })
            .await?;
            hasher = written.map_err(|error| {
                Error::new(ErrorKind::LocalIo, "could not write the unfinished file").caused_by(error)
            })?;
            offset += len;
        }
        if offset != range.end() + 1 {
            return Err(wrong_length(range, offset - range.start()));
        }
        let hash = hasher.finish();
        compare(hash, output.tree_hash, || format!("bytes {range} of job {}", self.job))?;
        Ok(hash)
    }
}

/// The calls below have repeated what is to be repeated, with waits: what is left is a body that was cut or is not the promised one.
fn is_worth_another_fetch(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Integrity => true,
        ErrorKind::Api(cas_api::ErrorKind::Transport(_)) => error.is_retryable(),
        _ => false,
    }
}

/// Runs the slice tasks, so many at once, and notes what they fetch in the journal. For each slice: its tree hash, and whether this run
/// fetched it.
async fn fetch_slices(
    fetcher: &Arc<Fetcher>,
    plan: &PartPlan,
    noted: Vec<Option<TreeHash>>,
    in_flight: usize,
    progress: &Progress,
    journal: &mut Journal,
) -> Result<Vec<(TreeHash, bool)>, Error> {
    let mut hashes: Vec<Option<(TreeHash, bool)>> = vec![None; noted.len()];
    let mut waiting = plan.parts().zip(noted).enumerate();
    // Dropping the set, on failure or cancellation, aborts what is in it.
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < in_flight
            && let Some((index, (slice, noted))) = waiting.next()
        {
            let (fetcher, range) = (Arc::clone(fetcher), slice.bytes());
            tasks.spawn(async move { (index, range, fetcher.have(range, noted).await) });
        }
        let Some(outcome) = tasks.join_next().await else { break };
        let (index, range, outcome) =
            outcome.map_err(|error| Error::new(ErrorKind::LocalIo, "a slice task did not finish").caused_by(error))?;
        let count = plan.count();
        let (hash, now) = outcome
            .map_err(|error| error.while_doing(|| format!("download stopped at slice {} of {count}", index + 1)))?;
        if now {
            journal.note(index as u64, &hash)?;
        }
        progress.part_done(range.len(), !now);
        hashes[index] = Some((hash, now));
    }
    Ok(hashes.into_iter().map(|hash| hash.expect("every slice was fetched or the loop ended in an error")).collect())
}

/// Reads a range of an output into a writer, with verification at the end.
pub(crate) async fn read_range(
    vault: &Vault,
    job: &JobId,
    range: ByteRange,
    writer: &mut (impl AsyncWrite + Unpin + Send),
) -> Result<RangeRead, Error> {
    let (output, mut body) = open_range(vault, job, range).await?;
    let mut hasher = TreeHasher::new();
    let mut size = 0;
    while let Some(batch) = next_batch(&mut body).await? {
        for frame in &batch {
            writer
                .write_all(frame)
                .await
                .map_err(|error| Error::new(ErrorKind::LocalIo, "could not write what was read").caused_by(error))?;
            size += frame.len() as u64;
        }
        hasher = blocking(move || {
            batch.iter().for_each(|frame| hasher.update(frame));
            hasher
        })
        .await?;
    }
    if size != range.len() {
        return Err(wrong_length(range, size));
    }
    let tree_hash = hasher.finish();
    let verification = compare(tree_hash, output.tree_hash, || format!("bytes {range} of job {job}"))?;
    Ok(RangeRead { size, tree_hash, verification })
}

/// Asks for a range. An answer of other bytes is no better than wrong bytes, and is told as such.
async fn open_range(vault: &Vault, job: &JobId, range: ByteRange) -> Result<(GetJobOutputOutput, ResponseBody), Error> {
    let answer = vault.api().get_job_output(vault.name(), job).range(range).await;
    let download = answer.map_err(|error| match error.wire() {
        Some(wire) if wire.field() == CONTENT_RANGE.as_str() => {
            let what = format!("asked for bytes {range} of job {job}, the answer is not of these bytes");
            Error::new(ErrorKind::Integrity, what).caused_by(error)
        }
        _ => error.into(),
    })?;
    // They are hashed here, away from the threads that serve sockets, and fetched again when they are wrong.
    Ok((download.output, download.body.without_hash_check()))
}

/// As many frames as make about 1 MiB, so that one step on the blocking pool has enough to do.
async fn next_batch(body: &mut ResponseBody) -> Result<Option<Vec<Bytes>>, Error> {
    const ENOUGH: usize = 1 << 20;
    let (mut batch, mut len) = (Vec::new(), 0);
    while len < ENOUGH
        && let Some(frame) = body.chunk().await?
    {
        len += frame.len();
        batch.push(frame);
    }
    Ok(if batch.is_empty() { None } else { Some(batch) })
}

fn compare(ours: TreeHash, promised: Option<TreeHash>, what: impl FnOnce() -> String) -> Result<Verification, Error> {
    match promised {
        None => Ok(Verification::LengthOnly),
        Some(promised) if promised == ours => Ok(Verification::TreeHash),
        Some(promised) => {
            let what = format!("{}: expected tree hash {promised}, what came has {ours}", what());
            Err(Error::new(ErrorKind::Integrity, what))
        }
    }
}

fn wrong_length(range: ByteRange, came: u64) -> Error {
    Error::new(ErrorKind::Integrity, format!("asked for {} bytes ({range}), {came} came", range.len()))
}
