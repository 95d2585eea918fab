//! The server's own requests to other servers: the keys of identity providers, webhooks. One client for all of them, since the same care is
//! due everywhere: a URL's host is resolved once and the connection goes to that very address, which must be a public one unless private ones
//! are allowed; redirects are answers like others and are not followed; time and size are bounded, and how many requests are under way.
//!
//! What is asked for rarely is asked over HTTP/1.1, with a connection for each request. Who sends much to the same few ([`Outward::keeping`],
//! [`Outward::http2`]) keeps its connections ([`kept`]) and speaks HTTP/2 where the other does. Whom TLS trusts is in [`trust`].

mod address;
mod kept;
#[cfg(test)]
mod tests;
mod trust;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use kept::Kept;

pub use address::is_public;
pub use hyper::{Method, Request, Response, StatusCode, Uri};
pub use trust::Trust;

/// Requests under way at once; more wait, within their time.
const MAX_UNDER_WAY: usize = 256;
/// Addresses of a host that are tried.
const MAX_ADDRESSES: usize = 4;
/// How long one of them may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Most bytes of an answer's head.
const HEAD_BYTES: usize = 32 * 1024;
/// Most headers of an answer.
const MAX_HEADERS: usize = 100;
/// How long the body of an answer may take of which the status counts, and a connection until it can be used again.
const LINGER: Duration = Duration::from_millis(250);
/// What the server calls itself.
const AGENT: &str = concat!("hallway/", env!("CARGO_PKG_VERSION"));

/// What a request may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For all of it, from the name's lookup to the answer's last byte.
    pub timeout: Duration,
    /// Most bytes of the answer's body.
    pub body_bytes: usize,
    /// An answer with more, or that breaks off, is a failure; otherwise it comes without its body: it is the status that counts.
    pub needs_body: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing that can be asked for.
    #[error("the URL cannot be used: {0}")]
    Url(&'static str),
    /// The name is not known.
    #[error("the host cannot be found: {0}")]
    Resolve(io::Error),
    /// The name leads into a private network.
    #[error("the host has no public address")]
    Private,
    /// Nobody is there.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// Who is there is not who was meant.
    #[error("no TLS: {0}")]
    Tls(io::Error),
    /// What they say is not HTTP, or breaks off.
    #[error("no HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// They say too much.
    #[error("the answer is over {0} bytes")]
    TooLarge(usize),
    /// They take too long.
    #[error("no answer in time")]
    Timeout,
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    /// 1.1.
    Http1,
    /// 2 where the other does, too; without TLS 1.1.
    Either,
    /// 2 alone; without TLS by prior knowledge (RFC 9113 §3.3).
    Http2,
}

