//! A job as it is told to clients: by `DescribeJob`, in lists, and in reports.

use cas_api::{InventoryDescription, JobAction, JobDescription};
use cas_http::document::{CallbackUrl, InventoryFormat, InventoryRetrieval, JobParameters, JobStatus, Tier};

use crate::store::jobs::Job;

pub(super) fn call_back_url(parameters: &JobParameters) -> Option<&CallbackUrl> {
    match parameters {
        JobParameters::ArchiveRetrieval(job) => job.call_back_url.as_ref(),
        JobParameters::InventoryRetrieval(job) => job.call_back_url.as_ref(),
        JobParameters::PushToCos(job) => job.call_back_url.as_ref(),
        JobParameters::PullFromCos(job) => job.call_back_url.as_ref(),
        _ => None,
    }
}

/// How soon a job was wanted; `None` when its kind has no tiers.
pub(crate) fn tier(parameters: &JobParameters) -> Option<Tier> {
    match parameters {
        JobParameters::ArchiveRetrieval(job) => Some(job.tier.clone().unwrap_or(Tier::Standard)),
        JobParameters::PushToCos(job) => Some(job.tier.clone().unwrap_or(Tier::Standard)),
        _ => None,
    }
}

/// A job as `DescribeJob` and the reports tell it.
pub(crate) fn describe(job: &Job, qcs: &str) -> JobDescription {
    let action = match &job.parameters {
        JobParameters::InventoryRetrieval(_) => JobAction::InventoryRetrieval,
        JobParameters::PushToCos(_) => JobAction::PushToCos,
        JobParameters::PullFromCos(_) => JobAction::PullFromCos,
        _ => JobAction::ArchiveRetrieval,
    };
    let mut description = JobDescription::new(&job.job_id, action);
    description.status = job.status.clone();
    description.status_message = job.message.clone();
    description.completed = job.completed.is_some();
    description.creation_date = Some(job.created);
    description.completion_date = job.completed;
    description.call_back_url = call_back_url(&job.parameters).cloned();
    description.vault_qcs = Some(qcs.to_owned());
    description.archive_id = job.archive.as_ref().map(|archive| archive.archive_id.clone());
    description.archive_size = job.archive.as_ref().map(|archive| archive.size);
    description.archive_tree_hash = job.archive.as_ref().map(|archive| archive.tree_hash);
    description.range = job.range;
    description.tier = tier(&job.parameters);
    match &job.parameters {
        JobParameters::ArchiveRetrieval(parameters) => {
            description.description = parameters.description.clone();
            let whole =
                job.archive.as_ref().is_some_and(|archive| job.range.map(|range| range.len()) == Some(archive.size));
            description.tree_hash = job.tree_hash.filter(|_| whole || job.status == JobStatus::Succeeded);
        }
        JobParameters::InventoryRetrieval(parameters) => {
            description.description = parameters.description.clone();
            description.inventory_size = job.output.as_ref().map(|blob| blob.size);
            description.inventory = Some(describe_inventory(job, parameters));
        }
        JobParameters::PushToCos(parameters) => {
            description.description = parameters.description.clone();
            description.bucket = Some(parameters.bucket.clone());
            description.object = Some(parameters.object.clone());
        }
        JobParameters::PullFromCos(parameters) => {
            description.description = parameters.description.clone();
            description.bucket = Some(parameters.bucket.clone());
            description.object = Some(parameters.object.clone());
            description.object_range = parameters.range.map(|range| range.to_string());
            description.condition = parameters.condition.clone();
            description.archive_description =
                Some(parameters.archive_description.as_ref().map_or(String::new(), ToString::to_string));
        }
        _ => {}
    }
    description
}

/// What was asked for; in a finished job the marker is where the next one goes on.
fn describe_inventory(job: &Job, parameters: &InventoryRetrieval) -> InventoryDescription {
    let mut description = InventoryDescription::default();
    description.format = Some(parameters.format.clone().unwrap_or(InventoryFormat::Json));
    description.start_date = parameters.start_date;
    description.end_date = parameters.end_date;
    description.limit = parameters.limit.map(|limit| u64::from(limit.get()));
    description.marker = if job.completed.is_some() { job.marker.clone() } else { parameters.marker.clone() };
    description
}
