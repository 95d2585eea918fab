//! A device: what its user has read of each conversation, kept over connections, and the connection that it has now. What it is given is
//! checked here, frame by frame.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::recent::Published;
use hallway_broker::registry::Refill;

use crate::followers::Everything;
use crate::link::{Seen, SimLink};
use crate::truth::Truth;

/// A device of a user.
pub struct Device {
    pub conf: u32,
    pub uid: Uid,
    /// The last seq read of each conversation, by number.
    pub read: BTreeMap<u32, u64>,
    /// Inbox entries read.
    pub inbox: BTreeSet<u64>,
    pub conn: Option<Conn>,
    /// Follows everything, and nothing by name.
    pub all: bool,
}

/// A subscription as the client knows it.
pub struct Follow {
    /// Until an unsubscription, or the client's own removal.
    pub on: bool,
    pub echo: bool,
    /// The state's end when its right to read was checked.
    pub checked: u64,
    /// Left and come back on one connection: events of the first time may still come, and are told from others by their seq.
    pub again: bool,
}

/// A subscription under way on the server.
pub enum Step {
    /// Registered; to be checked again.
    Registered,
    /// Checked; the conference's end to be read.
    Checked,
    /// The conversation's head to be read.
    Ended { end: u64 },
    /// The page to be read.
    Headed { end: u64, head: hallway_broker::model::Head },
    /// To be settled.
    Paged { end: u64, head: hallway_broker::model::Head, page: hallway_broker::reader::Page },
}

/// A subscription under way.
pub struct Subscribing {
    pub id: ConversationId,
    pub conv: u32,
    pub after: Option<u64>,
    pub echo: bool,
    pub step: Step,
    pub checked: u64,
}

/// A refill under way.
pub enum Refilling {
    /// To be read.
    Wanted(Refill),
    /// To be given.
    Read(Vec<Arc<Published>>, u64),
}

/// A connection and its session on the server.
pub struct Conn {
    pub shard: usize,
    pub slot: u32,
    pub id: u64,
    pub link: SimLink,
    /// The server's side.
    pub subscribing: Option<Subscribing>,
    pub refilling: Option<Refilling>,
    pub blocked: bool,
    /// The socket takes nothing until then.
    pub stalled_until: u64,
    /// The client's side.
    pub follows: BTreeMap<u32, Follow>,
    pub inbox_last: Option<u64>,
    /// Follows everything.
    pub all: Option<Everything>,
}

/// What a request came to, found by the tag in its answer's frame.
pub enum Reply {
    /// A command's answer.
    Command(usize, hallway_broker::queue::Answer),
    /// A subscription's.
    Subscribed { conv: u32, after: Option<u64>, echo: bool, checked: u64, head: u64, events: Vec<Seen>, complete: bool },
    /// Events of the inbox above a seq.
    Inbox(Vec<Seen>),
    /// A refusal of a subscription.
    Refused(u32),
    /// No longer subscribed.
    Unsubscribed(u32),
}

impl Device {
    /// A device that has read nothing.
    pub fn new(conf: u32, uid: Uid, all: bool) -> Self {
        Self { conf, uid, read: BTreeMap::new(), inbox: BTreeSet::new(), conn: None, all }
    }

    /// A subscription's answer: what was missed, without a gap after what was asked for.
    pub fn subscribed(&mut self, reply: Reply, truth: &Truth) {
        let Reply::Subscribed { conv, after, echo, checked, head, events, complete } = reply else { return };
        let Some(conn) = &mut self.conn else { return };
        let again = conn.follows.contains_key(&conv);
        let mut read = after.unwrap_or(head);
        if after.is_some() {
            for seen in &events {
                assert_eq!(seen.seq, read + 1, "a gap in the catch-up of {} in {conv}: {seen:?}", self.uid);
                read = seen.seq;
            }
        }
        assert!(!complete || after.is_none() || read >= head.min(read), "complete, but not up to the head");
        if let (Some(_), Some(told)) = (after, truth.told.get(&(self.conf, conv))) {
            assert!(read <= told.events.len() as u64, "a catch-up of what was never said");
        }
        let entry = self.read.entry(conv).or_default();
        *entry = if again { read.max(*entry) } else { read };
        conn.follows.insert(conv, Follow { on: true, echo, checked, again });
    }

    /// An event came.
    pub fn event(&mut self, seen: &Seen, truth: &Truth) {
        let Some(conn) = &mut self.conn else { return };
        assert_eq!(seen.conf, self.conf, "an event of another conference: {seen:?}");
        let told = &truth.told[&(seen.conf, seen.conv)];
        if told.id.inbox_owner().is_some() {
            assert_eq!(told.id.inbox_owner().as_ref(), Some(&self.uid), "another's inbox: {seen:?}");
            if let Some(last) = conn.inbox_last {
                assert_eq!(seen.seq, last + 1, "a hole or a repetition in the live inbox of {}: {seen:?}", self.uid);
            }
            conn.inbox_last = Some(seen.seq);
            self.inbox.insert(seen.seq);
            return;
        }
        if let Some(all) = &mut conn.all {
            return all.event(seen);
        }
        let Some(follow) = conn.follows.get_mut(&seen.conv) else {
            panic!("{} does not follow this: {seen:?}", self.uid);
        };
        let read = self.read.entry(seen.conv).or_default();
        if seen.seq <= *read {
            assert!(follow.again || !follow.on, "again to {} (read up to {read}): {seen:?}", self.uid);
            return;
        }
        // Who was put out and asked in again while it lagged learns of it with a gap before: it goes on from where it was when it comes back.
        let out = truth.silent_above(seen.conf, seen.conv, &self.uid, u64::MAX, 0).is_some();
        if out && seen.kind == "member" && seen.seq > *read + 1 && truth.ends(seen, &self.uid) {
            follow.on = false;
            return;
        }
        // What an erased account is still given until its sessions end need not be whole: it never comes back.
        if truth.erased.contains_key(&(self.conf, self.uid.clone())) {
            return;
        }
        for missing in *read + 1..seen.seq {
            let own = truth.said(seen.conf, seen.conv, missing).is_some_and(|said| said.event.origin == conn.id);
            assert!(own && !follow.echo, "a hole before {}: seq {missing} is missing (read up to {read}): {seen:?}", self.uid);
        }
        *read = seen.seq;
        if truth.ends(seen, &self.uid) && seen.pos > follow.checked {
            follow.on = false;
        }
    }

    /// Inbox entries were read.
    pub fn inbox_page(&mut self, events: &[Seen]) {
        self.inbox.extend(events.iter().map(|seen| seen.seq));
    }

    /// The highest seq of the inbox up to which nothing is missing.
    pub fn inbox_read(&self) -> u64 {
        (1..).zip(&self.inbox).take_while(|(at, seq)| *at == **seq).count() as u64
    }
}
