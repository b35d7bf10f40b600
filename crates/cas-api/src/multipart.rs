//! What the service says of multipart uploads and their parts.

use cas_http::json::{Document, JsonObject, JsonWriter};
use cas_http::{InvalidValue, Marker, PartRange, PartSize, Timestamp, TreeHash, UploadId, WireError};
use serde_json::Value;

/// What the service knows of an unfinished multipart upload.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UploadDescription {
    /// Its identifier.
    pub upload_id: UploadId,
    /// The size of every part but the last, in bytes. An upload begun by another client may have one that is no [`PartSize`].
    pub part_size_in_bytes: u64,
    /// When it was begun; it lives 24 hours from then.
    pub creation_date: Timestamp,
    /// Free text for the archive to be; empty when there is none.
    pub description: String,
    /// The vault's resource name.
    pub vault_qcs: String,
}

impl UploadDescription {
    /// An upload without a description.
    #[must_use]
    pub fn new(
        upload_id: impl Into<UploadId>,
        part_size: PartSize,
        creation_date: Timestamp,
        vault_qcs: impl Into<String>,
    ) -> Self {
        UploadDescription {
            upload_id: upload_id.into(),
            part_size_in_bytes: part_size.bytes(),
            creation_date,
            description: String::new(),
            vault_qcs: vault_qcs.into(),
        }
    }

    /// The part size, when it is one whose part hashes combine into the archive's.
    ///
    /// # Errors
    ///
    /// When it is not 1 MiB × 2ⁿ.
    pub fn part_size(&self) -> Result<PartSize, InvalidValue> {
        PartSize::from_bytes(self.part_size_in_bytes)
    }

    fn from_object(object: &JsonObject) -> Result<Self, WireError> {
        Ok(UploadDescription {
            upload_id: object.require("MultipartUploadId")?,
            part_size_in_bytes: object
                .number("PartSizeInBytes")?
                .ok_or_else(|| WireError::missing("PartSizeInBytes"))?,
            creation_date: object.require("CreationDate")?,
            description: object.text("ArchiveDescription")?.unwrap_or_default(),
            vault_qcs: object.text("VaultQCS")?.unwrap_or_default(),
        })
    }

    fn writer(&self) -> JsonWriter {
        JsonWriter::new()
            .set("ArchiveDescription", self.description.as_str())
            .set("CreationDate", self.creation_date.to_string())
            .set("MultipartUploadId", self.upload_id.as_str())
            .set("PartSizeInBytes", self.part_size_in_bytes)
            .set("VaultQCS", self.vault_qcs.as_str())
    }
}

listing_page! {
    /// One page of multipart uploads.
    UploadList {
        /// The uploads, oldest first.
        "UploadsList" uploads: UploadDescription
    }
}

/// A part the service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Part {
    /// Which bytes of the archive it holds, both ends included.
    pub range: PartRange,
    /// Its tree hash, as the service computed it.
    pub tree_hash: TreeHash,
}

impl Part {
    /// A part.
    #[must_use]
    pub fn new(range: PartRange, tree_hash: TreeHash) -> Self {
        Part { range, tree_hash }
    }

    fn from_object(object: &JsonObject) -> Result<Self, WireError> {
        Ok(Part { range: object.require("RangeInBytes")?, tree_hash: object.require("SHA256TreeHash")? })
    }
}

/// One page of the parts of an upload, and the upload itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PartList {
    /// The upload.
    pub upload: UploadDescription,
    /// The parts, by their place in the archive.
    pub parts: Vec<Part>,
    /// Where the next page begins, the offset of a part; absent on the last page.
    pub marker: Option<Marker>,
}

impl PartList {
    /// A page.
    #[must_use]
    pub fn new(upload: UploadDescription, parts: Vec<Part>, marker: Option<Marker>) -> Self {
        PartList { upload, parts, marker }
    }
}

impl Document for PartList {
    fn to_json(&self) -> Vec<u8> {
        let parts: Vec<Value> = self
            .parts
            .iter()
            .map(|part| {
                let json = JsonWriter::new().set("RangeInBytes", part.range.to_string());
                json.set("SHA256TreeHash", part.tree_hash.to_string()).into()
            })
            .collect();
        self.upload.writer().set("Parts", parts).set_or_null("Marker", self.marker.as_ref()).to_vec()
    }

    fn from_json(text: &[u8]) -> Result<Self, WireError> {
        let object = JsonObject::from_slice(text)?;
        let parts = object.objects("Parts")?.iter().map(Part::from_object).collect::<Result<_, _>>()?;
        Ok(PartList { upload: UploadDescription::from_object(&object)?, parts, marker: object.parse("Marker")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_without_parts_is_read_and_written() {
        let text = r#"{"ArchiveDescription":"","CreationDate":"2024-03-01T02:03:04.000Z","Marker":null,"MultipartUploadId":"u","PartSizeInBytes":16777216,"Parts":[],"VaultQCS":"q"}"#;
        let list = PartList::from_json(text.as_bytes()).unwrap();
        assert_eq!(list.upload.part_size(), Ok(PartSize::DEFAULT));
        assert_eq!(String::from_utf8(list.to_json()).unwrap(), text);
    }

    #[test]
    fn a_description_may_be_null_and_a_part_size_odd() {
        let text = r#"{"UploadsList":[{"ArchiveDescription":null,"CreationDate":"2024-03-01T02:03:04Z","MultipartUploadId":"-u","PartSizeInBytes":"50331648"}],"Marker":""}"#;
        let list = UploadList::from_json(text.as_bytes()).unwrap();
        assert_eq!(list.uploads[0].description, "");
        assert_eq!(list.uploads[0].part_size_in_bytes, 48 << 20);
        assert!(list.uploads[0].part_size().is_err());
        assert_eq!(list.marker, None);
        let rewritten = String::from_utf8(list.to_json()).unwrap();
        assert!(
            rewritten.contains(r#""ArchiveDescription":"""#) && rewritten.contains(r#""Marker":null"#),
            "{rewritten}"
        );
    }

    #[test]
    fn a_broken_part_is_named() {
        let text = r#"{"CreationDate":"2024-03-01T02:03:04Z","MultipartUploadId":"u","PartSizeInBytes":1048576,"Parts":[{"RangeInBytes":"5-4","SHA256TreeHash":"00"}]}"#;
        assert_eq!(PartList::from_json(text.as_bytes()).unwrap_err().field(), "RangeInBytes");
    }
}
