//! `cas fetch`: downloads what a finished job has for us, verified, and goes on where an earlier run was stopped.

use std::path::{Path, PathBuf};

use cas_objects::{Downloaded, ErrorKind, Job, Progress, Verification};
use serde_json::{Map, Value, json};

use crate::cli::{DownloadOptions, FetchArgs, GlobalOptions};
use crate::commands::job;
use crate::exit::{Failure, Problem};
use crate::interrupt::unless_interrupted;
use crate::output::{Output, Table};
use crate::session::{self, Session, word};
use crate::{progress, units};

pub(crate) async fn run(args: &FetchArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let target = Target::new(&args.file, &args.download)?;
    session::with(global, output, async |session| {
        let mut job = job::find(&args.job, session).await?;
        if args.wait {
            job::until_done(&mut job, session).await?;
        }
        let downloaded = target.download(&job, session).await?;
        let mut json = json(&downloaded);
        json.insert("vault".to_owned(), args.job.vault.vault.as_str().into());
        json.insert("job_id".to_owned(), args.job.job_id.as_str().into());
        output.result(&Value::Object(json), facts(&downloaded))
    })
    .await
}

/// A file that may be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'o> {
    path: &'o Path,
    options: &'o DownloadOptions,
}

impl<'o> Target<'o> {
    /// Looks whether the file may be written: there is none, or an empty one, or it may be replaced.
    ///
    /// # Errors
    ///
    /// When there is a file with something in it, or no folder to put one in.
    pub(crate) fn new(path: &'o Path, options: &'o DownloadOptions) -> Result<Self, Failure> {
        let shown = path.display();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(Problem::Input(format!("there is no folder {}", folder.display())).into());
        }
        match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => Err(Problem::Input(format!("{shown} is no regular file")).into()),
            Ok(metadata) if metadata.len() > 0 && !options.force => {
                Err(Problem::Input(format!("{shown} is there already; to replace it say --force")).into())
            }
            _ => Ok(Target { path, options }),
        }
    }

    /// Downloads the output of a job into the file.
    ///
    /// # Errors
    ///
    /// When the job has no output, or it does not arrive as promised; when somebody presses Ctrl-C. What has come is kept then, and the
    /// error says how to go on.
    pub(crate) async fn download(&self, job: &Job, session: &Session) -> Result<Downloaded, Failure> {
        let progress = Progress::new();
        let shown = self.path.display();
        // The file is empty, or --force was said.
        let mut call = job.download_to_file(self.path).overwrite(true).progress(&progress);
        if let Some(count) = self.options.ranges_in_flight {
            call = call.slices_in_flight(count);
        }
        let title = progress::title("download", self.path);
        let outcome = unless_interrupted(progress::transfer(title, &progress, call.into_future(), |_, _| {})).await;
        let (failure, is_over) = match outcome {
            Some(Ok(downloaded)) => return Ok(downloaded),
            Some(Err(error)) => {
                let is_over = is_over(&error);
                (Failure::from(error), is_over)
            }
            None => (Problem::Interrupted(format!("download of {shown} was stopped")).into(), false),
        };
        if is_over || !unfinished(self.path).exists() {
            return Err(failure);
        }
        let mut words = vec!["fetch", job.vault().name().as_str(), job.id().as_str()];
        let file = word(self.path);
        words.push(&file);
        if self.options.force {
            words.push("--force");
        }
        Err(failure.keeping("what has come", session.command(words)))
    }
}

/// Whether the same download again would end in the same way.
fn is_over(error: &cas_objects::Error) -> bool {
    match error.kind() {
        ErrorKind::LocalIo | ErrorKind::Integrity => false,
        ErrorKind::Api(kind) => kind == cas_api::ErrorKind::NotFound,
        _ => true,
    }
}

/// Where a download gathers until it is whole.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".cas-part");
    name.into()
}

pub(crate) fn json(downloaded: &Downloaded) -> Map<String, Value> {
    let json = json!({
        "file": downloaded.path.to_string_lossy(),
        "size": downloaded.size,
        "tree_hash": downloaded.tree_hash.to_string(),
        "verified_by": match downloaded.verification {
            Verification::TreeHash => "tree_hash",
            _ => "length",
        },
        "ranges": downloaded.slices,
        "ranges_fetched": downloaded.slices_fetched,
    });
    match json {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

pub(crate) fn facts(downloaded: &Downloaded) -> Table {
    let verified = match downloaded.verification {
        Verification::TreeHash => "it is the tree hash the service has",
        _ => "the number of bytes; the service tells no tree hash of these",
    };
    Table::of_facts([
        ("file", downloaded.path.display().to_string()),
        ("size", units::exact_size(downloaded.size)),
        ("tree hash", downloaded.tree_hash.to_string()),
        ("verified", verified.to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_something_in_it_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("empty"), "").unwrap();
        std::fs::write(path("full"), "x").unwrap();
        let options = |force| DownloadOptions { force, ranges_in_flight: None };
        for (name, force, is_allowed) in [
            ("new", false, true),
            ("empty", false, true),
            ("full", false, false),
            ("full", true, true),
            (".", true, false),
            ("missing/new", true, false),
        ] {
            assert_eq!(Target::new(&path(name), &options(force)).is_ok(), is_allowed, "{name}");
        }
        assert!(Target::new(Path::new("new-in-this-folder"), &options(false)).is_ok());
    }

    #[test]
    fn the_unfinished_file_lies_beside_the_whole_one() {
        assert_eq!(unfinished(Path::new("a/b.tar")), Path::new("a/b.tar.cas-part"));
    }
}
