//! One room: connection 0 speaks, the others listen. The speaker, an occupant too, is told its own messages.

use anyhow::{Context as _, Result, bail, ensure};

use super::login::{Client, log_in};
use super::scram::Keys;
use super::server::{ROOM, Server};
use super::stanza::{MessageFrame, Stanza, pong};
use crate::arrivals::GENTLE;
use crate::bare::{self, Bare, FanOut, Task};
use crate::deliveries::{Drive, Fan, Tally};
use crate::net::{Conns, Load, Net, Speaks};
use crate::options::Options;
use crate::request::{FIRST_NUMBER, run_word};
use crate::scan::Key;

/// The load.
pub struct Occupants {
    frame: MessageFrame,
    next_number: u64,
    /// The speaker's own messages that it was not told yet; the bare writer tells it none.
    unheard: usize,
    hears_itself: bool,
    tally: Tally,
    body: Key,
    /// The first message as it came to an occupant.
    sample: Vec<u8>,
}

/// Speaker and listeners, in the room.
pub fn connect(server: &Server, listeners: usize, options: &Options) -> Result<Drive<Occupants>> {
    let mut net = Net::new(server.plain()?)?;
    let of = |number| Client::new(server, number, listeners + 1, server.credential()).in_room();
    let clients: Vec<Client> = (0..=listeners).map(of).collect();
    // The first makes the room, where it is not there.
    log_in(&mut net, &clients[..1], &mut Keys::default(), 1)?;
    log_in(&mut net, &clients[1..], &mut Keys::default(), GENTLE)?;
    let frame = MessageFrame::new(ROOM, "groupchat", &run_word(), options.body_bytes);
    let load = Occupants::new(frame, true, vec![FIRST_NUMBER; listeners]);
    Ok(Drive { net, load, pid: server.pid()?, bare: None })
}

/// The same listeners at a bare writer that joins `group` messages of the same bytes.
pub fn bare(server: &Drive<Occupants>, group: usize) -> Result<Drive<Occupants>> {
    let readers = server.load.tally.subscribers();
    let frame = server.load.frame.clone();
    let message = bare::Message::numbered(server.load.sample.clone(), bare::BODY)?;
    let bare = Bare::start(&Task::FanOut(FanOut { readers, group, request_bytes: frame.len(), has_acks: false, message }))?;
    let mut net = Net::new(bare.address())?;
    for _ in 0..=readers {
        net.conns().open(Speaks::Xmpp)?;
    }
    let load = Occupants::new(frame, false, vec![bare::FIRST_SEQ; readers]);
    Ok(Drive { net, load, pid: bare.pid(), bare: Some(bare) })
}

impl Occupants {
    fn new(frame: MessageFrame, hears_itself: bool, next_numbers: Vec<u64>) -> Occupants {
        Occupants {
            frame,
            next_number: FIRST_NUMBER,
            unheard: 0,
            hears_itself,
            tally: Tally::new(next_numbers),
            body: Key::new(bare::BODY),
            sample: Vec::new(),
        }
    }

    /// Bytes of a message to an occupant.
    pub fn message_bytes(&self) -> usize {
        self.sample.len()
    }

    /// Whether the first message had the id that the room's archive knows it by (XEP-0359).
    pub fn is_archived(&self) -> bool {
        memchr::memmem::find(&self.sample, b"<stanza-id").is_some()
    }

    fn own(&mut self, number: u64) -> Result<()> {
        let expected = self.next_number - self.unheard as u64;
        ensure!(self.unheard > 0 && number == expected, "the speaker got message {number} where {expected} must come");
        self.unheard -= 1;
        Ok(())
    }

    /// What is no message of the speaker's.
    fn other(conns: &mut Conns, id: usize, stanza: &Stanza<'_>) -> Result<()> {
        if let Some(pong) = pong(stanza) {
            conns.queue(id, &pong);
            return Ok(());
        }
        // Presence of those who come, and the room's subject.
        let is_known = stanza.is("presence") || (stanza.is("message") && !stanza.has("<body"));
        ensure!(is_known && !stanza.is_error(), "occupant {id} got {}", stanza.shown());
        Ok(())
    }
}

