//! Whom TLS trusts: the machine's roots, and those that are configured besides.

use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// See the module's text. Shared by those who trust the same: the roots take memory.
#[derive(Default)]
pub struct Trust {
    besides: Vec<CertificateDer<'static>>,
    made: OnceLock<ClientConfig>,
}

impl Trust {
    /// The machine's roots and those of a PEM file; `None` when it holds none.
    #[must_use]
    pub fn with(pem: &[u8]) -> Option<Self> {
        let besides: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
        if besides.is_empty() { None } else { Some(Self { besides, made: OnceLock::new() }) }
    }

    /// What TLS is spoken with, without protocols.
    ///
    /// # Errors
    /// A configured root that is none.
    pub fn config(&self) -> Result<&ClientConfig, rustls::Error> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let mut roots = machine_roots();
        for root in &self.besides {
            roots.add(root.clone())?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
        let made = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(self.made.get_or_init(|| made))
    }
}

/// The machine's roots (`SSL_CERT_FILE` names others), or Mozilla's where there are none, as in a bare container.
fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
