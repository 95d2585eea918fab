//! Requests to a server of this machine that says what the story wants.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use rustls::crypto::ring;

use super::*;

const SOON: Bounds = Bounds { timeout: Duration::from_secs(5), body_bytes: 1000, needs_body: true };

/// A server that takes one request, tells what it was, gives this answer and closes; `None`: it says nothing and waits for the other to go.
async fn server(answer: Option<String>) -> (SocketAddr, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (tell, told) = oneshot::channel();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut request).await.unwrap() == 0 {
                return;
            }
        }
        let _ = tell.send(String::from_utf8(request).unwrap());
        match answer {
            // Who has heard enough may be gone.
            Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
            None => drop(stream.read(&mut [0]).await),
        }
    });
    (at, told)
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

/// Every method of an edge that may ask a webhook holds room for the asking, on each of thousands of connections.
#[test]
fn a_request_takes_little_room_of_who_waits_for_it() {
    let outward = Outward::new(true);
    let bytes = size_of_val(&outward.send(get("http://127.0.0.1/"), SOON));
    assert!(bytes <= 1024, "{bytes} bytes");
}

async fn ask(answer: &str) -> Result<Response<Bytes>, Failure> {
    let (at, _told) = server(Some(answer.to_owned())).await;
    Outward::new(true).send(get(&format!("http://{at}/")), SOON).await
}

#[tokio::test]
async fn a_request_and_its_answer() {
    let (at, told) = server(Some("HTTP/1.1 201 Created\r\ncontent-length: 2\r\nx-a: b\r\n\r\nhi".into())).await;
    let request = Request::post(format!("http://{at}/a/b?c=d")).header("x-own", "1").body(Bytes::from("body")).unwrap();
    let answer = Outward::new(true).send(request, SOON).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-a"], &answer.body()[..]), (201, &HeaderValue::from_static("b"), &b"hi"[..]));
    let told = told.await.unwrap();
    assert!(told.starts_with("POST /a/b?c=d HTTP/1.1\r\n"), "{told}");
    for header in [format!("host: {at}\r\n"), "x-own: 1\r\n".into(), "content-length: 4\r\n".into(), "user-agent: hallway/".into()] {
        assert!(told.contains(&header), "{header} in {told}");
    }
}

#[tokio::test]
async fn a_body_without_a_length_is_read_to_its_end() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_eq!(&ask(chunked).await.unwrap().into_body()[..], b"abc");
    assert_eq!(&ask("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcd").await.unwrap().into_body()[..], b"abcd");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, mut asked) = server(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into())).await;
    let answer = ask(&format!("HTTP/1.1 302 Found\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert!(asked.try_recv().is_err(), "nobody asked there");
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n";
    assert!(matches!(ask(announced).await, Err(Failure::TooLarge(1000))));
    let unannounced = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "a".repeat(1001));
    assert!(matches!(ask(&unannounced).await, Err(Failure::TooLarge(1000))));
    let exactly = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "a".repeat(1000));
    assert_eq!(ask(&exactly).await.unwrap().body().len(), 1000);
    let (at, _told) = server(Some(announced.to_owned())).await;
    let status_alone = Outward::new(true).send(get(&format!("http://{at}/")), Bounds { needs_body: false, ..SOON }).await.unwrap();
    assert_eq!((status_alone.status(), status_alone.body().len()), (StatusCode::OK, 0));
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(4 * HEAD_BYTES));
    assert!(matches!(ask(&head).await, Err(Failure::Http(_))));
}

#[tokio::test]
async fn a_status_is_had_once_it_is_said() {
    let status_alone = Bounds { timeout: Duration::from_secs(3), needs_body: false, ..SOON };
    for outward in [Outward::new(true), Outward::keeping(true, &Arc::default())] {
        for is_broken in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap();
            let serving = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1000]).await;
                let _ = stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n").await;
                while !is_broken && stream.write_all(b"a").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            let answer = outward.send(get(&format!("http://{at}/")), status_alone).await;
            assert_eq!(answer.unwrap().status(), StatusCode::CREATED);
            serving.abort();
        }
    }
}

#[tokio::test]
async fn what_is_broken_is_an_error() {
    for answer in ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"] {
        assert!(matches!(ask(answer).await, Err(Failure::Http(_))), "{answer}");
    }
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let bounds = Bounds { timeout: Duration::from_millis(50), ..SOON };
    let (silent, _told) = server(None).await;
    assert!(matches!(Outward::new(true).send(get(&format!("http://{silent}/")), bounds).await, Err(Failure::Timeout)));
    let (stops, _told) = server(None).await;
    let tls = Outward::new(true).send(get(&format!("https://{stops}/")), bounds).await;
    assert!(matches!(tls, Err(Failure::Timeout)), "{tls:?}");
}

