//! Clients of other makers at the far end of a loopback socket whose send buffers are short: whatever it takes or gives at a time, bytes come
//! through whole and in order.

use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};

use proptest::prelude::*;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tungstenite::Message;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig};

use super::*;
use crate::tls::Certificates;

/// What both sides say, in pieces of these sizes.
#[derive(Debug, Clone)]
struct Talk {
    up: Vec<usize>,
    down: Vec<usize>,
    buffer_bytes: usize,
}

fn talks() -> impl Strategy<Value = Talk> {
    let sizes = || prop::collection::vec(prop_oneof![0..200usize, 0..70_000usize], 0..10);
    let buffers = prop_oneof![1..100usize, 1000..70_000usize, Just(64 * 1024)];
    // Each says something in any case: the handshake goes along with it, and who has read that has read the session ticket before it, so that
    // nothing is unread when the client closes.
    let something = || {
        sizes().prop_map(|mut sizes| {
            sizes.insert(0, 1);
            sizes
        })
    };
    (something(), something(), buffers).prop_map(|(up, down, buffer_bytes)| Talk { up, down, buffer_bytes })
}

/// Bytes that differ from those around them.
fn bytes(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| u8::try_from(at.wrapping_mul(31) % 251).unwrap()).collect()
}

fn all(sizes: &[usize]) -> Vec<u8> {
    bytes(0, sizes.iter().sum())
}

/// A connection with short send buffers: the server's side, and the client's.
fn pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = listener.accept().unwrap().0;
    for stream in [&server, &client] {
        SockRef::from(stream).set_send_buffer_size(5000).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    server.set_nonblocking(true).unwrap();
    (server, client)
}

fn on_a_runtime<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run)
}

/// The server's side: reads what comes, and writes what there is, until all is through.
async fn serve(transport: &Transport, talk: &Talk) -> Vec<u8> {
    let (sent, expected) = (all(&talk.down), talk.up.iter().sum());
    let mut pieces: Vec<usize> = talk.down.clone();
    let (mut written, mut received) = (0, Vec::new());
    let mut buffer = vec![0; talk.buffer_bytes];
    while received.len() < expected || written < sent.len() || transport.has_pending() {
        // A socket that is always writable never lets the runtime look what is readable.
        tokio::task::yield_now().await;
        let writes = written < sent.len() || transport.has_pending();
        let ready = transport.ready(if writes { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }).await.unwrap();
        if ready.is_readable() {
            match transport.try_read(&mut buffer) {
                Ok(0) => panic!("the end after {} of {expected} bytes", received.len()),
                Ok(read) => received.extend_from_slice(&buffer[..read]),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
            }
        }
        if ready.is_writable() && transport.flush().unwrap() {
            let piece = pieces.first().copied().unwrap_or_default();
            match transport.try_write(&sent[written..written + piece]) {
                Ok(taken) => {
                    written += taken;
                    if taken == piece && !pieces.is_empty() {
                        pieces.remove(0);
                    } else if let Some(first) = pieces.first_mut() {
                        *first -= taken;
                    }
                }
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
            }
        }
    }
    received
}

/// A certificate for localhost, and who trusts it.
static TLS: LazyLock<(Arc<Certificates>, Arc<ClientConfig>)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let certificates = Certificates::open(dir.path(), None, &[]).unwrap();
    let pem = std::fs::read(dir.path().join("tls/cert.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(&pem).map(|der: CertificateDer<'_>| der).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    (certificates, Arc::new(config))
});

