//! Bodies of responses: what is there at once, a file that is read as it goes out, and a stream of events.

use std::fs::File;
use std::future::Future as _;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::events::EventsBody;

/// Bytes of a file that are read at once, and held.
const CHUNK_BYTES: u64 = 64 << 10;

/// See the module's text.
pub enum Body {
    /// All of it.
    Full(Full<Bytes>),
    /// A file.
    File(FileBody),
    /// Events, until one side ends it.
    Events(EventsBody),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Full(full) => Pin::new(full).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Self::File(file) => file.poll_frame(cx),
            Self::Events(events) => events.poll_frame(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(full) => full.is_end_stream(),
            Self::File(file) => file.at == file.end,
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(full) => full.size_hint(),
            Self::File(file) => SizeHint::with_exact(file.end - file.at),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

/// A part of a file.
pub struct FileBody {
    file: Arc<File>,
    at: u64,
    end: u64,
    /// What comes next, away from the shard.
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    /// The bytes from `at` to before `end`, which the file has.
    pub fn new(file: File, at: u64, end: u64) -> Self {
        Self { file: Arc::new(file), at, end, reading: None }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.at == self.end {
            return Poll::Ready(None);
        }
        let (file, at, length) = (&self.file, self.at, (self.end - self.at).min(CHUNK_BYTES));
        let reading = self.reading.get_or_insert_with(|| {
            let file = Arc::clone(file);
            tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; usize::try_from(length).unwrap_or_default()];
                file.read_exact_at(&mut chunk, at)?;
                Ok(chunk.into())
            })
        });
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let read = read.map_err(io::Error::other).flatten();
        Poll::Ready(Some(read.map(|bytes: Bytes| {
            self.at += bytes.len() as u64;
            Frame::data(bytes)
        })))
    }
}
