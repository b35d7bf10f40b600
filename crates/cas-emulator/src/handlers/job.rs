//! Jobs: initiate, describe, list, read the output. What a job does when its time comes is in `jobs.rs`.

use cas_api::JobList;
use cas_api::answers::{DescribeJobOutput, GetJobOutputOutput, InitiateJobOutput, ListJobsOutput};
use cas_http::document::{InventoryFormat, JobParameters, JobStatus, Tier};
use cas_http::ops::{DescribeJob, GetJobOutput, InitiateJob, ListJobs};
use cas_http::{ArchiveId, ByteRange, ContentRange, MIB, Marker, OutputRange, RetrievalRange, TreeHash};
use http::{Response, StatusCode};
use rusqlite::Transaction;

use super::{Scope, answer, page, page_size};
use crate::body::{AnswerBody, Output};
use crate::clock::later;
use crate::failure::{Failure, Outcome};
use crate::jobs;
use crate::service::Service;
use crate::store::archives::{self, Archive, Segment};
use crate::store::jobs::{self as rows, Job, JobFilter, NewJob};
use crate::store::{ContentReader, vaults};

/// The largest archive that can be retrieved as Expedited. The service's pages say MB; it is taken to mean MiB.
const MAX_EXPEDITED: u64 = 256 * MIB;

pub(crate) async fn initiate(service: &Service, scope: Scope, operation: InitiateJob) -> Outcome<Response<AnswerBody>> {
    let parameters = operation.parameters;
    let tier = check(&parameters)?;
    let ready =
        later(scope.now, if waits(&parameters) { service.settings.job_delay.of(&tier) } else { Default::default() });
    let job_id = service.ids.job_id();
    let location = format!("{}/jobs/{job_id}", service.vault_path(scope.owner, &operation.vault));
    let id = job_id.clone();
    let initiate = move |tx: &Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        let archive = match wanted(&parameters) {
            Some((archive, range)) => Some(archive_range(tx, vault.id, archive, range, &tier)?),
            None => None,
        };
        rows::insert(tx, vault.id, &NewJob { job_id: id, parameters, created: scope.now, ready, archive })
    };
    service.store.write(initiate).await?;
    service.jobs.look_again();
    answer(InitiateJobOutput::new(job_id, location))
}

/// Refuses words that are none, and tells the tier.
fn check(parameters: &JobParameters) -> Outcome<Tier> {
    if let JobParameters::InventoryRetrieval(job) = parameters
        && let Some(InventoryFormat::Other(format)) = &job.format
    {
        return Err(Failure::invalid(format!("Format: expected JSON or CSV, found {format:?}")));
    }
    match jobs::tier(parameters) {
        Some(Tier::Other(tier)) => {
            Err(Failure::invalid(format!("Tier: expected Expedited, Standard or Bulk, found {tier:?}")))
        }
        Some(tier) => Ok(tier),
        None => Ok(Tier::Standard),
    }
}

/// Whether a job takes the time of its tier.
fn waits(parameters: &JobParameters) -> bool {
    !matches!(parameters, JobParameters::PullFromCos(_))
}

/// The archive a job reads, and which bytes of it.
fn wanted(parameters: &JobParameters) -> Option<(&ArchiveId, Option<RetrievalRange>)> {
    match parameters {
        JobParameters::ArchiveRetrieval(job) => Some((&job.archive_id, job.range)),
        JobParameters::PushToCos(job) => Some((&job.archive_id, job.range)),
        _ => None,
    }
}

