//! What the stories here have in common: a typed client, and the watch over what its calls log.

use cas_api::CasApi;
use cas_http::test_util::ScriptedServer;
use cas_http::{Client, ClientBuilder, Credentials, VaultName};

/// A client with keys of its own, which are watched for from now on.
pub(crate) fn builder() -> ClientBuilder {
    cas_http::secret_watch::watch_the_log();
    Client::builder().credentials(Credentials::new("example-secret-id", "example-secret-key").unwrap())
}

/// A client of this server.
pub(crate) fn api(server: &ScriptedServer) -> CasApi {
    builder().endpoint(server.endpoint()).build().unwrap().into()
}

pub(crate) fn vault() -> VaultName {
    "photos".parse().unwrap()
}
