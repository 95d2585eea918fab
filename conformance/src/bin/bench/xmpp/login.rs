//! Many XMPP connections up to the point where a load begins: signed in, bound, and what else they want.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::scram::{Exchange, Keys};
use super::server::{Credential, DOMAIN, ROOM, Server, User};
use super::stanza::{Stanza, pong};
use crate::arrivals::{Arrivals, Arriving, arrive, try_again};
use crate::net::{Conns, Load, Net, Speaks};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const ENABLE: &[u8] = b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const PRESENCE: &[u8] = b"<presence/>";
/// Its answer, whatever it is, says that the presence before it is dealt with.
const PING: &[u8] = b"<iq type='get' id='in'><ping xmlns='urn:xmpp:ping'/></iq>";

/// One connection to be.
#[derive(Debug)]
pub struct Client {
    user: User,
    resource: String,
    credential: Credential,
    is_managed: bool,
    is_available: bool,
    enters_room: bool,
}

impl Client {
    /// Of an account of so many.
    pub fn new(server: &Server, number: usize, accounts: usize, credential: Credential) -> Client {
        Client {
            user: server.user(number, accounts, credential),
            // All of a length, so that messages have their numbers in the same place.
            resource: format!("b{number:05}"),
            credential,
            is_managed: false,
            is_available: false,
            enters_room: false,
        }
    }

    /// Enables stream management (XEP-0198), with resumption.
    pub fn managed(mut self, is_managed: bool) -> Client {
        self.is_managed = is_managed;
        self
    }

    /// Sends its presence, so that it gets what is sent to its bare address.
    pub fn available(mut self) -> Client {
        self.is_available = true;
        self
    }

    /// Enters [`ROOM`] without its history.
    pub fn in_room(mut self) -> Client {
        self.enters_room = true;
        self
    }

    /// What names a mechanism, with its initial response.
    fn auth(&self, exchange: Option<&Exchange>) -> String {
        let User { name, secret } = &self.user;
        let (mechanism, initial) = match (self.credential, exchange) {
            (Credential::Scram, Some(exchange)) => ("SCRAM-SHA-1", exchange.first()),
            (Credential::Token, _) => ("OAUTHBEARER", format!("n,a={name}@{DOMAIN},\x01auth=Bearer {secret}\x01\x01")),
            _ => ("PLAIN", format!("\0{name}\0{secret}")),
        };
        format!("<auth xmlns='{SASL}' mechanism='{mechanism}'>{}</auth>", BASE64.encode(initial))
    }

    fn bind(&self) -> String {
        let resource = &self.resource;
        format!("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>")
    }

    fn join(&self) -> String {
        let nick = &self.user.name;
        format!("<presence to='{ROOM}/{nick}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>")
    }
}

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Features,
    Challenge,
    Success,
    FeaturesAgain,
    Bind,
    Enabled,
    Presence,
    Subject,
    In,
}

fn header() -> String {
    let namespaces = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";
    format!("<?xml version='1.0'?><stream:stream to='{DOMAIN}' {namespaces} version='1.0'>")
}

/// Lets all clients in, `at_once` at a time. The connections' numbers follow on those that `net` has.
pub fn log_in(net: &mut Net, clients: &[Client], keys: &mut Keys, at_once: usize) -> Result<Arrivals> {
    let progress = clients.iter().map(|_| Progress { step: Step::Features, was_answered: false, exchange: None }).collect();
    let mut load = LoggingIn { clients, progress, keys, header: header(), arrivals: Arrivals::new(net, clients.len()) };
    arrive(net, &mut load, Speaks::Xmpp, at_once)?;
    Ok(load.arrivals)
}

struct Progress {
    step: Step,
    was_answered: bool,
    exchange: Option<Exchange>,
}

struct LoggingIn<'a> {
    clients: &'a [Client],
    /// By client.
    progress: Vec<Progress>,
    keys: &'a mut Keys,
    header: String,
    arrivals: Arrivals,
}

impl Arriving for LoggingIn<'_> {
    fn arrivals(&mut self) -> &mut Arrivals {
        &mut self.arrivals
    }

    fn greet(&mut self, conns: &mut Conns, id: usize) {
        conns.queue(id, self.header.as_bytes());
    }
}