/// The row of an archive, the bytes that are wanted of it, and their tree hash. A deleted archive is as good as any: its job will fail.
fn archive_range(
    tx: &Transaction<'_>,
    vault: i64,
    id: &ArchiveId,
    range: Option<RetrievalRange>,
    tier: &Tier,
) -> Outcome<(i64, ByteRange, Option<TreeHash>)> {
    let archive = archives::find(tx, vault, id)?.ok_or_else(|| Failure::not_found("archive"))?;
    if *tier == Tier::Expedited && archive.size > MAX_EXPEDITED {
        let message =
            format!("Tier: Expedited is for archives of at most 256 MiB, this one has {} bytes", archive.size);
        return Err(Failure::invalid(message));
    }
    let invalid = |error: cas_http::InvalidValue| Failure::invalid(format!("RetrievalByteRange: {error}"));
    let range = match range {
        Some(range) => range.within(archive.size).map_err(invalid)?,
        None => ByteRange::with_len(0, archive.size).map_err(invalid)?,
    };
    let hash = archives::range_hash(tx, &archive, range.start()..range.end() + 1)?;
    Ok((archive.id, range, hash))
}

pub(crate) async fn describe(service: &Service, scope: Scope, operation: DescribeJob) -> Outcome<Response<AnswerBody>> {
    let qcs = service.qcs(scope.owner, &operation.vault);
    let read = move |tx: &Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        rows::require(tx, vault.id, &operation.job_id, scope.now)
    };
    let job = service.store.read(read).await?;
    answer(DescribeJobOutput::new(jobs::describe(&job, &qcs)))
}

pub(crate) async fn list(service: &Service, scope: Scope, operation: ListJobs) -> Outcome<Response<AnswerBody>> {
    if let Some(JobStatus::Other(status)) = &operation.status {
        let message = format!("statuscode: expected InProgress, Succeeded or Failed, found {status:?}");
        return Err(Failure::invalid(message));
    }
    let size = page_size(operation.limit);
    let qcs = service.qcs(scope.owner, &operation.vault);
    let read = move |tx: &Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        let filter = JobFilter {
            completed: operation.completed,
            status: operation.status,
            from: operation.marker.as_ref().map_or("", Marker::as_str).to_owned(),
            count: size + 1,
        };
        rows::list(tx, vault.id, &filter, scope.now)
    };
    let (jobs, marker) = page(service.store.read(read).await?, size, |job| job.job_id.to_string())?;
    let jobs = jobs.iter().map(|job| jobs::describe(job, &qcs)).collect();
    answer(ListJobsOutput::new(JobList::new(jobs, marker)))
}

pub(crate) async fn output(service: &Service, scope: Scope, operation: GetJobOutput) -> Outcome<Response<AnswerBody>> {
    let wanted = operation.range;
    let read = move |tx: &Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        let job = rows::require(tx, vault.id, &operation.job_id, scope.now)?;
        staged(tx, &job, wanted)
    };
    let staged = service.store.read(read).await?;
    let reader = ContentReader::new(service.store.clone(), staged.segments, staged.content);
    let body = Output::start(reader).await?;
    let mut head = GetJobOutputOutput::new(staged.range, staged.content_type.to_owned(), staged.tree_hash);
    if staged.range.is_some() {
        head.meta.status = StatusCode::PARTIAL_CONTENT;
    }
    let (head, _) = cas_api::Output::write(&head).into_parts();
    Ok(Response::from_parts(head, body.into()))
}

/// An output, or a part of one, ready to be read.
struct Staged {
    segments: Vec<Segment>,
    /// Which bytes of the segments.
    content: std::ops::Range<u64>,
    /// Which bytes of the output, when only some were asked for.
    range: Option<ContentRange>,
    content_type: &'static str,
    tree_hash: Option<TreeHash>,
}

fn staged(tx: &Transaction<'_>, job: &Job, wanted: Option<OutputRange>) -> Outcome<Staged> {
    match job.status {
        JobStatus::Succeeded => {}
        JobStatus::Failed => return Err(Failure::invalid("the job failed: it has no output")),
        _ => return Err(Failure::invalid("the job is not finished: its output is not available")),
    }
    match (&job.parameters, &job.archive, job.range, &job.output) {
        (JobParameters::ArchiveRetrieval(_), Some(archive), Some(range), _) => {
            staged_archive(tx, archive, range, job.tree_hash.is_some(), wanted)
        }
        (JobParameters::InventoryRetrieval(parameters), _, _, Some(blob)) => {
            let (selected, range) = select(blob.size, wanted)?;
            let content_type = match parameters.format {
                Some(InventoryFormat::Csv) => "text/csv",
                _ => "application/json",
            };
            let segments = vec![Segment { start: 0, blob: blob.clone() }];
            let content = selected.start()..selected.end() + 1;
            Ok(Staged { segments, content, range, content_type, tree_hash: None })
        }
        _ => Err(Failure::invalid("jobs of this kind have no output")),
    }
}

