//! The life of a job: when its time has come, and what it does then.
//!
//! Retrievals and inventories are done at once when their time has come, before the next request that could see them is answered. They end
//! at that time however late it is noticed, as after a clock that was moved far or a time without a process. What copies bytes to or from COS
//! runs in the background, and ends when it has.

mod copy;
mod describe;
pub(crate) use describe::{describe, tier};

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cas_api::inventory::{CSV_COLUMNS, InventoryEntry};
use cas_http::document::{
    InventoryFormat, InventoryRetrieval, JobParameters, NotificationConfiguration, NotificationEvent,
};
use cas_http::json::{Document as _, JsonWriter};
use cas_http::{InventoryLimit, Timestamp};
use rusqlite::Transaction;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use crate::clock::later;
use crate::failure::{Failure, Outcome};
use crate::service::Service;
use crate::store::archives::{self, InventoryFilter};
use crate::store::jobs::{self as rows, Ending, Job};
use crate::store::vaults;
use crate::store::{Store, blocking, expiry, storage};

/// What is going on with the jobs of an emulator.
#[derive(Debug)]
pub(crate) struct Jobs {
    /// One at a time ends jobs, so that none is ended twice.
    ending: tokio::sync::Mutex<()>,
    /// The rows of the jobs that are copying bytes, or wait for their turn to.
    copying: Mutex<HashSet<i64>>,
    /// A copy holds a thread from its beginning to its end, and requests need such threads too.
    turns: Semaphore,
    changed: Notify,
}

/// How many jobs copy bytes at the same time.
const COPIES: usize = 2;

impl Default for Jobs {
    fn default() -> Self {
        let turns = Semaphore::new(COPIES);
        Jobs { ending: Default::default(), copying: Default::default(), turns, changed: Notify::new() }
    }
}

impl Jobs {
    /// Lets the background look at the jobs again: there is a new one.
    pub(crate) fn look_again(&self) {
        self.changed.notify_one();
    }

