//! A blocking XMPP client: a stream and what is negotiated on it, then elements. Every wait has a deadline.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::element::{Element, STREAMS, escape};
use super::link::{Heard, Link};
use super::sasl::{self, Mechanism, Scram};
use super::split::{Piece, Splitter};

/// How long anything that is waited for may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";

/// Where a server listens, and for which domain.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// The XMPP domain.
    pub domain: String,
    /// TCP, with STARTTLS or not.
    pub tcp: SocketAddr,
    /// TLS from the first byte.
    pub tls: SocketAddr,
    /// HTTP, with `/xmpp-websocket`.
    pub http: SocketAddr,
}

/// How to reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Without TLS.
    Tcp,
    /// TLS after `<starttls/>` (RFC 6120 §5).
    StartTls,
    /// TLS at once (XEP-0368).
    Tls,
    /// WebSocket (RFC 7395).
    WebSocket,
}

impl Over {
    /// By the name that scripts use.
    #[must_use]
    pub fn named(name: &str) -> Option<Over> {
        Some(match name {
            "tcp" => Over::Tcp,
            "starttls" => Over::StartTls,
            "tls" => Over::Tls,
            "websocket" => Over::WebSocket,
            _ => return None,
        })
    }
}

/// What a wait brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The server's header, with its attributes as written.
    Header(String),
    /// An element.
    Element(Element),
    /// The server ended its stream, the connection stands.
    End,
    /// The connection is gone.
    Closed,
    /// Nothing in that time.
    Nothing,
}

/// The server closed the connection while something was waited for: an [`std::io::Error`], as every other loss of it is.
#[must_use]
pub fn gone(what: &str) -> anyhow::Error {
    std::io::Error::new(ErrorKind::UnexpectedEof, format!("waiting for {what}: the server closed the connection")).into()
}

/// A connection.
pub struct Client {
    link: Link,
    over: Over,
    splitter: Splitter,
    messages: VecDeque<String>,
    domain: String,
    /// What was offered last.
    features: Element,
}

impl Client {
    /// Connects, and sends nothing yet.
    ///
    /// # Errors
    /// Nobody listens, or TLS or the upgrade fails.
    pub fn open(to: &Endpoints, over: Over) -> Result<Client> {
        let link = match over {
            Over::Tcp | Over::StartTls => Link::tcp(to.tcp)?,
            Over::Tls => Link::tcp(to.tls)?.into_tls(&to.domain)?,
            Over::WebSocket => Link::websocket(to.http, "/xmpp-websocket")?,
        };
        let (splitter, messages) = (Splitter::default(), VecDeque::new());
        Ok(Client { link, over, splitter, messages, domain: to.domain.clone(), features: Element::default() })
    }

    /// Connects, negotiates TLS when asked for, and waits for what is offered.
    ///
    /// # Errors
    /// As [`Client::open`], and when nothing is offered.
    pub fn greet(to: &Endpoints, over: Over) -> Result<Client> {
        let mut client = Client::open(to, over)?;
        client.start()?;
        if over == Over::StartTls {
            client = client.start_tls()?;
            client.start()?;
        }
        Ok(client)
    }

    /// Greets, signs in with SCRAM-SHA-1, which every server has, and binds a resource; the full JID.
    ///
    /// # Errors
    /// As [`Client::greet`], and when any of it is refused.
    pub fn sign_in(to: &Endpoints, over: Over, user: &str, password: &str, resource: &str) -> Result<(Client, String)> {
        let mut client = Client::greet(to, over)?;
        client.authenticate(Mechanism::ScramSha1, user, password)?;
        let jid = client.bind(resource)?;
        Ok((client, jid))
    }

    // ---- Negotiation ----

