//! The files that hold bytes: how one comes to be, under a name of the server's own making, and how it goes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cas_treehash::{Leaves, LeavesHasher, Payload};

use super::buffers::Buffers;
use super::directory::sync;
use super::growing::GrowingFile;

/// The directories of an emulator's files.
#[derive(Clone, Debug)]
pub(crate) struct BlobFiles {
    /// Finished files, in folders named for the first two digits of their names.
    finished: PathBuf,
    /// Files that are being written. Nothing here outlives the process that writes it.
    unfinished: PathBuf,
    durable: bool,
    /// What large files are written from.
    buffers: Buffers,
    /// The folders that are known to survive a power cut.
    folders: Arc<Mutex<HashSet<PathBuf>>>,
}

impl BlobFiles {
    /// Takes the directories below `root`, making them if there are none, and removes what an earlier process left unfinished.
    pub(crate) fn open(root: &Path, durable: bool) -> io::Result<Self> {
        let (finished, unfinished) = (root.join("blobs"), root.join("unfinished"));
        let files = BlobFiles { finished, unfinished, durable, buffers: Buffers::default(), folders: Arc::default() };
        fs::create_dir_all(&files.finished)?;
        fs::create_dir_all(&files.unfinished)?;
        for entry in fs::read_dir(&files.unfinished)? {
            fs::remove_file(entry?.path())?;
        }
        files.sync(root)?;
        Ok(files)
    }

    /// Begins a file.
    pub(crate) fn create(&self, name: String) -> io::Result<BlobWriter> {
        let path = self.unfinished.join(&name);
        let file = File::options().write(true).create_new(true).open(&path)?;
        let file = GrowingFile::new(file);
        let unfinished = Unfinished { path };
        Ok(BlobWriter { files: self.clone(), name, file, hasher: Box::default(), unfinished })
    }

    /// Opens a finished file.
    pub(crate) fn open_blob(&self, name: &str) -> io::Result<File> {
        File::open(self.path(name))
    }

    /// Removes a finished file. One that is not there is as good as removed.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of all finished files. What is not ours in these folders is passed over.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for folder in fs::read_dir(&self.finished)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(folder.path())? {
                let name = folder.file_name().to_string_lossy().into_owned() + &entry?.file_name().to_string_lossy();
                if name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    /// Where the finished file of this name is. Names are our own, never a client's text.
    fn path(&self, name: &str) -> PathBuf {
        self.folder(name).join(name.get(2..).unwrap_or(name))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.finished.join(name.get(..2).unwrap_or(""))
    }

    /// Makes the folder for a name. Nobody goes on before it is safe, also when somebody else has just made it.
    fn make_folder(&self, name: &str) -> io::Result<()> {
        let folder = self.folder(name);
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if !folders.contains(&folder) {
            // Not with its parents: a temporary directory that is gone must not come back.
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.sync(&self.finished)?,
            }
            folders.insert(folder);
        }
        Ok(())
    }

    fn sync(&self, directory: &Path) -> io::Result<()> {
        if self.durable { sync(directory) } else { Ok(()) }
    }
}

/// A file that is being written and hashed, both hashes and the leaves in one pass. It is removed unless it is [sealed](Self::seal).
#[derive(Debug)]
pub(crate) struct BlobWriter {
    files: BlobFiles,
    name: String,
    file: GrowingFile,
    /// Two kilobytes, which would otherwise be moved with every piece.
    hasher: Box<LeavesHasher>,
    unfinished: Unfinished,
}

impl BlobWriter {
    /// Says how many bytes are to come. It is no error when fewer or more do.
    pub(crate) fn expecting(mut self, bytes: u64) -> Self {
        // What need not reach the disk is better off in the cache.
        if self.files.durable {
            self.file.expect(bytes, &self.files.buffers);
        }
        self
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.append(bytes)
    }

    /// Adds bytes to two files, hashing them in step as far as both have some.
    pub(crate) fn write_two([(a, x), (b, y)]: [(&mut Self, &[u8]); 2]) -> [io::Result<()>; 2] {
        let both = x.len().min(y.len());
        LeavesHasher::update_pair([&mut a.hasher, &mut b.hasher], [&x[..both], &y[..both]]);
        a.hasher.update(&x[both..]);
        b.hasher.update(&y[both..]);
        [a.file.append(x), b.file.append(y)]
    }

