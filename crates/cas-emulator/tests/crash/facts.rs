//! What a client knows to be stored, and how each request changes it.

use std::collections::{BTreeMap, BTreeSet};

use cas_http::TreeHash;

/// What must be found after a restart, exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// By their IDs.
    pub(crate) archives: BTreeMap<String, Content>,
    /// By their IDs: the parts by where they begin.
    pub(crate) uploads: BTreeMap<String, BTreeMap<usize, Content>>,
    /// By their names. The vault that holds the archives is not among them.
    pub(crate) vaults: BTreeMap<String, Settings>,
}

/// The bytes of an archive or a part, as they are told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) size: usize,
    pub(crate) tree_hash: TreeHash,
}

impl Content {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Content { size: bytes.len(), tree_hash: TreeHash::of(bytes) }
    }
}

/// What is set on a vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) policy: Option<String>,
    pub(crate) call_back_url: Option<String>,
}

/// What one request does when it succeeds.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    UploadArchive(Content),
    DeleteArchive(String),
    InitiateUpload,
    UploadPart(String, usize, Content),
    CompleteUpload(String, Content),
    AbortUpload(String),
    CreateVault(String),
    DeleteVault(String),
    SetPolicy(String, Option<String>),
    SetNotification(String, Option<String>),
    InitiateJob,
    /// A job that makes an archive. It is there once the job has ended.
    Pull(Content),
}

impl Change {
    /// The header of the answer that names what was made, if anything is.
    pub(crate) fn id_header(&self) -> Option<&'static str> {
        match self {
            Change::UploadArchive(_) | Change::CompleteUpload(..) => Some("x-cas-archive-id"),
            Change::InitiateUpload => Some("x-cas-multipart-upload-id"),
            Change::InitiateJob | Change::Pull(_) => Some("x-cas-job-id"),
            _ => None,
        }
    }
}

impl Facts {
    /// Notes what a request did; `id` is what the service called it.
    pub(crate) fn apply(&mut self, change: &Change, id: &str) {
        match change {
            Change::UploadArchive(content) | Change::Pull(content) => {
                self.archives.insert(id.to_owned(), *content);
            }
            Change::DeleteArchive(archive) => drop(self.archives.remove(archive)),
            Change::InitiateUpload => drop(self.uploads.insert(id.to_owned(), BTreeMap::new())),
            Change::UploadPart(upload, start, content) => {
                self.uploads.entry(upload.clone()).or_default().insert(*start, *content);
            }
            Change::CompleteUpload(upload, content) => {
                self.uploads.remove(upload);
                self.archives.insert(id.to_owned(), *content);
            }
            Change::AbortUpload(upload) => drop(self.uploads.remove(upload)),
            Change::CreateVault(vault) => drop(self.vaults.insert(vault.clone(), Settings::default())),
            Change::DeleteVault(vault) => drop(self.vaults.remove(vault)),
            Change::SetPolicy(vault, policy) => self.vaults.entry(vault.clone()).or_default().policy = policy.clone(),
            Change::SetNotification(vault, url) => {
                self.vaults.entry(vault.clone()).or_default().call_back_url = url.clone();
            }
            Change::InitiateJob => {}
        }
    }

    /// Compares with what was found. One request may have been under way: all of it is there, or none. Tells whether it is.
    pub(crate) fn settle(&self, found: &Facts, doubt: Option<&Change>) -> Result<bool, String> {
        if found == self {
            return Ok(false);
        }
        let mut after = self.clone();
        if let Some(change) = doubt {
            let known: BTreeSet<&String> = self.archives.keys().chain(self.uploads.keys()).collect();
            let new = found.archives.keys().chain(found.uploads.keys()).find(|id| !known.contains(id));
            after.apply(change, new.map_or("", String::as_str));
        }
        if *found == after {
            return Ok(true);
        }
        Err(format!("acknowledged: {self:#?}\nunder way: {doubt:#?}\nfound: {found:#?}"))
    }
}
