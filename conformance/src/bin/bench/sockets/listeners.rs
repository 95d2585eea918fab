//! One conversation over Socket.IO: connection 0 speaks, the others listen. Whether the speaker is told its own messages is the server's
//! affair: they are not counted.

use anyhow::{Result, bail, ensure};

use super::login::{Client, log_in};
use super::socketio::{self, MESSAGE, MessageFrame, TEXT, Text, To};
use crate::arrivals::GENTLE;
use crate::bare::{self, Bare, FanOut, Task};
use crate::deliveries::{Drive, Fan, Tally};
use crate::frame;
use crate::net::{Conns, Load, Net, Speaks};
use crate::options::Options;
use crate::request::{FIRST_NUMBER, run_word};
use crate::scan::Key;
use crate::stage::Served;

/// Another than that of the load over WebSocket, whose followers are no members.
pub const CONVERSATION: &str = "help";

/// The load.
pub struct Listeners {
    frame: MessageFrame,
    next_number: u64,
    unacked: usize,
    has_acks: bool,
    tally: Tally,
    text: Key,
    /// The first message as it came to a listener.
    sample: Vec<u8>,
}

/// Speaker and listeners, in the conversation: the server's first accounts.
pub fn connect(server: Served<'_>, listeners: usize, options: &Options) -> Result<Drive<Listeners>> {
    let mut net = Net::new(server.target)?;
    let of = |number: usize| Client { token: &server.accounts[number].token, joins: Some(CONVERSATION) };
    let clients: Vec<Client<'_>> = (0..=listeners).map(of).collect();
    log_in(&mut net, &clients, GENTLE)?;
    let frame = MessageFrame::new(To::Conversation(CONVERSATION), &run_word(), options.body_bytes);
    Ok(Drive { net, load: Listeners::new(frame, true, vec![FIRST_NUMBER; listeners]), pid: server.pid, bare: None })
}

/// The same listeners at a bare writer that joins `group` messages of the same bytes.
pub fn bare(server: &Drive<Listeners>, group: usize) -> Result<Drive<Listeners>> {
    let readers = server.load.tally.subscribers();
    let frame = server.load.frame.clone();
    let message = bare::Message::numbered(frame::unmasked_text(&server.load.sample), TEXT)?;
    let bare = Bare::start(&Task::FanOut(FanOut { readers, group, request_bytes: frame.len(), has_acks: false, message }))?;
    let mut net = Net::new(bare.address())?;
    for _ in 0..=readers {
        net.conns().open(Speaks::WebSocket)?;
    }
    let load = Listeners::new(frame, false, vec![bare::FIRST_SEQ; readers]);
    Ok(Drive { net, load, pid: bare.pid(), bare: Some(bare) })
}

impl Listeners {
    fn new(frame: MessageFrame, has_acks: bool, next_numbers: Vec<u64>) -> Listeners {
        let tally = Tally::new(next_numbers);
        Listeners { frame, next_number: FIRST_NUMBER, unacked: 0, has_acks, tally, text: Key::new(TEXT), sample: Vec::new() }
    }

    /// Bytes of a message to a listener.
    pub fn message_bytes(&self) -> usize {
        self.sample.len()
    }

    /// What is no message to a listener.
    fn other(&mut self, conns: &mut Conns, id: usize, payload: &[u8]) -> Result<()> {
        match socketio::heard(conns, id, payload)? {
            Text::Ack(_) if id == 0 && self.unacked > 0 => {
                self.unacked -= 1;
                Ok(())
            }
            // Who is there; the speaker's own messages.
            Text::Event | Text::Nothing => Ok(()),
            text @ (Text::Open | Text::Connected | Text::Ack(_)) => bail!("connection {id} got {text:?}"),
        }
    }
}

impl Fan for Listeners {
    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn send(&mut self, conns: &mut Conns) {
        conns.queue(0, self.frame.numbered(self.next_number));
        self.next_number += 1;
        self.unacked += usize::from(self.has_acks);
        self.tally.outstanding += 1;
    }

    fn is_done(&self) -> bool {
        self.tally.outstanding == 0 && self.unacked == 0
    }
}

impl Load for Listeners {
    #[inline]
    fn text(&mut self, conns: &mut Conns, id: usize, payload: &[u8]) -> Result<()> {
        let number = if id > 0 && payload.starts_with(MESSAGE) { self.text.number(payload) } else { None };
        let Some(number) = number else {
            return self.other(conns, id, payload);
        };
        if self.sample.is_empty() {
            ensure!(memchr::memmem::find(payload, CONVERSATION.as_bytes()).is_some(), "{}", crate::rpc::shown(payload));
            self.sample = payload.to_vec();
        }
        if self.tally.received(id - 1, number)? {
            self.send(conns);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two listeners, and a speaker that has said so many.
    fn room(said: usize) -> (Net, Listeners) {
        let mut net = Net::new(([127, 0, 0, 1], 1).into()).expect("a loop");
        for _ in 0..3 {
            net.conns().open(Speaks::WebSocket).expect("a connection");
        }
        let frame = MessageFrame::new(To::Conversation(CONVERSATION), "run", 20);
        let mut room = Listeners::new(frame, true, vec![FIRST_NUMBER; 2]);
        for _ in 0..said {
            room.send(net.conns());
        }
        (net, room)
    }

    fn message(number: u64) -> String {
        format!(r#"42["message",{{"conversation":"help","message":"{}xx","senderId":"a"}}]"#, FIRST_NUMBER + number)
    }

    #[test]
    fn it_is_over_when_everyone_has_everything_and_the_speaker_its_acks() {
        let (mut net, mut room) = room(2);
        for number in 0..2 {
            for id in [1, 2, 0] {
                assert!(!room.is_done());
                room.text(net.conns(), id, message(number).as_bytes()).expect("what is due");
            }
        }
        for number in 0..2 {
            assert!(!room.is_done());
            let ack = format!(r#"43{}[{{"ok":true}}]"#, FIRST_NUMBER + number);
            room.text(net.conns(), 0, ack.as_bytes()).expect("an ack");
        }
        assert!(room.is_done());
        assert!(room.text(net.conns(), 0, br#"431000000001[{"ok":true}]"#).is_err(), "one ack too many");
    }

    #[test]
    fn a_message_again_or_too_early_is_the_end() {
        let (mut net, mut room) = room(2);
        room.text(net.conns(), 1, message(0).as_bytes()).expect("what is due");
        assert!(room.text(net.conns(), 1, message(0).as_bytes()).is_err(), "again");
        assert!(room.text(net.conns(), 2, message(1).as_bytes()).is_err(), "a hole");
    }
}
