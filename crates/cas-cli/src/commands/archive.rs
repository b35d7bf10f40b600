//! `cas archive`: deletes archives.

use serde_json::json;

use crate::cli::{DeleteArchiveArgs, GlobalOptions};
use crate::exit::Failure;
use crate::output::Output;
use crate::session;

pub(crate) async fn delete(args: &DeleteArchiveArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let (vault, id) = (&args.archive.vault.vault, &args.archive.archive_id);
    if !args.yes {
        output.confirm(format_args!("delete the archive {id} of the vault {vault} for good"))?;
    }
    session::with(global, output, async |session| {
        session.vault(vault).delete_archive(id).await?;
        let json = json!({"vault": vault.as_str(), "archive_id": id.as_str(), "deleted": true});
        output.result(&json, format_args!("archive {id} is deleted"))
    })
    .await
}
