//! State that is there from the beginning: archives that are put in their place without a request.

use bytes::Bytes;
use cas_http::json::{JsonObject, JsonWriter};
use cas_http::range::MAX_ARCHIVE_SIZE;
use cas_http::{AppId, ArchiveId, Description, VaultName, WireError};
use serde_json::Value;

use crate::admin::{number, only};
use crate::failure::{Failure, Outcome};
use crate::service::Service;
use crate::store::archives::{self, NewArchive};
use crate::store::{BlobWriter, PIECE, Store, blocking, storage, vaults};

/// The bytes of an archive.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Bytes(Bytes),
    /// So many bytes of a pattern that everybody can make: byte i is (31·(i mod 256) + 7·⌊i / 1 MiB⌋) mod 256 (`docs/protocol.md` §4.2).
    Pattern(u64),
}

/// Puts an archive into a vault, which is made if it is not there.
pub(crate) async fn archive(
    service: &Service,
    owner: AppId,
    vault: VaultName,
    content: Content,
    description: Option<Description>,
) -> Outcome<ArchiveId> {
    let (archive_id, file, created) = (service.ids.archive_id(), service.ids.file_name(), service.clock.now());
    let store = service.store.clone();
    let keep = move || {
        let mut writer = store.files.create(file).map_err(storage)?;
        content.write(&store, &mut writer)?;
        let sealed = writer.seal();
        let (size, tree_hash) = (sealed.payload.size, sealed.payload.tree_hash);
        let archive = NewArchive { archive_id, size, tree_hash, description, created };
        store.keep(sealed, |tx, blob| {
            vaults::create(tx, owner, &vault, created)?;
            archives::insert_with_blob(tx, vaults::require(tx, owner, &vault)?.id, &archive, blob)
        })?;
        Ok(archive.archive_id)
    };
    blocking(keep).await
}

/// Makes the vaults and archives of a description such as `[{"name": "photos", "archives": [{"text": "hello"}]}]`, and tells their names
/// and IDs in the same order. Everything is read before anything is made.
pub(crate) async fn vaults(service: &Service, owner: AppId, described: &[JsonObject]) -> Outcome<Vec<Value>> {
    let mut read = Vec::new();
    for vault in described {
        only(vault, &["name", "archives"])?;
        let archives = if vault.get("archives").is_some() { vault.objects("archives")? } else { Vec::new() };
        let archives = archives.iter().map(|archive| Ok((content(archive)?, archive.parse("description")?)));
        read.push((vault.require::<VaultName>("name")?, archives.collect::<Outcome<Vec<_>>>()?));
    }
    let mut made = Vec::new();
    for (name, described) in read {
        let vault = name.clone();
        let now = service.clock.now();
        service.store.write(move |tx| vaults::create(tx, owner, &vault, now)).await?;
        let mut ids = Vec::new();
        for (content, description) in described {
            ids.push(archive(service, owner, name.clone(), content, description).await?.to_string());
        }
        made.push(JsonWriter::new().set("name", name.as_str()).set("archives", ids).into());
    }
    Ok(made)
}

fn content(archive: &JsonObject) -> Outcome<Content> {
    only(archive, &["text", "size", "description"])?;
    match (archive.text("text")?, number(archive, "size")?) {
        (Some(text), None) if !text.is_empty() => Ok(Content::Bytes(text.into())),
        (None, Some(size)) if (1..=MAX_ARCHIVE_SIZE).contains(&size) => Ok(Content::Pattern(size)),
        _ => Err(WireError::invalid("archives", "expected a text, or a size in bytes, and at least one byte").into()),
    }
}

impl Content {
    fn write(&self, store: &Store, writer: &mut BlobWriter) -> Outcome<()> {
        match self {
            Content::Bytes(bytes) => writer.write(bytes).map_err(storage),
            Content::Pattern(size) => write_pattern(store, writer, *size),
        }
    }
}

fn write_pattern(store: &Store, writer: &mut BlobWriter, size: u64) -> Outcome<()> {
    let mut at = 0;
    while at < size {
        if !store.is_open() {
            return Err(Failure::bad_request("the emulator has ended"));
        }
        let mebibyte = at >> 20;
        let byte = |low: u64| u8::try_from((31 * low + 7 * mebibyte) % 256);
        let row: Vec<u8> =
            (0..256).map(byte).collect::<Result<_, _>>().map_err(|error| Failure::internal("making bytes", &error))?;
        let piece = row.repeat(PIECE / 256);
        let length = usize::try_from(size - at).map_or(PIECE, |left| left.min(PIECE));
        writer.write(&piece[..length]).map_err(storage)?;
        at += length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DataDirectory;

    #[test]
    fn who_makes_a_large_archive_stops_when_the_emulator_ends() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(DataDirectory::take(directory.path()).unwrap()).unwrap();
        let mut writer = store.files.create("0".repeat(40)).unwrap();
        let content = Content::Pattern(3 << 20);
        content.write(&store, &mut writer).unwrap();
        store.release();
        assert_eq!(content.write(&store, &mut writer).unwrap_err().message, "the emulator has ended");
    }
}
