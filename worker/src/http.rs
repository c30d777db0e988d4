//! How upstreams and receivers are reached: over connections that trust the certificates of the
//! machine. They are read when the first server shows its own, once a process: at a cold start
//! nothing else takes as long.

mod upstream;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use reqwest::{Client, ClientBuilder, redirect::Policy};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

pub(crate) use self::upstream::{Beginning, NoAnswer, Response, Upstream};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(ring::default_provider()));

static MACHINES: LazyLock<Result<Arc<WebPkiServerVerifier>, Error>> = LazyLock::new(verifier);

/// How long connecting may take, where nothing else is said.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection is kept that nobody uses. Node's servers, n8n among them, and LiteLLM's close
/// it after 5 s: a delivery that meets that has failed, and a call has perhaps been made.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// How often a connection that waits is probed, lest something on the way forgets it.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A client of receivers, to be changed, which keeps at most so many unused connections to each. It
/// follows no redirects and knows no proxy: what it is sent to is what was asked for.
pub(crate) fn builder(most_idle: usize) -> Result<ClientBuilder, String> {
    Ok(Client::builder()
        .tls_backend_preconfigured(config().map_err(|error| error.to_string())?)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_CONNECTION)
        .pool_max_idle_per_host(most_idle)
        .redirect(Policy::none())
        .no_proxy())
}

/// The client that was described.
pub(crate) fn build(builder: ClientBuilder) -> Result<Client, String> {
    builder.build().map_err(|error| format!("cannot make an HTTP client: {error}"))
}

/// What it connects with.
fn config() -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER));
    // Dangerous would be a verifier of one's own; this one hands on to rustls's.
    let builder = builder.with_safe_default_protocol_versions()?.dangerous();
    Ok(builder.with_custom_certificate_verifier(Arc::new(ReadLater)).with_no_client_auth())
}

fn verifier() -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let builder =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER));
    builder.build().map_err(|error| Error::General(format!("the machine's certificates: {error}")))
}

/// rustls's own verification by the machine's certificates.
#[derive(Debug)]
struct ReadLater;

impl ReadLater {
    fn machines() -> Result<&'static WebPkiServerVerifier, Error> {
        MACHINES.as_deref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for ReadLater {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = Self::machines()?;
        verifier.verify_server_cert(certificate, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::machines()?.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::machines()?.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
