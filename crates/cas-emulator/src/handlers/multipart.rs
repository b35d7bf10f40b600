//! Multipart uploads: initiate, upload a part, complete, abort, list parts, list uploads.

use cas_api::answers::{
    AbortMultipartUploadOutput, CompleteMultipartUploadOutput, InitiateMultipartUploadOutput,
    ListMultipartUploadsOutput, ListPartsOutput, UploadPartOutput,
};
use cas_api::{Part, PartList, UploadDescription, UploadList};
use cas_http::ops::{
    AbortMultipartUpload, CompleteMultipartUpload, InitiateMultipartUpload, ListMultipartUploads, ListParts, UploadPart,
};
use cas_http::wire::Text as _;
use cas_http::{ByteRange, Description, Marker, PartRange, PartSize, TreeHash};
use cas_treehash::combine;
use http::{HeaderMap, Response};

use super::receive::{announced, check, receive};
use super::{Scope, answer, page, page_size};
use crate::body::{AnswerBody, RequestBody, Stop};
use crate::failure::{Failure, Outcome};
use crate::service::Service;
use crate::store::archives::NewArchive;
use crate::store::uploads::{self, StoredPart, Upload};
use crate::store::{blocking, vaults};

pub(crate) async fn initiate(
    service: &Service,
    scope: Scope,
    operation: InitiateMultipartUpload,
) -> Outcome<Response<AnswerBody>> {
    let upload_id = service.ids.upload_id();
    let location = format!("{}/multipart-uploads/{upload_id}", service.vault_path(scope.owner, &operation.vault));
    let id = upload_id.clone();
    let initiate = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        uploads::insert(tx, vault.id, &id, operation.part_size, operation.description.as_ref(), scope.now)
    };
    service.store.write(initiate).await?;
    answer(InitiateMultipartUploadOutput::new(upload_id, location))
}

pub(crate) async fn upload_part(
    service: &Service,
    scope: Scope,
    operation: UploadPart,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Response<AnswerBody>, Stop> {
    let length = announced(headers)?;
    let UploadPart { vault: vault_name, upload_id, range, sha256, tree_hash, .. } = operation;
    let find = move |tx: &rusqlite::Transaction<'_>, now| {
        let vault = vaults::require(tx, scope.owner, &vault_name)?;
        uploads::require(tx, vault.id, &upload_id, now)
    };
    let find_before = find.clone();
    let upload = service.store.read(move |tx| find_before(tx, scope.now)).await?;
    check_place(range, upload.part_size, length)?;
    let sealed = receive(service, body).await?;
    check(&sealed.payload, length, sha256, tree_hash)?;

    let store = service.store.clone();
    let now = service.clock.now();
    // The upload may have been completed, given up or expired while the bytes came.
    let keep = move || store.keep(sealed, |tx, blob| uploads::put_part(tx, &find(tx, now)?, range.start(), blob));
    blocking(keep).await?;
    Ok(answer(UploadPartOutput::new(tree_hash))?)
}

/// A part begins on the grid of its upload and is at most as long as the grid is wide. Which part is the last, nobody knows yet.
fn check_place(range: PartRange, part_size: PartSize, length: u64) -> Outcome<()> {
    let grid = part_size.bytes();
    if range.len() != length {
        let message = format!("content-range: {range} are {} bytes, content-length announces {length}", range.len());
        return Err(Failure::invalid(message));
    }
    if !range.start().is_multiple_of(grid) || range.len() > grid {
        let message = format!("content-range: {range} is no part of an upload with parts of {grid} bytes");
        return Err(Failure::invalid(message));
    }
    if range.start() / grid >= PartSize::MAX_PARTS {
        let message = format!("content-range: {range} is beyond the part number {}", PartSize::MAX_PARTS);
        return Err(Failure::invalid(message));
    }
    Ok(())
}

pub(crate) async fn complete(
    service: &Service,
    scope: Scope,
    operation: CompleteMultipartUpload,
) -> Outcome<Response<AnswerBody>> {
    let archive_id = service.ids.archive_id();
    let location = format!("{}/archives/{archive_id}", service.vault_path(scope.owner, &operation.vault));
    let id = archive_id.clone();
    let complete = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        let upload = uploads::require(tx, vault.id, &operation.upload_id, scope.now)?;
        let parts = uploads::parts(tx, &upload, 0, u32::MAX)?;
        check_parts(&parts, upload.part_size, operation.size.bytes(), operation.tree_hash)?;
        let archive = NewArchive {
            archive_id: id,
            size: operation.size.bytes(),
            tree_hash: operation.tree_hash,
            description: Description::from_text(&upload.description).ok(),
            created: scope.now,
        };
        uploads::complete(tx, vault.id, &upload, &archive)
    };
    service.store.write(complete).await?;
    answer(CompleteMultipartUploadOutput::new(archive_id, location))
}

/// The parts cover the archive without a hole, all but the last are full, and their hashes combine to the archive's.
fn check_parts(parts: &[StoredPart], part_size: PartSize, size: u64, tree_hash: TreeHash) -> Outcome<()> {
    let mut end = 0;
    for (index, part) in parts.iter().enumerate() {
        if part.start != end {
            return Err(Failure::invalid(format!("the bytes {end}-{} have not been uploaded", part.start - 1)));
        }
        if part.size != part_size.bytes() && index + 1 < parts.len() {
            let message =
                format!("the part at {end} has {} bytes and is not the last: expected {part_size}", part.size);
            return Err(Failure::invalid(message));
        }
        end += part.size;
    }
    if end != size {
        return Err(Failure::invalid(format!("x-cas-archive-size: {size} announced, the parts have {end} bytes")));
    }
    match combine(parts.iter().map(|part| (part.size, part.tree_hash))) {
        Ok(combined) if combined == tree_hash => Ok(()),
        Ok(combined) => {
            let message = format!("x-cas-sha256-tree-hash: {tree_hash} announced, the parts have {combined}");
            Err(Failure::invalid(message))
        }
        Err(error) => Err(Failure::internal("combining the parts", &error)),
    }
}

