//! https: whom we trust, who we are, and what becomes of a handshake that goes wrong.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cas_http::test_util::Script;
use cas_http::{Client, ClientBuilder, ErrorKind, Proxy, TlsOptions};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::support::{credentials, server, text};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this name, and its key.
fn certificate(issuer: &Issuer, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, issuer).unwrap(), key)
}

/// An https server for this name that answers every request with `{}`.
struct Server {
    port: u16,
    handshakes: Arc<AtomicU32>,
}

impl Server {
    fn start(issuer: &Issuer, name: &str, wants_client: bool) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (certificate, key) = certificate(issuer, name);
        let config =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let config = if wants_client {
            let mut roots = RootCertStore::empty();
            roots.add(issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            config.with_client_cert_verifier(verifier)
        } else {
            config.with_no_client_auth()
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

fn trusting(issuer: &Issuer) -> TlsOptions {
    TlsOptions::new().extra_roots(issuer.pem()).only_extra_roots()
}

#[tokio::test]
async fn a_root_that_is_added_is_trusted() {
    let issuer = issuer();
    let server = Server::start(&issuer, "localhost", false);
    for tls in [trusting(&issuer), TlsOptions::new().extra_roots(issuer.pem())] {
        let client = server.builder(tls).build().unwrap();
        assert_eq!(text(client.list_vaults().await.unwrap()).await, "{}");
    }
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused_once_and_for_all() {
    let (ours, theirs) = (issuer(), issuer());
    for server in [Server::start(&theirs, "localhost", false), Server::start(&ours, "elsewhere.example", false)] {
        let error = server.builder(trusting(&ours)).build().unwrap().list_vaults().await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 1), "{error:?}");
        assert_eq!(server.handshakes.load(Ordering::Relaxed), 1);
    }
}

#[cfg(feature = "webpki-roots")]
#[tokio::test]
async fn the_roots_of_mozilla_do_not_vouch_for_a_test() {
    let issuer = issuer();
    let server = Server::start(&issuer, "localhost", false);
    let error = server.builder(TlsOptions::new().mozilla_roots()).build().unwrap().list_vaults().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    let client = server.builder(TlsOptions::new().mozilla_roots().extra_roots(issuer.pem())).build().unwrap();
    assert_eq!(text(client.list_vaults().await.unwrap()).await, "{}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks() {
    let issuer = issuer();
    let server = Server::start(&issuer, "localhost", true);
    assert!(server.builder(trusting(&issuer)).build().unwrap().list_vaults().await.is_err());
    let (certificate, key) = certificate(&issuer, "client.example");
    let identity = format!("{}{}", certificate.pem(), key.serialize_pem());
    let client = server.builder(trusting(&issuer).client_identity(identity)).build().unwrap();
    assert_eq!(text(client.list_vaults().await.unwrap()).await, "{}");
}

#[tokio::test]
async fn a_handshake_that_is_cut_is_tried_again() {
    let server = server([]).await.otherwise(Script::new().without_reading().close());
    let client = Client::builder()
        .endpoint(server.endpoint().replace("http://", "https://"))
        .credentials(credentials())
        .tls(trusting(&issuer()))
        .no_proxy();
    let error = client.build().unwrap().list_vaults().await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), server.connections()), (ErrorKind::Tls, 4, 4), "{error:?}");
}

#[tokio::test]
async fn plain_http_on_an_https_port_is_no_answer() {
    let server = server([]).await.otherwise(Script::answer(200, &[], "{}").without_reading());
    let client = Client::builder()
        .endpoint(server.endpoint().replace("http://", "https://"))
        .credentials(credentials())
        .tls(trusting(&issuer()))
        .no_proxy();
    assert_eq!(client.build().unwrap().list_vaults().await.unwrap_err().kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn a_tunnel_leads_to_the_service_and_only_the_service_sees_the_request() {
    let issuer = issuer();
    let server = Server::start(&issuer, "localhost", false);
    let proxy = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = proxy.local_addr().unwrap();
    let port = server.port;
    let tunnel = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let (mut client, _) = proxy.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let mut service = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
        String::from_utf8(head).unwrap()
    });
    let builder = server.builder(trusting(&issuer)).proxy(Proxy::new(format!("http://{address}")));
    assert_eq!(text(builder.build().unwrap().list_vaults().await.unwrap()).await, "{}");
    let head = tunnel.await.unwrap();
    assert!(head.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")), "{head}");
    assert!(!head.contains("q-sign"), "{head}");
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
