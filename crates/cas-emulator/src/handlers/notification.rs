//! The notification configuration of a vault: set, get, delete.

use cas_api::answers::{
    DeleteVaultNotificationsOutput, GetVaultNotificationsOutput, SetVaultNotificationConfigurationOutput,
};
use cas_http::document::{CallbackUrl, NotificationConfiguration, NotificationEvent};
use cas_http::json::Document as _;
use cas_http::ops::{DeleteVaultNotifications, GetVaultNotifications, SetVaultNotificationConfiguration};
use http::Response;

use super::{Scope, answer};
use crate::body::AnswerBody;
use crate::failure::{Failure, Outcome};
use crate::service::Service;
use crate::store::vaults;

pub(crate) async fn set(
    service: &Service,
    scope: Scope,
    operation: SetVaultNotificationConfiguration,
) -> Outcome<Response<AnswerBody>> {
    let configuration = operation.configuration;
    CallbackUrl::parse(configuration.call_back_url.as_str())
        .map_err(|error| Failure::invalid(format!("CallBackUrl: {error}")))?;
    if configuration.events.is_empty() {
        return Err(Failure::missing("Events"));
    }
    if let Some(NotificationEvent::Other(event)) =
        configuration.events.iter().find(|event| matches!(event, NotificationEvent::Other(_)))
    {
        return Err(Failure::invalid(format!("Events: {event:?} is not an event")));
    }
    let set = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        vaults::set_notification(tx, &vault, Some(&String::from_utf8_lossy(&configuration.to_json())))
    };
    service.store.write(set).await?;
    answer(SetVaultNotificationConfigurationOutput::new())
}

pub(crate) async fn get(
    service: &Service,
    scope: Scope,
    operation: GetVaultNotifications,
) -> Outcome<Response<AnswerBody>> {
    let vault = service.store.read(move |tx| vaults::require(tx, scope.owner, &operation.vault)).await?;
    let json = vault.notification.ok_or_else(|| Failure::not_found("notification configuration"))?;
    answer(GetVaultNotificationsOutput::new(NotificationConfiguration::from_json(json.as_bytes())?))
}

pub(crate) async fn delete(
    service: &Service,
    scope: Scope,
    operation: DeleteVaultNotifications,
) -> Outcome<Response<AnswerBody>> {
    let delete = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        vaults::set_notification(tx, &vault, None)
    };
    service.store.write(delete).await?;
    answer(DeleteVaultNotificationsOutput::new())
}
