//! From the first header to a bound resource (RFC 6120 §4.3): TLS, signing in, a resource; in that order, one feature at a time. No IO: what comes
//! in is handed in, what goes out is appended, and what the connection has to do is said by [`Next`].

mod register;
#[cfg(test)]
mod tests;

use data_encoding::{BASE64, HEXLOWER};
use hallway_broker::accounts::Identity;
use hallway_broker::accounts::exchange::ChannelBinding;
use minidom::Element;

use super::management;
use super::sasl::{self, Answer, Failure, Place, Sasl};
use super::stream::{Condition, Framing, Header, Incoming, Opening, StreamError, failure, ns, write_features, write_header};
use super::write::Writer;

/// The namespace of STARTTLS (RFC 6120 §5).
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// The namespace of resource binding (RFC 6120 §7).
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// The namespace of sessions, which RFC 6121 made a formality.
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// The namespace that tells which bindings a channel has (XEP-0440).
const BINDINGS: &str = "urn:xmpp:sasl-cb:0";
/// Failed logins after which the stream ends (RFC 6120 §6.4.4 wants two at least and five at most).
const MOST_FAILURES: u8 = 5;
/// The namespace of client state indication (XEP-0352).
pub const CSI: &str = "urn:xmpp:csi:0";
/// The namespace by which roster versions are offered (RFC 6121 §2.6.1).
const ROSTER_VERSIONS: &str = "urn:xmpp:features:rosterver";
/// The language of what we say.
const LANG: &str = "en";

/// How safe the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Anybody on the way reads it. `starttls`: TLS can be had; `open`: passwords are taken nevertheless.
    Plain {
        /// TLS can be had.
        starttls: bool,
        /// Passwords are taken without it, too: in demo mode, on loopback.
        open: bool,
    },
    /// TLS, here or in front, with what the channel can be bound by.
    Tls(Vec<ChannelBinding>),
}

/// A domain that is served, and its conference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The XMPP domain.
    pub domain: String,
    /// The conference's id.
    pub conference: String,
}

/// Somebody who is in and has a resource.
#[derive(Debug)]
pub struct Bound {
    /// Who.
    pub identity: Box<Identity>,
    /// Where.
    pub host: Host,
    /// The resource that was asked for; without one the server makes one up.
    pub resource: Option<String>,
    /// The id of the request: the session answers it with [`write_bound`] when the resource is its.
    pub id: String,
}

/// Somebody who is in and wants to go on with a session (XEP-0198 §5).
#[derive(Debug)]
pub struct Resume {
    /// Who.
    pub identity: Box<Identity>,
    /// Where.
    pub host: Host,
    /// The session, as they were told when it began.
    pub previous: String,
    /// How many stanzas of it they have had.
    pub handled: u32,
}

/// What the connection does next, when what was appended is written.
#[derive(Debug)]
pub enum Next {
    /// Reads on.
    Read,
    /// Begins TLS; what was read beyond is thrown away (RFC 6120 §5.4.3.3).
    StartTls,
    /// Reads on from a new header (RFC 6120 §6.4.6).
    Restart,
    /// The session begins.
    Bound(Bound),
    /// The session of before goes on, if it is there; else the client binds a resource.
    Resume(Resume),
    /// Closes.
    Close,
}

enum Phase {
    /// Who signs in is not known yet.
    Stranger(Sasl),
    /// They have; a header is to come.
    SignedIn(Box<Identity>),
}

/// See the module's text.
pub struct Negotiation {
    framing: Framing,
    security: Security,
    hosts: Vec<Host>,
    host: Option<Host>,
    phase: Phase,
    /// Our header is out for the stream that is open.
    is_open: bool,
    failures: u8,
    /// Anybody may make an account.
    registers: bool,
    /// What the stream has besides, as written.
    more: String,
    random: fn() -> [u8; 16],
}

