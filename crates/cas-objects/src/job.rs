//! A job as a thing one holds: looking at it, waiting for it, reading its output.

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use cas_api::cas_http::document::JobStatus;
use cas_api::cas_http::{BoxFuture, ByteRange, JobId, PartSize, TreeHash};
use cas_api::inventory::{InventoryEntry, InventoryHead};
use cas_api::{JobAction, JobDescription};
use tokio::io::AsyncWrite;
use tokio::time::{Instant, sleep};

use crate::download::{self, DownloadToFile, RangeRead};
use crate::error::{Error, ErrorKind};
use crate::inventory;
use crate::vault::Vault;
use crate::wait::until_next_look;

/// A job, as the service last described it. The fields of [`JobDescription`] are read through it: `job.status`, `job.archive_size`.
#[derive(Clone, Debug)]
pub struct Job {
    vault: Vault,
    description: JobDescription,
}

impl Deref for Job {
    type Target = JobDescription;

    fn deref(&self) -> &JobDescription {
        &self.description
    }
}

impl Job {
    /// A job the service described.
    #[must_use]
    pub fn from_description(vault: &Vault, description: JobDescription) -> Self {
        Job { vault: vault.clone(), description }
    }

    /// The vault it is in.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> &JobId {
        &self.description.job_id
    }

    /// What the service said of it when it was last asked.
    #[must_use]
    pub fn description(&self) -> &JobDescription {
        &self.description
    }

    /// The size of the output in bytes, when the service has told: of an archive at once, of an inventory when it is made.
    #[must_use]
    pub fn output_size(&self) -> Option<u64> {
        match self.action {
            JobAction::InventoryRetrieval => self.inventory_size.filter(|&size| size > 0),
            JobAction::ArchiveRetrieval => self.range.map(ByteRange::len).or(self.archive_size),
            _ => None,
        }
    }

    /// The tree hash of the output, when the service has told: of the retrieved range, or of the archive when all of it is retrieved.
    #[must_use]
    pub fn output_tree_hash(&self) -> Option<TreeHash> {
        let whole = self.action == JobAction::ArchiveRetrieval
            && self.range.is_none_or(|range| range.start() == 0 && Some(range.len()) == self.archive_size);
        self.tree_hash.or(self.archive_tree_hash.filter(|_| whole))
    }

    /// The size of the slices an output is downloaded in: 32 MiB.
    #[must_use]
    pub fn calc_part_size() -> PartSize {
        download::SLICE_SIZE
    }

    /// Asks the service how far the job is.
    ///
    /// # Errors
    ///
    /// When there is no such job any more.
    pub async fn update_status(&mut self) -> Result<&JobStatus, Error> {
        let output = self.vault.api().describe_job(self.vault.name(), self.id()).await?;
        self.description = output.job;
        Ok(&self.description.status)
    }

    /// Waits until the job has ended. Await the value to do it.
    pub fn wait(&mut self) -> WaitForJob<'_> {
        WaitForJob { job: self, deadline: None, every: None, on_look: None }
    }

    /// Downloads the output to a file, in parallel slices, verified. Await the value to do it.
    ///
    /// The bytes gather in `<file>.cas-part` beside the target, with a journal `<file>.cas-journal`; the same call again goes on where an
    /// earlier one ended. The file itself appears when everything is there and verified.
    pub fn download_to_file(&self, path: impl Into<PathBuf>) -> DownloadToFile {
        DownloadToFile::new(self, path.into())
    }

    /// Reads a range of the output, both ends included and counted from the output's first byte, into a writer.
    ///
    /// The writer gets bytes as they come; whether they are the right ones is only known when this returns.
    ///
    /// # Errors
    ///
    /// When the job has no output, the bytes that come are not the ones asked for or not the ones the service promised, or the writer fails.
    pub async fn download_by_range(
        &self,
        range: ByteRange,
        writer: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<RangeRead, Error> {
        self.check_output()?;
        download::read_range(&self.vault, self.id(), range, writer).await
    }

    /// Reads the inventory this job made, handing over each archive as it comes. Memory is that of a few entries.
    ///
    /// # Errors
    ///
    /// When the job has no inventory, or what comes is not one. Entries before that were handed over.
    pub async fn read_inventory(&self, on_entry: impl FnMut(InventoryEntry) + Send) -> Result<InventoryHead, Error> {
        if self.action != JobAction::InventoryRetrieval {
            return Err(Error::invalid(format!("job {} is of kind {}: it makes no inventory", self.id(), self.action)));
        }
        self.check_output()?;
        inventory::read(&self.vault, self.id(), self.output_size(), on_entry).await
    }

    /// Whether there is an output to read.
    pub(crate) fn check_output(&self) -> Result<(), Error> {
        match (&self.status, &self.action) {
            (JobStatus::Failed, _) => Err(self.failure()),
            (JobStatus::Succeeded, JobAction::ArchiveRetrieval | JobAction::InventoryRetrieval) => Ok(()),
            (JobStatus::Succeeded, action) => {
                Err(Error::invalid(format!("job {} is of kind {action}: it has no output", self.id())))
            }
            (JobStatus::Other(_), _) if self.completed => Err(self.failure()),
            (status, _) => Err(Error::new(ErrorKind::NotReady, format!("job {} is {status}", self.id()))),
        }
    }

    fn failure(&self) -> Error {
        let why = self.status_message.as_deref().unwrap_or("the service does not say why");
        Error::new(ErrorKind::JobFailed, format!("job {} ended as {}: {why}", self.id(), self.status))
    }
}

