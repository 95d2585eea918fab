//! A broker over TLS: who it is must be what it was looked for as.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use super::house::options;
use super::*;

/// Who signs the brokers' certificates.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Takes one connection at `at` as `name`; the first byte that is said to it, when TLS comes about.
fn listen(at: &str, name: &str, signed_by: &CertifiedIssuer<'static, KeyPair>) -> (SocketAddr, JoinHandle<Option<u8>>) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, signed_by).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind(at).unwrap();
    let at = listener.local_addr().unwrap();
    let taken = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(WITHIN)).unwrap();
        let mut tls = ServerConnection::new(config).unwrap();
        let mut first = [0];
        Stream::new(&mut tls, &mut socket).read_exact(&mut first).ok().map(|()| first[0])
    });
    (at, taken)
}

#[tokio::test]
async fn a_broker_is_who_it_was_looked_for_as() {
    const CONNECT: u8 = 0x10;
    let (house, ours, others) = (House::open().await, authority(), authority());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    fs::write(&file, ours.pem()).unwrap();
    for (at, name, authority, expected) in [
        ("127.0.0.1:0", "127.0.0.1", &ours, Some(CONNECT)),
        ("[::1]:0", "::1", &ours, Some(CONNECT)),
        ("127.0.0.1:0", "127.0.0.2", &ours, None),
        ("127.0.0.1:0", "broker.example.org", &ours, None),
        ("127.0.0.1:0", "127.0.0.1", &others, None),
    ] {
        let (listens, said) = listen(at, name, authority);
        let address = Address::parse(&format!("mqtts://{listens}")).unwrap();
        let options = VenueOptions { address, tls: Some(tls(Some(&file)).unwrap()), ..options(listens) };
        let venue = Venues::start(&house.hub, vec![options]);
        let said = tokio::task::spawn_blocking(|| said.join().unwrap()).await.unwrap();
        assert_eq!(said, expected, "{at} as {name}");
        venue.stop().await;
    }
}