impl Negotiation {
    /// On a connection of that framing, for clients of these hosts, of which there is one at least. `random` makes stream ids.
    #[must_use]
    pub fn new(framing: Framing, security: Security, hosts: Vec<Host>, random: fn() -> [u8; 16]) -> Self {
        let phase = Phase::Stranger(sasl(&security));
        Self { framing, security, hosts, host: None, phase, is_open: false, failures: 0, registers: false, more: String::new(), random }
    }

    /// With features that need no negotiation, as written.
    #[must_use]
    pub fn with_features(mut self, more: String) -> Self {
        self.more = more;
        self
    }

    /// Accounts can be made, too (XEP-0077).
    #[must_use]
    pub fn registering(mut self, registers: bool) -> Self {
        self.registers = registers;
        self
    }

    /// The connection has TLS from now on; a header is to come.
    pub fn secured(&mut self, bindings: Vec<ChannelBinding>) {
        self.security = Security::Tls(bindings);
        self.phase = Phase::Stranger(sasl(&self.security));
        self.is_open = false;
    }

    /// Takes what was read; appends what goes out, each a message of its own over WebSocket. `place` says where clients of a host sign in.
    pub async fn take<'p>(&mut self, incoming: Incoming, place: impl Fn(&Host) -> Place<'p>, out: &mut Vec<Vec<u8>>) -> Next {
        let taken = match incoming {
            Incoming::Open(header) => self.open(&header, out).map(|()| Next::Read),
            Incoming::Close => {
                out.push(written(|out| super::stream::write_close(self.framing, out)));
                return Next::Close;
            }
            Incoming::Stanza(element) => self.element(&element, place, out).await,
        };
        taken.unwrap_or_else(|error| self.fail(&error, out))
    }

    /// Ends the stream with an error, of the reader's for example.
    pub fn fail(&self, error: &StreamError, out: &mut Vec<Vec<u8>>) -> Next {
        let id = self.stream_id();
        let from = self.host.as_ref().or(self.hosts.first()).map(|host| host.domain.as_str());
        let opening = Opening { id: &id, from, to: None, lang: LANG, namespace: ns::CLIENT };
        out.extend(failure(self.framing, (!self.is_open).then_some(&opening), error));
        Next::Close
    }

    fn stream_id(&self) -> String {
        HEXLOWER.encode(&(self.random)())
    }

    /// The client's header: ours, and what there is to negotiate.
    fn open(&mut self, header: &Header, out: &mut Vec<Vec<u8>>) -> Result<(), StreamError> {
        let wrong = |condition, clause, text| Err(StreamError::new(condition, clause, text));
        let of_client = self.framing == Framing::WebSocket || header.namespace.as_deref() == Some(ns::CLIENT);
        if !of_client {
            return wrong(Condition::InvalidNamespace, "RFC 6120 §4.8.2", "the content namespace is not jabber:client");
        }
        let host = match &header.to {
            Some(to) => self.hosts.iter().find(|host| host.domain.eq_ignore_ascii_case(to)).cloned(),
            None => self.hosts.first().cloned(),
        };
        let Some(host) = host.filter(|host| self.host.as_ref().is_none_or(|before| before == host)) else {
            return wrong(Condition::HostUnknown, "RFC 6120 §4.9.3.6", "this domain is not served here");
        };
        if header.version.is_none_or(|(major, _)| major < 1) {
            return wrong(Condition::UnsupportedVersion, "RFC 6120 §4.7.5", "version 1.0 is spoken here");
        }
        let id = self.stream_id();
        let opening = Opening { id: &id, from: Some(&host.domain), to: header.from.as_deref(), lang: LANG, namespace: ns::CLIENT };
        out.push(written(|out| write_header(self.framing, &opening, out)));
        self.is_open = true;
        self.host = Some(host);
        out.push(written(|out| write_features(self.framing, &self.features(), out)));
        Ok(())
    }

    fn features(&self) -> String {
        let mut out = Vec::new();
        let mut xml = Writer::new(&mut out);
        match &self.phase {
            Phase::SignedIn(_) => {
                xml.open("bind", BIND).empty();
                xml.open("sm", management::NS).empty();
                xml.open("csi", CSI).empty(); // XEP-0352 §4.1
                xml.open("ver", ROSTER_VERSIONS).empty(); // RFC 6121 §2.6.1
                // Clients of RFC 3921 ask for it unless it is optional.
                xml.open("session", SESSION).inside().open_child("optional").empty().close("session");
            }
            Phase::Stranger(sasl) => {
                if self.starttls() {
                    xml.open("starttls", TLS).inside();
                    if !self.takes_logins() {
                        xml.open_child("required").empty();
                    }
                    xml.close("starttls");
                }
                if self.takes_logins() {
                    write_mechanisms(sasl, &mut xml);
                    if self.registers {
                        xml.open("register", register::FEATURE).empty(); // XEP-0077 §4
                    }
                }
            }
        }
        if let (Phase::Stranger(_), Security::Tls(bindings)) = (&self.phase, &self.security)
            && !bindings.is_empty()
        {
            xml.open("sasl-channel-binding", BINDINGS).inside();
            for binding in bindings {
                xml.open_child("channel-binding").attr("type", binding.name).empty();
            }
            xml.close("sasl-channel-binding");
        }
        xml.written(self.more.as_bytes());
        String::from_utf8(out).unwrap_or_default()
    }

    fn starttls(&self) -> bool {
        matches!(self.security, Security::Plain { starttls: true, .. })
    }

    /// Whether anybody may sign in as the connection is.
    fn takes_logins(&self) -> bool {
        !matches!(self.security, Security::Plain { open: false, .. })
    }

    async fn element<'p>(
        &mut self,
        element: &Element,
        place: impl Fn(&Host) -> Place<'p>,
        out: &mut Vec<Vec<u8>>,
    ) -> Result<Next, StreamError> {
        let not_yet = StreamError::new(Condition::NotAuthorized, "RFC 6120 §4.9.3.12", "sign in first");
        let Some(host) = self.host.clone().filter(|_| self.is_open) else { return Err(not_yet) };
        if matches!(self.phase, Phase::SignedIn(_)) {
            return self.begin_session(element, host, out);
        }
        if element.is("starttls", TLS) {
            return Ok(self.begin_tls(out));
        }
        if element.is("iq", ns::CLIENT) && self.registers && self.takes_logins() {
            let (answer, failed) = register::answer(&place(&host), element).await;
            out.push(answer);
            return if failed { self.failed() } else { Ok(Next::Read) };
        }
        let is_sasl = element.has_ns(sasl::NS) && self.takes_logins();
        let Phase::Stranger(sasl) = &mut self.phase else { return Err(not_yet) };
        if !is_sasl {
            return Err(not_yet);
        }
        let answer = sasl.element(place(&host), element).await;
        self.signed(answer, out)
    }

    /// RFC 6120 §5.4.2.
    fn begin_tls(&self, out: &mut Vec<Vec<u8>>) -> Next {
        if self.starttls() {
            out.push(written(|out| {
                Writer::new(out).open("proceed", TLS).empty();
            }));
            return Next::StartTls;
        }
        out.push(written(|out| {
            Writer::new(out).open("failure", TLS).empty();
        }));
        out.push(written(|out| super::stream::write_close(self.framing, out)));
        Next::Close
    }

    /// What SASL came to (RFC 6120 §6.4).
    fn signed(&mut self, answer: Answer, out: &mut Vec<Vec<u8>>) -> Result<Next, StreamError> {
        out.push(Vec::new());
        let Some(message) = out.last_mut() else { return Ok(Next::Read) };
        let mut xml = Writer::new(message);
        match answer {
            Answer::Challenge(message) => {
                xml.open("challenge", sasl::NS).inside().text(&encoded(&message)).close("challenge");
                Ok(Next::Read)
            }
            // Badge readers do not chat.
            Answer::Success(identity, _) if !identity.user.role.takes_part() => {
                xml.open("failure", sasl::NS).inside().open_child(Failure::NotAuthorized.name()).empty().close("failure");
                self.failed()
            }
            Answer::Success(identity, message) => {
                xml.open("success", sasl::NS);
                match message {
                    Some(message) => xml.inside().text(&encoded(&message)).close("success"),
                    None => xml.empty(),
                };
                self.phase = Phase::SignedIn(identity);
                self.is_open = false;
                Ok(Next::Restart)
            }
            Answer::Failure(failure) => {
                xml.open("failure", sasl::NS).inside().open_child(failure.name()).empty().close("failure");
                if failure == Failure::Aborted { Ok(Next::Read) } else { self.failed() }
            }
        }
    }

    /// A login or registration failed: some more are let in.
    fn failed(&mut self) -> Result<Next, StreamError> {
        self.failures += 1;
        if self.failures >= MOST_FAILURES {
            return Err(StreamError::new(Condition::PolicyViolation, "RFC 6120 §6.4.4", "too many logins failed"));
        }
        Ok(Next::Read)
    }

    /// A resource of one's own, or the session of before (XEP-0198 §5).
    fn begin_session(&mut self, element: &Element, host: Host, out: &mut Vec<Vec<u8>>) -> Result<Next, StreamError> {
        if element.is("enable", management::NS) {
            out.push(written(|out| management::write_failed("unexpected-request", out))); // XEP-0198 §3
            return Ok(Next::Read);
        }
        if !element.is("resume", management::NS) {
            return self.bind(element, host);
        }
        let handled = element.attr("h").and_then(|handled| handled.parse().ok());
        let (Some(previous), Some(handled), Phase::SignedIn(identity)) = (element.attr("previd"), handled, &self.phase) else {
            return Err(StreamError::new(Condition::BadFormat, "XEP-0198 §5", "which session is to be resumed is not said"));
        };
        Ok(Next::Resume(Resume { identity: identity.clone(), host, previous: previous.to_owned(), handled }))
    }

    /// RFC 6120 §7.6.
    fn bind(&mut self, element: &Element, host: Host) -> Result<Next, StreamError> {
        let not_yet = StreamError::new(Condition::NotAuthorized, "RFC 6120 §7.1", "bind a resource first");
        let wanted = element.get_child("bind", BIND).filter(|_| element.is("iq", ns::CLIENT) && element.attr("type") == Some("set"));
        let (Some(bind), Some(id)) = (wanted, element.attr("id")) else { return Err(not_yet) };
        let resource = bind.get_child("resource", BIND).map(Element::text).filter(|resource| !resource.is_empty());
        let phase = std::mem::replace(&mut self.phase, Phase::Stranger(sasl(&self.security)));
        let Phase::SignedIn(identity) = phase else { return Err(not_yet) };
        Ok(Next::Bound(Bound { identity, host, resource, id: id.to_owned() }))
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn sasl(security: &Security) -> Sasl {
    match security {
        Security::Plain { open, .. } => Sasl::new(Vec::new(), *open),
        Security::Tls(bindings) => Sasl::new(bindings.clone(), true),
    }
}

/// A message's base64; an empty one is `=` where it must be told from none (RFC 6120 §6.4.2), which a challenge and a success need not.
fn encoded(message: &[u8]) -> String {
    BASE64.encode(message)
}

fn write_mechanisms(sasl: &Sasl, xml: &mut Writer<'_>) {
    xml.open("mechanisms", sasl::NS).inside();
    for mechanism in sasl.mechanisms() {
        xml.child("mechanism", mechanism.name());
    }
    xml.close("mechanisms");
}

/// Answers a request for a resource: the client is `jid` from now on (RFC 6120 §7.6.1).
pub fn write_bound(framing: Framing, id: &str, jid: &str, out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    xml.open_child("iq");
    if framing == Framing::WebSocket {
        xml.attr("xmlns", ns::CLIENT);
    }
    xml.attr("type", "result").attr("id", id).inside();
    xml.open("bind", BIND).inside().child("jid", jid).close("bind").close("iq");
}
