//! The stand-in for COS: a folder for each bucket, a file for each object.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use cas_http::ContentSha256;
use cas_http::document::CosCondition;
use cas_treehash::PayloadHasher;

use crate::store::{create_durably, sync};

/// The buckets that `push-to-cos` jobs write to and `pull-from-cos` jobs read from.
///
/// A bucket is named by its domain name, an object by its key. In the file system both are escaped: everything but
/// `A-Z a-z 0-9 - _` and inner dots is written `%XX`, so `2024/a.txt` is the file `2024%2Fa.txt`. The methods block while they read or write.
#[derive(Clone, Debug)]
pub struct Cos {
    root: PathBuf,
    /// The number of the object that is begun next, so that no two are written to the same file, though they are to be the same object.
    next: Arc<AtomicU64>,
}

/// What the name of a file ends with that is no object yet. No escaped name holds a space.
const UNFINISHED: &str = " unfinished";

impl Cos {
    /// Takes a folder, which need not be there yet, and removes what killed processes left unfinished in it. Other emulators may use it too, if
    /// the numbers they begin with are far apart.
    pub(crate) fn below(root: PathBuf, first: u64) -> Self {
        if let Err(error) = remove_unfinished(&root) {
            tracing::warn!(%error, path = %root.display(), "unfinished COS objects could not be removed");
        }
        Cos { root, next: Arc::new(AtomicU64::new(first)) }
    }

    /// The folder of all buckets.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Makes an object, in place of an earlier one, and returns its entity tag: the SHA-256 of its bytes, in quotes.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn put(&self, bucket: &str, object: &str, bytes: &[u8]) -> io::Result<String> {
        let mut writer = self.create(bucket, object)?;
        writer.write(bytes)?;
        writer.finish()?;
        Ok(format!("\"{}\"", ContentSha256::of(bytes)))
    }

    /// The bytes of an object.
    ///
    /// # Errors
    ///
    /// Those of the file system; [`io::ErrorKind::NotFound`] when there is no such object.
    pub fn get(&self, bucket: &str, object: &str) -> io::Result<Vec<u8>> {
        fs::read(self.file(bucket, object))
    }

    /// Begins an object, which is there as a whole or not at all. [`io::ErrorKind::IsADirectory`] when there is a folder in its place.
    pub(crate) fn create(&self, bucket: &str, object: &str) -> io::Result<ObjectWriter> {
        let target = self.file(bucket, object);
        no_folder(&target)?;
        let folder = target.parent().unwrap_or(&self.root);
        create_durably(fs::DirBuilder::new().recursive(true), folder)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let unfinished = folder.join(format!("{} {number}{UNFINISHED}", file_name(object)));
        let writer = ObjectWriter { file: File::create_new(&unfinished)?, unfinished, target, finished: false };
        // As long as it is open and the process lives, nobody takes it for a leftover.
        writer.file.lock()?;
        Ok(writer)
    }

    /// Opens an object if it is there and in the state that is asked for; otherwise says why not. [`io::ErrorKind::IsADirectory`] when there is a
    /// folder in its place.
    pub(crate) fn open(
        &self,
        bucket: &str,
        object: &str,
        condition: Option<&CosCondition>,
    ) -> io::Result<Result<File, String>> {
        let path = self.file(bucket, object);
        // A folder can be opened on some systems, and be refused for another reason on others.
        no_folder(&path)?;
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err("the COS object does not exist".to_owned()));
            }
            opened => opened?,
        };
        let Some(condition) = condition else { return Ok(Ok(file)) };
        let modified = file.metadata()?.modified()?;
        let by_tag = condition.if_match.is_some() || condition.if_none_match.is_some();
        let tag = if by_tag { Some(entity_tag(&mut file)?) } else { None };
        Ok(match unmet(condition, modified, tag.as_deref()) {
            None => Ok(file),
            Some(why) => Err(format!("the COS object is not in the state asked for: {why}")),
        })
    }

    fn file(&self, bucket: &str, object: &str) -> PathBuf {
        self.root.join(file_name(bucket)).join(file_name(object))
    }
}

fn no_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) }
}

/// An object that is being written. It is removed unless it is finished.
#[derive(Debug)]
pub(crate) struct ObjectWriter {
    file: File,
    unfinished: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl ObjectWriter {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.unfinished, &self.target)?;
        self.finished = true;
        self.target.parent().map_or(Ok(()), sync)
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_file(&self.unfinished)
        {
            tracing::warn!(%error, path = %self.unfinished.display(), "an unfinished COS object could not be removed");
        }
    }
}

