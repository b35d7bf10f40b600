//! `cas demo`: takes a file through everything on the emulator inside this program, over real HTTP and with real signatures, and compares what
//! comes back with what went up.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cas_api::CasApi;
use cas_api::inventory::InventoryEntry;
use cas_http::{Description, MIB, PartSize};
use cas_objects::{Downloaded, Job, PartPlan, Progress, Source, Uploaded, Vault};
use cas_treehash::{Payload, PayloadHasher, read};
use futures::TryStreamExt;
use serde_json::{Map, Value, json};

use crate::cli::{DemoArgs, GlobalOptions};
use crate::commands::inventory;
use crate::commands::vault::seconds;
use crate::exit::{Failure, Problem};
use crate::interrupt::unless_interrupted;
use crate::local::Local;
use crate::output::Align::{Left, Right};
use crate::output::{Output, Table};
use crate::session::{client_of, refuse_remote_options};
use crate::{progress, units};

/// The size of the file that is made when none is given.
const MADE_SIZE: u64 = 160 * MIB;

/// A smaller file goes up in one request, as it would have a single part.
const THRESHOLD: u64 = 2 * MIB;

/// What the file that came back is called in the folder.
const COPY: &str = "retrieved";

pub(crate) async fn run(args: &DemoArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    refuse_remote_options(global, "cas demo")?;
    // A file that cannot be an archive is refused before anything is made.
    if let Some(file) = &args.file {
        Source::file(file).await?;
    }
    let local = Local::here()?;
    if let Some(file) = &args.file {
        refuse_the_copy(file, &local.file(COPY))?;
    }
    let outcome = unless_interrupted(Box::pin(show(args.file.as_deref(), &local, output))).await;
    let stopped = || Problem::Interrupted(format!("the demo was stopped; {} can be removed", local.name()));
    outcome.unwrap_or_else(|| Err(stopped().into()))
}

async fn show(file: Option<&Path>, local: &Local, output: Output) -> Result<(), Failure> {
    output.story(format_args!("state      {} (git looks away; remove it to start afresh)", local.name()))?;
    let mut steps = Steps::default();
    let file = match file {
        Some(file) => file.to_owned(),
        None => steps.time("make the file", MADE_SIZE, made_file(local.file("demo.bin"))).await?,
    };
    let emulator = local.start().await?;
    output.story(format_args!("emulator   {}", emulator.endpoint()))?;
    let outcome = Demo { api: client_of(&emulator)?, file, local, output, steps }.run().await;
    // What was acknowledged is on disk already; an end that is less than graceful loses nothing.
    _ = emulator.shutdown().await;
    outcome
}

/// What the steps of a demo share.
struct Demo<'l> {
    api: CasApi,
    file: PathBuf,
    local: &'l Local,
    output: Output,
    steps: Steps,
}

impl Demo<'_> {
    async fn run(mut self) -> Result<(), Failure> {
        let output = self.output;
        output.story(format_args!("found      {}", self.what_is_there().await?))?;
        let source = Source::file(&self.file).await?;
        let size = source.size().bytes();
        output.story(format_args!("file       {}, {}", self.file.display(), units::exact_size(size)))?;
        let original = self.steps.time("hash", size, hash(self.file.clone(), size)).await?;

        let vault = Vault::create(&self.api, "demo".parse::<cas_http::VaultName>()?).await?;
        output.story(format_args!("vault      {}", vault.name()))?;

        let part_size = PartPlan::fitting(source.size(), part_size(size)).part_size();
        let uploaded = self.steps.time("upload", size, upload(&vault, source, part_size)).await?;
        same("tree hash of the upload", &uploaded.tree_hash, &original.tree_hash)?;
        let way = if uploaded.parts == 1 {
            "one request".to_owned()
        } else {
            format!("{} parts of {}", uploaded.parts, units::size(part_size.bytes()))
        };
        output.story(format_args!("archive    {}\n           in {way}", uploaded.archive_id))?;

        let listed = self.steps.time("inventory", 0, list(&vault, &uploaded)).await?;
        same("tree hash in the inventory", &listed.tree_hash, &Some(original.tree_hash))?;
        let created = seconds(Some(listed.creation_date));
        let line =
            inventory::line(&created, &units::size(listed.size), listed.archive_id.as_str(), &listed.description);
        output.story(format_args!("inventory  {line}"))?;

        let job = self.steps.time("retrieval job", 0, retrieve(&vault, &uploaded)).await?;
        output.story(format_args!("job        {}", job.id()))?;
        let copy = self.local.file(COPY);
        let downloaded = self.steps.time("download", size, download(&job, &copy, part_size)).await?;
        output.story(format_args!("download   {}, {}", copy.display(), units::count(downloaded.slices, "range")))?;

        let came_back = self.steps.time("compare", size, compare(self.file.clone(), copy, size)).await?;
        same("tree hash of what came back", &came_back.tree_hash, &original.tree_hash)?;
        same("SHA-256 of what came back", &came_back.sha256, &original.sha256)?;
        self.tell(&original, &uploaded, &downloaded)
    }

    /// The vaults and archives of earlier runs, in words.
    async fn what_is_there(&self) -> Result<String, Failure> {
        let vaults: Vec<Vault> = Vault::list_all_vaults(&self.api).try_collect().await?;
        let described = vaults.iter().map(|vault| {
            let (count, size) = (vault.number_of_archives().unwrap_or(0), vault.size().unwrap_or(0));
            format!("vault {} with {}, {}", vault.name(), units::count(count, "archive"), units::size(size))
        });
        let text = described.collect::<Vec<_>>().join("; ");
        Ok(if text.is_empty() { "nothing of earlier runs".to_owned() } else { text })
    }

    fn tell(&self, original: &Payload, uploaded: &Uploaded, downloaded: &Downloaded) -> Result<(), Failure> {
        let facts = Table::of_facts([
            ("size", units::exact_size(original.size)),
            ("tree hash", original.tree_hash.to_string()),
            ("sha256", original.sha256.to_string()),
            ("equal", "every byte came back as it went up".to_owned()),
        ]);
        let json = json!({
            "vault": "demo",
            "archive_id": uploaded.archive_id.as_str(),
            "size": original.size,
            "sha256": original.sha256.to_string(),
            "tree_hash": original.tree_hash.to_string(),
            "parts": uploaded.parts,
            "ranges": downloaded.slices,
            "equal": true,
            "seconds": self.steps.to_json(),
            "state": self.local.name(),
        });
        self.output.result(&json, format_args!("\n{}\n\n{facts}", self.steps.to_table()))
    }
}

