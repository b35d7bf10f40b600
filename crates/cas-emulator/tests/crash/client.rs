//! One client under load: it changes what is its own, knows what was acknowledged, and looks for it after a restart.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cas_sign::Credentials;
use cas_treehash::combine;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use crate::facts::{Change, Content, Facts, Settings};
use crate::wire::{Answer, Call, Wire, now};

const MIB: usize = 1 << 20;

/// How many archives a client keeps before it begins to delete, and how many vaults it makes besides.
const ARCHIVES: usize = 10;
const VAULTS: usize = 3;
/// The object that is pulled, long enough to be written in more than one go.
const OBJECT: &str = "object";
const OBJECT_SIZE: usize = 2 * MIB + 12_345;
/// How long a job may take, which has nothing to wait for.
const JOB: Duration = Duration::from_secs(60);

/// What a client does most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Everything, with archives of all sizes.
    Mixed,
    /// Small multipart uploads, so that something is completed and synced all the time.
    Completes,
}

/// A client with a vault of its own, so that it alone decides what is in it.
#[derive(Debug)]
pub(crate) struct Client {
    /// The vault of its archives, and what the names of its other vaults begin with.
    vault: String,
    random: fastrand::Rng,
    credentials: Credentials,
    facts: Facts,
    /// The request that was under way when the emulator was killed.
    doubt: Option<Change>,
    /// The jobs that were acknowledged since the last look.
    jobs: Vec<String>,
    /// Those among them that make an archive of the object.
    pulls: Vec<String>,
    object: Content,
    /// The archives whose bytes were read back already.
    proved: BTreeSet<String>,
}

/// What a look after a restart has found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// How many requests were under way, and how many of these had been done.
    pub(crate) doubts: u64,
    pub(crate) done: u64,
    /// How many archives were read back.
    pub(crate) proved: u64,
}

