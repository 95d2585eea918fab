//! Somebody of another server as they are here: the far end of a connection like any client's, over which stanzas go in and out. One stands
//! for each of their clients, and one for their account, which hears what is said to them alone: that one says what the other server has
//! (XEP-0198), so that it is on record up to where they were told.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use hallway_broker::transport::{FarEnd, Pipe, pipe};
use minidom::Element;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::xmpp::management;
use crate::xmpp::stanza::ns::MUC_USER;
use crate::xmpp::stream::{Bounds, Framing, Incoming, StreamReader, ns, write_element};
use crate::xmpp::write::Writer;

/// Bytes that wait for the link, of one occupant: more stays in the hub.
const MAX_PIPE_BYTES: usize = 16_384;
/// Bytes of stanzas that an occupant has not taken, beyond which it is given no more.
const MAX_INWARD_BYTES: usize = 65_536;
/// Ids of what an account's clients said that are remembered.
const MAX_SAID: usize = 32;
/// Read at once.
const CHUNK_BYTES: usize = 4096;
/// What a connection's writing begins with, as far as it is read here.
const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// Which occupants have something to say.
#[derive(Default)]
pub struct Told {
    ids: RefCell<VecDeque<u64>>,
    notify: Notify,
}

impl Told {
    /// The next that has.
    pub fn next(&self) -> Option<u64> {
        self.ids.borrow_mut().pop_front()
    }

    /// This one has, still.
    pub fn again(&self, id: u64) {
        self.ids.borrow_mut().push_back(id);
        self.notify.notify_one();
    }

    /// Waits until one has.
    pub async fn wait(&self) {
        while self.ids.borrow().is_empty() {
            self.notify.notified().await;
        }
    }
}

/// See the module's text.
pub struct Occupant {
    /// The bare JID, and the resource; `None` for the account.
    pub bare: Arc<str>,
    /// See there.
    pub resource: Option<Box<str>>,
    far: FarEnd,
    reader: StreamReader,
    /// It is among those who have something to say.
    is_told: Rc<Cell<bool>>,
    /// The rooms that it is in, and its own addresses there, as the other server knows them.
    pub rooms: HashMap<Box<str>, Box<str>>,
    /// When its client last said something.
    pub last: Instant,
    /// Stanzas that the other server has.
    had: u32,
    /// Of an account: ids of what its clients said lately, and which of them it was. Who is refused has to be told there: an error that is
    /// for all clients goes to none (RFC 6121 §8.5.2.1.1).
    said: VecDeque<(Box<str>, Box<str>)>,
}

impl Occupant {
    /// An occupant, and the connection to it.
    #[must_use]
    pub fn new(id: u64, bare: &Arc<str>, resource: Option<&str>, bounds: Bounds, told: &Rc<Told>) -> (Self, Pipe) {
        let (is_told, told) = (Rc::new(Cell::new(false)), Rc::clone(told));
        let tells = Rc::clone(&is_told);
        let tell = Box::new(move || {
            if !tells.replace(true) {
                told.again(id);
            }
        });
        let (near, far) = pipe(MAX_PIPE_BYTES, tell);
        let mut reader = StreamReader::new(Framing::Tcp, bounds);
        let _ = reader.next(&mut HEADER.as_bytes());
        let (bare, resource, rooms) = (Arc::clone(bare), resource.map(Into::into), HashMap::new());
        (Self { bare, resource, far, reader, is_told, rooms, last: Instant::now(), had: 0, said: VecDeque::new() }, near)
    }

    /// Whether it stands for the account.
    #[must_use]
    pub fn is_account(&self) -> bool {
        self.resource.is_none()
    }

    /// The full JID, or the account's bare one.
    #[must_use]
    pub fn jid(&self) -> String {
        self.resource.as_ref().map_or_else(|| self.bare.to_string(), |resource| format!("{}/{resource}", self.bare))
    }

    /// The account begins: it acknowledges, and is available, though perhaps not there.
    pub fn begin_account(&self) {
        self.far.write(format!("<enable xmlns='{}'/><presence><show>xa</show></presence>", management::NS).as_bytes());
    }

    /// Gives it a stanza. False when it has too much waiting.
    #[must_use]
    pub fn give(&mut self, stanza: &Element) -> bool {
        self.last = Instant::now();
        let fits = self.far.waiting() < MAX_INWARD_BYTES;
        if fits {
            let mut bytes = Vec::with_capacity(512);
            write_element(Framing::Tcp, stanza, &mut bytes);
            self.far.write(&bytes);
        }
        fits
    }

    /// What the account says next is of this client.
    pub fn note_client(&mut self, id: Option<&str>, resource: Option<&str>) {
        let (Some(id), Some(resource), true) = (id, resource, self.is_account()) else { return };
        if self.said.len() >= MAX_SAID {
            self.said.pop_front();
        }
        self.said.push_back((id.into(), resource.into()));
    }

    /// The client whose stanza comes back with this error.
    #[must_use]
    pub fn client_of(&self, stanza: &Element) -> Option<String> {
        let id = stanza.attr("id").filter(|_| stanza.attr("type") == Some("error"))?;
        let (_, resource) = self.said.iter().rev().find(|(said, _)| **said == *id)?;
        Some(format!("{}/{resource}", self.bare))
    }

    /// A sign of life, as long as there is no link to give one.
    pub fn keep_alive(&self) {
        if self.far.waiting() == 0 {
            self.far.write(b" ");
        }
    }

    /// Its end is wanted.
    pub fn close(&self) {
        self.far.write(b"</stream:stream>");
    }

    /// The other server has so many more of its stanzas.
    pub fn has_had(&mut self, count: u32) {
        self.had = self.had.wrapping_add(count);
        if self.is_account() {
            self.acknowledge();
        }
    }

    fn acknowledge(&self) {
        let mut answer = Vec::with_capacity(48);
        Writer::new(&mut answer).open("a", management::NS).number_attr("h", self.had as usize).empty();
        self.far.write(&answer);
    }

    /// Whether it has ended and all that it said was taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.far.is_over()
    }

    /// Takes some of what is said to it: stanzas. Whether there may be more.
    pub fn take(&mut self, mut each: impl FnMut(Element)) -> bool {
        let mut chunk = [0; CHUNK_BYTES];
        self.is_told.set(true);
        let read = self.far.read(&mut chunk);
        let mut rest = chunk.get(..read).unwrap_or_default();
        while let Ok(Some(incoming)) = self.reader.next(&mut rest) {
            match incoming {
                Incoming::Stanza(element) if element.has_ns(ns::CLIENT) => each(element),
                Incoming::Stanza(element) if element.is("r", management::NS) => self.acknowledge(),
                _ => {}
            }
        }
        if read < CHUNK_BYTES {
            self.is_told.set(false);
        }
        read == CHUNK_BYTES
    }

    /// Notes which room it is in, or no more, of a stanza as it goes out.
    pub fn note_room(&mut self, stanza: &Element) {
        let is_own = |x: &Element| x.children().any(|child| child.is("status", MUC_USER) && child.attr("code") == Some("110"));
        if stanza.name() != "presence" || !stanza.get_child("x", MUC_USER).is_some_and(is_own) {
            return;
        }
        let Some((room, _)) = stanza.attr("from").and_then(|from| from.split_once('/')) else { return };
        match stanza.attr("type") {
            None => drop(self.rooms.insert(room.into(), stanza.attr("from").unwrap_or_default().into())),
            Some(_) => drop(self.rooms.remove(room)),
        }
    }
}