/// How long each step took, and how many bytes it moved; 0 for a step that moves none.
#[derive(Default)]
struct Steps(Vec<(&'static str, u64, Duration)>);

impl Steps {
    async fn time<T>(
        &mut self,
        name: &'static str,
        bytes: u64,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        let outcome = step.await?;
        self.0.push((name, bytes, began.elapsed()));
        Ok(outcome)
    }

    fn to_table(&self) -> Table {
        let mut table = Table::with_head(&[Left, Right, Right], &["STEP", "TIME", "RATE"]);
        for (name, bytes, time) in &self.0 {
            let rate = if *bytes == 0 { String::new() } else { units::rate(*bytes, *time) };
            table.row([(*name).to_owned(), units::time(*time), rate]);
        }
        table
    }

    fn to_json(&self) -> Value {
        let step = |(name, _, time): &(&str, u64, Duration)| (name.replace(' ', "_"), time.as_secs_f64().into());
        self.0.iter().map(step).collect::<Map<_, _>>().into()
    }
}

/// Refuses the file that an earlier run wrote, because this one would write it again: it would be compared with itself.
fn refuse_the_copy(file: &Path, copy: &Path) -> Result<(), Failure> {
    match (file.canonicalize(), copy.canonicalize()) {
        (Ok(file), Ok(copy)) if file == copy => {
            let what = format!("{} is where the demo writes what comes back: give another file", copy.display());
            Err(Problem::Input(what).into())
        }
        _ => Ok(()),
    }
}

/// Parts so large that there are at least four, if they can be so small, and at most 16 MiB.
fn part_size(size: u64) -> PartSize {
    let quarter = (size / 4).max(MIB);
    PartSize::from_bytes(1 << quarter.ilog2()).map_or(PartSize::DEFAULT, |size| size.min(PartSize::DEFAULT))
}

async fn upload(vault: &Vault, source: Source, part_size: PartSize) -> Result<Uploaded, Failure> {
    let progress = Progress::new();
    let description = Description::parse("made by cas demo")?;
    let call = vault.upload_archive(source).description(description).part_size(part_size).threshold(THRESHOLD);
    Ok(progress::transfer("upload".to_owned(), &progress, call.progress(&progress).into_future(), |_, _| {}).await?)
}

/// The archive's entry in the vault's inventory.
async fn list(vault: &Vault, uploaded: &Uploaded) -> Result<InventoryEntry, Failure> {
    let mut job = vault.initiate_retrieve_inventory().await?;
    wait(&mut job).await?;
    let mut found = None;
    job.read_inventory(|entry| {
        if entry.archive_id == uploaded.archive_id {
            found = Some(entry);
        }
    })
    .await?;
    found.ok_or_else(|| Problem::Differs("the archive is not in the inventory".to_owned()).into())
}

async fn retrieve(vault: &Vault, uploaded: &Uploaded) -> Result<Job, Failure> {
    let mut job = vault.retrieve_archive(&uploaded.archive_id).await?;
    wait(&mut job).await?;
    Ok(job)
}

async fn wait(job: &mut Job) -> Result<(), Failure> {
    let line = progress::waiting(format!("waiting for job {}", job.id()));
    let outcome = job.wait().await;
    line.finish_and_clear();
    Ok(outcome?)
}

async fn download(job: &Job, copy: &Path, slice_size: PartSize) -> Result<Downloaded, Failure> {
    let progress = Progress::new();
    let call = job.download_to_file(copy).overwrite(true).slice_size(slice_size).progress(&progress);
    Ok(progress::transfer("download".to_owned(), &progress, call.into_future(), |_, _| {}).await?)
}

/// Fails when two hashes that should be one are not.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    Err(Problem::Differs(format!("{what}: expected {expected:?}, found {found:?}")).into())
}

/// A file of data that do not repeat, the same in every run; an earlier one is used again.
async fn made_file(path: PathBuf) -> Result<PathBuf, Failure> {
    blocking(move || {
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == MADE_SIZE) {
            return Ok(path);
        }
        let mut writer = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..MADE_SIZE / 8 {
            // Marsaglia's xorshift: not for secrets, and no block of the file is like another.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            writer.write_all(&state.to_le_bytes())?;
        }
        writer.flush()?;
        Ok(path)
    })
    .await
}

