//! Where the fake gateways listen: TLS with a certificate of an authority made now, HTTP/1.1 and HTTP/2 as the client asks (ALPN), and nothing at all
//! while they are down.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::exchange::{Payload, Reply, Request};
use super::{World, answer, provider_of};
use crate::jwt::now;

/// A body beyond that is nobody's push.
const BODY_BYTES: usize = 1 << 20;

/// A listener on a port that stays the same, with a thread of its own. It ends with this.
#[derive(Debug)]
pub struct Listener {
    is_up: watch::Sender<bool>,
}

impl Listener {
    /// Starts to listen.
    ///
    /// # Errors
    /// There is no thread or no runtime.
    pub fn start(listener: std::net::TcpListener, world: Arc<World>, tls: Arc<ServerConfig>) -> Result<Listener> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let (is_up, watched) = watch::channel(true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("gateways".into()).spawn(move || runtime.block_on(run(listener, address, world, tls, watched)))?;
        Ok(Listener { is_up })
    }

    /// Listens, or refuses connections and drops those it has.
    ///
    /// # Errors
    /// Its thread is gone.
    pub fn set_up(&self, is_up: bool) -> Result<()> {
        self.is_up.send(is_up).context("the gateways' thread is gone")
    }
}

async fn run(
    first: std::net::TcpListener,
    address: SocketAddr,
    world: Arc<World>,
    tls: Arc<ServerConfig>,
    mut is_up: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let mut listener = TcpListener::from_std(first).ok();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            changed = is_up.changed() => {
                if changed.is_err() {
                    return;
                }
                listener = None;
                connections.abort_all();
                if *is_up.borrow_and_update() {
                    listener = bound(address).await;
                }
            }
            stream = next(listener.as_ref()) => {
                world.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&world)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The port again; others of this machine may have it for a moment.
async fn bound(address: SocketAddr) -> Option<TcpListener> {
    for _ in 0..50 {
        if let Ok(listener) = TcpListener::bind(address).await {
            return Some(listener);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

async fn next(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            return stream;
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, world: Arc<World>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| respond(request, Arc::clone(&world)));
    // A client that goes away in the middle is none of our business.
    if is_h2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(1000).serve_connection(TokioIo::new(stream), service).await.ok();
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
    }
}

async fn respond(request: hyper::Request<Incoming>, world: Arc<World>) -> Result<Response<Payload>, Infallible> {
    let (head, body) = request.into_parts();
    let headers =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let mut request = Request {
        version: head.version,
        method: head.method.as_str().to_owned(),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: headers.collect(),
        body: Vec::new(),
        at_s: now(),
    };
    if head.version == Version::HTTP_2 {
        request.headers.retain(|(name, _)| name != "host");
    }
    let Ok(body) = Limited::new(body, BODY_BYTES).collect().await else {
        return Ok(response(StatusCode::PAYLOAD_TOO_LARGE, Payload::Whole(None)));
    };
    request.body = body.to_bytes().to_vec();
    // What is counted ends with the answer, or when the client gives up.
    let _counted = provider_of(&request.path).map(|provider| Counted::begin(&world, provider));
    let latency = world.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match answer(&world, &request) {
        Reply::Never => std::future::pending().await,
        Reply::Of(status, headers, body) => {
            let mut answer = response(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body);
            for (name, value) in headers {
                if let Ok(value) = value.parse() {
                    answer.headers_mut().insert(name, value);
                }
            }
            Ok(answer)
        }
    }
}

fn response(status: StatusCode, body: Payload) -> Response<Payload> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// A request under way.
struct Counted(Arc<World>, super::book::Provider);

impl Counted {
    fn begin(world: &Arc<World>, provider: super::book::Provider) -> Counted {
        world.book.begin(provider);
        Counted(Arc::clone(world), provider)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.book.end(self.1);
    }
}
