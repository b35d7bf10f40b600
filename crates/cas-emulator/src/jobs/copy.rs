//! What copies bytes: jobs that push an archive to COS, or pull one from there. Everything here blocks.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use cas_http::document::{JobParameters, PullFromCos, PushToCos};

use super::{require_running, unless_gone};
use crate::failure::{Failure, Outcome};
use crate::service::Service;
use crate::store::archives::{self, NewArchive};
use crate::store::jobs::{self as rows, Ending, Job};
use crate::store::{ContentReader, PIECE, storage};

/// Copies to or from COS, and ends the job. False when it was gone meanwhile, or the emulator has ended: the next one on its directory begins
/// the job anew.
pub(super) fn copy(service: &Service, job: &Job) -> Outcome<bool> {
    let copied = match &job.parameters {
        JobParameters::PushToCos(parameters) => push(service, job, parameters),
        JobParameters::PullFromCos(parameters) => pull(service, job, parameters),
        _ => return Ok(false),
    };
    copied.or_else(|failure| {
        if !service.store.is_open() {
            return Ok(false);
        }
        let ending = Ending::Failed(failure.message);
        service.store.write_now(|tx| rows::end(tx, job.id, &ending, service.clock.now()))
    })
}

fn push(service: &Service, job: &Job, parameters: &PushToCos) -> Outcome<bool> {
    let deleted = || Failure::bad_request("the archive was deleted");
    let (Some(archive), Some(range)) = (&job.archive, job.range) else { return Err(deleted()) };
    let segments = service.store.read_now(|tx| match archives::by_id(tx, archive.id)?.deleted {
        Some(_) => Err(deleted()),
        None => archives::segments(tx, archive.id),
    })?;
    let mut reader = ContentReader::new(service.store.clone(), segments, range.start()..range.end() + 1);
    let begin = || service.cos.create(&parameters.bucket, &parameters.object).map_err(of_object);
    let Some(object) = service.store.while_open(begin) else { return Ok(false) };
    let mut object = object?;
    while let Some(piece) = reader.next_piece()? {
        if !service.store.is_open() {
            return Ok(false);
        }
        object.write(&piece).map_err(storage)?;
    }
    object.finish().map_err(of_object)?;
    service.store.write_now(|tx| rows::end(tx, job.id, &Ending::Succeeded, service.clock.now()))
}

fn pull(service: &Service, job: &Job, parameters: &PullFromCos) -> Outcome<bool> {
    let opened = service.cos.open(&parameters.bucket, &parameters.object, parameters.condition.as_ref());
    let mut object = opened.map_err(of_object)?.map_err(Failure::bad_request)?;
    let mut left = seek(&mut object, parameters)?;
    let mut writer = service.store.files.create(service.ids.file_name()).map_err(storage)?.expecting(left);
    let mut piece = vec![0; PIECE];
    while left > 0 {
        if !service.store.is_open() {
            return Ok(false);
        }
        let length = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        object.read_exact(&mut piece[..length]).map_err(storage)?;
        writer.write(&piece[..length]).map_err(storage)?;
        left -= length as u64;
    }
    let sealed = writer.seal();
    let now = service.clock.now();
    let archive = NewArchive {
        archive_id: service.ids.archive_id(),
        size: sealed.payload.size,
        tree_hash: sealed.payload.tree_hash,
        description: parameters.archive_description.clone(),
        created: now,
    };
    // One transaction: a process that is killed here makes no second archive when it comes back.
    unless_gone(service.store.keep(sealed, |tx, blob| {
        require_running(tx, job)?;
        let archive = archives::insert_with_blob(tx, job.vault, &archive, blob)?;
        rows::end(tx, job.id, &Ending::Archive(archive), now)
    }))
}

/// An error of a file that stands for an object. Somebody who makes folders in the place of objects is no trouble of the emulator's own.
fn of_object(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::IsADirectory => Failure::bad_request("the COS object is a folder in the stand-in for COS"),
        _ => storage(error),
    }
}

/// Goes to the beginning of the bytes that are wanted of an object, and tells how many they are.
fn seek(object: &mut File, parameters: &PullFromCos) -> Outcome<u64> {
    let size = object.metadata().map_err(storage)?.len();
    let (start, length) = parameters.range.map_or((0, size), |range| (range.start(), range.len()));
    if length == 0 || start.checked_add(length).is_none_or(|end| end > size) {
        return Err(Failure::bad_request(format!("the COS object has {size} bytes")));
    }
    object.seek(SeekFrom::Start(start)).map_err(storage)?;
    Ok(length)
}
