//! The server's certificate: from files, or made by itself at the first start; read again without a restart.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// A file without what is looked for.
    #[error("{}: no PEM of a {what} in it", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// Certificate and key do not go together, or are not usable.
    #[error("the certificate in {} cannot be used: {error}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why not.
        error: rustls::Error,
    },
    /// The self-signed certificate could not be made.
    #[error("cannot make a self-signed certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Certificate and key of all TLS listeners.
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Certificates {
    /// Reads the configured files, or those in `data_dir`/tls, which are made, self-signed for this machine and `names`, when there are none yet.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(data_dir: &Path, configured: Option<(PathBuf, PathBuf)>, names: &[String]) -> Result<Arc<Self>, TlsError> {
        let (certificate, key) = match configured {
            Some(files) => files,
            None => self_signed(data_dir, names)?,
        };
        let config = RwLock::new(read(&certificate, &key)?);
        Ok(Arc::new(Self { certificate, key, config }))
    }

    /// What new connections use.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again; when they cannot be used, what was read before stays.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = read(&self.certificate, &self.key)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let pem = |path: &Path, what| TlsError::Pem { path: path.to_owned(), what };
    let contents = |path: &Path| fs::read(path).map_err(|error| TlsError::File { path: path.to_owned(), error });
    let (chain, secret) = (contents(certificate)?, contents(key)?);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain).collect::<Result<_, _>>().map_err(|_| pem(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(pem(certificate, "certificate"));
    }
    let secret = PrivateKeyDer::from_pem_slice(&secret).map_err(|_| pem(key, "private key"))?;
    let unusable = |error| TlsError::Unusable { path: certificate.to_owned(), error };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, secret).map_err(unusable)?;
    // Tickets for a whole venue's sessions are the clients' to keep, not ours.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn self_signed(data_dir: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), TlsError> {
    let dir = data_dir.join("tls");
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|error| TlsError::File { path: dir.clone(), error })?;
    let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    all.extend(names.iter().filter(|name| !name.is_empty()).cloned());
    let made = rcgen::generate_simple_self_signed(all)?;
    write(&key, 0o600, &made.signing_key.serialize_pem())?;
    write(&certificate, 0o644, &made.cert.pem())?;
    tracing::info!(certificate = %certificate.display(), "made a self-signed certificate");
    Ok((certificate, key))
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), TlsError> {
    let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| TlsError::File { path: path.to_owned(), error })
}
