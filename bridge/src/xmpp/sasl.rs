//! SASL (RFC 6120 §6): which mechanisms are offered on a connection, and one exchange, element by element. Who is let in is decided by the
//! hub's accounts, as on every other edge; here is what the mechanisms say and how.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use data_encoding::BASE64;
use hallway_broker::accounts::Identity;
use hallway_broker::accounts::exchange::{ChannelBinding, Exchange, Mechanism as Scram, Terms};
use hallway_broker::edges::{Login, Shown, SignIns};
use hallway_broker::hub::Hub;
use hallway_broker::reject::{Class, Reason, Reject};
use minidom::Element;

/// The namespace of SASL in XMPP.
pub const NS: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Longest message of a client, in bytes before its base64: a large token, and with it within what may come before signing in.
const MAX_MESSAGE_BYTES: usize = 7 * 1024;

/// A mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// One of SCRAM (RFC 5802, RFC 7677).
    Scram(Scram),
    /// A bearer token (RFC 7628).
    OauthBearer,
    /// The password itself (RFC 4616).
    Plain,
}

impl Mechanism {
    /// Its registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scram(scram) => scram.name(),
            Self::OauthBearer => "OAUTHBEARER",
            Self::Plain => "PLAIN",
        }
    }
}

/// Why a client is not let in (RFC 6120 §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The client gave up.
    Aborted,
    /// Its base64 is none.
    IncorrectEncoding,
    /// It wants to act for somebody else.
    InvalidAuthzid,
    /// The mechanism was not offered.
    InvalidMechanism,
    /// Not what the mechanism says next.
    MalformedRequest,
    /// Wrong, in a way that is not told further.
    NotAuthorized,
    /// The token's time is over.
    CredentialsExpired,
    /// Not now: too many failures from there, or the store is not to be had.
    TemporaryAuthFailure,
}

impl Failure {
    /// The name of its element.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
            Self::NotAuthorized => "not-authorized",
            Self::CredentialsExpired => "credentials-expired",
            Self::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}

impl From<Reject> for Failure {
    fn from(reject: Reject) -> Self {
        match (reject.reason, reject.reason.class()) {
            (Reason::TokenExpired, _) => Self::CredentialsExpired,
            (_, Class::RateLimited | Class::Unavailable) => Self::TemporaryAuthFailure,
            _ => Self::NotAuthorized,
        }
    }
}

/// What comes of an element of the client.
#[derive(Debug)]
pub enum Answer {
    /// The server's next message.
    Challenge(Vec<u8>),
    /// The client is let in; with what shows it that the server knows its password, too.
    Success(Box<Identity>, Option<Vec<u8>>),
    /// It is not. It may try again.
    Failure(Failure),
}

/// Where a client is signed in.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Passwords and tokens.
    pub sign_ins: &'a SignIns,
    /// The hub.
    pub hub: &'a Hub,
    /// The conference that the stream is addressed to.
    pub conference: &'a str,
    /// Its XMPP domain.
    pub domain: &'a str,
    /// The client's address.
    pub peer: IpAddr,
    /// Whoever is not known gets an account by their password.
    pub makes_accounts: bool,
}

/// See the module's text.
pub struct Sasl {
    bindings: Vec<ChannelBinding>,
    /// Passwords and tokens may cross the connection.
    is_private: bool,
    state: State,
}

enum State {
    /// Nothing is under way.
    Idle,
    /// The client chose, and has not said anything yet.
    Chosen(Mechanism),
    /// SCRAM waits for the client's final message.
    Proof(Box<Exchange>),
    /// A bearer token was refused, and the client was told why.
    Refused(Failure),
}

impl Sasl {
    /// For a connection that is bound by these types; `is_private` when nobody else reads it.
    #[must_use]
    pub fn new(bindings: Vec<ChannelBinding>, is_private: bool) -> Self {
        Self { bindings, is_private, state: State::Idle }
    }

    /// What is offered, the best first.
    pub fn mechanisms(&self) -> impl Iterator<Item = Mechanism> {
        let scram = Scram::ALL.into_iter().filter(|scram| !scram.plus || !self.bindings.is_empty()).map(Mechanism::Scram);
        let open = [Mechanism::OauthBearer, Mechanism::Plain].into_iter().filter(|_| self.is_private);
        scram.chain(open)
    }

    /// Carries out an element of [`NS`]: `auth`, `response` or `abort`.
    pub async fn element(&mut self, place: Place<'_>, element: &Element) -> Answer {
        let state = std::mem::replace(&mut self.state, State::Idle);
        let answer = match (element.name(), state) {
            ("auth", _) => self.begin(place, element).await,
            ("response", State::Chosen(mechanism)) => self.first(place, mechanism, message(element)).await,
            ("response", State::Proof(exchange)) => message(element).and_then(|message| proof(place, &exchange, &message)),
            // RFC 7628 §3.2.3
            ("response", State::Refused(failure)) => Err(failure),
            ("abort", _) => Err(Failure::Aborted),
            _ => Err(Failure::MalformedRequest),
        };
        answer.unwrap_or_else(Answer::Failure)
    }