#[tokio::test]
async fn private_addresses_only_where_they_are_allowed() {
    let (at, mut asked) = server(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into())).await;
    let strict = Outward::new(false);
    for host in [format!("127.0.0.1:{}", at.port()), format!("localhost:{}", at.port()), format!("[::ffff:127.0.0.1]:{}", at.port())] {
        let answer = strict.send(get(&format!("http://{host}/")), SOON).await;
        assert!(matches!(answer, Err(Failure::Private)), "{host}: {answer:?}");
    }
    assert!(asked.try_recv().is_err(), "nobody asked there");
    assert_eq!(Outward::new(true).send(get(&format!("http://{at}/")), SOON).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn urls_that_lead_nowhere() {
    let outward = Outward::new(true);
    for url in ["/path", "ftp://127.0.0.1/", "http://alice@127.0.0.1/", "http://alice:secret@127.0.0.1/"] {
        assert!(matches!(outward.send(get(url), SOON).await, Err(Failure::Url(_))), "{url}");
    }
}

#[tokio::test]
async fn tls_is_only_spoken_with_whom_the_roots_know() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], certified.signing_key.serialize_der().try_into().unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1000]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
            let _ = stream.shutdown().await;
        }
    });
    let stranger = Outward::new(true).send(get(&format!("https://localhost:{port}/")), SOON).await;
    assert!(matches!(stranger, Err(Failure::Tls(_))), "{stranger:?}");
    let friend = Outward::with(true, Speaks::Http1, Arc::new(Trust::with(certified.cert.pem().as_bytes()).unwrap()));
    let answer = friend.send(get(&format!("https://localhost:{port}/")), SOON).await.unwrap();
    assert_eq!(&answer.body()[..], b"hi");
    let other_name = friend.send(get(&format!("https://127.0.0.1:{port}/")), SOON).await;
    assert!(matches!(other_name, Err(Failure::Tls(_))), "{other_name:?}");
}

/// A server with TLS that speaks these protocols and answers every request with the one it came by; its certificate, in PEM.
async fn secure_server(protocols: &'static [&'static [u8]]) -> (u16, String) {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], certified.signing_key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for connection in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = hyper::service::service_fn(move |request: Request<body::Incoming>| async move {
                let said = format!("{:?} over connection {connection}", request.version());
                Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(said))))
            });
            let stream = TokioIo::new(stream);
            if is_http2 {
                let executor = hyper_util::rt::TokioExecutor::new();
                tokio::spawn(hyper::server::conn::http2::Builder::new(executor).serve_connection(stream, service));
            } else {
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
            }
        }
    });
    (port, certified.cert.pem())
}

async fn said(outward: &Outward, port: u16) -> String {
    let answer = outward.send(get(&format!("https://localhost:{port}/")), SOON).await.unwrap();
    String::from_utf8(answer.into_body().to_vec()).unwrap()
}

#[tokio::test]
async fn connections_are_kept_in_the_protocol_that_both_speak() {
    let (port, pem) = secure_server(&[b"h2", b"http/1.1"]).await;
    let trust = Arc::new(Trust::with(pem.as_bytes()).unwrap());
    for outward in [Outward::keeping(true, &trust), Outward::http2(true, &trust)] {
        let first = said(&outward, port).await;
        assert!(first.starts_with("HTTP/2.0"), "{first}");
        assert_eq!(said(&outward, port).await, first, "over the same connection");
    }
    let once = Outward::with(true, Speaks::Http1, Arc::clone(&trust));
    assert_ne!(said(&once, port).await, said(&once, port).await, "each over its own");
    let (port, pem) = secure_server(&[b"http/1.1"]).await;
    let trust = Arc::new(Trust::with(pem.as_bytes()).unwrap());
    let keeping = Outward::keeping(true, &trust);
    let first = said(&keeping, port).await;
    assert!(first.starts_with("HTTP/1.1"), "{first}");
    assert_eq!(said(&keeping, port).await, first);
    let refused = Outward::http2(true, &trust).send(get(&format!("https://localhost:{port}/")), SOON).await;
    assert!(matches!(refused, Err(Failure::Tls(_))), "{refused:?}");
}

#[tokio::test]
async fn many_at_once_open_one_connection_of_http2() {
    let (port, pem) = secure_server(&[b"h2"]).await;
    let outward = Arc::new(Outward::keeping(true, &Arc::new(Trust::with(pem.as_bytes()).unwrap())));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let outward = Arc::clone(&outward);
        asking.spawn(async move { said(&outward, port).await });
    }
    while let Some(said) = asking.join_next().await {
        assert_eq!(said.unwrap(), "HTTP/2.0 over connection 1");
    }
}

#[tokio::test]
async fn connections_without_number_are_not_kept() {
    let outward = Outward::keeping(true, &Arc::default());
    let kept = outward.kept.as_ref().unwrap();
    let mut servers = Vec::new();
    for _ in 0..kept::MAX_ORIGINS + 20 {
        let (at, told) = server(Some("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_owned())).await;
        assert_eq!(&outward.send(get(&format!("http://{at}/")), SOON).await.unwrap().body()[..], b"hi");
        servers.push(told);
    }
    assert!(kept.origins() <= kept::MAX_ORIGINS);
}