/// How many looks in a row may fail before waiting is given up.
const MAX_FAILED_LOOKS: u32 = 30;

/// What is called after every look.
type OnLook<'j> = Box<dyn FnMut(&JobDescription) + Send + 'j>;

/// A wait about to begin: a value with setters. Await it to wait.
///
/// Cancel safety: dropping the future stops waiting; the job goes on, and waiting can begin again in another process.
#[must_use = "nothing waits until it is awaited"]
pub struct WaitForJob<'j> {
    job: &'j mut Job,
    deadline: Option<Duration>,
    every: Option<Duration>,
    on_look: Option<OnLook<'j>>,
}

impl std::fmt::Debug for WaitForJob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitForJob")
            .field("job", &self.job.id())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl<'j> WaitForJob<'j> {
    /// Waits at most this long; without it as long as it takes.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// Looks this often instead of as suits the kind of job ([`until_next_look`]).
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = Some(interval);
        self
    }

    /// Calls this after every look.
    pub fn on_look(mut self, on_look: impl FnMut(&JobDescription) + Send + 'j) -> Self {
        self.on_look = Some(Box::new(on_look));
        self
    }

    async fn run(mut self) -> Result<(), Error> {
        let began = Instant::now();
        let mut failed_looks = 0;
        loop {
            match self.job.update_status().await {
                Ok(_) => failed_looks = 0,
                // In hours of waiting the network may be away for a while: that says nothing about the job.
                Err(error) if error.is_retryable() && failed_looks < MAX_FAILED_LOOKS => failed_looks += 1,
                Err(error) => return Err(error),
            }
            if let Some(on_look) = &mut self.on_look {
                on_look(&self.job.description);
            }
            match self.job.status {
                JobStatus::Succeeded => return Ok(()),
                JobStatus::Failed => return Err(self.job.failure()),
                // It has ended in a way nobody knew of when this was written.
                _ if self.job.completed => return Err(self.job.failure()),
                _ => {}
            }
            let waited = began.elapsed();
            let pause = self.every.unwrap_or_else(|| until_next_look(&self.job.action, self.job.tier.as_ref(), waited));
            let left = self.deadline.map(|limit| limit.saturating_sub(waited));
            if left.is_some_and(|left| left.is_zero()) {
                let what = format!(
                    "job {} is still {} after {} s of waiting",
                    self.job.id(),
                    self.job.status,
                    waited.as_secs()
                );
                return Err(Error::new(ErrorKind::NotReady, what));
            }
            // The last look is at the deadline, not up to a pause before it.
            sleep(left.map_or(pause, |left| pause.min(left))).await;
        }
    }
}

impl<'j> IntoFuture for WaitForJob<'j> {
    type Output = Result<(), Error>;
    type IntoFuture = BoxFuture<'j, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

#[cfg(test)]
mod tests {
    use cas_api::CasApi;
    use cas_api::cas_http::{Client, Credentials, VaultName};

    use super::*;

    fn job(change: impl FnOnce(&mut JobDescription)) -> Job {
        let credentials = Credentials::new("id", "key").unwrap();
        let client = Client::builder().endpoint("http://127.0.0.1:9").credentials(credentials);
        let vault = Vault::named(&CasApi::new(client.build().unwrap()), VaultName::parse("v").unwrap());
        let mut description = JobDescription::new(JobId::parse("j").unwrap(), JobAction::ArchiveRetrieval);
        description.archive_size = Some(10);
        description.archive_tree_hash = Some(TreeHash::of(b"whole"));
        change(&mut description);
        Job::from_description(&vault, description)
    }

    #[test]
    fn the_output_of_a_whole_retrieval_has_the_tree_hash_of_the_archive() {
        let (whole, part) = (Some(TreeHash::of(b"whole")), Some(TreeHash::of(b"part")));
        let range = |start, end| ByteRange::new(start, end).ok();
        assert_eq!(job(|_| {}).output_tree_hash(), whole);
        assert_eq!(job(|job| job.range = range(0, 9)).output_tree_hash(), whole);
        assert_eq!(job(|job| job.range = range(0, 8)).output_tree_hash(), None);
        assert_eq!(job(|job| (job.range, job.tree_hash) = (range(0, 8), part)).output_tree_hash(), part);
        assert_eq!(job(|job| job.action = JobAction::InventoryRetrieval).output_tree_hash(), None);
    }

    #[test]
    fn a_job_that_ended_in_an_unknown_way_is_not_waited_for() {
        let ended = |completed| {
            let job = job(|job| (job.status, job.completed) = ("Cancelled".into(), completed));
            job.check_output().unwrap_err().kind()
        };
        assert_eq!(ended(true), ErrorKind::JobFailed);
        assert_eq!(ended(false), ErrorKind::NotReady);
    }
}
