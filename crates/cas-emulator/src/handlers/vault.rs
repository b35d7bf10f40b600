//! Vaults: create, delete, describe, list.

use cas_api::answers::{CreateVaultOutput, DeleteVaultOutput, DescribeVaultOutput, ListVaultsOutput};
use cas_api::{VaultDescription, VaultList};
use cas_http::Marker;
use cas_http::ops::{CreateVault, DeleteVault, DescribeVault, ListVaults};
use http::Response;

use super::{Scope, answer, page, page_size};
use crate::body::AnswerBody;
use crate::failure::{Failure, Outcome};
use crate::service::Service;
use crate::store::vaults::{self, Vault};

pub(crate) async fn create(service: &Service, scope: Scope, operation: CreateVault) -> Outcome<Response<AnswerBody>> {
    let location = service.vault_path(scope.owner, &operation.vault);
    service.store.write(move |tx| vaults::create(tx, scope.owner, &operation.vault, scope.now)).await?;
    answer(CreateVaultOutput::new(location))
}

pub(crate) async fn delete(service: &Service, scope: Scope, operation: DeleteVault) -> Outcome<Response<AnswerBody>> {
    let receiving = service.receiving.clone();
    let delete = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        if receiving.is_busy(vault.id) {
            return Err(Failure::bad_request("an archive is being uploaded to the vault"));
        }
        vaults::delete(tx, &vault, scope.now)
    };
    service.store.write(delete).await?;
    answer(DeleteVaultOutput::new())
}

pub(crate) async fn describe(
    service: &Service,
    scope: Scope,
    operation: DescribeVault,
) -> Outcome<Response<AnswerBody>> {
    let live = service.settings.live_totals;
    let read = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        with_totals(tx, vault, live, scope)
    };
    let vault = service.store.read(read).await?;
    answer(DescribeVaultOutput::new(description(service, scope, vault)))
}

pub(crate) async fn list(service: &Service, scope: Scope, operation: ListVaults) -> Outcome<Response<AnswerBody>> {
    let size = page_size(operation.limit);
    let live = service.settings.live_totals;
    let prefix = service.qcs_prefix(scope.owner);
    let Some(from) = first_name(&prefix, operation.marker.as_ref()) else {
        return answer(ListVaultsOutput::new(VaultList::default()));
    };
    let read = move |tx: &rusqlite::Transaction<'_>| {
        let vaults = vaults::list(tx, scope.owner, &from, size + 1)?;
        vaults.into_iter().map(|vault| with_totals(tx, vault, live, scope)).collect::<Outcome<Vec<Vault>>>()
    };
    let vaults = service.store.read(read).await?;
    let (vaults, marker) = page(vaults, size, |vault| format!("{prefix}{}", vault.name))?;
    let vaults = vaults.into_iter().map(|vault| description(service, scope, vault)).collect();
    answer(ListVaultsOutput::new(VaultList::new(vaults, marker)))
}

/// The first name of a page. A marker is a place among all resource names, so any text is one; `None` when all of the account's stand before it.
fn first_name(prefix: &str, marker: Option<&Marker>) -> Option<String> {
    let marker = marker.map_or("", Marker::as_str);
    match marker.strip_prefix(prefix) {
        Some(name) => Some(name.to_owned()),
        None => (marker < prefix).then(String::new),
    }
}

fn with_totals(tx: &rusqlite::Transaction<'_>, vault: Vault, live: bool, scope: Scope) -> Outcome<Vault> {
    let totals = if live { Some(vaults::live_totals(tx, vault.id, scope.now)?) } else { vault.totals };
    Ok(Vault { totals, ..vault })
}

fn description(service: &Service, scope: Scope, vault: Vault) -> VaultDescription {
    let qcs = service.qcs(scope.owner, &vault.name);
    let mut description = VaultDescription::new(vault.name, qcs, vault.created);
    description.last_inventory_date = vault.totals.map(|totals| totals.date);
    description.number_of_archives = vault.totals.map(|totals| totals.archives);
    description.size_in_bytes = vault.totals.map(|totals| totals.bytes);
    description
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_a_place_among_all_resource_names() {
        let first = |marker: &str| first_name("qcs:7/", Marker::parse(marker).ok().as_ref());
        assert_eq!(first(""), Some(String::new()));
        assert_eq!(first("qcs:7/m"), Some("m".to_owned()));
        assert_eq!(first("a"), Some(String::new()));
        assert_eq!(first("qcs:8/"), None);
    }
}
