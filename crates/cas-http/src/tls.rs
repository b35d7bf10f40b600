//! What a connection is encrypted with, and whom it trusts. No type of the TLS library shows in the API.

use std::fmt;

use crate::error::Error;

/// Whom to trust over https, and who to be.
///
/// Without any option: the roots of the operating system (on Linux its bundle, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name), and no
/// client certificate.
#[derive(Clone, Default)]
pub struct TlsOptions {
    extra_roots: Vec<u8>,
    only_extra_roots: bool,
    #[cfg(feature = "webpki-roots")]
    mozilla_roots: bool,
    identity: Option<Vec<u8>>,
    min_version: TlsVersion,
}

/// A version of TLS. Older ones than these are not spoken at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2, of 2008.
    #[default]
    Tls12,
    /// TLS 1.3, of 2018.
    Tls13,
}

impl TlsOptions {
    /// The options of a client that sets none.
    #[must_use]
    pub fn new() -> Self {
        TlsOptions::default()
    }

    /// Trusts these certificates too: PEM, one or more. May be called again for more.
    #[must_use]
    pub fn extra_roots(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.extra_roots.extend_from_slice(pem.as_ref());
        self.extra_roots.push(b'\n');
        self
    }

    /// Trusts the extra roots alone.
    #[must_use]
    pub fn only_extra_roots(mut self) -> Self {
        self.only_extra_roots = true;
        self
    }

    /// Trusts the roots of Mozilla, compiled in, instead of the operating system's: for containers that have none.
    #[cfg(feature = "webpki-roots")]
    #[must_use]
    pub fn mozilla_roots(mut self) -> Self {
        self.mozilla_roots = true;
        self
    }

    /// Shows a client certificate to servers that ask for one: PEM with the private key and the certificates, its own first.
    #[must_use]
    pub fn client_identity(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.identity = Some(pem.as_ref().to_vec());
        self
    }

    /// Speaks no version older than this one; without it TLS 1.2 will do.
    #[must_use]
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TlsOptions");
        debug.field("extra_roots", &!self.extra_roots.is_empty()).field("only_extra_roots", &self.only_extra_roots);
        #[cfg(feature = "webpki-roots")]
        debug.field("mozilla_roots", &self.mozilla_roots);
        debug.field("client_identity", &self.identity.is_some()).field("min_version", &self.min_version).finish()
    }
}

#[cfg(feature = "rustls-ring")]
pub(crate) use with_rustls::Tls;
#[cfg(not(feature = "rustls-ring"))]
pub(crate) use without::Tls;

#[cfg(feature = "rustls-ring")]
mod with_rustls {
    use std::future::{Ready, ready};
    use std::io;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use http::Uri;
    use hyper_rustls::HttpsConnector;
    use rustls::ClientConfig;
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::version::{TLS12, TLS13};
    use rustls_platform_verifier::Verifier;
    use tokio::sync::OnceCell;
    use tower_service::Service;

    use super::{Error, TlsOptions, TlsVersion};
    use crate::connect::ConnectFailure;
    use crate::error::ErrorKind;
    use crate::transport::Transport;

    /// Encrypts connections. The roots are loaded with the first one: it takes a while, and plain http needs none.
    pub(crate) struct Tls {
        provider: Arc<CryptoProvider>,
        options: TlsOptions,
        extra_roots: Vec<CertificateDer<'static>>,
        identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
        config: OnceCell<Arc<ClientConfig>>,
    }

    impl Tls {
        pub(crate) fn new(options: TlsOptions) -> Result<Self, Error> {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let extra_roots = certificates(&options.extra_roots, "the extra roots")?;
            if options.only_extra_roots && extra_roots.is_empty() {
                return Err(Error::config("only extra roots are to be trusted and there is none"));
            }
            let identity = match &options.identity {
                None => None,
                Some(pem) => Some((certificates(pem, "the client identity")?, private_key(pem)?)),
            };
            Ok(Tls { provider, options, extra_roots, identity, config: OnceCell::new() })
        }

