//! `cas job`: shows jobs and waits for them.

use cas_api::JobDescription;
use cas_http::JobId;
use cas_http::document::JobStatus;
use cas_objects::Job;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::cli::{JobArgs, ListJobsArgs};
use crate::commands::vault::seconds;
use crate::exit::{Failure, Problem};
use crate::interrupt::unless_interrupted;
use crate::output::Align::Left;
use crate::output::{Output, Table};
use crate::session::Session;
use crate::{progress, units};

pub(crate) async fn show(args: &JobArgs, session: &Session, output: Output) -> Result<(), Failure> {
    tell(&find(args, session).await?, output)
}

pub(crate) async fn wait(args: &JobArgs, session: &Session, output: Output) -> Result<(), Failure> {
    let mut job = find(args, session).await?;
    until_done(&mut job, session).await?;
    tell(&job, output)
}

pub(crate) async fn list(args: &ListJobsArgs, session: &Session, output: Output) -> Result<(), Failure> {
    let vault = session.vault(&args.vault.vault);
    let is_wanted = |job: &Job| args.completed.is_none_or(|completed| job.completed == completed);
    let jobs = vault.list_all_jobs().try_filter(|job| std::future::ready(is_wanted(job)));
    let jobs: Vec<Job> = jobs.boxed().try_collect().await?;
    let json = json!({
        "vault": args.vault.vault.as_str(),
        "jobs": jobs.iter().map(|job| json(job)).collect::<Vec<_>>(),
    });
    if jobs.is_empty() {
        return output.result(&json, "no jobs");
    }
    let mut table = Table::with_head(&[Left, Left, Left, Left], &["KIND", "STATUS", "STARTED", "JOB"]);
    for job in &jobs {
        let started = seconds(job.creation_date);
        table.row([job.action.to_string(), job.status.to_string(), started, job.id().to_string()]);
    }
    output.result(&json, table)
}

/// The job, as the service describes it now.
pub(crate) async fn find(args: &JobArgs, session: &Session) -> Result<Job, Failure> {
    Ok(session.vault(&args.vault.vault).job(&args.job_id).await?)
}

/// Waits until a job has ended well, and shows on a terminal that it does.
///
/// # Errors
///
/// When the job fails, or somebody presses Ctrl-C: the job goes on then, and the error says how to wait for it again.
pub(crate) async fn until_done(job: &mut Job, session: &Session) -> Result<(), Failure> {
    if job.status == JobStatus::Succeeded {
        return Ok(());
    }
    let (vault, id) = (job.vault().name().clone(), job.id().clone());
    let line = progress::waiting(waiting_line(&id, &job.status));
    let watched = line.clone();
    let shown = id.clone();
    let wait = job.wait().on_look(move |job| watched.set_message(waiting_line(&shown, &job.status)));
    let outcome = unless_interrupted(wait.into_future()).await;
    line.finish_and_clear();
    match outcome {
        Some(outcome) => Ok(outcome?),
        None => {
            let again = session.command(["job", "wait", vault.as_str(), id.as_str()]);
            let stopped: Failure = Problem::Interrupted("waiting was stopped; the job is not".to_owned()).into();
            Err(stopped.keeping(format!("job {id}"), again))
        }
    }
}

fn waiting_line(id: &JobId, status: &JobStatus) -> String {
    format!("{status}: job {id}")
}

/// What a program is told of a job.
pub(crate) fn json(job: &JobDescription) -> Value {
    let text = |value: Option<String>| value.map_or(Value::Null, Value::from);
    json!({
        "job_id": job.job_id.as_str(),
        "action": job.action.as_str(),
        "status": job.status.as_str(),
        "status_message": job.status_message,
        "completed": job.completed,
        "creation_date": text(job.creation_date.map(|date| date.to_string())),
        "completion_date": text(job.completion_date.map(|date| date.to_string())),
        "description": job.description,
        "archive_id": text(job.archive_id.as_ref().map(ToString::to_string)),
        "archive_size": job.archive_size,
        "archive_tree_hash": text(job.archive_tree_hash.map(|hash| hash.to_string())),
        "range": text(job.range.map(|range| range.to_string())),
        "tree_hash": text(job.tree_hash.map(|hash| hash.to_string())),
        "tier": text(job.tier.as_ref().map(ToString::to_string)),
        "inventory_size": job.inventory_size,
    })
}

fn tell(job: &Job, output: Output) -> Result<(), Failure> {
    let mut facts = vec![
        ("job", job.id().to_string()),
        ("kind", job.action.to_string()),
        ("status", job.status.to_string()),
        ("started", seconds(job.creation_date)),
    ];
    let message = job.status_message.clone().filter(|message| message != job.status.as_str());
    facts.extend(message.map(|message| ("message", message)));
    facts.extend(job.completion_date.map(|date| ("ended", seconds(Some(date)))));
    facts.extend(job.archive_id.as_ref().map(|id| ("archive", id.to_string())));
    facts.extend(job.tier.as_ref().map(|tier| ("tier", tier.to_string())));
    facts.extend(job.range.map(|range| ("bytes", range.to_string())));
    facts.extend(job.output_size().map(|size| ("output", units::exact_size(size))));
    facts.extend(job.tree_hash.map(|hash| ("tree hash", hash.to_string())));
    output.result(&json(job), Table::of_facts(facts))
}
