//! Certificates as operators have them: none, their own, broken ones.

use std::os::unix::fs::PermissionsExt as _;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::*;

fn own_files(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("tls/cert.pem"), dir.join("tls/key.pem"))
}

/// Whether a client that trusts the certificate in `trusted` gets through to a server with `config` under `name`.
fn shakes_hands(config: Arc<ServerConfig>, trusted: &Path, name: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let client = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut server = ServerConnection::new(config).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        if server.process_new_packets().is_err() {
            return false;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut wire.as_slice()).unwrap();
        if client.process_new_packets().is_err() {
            return false;
        }
    }
    true
}

#[test]
fn the_first_start_makes_one_for_all_names() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["chat.example.org".to_owned(), "10.1.2.3".to_owned(), "localhost".to_owned()];
    let certificates = Certificates::open(dir.path(), None, &names).unwrap();
    let (certificate, key) = own_files(dir.path());
    assert_eq!(certificates.path(), certificate);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(dir.path().join("tls")).unwrap().permissions().mode() & 0o777, 0o700);
    for name in ["localhost", "127.0.0.1", "::1", "chat.example.org", "10.1.2.3"] {
        assert!(shakes_hands(certificates.config(), &certificate, name), "{name}");
    }
    assert!(!shakes_hands(certificates.config(), &certificate, "evil.example"));
    let before = fs::read(&certificate).unwrap();
    Certificates::open(dir.path(), None, &names).unwrap();
    assert_eq!(fs::read(&certificate).unwrap(), before, "the second start finds it");
}

#[test]
fn new_files_are_taken_and_broken_ones_are_not() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (certificate, key) = own_files(dir.path());
    let (new_certificate, new_key) = own_files(other.path());
    let certificates = Certificates::open(dir.path(), None, &[]).unwrap();
    Certificates::open(other.path(), None, &[]).unwrap();
    let old = dir.path().join("old.pem");
    fs::copy(&certificate, &old).unwrap();

    fs::write(&certificate, "garbage").unwrap();
    assert!(matches!(certificates.reload(), Err(TlsError::Pem { path, .. }) if path == certificate));
    fs::copy(&new_certificate, &certificate).unwrap();
    assert!(matches!(certificates.reload(), Err(TlsError::Unusable { .. })), "the key is another one's");
    assert!(shakes_hands(certificates.config(), &old, "localhost"), "the old one stays");

    fs::copy(&new_key, &key).unwrap();
    certificates.reload().unwrap();
    assert!(shakes_hands(certificates.config(), &new_certificate, "localhost"));
    assert!(!shakes_hands(certificates.config(), &old, "localhost"));
}

#[test]
fn configured_files_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.pem");
    let error = Certificates::open(dir.path(), Some((missing.clone(), missing)), &[]).err().unwrap();
    assert!(error.to_string().contains("missing.pem"), "{error}");
    assert!(!dir.path().join("tls").exists(), "nothing is made in their place");
}
