//! `cas retrieve`: starts the job that makes an archive readable, waits for it, and downloads.

use cas_objects::Job;
use serde_json::{Map, Value, json};

use crate::cli::{GlobalOptions, RetrieveArgs};
use crate::commands::{fetch, job};
use crate::exit::Failure;
use crate::output::Output;
use crate::session::{self, Session};

pub(crate) async fn run(args: &RetrieveArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    // A retrieval costs money: a file that cannot be written is told before it.
    let target = args.output.as_ref().map(|file| fetch::Target::new(file, &args.download)).transpose()?;
    session::with(global, output, async |session| retrieve(args, target, session, output).await).await
}

async fn retrieve(
    args: &RetrieveArgs,
    target: Option<fetch::Target<'_>>,
    session: &Session,
    output: Output,
) -> Result<(), Failure> {
    let (vault, archive_id) = (&args.archive.vault.vault, &args.archive.archive_id);
    let mut start = session.vault(vault).retrieve_archive(archive_id);
    if let Some(tier) = &args.tier {
        start = start.tier(tier.clone());
    }
    if let Some(range) = args.range {
        start = start.range(range);
    }
    let mut job = start.await?;
    let fetch_command = |file: &str| session.command(["fetch", vault.as_str(), job.id().as_str(), file]);
    if args.no_wait {
        let text = format!("job {}\nwhen it is done: {}", job.id(), fetch_command("FILE"));
        return output.result(&summary(args, &job), text);
    }
    let later = fetch_command("FILE");
    output.notice(format_args!("job {} is started; it goes on without us", job.id()));
    job::until_done(&mut job, session).await?;
    match target {
        None => {
            output.result(&summary(args, &job), format_args!("job {} is done; get its bytes with: {later}", job.id()))
        }
        Some(target) => {
            let downloaded = target.download(&job, session).await?;
            let mut summary = summary(args, &job);
            merge(&mut summary, fetch::json(&downloaded));
            output.result(&summary, fetch::facts(&downloaded))
        }
    }
}

fn summary(args: &RetrieveArgs, job: &Job) -> Value {
    json!({
        "vault": args.archive.vault.vault.as_str(),
        "archive_id": args.archive.archive_id.as_str(),
        "job_id": job.id().as_str(),
        "status": job.status.as_str(),
    })
}

fn merge(into: &mut Value, more: Map<String, Value>) {
    if let Value::Object(object) = into {
        object.extend(more);
    }
}
