//! The link to the other server: the component's stream (XEP-0114 §3), and when it is tried again.

use std::time::Duration;

use minidom::Element;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::ComponentOptions;
use crate::xmpp::stream::{Bounds, Framing, Incoming, StreamReader, ns};
use crate::xmpp::write::Writer;

/// The content namespace of components.
const COMPONENT: &str = "jabber:component:accept";
/// How long it may take until the server has let the component in.
const PATIENCE: Duration = Duration::from_secs(15);
/// Read at once.
const CHUNK_BYTES: usize = 16_384;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum NoLink {
    /// The connection.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The server closed it.
    #[error("the server closed the connection")]
    Closed,
    /// It took too long.
    #[error("the server did not answer in {} s", PATIENCE.as_secs())]
    TooLate,
    /// It does not speak the protocol.
    #[error("the server does not speak the component protocol: {0}")]
    Protocol(String),
    /// The server ended the stream, for this.
    #[error("{}", in_words(.0))]
    Stream(String),
}

/// What a stream error of the server means for who runs this.
fn in_words(condition: &str) -> String {
    match condition {
        "not-authorized" => "the server refuses the secret: it has to be the same in its configuration and in xmpp.components".into(),
        "conflict" => "another component is connected to the server for this domain already".into(),
        "host-unknown" => "the server has no component of this domain: it has to be in its configuration".into(),
        other => format!("the server ended the stream: {other}"),
    }
}

/// A stream that the server has let in.
pub struct Link {
    /// Its connection.
    pub stream: TcpStream,
    reader: StreamReader,
    buffer: Vec<u8>,
}

/// Connects and signs in.
///
/// # Errors
/// [`NoLink`].
pub async fn connect(options: &ComponentOptions, bounds: Bounds) -> Result<Link, NoLink> {
    tokio::time::timeout(PATIENCE, negotiate(options, bounds)).await.unwrap_or(Err(NoLink::TooLate))
}

async fn negotiate(options: &ComponentOptions, bounds: Bounds) -> Result<Link, NoLink> {
    let stream = TcpStream::connect(&options.server).await?;
    stream.set_nodelay(true)?;
    let reader = StreamReader::new(Framing::Tcp, bounds).reading(COMPONENT);
    let mut link = Link { stream, reader, buffer: Vec::new() };
    let mut header = b"<?xml version='1.0'?>".to_vec();
    let mut xml = Writer::new(&mut header);
    xml.open("stream:stream", COMPONENT).attr("xmlns:stream", ns::STREAMS).attr("to", &options.domain).inside();
    link.write(&header).await?;
    let id = match link.wait().await? {
        Incoming::Open(header) => header.id.ok_or_else(|| NoLink::Protocol("the stream has no id".into()))?,
        _ => return Err(NoLink::Protocol("there is no stream header".into())),
    };
    let mut answer = Vec::new();
    Writer::new(&mut answer).open_child("handshake").inside().text(&handshake(&id, &options.secret)).close("handshake");
    link.write(&answer).await?;
    match link.wait().await? {
        Incoming::Stanza(element) if element.name() == "handshake" => Ok(link),
        Incoming::Stanza(element) => Err(NoLink::Protocol(format!("instead of a handshake came {}", element.name()))),
        _ => Err(NoLink::Closed),
    }
}

/// The proof of the secret (XEP-0114 §3): hexadecimal, lower case.
fn handshake(id: &str, secret: &str) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{id}{secret}").as_bytes());
    data_encoding::HEXLOWER.encode(hash.as_ref())
}

impl Link {
    /// Writes all of it, while signing in.
    async fn write(&self, mut bytes: &[u8]) -> Result<(), NoLink> {
        while !bytes.is_empty() {
            self.stream.ready(Interest::WRITABLE).await?;
            bytes = &bytes[self.try_write(bytes)?..];
        }
        Ok(())
    }

    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize, NoLink> {
        match self.stream.try_write(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(0),
            written => Ok(written?),
        }
    }

    async fn wait(&mut self) -> Result<Incoming, NoLink> {
        loop {
            if let Some(incoming) = self.next()? {
                return Ok(incoming);
            }
            self.stream.ready(Interest::READABLE).await?;
        }
    }

    /// The next that came, if anything has.
    ///
    /// # Errors
    /// The connection is broken, or the server ended the stream.
    pub fn next(&mut self) -> Result<Option<Incoming>, NoLink> {
        loop {
            let mut rest = self.buffer.as_slice();
            let found = self.reader.next(&mut rest).map_err(|error| NoLink::Protocol(error.text.into()))?;
            let used = self.buffer.len() - rest.len();
            self.buffer.drain(..used);
            match found {
                Some(Incoming::Stanza(element)) if element.is("error", ns::STREAMS) => return Err(NoLink::Stream(condition(&element))),
                Some(Incoming::Close) => return Err(NoLink::Closed),
                Some(incoming) => return Ok(Some(incoming)),
                None => {}
            }
            self.buffer.resize(CHUNK_BYTES, 0);
            let read = self.stream.try_read(&mut self.buffer);
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(NoLink::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The condition of a stream error (RFC 6120 §4.9.2).
fn condition(error: &Element) -> String {
    let found = error.children().find(|child| child.has_ns(ns::STREAM_ERRORS) && child.name() != "text");
    found.map_or_else(|| "undefined-condition".to_owned(), |child| child.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_xep() {
        // XEP-0114 §3, example 3, has no secret; this one is of the hash's definition.
        assert_eq!(handshake("3BF96D32", "test"), {
            let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, b"3BF96D32test");
            hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        });
    }
}
