//! `cas multipart`: lists, shows and aborts uploads that are not finished.

use cas_api::UploadDescription;
use cas_http::VaultName;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::cli::UploadIdArgs;
use crate::commands::vault::seconds;
use crate::exit::Failure;
use crate::output::Align::{Left, Right};
use crate::output::{Output, Table};
use crate::session::Session;
use crate::units;

pub(crate) async fn list(vault: &VaultName, session: &Session, output: Output) -> Result<(), Failure> {
    let uploads: Vec<UploadDescription> =
        session.vault(vault).list_all_multipart_uploads().boxed().try_collect().await?;
    let json = json!({"vault": vault.as_str(), "uploads": uploads.iter().map(json).collect::<Vec<_>>()});
    if uploads.is_empty() {
        return output.result(&json, "no unfinished uploads");
    }
    let columns = ["STARTED", "PART SIZE", "UPLOAD", "DESCRIPTION"];
    let mut table = Table::with_head(&[Left, Right, Left, Left], &columns);
    for upload in &uploads {
        table.row([
            seconds(Some(upload.creation_date)),
            units::size(upload.part_size_in_bytes),
            upload.upload_id.to_string(),
            upload.description.clone(),
        ]);
    }
    output.result(&json, table)
}

pub(crate) async fn show(args: &UploadIdArgs, session: &Session, output: Output) -> Result<(), Failure> {
    let upload = session.vault(&args.vault.vault).multipart_upload(&args.upload_id).await?;
    let mut json = json(upload.description());
    json["parts"] = upload
        .parts()
        .iter()
        .map(|part| json!({"range": part.range.to_string(), "tree_hash": part.tree_hash.to_string()}))
        .collect();
    let facts = Table::of_facts([
        ("upload", upload.id().to_string()),
        ("started", seconds(Some(upload.description().creation_date))),
        ("part size", units::exact_size(upload.description().part_size_in_bytes)),
        ("parts", upload.parts().len().to_string()),
        ("size so far", units::exact_size(upload.size_completed())),
    ]);
    output.result(&json, facts)
}

pub(crate) async fn abort(args: &UploadIdArgs, session: &Session, output: Output) -> Result<(), Failure> {
    session.api().abort_multipart_upload(&args.vault.vault, &args.upload_id).await?;
    let json = json!({"vault": args.vault.vault.as_str(), "upload_id": args.upload_id.as_str(), "aborted": true});
    output.result(&json, format_args!("upload {} and its parts are gone", args.upload_id))
}

fn json(upload: &UploadDescription) -> Value {
    json!({
        "upload_id": upload.upload_id.as_str(),
        "creation_date": upload.creation_date.to_string(),
        "part_size": upload.part_size_in_bytes,
        "description": upload.description,
    })
}