impl Client {
    /// A client, and the object that it pulls into archives, below the emulator's directory.
    pub(crate) fn new(number: usize, seed: u64, credentials: Credentials, directory: &Path) -> Result<Self> {
        let vault = format!("crash-{number}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut object = vec![0; OBJECT_SIZE];
        random.fill(&mut object);
        let bucket = directory.join("cos").join(&vault);
        fs::create_dir_all(&bucket)?;
        fs::write(bucket.join(OBJECT), &object)?;
        Ok(Client {
            vault,
            random,
            credentials,
            facts: Facts::default(),
            doubt: None,
            jobs: Vec::new(),
            pulls: Vec::new(),
            object: Content::of(&object),
            proved: BTreeSet::new(),
        })
    }

    /// Makes the vault of its archives.
    pub(crate) async fn prepare(&self, address: &str) -> Result<()> {
        self.connect(address).await?.create_vault(&self.vault).await;
        Ok(())
    }

    /// Sends one request after the other until the emulator is gone. Each acknowledgement is told.
    pub(crate) async fn run(mut self, address: String, load: Load, acknowledged: UnboundedSender<()>) -> Result<Self> {
        let Ok(mut wire) = self.connect(&address).await else { return Ok(self) };
        loop {
            let (call, status, change) = self.next(load);
            let head = call.head(Some(&wire.credentials), wire.now);
            let Some(answer) = wire.exchange(&head, &call.body).await else {
                self.doubt = Some(change);
                return Ok(self);
            };
            self.note(&change, status, &answer)?;
            // Nobody listens any more once the kill is decided.
            acknowledged.send(()).ok();
        }
    }

    /// Compares everything that was acknowledged with what is there.
    pub(crate) async fn look(&mut self, address: &str) -> Result<Found> {
        let mut wire = self.connect(address).await?;
        self.note_what_was_pulled(&mut wire).await?;
        let found = self.find(&mut wire).await?;
        let doubt = self.doubt.take();
        let settled = self.facts.settle(&found, doubt.as_ref()).map_err(anyhow::Error::msg);
        let done = settled.with_context(|| format!("what is in vault {} is not what was acknowledged", self.vault))?;
        self.facts = found;
        for job in std::mem::take(&mut self.jobs) {
            self.look_at_job(&mut wire, &job).await?;
        }
        let mut proofs: Vec<String> = self.facts.archives.keys().cloned().collect();
        let again = self.random.usize(..proofs.len().max(1));
        let mut index = 0..;
        proofs.retain(|id| index.next() == Some(again) || !self.proved.contains(id));
        for archive in &proofs {
            self.prove(&mut wire, archive).await?;
        }
        Ok(Found { doubts: doubt.is_some().into(), done: done.into(), proved: proofs.len() as u64 })
    }

    /// Lets the next look read every archive back once more.
    pub(crate) fn distrust(&mut self) {
        self.proved.clear();
    }

    async fn connect(&self, address: &str) -> Result<Wire<TcpStream>> {
        let stream = TcpStream::connect(address).await.context("the emulator cannot be reached")?;
        Ok(Wire::signed(stream, self.credentials.clone(), now()))
    }

    /// The next request, the status of its success, and what it does.
    fn next(&mut self, load: Load) -> (Call, u16, Change) {
        let dice = match load {
            Load::Mixed => self.random.u8(..100),
            Load::Completes => self.random.u8(..50),
        };
        if self.facts.archives.len() > ARCHIVES {
            return self.delete_archive();
        }
        match dice {
            0..40 => self.go_on_with_an_upload(load),
            40..70 => self.upload_archive(load),
            70..85 => self.change_a_vault(),
            85..90 if !self.facts.archives.is_empty() => self.delete_archive(),
            _ => self.initiate_job(),
        }
    }

    fn upload_archive(&mut self, load: Load) -> (Call, u16, Change) {
        let most = match load {
            Load::Mixed if self.random.u8(..8) == 0 => 3 * MIB,
            Load::Mixed => 200_000,
            Load::Completes => 1000,
        };
        let bytes = self.bytes(most);
        let call = Call::new("POST", format!("/-/vaults/{}/archives", self.vault)).body(&bytes).hashed();
        (call, 201, Change::UploadArchive(Content::of(&bytes)))
    }

    fn delete_archive(&mut self) -> (Call, u16, Change) {
        let archive = self.one_of(self.facts.archives.keys().cloned().collect());
        let call = Call::new("DELETE", format!("/-/vaults/{}/archives/{archive}", self.vault));
        (call, 204, Change::DeleteArchive(archive))
    }

    /// Every upload has parts of 1 MiB and at most three; after a shorter one it is completed or given up.
    fn go_on_with_an_upload(&mut self, load: Load) -> (Call, u16, Change) {
        let uploads = format!("/-/vaults/{}/multipart-uploads", self.vault);
        let Some((id, parts)) = self.facts.uploads.first_key_value() else {
            let call = Call::new("POST", uploads).header("x-cas-part-size", MIB.to_string());
            return (call, 201, Change::InitiateUpload);
        };
        let (id, parts) = (id.clone(), parts.clone());
        let path = format!("{uploads}/{id}");
        let size: usize = parts.values().map(|part| part.size).sum();
        let is_whole = size % MIB != 0 || parts.len() == 3;
        match self.random.u8(..10) {
            0 => (Call::new("DELETE", path), 204, Change::AbortUpload(id)),
            1..6 if !is_whole => {
                let full = load == Load::Mixed && self.random.bool();
                let bytes = if full { self.full_part() } else { self.bytes(100_000) };
                let range = format!("bytes {size}-{}/*", size + bytes.len() - 1);
                let call = Call::new("PUT", path).header("Content-Range", range).body(&bytes).hashed();
                (call, 204, Change::UploadPart(id, size, Content::of(&bytes)))
            }
            6 if let Some((&start, _)) = parts.last_key_value() => {
                let bytes = self.bytes(100_000);
                let range = format!("bytes {start}-{}/*", start + bytes.len() - 1);
                let call = Call::new("PUT", path).header("Content-Range", range).body(&bytes).hashed();
                (call, 204, Change::UploadPart(id, start, Content::of(&bytes)))
            }
            _ if parts.is_empty() => (Call::new("DELETE", path), 204, Change::AbortUpload(id)),
            _ => {
                let hashes = parts.values().map(|part| (part.size as u64, part.tree_hash));
                let tree_hash = combine(hashes).expect("all but the last part have one MiB");
                let call = Call::new("POST", path).header("x-cas-archive-size", size.to_string());
                let call = call.header("x-cas-sha256-tree-hash", tree_hash.to_string());
                (call, 201, Change::CompleteUpload(id, Content { size, tree_hash }))
            }
        }
    }

    fn change_a_vault(&mut self) -> (Call, u16, Change) {
        let vault = format!("{}-{}", self.vault, self.random.usize(..VAULTS));
        let path = format!("/-/vaults/{vault}");
        let Some(settings) = self.facts.vaults.get(&vault).cloned() else {
            return (Call::new("PUT", path), 201, Change::CreateVault(vault));
        };
        let number = self.random.u32(..);
        match self.random.u8(..4) {
            0 => (Call::new("DELETE", path), 204, Change::DeleteVault(vault)),
            1 if settings.policy.is_some() => {
                (Call::new("DELETE", format!("{path}/access-policy")), 204, Change::SetPolicy(vault, None))
            }
            2 if settings.call_back_url.is_some() => {
                let call = Call::new("DELETE", format!("{path}/notification-configuration"));
                (call, 204, Change::SetNotification(vault, None))
            }
            3 => {
                let policy = json!({"version": "2.0", "statement": [], "number": number}).to_string();
                let call =
                    Call::new("PUT", format!("{path}/access-policy")).body(json!({"policy": policy}).to_string());
                (call, 204, Change::SetPolicy(vault, Some(policy)))
            }
            _ => {
                let url = format!("http://127.0.0.1:9/{number}");
                let body = json!({"CallBackUrl": url, "Events": ["ArchiveRetrievalCompleted"]});
                let call = Call::new("PUT", format!("{path}/notification-configuration")).body(body.to_string());
                (call, 204, Change::SetNotification(vault, Some(url)))
            }
        }
    }

    fn initiate_job(&mut self) -> (Call, u16, Change) {
        let archives: Vec<String> = self.facts.archives.keys().cloned().collect();
        let (parameters, change) = match self.random.u8(..5) {
            0 => (json!({"Type": "pull-from-cos", "Bucket": self.vault, "Object": OBJECT}), Change::Pull(self.object)),
            1 | 2 if !archives.is_empty() => {
                (json!({"Type": "archive-retrieval", "ArchiveId": self.one_of(archives)}), Change::InitiateJob)
            }
            3 if !archives.is_empty() => {
                let archive = self.one_of(archives);
                let push =
                    json!({"Type": "push-to-cos", "ArchiveId": archive, "Bucket": self.vault, "Object": "pushed"});
                (push, Change::InitiateJob)
            }
            _ => (json!({"Type": "inventory-retrieval"}), Change::InitiateJob),
        };
        let call = Call::new("POST", format!("/-/vaults/{}/jobs", self.vault)).body(parameters.to_string());
        (call, 202, change)
    }

    fn note(&mut self, change: &Change, status: u16, answer: &Answer) -> Result<()> {
        let body = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == status, "{change:?} was answered with {}: {body}", answer.status);
        let id = match change.id_header() {
            Some(header) => answer.headers.get(header).with_context(|| format!("{change:?}: no {header}"))?,
            None => "",
        };
        match change {
            Change::InitiateJob => self.jobs.push(id.to_owned()),
            Change::Pull(_) => self.pulls.push(id.to_owned()),
            _ => self.facts.apply(change, id),
        }
        Ok(())
    }