/// See the module's text.
pub struct Outward {
    allow_private: bool,
    under_way: Semaphore,
    speaks: Speaks,
    /// Connections that stay, of who sends much.
    kept: Option<Kept>,
    trust: Arc<Trust>,
    /// Made when TLS is first spoken: the roots take memory.
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Outward {
    /// A client; `allow_private`: it may go to loopback and private addresses, too. For URLs that users bring it may not.
    #[must_use]
    pub fn new(allow_private: bool) -> Self {
        Self::with(allow_private, Speaks::Http1, Arc::default())
    }

    /// A client that keeps its connections.
    #[must_use]
    pub fn keeping(allow_private: bool, trust: &Arc<Trust>) -> Self {
        Self::with(allow_private, Speaks::Either, Arc::clone(trust))
    }

    /// A client of a service that speaks HTTP/2 alone: one connection for all requests to it.
    #[must_use]
    pub fn http2(allow_private: bool, trust: &Arc<Trust>) -> Self {
        Self::with(allow_private, Speaks::Http2, Arc::clone(trust))
    }

    fn with(allow_private: bool, speaks: Speaks, trust: Arc<Trust>) -> Self {
        let kept = (speaks != Speaks::Http1).then(Kept::default);
        Self { allow_private, under_way: Semaphore::new(MAX_UNDER_WAY), speaks, kept, trust, tls: OnceLock::new() }
    }

    /// Sends a request to its absolute URL and waits for the whole answer, whatever its status. With kept connections it may be sent twice, when the
    /// other closes a connection without an answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn send(&self, request: Request<Bytes>, bounds: Bounds) -> Result<Response<Bytes>, Failure> {
        // Boxed: who waits for it is small, and so is every method of an edge that may.
        let exchange = Box::pin(self.exchange(request, bounds));
        timeout(bounds.timeout, exchange).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn exchange(&self, request: Request<Bytes>, bounds: Bounds) -> Result<Response<Bytes>, Failure> {
        // The semaphore is never closed.
        let _under_way = self.under_way.acquire().await.map_err(|_| Failure::Timeout)?;
        let target = Target::of(request.uri())?;
        if let Some(kept) = &self.kept {
            return kept.exchange(self, &target, &request, bounds).await;
        }
        let request = target.request_once(request)?;
        let stream = connect(&self.resolve(&target).await?).await.map_err(Failure::Connect)?;
        if !target.is_secure {
            return talk(stream, request, bounds).await;
        }
        talk(self.secure(&target, stream).await?, request, bounds).await
    }

    async fn secure(&self, target: &Target, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        let name = ServerName::try_from(target.host.clone()).map_err(|_| Failure::Url("its host is no name or address"))?;
        let tls = TlsConnector::from(Arc::clone(self.tls()?));
        tls.connect(name, stream).await.map_err(Failure::Tls)
    }

    /// The addresses to try: looked up once, so that what was checked is what is connected to.
    async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>, Failure> {
        let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await.map_err(Failure::Resolve)?;
        let may = |at: &SocketAddr| self.allow_private || is_public(at.ip());
        let allowed: Vec<SocketAddr> = found.filter(may).take(MAX_ADDRESSES).collect();
        if allowed.is_empty() { Err(Failure::Private) } else { Ok(allowed) }
    }

    fn tls(&self) -> Result<&Arc<ClientConfig>, Failure> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let mut config = self.trust.config().map_err(|error| Failure::Tls(io::Error::other(error)))?.clone();
        let protocols: &[&[u8]] = match self.speaks {
            Speaks::Http1 => &[b"http/1.1"],
            Speaks::Either => &[b"h2", b"http/1.1"],
            Speaks::Http2 => &[b"h2"],
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(self.tls.get_or_init(|| Arc::new(config)))
    }
}

/// Where a URL leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Target {
    host: String,
    port: u16,
    is_secure: bool,
}

impl Target {
    fn of(url: &Uri) -> Result<Self, Failure> {
        let is_secure = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(Failure::Url("it is neither https nor http")),
        };
        let authority = url.authority().ok_or(Failure::Url("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(Failure::Url("it names a user"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        if host.is_empty() { Err(Failure::Url("it has no host")) } else { Ok(Self { host, port, is_secure }) }
    }

    /// The request as it goes over a connection of its own.
    fn request_once(&self, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = self.request(request)?;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Ok(request)
    }

    /// The request as it goes over the wire in HTTP/1.1.
    fn request(&self, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, Failure> {
        let (mut parts, body) = request.into_parts();
        let authority = parts.uri.authority().map_or(self.host.as_str(), |authority| authority.as_str());
        let host = HeaderValue::from_str(authority).map_err(|_| Failure::Url("its host is no name or address"))?;
        let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        parts.headers.insert(HOST, host);
        parts.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        parts.uri = Uri::from(path);
        Ok(Request::from_parts(parts, Full::new(body)))
    }
}

async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn talk<S>(stream: S, request: Request<Full<Bytes>>, bounds: Bounds) -> Result<Response<Bytes>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES).max_headers(MAX_HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok(Response::from_parts(head, read(body, bounds).await?))
    };
    tokio::pin!(exchange, connection);
    // Whoever drops this future drops the connection with it: nothing goes on behind its back.
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ = &mut connection => exchange.await,
    }
}

async fn read(body: body::Incoming, bounds: Bounds) -> Result<Bytes, Failure> {
    if bounds.needs_body {
        return read_all(body, bounds.body_bytes).await;
    }
    // What was said in the head stands, whatever comes of the rest. A short one is read: the connection can be used again.
    let read = timeout(LINGER, read_all(body, bounds.body_bytes)).await;
    Ok(read.ok().and_then(Result::ok).unwrap_or_default())
}

async fn read_all(body: body::Incoming, most: usize) -> Result<Bytes, Failure> {
    if body::Body::size_hint(&body).lower() > most as u64 {
        return Err(Failure::TooLarge(most));
    }
    match Limited::new(body, most).collect().await {
        Ok(read) => Ok(read.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge(most)),
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(error) => Err(Failure::Http(*error)),
            Err(error) => Err(Failure::Connect(io::Error::other(error))),
        },
    }
}
