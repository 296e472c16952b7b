//! The certificate of the service.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::app::Failure;

/// Accepts TLS 1.2 and 1.3 with this chain of certificates, the service's own first, and its key.
///
/// # Errors
/// They cannot be read, or do not fit.
pub(super) fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor, Failure> {
    let fail = |flag: &str, path: &Path, e: &dyn std::fmt::Display| {
        Failure::usage(format!("--{flag} {}: {e}", path.display()))
    };
    let fail_pem = |flag: &str, path: &Path, e: pem::Error, what: &str| match e {
        pem::Error::NoItemsFound => fail(flag, path, &format!("has no {what} in PEM")),
        e => fail(flag, path, &e),
    };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| fail_pem("tls-cert", chain, e, "certificate"))?;
    if certificates.is_empty() {
        return Err(fail_pem("tls-cert", chain, pem::Error::NoItemsFound, "certificate"));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|e| fail_pem("tls-key", key, e, "private key"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| fail("tls-cert", chain, &e))?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|e| fail("tls-key", key, &e))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
