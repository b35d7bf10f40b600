//! What the service says of jobs.

use cas_http::document::{CallbackUrl, CosCondition, InventoryFormat, JobStatus, Tier};
use cas_http::json::{Document, JsonObject, JsonWriter};
use cas_http::{ArchiveId, ByteRange, JobId, Marker, Timestamp, TreeHash, VaultName, WireError};
use serde_json::Value;

cas_http::open_enum! {
    /// What a job does.
    JobAction {
        /// Makes an archive readable.
        ArchiveRetrieval = "ArchiveRetrieval",
        /// Lists the archives of the vault.
        InventoryRetrieval = "InventoryRetrieval",
        /// Writes an archive to COS.
        PushToCos = "PushToCOS",
        /// Makes a COS object an archive.
        PullFromCos = "PullFromCOS",
    }
}

/// What the service knows of a job.
///
/// One shape serves all kinds of jobs; what does not apply is absent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JobDescription {
    /// Its identifier.
    pub job_id: JobId,
    /// What it does.
    pub action: JobAction,
    /// How far it is.
    #[doc(alias = "status_code")]
    pub status: JobStatus,
    /// The service's sentence about that.
    pub status_message: Option<String>,
    /// Whether it has ended, well or not.
    pub completed: bool,
    /// When it was started.
    pub creation_date: Option<Timestamp>,
    /// When it ended. An output waits 24 hours from then.
    pub completion_date: Option<Timestamp>,
    /// The free text given when it was started.
    pub description: Option<String>,
    /// The address given when it was started.
    pub call_back_url: Option<CallbackUrl>,
    /// The vault's resource name.
    pub vault_qcs: Option<String>,
    /// The archive: the one retrieved or pushed, or the new one that was pulled.
    pub archive_id: Option<ArchiveId>,
    /// The archive's size in bytes.
    pub archive_size: Option<u64>,
    /// The tree hash of the whole archive.
    #[doc(alias = "archive_etag")]
    pub archive_tree_hash: Option<TreeHash>,
    /// Which bytes of the archive are retrieved, both ends included.
    #[doc(alias = "job_range")]
    pub range: Option<ByteRange>,
    /// The tree hash of those bytes, when they are a whole subtree of the archive's tree and the job has got that far.
    pub tree_hash: Option<TreeHash>,
    /// How soon it was wanted.
    pub tier: Option<Tier>,
    /// The size of the inventory in bytes, once it is made.
    pub inventory_size: Option<u64>,
    /// What the inventory holds.
    pub inventory: Option<InventoryDescription>,
    /// The domain name of the COS bucket.
    pub bucket: Option<String>,
    /// The key of the COS object.
    pub object: Option<String>,
    /// Which bytes of the COS object are pulled, as text: the service's page shows no form.
    pub object_range: Option<String>,
    /// The conditions on the COS object.
    pub condition: Option<CosCondition>,
    /// The description of the archive that was pulled.
    pub archive_description: Option<String>,
}

/// What an inventory job was asked for, and where the next one goes on.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct InventoryDescription {
    /// JSON or CSV.
    pub format: Option<InventoryFormat>,
    /// Only archives created at this time or later.
    pub start_date: Option<Timestamp>,
    /// Only archives created at this time or earlier.
    pub end_date: Option<Timestamp>,
    /// At most this many archives.
    pub limit: Option<u64>,
    /// In a finished job, where the next inventory job goes on; absent when nothing is left.
    pub marker: Option<Marker>,
}

impl JobDescription {
    /// A job that was just started.
    #[must_use]
    pub fn new(job_id: impl Into<JobId>, action: JobAction) -> Self {
        JobDescription {
            job_id: job_id.into(),
            action,
            status: JobStatus::InProgress,
            status_message: None,
            completed: false,
            creation_date: None,
            completion_date: None,
            description: None,
            call_back_url: None,
            vault_qcs: None,
            archive_id: None,
            archive_size: None,
            archive_tree_hash: None,
            range: None,
            tree_hash: None,
            tier: None,
            inventory_size: None,
            inventory: None,
            bucket: None,
            object: None,
            object_range: None,
            condition: None,
            archive_description: None,
        }
    }