    /// Sends a header and waits for features; also the restart after signing in.
    ///
    /// # Errors
    /// Something else came.
    pub fn start(&mut self) -> Result<()> {
        self.splitter = Splitter::default();
        let domain = escape(&self.domain);
        if self.link.is_websocket() {
            self.send(&format!("<open xmlns='{FRAMING}' to='{domain}' version='1.0'/>"))?;
        } else {
            self.send(&format!(
                "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='{STREAMS}' to='{domain}' version='1.0'>"
            ))?;
        }
        match self.see(PATIENCE)? {
            Seen::Header(_) => {}
            Seen::Closed => return Err(gone("a stream header")),
            other => bail!("instead of a stream header came {other:?}"),
        }
        let features = self.expect("stream features")?;
        ensure!(features.is("features", STREAMS), "instead of features came {features}");
        self.features = features;
        Ok(())
    }

    /// What was offered last.
    #[must_use]
    pub fn features(&self) -> &Element {
        &self.features
    }

    fn start_tls(mut self) -> Result<Client> {
        self.send(&format!("<starttls xmlns='{TLS}'/>"))?;
        let answer = self.expect("an answer to <starttls/>")?;
        ensure!(answer.is("proceed", TLS), "instead of <proceed/> came {answer}");
        self.link = self.link.into_tls(&self.domain)?;
        Ok(self)
    }

    /// Signs in and restarts the stream.
    ///
    /// # Errors
    /// The server refuses, or cannot show that it knows the password.
    pub fn authenticate(&mut self, mechanism: Mechanism, user: &str, password: &str) -> Result<()> {
        let auth = |first: &str| format!("<auth xmlns='{SASL}' mechanism='{}'>{first}</auth>", mechanism.name());
        if mechanism == Mechanism::Plain {
            self.send(&auth(&sasl::plain(user, password)))?;
            self.expect_sasl("success")?;
        } else {
            let (mut scram, first) = Scram::start(mechanism, user, password);
            self.send(&auth(&first))?;
            let challenge = self.expect_sasl("challenge")?;
            self.send(&format!("<response xmlns='{SASL}'>{}</response>", scram.answer(&challenge)?))?;
            scram.verify(&self.expect_sasl("success")?)?;
        }
        self.start()
    }

    fn expect_sasl(&mut self, name: &str) -> Result<String> {
        let answer = self.expect("an answer to signing in")?;
        ensure!(answer.is(name, SASL), "instead of <{name}/> came {answer}");
        Ok(answer.text)
    }

    /// Binds a resource: the full JID.
    ///
    /// # Errors
    /// The server refuses.
    pub fn bind(&mut self, resource: &str) -> Result<String> {
        let resource = escape(resource);
        self.send(&format!("<iq type='set' id='bind'><bind xmlns='{BIND}'><resource>{resource}</resource></bind></iq>"))?;
        let answer = self.expect("an answer to <bind/>")?;
        let jid = answer.child_of("bind", BIND).and_then(|bind| bind.child("jid")).map(|jid| jid.text.clone());
        jid.filter(|_| answer.attr("type") == Some("result")).with_context(|| format!("instead of a JID came {answer}"))
    }

    // ---- Elements ----

