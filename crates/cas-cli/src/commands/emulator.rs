//! `cas emulator`: runs the emulator until somebody stops it.

use cas_emulator::{Account, Builder, Clock, Emulator};
use serde_json::json;

use crate::cli::{EmulatorArgs, GlobalOptions};
use crate::exit::{Failure, Problem};
use crate::interrupt::Signals;
use crate::local::Local;
use crate::output::Output;
use crate::session::refuse_remote_options;

pub(crate) async fn run(args: &EmulatorArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    refuse_remote_options(global, "cas emulator")?;
    // Whoever reads the line may end us at once.
    let mut signals = Signals::listen();
    let emulator = builder(args)?.start().await?;
    let (endpoint, app_id, secret_id) = (emulator.endpoint(), emulator.app_id().to_string(), emulator.secret_id());
    let json = json!({"endpoint": endpoint, "app_id": app_id, "secret_id": secret_id});
    let state = emulator.data_dir().display();
    let text = format_args!("listening on {endpoint}, account {app_id}, secret id {secret_id}, state in {state}");
    output.result(&json, text)?;
    signals.wait().await;
    Ok(emulator.shutdown().await?)
}

fn builder(args: &EmulatorArgs) -> Result<Builder, Failure> {
    let mut builder = Emulator::builder()
        .listen(&args.listen)
        .allow_remote(args.allow_remote)
        .job_delay(args.job_delay)
        .clock(Clock::scaled(args.time_scale))
        .region(&args.region)
        .live_totals(args.live_totals)
        .notify(&args.notify);
    for account in &args.accounts {
        let account: Account =
            account.expose().parse().map_err(|error: cas_emulator::Error| Problem::Usage(error.to_string()))?;
        builder = builder.account(account);
    }
    if args.accounts.is_empty() {
        builder = builder.account(Local::here()?.account()?);
    }
    builder = match &args.data {
        Some(data) => builder.data_dir(data),
        None => builder.data_dir(Local::here()?.data_dir()),
    };
    if let Some(cos) = &args.cos {
        builder = builder.cos_dir(cos);
    }
    if let Some(seed) = args.seed {
        builder = builder.seed(seed);
    }
    Ok(match args.strict.as_deref() {
        None => builder,
        Some([]) => builder.strict(),
        Some(numbers) => builder.refuse(numbers.iter().copied()),
    })
}
