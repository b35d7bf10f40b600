//! Nothing that a transfer ends with tells a secret, and neither does the log of both ends, which is watched from the first rig on.

use std::time::Duration;

use anyhow::Result;
use cas_emulator::{Fault, FaultRule};
use cas_http::document::CallbackUrl;
use cas_http::secret_watch::{heard, secret_in, shown};
use cas_http::{Client, Credentials, PartSize, RetryPolicy, Timeouts};
use cas_objects::{Account, Source, Vault};
use cas_tests::{Rig, data};

const SECOND: Duration = Duration::from_secs(1);

/// What may happen to a request or its answer.
fn troubles() -> Vec<Fault> {
    let answer = |status, code: &str| Fault::Answer { status, code: code.into(), message: "no".into() };
    vec![
        Fault::unavailable(),
        Fault::LoseAnswer,
        Fault::WrongTreeHash,
        Fault::CutRequest { after: 10 },
        Fault::CutAnswer { after: 1 },
        Fault::FlipByte { at: 0 },
        answer(http::StatusCode::BAD_REQUEST, "InvalidSignatureException"),
        answer(http::StatusCode::FORBIDDEN, "AccessDeniedException"),
        answer(http::StatusCode::NOT_FOUND, "ResourceNotFoundException"),
    ]
}

/// Everything one does with a vault, each as far as it comes.
async fn everything(rig: &Rig, account: &Account, vault: &Vault) -> Vec<cas_objects::Error> {
    let mut errors = Vec::new();
    let source = || Source::bytes(data(2 << 20));
    errors.extend(account.create_vault(vault.name()).await.err());
    errors.extend(source().err());
    if let Ok(source) = source() {
        errors.extend(vault.upload_archive(source.clone()).await.err());
        match vault.upload_archive(source).threshold(1).part_size(PartSize::MIN).await {
            Err(error) => errors.push(error),
            Ok(stored) => match vault.retrieve_archive(&stored.archive_id).await {
                Err(error) => errors.push(error),
                Ok(mut job) => {
                    errors.extend(job.wait().deadline(SECOND).await.err());
                    errors.extend(job.download_to_file(rig.folder.path().join("back")).await.err());
                }
            },
        }
    }
    let url = CallbackUrl::parse("http://me:hunter2@127.0.0.1:9/").ok();
    let inventory = vault.initiate_retrieve_inventory();
    match url.into_iter().fold(inventory, |inventory, url| inventory.call_back_url(url)).await {
        Err(error) => errors.push(error),
        Ok(mut job) => {
            errors.extend(job.wait().deadline(SECOND).await.err());
            errors.extend(job.read_inventory(|_| {}).await.err());
            assert_eq!(secret_in(&format!("{job:?}")), None, "{job:?}");
        }
    }
    errors.extend(vault.delete().await.err());
    errors
}

#[tokio::test]
async fn whatever_a_transfer_ends_with_tells_no_secret() -> Result<()> {
    let rig = Rig::start().await?;
    let mut timeouts = Timeouts::default();
    timeouts.operation = Some(SECOND);
    let client = |credentials: Credentials| {
        let builder = Client::builder().endpoint(rig.emulator.endpoint()).credentials(credentials);
        builder.retry(RetryPolicy::never()).timeouts(timeouts).build()
    };
    let ours = Account::new(client(rig.emulator.credentials())?);
    let stranger = Account::new(client(Credentials::new("nobody", "hunter2")?.with_token("hunter2-token")?)?);
    let mut failed = 0;
    for (index, trouble) in troubles().into_iter().enumerate() {
        rig.emulator.faults().clear();
        let vault = rig.vault(&format!("vault-{index}")).await?;
        rig.emulator.faults().add(FaultRule::new(trouble));
        for account in [&ours, &stranger] {
            let vault = account.vault(vault.name().clone());
            for error in everything(&rig, account, &vault).await {
                failed += 1;
                shown(&error);
            }
            assert_eq!(secret_in(&format!("{account:?} {vault:?} {:?}", rig.emulator)), None);
        }
    }
    assert!(failed > 3 * troubles().len(), "{failed} things failed");
    assert!(heard().iter().any(|module| module.starts_with("cas_http")), "{:?}", heard());
    Ok(())
}
