//! `cas emulator`: runs the emulator until somebody stops it.

use cas_emulator::{Account, Emulator, JobDelay};
use serde_json::json;

use crate::cli::{EmulatorArgs, GlobalOptions};
use crate::exit::{Failure, Problem};
use crate::interrupt;
use crate::local::Local;
use crate::output::Output;
use crate::session::refuse_remote_options;

pub(crate) async fn run(args: &EmulatorArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    refuse_remote_options(global, "cas emulator")?;
    let emulator = start(args).await?;
    let (endpoint, app_id, secret_id) = (emulator.endpoint(), emulator.app_id().to_string(), emulator.secret_id());
    let json = json!({"endpoint": endpoint, "app_id": app_id, "secret_id": secret_id});
    output.result(&json, format_args!("listening on {endpoint}, account {app_id}, secret id {secret_id}"))?;
    interrupt::signal().await;
    Ok(emulator.shutdown().await?)
}

async fn start(args: &EmulatorArgs) -> Result<Emulator, Failure> {
    let job_delay: JobDelay = args.job_delay.parse().map_err(usage)?;
    let accounts = args.accounts.iter().map(|text| text.expose().parse::<Account>());
    let accounts = accounts.collect::<Result<Vec<_>, _>>().map_err(usage)?;
    // The folder of --local is made only where it is needed.
    let local = if args.data.is_none() || accounts.is_empty() { Some(Local::here()?) } else { None };
    let mut builder = Emulator::builder().listen(&args.listen).job_delay(job_delay).live_totals(true);
    if let Some(local) = &local {
        builder = builder.data_dir(local.data_dir());
        if accounts.is_empty() {
            builder = builder.account(local.account()?);
        }
    }
    if let Some(data) = &args.data {
        builder = builder.data_dir(data);
    }
    let builder = accounts.into_iter().fold(builder, |builder, account| builder.account(account));
    Ok(builder.start().await?)
}

/// What a person typed wrongly.
fn usage(error: cas_emulator::Error) -> Failure {
    Problem::Usage(error.to_string()).into()
}
