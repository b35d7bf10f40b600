//! The access policy of a vault: set, get, delete.

use cas_api::answers::{DeleteVaultAccessPolicyOutput, GetVaultAccessPolicyOutput, SetVaultAccessPolicyOutput};
use cas_http::document::AccessPolicy;
use cas_http::ops::{DeleteVaultAccessPolicy, GetVaultAccessPolicy, SetVaultAccessPolicy};
use http::Response;

use super::{Scope, answer};
use crate::body::AnswerBody;
use crate::failure::{Failure, Outcome};
use crate::service::Service;
use crate::store::vaults;

pub(crate) async fn set(
    service: &Service,
    scope: Scope,
    operation: SetVaultAccessPolicy,
) -> Outcome<Response<AnswerBody>> {
    let set = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        vaults::set_policy(tx, &vault, Some(operation.policy.as_str()))
    };
    service.store.write(set).await?;
    answer(SetVaultAccessPolicyOutput::new())
}

pub(crate) async fn get(
    service: &Service,
    scope: Scope,
    operation: GetVaultAccessPolicy,
) -> Outcome<Response<AnswerBody>> {
    let vault = service.store.read(move |tx| vaults::require(tx, scope.owner, &operation.vault)).await?;
    let policy = vault.policy.ok_or_else(|| Failure::not_found("access policy"))?;
    let policy = AccessPolicy::parse(policy).map_err(|error| Failure::internal("reading the access policy", &error))?;
    answer(GetVaultAccessPolicyOutput::new(policy))
}

pub(crate) async fn delete(
    service: &Service,
    scope: Scope,
    operation: DeleteVaultAccessPolicy,
) -> Outcome<Response<AnswerBody>> {
    let delete = move |tx: &rusqlite::Transaction<'_>| {
        let vault = vaults::require(tx, scope.owner, &operation.vault)?;
        vaults::set_policy(tx, &vault, None)
    };
    service.store.write(delete).await?;
    answer(DeleteVaultAccessPolicyOutput::new())
}
