//! `POST /files` and `GET /files/<capability>/<name>`: files that people attach to messages. What is served here was brought by somebody, so nothing
//! of it may act: the type is what the bytes are, never sniffed again, without scripts, and what is no picture, sound or film is only downloaded.

use std::time::Duration;

use hallway_broker::files::{Capability, percent_decoded, write_percent_encoded};
use hallway_broker::model;
use hallway_broker::reject::Reason;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EXPECT, HeaderName,
    HeaderValue,
};
use hyper::{Request, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Refusal, empty, json, refused, refused_with, set};
use super::body::{Body, FileBody};
use super::client::Client;
use super::credential::Credential;
use super::range::{Wanted, wanted};
use super::request::discard;
use super::{App, query};
use crate::rpc::Fault;
use crate::upload::Upload;

/// In each such span of time, a body must bring at least so many bytes.
const PACE: Duration = Duration::from_secs(10);
const PACE_BYTES: u64 = 32 << 10;
/// How long a body may take in any case, and bytes of it that earn it another second: it holds one of the places that all share.
const GRACE: Duration = Duration::from_secs(60);
const BYTES_PER_SECOND: u64 = 64 << 10;
/// Bytes of a refused body that are read and forgotten, so that a client that is still sending sees the answer.
const FORGOTTEN_BYTES: usize = 256 << 10;

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// A file never changes, and is for those who know its URL.
const CACHING: &str = "private, max-age=31536000, immutable";

/// Takes a file in.
pub async fn upload<A: App>(app: &A, request: Request<Incoming>) -> Answer {
    let Some(credential) = Credential::of(request.headers(), request.uri()) else { return refused(&Reason::NoSession.into()) };
    let name = query::value(request.uri(), "name").unwrap_or_default();
    // Who waits to be told to go on sends nothing that could be forgotten.
    let waits = request.headers().contains_key(EXPECT);
    let mut body = request.into_body();
    let upload = match app.upload(&credential, body.size_hint().exact()).await {
        Ok(upload) => upload,
        Err(fault) if waits => return refused(&fault),
        Err(fault) => {
            discard(&mut body, FORGOTTEN_BYTES).await;
            return refused(&fault);
        }
    };
    match bring(upload, &mut body, &name).await {
        Ok(answer) => answer,
        Err(refusal) => {
            discard(&mut body, FORGOTTEN_BYTES).await;
            *refusal
        }
    }
}

/// Reads the body to its end, as long as it comes at a pace.
async fn bring(mut upload: Upload, body: &mut Incoming, name: &str) -> Result<Answer, Refusal> {
    let mut pace = Pace::new(Instant::now());
    loop {
        match timeout_at(pace.due(), body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                let bytes = frame.into_data().unwrap_or_default();
                pace.came(bytes.len() as u64);
                upload.take(&bytes).await.map_err(|fault| refused(&fault))?;
            }
            Ok(Some(Err(_))) => return Err(refused(&Fault::invalid_request("the body broke off")).into()),
            Err(_) => {}
        }
        if !pace.is_kept(Instant::now()) {
            return Err(refused_with(StatusCode::REQUEST_TIMEOUT, &Fault::invalid_request("the body did not come in time")).into());
        }
    }
    Ok(match upload.finish(name).await {
        Ok(uploaded) => json(StatusCode::CREATED, &uploaded),
        Err(fault) => refused(&fault),
    })
}

/// How fast a body comes: never silent for long, and in the whole fast enough to leave its place to others.
struct Pace {
    start: Instant,
    bytes: u64,
    /// The end of the span of time that runs, and what came in it.
    until: Instant,
    in_span: u64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { start: now, bytes: 0, until: now + PACE, in_span: 0 }
    }

    /// By when all must have come that has not earned more time yet.
    fn end(&self) -> Instant {
        self.start + GRACE + Duration::from_millis(self.bytes * 1000 / BYTES_PER_SECOND)
    }

    /// When to look again.
    fn due(&self) -> Instant {
        self.until.min(self.end())
    }

    fn came(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.in_span += bytes;
    }

    fn is_kept(&mut self, now: Instant) -> bool {
        if now >= self.until {
            if self.in_span < PACE_BYTES {
                return false;
            }
            (self.until, self.in_span) = (now + PACE, 0);
        }
        now < self.end()
    }
}