    /// Waits for all jobs to end, also for one that was not acknowledged, and notes the archives they have made.
    async fn note_what_was_pulled(&mut self, wire: &mut Wire<TcpStream>) -> Result<()> {
        let running = format!("/-/vaults/{}/jobs?completed=false", self.vault);
        let ended = async {
            while !array(&wire.get(&*running).await.expect(200).json()["JobList"])?.is_empty() {}
            Ok::<_, anyhow::Error>(())
        };
        timeout(JOB, ended).await.with_context(|| format!("there are jobs that have not ended after {JOB:?}"))??;
        for job in std::mem::take(&mut self.pulls) {
            let described = wire.get(format!("/-/vaults/{}/jobs/{job}", self.vault)).await;
            ensure!(described.status == 200, "job {job} was acknowledged and is gone: {}", described.status);
            let described = described.json();
            ensure!(described["StatusCode"] == "Succeeded", "job {job} failed: {described}");
            self.facts.apply(&Change::Pull(self.object), text(&described["ArchiveId"])?);
        }
        Ok(())
    }

    /// What is there, asked for in as many ways as there are.
    async fn find(&self, wire: &mut Wire<TcpStream>) -> Result<Facts> {
        let mut found = Facts::default();
        let job = wire.job(&self.vault, json!({"Type": "inventory-retrieval"})).await;
        for archive in array(&wire.output(&self.vault, &job, None).await.expect(200).json()["ArchiveList"])? {
            let size = usize::try_from(archive["Size"].as_u64().context("an archive without a size")?)?;
            let content = Content { size, tree_hash: text(&archive["SHA256TreeHash"])?.parse()? };
            found.archives.insert(text(&archive["ArchiveId"])?.to_owned(), content);
        }
        let uploads = format!("/-/vaults/{}/multipart-uploads", self.vault);
        for upload in array(&wire.get(&*uploads).await.expect(200).json()["UploadsList"])? {
            let id = text(&upload["MultipartUploadId"])?;
            let parts = wire.get(format!("{uploads}/{id}")).await.expect(200).json();
            let parts = array(&parts["Parts"])?.iter().map(|part| {
                let range = text(&part["RangeInBytes"])?.split_once('-').context("a range without a dash")?;
                let (start, end): (usize, usize) = (range.0.parse()?, range.1.parse()?);
                let tree_hash = text(&part["SHA256TreeHash"])?.parse()?;
                Ok((start, Content { size: end + 1 - start, tree_hash }))
            });
            found.uploads.insert(id.to_owned(), parts.collect::<Result<_>>()?);
        }
        let prefix = format!("{}-", self.vault);
        for vault in array(&wire.get("/-/vaults").await.expect(200).json()["VaultList"])? {
            let name = text(&vault["VaultName"])?;
            if name.starts_with(&prefix) {
                found.vaults.insert(name.to_owned(), settings(wire, name).await?);
            }
        }
        Ok(found)
    }