    /// Waits until more bytes can be added without blocking.
    pub(crate) async fn hand_over(&mut self) -> io::Result<()> {
        self.file.hand_over().await
    }

    /// Ends the file and tells its hashes. Nothing is safe yet.
    pub(crate) fn seal(self) -> SealedBlob {
        let (payload, leaves) = self.hasher.finish();
        let BlobWriter { files, name, file, unfinished, .. } = self;
        SealedBlob { files, name, file, unfinished, payload, leaves }
    }
}

/// A file that is complete and whose hashes can be compared before it is kept.
#[derive(Debug)]
pub(crate) struct SealedBlob {
    files: BlobFiles,
    name: String,
    file: GrowingFile,
    unfinished: Unfinished,
    pub(crate) payload: Payload,
    leaves: Leaves,
}

impl SealedBlob {
    /// Puts the file in its place, so that it survives whatever happens from now on, except that nothing names it yet.
    pub(crate) fn publish(self) -> io::Result<NewBlob> {
        let SealedBlob { files, name, file, mut unfinished, payload, leaves } = self;
        let file = file.finish()?;
        if files.durable {
            file.sync_all()?;
        }
        drop(file);
        files.make_folder(&name)?;
        fs::rename(&unfinished.path, files.path(&name))?;
        unfinished.path.clear();
        let blob = NewBlob { files, name, payload, leaves, kept: false };
        blob.files.sync(&blob.files.folder(&blob.name))?;
        Ok(blob)
    }
}

/// A file that is safely in place. It is removed again unless a row that names it is committed and it is [kept](Self::keep).
#[derive(Debug)]
pub(crate) struct NewBlob {
    files: BlobFiles,
    pub(crate) name: String,
    pub(crate) payload: Payload,
    pub(crate) leaves: Leaves,
    kept: bool,
}

impl NewBlob {
    /// Says that a committed row names the file, or may come to.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.files.remove(&self.name)
        {
            tracing::warn!(%error, name = self.name, "a file that is not needed could not be removed");
        }
    }
}

/// Removes an unfinished file when it is dropped, unless the path was cleared because the file was renamed.
#[derive(Debug)]
struct Unfinished {
    path: PathBuf,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        if path.as_os_str().is_empty() {
            return;
        }
        // A request that ends early drops this on an async thread, where removing a large file would hold up everybody else.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove_unfinished(&path))),
            Err(_) => remove_unfinished(&path),
        }
    }
}

fn remove_unfinished(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "an unfinished file could not be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "00112233445566778899aabbccddeeff00112233";

    fn files() -> (tempfile::TempDir, BlobFiles) {
        let directory = tempfile::tempdir().unwrap();
        let files = BlobFiles::open(directory.path(), true).unwrap();
        (directory, files)
    }

    fn written(files: &BlobFiles, bytes: &[u8]) -> BlobWriter {
        let mut writer = files.create(NAME.to_owned()).unwrap();
        writer.write(bytes).unwrap();
        writer
    }

    fn unfinished(files: &BlobFiles) -> usize {
        fs::read_dir(&files.unfinished).unwrap().count()
    }

    #[test]
    fn a_kept_file_is_found_under_its_name() {
        let (_directory, files) = files();
        let sealed = written(&files, b"hello").seal();
        assert_eq!(sealed.payload, Payload::of(b"hello"));
        sealed.publish().unwrap().keep();
        assert_eq!(files.names().unwrap(), [NAME]);
        assert_eq!(io::read_to_string(files.open_blob(NAME).unwrap()).unwrap(), "hello");
        files.remove(NAME).unwrap();
        files.remove(NAME).unwrap();
        assert!(files.names().unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_not_kept_leaves_nothing() {
        let (_directory, files) = files();
        drop(written(&files, b"a"));
        drop(written(&files, b"b").seal());
        drop(written(&files, b"c").seal().publish().unwrap());
        assert!(files.names().unwrap().is_empty());
        assert_eq!(unfinished(&files), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_at_the_next_start() {
        let (directory, files) = files();
        std::mem::forget(written(&files, b"half"));
        assert_eq!(unfinished(&files), 1);
        let files = BlobFiles::open(directory.path(), true).unwrap();
        assert_eq!(unfinished(&files), 0);
    }
}
