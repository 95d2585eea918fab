//! What is undecided: for each conversation since which message, and until when it waits. A message of a conversation that waits already costs
//! a look into a map.

use std::collections::{BTreeMap, HashMap};

use super::Moment;
use crate::ids::{ConvNo, ConversationId, Uid};
use crate::model::{Body, Event, Kind};

/// Conversations of a conference that wait at most: with more the tail is not read on until some are decided.
const MAX_UNDECIDED: usize = 16_384;
/// People named in one conversation while it waits: with more it is decided at once.
const MAX_NAMED: usize = 1024;
/// People named in all that wait: with more the tail is not read on, either.
const MAX_NAMES: usize = 65_536;

/// A conversation with messages of which it is not decided who is pushed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undecided {
    pub conv: ConvNo,
    pub conversation: ConversationId,
    pub kind: Kind,
    /// The first of the messages, and its pos.
    pub first_seq: u64,
    pub first_pos: u64,
    /// The last of them.
    pub last_seq: u64,
    /// When it is to be decided, by the server's monotonic clock.
    pub due_ms: u64,
    /// Who is named in which of them, last.
    pub named: BTreeMap<Uid, u64>,
    /// In which of them all are named, last.
    pub names_all: Option<u64>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Read up to here.
    pos: u64,
    waiting: HashMap<ConvNo, Undecided>,
    /// Conversations by the pos of their first message: about in the order in which they are due.
    order: BTreeMap<u64, ConvNo>,
    /// People named in all of them.
    names: usize,
}

impl Tail {
    /// A tail from a pos on.
    pub(super) fn new(pos: u64) -> Self {
        Self { pos, ..Self::default() }
    }

    /// Up to where it is read.
    pub(super) fn pos(&self) -> u64 {
        self.pos
    }

    /// It is read up to there.
    pub(super) fn reach(&mut self, pos: u64) {
        self.pos = self.pos.max(pos);
    }

    /// Up to where everything is decided.
    pub(super) fn floor(&self) -> u64 {
        self.order.first_key_value().map_or(self.pos, |(first, _)| self.pos.min(first - 1))
    }

    /// Whether no more is to be read now.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_UNDECIDED || self.names >= MAX_NAMES
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether somebody could be pushed an event.
    pub(super) fn concerns(event: &Event) -> bool {
        matches!(event.entry.body, Body::Message(_)) && !matches!(event.place.kind, Kind::Inbox | Kind::Topics)
    }

    /// Notes a message; it waits for `grace_ms`, from when it was said, but not for longer from now.
    pub(super) fn note(&mut self, event: &Event, now: Moment, grace_ms: u64) {
        let Body::Message(message) = &event.entry.body else { return };
        let order = &mut self.order;
        let waiting = self.waiting.entry(event.place.conv).or_insert_with(|| {
            order.insert(event.entry.pos, event.place.conv);
            Undecided {
                conv: event.place.conv,
                conversation: event.place.conversation.clone(),
                kind: event.place.kind,
                first_seq: event.place.seq,
                first_pos: event.entry.pos,
                last_seq: event.place.seq,
                due_ms: now.elapsed_ms + grace_ms.saturating_sub(now.wall_ms.saturating_sub(event.entry.ts_ms)),
                named: BTreeMap::new(),
                names_all: None,
            }
        });
        waiting.last_seq = waiting.last_seq.max(event.place.seq);
        for mention in &message.mentions {
            if &**mention == "*" {
                waiting.names_all = Some(event.place.seq);
            } else if let Ok(uid) = Uid::parse(mention) {
                self.names += usize::from(waiting.named.insert(uid, event.place.seq).is_none());
            }
        }
        if waiting.named.len() >= MAX_NAMED {
            waiting.due_ms = 0;
        }
    }

    /// One that was taken could not be decided now.
    pub(super) fn give_back(&mut self, undecided: Undecided) {
        // With what came for it meanwhile.
        let later = self.waiting.remove(&undecided.conv);
        if let Some(later) = &later {
            self.order.remove(&later.first_pos);
            self.names -= later.named.len();
        }
        self.order.insert(undecided.first_pos, undecided.conv);
        let mut whole = undecided;
        if let Some(later) = later {
            whole.last_seq = later.last_seq;
            whole.named.extend(later.named);
            whole.names_all = later.names_all.or(whole.names_all);
        }
        self.names += whole.named.len();
        self.waiting.insert(whole.conv, whole);
    }

    /// The next conversation that is due, by the server's monotonic clock.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<Undecided> {
        let conv = *self.order.first_key_value()?.1;
        if self.waiting.get(&conv).is_some_and(|waiting| waiting.due_ms > now_ms) {
            return None;
        }
        self.order.pop_first();
        let taken = self.waiting.remove(&conv)?;
        self.names -= taken.named.len();
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::ConfNo;
    use crate::model::{Entry, Message, Place, Via};

