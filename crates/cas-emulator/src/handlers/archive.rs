//! Archives: upload in one request, delete.

use cas_api::answers::{DeleteArchiveOutput, UploadArchiveOutput};
use cas_http::ops::{DeleteArchive, UploadArchive};
use cas_http::range::MAX_ARCHIVE_SIZE;
use http::{HeaderMap, Response};

use super::receive::{announced, check, receive};
use super::{Scope, answer};
use crate::body::{AnswerBody, RequestBody, Stop};
use crate::failure::{Failure, Outcome};
use crate::service::Service;
use crate::store::archives::{self, NewArchive};
use crate::store::{blocking, vaults};

pub(crate) async fn upload(
    service: &Service,
    scope: Scope,
    operation: UploadArchive,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Response<AnswerBody>, Stop> {
    let length = announced(headers)?;
    if !(1..=MAX_ARCHIVE_SIZE).contains(&length) {
        let message = format!("content-length: an archive has 1 to {MAX_ARCHIVE_SIZE} bytes, {length} announced");
        return Err(Failure::invalid(message).into());
    }
    let name = operation.vault.clone();
    let vault = service.store.read(move |tx| vaults::require(tx, scope.owner, &name)).await?;
    let _in_flight = service.receiving.begin(vault.id);
    let sealed = receive(service, body).await?;
    let payload = sealed.payload;
    check(&payload, length, operation.sha256, operation.tree_hash)?;

    let archive_id = service.ids.archive_id();
    let archive = NewArchive {
        archive_id: archive_id.clone(),
        size: payload.size,
        tree_hash: payload.tree_hash,
        description: operation.description,
        created: service.clock.now(),
    };
    let path = service.vault_path(scope.owner, &operation.vault);
    let store = service.store.clone();
    let keep = move || {
        store.keep(sealed, |tx, blob| {
            // The vault may have gone while the bytes came.
            let vault = vaults::require(tx, scope.owner, &operation.vault)?;
            archives::insert_with_blob(tx, vault.id, &archive, blob)
        })
    };
    blocking(keep).await?;
    let location = format!("{path}/archives/{archive_id}");
    Ok(answer(UploadArchiveOutput::new(archive_id, location, payload.sha256, payload.tree_hash))?)
}

pub(crate) async fn delete(service: &Service, scope: Scope, operation: DeleteArchive) -> Outcome<Response<AnswerBody>> {
    let delete = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        archives::delete(tx, vault.id, &operation.archive_id, scope.now)
    };
    service.store.write(delete).await?;
    answer(DeleteArchiveOutput::new())
}
