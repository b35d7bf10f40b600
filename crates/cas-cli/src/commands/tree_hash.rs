//! `cas tree-hash`: hashes files, keeps their leaves, and checks files against hashes or leaves that were kept.

use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cas_http::ByteRange;
use cas_treehash::parallel::{self, Threads};
use cas_treehash::{ContentSha256, LEAF_SIZE, Leaves, ReadAt, TreeHash, read};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;

use crate::cli::TreeHashArgs;
use crate::exit::{Failure, Problem, Report};
use crate::output::Output;
use crate::progress;

pub(crate) fn run(args: &TreeHashArgs, output: Output) -> Result<(), Failure> {
    match (&args.leaves, args.check) {
        (Some(leaves), is_check) => {
            let [file] = &args.files[..] else {
                return Err(Problem::Usage("--leaves is for one FILE at a time".to_owned()).into());
            };
            if is_check { compare_with_leaves(file, leaves, output) } else { keep_leaves(file, leaves, output) }
        }
        (None, true) => each(&args.files, output, |list| check_list(list, output)),
        (None, false) => each(&args.files, output, |file| {
            let hashed = Input::open(file)?.hash(args.range, output.is_json())?;
            tell(file, hashed, args.files.len() > 1, output)
        }),
    }
}

/// Does the same for each of several files. What fails is told at once and does not keep the others from being done.
fn each(files: &[PathBuf], output: Output, work: impl Fn(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for file in files {
        if let Err(failure) = work(file) {
            let report = Report::of(&failure);
            if files.len() == 1 || report.is_silent {
                return Err(failure);
            }
            output.failure(&report);
            failed.push(report.code);
        }
    }
    match failed.iter().max() {
        None => Ok(()),
        Some(&worst) => Err(Problem::Several { failed: failed.len(), of: files.len(), worst }.into()),
    }
}

/// What was hashed, in the order in which it is told.
#[derive(Debug, Serialize)]
struct Hashed {
    /// Where there are several files, which one it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    size: u64,
    /// Left out where nobody wants it.
    sha256: Option<ContentSha256>,
    tree_hash: TreeHash,
}

impl Hashed {
    fn new(size: u64, sha256: Option<ContentSha256>, tree_hash: TreeHash) -> Self {
        Hashed { file: None, size, sha256, tree_hash }
    }
}

fn tell(file: &Path, hashed: Hashed, is_one_of_several: bool, output: Output) -> Result<(), Failure> {
    let text = format!("{}  {}", hashed.tree_hash, file.display());
    let file = is_one_of_several.then(|| file.to_string_lossy().into_owned());
    output.result(&Hashed { file, ..hashed }, text)
}

fn keep_leaves(file: &Path, leaves_file: &Path, output: Output) -> Result<(), Failure> {
    let (hashed, leaves) = Input::open(file)?.leaves()?;
    let write = || {
        let mut writer = BufWriter::new(File::create(leaves_file)?);
        leaves.write_to(&mut writer)?;
        writer.flush()?;
        writer.get_ref().sync_all()
    };
    write().map_err(|error| Failure::from(error).doing(format!("{} cannot be written", leaves_file.display())))?;
    tell(file, hashed, false, output)
}

fn compare_with_leaves(file: &Path, leaves_file: &Path, output: Output) -> Result<(), Failure> {
    let unreadable = || format!("{} cannot be used", leaves_file.display());
    let reader = File::open(leaves_file).map_err(|error| Failure::from(error).doing(unreadable()))?;
    let expected =
        Leaves::read_from(BufReader::new(reader)).map_err(|error| Failure::from(error).doing(unreadable()))?;
    let (hashed, found) = Input::open(file)?.leaves()?;
    let shown = file.display();
    match found.first_difference(&expected) {
        None => {
            let json = json!({"file": file.to_string_lossy(), "ok": true, "first_difference": null});
            output.result(&json, format_args!("{shown}: as it was, {}", hashed.tree_hash))
        }
        Some(leaf) => {
            let byte = leaf as u64 * LEAF_SIZE;
            let json = json!({"file": file.to_string_lossy(), "ok": false, "first_difference": byte});
            output.result(&json, format_args!("{shown}: differs, first in the MiB that begins at byte {byte}"))?;
            Err(Problem::Differs(format!("{shown} is not what {} was made of", leaves_file.display())).into())
        }
    }
}

/// Checks the files that a list names, each line a hash, two blanks and a name.
fn check_list(list: &Path, output: Output) -> Result<(), Failure> {
    let unreadable = |error: io::Error| Failure::from(error).doing(format!("{} cannot be read", list.display()));
    let reader: Box<dyn Read> =
        if list == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(list).map_err(unreadable)?) };
    let (mut checked, mut wrong) = (0, 0);
    for (number, line) in (1..).zip(BufReader::new(reader).lines()) {
        let line = line.map_err(unreadable)?;
        if line.trim().is_empty() {
            continue;
        }
        let (expected, name) = read_line(&line).ok_or_else(|| {
            Problem::Input(format!(
                "{}, line {number}: expected a tree hash, two blanks and the name of a file",
                list.display()
            ))
        })?;
        checked += 1;
        let verdict = Input::open(Path::new(name)).and_then(|input| input.hash(None, false));
        let is_right = verdict.as_ref().is_ok_and(|hashed| hashed.tree_hash == expected);
        let word = match &verdict {
            Ok(_) if is_right => "right",
            Ok(_) => "wrong",
            Err(_) => "not read",
        };
        output.result(&json!({"file": name, "ok": is_right}), format_args!("{name}: {word}"))?;
        if let Err(failure) = &verdict {
            output.failure(&Report::of(failure));
        }
        wrong += u64::from(!is_right);
    }
    match (checked, wrong) {
        (0, _) => Err(Problem::Input(format!("{} holds no line to check", list.display())).into()),
        (_, 0) => Ok(()),
        _ => Err(Problem::Differs(format!("{wrong} of {checked} files are not as {} says", list.display())).into()),
    }
}