/// Gives a file out.
pub async fn download<A: App>(app: &A, request: &Request<Incoming>, client: &Client) -> Answer {
    let named = request.uri().path().strip_prefix("/files/").and_then(|rest| rest.split_once('/'));
    let Some((capability, name)) = named.and_then(|(capability, name)| Some((Capability::parse(capability)?, percent_decoded(name)?)))
    else {
        return refused(&Reason::UnknownFile.into());
    };
    let (record, file) = match app.file(&capability, client).await {
        Ok((record, _)) if *record.name != *name => return refused(&Reason::UnknownFile.into()),
        Ok(found) => found,
        Err(fault) => return refused(&fault),
    };
    let tag = format!("\"{}\"", data_encoding::HEXLOWER.encode(&capability.id().0));
    let (status, from, to) = match wanted(request.headers(), &tag, record.bytes) {
        Wanted::All => (StatusCode::OK, 0, record.bytes),
        Wanted::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Wanted::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
        Wanted::Nothing => (StatusCode::NOT_MODIFIED, 0, 0),
    };
    let mut answer = empty(status);
    say_what_it_is(&mut answer, &record);
    put(&mut answer, ETAG, &tag);
    match status {
        StatusCode::PARTIAL_CONTENT => put(&mut answer, CONTENT_RANGE, &format!("bytes {from}-{}/{}", to - 1, record.bytes)),
        StatusCode::RANGE_NOT_SATISFIABLE => put(&mut answer, CONTENT_RANGE, &format!("bytes */{}", record.bytes)),
        _ => {}
    }
    if to > from {
        *answer.body_mut() = Body::File(FileBody::new(file, from, to));
    }
    answer
}

/// The headers that keep it from doing anything.
fn say_what_it_is(answer: &mut Answer, file: &model::File) {
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media.word()));
    set(answer, CACHE_CONTROL, CACHING);
    set(answer, ACCEPT_RANGES, "bytes");
    set(answer, CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'; frame-ancestors 'none'");
    // Pages of other origins show files, too: those that may come here at all say so by what they know.
    set(answer, RESOURCE_POLICY, "cross-origin");
    put(answer, CONTENT_DISPOSITION, &disposition(file));
}

/// RFC 6266 §4: the name in ASCII for old clients, and as it is.
fn disposition(file: &model::File) -> String {
    let how = if file.media.is_shown() { "inline" } else { "attachment" };
    let is_plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\');
    let plain: String = file.name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let mut disposition = format!("{how}; filename=\"{plain}\"; filename*=UTF-8''");
    write_percent_encoded(&file.name, &mut disposition);
    disposition
}

fn put(answer: &mut Answer, name: HeaderName, value: &str) {
    // Our own words, numbers and cleaned names: they hold no control characters.
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a body of 10 MiB holds its place that brings so many bytes each second, and whether it came to its end.
    fn held(bytes_per_second: u64) -> (u64, bool) {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for second in 1.. {
            pace.came(bytes_per_second);
            if pace.bytes >= 10 << 20 || !pace.is_kept(start + Duration::from_secs(second)) {
                return (second, pace.bytes >= 10 << 20);
            }
        }
        unreachable!()
    }

    #[tokio::test]
    async fn a_body_that_dawdles_is_given_up() {
        assert_eq!(held(1), (10, false));
        // A pace that is never silent, and would take an hour.
        assert_eq!(held(4 << 10), (64, false));
        assert_eq!(held(32 << 10), (120, false));
        assert_eq!(held(BYTES_PER_SECOND), (160, true));
        assert_eq!(held(1 << 20), (10, true));
    }
}
