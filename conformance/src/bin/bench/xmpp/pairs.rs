//! Two-person chats: how long from one person to the other at a fixed rate, and how many messages at most.

use anyhow::{Result, bail};
use serde_json::json;

use super::login::{Client, log_in};
use super::peer_note;
use super::scram::Keys;
use super::server::{self, DOMAIN, Server};
use super::stanza::{MessageFrame, Stanza, pong};
use crate::arrivals::GENTLE;
use crate::bare::BODY;
use crate::chatter::Chatter;
use crate::drive::{Drive, Time};
use crate::net::{Conns, Net};
use crate::options::Options;
use crate::pairs;
use crate::report::{Report, Table};
use crate::request::{FIRST_NUMBER, run_word};
use crate::scan::Key;
use crate::speech::{Heard, Speech};

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let chats = options.clients_or(1_000);
    let servers = server::start(options, &[], chats * 2)?;
    if let Some(stage) = servers.iter().find_map(Server::stage) {
        stage.direct_chats(chats)?;
    }
    let names: Vec<&str> = servers.iter().map(Server::name).collect();
    let mut drives = servers.iter().map(|server| connect(server, chats, options)).collect::<Result<Vec<_>>>()?;
    let time = Time::new(options.warmup_s, options.seconds_or(10.0));
    let mut table = Table::new(&pairs::HEADERS);
    let all = pairs::beside(&mut drives, &names, time, options, &mut table)?;
    let note = format!(
        "{chats} two-person chats, {} connections with presence, no carbons, no acks asked for, default limits unless --set; told: due → \
         the partner has it; {}",
        chats * 2,
        peer_note(&servers)
    );
    report.add("xmpp_pairs", &note, &table, json!(all));
    Ok(())
}

/// Two people per chat, one after the other: partners' numbers differ in the last bit.
fn connect(server: &Server, chats: usize, options: &Options) -> Result<Drive<Chat>> {
    let people = chats * 2;
    let mut net = Net::new(server.plain()?)?;
    let clients: Vec<Client> = (0..people).map(|person| Client::new(server, person, people, server.credential()).available()).collect();
    let conns = log_in(&mut net, &clients, &mut Keys::default(), GENTLE)?.conns();
    let run = run_word();
    let frame = |person: usize| {
        let partner = server.user(person ^ 1, people, server.credential()).name;
        MessageFrame::new(&format!("{partner}@{DOMAIN}"), "chat", &run, options.body_bytes)
    };
    let speech = Chat { frames: (0..people).map(frame).collect(), body: Key::new(BODY) };
    Ok(Drive::server(net, Chatter::with(speech, conns, true, FIRST_NUMBER), server.pid()?))
}

/// What a chatter says and hears over XMPP: a message of the type `chat`, told to the partner and to nobody else.
struct Chat {
    frames: Vec<MessageFrame>,
    body: Key,
}

impl Speech for Chat {
    const HAS_ECHO: bool = false;
    const HAS_ACKS: bool = false;

    fn senders(&self) -> usize {
        self.frames.len()
    }

    fn say(&mut self, sender: usize, number: u64) -> &[u8] {
        self.frames[sender].numbered(number)
    }

    fn stanza(&mut self, conns: &mut Conns, id: usize, sender: usize, stanza: &Stanza<'_>) -> Result<Heard> {
        if stanza.is_error() {
            bail!("sender {sender} was refused: {}", stanza.shown());
        }
        if !stanza.is("message") {
            if let Some(pong) = pong(stanza) {
                conns.queue(id, &pong);
            }
            return Ok(Heard::Nothing);
        }
        match self.body.number(stanza.bytes) {
            // What an earlier run on this data left unread.
            Some(_) if stanza.has("<delay ") => Ok(Heard::Nothing),
            Some(number) => Ok(Heard::Told(number)),
            None => Ok(Heard::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::super::stanza;
    use super::*;

    fn heard(bytes: &str) -> Result<Heard> {
        let mut net = Net::new(([127, 0, 0, 1], 1).into())?;
        let stanza = stanza::first(bytes.as_bytes())?.context("a whole stanza")?;
        Chat { frames: Vec::new(), body: Key::new(BODY) }.stanza(net.conns(), 0, 0, &stanza)
    }

    #[test]
    fn a_message_is_told_and_a_refusal_is_the_end() {
        let message = "<message from='a@localhost/b' type='chat'><body>1000000007xx</body></message>";
        assert_eq!(heard(message).expect("a message"), Heard::Told(1_000_000_007));
        assert_eq!(heard("<presence from='a@localhost/b'/>").expect("presence"), Heard::Nothing);
        let late = message.replace("</message>", "<delay xmlns='urn:xmpp:delay'/></message>");
        assert_eq!(heard(&late).expect("an old message"), Heard::Nothing);
        assert!(heard(&message.replace("'chat'", "'error'")).is_err());
    }
}
