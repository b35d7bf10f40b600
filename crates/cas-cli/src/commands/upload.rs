//! `cas upload`: stores a file as an archive, and says how to go on when it is stopped.

use cas_http::{ContentSha256, TreeHash, UploadId};
use cas_objects::{ErrorKind, MULTIPART_THRESHOLD, Progress, Snapshot, Source, UploadArchive, Uploaded};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::cli::{GlobalOptions, UploadArgs};
use crate::exit::{Failure, Problem};
use crate::interrupt::unless_interrupted;
use crate::output::{Output, Table};
use crate::session::{self, Session, word};
use crate::{progress, units};

pub(crate) async fn run(args: &UploadArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    // A file that cannot be an archive is refused before anything is asked of anybody.
    let source = Source::file(&args.file).await?;
    session::with(global, output, async |session| upload(args, source, session, output).await).await
}

async fn upload(args: &UploadArgs, source: Source, session: &Session, output: Output) -> Result<(), Failure> {
    let progress = Progress::new();
    let title = progress::title("upload", &args.file);
    let work = call(args, source, session).progress(&progress);
    // Whoever is cut off without a word, by the power say, finds here how to go on.
    let tell_begun = |bar: &ProgressBar, id: &UploadId| {
        if args.resume.is_none() {
            let command = resume_command(args, id, session);
            bar.suspend(|| output.notice(format_args!("upload has begun; should it be cut off: {command}")));
        }
    };
    let outcome = unless_interrupted(progress::transfer(title, &progress, work.into_future(), tell_begun)).await;
    let (failure, kept) = match outcome {
        Some(Ok(uploaded)) => return tell(args, &uploaded, output),
        Some(Err(error)) => {
            let kept = kept(&error).cloned();
            (error.into(), kept)
        }
        None => {
            let now = progress.snapshot();
            (interrupted(args, &now), now.upload_id)
        }
    };
    Err(match kept {
        Some(id) => failure.keeping("the upload", resume_command(args, &id, session)),
        None => failure,
    })
}

/// The upload that the service keeps, if the same file can go on with it.
fn kept(error: &cas_objects::Error) -> Option<&UploadId> {
    let is_over = matches!(
        error.kind(),
        // It is the upload of something else, it is gone, or nobody knows whether it is.
        ErrorKind::InvalidInput | ErrorKind::Api(cas_api::ErrorKind::NotFound | cas_api::ErrorKind::Ambiguous)
    );
    error.upload_id().filter(|_| !is_over)
}

fn interrupted(args: &UploadArgs, now: &Snapshot) -> Failure {
    let place = match now.total_parts {
        0 | 1 => String::new(),
        total => format!(" after {} of {total} parts", now.done_parts),
    };
    Problem::Interrupted(format!("upload of {} was stopped{place}", args.file.display())).into()
}

fn call(args: &UploadArgs, source: Source, session: &Session) -> UploadArchive {
    let vault = session.vault(&args.vault.vault);
    let mut call = match &args.resume {
        Some(id) => vault.resume_upload(id, source),
        None => vault.upload_archive(source),
    };
    if let Some(description) = &args.description {
        call = call.description(description);
    }
    if let Some(size) = args.part_size {
        // Whoever names a part size wants parts: an archive of more than one goes up in parts, however small.
        call = call.part_size(size).threshold(MULTIPART_THRESHOLD.min(size.bytes() + 1));
    }
    if let Some(count) = args.parts_in_flight {
        call = call.parts_in_flight(count);
    }
    call
}

fn resume_command(args: &UploadArgs, id: &UploadId, session: &Session) -> String {
    session.command(["upload", "--resume", id.as_str(), args.vault.vault.as_str(), &word(&args.file)])
}

/// What programs are told, in this order.
#[derive(Serialize)]
struct Told<'u> {
    vault: &'u str,
    archive_id: &'u str,
    size: u64,
    /// Null for an archive that went up in parts: nobody computed it over the whole.
    sha256: Option<ContentSha256>,
    tree_hash: TreeHash,
    parts: u64,
    parts_sent: u64,
}

fn tell(args: &UploadArgs, uploaded: &Uploaded, output: Output) -> Result<(), Failure> {
    let json = Told {
        vault: args.vault.vault.as_str(),
        archive_id: uploaded.archive_id.as_str(),
        size: uploaded.size,
        sha256: uploaded.sha256,
        tree_hash: uploaded.tree_hash,
        parts: uploaded.parts,
        parts_sent: uploaded.parts_sent,
    };
    let mut facts = vec![
        ("archive", uploaded.archive_id.to_string()),
        ("size", units::exact_size(uploaded.size)),
        ("tree hash", uploaded.tree_hash.to_string()),
    ];
    facts.extend(uploaded.sha256.map(|hash| ("sha256", hash.to_string())));
    if uploaded.parts > 1 {
        let sent = match uploaded.parts - uploaded.parts_sent {
            0 => String::new(),
            there => format!(", {there} of them there already"),
        };
        facts.push(("parts", format!("{}{sent}", uploaded.parts)));
    }
    output.result(&json, Table::of_facts(facts))
}