        /// Speaks TLS over a connection to the host of this URI.
        pub(crate) async fn handshake(&self, stream: Transport, uri: Uri) -> Result<Transport, ConnectFailure> {
            let config = self.config.get_or_try_init(|| async { self.load() }).await?;
            let line = stream.line();
            let mut connector = HttpsConnector::from((OneStream(Some(stream)), Arc::clone(config)));
            let encrypted = connector.call(uri).await.map_err(|error| {
                // A certificate that is refused will be refused again; a connection that broke may hold next time.
                let lasting = rustls_error(&*error).is_some();
                ConnectFailure::new(ErrorKind::Tls, "the TLS handshake failed", error).lasting(lasting)
            })?;
            Ok(Transport::new(encrypted, line))
        }

        fn load(&self) -> Result<Arc<ClientConfig>, ConnectFailure> {
            let failure = |what: &str, error: rustls::Error| {
                ConnectFailure::new(ErrorKind::Config, what, Box::new(error)).lasting(true)
            };
            let versions: &[_] = match self.options.min_version {
                TlsVersion::Tls12 => &[&TLS13, &TLS12],
                TlsVersion::Tls13 => &[&TLS13],
            };
            let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
                .with_protocol_versions(versions)
                .map_err(|error| failure("TLS cannot be set up", error))?;
            let builder = match self.fixed_roots() {
                Some(roots) => builder.with_root_certificates(roots),
                None => {
                    let roots = self.extra_roots.iter().cloned();
                    let verifier =
                        Verifier::new_with_extra_roots(roots, Arc::clone(&self.provider)).map_err(|error| {
                            failure("no trusted roots were found; SSL_CERT_FILE may name a file that has them", error)
                        })?;
                    builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
                }
            };
            let config = match &self.identity {
                None => builder.with_no_client_auth(),
                Some((chain, key)) => builder
                    .with_client_auth_cert(chain.clone(), key.clone_key())
                    .map_err(|error| failure("the client identity cannot be used", error))?,
            };
            Ok(Arc::new(config))
        }

        /// The roots, if the operating system's are not wanted.
        fn fixed_roots(&self) -> Option<rustls::RootCertStore> {
            let mut roots = rustls::RootCertStore::empty();
            #[cfg(feature = "webpki-roots")]
            let mozilla = self.options.mozilla_roots && !self.options.only_extra_roots;
            #[cfg(feature = "webpki-roots")]
            if mozilla {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
            #[cfg(not(feature = "webpki-roots"))]
            let mozilla = false;
            if !mozilla && !self.options.only_extra_roots {
                return None;
            }
            roots.add_parsable_certificates(self.extra_roots.iter().cloned());
            Some(roots)
        }
    }

    /// A connector that hands out the one stream it was given: what layers TLS over a stream that is already there.
    struct OneStream(Option<Transport>);

    impl Service<Uri> for OneStream {
        type Response = Transport;
        type Error = io::Error;
        type Future = Ready<io::Result<Transport>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Uri) -> Self::Future {
            ready(self.0.take().ok_or_else(|| io::Error::other("the stream was taken")))
        }
    }

    fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match certificates {
            Ok(found) if found.is_empty() && !pem.is_empty() => {
                Err(Error::config(format!("{what}: expected PEM certificates, found none")))
            }
            Ok(found) => Ok(found),
            Err(error) => Err(Error::config(format!("{what}: not PEM")).with_source(error)),
        }
    }

    fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
        // The parser's error is left out: it may quote what it could not read.
        PrivateKeyDer::from_pem_slice(pem)
            .map_err(|_| Error::config("the client identity: expected a PEM private key, found none that can be read"))
    }

    fn rustls_error<'e>(mut error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
        loop {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            // `source` of an I/O error passes over the error it carries.
            let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            error = match carried {
                Some(carried) => carried,
                None => error.source()?,
            };
        }
    }
}

#[cfg(not(feature = "rustls-ring"))]
mod without {
    use http::Uri;

    use super::{Error, TlsOptions};
    use crate::connect::ConnectFailure;
    use crate::error::ErrorKind;
    use crate::transport::Transport;

    /// Stands where a feature would put TLS.
    pub(crate) struct Tls;

    impl Tls {
        pub(crate) fn new(_options: TlsOptions) -> Result<Self, Error> {
            Ok(Tls)
        }

        #[expect(clippy::unused_async, reason = "the same signature as with TLS")]
        pub(crate) async fn handshake(&self, _stream: Transport, _uri: Uri) -> Result<Transport, ConnectFailure> {
            let why = "cas-http was built without its feature rustls-ring";
            Err(ConnectFailure::new(ErrorKind::Config, "https is not available", why.into()).lasting(true))
        }
    }
}
