//! The directory that holds an emulator's state: who may use it, and who removes it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};
use crate::ids::Ids;

/// How often a temporary directory is removed in which somebody makes a last file meanwhile.
const REMOVALS: usize = 100;

/// A directory that this process alone uses until the value is dropped.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    temporary: bool,
    /// Locked as long as it is open; the system lets go of it also when the process is killed.
    lock: File,
}

impl DataDirectory {
    /// Takes a directory, making it if it is not there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`] when another process uses it; [`ErrorKind::Storage`] when it cannot be made or written.
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        Self::lock(path.to_owned(), false)
    }

    /// Makes a directory that is removed at the end.
    pub(crate) fn temporary(ids: &Ids) -> Result<Self, Error> {
        Self::lock(std::env::temp_dir().join(format!("cas-emulator-{}", ids.file_name())), true)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is removed at the end, so that nothing in it has to be safe from a power cut.
    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Lets other processes use the directory, or removes it if it is a temporary one, though something here may still hold the value.
    pub(crate) fn release(&self) {
        if self.temporary {
            // Whoever was about to make a file makes it while the directory is being emptied; later ones find no directory.
            let crowded = |error: &io::Error| error.kind() == io::ErrorKind::DirectoryNotEmpty;
            let removed =
                (0..REMOVALS).map(|_| remove(&self.path)).find(|removed| !removed.as_ref().is_err_and(crowded));
            if let Some(Err(error)) = removed {
                // Where open files cannot be removed this is done when the last one is closed.
                tracing::debug!(%error, path = %self.path.display(), "the temporary directory is still there");
            }
        }
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, path = %self.path.display(), "the directory could not be unlocked");
        }
    }

    fn lock(path: PathBuf, temporary: bool) -> Result<Self, Error> {
        let failed = |error: io::Error| {
            Error::new(ErrorKind::Storage, format!("the directory {} cannot be used", path.display())).because(error)
        };
        create_private(&path, temporary).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDirectory { path, temporary, lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::Locked, format!("another emulator uses the directory {}", path.display())))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "the temporary directory could not be removed");
        }
    }
}

/// Removes a directory that may be gone already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the directory, for its owner's eyes only where the system knows such a thing.
fn create_private(path: &Path, temporary: bool) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    if temporary { builder.create(path) } else { create_durably(&builder, path) }
}

/// Makes a directory and the parents that it lacks, so that a power cut does not take them away again.
pub(crate) fn create_durably(builder: &fs::DirBuilder, path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    builder.create(path)?;
    missing.iter().filter_map(|made| made.parent()).try_for_each(sync)
}

/// Makes safe which names a directory has.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    // Directories cannot be opened on other systems; there what was done to them is all that can be had.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_one_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = DataDirectory::take(&path).unwrap();
        let error = DataDirectory::take(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains("another emulator uses the directory"), "{error}");
        drop(first);
        DataDirectory::take(&path).unwrap();
    }

    #[test]
    fn directories_are_made_with_the_parents_they_lack() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b/c");
        for _ in 0..2 {
            create_durably(fs::DirBuilder::new().recursive(true), &path).unwrap();
            assert!(path.is_dir());
        }
        fs::write(parent.path().join("file"), "").unwrap();
        create_durably(fs::DirBuilder::new().recursive(true), &parent.path().join("file/d")).unwrap_err();
        sync(Path::new("")).unwrap();
    }

    #[test]
    fn a_temporary_directory_is_removed_at_the_end() {
        // The name follows from the seed, so the seed is one that no other run of this test has.
        let unique = tempfile::tempdir().unwrap();
        let ids = Ids::new(unique.path().as_os_str().as_encoded_bytes(), 0);
        let directory = DataDirectory::temporary(&ids).unwrap();
        let path = directory.path().to_owned();
        assert!(path.is_dir());
        fs::create_dir(path.join("blobs")).unwrap();
        directory.release();
        assert!(!path.exists(), "though the value is still there");
        let again = DataDirectory::temporary(&Ids::new(unique.path().as_os_str().as_encoded_bytes(), 1)).unwrap();
        let path = again.path().to_owned();
        drop((directory, again));
        assert!(!path.exists());
    }
}
