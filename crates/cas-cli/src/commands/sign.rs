//! `cas sign`: signs a request that is described on the command line, or says why a signature does not fit it.

use cas_http::{Clock as _, SystemClock};
use cas_sign::{
    Authorization, Credentials, Dialect, Explanation, HeaderPolicy, KeyTime, SignableRequest, SigningKey,
    SigningOptions, TimeRange, explain, sign,
};
use serde_json::json;

use crate::cli::{DialectName, GlobalOptions, SignArgs};
use crate::config::Settings;
use crate::exit::{Failure, Problem};
use crate::output::Output;

/// How long a signature is good that is made for now, in seconds, and how early it begins.
const LIFE: u64 = 15 * 60;
const EARLY: u64 = 60;

pub(crate) async fn run(args: &SignArgs, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let settings = Settings::of_process(global);
    let now = unix_seconds();
    match &args.explain {
        Some(authorization) => explained(args, authorization, &settings, now, output).await,
        None => signed(args, &settings, now, output).await,
    }
}

async fn signed(args: &SignArgs, settings: &Settings<'_>, now: u64, output: Output) -> Result<(), Failure> {
    let sign_time = args.sign_time.unwrap_or_else(|| TimeRange::around(now, EARLY, LIFE));
    let key_time = args.key_time.unwrap_or(sign_time);
    let credentials = credentials(args, settings, key_time).await?;
    let signed = sign(&request(args), &credentials, sign_time, &options(args))?;
    let json = json!({
        "format_string": signed.format_string(),
        "string_to_sign": signed.string_to_sign(),
        "signing_key": signed.signing_key().expose(),
        "authorization": signed.authorization(),
        "sign_time": signed.sign_time().to_string(),
        "key_time": signed.key_time().to_string(),
        "header_list": signed.header_list(),
        "parameter_list": signed.parameter_list(),
    });
    output.result(&json, signed.authorization())
}

async fn explained(
    args: &SignArgs,
    authorization: &str,
    settings: &Settings<'_>,
    now: u64,
    output: Output,
) -> Result<(), Failure> {
    let key_time = authorization.parse::<Authorization>()?.key_time;
    let credentials = credentials(args, settings, key_time).await?;
    let explanation = explain(&request(args), authorization, &credentials, &dialect(args), Some(now));
    output.result(&explanation_json(&explanation), explanation.to_string().trim_end())?;
    if explanation.is_good() { Ok(()) } else { Err(Problem::SignatureDiffers.into()) }
}

fn explanation_json(explanation: &Explanation) -> serde_json::Value {
    let findings = |findings: &[cas_sign::Finding]| -> Vec<_> {
        let json = |finding: &cas_sign::Finding| json!({"subject": finding.subject.to_string(), "text": finding.text});
        findings.iter().map(json).collect()
    };
    json!({
        "good": explanation.is_good(),
        "verdict": explanation.verdict.to_string(),
        "causes": findings(&explanation.causes),
        "remarks": findings(&explanation.remarks),
        "format_string": explanation.format_string,
        "string_to_sign": explanation.string_to_sign,
    })
}

/// The request with exactly the headers and parameters that were given.
fn request(args: &SignArgs) -> SignableRequest<'_> {
    let (path, query) = match args.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (args.path.as_str(), None),
    };
    let mut request = SignableRequest::new(&args.method, path);
    if let Some(query) = query {
        request.push_query(query);
    }
    for parameter in &args.parameters {
        request.push_parameter(parameter.name.as_bytes(), parameter.value.as_deref().map(str::as_bytes));
    }
    for header in &args.headers {
        request.push_header(&header.name, header.value.as_bytes());
    }
    request
}

fn dialect(args: &SignArgs) -> Dialect {
    match args.dialect {
        DialectName::Cas => Dialect::CAS,
        DialectName::Cos => Dialect::COS,
    }
}

fn options(args: &SignArgs) -> SigningOptions {
    let mut options = SigningOptions::new(dialect(args));
    options.algorithm = args.algorithm;
    options.headers = HeaderPolicy::All;
    if let Some(reading) = args.reading {
        options.dialect.reading = reading;
    }
    if let Some(key_time) = args.key_time {
        options.key_time = KeyTime::Fixed(key_time);
    }
    options
}

/// The secret key, or the signing key where one is given: that one is good for `key_time` only.
async fn credentials(args: &SignArgs, settings: &Settings<'_>, key_time: TimeRange) -> Result<Credentials, Failure> {
    match settings.signing_key(args.signing_key.as_ref()) {
        Some(hex) => {
            let signing_key = SigningKey::from_hex(args.algorithm, &hex, key_time)?;
            Ok(Credentials::delegated(settings.secret_id()?, signing_key)?)
        }
        None => settings.credentials().await,
    }
}

fn unix_seconds() -> u64 {
    SystemClock.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}
