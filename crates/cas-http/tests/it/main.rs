//! The client against a server that does what it is told, however wrong.

#![expect(clippy::unwrap_used, reason = "this is all test code, and its helpers are not marked as such")]

mod bodies;
mod calls;
mod credentials;
mod hostile;
mod limits;
mod proxies;
mod proxy_process;
mod raw;
mod repeats;
mod secrets;
mod support;
#[cfg(feature = "rustls-ring")]
mod tls;