    /// `<auth/>` (RFC 6120 §6.4.2).
    async fn begin(&mut self, place: Place<'_>, auth: &Element) -> Result<Answer, Failure> {
        let wanted = auth.attr("mechanism").unwrap_or_default();
        let mechanism = self.mechanisms().find(|offered| offered.name() == wanted).ok_or(Failure::InvalidMechanism)?;
        if auth.text().is_empty() {
            // No initial response: an empty challenge asks for it.
            self.state = State::Chosen(mechanism);
            return Ok(Answer::Challenge(Vec::new()));
        }
        self.first(place, mechanism, message(auth)).await
    }

    /// The client's first message.
    async fn first(&mut self, place: Place<'_>, mechanism: Mechanism, message: Result<Vec<u8>, Failure>) -> Result<Answer, Failure> {
        let message = message?;
        match mechanism {
            Mechanism::Scram(mechanism) => {
                let terms = Terms { mechanism, bindings: &self.bindings, conference: place.conference };
                let begun = place.sign_ins.accounts.begin_scram(place.hub.reader(), &terms, &message, place.peer);
                let exchange = begun?;
                let challenge = exchange.challenge().as_bytes().to_vec();
                self.state = State::Proof(Box::new(exchange));
                Ok(Answer::Challenge(challenge))
            }
            Mechanism::Plain => plain(place, &message).await,
            Mechanism::OauthBearer => match bearer(place, &message).await {
                Err(failure @ (Failure::NotAuthorized | Failure::CredentialsExpired)) => {
                    self.state = State::Refused(failure);
                    Ok(Answer::Challenge(br#"{"status":"invalid_token"}"#.to_vec()))
                }
                answer => answer,
            },
        }
    }
}

/// What an element carries; `=` is an empty message (RFC 6120 §6.4.2).
fn message(element: &Element) -> Result<Vec<u8>, Failure> {
    let text = element.text();
    let text = text.trim();
    if text == "=" {
        return Ok(Vec::new());
    }
    if text.len() > MAX_MESSAGE_BYTES * 4 / 3 {
        return Err(Failure::MalformedRequest);
    }
    BASE64.decode(text.as_bytes()).map_err(|_| Failure::IncorrectEncoding)
}

fn proof(place: Place<'_>, exchange: &Exchange, message: &[u8]) -> Result<Answer, Failure> {
    let finished = place.sign_ins.accounts.finish_scram(place.hub.reader(), exchange, message, place.peer);
    let (identity, signature) = finished?;
    Ok(Answer::Success(Box::new(identity), Some(signature.into_bytes())))
}

/// RFC 4616: `[authzid] NUL authcid NUL password`.
async fn plain(place: Place<'_>, message: &[u8]) -> Result<Answer, Failure> {
    let text = std::str::from_utf8(message).map_err(|_| Failure::MalformedRequest)?;
    let mut parts = text.split('\0');
    let (Some(authzid), Some(name), Some(secret), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Failure::MalformedRequest);
    };
    let name = local(place, name);
    if !authzid.is_empty() && local(place, authzid) != name {
        return Err(Failure::InvalidAuthzid);
    }
    let Place { hub, conference, peer, makes_accounts, .. } = place;
    let login = Login { name: Some(name), conference, secret, peer, makes_accounts };
    Ok(Answer::Success(Box::new(place.sign_ins.by_secret(hub, &login).await?), None))
}

/// RFC 7628 §3.1: a GS2 header, then key–value pairs between separators.
async fn bearer(place: Place<'_>, message: &[u8]) -> Result<Answer, Failure> {
    let text = std::str::from_utf8(message).map_err(|_| Failure::MalformedRequest)?;
    let (header, pairs) = text.split_once('\x01').ok_or(Failure::MalformedRequest)?;
    let mut header = header.split(',');
    // No channel is bound by this mechanism.
    let (Some("n" | "y"), Some(authzid), Some("")) = (header.next(), header.next(), header.next()) else {
        return Err(Failure::MalformedRequest);
    };
    let said = pairs.split('\x01').find_map(|pair| pair.strip_prefix("auth=")).ok_or(Failure::MalformedRequest)?;
    let (scheme, token) = said.split_once(' ').ok_or(Failure::MalformedRequest)?;
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Failure::NotAuthorized);
    }
    let identity = place.sign_ins.identify(place.hub, Shown::Token(token.trim()), Some(place.conference)).await?;
    match authzid.strip_prefix("a=") {
        None if authzid.is_empty() => {}
        Some(authzid) if local(place, authzid) == identity.uid.as_str() => {}
        _ => return Err(Failure::InvalidAuthzid),
    }
    Ok(Answer::Success(Box::new(identity), None))
}

/// A user name without the domain that it is one of.
fn local<'n>(place: Place<'_>, name: &'n str) -> &'n str {
    name.split_once('@').filter(|(_, domain)| *domain == place.domain).map_or(name, |(local, _)| local)
}