/// Removes the unfinished objects below a folder that nobody is writing.
fn remove_unfinished(root: &Path) -> io::Result<()> {
    let buckets = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        buckets => buckets?,
    };
    for bucket in buckets {
        let bucket = bucket?;
        if !bucket.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(bucket.path())? {
            let file = file?;
            let is_leftover = file.file_type()?.is_file() && file.file_name().to_string_lossy().ends_with(UNFINISHED);
            if is_leftover && File::options().write(true).open(file.path())?.try_lock().is_ok() {
                fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

fn entity_tag(file: &mut File) -> io::Result<String> {
    use io::Seek as _;
    let mut hasher = PayloadHasher::new();
    io::copy(file, &mut hasher)?;
    file.rewind()?;
    Ok(format!("\"{}\"", hasher.finish().sha256))
}

/// The first condition that is not met, in words.
fn unmet(condition: &CosCondition, modified: SystemTime, tag: Option<&str>) -> Option<&'static str> {
    let after =
        |date: &str| httpdate::parse_http_date(date).ok().map(|date| whole_seconds(modified) > whole_seconds(date));
    let is = |wanted: &str| wanted == "*" || tag.is_some_and(|tag| tag.trim_matches('"') == wanted.trim_matches('"'));
    match condition {
        CosCondition { if_match: Some(wanted), .. } if !is(wanted) => Some("If-Match (412)"),
        CosCondition { if_none_match: Some(wanted), .. } if is(wanted) => Some("If-None-Match (304)"),
        CosCondition { if_modified_since: Some(date), .. } if after(date) != Some(true) => {
            Some("If-Modified-Since (304)")
        }
        CosCondition { if_unmodified_since: Some(date), .. } if after(date) != Some(false) => {
            Some("If-Unmodified-Since (412)")
        }
        _ => None,
    }
}

fn whole_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The name of a file for a text from a client: one element of a path, the same on every file system, never `.` or `..`.
fn file_name(text: &str) -> String {
    if text.is_empty() {
        return "%".to_owned();
    }
    let mut name = String::new();
    for (at, byte) in text.bytes().enumerate() {
        let inner_dot = byte == b'.' && at > 0 && at + 1 < text.len();
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || inner_dot {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    // File systems take 255 bytes; a key may be longer, above all when it is escaped.
    if name.len() <= 200 { name } else { format!("%{}", ContentSha256::of(text.as_bytes())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cos() -> (tempfile::TempDir, Cos) {
        let directory = tempfile::tempdir().unwrap();
        let cos = Cos::below(directory.path().join("cos"), 0);
        (directory, cos)
    }

    fn opens(cos: &Cos, change: impl FnOnce(&mut CosCondition)) -> bool {
        let mut condition = CosCondition::new();
        change(&mut condition);
        cos.open("b", "o", Some(&condition)).unwrap().is_ok()
    }

    #[test]
    fn no_key_leaves_its_bucket() {
        for (text, name) in [
            ("a.txt", "a.txt"),
            ("2024/a.txt", "2024%2Fa.txt"),
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("../../etc/passwd", "%2E./../etc/passwd"),
            ("a\\b:c", "a%5Cb%3Ac"),
            ("报", "%E6%8A%A5"),
            ("", "%"),
        ] {
            let name = name.replace('/', "%2F");
            assert_eq!(file_name(text), name, "{text}");
        }
        assert_eq!(file_name(&"x".repeat(5000)).len(), 65);
    }

    #[test]
    fn an_object_comes_back_as_it_was_put() {
        let (_directory, cos) = cos();
        cos.put("b.cos.example.com", "k/1", b"one").unwrap();
        cos.put("b.cos.example.com", "k/1", b"two").unwrap();
        assert_eq!(cos.get("b.cos.example.com", "k/1").unwrap(), b"two");
        assert_eq!(cos.get("b.cos.example.com", "k/2").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_object_that_is_not_finished_is_not_there() {
        let (_directory, cos) = cos();
        cos.create("b", "o").unwrap().write(b"half").unwrap();
        assert!(cos.get("b", "o").is_err());
        assert_eq!(fs::read_dir(cos.path().join("b")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_at_the_next_start_and_what_is_being_written_is_not() {
        let (_directory, cos) = cos();
        cos.put("b", "o unfinished", b"an object").unwrap();
        let left = cos.path().join("b/o 17 unfinished");
        fs::write(&left, "half").unwrap();
        let mut writing = cos.create("b", "o").unwrap();
        let other = Cos::below(cos.path().to_owned(), 1 << 32);
        assert!(!left.exists());
        writing.write(b"whole").unwrap();
        other.put("b", "o", b"other").unwrap();
        writing.finish().unwrap();
        assert_eq!(cos.get("b", "o").unwrap(), b"whole");
        assert_eq!(cos.get("b", "o unfinished").unwrap(), b"an object");
    }

    #[test]
    fn of_two_that_write_one_object_the_last_to_finish_has_its_way() {
        let (_directory, cos) = cos();
        let [mut first, mut second] = [(); 2].map(|()| cos.create("b", "o").unwrap());
        first.write(b"the first").unwrap();
        second.write(b"the second").unwrap();
        second.finish().unwrap();
        first.finish().unwrap();
        assert_eq!(cos.get("b", "o").unwrap(), b"the first");
    }

    #[test]
    fn conditions_look_at_the_tag_and_the_date() {
        let (_directory, cos) = cos();
        let tag = cos.put("b", "o", b"x").unwrap();
        let [past, future] = ["Thu, 01 Jan 1970 00:00:10 GMT", "Fri, 31 Dec 2100 00:00:00 GMT"].map(str::to_owned);
        assert!(opens(&cos, |c| c.if_match = Some(tag.clone())));
        assert!(opens(&cos, |c| c.if_match = Some("*".into())));
        assert!(!opens(&cos, |c| c.if_match = Some("\"other\"".into())));
        assert!(!opens(&cos, |c| c.if_none_match = Some(tag.trim_matches('"').into())));
        assert!(opens(&cos, |c| c.if_none_match = Some("\"other\"".into())));
        assert!(opens(&cos, |c| c.if_modified_since = Some(past.clone())));
        assert!(!opens(&cos, |c| c.if_modified_since = Some(future.clone())));
        assert!(opens(&cos, |c| c.if_unmodified_since = Some(future)));
        assert!(!opens(&cos, |c| c.if_unmodified_since = Some(past)));
        assert!(!opens(&cos, |c| c.if_unmodified_since = Some("yesterday".into())));
    }
}
