//! The bytes of a connection: TCP, TLS on it, or the messages of a WebSocket (RFC 7395). Blocking, every read with a limit.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::tls;
use crate::wire::{self, Assembler, Decoder, Message, Opcode};

/// How long connecting and writing may take.
const WITHIN: Duration = Duration::from_secs(15);

enum Bytes {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A connection.
pub struct Link {
    bytes: Bytes,
    websocket: Option<(Decoder, Assembler)>,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Bytes of the stream, or one whole message.
    Bytes(Vec<u8>),
    /// The end.
    Closed,
    /// Nothing in that time.
    Nothing,
}

impl Link {
    /// TCP.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn tcp(to: SocketAddr) -> Result<Link> {
        let stream = TcpStream::connect_timeout(&to, WITHIN).with_context(|| format!("connecting to {to}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WITHIN))?;
        Ok(Link { bytes: Bytes::Plain(stream), websocket: None })
    }

    /// A WebSocket with the subprotocol `xmpp`.
    ///
    /// # Errors
    /// Nobody listens, or it is not accepted.
    pub fn websocket(to: SocketAddr, path: &str) -> Result<Link> {
        let mut link = Link::tcp(to)?;
        let nonce: [u8; 16] = rand::random();
        link.write(&wire::upgrade_request(&to.to_string(), path, nonce, &[("Sec-WebSocket-Protocol", "xmpp")]))?;
        let mut head = Vec::new();
        let (head, rest) = loop {
            if let Some((parsed, taken)) = wire::parse_response_head(&head)? {
                break (parsed, head.split_off(taken));
            }
            match link.read(WITHIN)? {
                Heard::Bytes(bytes) => head.extend(bytes),
                other => bail!("no answer to the upgrade: {other:?}"),
            }
        };
        wire::check_upgrade(&head, nonce)?;
        // [RFC 7395 §3.1]
        ensure!(head.header("sec-websocket-protocol") == Some("xmpp"), "the subprotocol xmpp was not accepted");
        let mut decoder = Decoder::default();
        decoder.feed(&rest);
        link.websocket = Some((decoder, Assembler::default()));
        Ok(link)
    }

    /// Begins TLS.
    ///
    /// # Errors
    /// It fails.
    pub fn into_tls(self, domain: &str) -> Result<Link> {
        let Bytes::Plain(stream) = self.bytes else { bail!("there is TLS already") };
        let session = ClientConnection::new(tls::any_certificate()?, ServerName::try_from(domain.to_owned())?)?;
        let mut tls = StreamOwned::new(session, stream);
        tls.sock.set_read_timeout(Some(WITHIN))?;
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).context("the TLS handshake")?;
        }
        Ok(Link { bytes: Bytes::Tls(Box::new(tls)), websocket: None })
    }

    /// Whether it is a WebSocket, which frames elements by itself.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.websocket.is_some()
    }

    /// Sends text: over a WebSocket as one message.
    ///
    /// # Errors
    /// The connection is gone, or the server reads nothing for 15 s.
    pub fn send(&mut self, text: &str) -> Result<()> {
        if self.is_websocket() {
            let mut frame = Vec::with_capacity(text.len() + 14);
            wire::encode(&mut frame, Opcode::Text, text.as_bytes(), rand::random());
            return self.write(&frame);
        }
        self.write(text.as_bytes())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.bytes {
            Bytes::Plain(stream) => stream.write_all(bytes)?,
            Bytes::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()?;
            }
        }
        Ok(())
    }

    /// Waits for something.
    ///
    /// # Errors
    /// The connection breaks in another way than by its end.
    pub fn hear(&mut self, within: Duration) -> Result<Heard> {
        loop {
            if let Some((decoder, assembler)) = &mut self.websocket
                && let Some(frame) = decoder.next_frame()?
            {
                match assembler.push(frame)? {
                    None | Some(Message::Pong(_) | Message::Ping(_)) => continue,
                    Some(Message::Text(text)) => return Ok(Heard::Bytes(text.into_bytes())),
                    Some(Message::Binary(_)) => bail!("a binary message from the server"), // [RFC 7395 §3.2]
                    Some(Message::Close(..)) => return Ok(Heard::Closed),
                }
            }
            match (self.read(within)?, &mut self.websocket) {
                (Heard::Bytes(bytes), Some((decoder, _))) => decoder.feed(&bytes),
                (heard, _) => return Ok(heard),
            }
        }
    }

    fn read(&mut self, within: Duration) -> Result<Heard> {
        let mut chunk = [0; 16_384];
        // A zero timeout would mean "for ever".
        let within = Some(within.max(Duration::from_millis(1)));
        let count = match &mut self.bytes {
            Bytes::Plain(stream) => {
                stream.set_read_timeout(within)?;
                stream.read(&mut chunk)
            }
            Bytes::Tls(stream) => {
                stream.sock.set_read_timeout(within)?;
                stream.read(&mut chunk)
            }
        };
        match count {
            Ok(0) => Ok(Heard::Closed),
            Ok(count) => Ok(Heard::Bytes(chunk[..count].to_vec())),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(Heard::Nothing),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof | ErrorKind::ConnectionAborted => {
                    Ok(Heard::Closed)
                }
                _ => Err(error.into()),
            },
        }
    }

    /// The socket below.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match &self.bytes {
            Bytes::Plain(stream) => stream,
            Bytes::Tls(stream) => &stream.sock,
        }
    }

    /// Cuts it without a word.
    pub fn cut(&self) {
        // When it is gone already, so much the better.
        self.socket().shutdown(Shutdown::Both).ok();
    }
}