/// A tree hash goes along when both steps, the job's range and the output's, select a sub-tree each (`docs/protocol.md` §4.3, reading 1).
fn staged_archive(
    tx: &Transaction<'_>,
    archive: &Archive,
    retrieved: ByteRange,
    is_subtree: bool,
    wanted: Option<OutputRange>,
) -> Outcome<Staged> {
    let (selected, range) = select(retrieved.len(), wanted)?;
    let content = retrieved.start() + selected.start()..retrieved.start() + selected.end() + 1;
    let tree_hash = if is_subtree { archives::range_hash(tx, archive, content.clone())? } else { None };
    let segments = archives::segments(tx, archive.id)?;
    Ok(Staged { segments, content, range, content_type: "application/octet-stream", tree_hash })
}

/// The bytes that are asked for of an output, and how the answer names them.
fn select(size: u64, wanted: Option<OutputRange>) -> Outcome<(ByteRange, Option<ContentRange>)> {
    match wanted {
        Some(wanted) => {
            let bytes = wanted.within(size).ok_or_else(|| Failure::out_of_range(size))?;
            Ok((bytes, Some(ContentRange { bytes, total: Some(size) })))
        }
        None => {
            let whole = ByteRange::with_len(0, size);
            Ok((whole.map_err(|error| Failure::internal("reading an output", &error))?, None))
        }
    }
}

#[cfg(test)]
mod tests {
    use cas_http::{AppId, Timestamp, VaultName};

    use super::*;
    use crate::ids::Ids;
    use crate::store::archives::NewArchive;
    use crate::store::{DataDirectory, Store};

    /// Asks for the whole of an archive that is this long. Its bytes are not looked at, so there need not be any.
    fn whole(size: u64, tier: Tier) -> Outcome<ByteRange> {
        let directory = tempfile::tempdir().unwrap();
        let (store, ids) = (Store::open(DataDirectory::take(directory.path()).unwrap()).unwrap(), Ids::new(b"seed", 0));
        let now = Timestamp::from_unix_millis(0).unwrap();
        store.write_now(|tx| {
            let (owner, name) = (AppId::new(1), VaultName::parse("v").unwrap());
            vaults::create(tx, owner, &name, now)?;
            let vault = vaults::require(tx, owner, &name)?;
            let archive_id = ids.archive_id();
            let (tree_hash, description) = (TreeHash::of(b"whatever"), None);
            archives::insert(
                tx,
                vault.id,
                &NewArchive { archive_id: archive_id.clone(), size, tree_hash, description, created: now },
            )?;
            Ok(archive_range(tx, vault.id, &archive_id, None, &tier)?.1)
        })
    }

    #[test]
    fn expedited_is_for_archives_of_at_most_256_mebibytes() {
        assert_eq!(whole(256 * MIB, Tier::Expedited).unwrap().len(), 256 * MIB);
        assert_eq!(whole(256 * MIB + 1, Tier::Standard).unwrap().len(), 256 * MIB + 1);
        let refused = whole(256 * MIB + 1, Tier::Expedited).unwrap_err();
        assert_eq!(refused.message, "Tier: Expedited is for archives of at most 256 MiB, this one has 268435457 bytes");
    }

    #[test]
    fn pulls_never_wait_and_what_has_no_tier_waits_as_standard() {
        let pull: JobParameters = cas_http::document::PullFromCos::new("b", "o").into();
        let inventory: JobParameters = cas_http::document::InventoryRetrieval::new().into();
        assert!(!waits(&pull) && waits(&inventory));
        assert_eq!(check(&inventory).unwrap(), Tier::Standard);
    }
}
