//! https: whom we trust, who we are, and what becomes of a handshake that goes wrong.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cas_http::test_util::{Script, ScriptedServer};
use cas_http::{Client, ClientBuilder, ErrorKind, TlsOptions, TlsVersion};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use crate::support::{credentials, server, text};

pub(crate) type Issuer = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn issuer() -> Issuer {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

type Certificate = (rcgen::Certificate, KeyPair);

/// A certificate for this name, and its key.
fn certificate(issuer: &Issuer, name: &str) -> Certificate {
    let key = KeyPair::generate().unwrap();
    (CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, issuer).unwrap(), key)
}

/// The same, and it ended long ago.
fn expired_certificate(issuer: &Issuer, name: &str) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    (params.signed_by(&key, issuer).unwrap(), key)
}

/// One that vouches for itself.
fn self_signed_certificate(name: &str) -> Certificate {
    let key = KeyPair::generate().unwrap();
    (CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap(), key)
}

/// An https server for this name that answers every request with `{}`.
pub(crate) struct Server {
    pub(crate) port: u16,
    handshakes: Arc<AtomicU32>,
}

impl Server {
    /// One with a certificate of this issuer for this name.
    pub(crate) fn start(issuer: &Issuer, name: &str) -> Self {
        Server::with(certificate(issuer, name), None, rustls::ALL_VERSIONS)
    }

    /// One that shows this certificate, speaks these versions, and perhaps wants clients to show one of an issuer.
    fn with(
        (certificate, key): Certificate,
        clients_of: Option<&Issuer>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let config = match clients_of {
            Some(issuer) => {
                let mut roots = RootCertStore::empty();
                roots.add(issuer.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                config.with_client_cert_verifier(verifier)
            }
            None => config.with_no_client_auth(),
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let handshakes = Arc::new(AtomicU32::new(0));
        let counting = Arc::clone(&handshakes);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counting.fetch_add(1, Ordering::Relaxed);
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        Server { port, handshakes }
    }

    fn builder(&self, tls: TlsOptions) -> ClientBuilder {
        Client::builder()
            .endpoint(format!("https://localhost:{}", self.port))
            .credentials(credentials())
            .no_proxy()
            .tls(tls)
    }
}

pub(crate) fn trusting(issuer: &Issuer) -> TlsOptions {
    TlsOptions::new().extra_roots(issuer.pem()).only_extra_roots()
}

#[tokio::test]
async fn a_root_that_is_added_is_trusted() {
    let issuer = issuer();
    let server = Server::start(&issuer, "localhost");
    for tls in [trusting(&issuer), TlsOptions::new().extra_roots(issuer.pem())] {
        let client = server.builder(tls).build().unwrap();
        assert_eq!(text(client.list_vaults().await.unwrap()).await, "{}");
    }
}

/// What becomes of a call to this server by a client that trusts this issuer: it must fail in the handshake, and once is enough.
async fn refused(server: &Server, tls: TlsOptions) -> String {
    let error = server.builder(tls).build().unwrap().list_vaults().await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 1), "{error:?}");
    assert_eq!(server.handshakes.load(Ordering::Relaxed), 1);
    format!("{error:?}")
}

#[tokio::test]
async fn c28_a_certificate_that_proves_nothing_is_refused_once_and_for_all() {
    let (ours, theirs) = (issuer(), issuer());
    for (what, shown) in [
        ("BadSignature", certificate(&theirs, "localhost")),
        ("BadSignature", self_signed_certificate("localhost")),
        ("NotValidForName", certificate(&ours, "elsewhere.example")),
        ("Expired", expired_certificate(&ours, "localhost")),
    ] {
        let error = refused(&Server::with(shown, None, rustls::ALL_VERSIONS), trusting(&ours)).await;
        assert!(error.contains(what), "expected {what}: {error}");
    }
}

#[tokio::test]
async fn c28_a_version_that_is_too_old_is_refused() {
    let issuer = issuer();
    let only = |version| Server::with(certificate(&issuer, "localhost"), None, &[version]);
    for (server, least) in
        [(only(&TLS12), TlsVersion::Tls12), (only(&TLS13), TlsVersion::Tls12), (only(&TLS13), TlsVersion::Tls13)]
    {
        let client = server.builder(trusting(&issuer).min_version(least)).build().unwrap();
        assert_eq!(text(client.list_vaults().await.unwrap()).await, "{}");
    }
    refused(&only(&TLS12), trusting(&issuer).min_version(TlsVersion::Tls13)).await;
}

#[tokio::test]
async fn c28_what_speaks_tls_1_1_is_no_peer() {
    // The record of a hello by a server that chose version 3.2: random, no session, a cipher of that time, no compression.
    let hello = [&[22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
    let server = server([Script::new().without_reading().send(hello).stall()]).await;
    let error = https_to(&server).list_vaults().await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 1), "{error:?}");
}

#[cfg(feature = "webpki-roots")]
#[tokio::test]
async fn the_roots_of_mozilla_do_not_vouch_for_a_test() {
    let issuer = issuer();
    let server = Server::start(&issuer, "localhost");
    let error = server.builder(TlsOptions::new().mozilla_roots()).build().unwrap().list_vaults().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    let client = server.builder(TlsOptions::new().mozilla_roots().extra_roots(issuer.pem())).build().unwrap();
    assert_eq!(text(client.list_vaults().await.unwrap()).await, "{}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks() {
    let issuer = issuer();
    let server = Server::with(certificate(&issuer, "localhost"), Some(&issuer), rustls::ALL_VERSIONS);
    assert!(server.builder(trusting(&issuer)).build().unwrap().list_vaults().await.is_err());
    let (certificate, key) = certificate(&issuer, "client.example");
    let identity = format!("{}{}", certificate.pem(), key.serialize_pem());
    let client = server.builder(trusting(&issuer).client_identity(identity)).build().unwrap();
    assert_eq!(text(client.list_vaults().await.unwrap()).await, "{}");
}

/// A client that takes a scripted server for one that speaks TLS.
fn https_to(server: &ScriptedServer) -> Client {
    Client::builder()
        .endpoint(server.endpoint().replace("http://", "https://"))
        .credentials(credentials())
        .tls(trusting(&issuer()))
        .no_proxy()
        .build()
        .unwrap()
}

#[tokio::test]
async fn c28_a_handshake_that_is_cut_is_tried_again() {
    let server = server([]).await.otherwise(Script::new().without_reading().close());
    let error = https_to(&server).list_vaults().await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), server.connections()), (ErrorKind::Tls, 4, 4), "{error:?}");
}

#[tokio::test]
async fn c28_plain_http_on_an_https_port_is_no_answer() {
    let server = server([]).await.otherwise(Script::answer(200, &[], "{}").without_reading());
    assert_eq!(https_to(&server).list_vaults().await.unwrap_err().kind(), ErrorKind::Tls);
}

#[test]
fn what_is_no_pem_is_said_when_the_client_is_built() {
    for tls in [
        TlsOptions::new().extra_roots("no pem"),
        TlsOptions::new().only_extra_roots(),
        TlsOptions::new().client_identity("hunter2"),
        TlsOptions::new().client_identity(issuer().pem()),
    ] {
        let error = Client::builder().endpoint("x").no_proxy().tls(tls).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
