//! Reading an inventory off a job's output: the bytes come asynchronously, the parser reads blockingly, a bounded channel joins them.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use cas_api::cas_http::JobId;
use cas_api::inventory::{InventoryEntry, InventoryError, InventoryHead, read_csv, read_json};
use tokio::sync::mpsc;

use crate::error::{Error, ErrorKind, blocking};
use crate::vault::Vault;

/// How many frames of the body, or entries, may wait in a channel.
const WAITING: usize = 16;

pub(crate) async fn read(
    vault: &Vault,
    job: &JobId,
    size: Option<u64>,
    mut on_entry: impl FnMut(InventoryEntry) + Send,
) -> Result<InventoryHead, Error> {
    let download = vault.api().get_job_output(vault.name(), job).await?;
    let csv = download.output.content_type.as_deref().is_some_and(|content_type| content_type.starts_with("text/csv"));
    let mut body = download.body;

    let (frames, reader) = mpsc::channel::<Bytes>(WAITING);
    let (entries, mut parsed) = mpsc::channel(WAITING);
    let feed = async move {
        while let Some(frame) = body.chunk().await? {
            if frames.send(frame).await.is_err() {
                // The parser has ended, for a reason of its own.
                break;
            }
        }
        Ok::<u64, cas_api::cas_http::Error>(body.received())
    };
    let parse = blocking(move || {
        let reader = FrameReader { frames: reader, frame: Bytes::new() };
        // The receiver goes away only when the whole reading is cancelled.
        let pass_on = |entry| _ = entries.blocking_send(entry);
        if csv { read_csv(reader, pass_on) } else { read_json(reader, pass_on) }
    });
    let hand_over = async {
        while let Some(entry) = parsed.recv().await {
            on_entry(entry);
        }
    };
    let (fed, parsed, ()) = futures::future::join3(feed, parse, hand_over).await;
    // A body that was cut also looks like broken JSON; the cut is what happened.
    let came = fed?;
    let head = parsed?.map_err(|error: InventoryError| {
        Error::new(ErrorKind::Integrity, format!("the output of job {job} could not be read as an inventory"))
            .caused_by(error)
    })?;
    match size {
        Some(size) if size != came => {
            Err(Error::new(ErrorKind::Integrity, format!("the inventory of job {job} has {size} bytes, {came} came")))
        }
        _ => Ok(head),
    }
}

/// The frames of a body as a blocking reader.
struct FrameReader {
    frames: mpsc::Receiver<Bytes>,
    frame: Bytes,
}

impl Read for FrameReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.frame.has_remaining() {
            match self.frames.blocking_recv() {
                Some(frame) => self.frame = frame,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.frame.remaining());
        self.frame.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