pub(crate) async fn abort(
    service: &Service,
    scope: Scope,
    operation: AbortMultipartUpload,
) -> Outcome<Response<AnswerBody>> {
    let abort = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        uploads::delete(tx, &uploads::require(tx, vault.id, &operation.upload_id, scope.now)?)
    };
    service.store.write(abort).await?;
    answer(AbortMultipartUploadOutput::new())
}

pub(crate) async fn list_parts(service: &Service, scope: Scope, operation: ListParts) -> Outcome<Response<AnswerBody>> {
    let size = page_size(operation.limit);
    let from = position(operation.marker.as_ref(), "the offset of a part")?;
    let qcs = service.qcs(scope.owner, &operation.vault);
    let read = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        let upload = uploads::require(tx, vault.id, &operation.upload_id, scope.now)?;
        let parts = uploads::parts(tx, &upload, from, size + 1)?;
        Ok((upload, parts))
    };
    let (upload, parts) = service.store.read(read).await?;
    let (parts, marker) = page(parts, size, |part| part.start.to_string())?;
    let parts = parts.iter().map(|part| {
        let range = ByteRange::with_len(part.start, part.size);
        Ok(Part::new(range.map_err(|error| Failure::internal("listing parts", &error))?.into(), part.tree_hash))
    });
    let parts = parts.collect::<Outcome<Vec<Part>>>()?;
    answer(ListPartsOutput::new(PartList::new(description(upload, qcs), parts, marker)))
}

pub(crate) async fn list(
    service: &Service,
    scope: Scope,
    operation: ListMultipartUploads,
) -> Outcome<Response<AnswerBody>> {
    let size = page_size(operation.limit);
    let from = position(operation.marker.as_ref(), "one that a page before gave")?;
    let qcs = service.qcs(scope.owner, &operation.vault);
    let read = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        uploads::list(tx, vault.id, from, size + 1, scope.now)
    };
    let (uploads, marker) = page(service.store.read(read).await?, size, |upload| upload.id.to_string())?;
    let uploads = uploads.into_iter().map(|upload| description(upload, qcs.clone())).collect();
    answer(ListMultipartUploadsOutput::new(UploadList::new(uploads, marker)))
}

/// Where a page begins: what the marker says, or the very beginning. A number that the database cannot hold is none that it gave.
fn position(marker: Option<&Marker>, expected: &str) -> Outcome<u64> {
    let Some(marker) = marker else { return Ok(0) };
    let position = marker.as_str().parse().ok().filter(|position| i64::try_from(*position).is_ok());
    position.ok_or_else(|| Failure::invalid(format!("marker: expected {expected}, found {marker:?}")))
}

fn description(upload: Upload, qcs: String) -> UploadDescription {
    let mut description = UploadDescription::new(upload.upload_id, upload.part_size, upload.created, qcs);
    description.description = upload.description;
    description
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn range(start: u64, length: u64) -> PartRange {
        ByteRange::with_len(start, length).unwrap().into()
    }

    fn part(start: u64, bytes: &[u8]) -> StoredPart {
        StoredPart { start, size: bytes.len() as u64, tree_hash: TreeHash::of(bytes) }
    }

    #[test]
    fn a_part_has_its_place_on_the_grid() {
        let size = PartSize::from_bytes(2 * MIB).unwrap();
        assert!(check_place(range(0, 2 * MIB), size, 2 * MIB).is_ok());
        assert!(check_place(range(2 * MIB, 5), size, 5).is_ok(), "it may be the last");
        assert!(check_place(range(9_999 * 2 * MIB, 5), size, 5).is_ok());
        for (start, length, announced) in [
            (0, 2 * MIB, 2 * MIB - 1),
            (MIB, MIB, MIB),
            (0, 2 * MIB + 1, 2 * MIB + 1),
            (10_000 * 2 * MIB, 5, 5),
            ((1 << 62) + 1, 5, 5),
        ] {
            assert!(check_place(range(start, length), size, announced).is_err(), "{length} bytes at {start}");
        }
    }

    #[test]
    fn parts_must_be_the_whole_archive() {
        let bytes = vec![7; 2_500_000];
        let size = PartSize::MIN;
        let [a, b, c] = [0, MIB, 2 * MIB].map(|start| {
            let end = (start + MIB).min(2_500_000);
            part(start, &bytes[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()])
        });
        let whole = TreeHash::of(&bytes);
        assert!(check_parts(&[a, b, c], size, 2_500_000, whole).is_ok());
        let message =
            |parts: &[StoredPart], announced, hash| check_parts(parts, size, announced, hash).unwrap_err().message;
        assert_eq!(message(&[a, c], 2_500_000, whole), "the bytes 1048576-2097151 have not been uploaded");
        assert_eq!(message(&[b, c], 2_500_000, whole), "the bytes 0-1048575 have not been uploaded");
        assert!(message(&[a, b], 2_500_000, whole).starts_with("x-cas-archive-size: 2500000 announced"));
        assert!(message(&[], 1, whole).starts_with("x-cas-archive-size: 1 announced"));
        assert!(message(&[a, b, c], 2_500_000, TreeHash::of(b"x")).starts_with("x-cas-sha256-tree-hash: "));
        let short = part(MIB, b"short");
        assert!(message(&[a, short, c], 2_500_000, whole).contains("is not the last"));
    }
}
