//! Connections that stay. To each origin one that carries all requests at once where HTTP/2 is spoken, else as many as are under way; those that
//! nobody needs go after a while. A connection that the other side has closed meanwhile is found out by the request that goes over it: that
//! one is sent again, over a new connection, once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::{AGENT, Bounds, Failure, HEAD_BYTES, LINGER, MAX_HEADERS, Outward, Response, Speaks, Target, connect, read};

/// Connections that are kept in all; those beyond are for one request.
const MAX_KEPT: usize = 256;
/// Origins that are remembered.
pub(super) const MAX_ORIGINS: usize = 256;
/// How long a connection of HTTP/1.1 waits for the next request: servers close them after 5 s to some minutes.
const IDLE: Duration = Duration::from_secs(30);
/// After this silence of an HTTP/2 connection the other side is asked whether it is there (RFC 9113 §6.7).
const PING_AFTER: Duration = Duration::from_secs(60);
/// And how long it may take to say so.
const PING_PATIENCE: Duration = Duration::from_secs(10);
/// Largest head of an HTTP/2 answer.
const HEAD_LIST_BYTES: u32 = HEAD_BYTES as u32;

type One = http1::SendRequest<Full<Bytes>>;
type Many = http2::SendRequest<Full<Bytes>>;

/// See the module's text.
pub struct Kept {
    origins: Mutex<HashMap<Target, Arc<Origin>>>,
    places: Arc<Semaphore>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { origins: Mutex::default(), places: Arc::new(Semaphore::new(MAX_KEPT)) }
    }
}

/// The connections to one origin.
struct Origin {
    /// Whoever opens the one connection of HTTP/2: the others wait for it.
    turn: Semaphore,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    /// The connection for all, and which it is: each has a number.
    many: Option<(u64, Many)>,
    last: u64,
    /// Connections that nothing goes over, the longest idle first.
    idle: Vec<(Instant, One)>,
    /// HTTP/1.1 is spoken there.
    is_one: bool,
}

/// A connection for a request.
enum Line {
    /// For it alone.
    One(One),
    /// The one with this number, for all.
    Many(u64, Many),
}

/// A connection that is in use: unless the exchange ends well it is used for no other.
struct Lent<'o> {
    origin: &'o Origin,
    line: Option<Line>,
    /// It was there before.
    is_used: bool,
    keeps: bool,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // Given up, or it failed: the others of this connection go on, new requests take another.
        if let Some(Line::Many(number, _)) = &self.line {
            self.origin.lock().many.take_if(|(other, _)| other == number);
        }
    }
}

impl Origin {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is there.
    fn take(&self) -> Option<Line> {
        let mut lines = self.lock();
        if lines.many.take_if(|(_, many)| many.is_closed()).is_none()
            && let Some((number, many)) = &lines.many
        {
            return Some(Line::Many(*number, many.clone()));
        }
        lines.forget_old();
        while let Some((_, one)) = lines.idle.pop() {
            if one.is_ready() {
                return Some(Line::One(one));
            }
        }
        None
    }

    fn is_idle(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
    }
}

impl Lines {
    fn forget_old(&mut self) {
        let now = Instant::now();
        self.idle.retain(|(since, one)| !one.is_closed() && now < *since + IDLE);
    }

    fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.many.as_ref().is_none_or(|(_, many)| many.is_closed())
    }
}

impl Kept {
    /// Sends a request and reads its answer.
    pub async fn exchange(
        &self,
        outward: &Outward,
        target: &Target,
        request: &Request<Bytes>,
        bounds: Bounds,
    ) -> Result<Response<Bytes>, Failure> {
        let origin = self.origin(target);
        let mut lent = self.lend(outward, target, &origin).await?;
        match lent.exchange(target, request, bounds).await {
            Err(Failure::Http(_)) if lent.is_used => {
                drop(lent);
                origin.lock().idle.clear();
                self.lend(outward, target, &origin).await?.exchange(target, request, bounds).await
            }
            answer => answer,
        }
    }

    /// How many origins are remembered.
    #[cfg(test)]
    pub(super) fn origins(&self) -> usize {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn origin(&self, target: &Target) -> Arc<Origin> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = origins.get(target) {
            return Arc::clone(origin);
        }
        if origins.len() >= MAX_ORIGINS {
            forget_unused(&mut origins, false);
            if origins.len() >= MAX_ORIGINS {
                forget_unused(&mut origins, true);
            }
        }
        let origin = Arc::new(Origin { turn: Semaphore::new(1), lines: Mutex::default() });
        if origins.len() < MAX_ORIGINS {
            origins.insert(target.clone(), Arc::clone(&origin));
        }
        origin
    }

