//! Lists the vaults of the account that the environment names, as the service's own JSON.
//!
//! ```text
//! CAS_ENDPOINT=http://127.0.0.1:9580 TENCENTCLOUD_SECRET_ID=… TENCENTCLOUD_SECRET_KEY=… cargo run -p cas-http --example list_vaults
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use cas_http::{Client, Limit, ServiceError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let (head, body) = client.list_vaults().limit(Limit::MAX).await?.into_parts();
    let report = body.report().cloned();
    let body = body.bytes(8 << 20).await?;
    if !head.status.is_success() {
        return Err(ServiceError::read(head.status, &head.headers, &body).into());
    }
    if let Some(report) = report {
        println!("answered after {:?} and {} tries", report.elapsed, report.attempts);
    }
    println!("{}", String::from_utf8_lossy(&body));
    Ok(())
}