    /// Reads the body of a callback: what the service sends to the address given for a vault or a job when a job has ended.
    ///
    /// **It proves nothing.** A callback carries no signature, so whoever knows the address can send one. Take from it which job may have
    /// ended, ask the service with `DescribeJob`, and go on with that answer alone. The service's pages do not say whether a callback is sent
    /// again when it fails, nor that it is sent only once (`docs/protocol.md` §7.2): ask now and then even if none comes, and let the same one
    /// come twice.
    ///
    /// # Errors
    ///
    /// When the body is no description of a job.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "client")]
    /// # mod example {
    /// use cas_api::{CasApi, JobDescription};
    /// # use cas_api::cas_http::test_util::{Script, ScriptedServer};
    /// # use cas_api::cas_http::{Client, Credentials};
    ///
    /// /// What a receiver makes of a body: the job, if there is such a job and it has ended.
    /// async fn ended(api: &CasApi, body: &[u8]) -> Option<JobDescription> {
    ///     let claim = JobDescription::from_callback(body).ok()?;
    ///     let job = api.describe_job(claim.vault()?, claim.job_id).await.ok()?.job;
    ///     job.completed.then_some(job)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let running = r#"{"Action":"ArchiveRetrieval","JobId":"j","StatusCode":"InProgress"}"#;
    /// # let server = ScriptedServer::start([Script::answer(200, &[], running)]).await?;
    /// # let credentials = Credentials::new("example-secret-id", "example-secret-key")?;
    /// # let api = CasApi::new(Client::builder().endpoint(server.endpoint()).credentials(credentials).build()?);
    /// let forged = br#"{"Action":"ArchiveRetrieval","JobId":"j","StatusCode":"Succeeded",
    ///     "VaultQCS":"qcs:id/0:cas:ap-chengdu:uid/1250000000:vaults/photos"}"#;
    /// assert_eq!(ended(&api, forged).await, None, "the service says that the job is still in progress");
    /// # assert_eq!(server.received()[0].line(), "GET /-/vaults/photos/jobs/j HTTP/1.1");
    /// # Ok(())
    /// # }
    /// # }
    /// # #[cfg(feature = "client")]
    /// # example::main().unwrap();
    /// ```
    pub fn from_callback(body: &[u8]) -> Result<Self, WireError> {
        Self::from_json(body)
    }

    /// The vault's name, as it stands at the end of the resource name.
    #[must_use]
    pub fn vault(&self) -> Option<VaultName> {
        VaultName::parse(self.vault_qcs.as_deref()?.rsplit('/').next()?).ok()
    }

    fn from_object(object: &JsonObject) -> Result<Self, WireError> {
        let archive_id: Option<ArchiveId> = object.parse("ArchiveId")?;
        let inventory = object
            .object("InventoryRetrievalParameters")?
            .as_ref()
            .map(InventoryDescription::from_object)
            .transpose()?;
        let action = match object.require("Action")? {
            // Two pages of the service print this word for inventory jobs.
            JobAction::ArchiveRetrieval if archive_id.is_none() && inventory.is_some() => JobAction::InventoryRetrieval,
            action => action,
        };
        let status: JobStatus = object.require("StatusCode")?;
        let ended = matches!(status, JobStatus::Succeeded | JobStatus::Failed);
        let address: Option<String> = object.parse("CallBackUrl")?.or(object.parse("JobCallBackUrl")?);
        // As it was sent: in the name of an object a blank is a character like any other.
        let text = |key| Ok::<_, WireError>(object.text(key)?.filter(|text| !text.is_empty()));
        Ok(JobDescription {
            job_id: object.require("JobId")?,
            action,
            completed: object.boolean("Completed")?.unwrap_or(ended) || ended,
            status,
            status_message: object.parse("StatusMessage")?,
            creation_date: object.parse("CreationDate")?,
            completion_date: object.parse("CompletionDate")?,
            description: text("JobDescription")?,
            call_back_url: address.map(CallbackUrl::repeated),
            vault_qcs: object.parse("VaultQCS")?,
            archive_id,
            archive_size: object.number("ArchiveSizeInBytes")?,
            archive_tree_hash: object.parse("ArchiveSHA256TreeHash")?,
            range: object.parse("RetrievalByteRange")?,
            tree_hash: object.parse("SHA256TreeHash")?,
            tier: object.parse("Tier")?,
            inventory_size: object.number("InventorySizeInBytes")?,
            inventory,
            bucket: text("Bucket")?,
            object: text("Object")?,
            object_range: object.parse("Range")?,
            condition: object.object("Condition")?.as_ref().map(CosCondition::from_object).transpose()?,
            archive_description: object.text("ArchiveDescription")?,
        })
    }