fn tls_client(stream: std::net::TcpStream) -> StreamOwned<ClientConnection, std::net::TcpStream> {
    let client = ClientConnection::new(Arc::clone(&TLS.1), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(client, stream)
}

fn tls_server(stream: std::net::TcpStream) -> Transport {
    let stream = TcpStream::from_std(stream).unwrap();
    Transport::Tls(Box::new(Tls::new(stream, TLS.0.config()).unwrap()))
}

fn ws_server(stream: std::net::TcpStream, leftover: &[u8]) -> Transport {
    Transport::WebSocket(Box::new(WebSocket::new(TcpStream::from_std(stream).unwrap(), leftover, 1 << 20)))
}

fn ws_client(stream: std::net::TcpStream) -> tungstenite::WebSocket<std::net::TcpStream> {
    tungstenite::WebSocket::from_raw_socket(stream, Role::Client, Some(WebSocketConfig::default()))
}

/// Says everything, then reads everything.
fn spawn_tls_client(stream: std::net::TcpStream, talk: &Talk) -> JoinHandle<Vec<u8>> {
    let talk = talk.clone();
    thread::spawn(move || {
        let mut client = tls_client(stream);
        let mut at = 0;
        for piece in &talk.up {
            client.write_all(&bytes(at, *piece)).unwrap();
            at += piece;
        }
        client.flush().unwrap();
        let mut got = vec![0; talk.down.iter().sum()];
        client.read_exact(&mut got).unwrap();
        got
    })
}

/// Every third message comes in fragments; an empty one does not, since the server may be done before it.
fn in_fragments(number: usize, len: usize) -> bool {
    number % 3 == 2 && len > 0
}

/// The same in messages, some of them in fragments with a ping between.
fn spawn_ws_client(stream: std::net::TcpStream, talk: &Talk) -> JoinHandle<Vec<u8>> {
    let talk = talk.clone();
    thread::spawn(move || {
        let mut client = ws_client(stream);
        let mut at = 0;
        for (number, piece) in talk.up.iter().enumerate() {
            let payload = bytes(at, *piece);
            at += piece;
            if in_fragments(number, *piece) {
                let (first, second) = payload.split_at(piece / 2);
                let frame = |payload: &[u8], data, last| Message::Frame(Frame::message(payload.to_vec(), OpCode::Data(data), last));
                client.write(frame(first, Data::Binary, false)).unwrap();
                client.write(Message::Ping(vec![u8::try_from(number).unwrap()].into())).unwrap();
                client.write(frame(second, Data::Continue, true)).unwrap();
            } else {
                client.write(Message::Binary(payload.into())).unwrap();
            }
            client.flush().unwrap();
        }
        // Of many pings only the last is surely answered. All is read: what is unread when the socket closes would break the other side's reading.
        let mut last_ping = (0..talk.up.len()).rev().find(|number| in_fragments(*number, talk.up[*number]));
        let mut got = Vec::new();
        while got.len() < talk.down.iter().sum() || last_ping.is_some() {
            match client.read().unwrap() {
                Message::Binary(payload) => got.extend_from_slice(&payload),
                Message::Pong(payload) => last_ping = last_ping.filter(|number| payload[..] != [u8::try_from(*number).unwrap()]),
                other => panic!("{other:?}"),
            }
        }
        got
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn tls_brings_everything(talk in talks()) {
        let (server, client) = pair();
        let client = spawn_tls_client(client, &talk);
        let received = on_a_runtime(async { serve(&tls_server(server), &talk).await });
        prop_assert!(received == all(&talk.up));
        prop_assert!(client.join().unwrap() == all(&talk.down));
    }

    #[test]
    fn websocket_brings_everything(talk in talks()) {
        let (server, client) = pair();
        let client = spawn_ws_client(client, &talk);
        let received = on_a_runtime(async { serve(&ws_server(server, &[]), &talk).await });
        prop_assert!(received == all(&talk.up));
        prop_assert!(client.join().unwrap() == all(&talk.down));
    }

    #[test]
    fn no_bytes_panic(garbage in prop::collection::vec(any::<u8>(), 0..500), buffer_bytes in 1..300usize) {
        for tls in [true, false] {
            let (server, mut client) = pair();
            client.write_all(&garbage).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            on_a_runtime(async {
                let transport = if tls { tls_server(server) } else { ws_server(server, &[]) };
                let _ = read_to_end(&transport, buffer_bytes).await;
                transport.shutdown();
            });
        }
    }
}

/// What comes until the end, or until something is wrong.
async fn read_to_end(transport: &Transport, buffer_bytes: usize) -> (Vec<u8>, Option<io::ErrorKind>) {
    let (mut got, mut buffer) = (Vec::new(), vec![0; buffer_bytes]);
    loop {
        transport.ready(Interest::READABLE).await.unwrap();
        match transport.try_read(&mut buffer) {
            Ok(0) => return (got, None),
            Ok(read) => got.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return (got, Some(error.kind())),
        }
    }
}

/// A client's binary frame, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn what_came_behind_the_upgrade_is_read_first() {
    let (server, mut client) = pair();
    let both = [frame(0x82, b"CONN"), frame(0x82, b"ECT"), frame(0x88, &1000u16.to_be_bytes())].concat();
    let (leftover, rest) = both.split_at(13);
    client.write_all(rest).unwrap();
    let got = on_a_runtime(async { read_to_end(&ws_server(server, leftover), 5).await });
    assert_eq!(got, (b"CONNECT".to_vec(), None));
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [0x88, 2, 0x03, 0xE8], "the close is answered");
}

/// [MQTT-6.0.0-1]: text closes the connection, after what was said before it.
#[test]
fn text_is_refused() {
    let (server, mut client) = pair();
    client.write_all(&[frame(0x82, b"PING"), frame(0x81, b"hi"), frame(0x82, b"later")].concat()).unwrap();
    let got = on_a_runtime(async { read_to_end(&ws_server(server, &[]), 1000).await });
    assert_eq!(got, (b"PING".to_vec(), Some(io::ErrorKind::InvalidData)));
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer[..4], [0x88, u8::try_from(answer.len() - 2).unwrap(), 0x03, 0xEB]);
}