async fn hash(path: PathBuf, size: u64) -> Result<Payload, Failure> {
    blocking(move || {
        let bar = progress::bytes("hash", Some(size));
        let payload = read::payload(bar.wrap_read(File::open(path)?))?;
        bar.finish_and_clear();
        Ok(payload)
    })
    .await
}

/// Compares two files byte by byte, and hashes the second on the way.
async fn compare(original: PathBuf, copy: PathBuf, size: u64) -> Result<Payload, Failure> {
    let outcome = blocking(move || {
        let bar = progress::bytes("compare", Some(size));
        let outcome = compare_readers(bar.wrap_read(File::open(original)?), File::open(copy)?)?;
        bar.finish_and_clear();
        Ok(outcome)
    })
    .await?;
    outcome.map_err(|place| Problem::Differs(format!("what came back differs from the file at byte {place}")).into())
}

/// The hashes of the second reader, or the place of the first byte that differs.
fn compare_readers(mut first: impl Read, mut second: impl Read) -> io::Result<Result<Payload, u64>> {
    let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut hasher = PayloadHasher::new();
    loop {
        let (ours, theirs) = (filled(&mut first, &mut ours)?, filled(&mut second, &mut theirs)?);
        if ours != theirs {
            let place = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
            return Ok(Err(hasher.size() + place as u64));
        }
        if theirs.is_empty() {
            return Ok(Ok(hasher.finish()));
        }
        hasher.update(theirs);
    }
}

/// As much of a reader as fits.
fn filled<'b>(reader: &mut impl Read, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let mut len = 0;
    while len < buffer.len() {
        match reader.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..len])
}

/// Runs a step that waits for the disk where it keeps nobody else from running.
async fn blocking<T: Send + 'static>(step: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Failure> {
    Ok(tokio::task::spawn_blocking(step).await??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_parts_unless_it_is_tiny() {
        for (size, part_mib) in [(1, 1), (2, 1), (4, 1), (8, 2), (11, 2), (16, 4), (64, 16), (160, 16), (100_000, 16)] {
            assert_eq!(part_size(size * MIB).bytes(), part_mib * MIB, "{size} MiB");
        }
        assert_eq!(part_size(1).bytes(), MIB);
        assert!(part_size(THRESHOLD).parts_of(THRESHOLD) > 1);
    }

    #[test]
    fn equal_bytes_are_hashed_and_the_first_difference_is_found() {
        let bytes = vec![7; 3_000_000];
        assert_eq!(compare_readers(&bytes[..], &bytes[..]).unwrap(), Ok(Payload::of(&bytes)));
        let mut other = bytes.clone();
        other[2_500_000] ^= 1;
        assert_eq!(compare_readers(&bytes[..], &other[..]).unwrap(), Err(2_500_000));
        assert_eq!(compare_readers(&bytes[..], &bytes[..2_000_000]).unwrap(), Err(2_000_000));
        assert_eq!(compare_readers(&bytes[..1 << 20], &bytes[..]).unwrap(), Err(1 << 20));
        assert_eq!(compare_readers(&b""[..], &b""[..]).unwrap(), Ok(Payload::of(b"")));
    }

    #[tokio::test]
    async fn the_made_file_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = made_file(folder.path().join("x")).await.unwrap();
        let made = std::fs::metadata(&path).unwrap();
        assert_eq!(made.len(), MADE_SIZE);
        made_file(path.clone()).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), made.modified().unwrap());
    }
}