    /// Every key in every job, as official clients need it: null for what does not apply, `""` for an absent text.
    fn writer(&self) -> JsonWriter {
        let call_back_url = self.call_back_url.as_ref().map_or("", CallbackUrl::as_str);
        JsonWriter::new()
            .set("Action", self.action.as_str())
            .set_or_null("ArchiveDescription", self.archive_description.as_ref())
            .set_or_null("ArchiveId", self.archive_id.as_ref())
            .set_or_null("ArchiveSHA256TreeHash", self.archive_tree_hash)
            .set("ArchiveSizeInBytes", self.archive_size)
            .set_or_null("Bucket", self.bucket.as_ref())
            .set("CallBackUrl", call_back_url)
            .set("Completed", self.completed)
            .set_or_null("CompletionDate", self.completion_date)
            .set("Condition", self.condition.as_ref().map(CosCondition::to_value))
            .set_or_null("CreationDate", self.creation_date)
            .set("InventoryRetrievalParameters", self.inventory.as_ref().map(InventoryDescription::to_value))
            .set("InventorySizeInBytes", self.inventory_size.unwrap_or(0))
            .set("JobCallBackUrl", call_back_url)
            .set("JobDescription", self.description.as_deref().unwrap_or_default())
            .set("JobId", self.job_id.as_str())
            .set_or_null("Object", self.object.as_ref())
            .set_or_null("Range", self.object_range.as_ref())
            .set_or_null("RetrievalByteRange", self.range)
            .set_or_null("SHA256TreeHash", self.tree_hash)
            .set("StatusCode", self.status.as_str())
            .set("StatusMessage", self.status_message.as_deref().unwrap_or(self.status.as_str()))
            .set_or_null("Tier", self.tier.as_ref())
            .set_or_null("VaultQCS", self.vault_qcs.as_ref())
    }
}

impl Document for JobDescription {
    fn to_json(&self) -> Vec<u8> {
        self.writer().to_vec()
    }

    fn from_json(text: &[u8]) -> Result<Self, WireError> {
        Self::from_object(&JsonObject::from_slice(text)?)
    }
}

impl InventoryDescription {
    fn from_object(object: &JsonObject) -> Result<Self, WireError> {
        Ok(InventoryDescription {
            format: object.parse("Format")?,
            start_date: object.parse("StartDate")?,
            end_date: object.parse("EndDate")?,
            limit: object.number("Limit")?.filter(|&limit| limit > 0),
            marker: object.parse("Marker")?,
        })
    }

    fn to_value(&self) -> Value {
        JsonWriter::new()
            .set_or_null("Format", self.format.as_ref())
            .set_or_null("StartDate", self.start_date)
            .set_or_null("EndDate", self.end_date)
            .set("Limit", self.limit.unwrap_or(0))
            .set_or_null("Marker", self.marker.as_ref())
            .into()
    }
}

