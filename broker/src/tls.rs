//! The server's certificate: from files, or self-signed at the first start. All TLS listeners have the same.

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::ring::digest;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use crate::clock::{Clock as _, SystemClock};

/// Names that a self-signed certificate is always for.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// How long a self-signed certificate is good for, ten years: nobody renews it.
const SELF_SIGNED_DAYS: u32 = 3652;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file without what is looked for.
    #[error("{}: there is no {what} in PEM in it", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// Certificate and key do not go together, or cannot be used.
    #[error("{} cannot be used with its key: {error}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why not.
        error: rustls::Error,
    },
    /// No self-signed certificate could be made.
    #[error("cannot make a self-signed certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// A certificate, as connections use it.
#[derive(Clone)]
pub struct Current {
    /// What TLS is spoken with.
    pub config: Arc<ServerConfig>,
    /// What SCRAM binds to by `tls-server-end-point` (RFC 5929 §4): the certificate's hash; `None` when its signature has no hash of its own.
    pub end_point: Option<Arc<[u8]>>,
}

/// See the module's text.
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

impl Certificates {
    /// Reads the `configured` certificate and key, or those in `data_dir`/tls. When there are none, they are made: self-signed, for this
    /// machine and `names`.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(data_dir: &Path, configured: Option<(PathBuf, PathBuf)>, names: &[String]) -> Result<Arc<Self>, TlsError> {
        let (certificate, key) = match configured {
            Some(files) => files,
            None => own(&data_dir.join("tls"), names)?,
        };
        let current = RwLock::new(read(&certificate, &key)?);
        Ok(Arc::new(Self { certificate, key, current }))
    }

    /// What new connections use.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current().config
    }

    /// The same, with what such connections are bound by.
    #[must_use]
    pub fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again, for new connections. When they are broken, what was read before stays.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let current = read(&self.certificate, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    /// Where the certificate is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.certificate
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::File { path: path.to_owned(), error })
}

fn read(certificate: &Path, key: &Path) -> Result<Current, TlsError> {
    let missing = |path: &Path, what| TlsError::Pem { path: path.to_owned(), what };
    let unusable = |error| TlsError::Unusable { path: certificate.to_owned(), error };
    let chain = CertificateDer::pem_slice_iter(&contents(certificate)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| missing(certificate, "certificate"))?;
    let end_point = chain.first().and_then(|certificate| end_point(certificate));
    let secret = PrivateKeyDer::from_pem_slice(&contents(key)?).map_err(|_| missing(key, "private key"))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, secret).map_err(unusable)?;
    // A venue that comes back resumes, which costs no signature. Clients keep their tickets: nothing is stored here.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ring::Ticketer::new().map_err(unusable)?;
    config.send_tls13_tickets = 1;
    Ok(Current { config: Arc::new(config), end_point })
}

/// Where in a certificate its signature's algorithm is named, at the latest: after version and serial number (RFC 5280 §4.1).
const ALGORITHM_WITHIN: usize = 96;

/// The hash of a certificate by the hash function of its signature, or SHA-256 in place of the broken ones (RFC 5929 §4.1).
fn end_point(certificate: &[u8]) -> Option<Arc<[u8]>> {
    let head = certificate.get(..ALGORITHM_WITHIN.min(certificate.len()))?;
    let names = |oid: &[u8]| head.windows(oid.len()).any(|part| part == oid);
    let (rsa, ecdsa): (&[u8], &[u8]) = (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01", b"\x2a\x86\x48\xce\x3d\x04\x03");
    let by = |rsa_number: u8, ecdsa_number: u8| names(&[rsa, &[rsa_number]].concat()) || names(&[ecdsa, &[ecdsa_number]].concat());
    let algorithm = match () {
        () if by(12, 3) => &digest::SHA384,
        () if by(13, 4) => &digest::SHA512,
        () if by(11, 2) || names(&[rsa, &[5]].concat()) || names(&[rsa, &[4]].concat()) => &digest::SHA256,
        () => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().into())
}

/// The certificate and key that the server made itself, made now when they are not there.
fn own(dir: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| TlsError::File { path: dir.to_owned(), error })?;
    let pair = KeyPair::generate()?; // ECDSA on P-256
    let signed = self_signed(names)?.self_signed(&pair)?;
    // The certificate last: with it the pair is whole.
    write(&key, 0o600, &pair.serialize_pem())?;
    write(&certificate, 0o644, &signed.pem())?;
    tracing::info!(certificate = %certificate.display(), "made a self-signed certificate");
    Ok((certificate, key))
}

fn self_signed(names: &[String]) -> Result<CertificateParams, TlsError> {
    let mut all: Vec<String> = OWN_NAMES.map(str::to_owned).to_vec();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    let mut params = CertificateParams::new(all)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Hallway, self-signed");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(SystemClock::start().now_ms());
    // A day before, since the clocks of small devices are not exact.
    params.not_before = now - DAY;
    params.not_after = now + DAY * SELF_SIGNED_DAYS;
    Ok(params)
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), TlsError> {
    let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| TlsError::File { path: path.to_owned(), error })
}
