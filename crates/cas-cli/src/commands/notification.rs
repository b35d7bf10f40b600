//! `cas notification`: shows, sets and deletes where a vault reports finished jobs.

use cas_http::VaultName;
use cas_http::document::{NotificationConfiguration, NotificationEvent};
use serde_json::json;

use crate::cli::{DeleteVaultArgs, GlobalOptions, SetNotificationArgs};
use crate::exit::Failure;
use crate::output::{Output, Table};
use crate::session::{self, Session};

pub(crate) async fn show(name: &VaultName, session: &Session, output: Output) -> Result<(), Failure> {
    let NotificationConfiguration { call_back_url, events, .. } =
        session.api().get_vault_notifications(name).await?.configuration;
    let events: Vec<&str> = events.iter().map(NotificationEvent::as_str).collect();
    let json = json!({"vault": name.as_str(), "url": call_back_url.as_str(), "events": events});
    let facts = Table::of_facts([("address", call_back_url.as_str().to_owned()), ("events", events.join(" "))]);
    output.result(&json, facts)
}

pub(crate) async fn set(args: &SetNotificationArgs, session: &Session, output: Output) -> Result<(), Failure> {
    let name = &args.vault.vault;
    let configuration = NotificationConfiguration::new(args.url.clone(), args.events.clone());
    session.api().set_vault_notification_configuration(name, configuration).await?;
    let json = json!({"vault": name.as_str(), "set": true});
    output.result(&json, format_args!("vault {name} reports finished jobs to {}", args.url))
}

pub(crate) async fn delete(args: &DeleteVaultArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let name = &args.vault.vault;
    if !args.yes {
        output.confirm(format_args!("stop the reports of the vault {name}"))?;
    }
    session::with(global, output, async |session| {
        session.api().delete_vault_notifications(name).await?;
        output
            .result(&json!({"vault": name.as_str(), "deleted": true}), format_args!("vault {name} reports nothing now"))
    })
    .await
}