listing_page! {
    /// One page of jobs.
    JobList {
        /// The jobs.
        "JobList" jobs: JobDescription
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of the service's page on jobs, typed from `docs/protocol.md` §5.21.
    const KEYS: [&str; 24] = [
        "Action",
        "ArchiveDescription",
        "ArchiveId",
        "ArchiveSHA256TreeHash",
        "ArchiveSizeInBytes",
        "Bucket",
        "CallBackUrl",
        "Completed",
        "CompletionDate",
        "Condition",
        "CreationDate",
        "InventoryRetrievalParameters",
        "InventorySizeInBytes",
        "JobCallBackUrl",
        "JobDescription",
        "JobId",
        "Object",
        "Range",
        "RetrievalByteRange",
        "SHA256TreeHash",
        "StatusCode",
        "StatusMessage",
        "Tier",
        "VaultQCS",
    ];

    fn read(text: &str) -> JobDescription {
        JobDescription::from_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_job_carries_every_key() {
        let text = JobDescription::new(JobId::parse("j").unwrap(), JobAction::InventoryRetrieval).to_json();
        let object = JsonObject::from_slice(&text).unwrap();
        let keys: Vec<&str> = object.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, KEYS);
    }

    #[test]
    fn names_and_texts_keep_their_blanks() {
        let text = r#"{"Action":"PushToCOS","JobId":"j","StatusCode":"Succeeded","Bucket":"","Object":" k ","JobDescription":" why"}"#;
        let job = read(text);
        assert_eq!([job.bucket, job.object, job.description], [None, Some(" k ".to_owned()), Some(" why".to_owned())]);
    }

    #[test]
    fn a_job_of_few_keys_is_read() {
        let job = read(r#"{"Action":"ArchiveRetrieval","JobId":"j","StatusCode":"Succeeded","ArchiveId":"-a"}"#);
        assert!(job.completed);
        assert_eq!(job.inventory_size, None);
    }

    #[test]
    fn a_failed_job_has_ended_whatever_completed_says() {
        assert!(read(r#"{"Action":"PushToCOS","JobId":"j","StatusCode":"Failed","Completed":false}"#).completed);
    }

    #[test]
    fn an_inventory_job_under_the_wrong_name_is_recognised() {
        let job = read(
            r#"{"Action":"ArchiveRetrieval","ArchiveId":null,"JobId":"j","StatusCode":"InProgress",
                "InventoryRetrievalParameters":{"Limit":"0","StartDate":null},"InventorySizeInBytes":"12","JobCallBackUrl":"http://e.com/"}"#,
        );
        assert_eq!(job.action, JobAction::InventoryRetrieval);
        assert_eq!(job.inventory.unwrap().limit, None);
        assert_eq!(job.inventory_size, Some(12));
        assert_eq!(job.call_back_url.as_ref().map(CallbackUrl::as_str), Some("http://e.com/"));
    }

    #[test]
    fn the_vault_is_read_from_the_resource_name() {
        let mut job = JobDescription::new(JobId::parse("j").unwrap(), JobAction::InventoryRetrieval);
        for (qcs, vault) in [
            (None, None),
            (Some("qcs:id/0:cas:ap-chengdu:uid/1250000000:vaults/My.Vault-1"), Some("My.Vault-1")),
            (Some("qcs:id/0:cas:ap-chengdu:uid/1250000000:vaults/"), None),
            (Some("photos"), Some("photos")),
            (Some("a/b c"), None),
        ] {
            job.vault_qcs = qcs.map(str::to_owned);
            assert_eq!(job.vault().as_ref().map(VaultName::as_str), vault, "{qcs:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut job = JobDescription::new(JobId::parse("-j").unwrap(), JobAction::ArchiveRetrieval);
        job.status = JobStatus::Succeeded;
        job.status_message = Some("Succeeded".into());
        job.completed = true;
        job.archive_id = ArchiveId::parse("-a").ok();
        job.archive_size = Some(10);
        job.range = ByteRange::new(0, 9).ok();
        job.tree_hash = Some(TreeHash::of(b"0123456789"));
        job.tier = Some(Tier::Standard);
        job.inventory_size = Some(0);
        job.creation_date = "2024-03-01T02:00:00Z".parse().ok();
        assert_eq!(JobDescription::from_json(&job.to_json()).unwrap(), job);
    }

    #[test]
    fn unknown_words_are_kept() {
        let job = read(r#"{"Action":"SelectArchive","JobId":"j","StatusCode":"Paused","Tier":"Glacial"}"#);
        assert_eq!(job.action.as_str(), "SelectArchive");
        assert_eq!(job.status.as_str(), "Paused");
        assert!(!job.completed);
        assert!(read(r#"{"Action":"SelectArchive","JobId":"j","StatusCode":"Cancelled","Completed":true}"#).completed);
    }
}