    /// Sends XML; over WebSocket one element, whose content namespace is added when it lacks (RFC 7395 §3.3.3).
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, xml: &str) -> Result<()> {
        if self.link.is_websocket()
            && let Some(rest) = ["<message", "<presence", "<iq"].into_iter().find_map(|tag| Some((tag, xml.strip_prefix(tag)?)))
            && !xml.split('>').next().unwrap_or_default().contains("xmlns=")
        {
            return self.link.send(&format!("{} xmlns='jabber:client'{}", rest.0, rest.1));
        }
        self.link.send(xml)
    }

    /// Sends bytes of which the server may refuse a part: a connection that ends meanwhile is no error here.
    pub fn throw(&mut self, bytes: &[u8]) {
        // What the server made of it shows in what is read afterwards.
        self.link.write(bytes).ok();
    }

    /// Waits for anything.
    ///
    /// # Errors
    /// What no server may send.
    pub fn see(&mut self, within: Duration) -> Result<Seen> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(seen) = self.held()? {
                return Ok(seen);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.link.hear(left)? {
                Heard::Bytes(bytes) if self.link.is_websocket() => self.messages.push_back(String::from_utf8(bytes)?),
                Heard::Bytes(bytes) => self.splitter.feed(&bytes),
                Heard::Closed => return Ok(Seen::Closed),
                Heard::Nothing if left.is_zero() || Instant::now() >= deadline => return Ok(Seen::Nothing),
                Heard::Nothing => {}
            }
        }
    }

    fn held(&mut self) -> Result<Option<Seen>> {
        if self.link.is_websocket() {
            let Some(message) = self.messages.pop_front() else { return Ok(None) };
            let element = Element::parse(&message)?;
            return Ok(Some(match element.name.as_str() {
                "open" if element.ns == FRAMING => Seen::Header(message),
                "close" if element.ns == FRAMING => Seen::End,
                _ => Seen::Element(element),
            }));
        }
        Ok(match self.splitter.next_piece()? {
            None => None,
            Some(Piece::Header(header)) => Some(Seen::Header(header)),
            Some(Piece::Child(child)) => Some(Seen::Element(Element::parse(&child)?)),
            Some(Piece::End) => Some(Seen::End),
        })
    }

    /// The next element.
    ///
    /// # Errors
    /// None came.
    pub fn expect(&mut self, what: &str) -> Result<Element> {
        match self.see(PATIENCE)? {
            Seen::Element(element) => Ok(element),
            Seen::Closed => Err(gone(what)),
            Seen::Nothing => bail!("waiting for {what}: nothing came within {PATIENCE:?}"),
            other => bail!("waiting for {what}: {other:?}"),
        }
    }

    /// The next element that is wanted; others are passed over.
    ///
    /// # Errors
    /// None came.
    pub fn expect_where(&mut self, what: &str, mut wanted: impl FnMut(&Element) -> bool) -> Result<Element> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let element = self.expect(what)?;
            if wanted(&element) {
                return Ok(element);
            }
            ensure!(Instant::now() < deadline, "waiting for {what}: others came without end, at last {element}");
        }
    }

    /// Sends an IQ with this id, and waits for what answers it.
    ///
    /// # Errors
    /// Nothing does.
    pub fn ask(&mut self, id: &str, iq: &str) -> Result<Element> {
        self.send(iq)?;
        self.expect_where("an answer", |element| element.name == "iq" && element.attr("id") == Some(id))
    }

    /// Waits until the server ends the stream or the connection: the stream error's condition, if there was one.
    ///
    /// # Errors
    /// It does neither within the time.
    pub fn expect_end(&mut self, within: Duration) -> Result<Option<String>> {
        let deadline = Instant::now() + within;
        let mut condition = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.see(left)? {
                Seen::Element(element) if element.is("error", STREAMS) => {
                    let named = element.children.iter().find(|child| child.name != "text");
                    condition = Some(named.map(|child| child.name.clone()).unwrap_or_default());
                }
                Seen::End | Seen::Closed => return Ok(condition),
                Seen::Nothing => bail!("the stream is still open after {within:?}"),
                Seen::Header(_) | Seen::Element(_) => {}
            }
        }
    }

    /// Ends the stream and waits until the server has, too.
    ///
    /// # Errors
    /// It does not.
    pub fn close(mut self) -> Result<()> {
        let end = if self.link.is_websocket() { format!("<close xmlns='{FRAMING}'/>") } else { "</stream:stream>".into() };
        // It may be gone.
        if self.send(&end).is_ok() {
            self.expect_end(PATIENCE)?;
        }
        Ok(())
    }

    /// Cuts the connection without a word.
    pub fn cut(self) {
        self.link.cut();
    }

    /// The connection below.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// How it is connected.
    #[must_use]
    pub fn over(&self) -> Over {
        self.over
    }
}