    async fn lend<'o>(&self, outward: &Outward, target: &Target, origin: &'o Origin) -> Result<Lent<'o>, Failure> {
        let lent = |line| Lent { origin, line: Some(line), is_used: true, keeps: true };
        if let Some(line) = origin.take() {
            return Ok(lent(line));
        }
        // As long as it may become one for all, one request opens it. Never closed.
        let turn = if origin.lock().is_one { None } else { origin.turn.acquire().await.ok() };
        if let Some(line) = origin.take() {
            return Ok(lent(line));
        }
        if origin.lock().is_one {
            drop(turn);
        }
        let place = self.place();
        let keeps = place.is_some();
        let line = open(outward, target, place).await?;
        let mut lines = origin.lock();
        let line = match line {
            Line::Many(_, many) => {
                lines.last += 1;
                let number = lines.last;
                if keeps {
                    lines.many = Some((number, many.clone()));
                }
                Line::Many(number, many)
            }
            Line::One(one) => {
                lines.is_one = true;
                Line::One(one)
            }
        };
        Ok(Lent { origin, line: Some(line), is_used: false, keeps })
    }

    /// A place for a connection that stays; when there is none, idle ones go for it.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = || Arc::clone(&self.places).try_acquire_owned().ok();
        place().or_else(|| {
            // What goes leaves its place a moment later: then for the next.
            forget_unused(&mut self.origins.lock().unwrap_or_else(PoisonError::into_inner), true);
            place()
        })
    }
}

/// Forgets origins that nobody is using; those, too, to which there are connections.
fn forget_unused(origins: &mut HashMap<Target, Arc<Origin>>, with_connections: bool) {
    origins.retain(|_, origin| !origin.is_idle() || !(with_connections || origin.lock().is_empty()));
}

impl Lent<'_> {
    async fn exchange(&mut self, target: &Target, request: &Request<Bytes>, bounds: Bounds) -> Result<Response<Bytes>, Failure> {
        let Some(line) = &mut self.line else { return Err(Failure::Timeout) };
        let sent = match line {
            Line::One(one) => one.send_request(target.request(request.clone())?).await,
            Line::Many(_, many) => many.send_request(as_http2(request)).await,
        };
        let (head, body) = sent?.into_parts();
        let answer = Response::from_parts(head, read(body, bounds).await?);
        if let Some(Line::One(mut one)) = self.line.take()
            && self.keeps
            && timeout(LINGER, one.ready()).await.is_ok_and(|ready| ready.is_ok())
        {
            self.origin.lock().idle.push((Instant::now(), one));
        }
        Ok(answer)
    }
}

/// The request as it goes over HTTP/2: what it is for is in its pseudo-header fields (RFC 9113 §8.3.1).
fn as_http2(request: &Request<Bytes>) -> Request<Full<Bytes>> {
    let (mut parts, body) = request.clone().into_parts();
    parts.headers.remove(HOST);
    parts.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    Request::from_parts(parts, Full::new(body))
}

/// Opens a connection and keeps it going until nobody holds it any more.
async fn open(outward: &Outward, target: &Target, place: Option<OwnedSemaphorePermit>) -> Result<Line, Failure> {
    let stream = connect(&outward.resolve(target).await?).await.map_err(Failure::Connect)?;
    // Small requests, one after the other: none is to wait for the other side's acknowledgement.
    stream.set_nodelay(true).map_err(Failure::Connect)?;
    if !target.is_secure {
        return begin(stream, outward.speaks == Speaks::Http2, place).await;
    }
    let stream = outward.secure(target, stream).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if !is_http2 && outward.speaks == Speaks::Http2 {
        return Err(Failure::Tls(std::io::Error::other("the server does not speak HTTP/2")));
    }
    begin(stream, is_http2, place).await
}

async fn begin<S>(stream: S, is_http2: bool, place: Option<OwnedSemaphorePermit>) -> Result<Line, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(stream);
    if !is_http2 {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES).max_headers(MAX_HEADERS);
        let (one, connection) = builder.handshake(stream).await?;
        tokio::spawn(async move {
            let _place = place;
            // How it ended is what the request is told that went over it.
            let _ = connection.await;
        });
        return Ok(Line::One(one));
    }
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).max_header_list_size(HEAD_LIST_BYTES);
    builder.keep_alive_interval(PING_AFTER).keep_alive_timeout(PING_PATIENCE).keep_alive_while_idle(true);
    let (many, connection) = builder.handshake(stream).await?;
    tokio::spawn(async move {
        let _place = place;
        let _ = connection.await;
    });
    Ok(Line::Many(0, many))
}
