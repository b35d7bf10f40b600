//! What the stories here have in common: a client with a fixed clock, and short names.

use cas_http::test_util::{ManualClock, Script, ScriptedServer};
use cas_http::{CallReport, Client, ClientBuilder, Credentials, ResponseBody, VaultName};
use http::Response;

/// Texts that must never be seen outside a request.
pub(crate) const SECRET_KEY: &str = "hunter2-is-the-secret-key";
pub(crate) const TOKEN: &str = "hunter2-is-the-token";

pub(crate) fn credentials() -> Credentials {
    Credentials::new("AKIDexample", SECRET_KEY).unwrap().with_token(TOKEN).unwrap()
}

/// A client that reaches the server through pipes in memory.
pub(crate) fn builder(server: &ScriptedServer) -> ClientBuilder {
    Client::builder()
        .endpoint("http://cas.example")
        .credentials(credentials())
        .clock(ManualClock::default())
        .seed(1)
        .connector(server.connector())
}

/// A client that reaches the server over TCP.
pub(crate) fn tcp_builder(server: &ScriptedServer) -> ClientBuilder {
    Client::builder()
        .endpoint(server.endpoint())
        .credentials(credentials())
        .clock(ManualClock::default())
        .seed(1)
        .no_proxy()
}

pub(crate) async fn server(scripts: impl IntoIterator<Item = Script>) -> ScriptedServer {
    cas_http::secret_watch::watch_the_log();
    ScriptedServer::start(scripts).await.unwrap()
}

pub(crate) fn ok(body: &str) -> Script {
    Script::answer(200, &[("Content-Type", "application/json")], body)
}

pub(crate) fn vault() -> VaultName {
    "photos".parse().unwrap()
}

pub(crate) fn report(answer: &Response<ResponseBody>) -> &CallReport {
    answer.body().report().unwrap()
}

pub(crate) async fn text(answer: Response<ResponseBody>) -> String {
    let bytes = answer.into_body().bytes(1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}