impl LoggingIn<'_> {
    fn go_on(&mut self, conns: &mut Conns, id: usize, number: usize, stanza: &Stanza<'_>) -> Result<()> {
        let client = &self.clients[number];
        let progress = &mut self.progress[number];
        progress.step = match progress.step {
            Step::Features if stanza.is("stream:features") => {
                let is_scram = client.credential == Credential::Scram;
                progress.exchange = is_scram.then(|| Exchange::new(&client.user.name));
                conns.queue(id, client.auth(progress.exchange.as_ref()).as_bytes());
                if is_scram { Step::Challenge } else { Step::Success }
            }
            Step::Challenge if stanza.is("challenge") => {
                let challenge = decoded(stanza)?;
                let exchange = progress.exchange.as_mut().context("a challenge without an exchange")?;
                let answer = exchange.answer(&challenge, &client.user.secret, self.keys)?;
                conns.queue(id, format!("<response xmlns='{SASL}'>{}</response>", BASE64.encode(answer)).as_bytes());
                Step::Success
            }
            Step::Success if stanza.is("success") => {
                if let Some(exchange) = progress.exchange.take() {
                    exchange.check(&decoded(stanza)?)?;
                }
                conns.queue(id, self.header.as_bytes());
                Step::FeaturesAgain
            }
            Step::FeaturesAgain if stanza.is("stream:features") => {
                conns.queue(id, client.bind().as_bytes());
                Step::Bind
            }
            Step::Bind if stanza.is("iq") && stanza.attribute("id") == Some("bind") => {
                if client.is_managed {
                    conns.queue(id, ENABLE);
                    Step::Enabled
                } else {
                    announce(client, conns, id)
                }
            }
            Step::Enabled if stanza.is("enabled") => announce(client, conns, id),
            Step::Presence if stanza.is("iq") && stanza.attribute("id") == Some("in") => enter(client, conns, id),
            Step::Subject if stanza.is("message") && stanza.has("<subject") => Step::In,
            Step::Presence | Step::Subject | Step::In if !stanza.is("failure") => return Ok(()),
            step => bail!("client {number} waits for {step:?} and got {}", stanza.shown()),
        };
        if progress.step == Step::In {
            self.arrivals.is_in(conns);
        }
        Ok(())
    }
}

fn decoded(stanza: &Stanza<'_>) -> Result<String> {
    Ok(String::from_utf8(BASE64.decode(stanza.text())?)?)
}

fn announce(client: &Client, conns: &mut Conns, id: usize) -> Step {
    if !client.is_available {
        return enter(client, conns, id);
    }
    conns.queue(id, PRESENCE);
    conns.queue(id, PING);
    Step::Presence
}

fn enter(client: &Client, conns: &mut Conns, id: usize) -> Step {
    if !client.enters_room {
        return Step::In;
    }
    conns.queue(id, client.join().as_bytes());
    Step::Subject
}

impl Load for LoggingIn<'_> {
    fn stanza(&mut self, conns: &mut Conns, id: usize, stanza: &Stanza<'_>) -> Result<()> {
        if let Some(pong) = pong(stanza) {
            conns.queue(id, &pong);
            return Ok(());
        }
        let Some(number) = self.arrivals.client(id) else {
            return Ok(());
        };
        self.progress[number].was_answered = true;
        if stanza.is("?xml") || stanza.is("stream:stream") {
            return Ok(());
        }
        // A ping may be unknown; everything else must not fail.
        let is_ping = stanza.is("iq") && stanza.attribute("id") == Some("in");
        ensure!(is_ping || !stanza.is_error(), "client {number} is refused: {}", stanza.shown());
        self.go_on(conns, id, number, stanza)
    }

    fn closed(&mut self, conns: &mut Conns, id: usize, spoke: Speaks, why: &str) -> Result<()> {
        let was_answered = self.arrivals.client(id).is_none_or(|client| self.progress[client].was_answered);
        ensure!(!was_answered, "connection {id} ended: {why}");
        try_again(conns, id, spoke, why, &mut self.arrivals.retries)?;
        self.greet(conns, id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(credential: Credential, secret: &str) -> String {
        let user = User { name: "alice".into(), secret: secret.into() };
        let client = Client { user, resource: "b0".into(), credential, is_managed: false, is_available: false, enters_room: false };
        let exchange = Exchange::new("alice");
        let auth = client.auth((credential == Credential::Scram).then_some(&exchange));
        let initial = auth.split(['>', '<']).nth(2).expect("an initial response").to_owned();
        String::from_utf8(BASE64.decode(initial).expect("base64")).expect("UTF-8")
    }

    #[test]
    fn the_first_words_of_each_mechanism() {
        assert_eq!(auth(Credential::Password, "secret"), "\0alice\0secret");
        assert_eq!(auth(Credential::Token, "hw_1"), "n,a=alice@localhost,\x01auth=Bearer hw_1\x01\x01");
        let scram = auth(Credential::Scram, "secret");
        let nonce = scram.strip_prefix("n,,n=alice,r=").expect("the client's first message");
        assert!(nonce.len() == 32 && !nonce.contains(','), "{nonce}");
    }
}