    fn copying(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does everything that has become due, and waits for what becomes due next. Never ends.
pub(crate) async fn run(service: Arc<Service>) {
    // Uploads and vaults that are made meanwhile expire a day later, so this is soon enough for them.
    const ROUND: Duration = Duration::from_secs(3600);
    loop {
        let now = service.clock.now();
        let done = keep_house(&service).await;
        let next = service.store.read(move |tx| Ok([rows::next_due(tx, now)?, expiry::next(tx)?])).await;
        let (true, Ok(next)) = (done, next) else {
            // The failure was logged; a full disk may have room again in a moment.
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        let next = next.into_iter().flatten().filter(|due| *due > now).min();
        let round = later(now, ROUND);
        tokio::select! {
            () = service.clock.sleep_until(next.map_or(round, |next| next.min(round))) => {}
            () = service.jobs.changed.notified() => {}
        }
    }
}

/// Ends the jobs whose time has come, begins to copy what is to be copied, and removes what has expired. What fails is logged, keeps nothing
/// else from being done, and is tried again; false when there was such a thing.
///
/// # Cancel safety
///
/// What was begun is finished though the future is dropped, so a client that goes away takes no report with it.
pub(crate) async fn keep_house(service: &Arc<Service>) -> bool {
    let now = service.clock.now();
    let due = move |tx: &Transaction<'_>| Ok((rows::due(tx, now)?, expiry::is_due(tx, now)?));
    let Ok((mut due, expired)) = service.store.read(due).await else { return false };
    {
        let copying = service.jobs.copying();
        due.retain(|id| !copying.contains(id));
    }
    if due.is_empty() && !expired {
        return true;
    }
    let work = tokio::spawn(do_what_is_due(service.clone(), due, expired, now));
    work.await.unwrap_or_else(|error| {
        tracing::error!(%error, "ending jobs failed");
        false
    })
}

async fn do_what_is_due(service: Arc<Service>, due: Vec<i64>, expired: bool, now: Timestamp) -> bool {
    let _one_at_a_time = service.jobs.ending.lock().await;
    let mut all_done = true;
    for id in due {
        if let Err(failure) = do_job(&service, id).await {
            tracing::warn!(id, message = failure.message, "a job that is due is still to be done");
            all_done = false;
        }
    }
    if expired {
        all_done &= service.store.write(move |tx| expiry::sweep(tx, now)).await.is_ok();
    }
    all_done
}

/// Does what a job is due to do, or begins it, and reports it once it has ended.
async fn do_job(service: &Arc<Service>, id: i64) -> Outcome<()> {
    let find = move |tx: &Transaction<'_>| match rows::by_id(tx, id)? {
        Some(job) => Ok(Some((vaults::by_id(tx, job.vault)?, job))),
        None => Ok(None),
    };
    let Some(((vault, owner), job)) = service.store.read(find).await? else { return Ok(()) };
    if job.completed.is_some() {
        return Ok(());
    }
    let qcs = service.qcs(owner, &vault.name);
    if matches!(job.parameters, JobParameters::PushToCos(_) | JobParameters::PullFromCos(_)) {
        begin_copying(service, job, qcs);
        return Ok(());
    }
    let (store, name, named) = (service.store.clone(), service.ids.file_name(), qcs.clone());
    if blocking(move || end(&store, name, &job, &named)).await? {
        report(service, id, &qcs).await?;
    }
    Ok(())
}

/// Ends a job that has nothing to copy, as of the moment its time had come. False when it has ended already.
fn end(store: &Store, name: String, job: &Job, qcs: &str) -> Outcome<bool> {
    match &job.parameters {
        JobParameters::InventoryRetrieval(parameters) => take_inventory(store, name, job, parameters, qcs),
        _ => store.write_now(|tx| {
            // The archive may have been deleted since the job was read.
            let archive = job.archive.as_ref().map(|archive| archives::by_id(tx, archive.id)).transpose()?;
            let ending = match archive {
                Some(archive) if archive.deleted.is_none() => Ending::Succeeded,
                _ => Ending::Failed("the archive was deleted".to_owned()),
            };
            rows::end(tx, job.id, &ending, job.ready)
        }),
    }
}

fn take_inventory(store: &Store, name: String, job: &Job, parameters: &InventoryRetrieval, qcs: &str) -> Outcome<bool> {
    let filter = InventoryFilter {
        start: parameters.start_date,
        end: parameters.end_date,
        marker: parameters.marker.clone(),
        limit: parameters.limit.unwrap_or(InventoryLimit::MAX).get(),
    };
    let (entries, marker) = store.read_now(|tx| archives::inventory(tx, job.vault, &filter))?;
    let text = match parameters.format {
        Some(InventoryFormat::Csv) => csv(&entries),
        _ => json(&entries, qcs, job.ready),
    };
    let mut writer = store.files.create(name).map_err(storage)?;
    writer.write(text.as_ref()).map_err(storage)?;
    unless_gone(store.keep(writer.seal(), |tx, blob| {
        require_running(tx, job)?;
        let output = archives::insert_blob(tx, blob)?;
        vaults::take_inventory(tx, job.vault, job.ready)?;
        rows::end(tx, job.id, &Ending::Inventory(output, marker), job.ready)
    }))
}

/// Fails for a job that is gone or has ended, so that the transaction leaves nothing.
fn require_running(tx: &Transaction<'_>, job: &Job) -> Outcome<()> {
    match rows::by_id(tx, job.id)? {
        Some(job) if job.completed.is_none() => Ok(()),
        _ => Err(Failure::not_found("job")),
    }
}

/// Whether a job was ended; false for one that was gone.
fn unless_gone(ended: Outcome<bool>) -> Outcome<bool> {
    match ended {
        Err(failure) if failure.status == http::StatusCode::NOT_FOUND => Ok(false),
        ended => ended,
    }
}

fn json(entries: &[InventoryEntry], qcs: &str, date: Timestamp) -> Vec<u8> {
    let list: Vec<Value> = entries.iter().map(InventoryEntry::to_value).collect();
    JsonWriter::new().set("VaultQCS", qcs).set("InventoryDate", date.to_string()).set("ArchiveList", list).to_vec()
}

fn csv(entries: &[InventoryEntry]) -> Vec<u8> {
    let lines = entries.iter().map(InventoryEntry::to_csv_line);
    std::iter::once(CSV_COLUMNS.join(",") + "\r\n").chain(lines).collect::<String>().into_bytes()
}

/// Copies in the background when it is the job's turn, and ends the job when it is done.
fn begin_copying(service: &Arc<Service>, job: Job, qcs: String) {
    if !service.jobs.copying().insert(job.id) {
        return;
    }
    let worker = service.clone();
    service.spawn(async move {
        let id = job.id;
        let _turn = worker.jobs.turns.acquire().await;
        let copier = worker.clone();
        let ended = blocking(move || copy::copy(&copier, &job)).await;
        match ended {
            Ok(true) => {
                if let Err(failure) = report(&worker, id, &qcs).await {
                    tracing::error!(message = failure.message, "a finished job could not be reported");
                }
            }
            Ok(false) => {}
            Err(failure) => tracing::error!(message = failure.message, "a finished job could not be noted"),
        }
        worker.jobs.copying().remove(&id);
    });
}

/// Reports a finished job to the addresses that were given with it and with its vault.
async fn report(service: &Service, id: i64, qcs: &str) -> Outcome<()> {
    let find = move |tx: &Transaction<'_>| match rows::by_id(tx, id)? {
        Some(job) => Ok(Some((vaults::by_id(tx, job.vault)?.0, job))),
        None => Ok(None),
    };
    let Some((vault, job)) = service.store.read(find).await? else { return Ok(()) };
    let event = event(&job.parameters);
    let for_vault =
        vault.notification.as_deref().and_then(|json| NotificationConfiguration::from_json(json.as_bytes()).ok());
    let for_vault = for_vault.filter(|wanted| wanted.events.contains(&event)).map(|wanted| wanted.call_back_url);
    let description = Bytes::from(describe(&job, qcs).to_json());
    for url in [describe::call_back_url(&job.parameters).cloned(), for_vault].into_iter().flatten() {
        let (notifier, description) = (service.notifier.clone(), description.clone());
        service.spawn(async move { notifier.deliver(&url, description).await });
    }
    Ok(())
}

fn event(parameters: &JobParameters) -> NotificationEvent {
    match parameters {
        JobParameters::ArchiveRetrieval(_) => NotificationEvent::ArchiveRetrievalCompleted,
        JobParameters::InventoryRetrieval(_) => NotificationEvent::InventoryRetrievalCompleted,
        JobParameters::PushToCos(_) => NotificationEvent::PushToCosCompleted,
        JobParameters::PullFromCos(_) => NotificationEvent::PullFromCosCompleted,
        _ => NotificationEvent::Other("".into()),
    }
}