    /// A moment by clocks that began together.
    fn at(ms: u64) -> Moment {
        Moment { wall_ms: ms, elapsed_ms: ms }
    }

    fn said(conv: u32, seq: u64, pos: u64, ts_ms: u64, mentions: &[&str]) -> Event {
        let mentions = mentions.iter().map(|mention| (*mention).into()).collect();
        let body = Body::Message(Message { text: "hi".into(), mentions, ..Message::default() });
        let (from, conversation) = (Uid::parse("ada").unwrap(), ConversationId::parse(&format!("c{conv}")).unwrap());
        Event {
            place: Place { conf: ConfNo(1), conv: ConvNo(conv), conversation, kind: Kind::Channel, seq },
            entry: Entry { pos, n: seq, ts_ms, from, name: "Ada".into(), via: Via::Ws, body },
            origin: 0,
        }
    }

    #[test]
    fn messages_of_a_conversation_are_decided_together_a_grace_after_the_first() {
        let mut tail = Tail::new(9);
        tail.note(&said(1, 5, 10, 1000, &[]), at(1000), 3000);
        tail.note(&said(2, 1, 11, 1500, &["*"]), at(1500), 3000);
        tail.note(&said(1, 6, 12, 2000, &["bob"]), at(2000), 3000);
        tail.reach(12);
        assert_eq!((tail.take_due(3999), tail.floor()), (None, 9));
        let first = tail.take_due(4000).unwrap();
        assert_eq!((first.first_seq, first.last_seq, first.named.len(), first.names_all), (5, 6, 1, None));
        assert_eq!((tail.take_due(4000), tail.floor()), (None, 10), "the other waits for its own");
        assert_eq!(tail.take_due(4500).unwrap().names_all, Some(1));
        assert_eq!((tail.floor(), tail.is_empty()), (12, true));
    }

    #[test]
    fn a_clock_that_was_ahead_makes_nobody_wait_for_longer() {
        let mut tail = Tail::default();
        tail.note(&said(1, 1, 1, 9_000_000, &[]), at(1000), 3000);
        assert!(tail.take_due(4000).is_some());
    }

    #[test]
    fn what_was_said_long_ago_is_due_at_once_by_whatever_clock() {
        let mut tail = Tail::default();
        tail.note(&said(1, 1, 1, 1_000_000, &[]), Moment { wall_ms: 9_000_000, elapsed_ms: 5 }, 3000);
        assert!(tail.take_due(5).is_some());
    }

    #[test]
    fn people_who_are_named_are_bounded_over_all_that_waits() {
        let mut tail = Tail::default();
        let names: Vec<String> = (0..1000).map(|n| format!("user-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for conv in 1..=66 {
            assert!(!tail.is_full(), "{conv}");
            tail.note(&said(conv, 1, u64::from(conv), 1000, &names), at(1000), 3000);
        }
        assert!(tail.is_full());
        let taken = tail.take_due(4000).unwrap();
        assert!(!tail.is_full(), "what is decided makes room");
        tail.give_back(taken);
        assert!(tail.is_full());
        while tail.take_due(4000).is_some() {}
        assert_eq!(tail.names, 0);
    }

    proptest! {
        /// Whatever comes in whatever order of decisions: nothing below the floor is undecided, and everything is decided once.
        #[test]
        fn the_floor_never_passes_what_is_undecided(steps in prop::collection::vec((1..5u32, any::<bool>()), 1..60)) {
            let (mut tail, mut seqs, mut pos, mut decided) = (Tail::new(0), [0u64; 5], 0, 0);
            let mut undecided: BTreeMap<u64, u32> = BTreeMap::new();
            for (conv, decide) in steps {
                pos += 1;
                seqs[conv as usize] += 1;
                tail.note(&said(conv, seqs[conv as usize], pos, pos, &[]), at(pos), 4);
                tail.reach(pos);
                undecided.insert(pos, conv);
                if decide && let Some(taken) = tail.take_due(pos) {
                    let conv: u32 = taken.conversation.as_str()[1..].parse().unwrap();
                    decided += taken.last_seq - taken.first_seq + 1;
                    undecided.retain(|_, other| *other != conv);
                }
                prop_assert_eq!(tail.floor(), undecided.first_key_value().map_or(pos, |(first, _)| first - 1));
            }
            while let Some(taken) = tail.take_due(u64::MAX) {
                decided += taken.last_seq - taken.first_seq + 1;
            }
            prop_assert_eq!(decided, pos);
        }
    }
}
