//! What the service says of vaults.

use cas_http::json::{Document, JsonObject, JsonWriter};
use cas_http::{Marker, Timestamp, VaultName, WireError};
use serde_json::Value;

/// What the service knows of a vault.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VaultDescription {
    /// Its name.
    pub name: VaultName,
    /// Its resource name, `qcs:id/0:cas:<region>:uid/<APPID>:vaults/<name>`.
    pub qcs: String,
    /// When it was created.
    pub creation_date: Timestamp,
    /// When the totals below were last refreshed, which happens once a day; absent before the first time.
    pub last_inventory_date: Option<Timestamp>,
    /// How many archives it holds, as of that date.
    pub number_of_archives: Option<u64>,
    /// How many bytes they have in all, as of that date.
    pub size_in_bytes: Option<u64>,
}

impl VaultDescription {
    /// A vault without totals.
    #[must_use]
    pub fn new(name: impl Into<VaultName>, qcs: impl Into<String>, creation_date: Timestamp) -> Self {
        VaultDescription {
            name: name.into(),
            qcs: qcs.into(),
            creation_date,
            last_inventory_date: None,
            number_of_archives: None,
            size_in_bytes: None,
        }
    }

    fn from_object(object: &JsonObject) -> Result<Self, WireError> {
        Ok(VaultDescription {
            name: object.require("VaultName")?,
            qcs: object.text("VaultQCS")?.unwrap_or_default(),
            creation_date: object.require("CreationDate")?,
            last_inventory_date: object.parse("LastInventoryDate")?,
            number_of_archives: object.number("NumberOfArchives")?,
            size_in_bytes: object.number("SizeInBytes")?,
        })
    }

    fn writer(&self) -> JsonWriter {
        JsonWriter::new()
            .set("CreationDate", self.creation_date.to_string())
            .set_or_null("LastInventoryDate", self.last_inventory_date)
            .set("NumberOfArchives", self.number_of_archives)
            .set("SizeInBytes", self.size_in_bytes)
            .set("VaultName", self.name.as_str())
            .set("VaultQCS", self.qcs.as_str())
    }
}

impl Document for VaultDescription {
    fn to_json(&self) -> Vec<u8> {
        self.writer().to_vec()
    }

    fn from_json(text: &[u8]) -> Result<Self, WireError> {
        Self::from_object(&JsonObject::from_slice(text)?)
    }
}

listing_page! {
    /// One page of vaults.
    VaultList {
        /// The vaults, by resource name.
        "VaultList" vaults: VaultDescription
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: &str = r#"{"CreationDate":"2024-03-01T02:03:04.000Z","LastInventoryDate":null,"NumberOfArchives":null,"SizeInBytes":null,"VaultName":"photos","VaultQCS":"qcs:id/0:cas:ap-chengdu:uid/1250000000:vaults/photos"}"#;

    #[test]
    fn a_vault_without_totals_is_written_as_documented() {
        let vault = VaultDescription::from_json(VAULT.as_bytes()).unwrap();
        assert_eq!(vault.number_of_archives, None);
        assert_eq!(String::from_utf8(vault.to_json()).unwrap(), VAULT);
    }

    #[test]
    fn totals_may_be_strings() {
        let text = r#"{"VaultName":"v","CreationDate":"2024-03-01T02:03:04Z","NumberOfArchives":"3","SizeInBytes":12,"New":1}"#;
        let vault = VaultDescription::from_json(text.as_bytes()).unwrap();
        assert_eq!((vault.number_of_archives, vault.size_in_bytes), (Some(3), Some(12)));
    }

    #[test]
    fn a_page_always_says_where_to_go_on() {
        let page = VaultList::from_json(format!(r#"{{"VaultList":[{VAULT}],"Marker":"m"}}"#).as_bytes()).unwrap();
        assert_eq!(page.marker.as_ref().map(Marker::as_str), Some("m"));
        let last = VaultList::new(Vec::new(), None);
        assert_eq!(last.to_json(), br#"{"Marker":null,"VaultList":[]}"#);
        assert_eq!(VaultList::from_json(br#"{"VaultList":[]}"#).unwrap(), last);
        assert_eq!(VaultList::from_json(b"{}").unwrap_err().field(), "VaultList", "anything else is no page");
    }
}