/// A hash and a name, as [`tell`] writes them and as the usual sum programs do.
fn read_line(line: &str) -> Option<(TreeHash, &str)> {
    let (hash, name) = line.split_once(' ')?;
    let name = name.strip_prefix([' ', '*'])?;
    if name.is_empty() { None } else { Some((hash.parse().ok()?, name)) }
}

/// Something to hash.
#[derive(Debug)]
struct Input {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Standard input, or a pipe with a name: read once, from beginning to end.
    Stream(Option<File>),
    /// A file that can be read at any place, and its size and time when it was opened.
    File(File, State),
}

/// What tells whether a file is still as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    size: u64,
    modified: Option<SystemTime>,
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        State { size: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl Input {
    fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        if path == Path::new("-") {
            return Ok(Input { name: "standard input".to_owned(), kind: Kind::Stream(None) });
        }
        let unreadable = |error: io::Error| Failure::from(error).doing(format!("{name} cannot be read"));
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let kind = if metadata.is_dir() {
            return Err(Problem::Input(format!("{name} is a folder")).into());
        } else if metadata.is_file() {
            Kind::File(file, State::of(&metadata))
        } else {
            Kind::Stream(Some(file))
        };
        Ok(Input { name, kind })
    }

    /// The hashes of the whole, or of a range. The content hash, which only one thread can compute, is left out where nobody wants it.
    fn hash(self, range: Option<ByteRange>, wants_sha256: bool) -> Result<Hashed, Failure> {
        let Input { name, kind } = self;
        match kind {
            Kind::Stream(file) => {
                let bounds = range.map_or(0..u64::MAX, bounds);
                hash_stream(opened(file), &name, bounds, range.is_some(), wants_sha256)
            }
            Kind::File(file, state) => {
                let range = range.map_or(0..state.size, bounds);
                if range.end > state.size {
                    let what = format!("{name} has {} bytes; the range reaches beyond", state.size);
                    return Err(Problem::Input(what).into());
                }
                let outcome = hash_file(&file, range, &name, wants_sha256);
                checked(&file, state, &name, outcome)
            }
        }
    }

    /// The hashes of the whole, and the row of its leaves.
    fn leaves(self) -> Result<(Hashed, Leaves), Failure> {
        let Input { name, kind } = self;
        let total = match &kind {
            Kind::Stream(_) => None,
            Kind::File(_, state) => Some(state.size),
        };
        let bar = progress::bytes(name.clone(), total);
        let hash = |reader: &mut dyn Read| {
            let (payload, leaves) = read::leaves(bar.wrap_read(reader))?;
            bar.finish_and_clear();
            let hashed = Hashed::new(payload.size, Some(payload.sha256), payload.tree_hash);
            Ok((hashed, leaves))
        };
        match kind {
            Kind::Stream(file) => hash(&mut opened(file)).map_err(|error| unreadable(&name, error)),
            Kind::File(mut file, state) => {
                let outcome = hash(&mut file);
                checked(&file, state, &name, outcome)
            }
        }
    }
}

fn hash_file(file: &File, range: Range<u64>, name: &str, wants_sha256: bool) -> io::Result<Hashed> {
    let size = range.end - range.start;
    let watched = Watched { file, bar: progress::bytes(name.to_owned(), Some(size)) };
    let hashed = if wants_sha256 {
        let payload = read::payload_at(&watched, range)?;
        Hashed::new(size, Some(payload.sha256), payload.tree_hash)
    } else {
        Hashed::new(size, None, parallel::tree_hash(&watched, range, Threads::available())?)
    };
    watched.bar.finish_and_clear();
    Ok(hashed)
}