    /// A job that was acknowledged is there and comes to its end. It may fail only because its archive was deleted.
    async fn look_at_job(&self, wire: &mut Wire<TcpStream>, job: &str) -> Result<()> {
        let ended = async {
            loop {
                let described = wire.get(format!("/-/vaults/{}/jobs/{job}", self.vault)).await;
                ensure!(described.status == 200, "job {job} was acknowledged and is gone: {}", described.status);
                let described = described.json();
                if described["Completed"] == true {
                    return Ok(described);
                }
            }
        };
        let ended = timeout(JOB, ended).await;
        let described = ended.with_context(|| format!("job {job} has not ended after {JOB:?}"))??;
        let archive = described["ArchiveId"].as_str().unwrap_or_default();
        let may_fail = !archive.is_empty() && !self.facts.archives.contains_key(archive);
        ensure!(described["StatusCode"] == "Succeeded" || may_fail, "job {job} failed: {described}");
        Ok(())
    }

    /// Reads an archive back and hashes what came.
    async fn prove(&mut self, wire: &mut Wire<TcpStream>, archive: &str) -> Result<()> {
        let job = wire.job(&self.vault, json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
        let answer = wire.output(&self.vault, &job, None).await;
        ensure!(answer.status == 200, "archive {archive} cannot be read: {}", answer.status);
        let (wanted, found) = (self.facts.archives.get(archive).copied(), Content::of(&answer.body));
        ensure!(wanted == Some(found), "archive {archive} has {found:?}, acknowledged was {wanted:?}");
        self.proved.insert(archive.to_owned());
        Ok(())
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.random.usize(1..=most);
        self.filled(length)
    }

    fn full_part(&mut self) -> Vec<u8> {
        self.filled(MIB)
    }

    fn filled(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.random.fill(&mut bytes);
        bytes
    }

    fn one_of(&mut self, mut ids: Vec<String>) -> String {
        let index = self.random.usize(..ids.len());
        ids.swap_remove(index)
    }
}

async fn settings(wire: &mut Wire<TcpStream>, vault: &str) -> Result<Settings> {
    let mut get = async |what: &str, key: &str| {
        let answer = wire.get(format!("/-/vaults/{vault}/{what}")).await;
        if answer.status == 404 { Ok(None) } else { text(&answer.expect(200).json()[key]).map(str::to_owned).map(Some) }
    };
    let policy = get("access-policy", "policy").await?;
    Ok(Settings { policy, call_back_url: get("notification-configuration", "CallBackUrl").await? })
}

fn array(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().with_context(|| format!("no list: {value}"))
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("no text: {value}"))
}
