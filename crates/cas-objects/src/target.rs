//! The file that a download becomes: what stands in its place meanwhile, and how it gets its name.
//!
//! For `x` there are `x.cas-part`, the bytes so far, and `x.cas-journal`, which slices are in it. Only a whole, verified, synced file becomes `x`.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cas_api::cas_http::TreeHash;

use crate::checkpoint::{Journal, Subject};
use crate::error::{Error, ErrorKind, blocking};
use crate::plan::PartPlan;

/// The file to be, the unfinished one beside it, and the journal.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    path: PathBuf,
    unfinished: PathBuf,
    journal: PathBuf,
    overwrite: bool,
}

impl Target {
    /// Looks whether the file may be written, before anything is asked of the service.
    pub(crate) fn check(path: &Path, overwrite: bool) -> Result<Target, Error> {
        let Some(name) = path.file_name() else {
            return Err(Error::invalid(format!("{} is not the name of a file", path.display())));
        };
        let beside = |suffix: &str| {
            let mut name = name.to_owned();
            name.push(suffix);
            path.with_file_name(name)
        };
        let target = Target {
            path: path.to_owned(),
            unfinished: beside(".cas-part"),
            journal: beside(".cas-journal"),
            overwrite,
        };
        target.check_free()?;
        if !target.folder().is_dir() {
            return Err(Error::invalid(format!("there is no folder {}", target.folder().display())));
        }
        Ok(target)
    }

    fn check_free(&self) -> Result<(), Error> {
        match std::fs::symlink_metadata(&self.path) {
            Err(_) => Ok(()),
            Ok(metadata) if !metadata.is_file() => {
                Err(Error::invalid(format!("{} is there and is not a regular file", self.path.display())))
            }
            Ok(_) if self.overwrite => Ok(()),
            Ok(_) => Err(self.taken()),
        }
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// [`open`](Self::open), as soon as nobody else is at it. A download that was dropped a moment ago may still be at a last write.
    pub(crate) async fn open_when_free(
        &self,
        subject: &Subject,
        plan: &PartPlan,
    ) -> Result<(File, Journal, Vec<Option<TreeHash>>), Error> {
        const LOOKS: u32 = 20;
        const PAUSE: Duration = Duration::from_millis(100);
        let mut looks = 1;
        loop {
            let (target, subject, plan) = (self.clone(), subject.clone(), *plan);
            match blocking(move || target.open(&subject, &plan)).await? {
                Err(error) if error.kind() == ErrorKind::Checkpoint && looks < LOOKS => looks += 1,
                outcome => return outcome,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Opens the unfinished file and the journal: for each slice the tree hash the journal has for it, if it has one.
    fn open(&self, subject: &Subject, plan: &PartPlan) -> Result<(File, Journal, Vec<Option<TreeHash>>), Error> {
        let (journal, noted) = Journal::open(&self.journal, subject)?;
        if std::fs::symlink_metadata(&self.unfinished).is_ok_and(|found| !found.is_file()) {
            return Err(Error::invalid(format!("{} is there and is not a regular file", self.unfinished.display())));
        }
        let io_error = |error| Error::io("open", &self.unfinished, error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.unfinished)
            .map_err(io_error)?;
        file.set_len(plan.size()).map_err(io_error)?;
        let mut hashes = vec![None; usize::try_from(plan.count()).unwrap_or(usize::MAX)];
        for (index, hash) in noted {
            if let Some(place) = usize::try_from(index).ok().and_then(|index| hashes.get_mut(index)) {
                *place = Some(hash);
            }
        }
        Ok((file, journal, hashes))
    }

    /// Makes the unfinished file the target: its bytes reach the disk before its name does.
    pub(crate) fn finish(&self, file: &File, journal: Journal) -> Result<(), Error> {
        file.sync_all().map_err(|error| Error::io("write", &self.unfinished, error))?;
        self.give_name()?;
        journal.remove()?;
        // A folder can be opened to sync it on Unix only, and by those who may read it; elsewhere the file system sees to it.
        #[cfg(unix)]
        if let Ok(folder) = File::open(self.folder()) {
            folder.sync_all().map_err(|error| Error::io("write", self.folder(), error))?;
        }
        Ok(())
    }

    /// Renames the unfinished file. The kernel itself refuses to replace a file that appeared meanwhile, where it can.
    fn give_name(&self) -> Result<(), Error> {
        let outcome = if self.overwrite { None } else { rename_to_free(&self.unfinished, &self.path) };
        let renamed = match outcome {
            Some(outcome) => outcome,
            None => {
                self.check_free()?;
                std::fs::rename(&self.unfinished, &self.path)
            }
        };
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(self.taken()),
            renamed => renamed.map_err(|error| Error::io("rename to", &self.path, error)),
        }
    }

    fn taken(&self) -> Error {
        Error::invalid(format!("{} is there already", self.path.display()))
    }
}

/// Renames in one step that fails when the new name is taken. `None` where the system or the file system has no such step.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_to_free(from: &Path, to: &Path) -> Option<io::Result<()>> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => None,
        outcome => Some(outcome.map_err(io::Error::from)),
    }
}

/// Renames in one step that fails when the new name is taken: not here.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_to_free(_: &Path, _: &Path) -> Option<io::Result<()>> {
    None
}

/// Writes all bytes at a place of the file, without a position that threads would share.
#[cfg(unix)]
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes all bytes at a place of the file, without a position that threads would share.
#[cfg(windows)]
pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target in a folder, with its unfinished file written.
    fn target(folder: &Path, overwrite: bool) -> Target {
        let target = Target::check(&folder.join("x"), overwrite).unwrap();
        std::fs::write(&target.unfinished, b"new").unwrap();
        target
    }

    #[test]
    fn a_file_that_appears_at_the_last_moment_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path(), false);
        std::fs::write(&target.path, b"somebody else's").unwrap();
        let error = target.give_name().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().ends_with("is there already"), "{error}");
        assert_eq!(std::fs::read(&target.path).unwrap(), b"somebody else's");
        assert_eq!(std::fs::read(&target.unfinished).unwrap(), b"new", "nothing is lost");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_step_that_names_the_file_refuses_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path(), false);
        std::fs::write(&target.path, b"somebody else's").unwrap();
        if let Some(outcome) = rename_to_free(&target.unfinished, &target.path) {
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        std::fs::remove_file(&target.path).unwrap();
        target.give_name().unwrap();
        assert_eq!(std::fs::read(&target.path).unwrap(), b"new");
    }

    #[test]
    fn a_file_that_may_be_replaced_is() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path(), true);
        std::fs::write(&target.path, b"old").unwrap();
        target.give_name().unwrap();
        assert_eq!(std::fs::read(&target.path).unwrap(), b"new");
        assert!(!target.unfinished.exists());
    }
}