impl Fan for Occupants {
    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn send(&mut self, conns: &mut Conns) {
        conns.queue(0, self.frame.numbered(self.next_number));
        self.next_number += 1;
        self.unheard += usize::from(self.hears_itself);
        self.tally.outstanding += 1;
    }

    fn is_done(&self) -> bool {
        self.tally.outstanding == 0 && self.unheard == 0
    }
}

impl Load for Occupants {
    #[inline]
    fn stanza(&mut self, conns: &mut Conns, id: usize, stanza: &Stanza<'_>) -> Result<()> {
        let number = if stanza.bytes.starts_with(b"<message") { self.body.number(stanza.bytes) } else { None };
        match (number, id) {
            (None, _) => Occupants::other(conns, id, stanza),
            // A refusal has the refused text.
            (Some(_), 0) if stanza.is_error() => bail!("the speaker was refused: {}", stanza.shown()),
            (Some(number), 0) => self.own(number),
            (Some(number), _) => {
                if self.sample.is_empty() {
                    ensure!(stanza.attribute("from").context("a message from nobody")?.starts_with(ROOM), "{}", stanza.shown());
                    self.sample = stanza.bytes.to_vec();
                }
                if self.tally.received(id - 1, number)? {
                    self.send(conns);
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stanza;
    use super::*;

    /// Two listeners that begin with the first number, and a speaker that has said so many.
    fn room(said: usize) -> (Net, Occupants) {
        let mut net = Net::new(([127, 0, 0, 1], 1).into()).expect("a loop");
        for _ in 0..3 {
            net.conns().open(Speaks::Xmpp).expect("a connection");
        }
        let frame = MessageFrame::new(ROOM, "groupchat", "run", 20);
        let mut room = Occupants::new(frame, true, vec![FIRST_NUMBER; 2]);
        for _ in 0..said {
            room.send(net.conns());
        }
        (net, room)
    }

    fn tell(net: &mut Net, room: &mut Occupants, id: usize, bytes: &str) -> Result<()> {
        let stanza = stanza::first(bytes.as_bytes())?.context("a whole stanza")?;
        room.stanza(net.conns(), id, &stanza)
    }

    fn message(number: u64) -> String {
        format!("<message from='{ROOM}/a' type='groupchat'><body>{}xx</body><stanza-id/></message>", FIRST_NUMBER + number)
    }

    #[test]
    fn it_is_over_when_everyone_has_everything_the_speaker_too() {
        let (mut net, mut room) = room(2);
        for number in 0..2 {
            for id in [1, 2, 0] {
                assert!(!room.is_done());
                tell(&mut net, &mut room, id, &message(number)).expect("what is due");
            }
        }
        assert!(room.is_done() && room.is_archived());
    }

    #[test]
    fn a_message_again_or_too_early_or_refused_is_the_end() {
        for id in [0, 1] {
            let (mut net, mut room) = room(2);
            tell(&mut net, &mut room, id, &message(0)).expect("what is due");
            assert!(tell(&mut net, &mut room, id, &message(0)).is_err(), "again, to {id}");
        }
        for id in [0, 1] {
            let (mut net, mut room) = room(2);
            assert!(tell(&mut net, &mut room, id, &message(1)).is_err(), "a hole, to {id}");
        }
        let (mut net, mut room) = room(1);
        let refused = message(0).replace("groupchat", "error");
        assert!(tell(&mut net, &mut room, 0, &refused).is_err());
        assert!(tell(&mut net, &mut room, 1, "<message type='error'><error/></message>").is_err());
        tell(&mut net, &mut room, 1, "<presence from='lobby@rooms.localhost/a'/>").expect("who comes");
    }
}