#[test]
fn nothing_follows_a_close() {
    let (server, mut client) = pair();
    on_a_runtime(async {
        let transport = ws_server(server, &[]);
        transport.ready(Interest::WRITABLE).await.unwrap();
        transport.shutdown();
        assert_eq!(transport.try_write(b"late").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        transport.shutdown();
    });
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [0x88, 2, 0x03, 0xE8]);
}

/// Who pings without reading costs a bounded amount, and gets the latest pong.
#[test]
fn a_flood_of_pings_is_bounded() {
    let (server, mut client) = pair();
    let flood = thread::spawn(move || {
        for number in 0..3000u32 {
            client.write_all(&frame(0x89, &number.to_be_bytes())).unwrap();
        }
        client.write_all(&frame(0x82, b"done")).unwrap();
        let (mut pongs, mut last) = ([0; 6], [0; 4]);
        while last != 2999u32.to_be_bytes() {
            client.read_exact(&mut pongs).unwrap();
            assert_eq!(pongs[..2], [0x8A, 4]);
            last.copy_from_slice(&pongs[2..]);
        }
    });
    on_a_runtime(async {
        let transport = ws_server(server, &[]);
        let Transport::WebSocket(socket) = &transport else { unreachable!() };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            transport.ready(Interest::READABLE).await.unwrap();
            let read = transport.try_read(&mut buffer);
            assert!(socket.held_bytes() < 8192, "{} bytes", socket.held_bytes());
            if read.is_ok_and(|read| buffer[..read] == *b"done") {
                break;
            }
        }
        while !transport.flush().unwrap() {
            transport.ready(Interest::WRITABLE).await.unwrap();
        }
    });
    flood.join().unwrap();
}

#[test]
fn tls_says_goodbye() {
    let (server, client) = pair();
    let client = thread::spawn(move || {
        let mut client = tls_client(client);
        client.write_all(b"hello").unwrap();
        let mut got = Vec::new();
        // Without a close_notify this is an error.
        client.read_to_end(&mut got).unwrap();
        client.conn.send_close_notify();
        client.flush().unwrap();
        got
    });
    let got = on_a_runtime(async {
        let transport = tls_server(server);
        let talk = Talk { up: vec![5], down: vec![3], buffer_bytes: 100 };
        assert_eq!(serve(&transport, &talk).await, bytes_of(b"hello"));
        transport.shutdown();
        read_to_end(&transport, 100).await
    });
    assert_eq!(got, (Vec::new(), None));
    assert_eq!(client.join().unwrap(), all(&[3]));
}

fn bytes_of(text: &[u8]) -> Vec<u8> {
    text.to_vec()
}

/// Who speaks plainly to the TLS port is told so in TLS.
#[test]
fn plain_mqtt_on_tls_gets_an_alert() {
    let (server, mut client) = pair();
    client.write_all(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test").unwrap();
    let got = on_a_runtime(async { read_to_end(&tls_server(server), 1000).await });
    assert_eq!(got, (Vec::new(), Some(io::ErrorKind::InvalidData)));
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.first(), Some(&21), "an alert record: {answer:?}");
}

/// When everything that came is read and everything is written, nothing is held.
#[test]
fn idle_connections_hold_nothing() {
    let talk = Talk { up: vec![10, 30_000], down: vec![20_000, 3], buffer_bytes: 64 * 1024 };
    for tls in [true, false] {
        let (server, client) = pair();
        let client = if tls { spawn_tls_client(client, &talk) } else { spawn_ws_client(client, &talk) };
        on_a_runtime(async {
            let transport = if tls { tls_server(server) } else { ws_server(server, &[]) };
            serve(&transport, &talk).await;
            let held = match &transport {
                Transport::Tls(tls) => tls.held_bytes(),
                Transport::WebSocket(socket) => socket.held_bytes(),
                _ => unreachable!(),
            };
            assert_eq!(held, 0);
        });
        client.join().unwrap();
    }
    assert!(size_of::<Transport>() <= 40, "{}", size_of::<Transport>());
    assert!(size_of::<WebSocket>() <= 320, "{}", size_of::<WebSocket>());
    assert!(size_of::<Tls>() <= 2048, "{}", size_of::<Tls>());
}