fn hash_stream(
    mut reader: Box<dyn Read>,
    name: &str,
    range: Range<u64>,
    must_fill: bool,
    wants_sha256: bool,
) -> Result<Hashed, Failure> {
    let bar = progress::bytes(name.to_owned(), None);
    let hash = || {
        let skipped = io::copy(&mut reader.by_ref().take(range.start), &mut io::sink())?;
        let mut counted = Counted { reader: bar.wrap_read(reader.take(range.end - range.start)), size: 0 };
        let (sha256, tree_hash) = if wants_sha256 {
            let payload = read::payload(&mut counted)?;
            (Some(payload.sha256), payload.tree_hash)
        } else {
            (None, read::tree_hash(&mut counted)?)
        };
        Ok((skipped, Hashed::new(counted.size, sha256, tree_hash)))
    };
    let (skipped, hashed) = hash().map_err(|error| unreadable(name, error))?;
    bar.finish_and_clear();
    if must_fill && hashed.size < range.end - range.start {
        let what = format!("{name} has {} bytes; the range reaches beyond", skipped + hashed.size);
        return Err(Problem::Input(what).into());
    }
    Ok(hashed)
}

/// The outcome of hashing a file, unless the file is not what it was before.
fn checked<T>(file: &File, before: State, name: &str, outcome: io::Result<T>) -> Result<T, Failure> {
    let changed =
        |how: &dyn Display| Failure::from(Problem::Changed(format!("{name} changed while it was hashed: {how}")));
    let after = State::of(&file.metadata().map_err(|error| unreadable(name, error))?);
    if after.size != before.size {
        return Err(changed(&format_args!("{} bytes then, {} now", before.size, after.size)));
    }
    if after != before {
        return Err(changed(&"it was written to"));
    }
    outcome.map_err(|error| unreadable(name, error))
}

fn unreadable(name: &str, error: io::Error) -> Failure {
    Failure::from(error).doing(format!("{name} cannot be read"))
}

fn opened(file: Option<File>) -> Box<dyn Read> {
    match file {
        Some(file) => Box::new(file),
        None => Box::new(io::stdin()),
    }
}

/// The range with its end left out.
fn bounds(range: ByteRange) -> Range<u64> {
    range.start()..range.end().saturating_add(1)
}

/// A file that moves a bar when it is read.
struct Watched<'f> {
    file: &'f File,
    bar: ProgressBar,
}

impl ReadAt for Watched<'_> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        ReadAt::read_exact_at(self.file, buffer, offset)?;
        self.bar.inc(buffer.len() as u64);
        Ok(())
    }
}

/// A reader that counts.
struct Counted<R> {
    reader: R,
    size: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.size += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Code;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_line_is_a_hash_and_a_name() {
        let hash: TreeHash = ABC.parse().unwrap();
        assert_eq!(read_line(&format!("{ABC}  a file")), Some((hash, "a file")));
        assert_eq!(read_line(&format!("{ABC} *a  b")), Some((hash, "a  b")));
        for line in [ABC.to_owned(), format!("{ABC}  "), format!("{ABC} a"), format!("x{ABC}  a"), "  a".to_owned()] {
            assert_eq!(read_line(&line), None, "{line:?}");
        }
    }

    fn state_and(change: impl FnOnce(&mut File)) -> Result<(), Failure> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let before = State::of(&file.metadata().unwrap());
        change(&mut file);
        checked(&file, before, "x", Ok(()))
    }

    #[test]
    fn a_file_that_changes_is_reported() {
        assert!(state_and(|_| ()).is_ok());
        let longer = state_and(|file| file.write_all(b"d").unwrap()).unwrap_err();
        let later = SystemTime::UNIX_EPOCH;
        let touched = state_and(|file| file.set_modified(later).unwrap()).unwrap_err();
        for (failure, words) in [(longer, "3 bytes then, 4 now"), (touched, "it was written to")] {
            let report = Report::of(&failure);
            assert_eq!(report.code, Code::Integrity);
            assert!(report.to_string().contains(words), "{report}");
        }
    }

    #[test]
    fn a_file_that_shrinks_under_the_reader_has_changed() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3).unwrap();
        let before = State::of(&file.metadata().unwrap());
        file.set_len(1).unwrap();
        let outcome = hash_file(&file, 0..3, "x", false);
        let Err(failure) = checked(&file, before, "x", outcome) else { panic!("it was believed") };
        assert_eq!(Report::of(&failure).code, Code::Integrity);
    }

    #[test]
    fn a_stream_has_the_hashes_of_its_range() {
        let hash = |range: Range<u64>, must_fill| hash_stream(Box::new(&b"xabcx"[..]), "x", range, must_fill, true);
        let hashed = hash(1..4, true).unwrap();
        assert_eq!((hashed.size, hashed.tree_hash.to_string().as_str()), (3, ABC));
        assert_eq!(hashed.sha256.unwrap().to_string(), ABC);
        assert!(hash(1..6, true).is_err());
        assert_eq!(hash(0..u64::MAX, false).unwrap().size, 5);
    }
}
