//! Identifiers that nobody can guess, in the shapes the service's own have (`docs/protocol.md` §1.4).
//!
//! Chance is an argument: the same seed gives the same identifiers of each kind in the same order, whatever is made of the other kinds in between.

use std::sync::atomic::{AtomicU64, Ordering};

use cas_http::{ArchiveId, ContentSha256, JobId, RequestId, UploadId};

/// Makes identifiers from a seed.
#[derive(Debug)]
pub(crate) struct Ids {
    seed: [u8; 32],
    archives: Sequence,
    uploads: Sequence,
    jobs: Sequence,
    requests: Sequence,
    files: Sequence,
}

/// How far the identifiers of one kind are.
#[derive(Debug)]
struct Sequence {
    kind: &'static [u8],
    counter: AtomicU64,
}

impl Ids {
    /// Begins a sequence. `run` counts the starts on one data directory, so that a fixed seed gives other identifiers after a restart.
    pub(crate) fn new(seed: &[u8], run: u64) -> Self {
        let mut text = run.to_be_bytes().to_vec();
        text.extend_from_slice(seed);
        let sequence = |kind| Sequence { kind, counter: AtomicU64::new(0) };
        Ids {
            seed: *ContentSha256::of(&text).as_bytes(),
            archives: sequence(b"archive"),
            uploads: sequence(b"upload"),
            jobs: sequence(b"job"),
            requests: sequence(b"request"),
            files: sequence(b"file"),
        }
    }

    /// 128 characters of the URL-safe base64 alphabet; one in 64 begins with `-`.
    pub(crate) fn archive_id(&self) -> ArchiveId {
        ArchiveId::parse(self.text::<96>(&self.archives, URL_SAFE))
            .expect("the alphabet and length are those of an archive ID")
    }

    /// 64 characters of the URL-safe base64 alphabet.
    pub(crate) fn upload_id(&self) -> UploadId {
        UploadId::parse(self.text::<48>(&self.uploads, URL_SAFE))
            .expect("the alphabet and length are those of an upload ID")
    }

    /// 64 characters of the URL-safe base64 alphabet.
    pub(crate) fn job_id(&self) -> JobId {
        JobId::parse(self.text::<48>(&self.jobs, URL_SAFE)).expect("the alphabet and length are those of a job ID")
    }

    /// 38 characters, ending in `==` as the service's do.
    pub(crate) fn request_id(&self) -> RequestId {
        let text = self.text::<27>(&self.requests, STANDARD) + "==";
        RequestId::parse(text).expect("the alphabet and length are those of a request ID")
    }

    /// The name of a file: 40 hexadecimal digits, which mean the same on every file system.
    pub(crate) fn file_name(&self) -> String {
        self.bytes::<20>(&self.files).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn text<const N: usize>(&self, sequence: &Sequence, alphabet: &[u8; 64]) -> String {
        let digit = |bits: u32| char::from(alphabet[(bits & 63) as usize]);
        let groups = self.bytes::<N>(sequence);
        let groups =
            groups.chunks_exact(3).map(|group| group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)));
        groups.flat_map(|bits| [bits >> 18, bits >> 12, bits >> 6, bits].map(digit)).collect()
    }

    fn bytes<const N: usize>(&self, sequence: &Sequence) -> [u8; N] {
        let mut bytes = [0; N];
        for block in bytes.chunks_mut(32) {
            let mut text = [&self.seed, sequence.kind].concat();
            text.extend_from_slice(&sequence.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            block.copy_from_slice(&ContentSha256::of(&text).as_bytes()[..block.len()]);
        }
        bytes
    }
}

const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_the_documented_shapes() {
        let ids = Ids::new(b"seed", 1);
        assert_eq!(ids.archive_id().as_str().len(), 128);
        assert_eq!(ids.upload_id().as_str().len(), 64);
        assert_eq!(ids.job_id().as_str().len(), 64);
        assert_eq!(ids.request_id().as_str().len(), 38);
        assert_eq!(ids.file_name().len(), 40);
    }

    #[test]
    fn some_identifiers_begin_with_a_dash() {
        let ids = Ids::new(b"seed", 1);
        assert!((0..1000).any(|_| ids.job_id().as_str().starts_with('-')));
    }

    #[test]
    fn a_seed_repeats_itself_and_a_restart_does_not() {
        let first = |run| Ids::new(b"seed", run).archive_id();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn what_is_made_of_one_kind_changes_nothing_for_the_others() {
        let story = |requests: usize| {
            let ids = Ids::new(b"seed", 1);
            let busy = || (0..requests).for_each(|_| drop((ids.request_id(), ids.file_name())));
            busy();
            let (archive, upload) = (ids.archive_id(), ids.upload_id());
            busy();
            (archive, upload, ids.job_id(), ids.archive_id())
        };
        assert_eq!(story(0), story(3));
        let ids = Ids::new(b"seed", 1);
        assert_ne!(ids.upload_id().as_str(), ids.job_id().as_str(), "nor are kinds that look alike the same");
    }

    #[test]
    fn no_two_identifiers_are_equal() {
        let ids = Ids::new(b"seed", 1);
        let made: std::collections::HashSet<_> = (0..10_000).map(|_| ids.job_id()).collect();
        assert_eq!(made.len(), 10_000);
    }
}
