//! The server's side of the component protocol (XEP-0114), by hand: it says what no honest server would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::xmpp::client::PATIENCE;
use crate::xmpp::element::Element;
use crate::xmpp::split::{Piece, Splitter};

/// Where a component connects.
pub struct Server(TcpListener);

/// A component that is connected.
pub struct Component {
    stream: TcpStream,
    splitter: Splitter,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// No port is free.
    pub fn listen() -> Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Server(listener))
    }

    /// Where.
    ///
    /// # Errors
    /// The socket's.
    pub fn address(&self) -> String {
        self.0.local_addr().map_or_else(|error| error.to_string(), |address: SocketAddr| address.to_string())
    }

    /// Waits for a component and lets it in.
    ///
    /// # Errors
    /// None comes, or it does not sign in.
    pub fn accept(&self) -> Result<Component> {
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match self.0.accept() {
                Ok((stream, _)) => break stream,
                Err(_) => ensure!(Instant::now() < deadline, "no component connects"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut component = Component { stream, splitter: Splitter::default() };
        ensure!(matches!(component.next()?, Piece::Header(_)), "no header");
        component.send("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='7f'>")?;
        let Piece::Child(handshake) = component.next()? else { bail!("no handshake") };
        ensure!(handshake.starts_with("<handshake>"), "{handshake}");
        component.send("<handshake/>")?;
        Ok(component)
    }
}

impl Component {
    /// Sends XML, or what is none.
    ///
    /// # Errors
    /// The component is gone.
    pub fn send(&mut self, xml: &str) -> Result<()> {
        Ok(self.stream.write_all(xml.as_bytes())?)
    }

    fn next(&mut self) -> Result<Piece> {
        loop {
            if let Some(piece) = self.splitter.next_piece()? {
                return Ok(piece);
            }
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes).context("nothing comes")?;
            ensure!(read > 0, "the component is gone");
            self.splitter.feed(&bytes[..read]);
        }
    }

    /// Sends a stanza and waits for one that is wanted. Of what else comes, nothing is answered.
    ///
    /// # Errors
    /// None comes.
    pub fn ask(&mut self, xml: &str, wanted: impl Fn(&Element) -> bool) -> Result<Element> {
        self.send(xml)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Piece::Child(child) = self.next()? {
                let element = Element::parse(&child)?;
                if wanted(&element) {
                    return Ok(element);
                }
            }
        }
        bail!("no answer to {xml}")
    }
}
