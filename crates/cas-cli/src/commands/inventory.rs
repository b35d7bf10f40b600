//! `cas inventory`: lists the archives of a vault. The service makes the list in a job, and cuts a long one into several.

use cas_api::inventory::InventoryEntry;
use cas_http::document::JobStatus;
use cas_http::{JobId, Marker, VaultName};
use cas_objects::Job;
use serde_json::{Value, json};

use crate::cli::InventoryArgs;
use crate::commands::job;
use crate::commands::vault::seconds;
use crate::exit::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::units;

pub(crate) async fn run(args: &InventoryArgs, session: &Session, output: Output) -> Result<(), Failure> {
    let vault = &args.vault.vault;
    let job = match &args.job {
        Some(id) => session.vault(vault).job(id).await?,
        None => start(vault, None, session).await?,
    };
    if args.no_wait {
        let again = session.command(["inventory", vault.as_str(), "--job", job.id().as_str()]);
        let json = json!({"vault": vault.as_str(), "job_id": job.id().as_str(), "status": job.status.as_str()});
        return output.result(&json, format_args!("job {}\nwhen it is done: {again}", job.id()));
    }
    list(job, session, output).await
}

async fn start(vault: &VaultName, marker: Option<Marker>, session: &Session) -> Result<Job, Failure> {
    let start = session.vault(vault).initiate_retrieve_inventory();
    Ok(match marker {
        Some(marker) => start.marker(marker).await?,
        None => start.await?,
    })
}

/// Prints the inventory of this job, and of as many further jobs as it takes to come to its end.
async fn list(mut job: Job, session: &Session, output: Output) -> Result<(), Failure> {
    let vault = job.vault().name().clone();
    let first = job.id().clone();
    let mut listing = Listing { output, count: 0, bytes: 0, date: None, is_begun: false };
    loop {
        if job.status == JobStatus::InProgress {
            output.notice(format_args!("job {} is started; it goes on without us", job.id()));
        }
        job::until_done(&mut job, session).await?;
        listing.begin(&vault, &first)?;
        // An entry is handed over where no error can be returned; the first one is kept and told afterwards.
        let mut told = Ok(());
        let head = job
            .read_inventory(|entry| {
                if told.is_ok() {
                    told = listing.entry(&entry);
                }
            })
            .await?;
        told?;
        listing.date = head.date.map(|date| date.to_string()).or(listing.date);
        let Some(marker) = job.inventory.as_ref().and_then(|inventory| inventory.marker.clone()) else { break };
        job = start(&vault, Some(marker), session).await?;
    }
    listing.end()
}

/// A list that is printed while it arrives, so that it may be of any length.
struct Listing {
    output: Output,
    count: u64,
    bytes: u64,
    date: Option<String>,
    is_begun: bool,
}

impl Listing {
    /// Prints what stands before the first entry, once.
    fn begin(&mut self, vault: &VaultName, job: &JobId) -> Result<(), Failure> {
        if self.output.is_json() && !self.is_begun {
            let (vault, job) = (json!(vault.as_str()), json!(job.as_str()));
            self.output.raw(format_args!("{{\"vault\":{vault},\"job_id\":{job},\"archives\":["))?;
        }
        self.is_begun = true;
        Ok(())
    }

    fn entry(&mut self, entry: &InventoryEntry) -> Result<(), Failure> {
        if self.output.is_json() {
            let comma = if self.count == 0 { "" } else { "," };
            self.output.raw(format_args!("{comma}{}", json(entry)))?;
        } else {
            if self.count == 0 {
                self.output.raw(format_args!("{}\n", line("CREATED", "SIZE", "ARCHIVE", "DESCRIPTION")))?;
            }
            let created = seconds(Some(entry.creation_date));
            let description = printable(&entry.description);
            let line = line(&created, &units::size(entry.size), entry.archive_id.as_str(), &description);
            self.output.raw(format_args!("{line}\n"))?;
        }
        self.count += 1;
        self.bytes += entry.size;
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        let Listing { output, count, bytes, date, .. } = self;
        if output.is_json() {
            return output.raw(format_args!(
                "],\"number_of_archives\":{count},\"size_in_bytes\":{bytes},\"date\":{}}}\n",
                json!(date)
            ));
        }
        let as_of = date.map_or_else(String::new, |date| format!(", as of {date}"));
        output.notice(format_args!("{}, {}{as_of}", units::count(count, "archive"), units::size(bytes)));
        Ok(())
    }
}

pub(crate) fn line(created: &str, size: &str, archive: &str, description: &str) -> String {
    format!("{created:20}  {size:>10}  {archive}  {description}").trim_end().to_owned()
}

/// Somebody's text, made fit for a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn json(entry: &InventoryEntry) -> Value {
    json!({
        "archive_id": entry.archive_id.as_str(),
        "description": entry.description,
        "creation_date": entry.creation_date.to_string(),
        "size": entry.size,
        "tree_hash": entry.tree_hash.map(|hash| hash.to_string()),
    })
}
