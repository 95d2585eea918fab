//! Whom a message may concern, page by page: two people of a direct conversation, those who are named or want everything, or all members. Where a
//! conversation with many members is under way is written down, so that a restart goes on there.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use super::tail::Undecided;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::limits::MAX_PAGE;
use crate::model::{Body, Event, Kind, Level, UnderWay};
use crate::reader::{Reader, Toward};
use crate::state::StateError;
use crate::view::Found;

/// People who are looked at in one turn.
const PAGE_PEOPLE: usize = 64;
/// Newest messages that are looked at for each of them.
const MESSAGES: usize = 64;

/// While somebody has one of these, what it stands for is not over.
pub(super) type Hold = Rc<()>;

/// Who comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// These.
    Few(Vec<Uid>),
    /// Who wants something else of the conversation, above a uid.
    Attentive(Option<Uid>),
    /// Who wants everything of all conversations, above a uid.
    WantAll(Option<Uid>),
    /// Who is named is read again from a message on; then all members above a uid.
    Recall(u64, Option<Uid>),
    /// All members above a uid.
    Members(Option<Uid>),
    /// Nobody.
    Done,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Expansion {
    pub found: Found,
    /// The pos of the first message; 0 of what a restart goes on with, which the cursor has passed.
    pub pos: u64,
    pub first_seq: u64,
    last_seq: u64,
    named: BTreeMap<Uid, u64>,
    names_all: Option<u64>,
    /// The newest messages that it is about, oldest first, as they were before the last page.
    events: Vec<Event>,
    stage: Stage,
    /// Of all that is begun before the next page.
    hold: Hold,
    /// Of all members up to a uid.
    pages: VecDeque<(Uid, Hold)>,
    /// Up to whom of the members everything is over: sent, or written down to be tried again.
    through: Arc<str>,
}

impl Expansion {
    /// What comes of a conversation that is due; `None` when it is gone.
    pub(super) fn of(reader: &Reader, conf: ConfNo, due: &Undecided) -> Result<Option<Self>, StateError> {
        let stage = match (due.kind, due.conversation.direct_pair()) {
            (Kind::Direct, Some((one, other))) => Stage::Few(vec![one, other]),
            (Kind::Announcements, _) => Stage::Members(None),
            _ if due.names_all.is_some() => Stage::Members(None),
            _ => Stage::Few(due.named.keys().cloned().collect()),
        };
        let mut expansion = Self::begin(reader, conf, &due.conversation, (due.first_seq, due.last_seq), stage)?;
        if let Some(expansion) = &mut expansion {
            expansion.pos = due.first_pos;
            expansion.named.clone_from(&due.named);
            expansion.names_all = due.names_all;
        }
        Ok(expansion)
    }

    /// What a restart goes on with.
    pub(super) fn resume(reader: &Reader, conf: ConfNo, at: &UnderWay) -> Result<Option<Self>, StateError> {
        let through = Uid::parse(&at.through).ok();
        // Who is named in the newest messages is seen there.
        let is_long = at.last_seq - at.first_seq.min(at.last_seq) >= MESSAGES as u64;
        let stage = if is_long { Stage::Recall(at.first_seq, through) } else { Stage::Members(through) };
        let mut expansion = Self::begin(reader, conf, &at.conversation, (at.first_seq, at.last_seq), stage)?;
        if let Some(expansion) = &mut expansion {
            expansion.names_all = at.names_all;
            expansion.through = Arc::clone(&at.through);
        }
        Ok(expansion)
    }

    fn begin(
        reader: &Reader,
        conf: ConfNo,
        conversation: &ConversationId,
        (first_seq, last_seq): (u64, u64),
        stage: Stage,
    ) -> Result<Option<Self>, StateError> {
        let Some(found) = reader.conversation(conf, conversation)? else { return Ok(None) };
        let (named, events, hold, pages) = (BTreeMap::new(), Vec::new(), Hold::default(), VecDeque::new());
        Ok(Some(Self { found, pos: 0, first_seq, last_seq, named, names_all: None, events, stage, hold, pages, through: "".into() }))
    }

    /// Whether where it is is to be written down.
    pub(super) fn is_large(&self) -> bool {
        matches!(self.stage, Stage::Recall(..) | Stage::Members(_)) || !self.pages.is_empty()
    }

    /// Whether there is nobody left to look at.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Held for as long as something of the next page, or of all when it has few people, is not over.
    pub(super) fn hold(&self) -> Hold {
        Rc::clone(&self.hold)
    }

    /// Whether everything of all members is over; where a restart goes on is brought up to date.
    pub(super) fn is_settled(&mut self) -> bool {
        while self.pages.front().is_some_and(|(_, hold)| Rc::strong_count(hold) == 1) {
            if let Some((uid, _)) = self.pages.pop_front() {
                self.through = uid.as_str().into();
            }
        }
        self.is_done() && self.pages.is_empty()
    }

    /// Where a restart goes on.
    pub(super) fn under_way(&self) -> UnderWay {
        let (conversation, through) = (self.found.id.clone(), Arc::clone(&self.through));
        UnderWay { conversation, first_seq: self.first_seq, last_seq: self.last_seq, names_all: self.names_all, through }
    }

    /// The next people, and what comes after them. What it is about is read anew: nobody is told any more of what was taken back, changed or removed
    /// since the last page.
    pub(super) fn page(&mut self, reader: &Reader) -> Result<(Vec<Uid>, Stage), StateError> {
        let (conf, conv) = (self.found.conf, self.found.record.no);
        let found = reader.conversation(conf, &self.found.id)?.filter(|found| found.record.no == conv);
        let Some(found) = found else { return Ok((Vec::new(), Stage::Done)) };
        self.found = found;
        if let Stage::Recall(from, through) = self.stage.clone() {
            return Ok((Vec::new(), self.recall(reader, from, through)?));
        }
        self.events = newest(reader, &self.found, self.first_seq, self.last_seq)?;
        let has_levels = matches!(self.found.record.kind, Kind::Channel | Kind::Group);
        Ok(match &self.stage {
            Stage::Few(people) => (people.clone(), if has_levels { Stage::Attentive(None) } else { Stage::Done }),
            Stage::Attentive(after) => {
                let found = reader.attentions(conf, conv, after.as_ref(), PAGE_PEOPLE)?;
                let next = next(found.len(), found.last().map(|(uid, _)| uid), Stage::Attentive, Stage::WantAll(None));
                let wants = found.into_iter().filter(|(uid, attention)| attention.level == Level::All && !self.named.contains_key(uid));
                (wants.map(|(uid, _)| uid).collect(), next)
            }
            Stage::WantAll(after) => {
                let found = reader.who_wants_all(conf, after.as_ref(), PAGE_PEOPLE)?;
                let next = next(found.len(), found.last(), Stage::WantAll, Stage::Done);
                let mut people = Vec::new();
                for uid in found {
                    // Who wants everything of this one was looked at before.
                    if !self.named.contains_key(&uid) && reader.attention(conf, conv, &uid)?.level == Level::Default {
                        people.push(uid);
                    }
                }
                (people, next)
            }
            Stage::Members(after) => {
                let found = reader.member_uids(&self.found, after.as_ref(), PAGE_PEOPLE)?;
                let next = next(found.len(), found.last(), Stage::Members, Stage::Done);
                (found, next)
            }
            Stage::Recall(..) | Stage::Done => (Vec::new(), Stage::Done),
        })
    }

    /// Notes who is named in the next messages, from one on.
    fn recall(&mut self, reader: &Reader, from: u64, through: Option<Uid>) -> Result<Stage, StateError> {
        let (page, next) = reader.page_to(&self.found, Toward::Newer(from.saturating_sub(1)), MAX_PAGE, &["message"])?;
        for event in page.events.iter().filter(|event| event.place.seq <= self.last_seq) {
            let Body::Message(message) = &event.entry.body else { continue };
            self.named.extend(message.mentions.iter().filter_map(|mention| Some((Uid::parse(mention).ok()?, event.place.seq))));
        }
        Ok(match next.filter(|reached| *reached < self.last_seq) {
            Some(reached) => Stage::Recall(reached + 1, through),
            None => Stage::Members(through),
        })
    }

    /// A page is looked at: what was begun of it has its hold.
    pub(super) fn go_on(&mut self, page: &[Uid], next: Stage) {
        if matches!(self.stage, Stage::Members(_))
            && let Some(last) = page.last()
        {
            self.pages.push_back((last.clone(), std::mem::take(&mut self.hold)));
        }
        self.stage = next;
    }

    /// The messages that could be pushed to somebody, newest first.
    pub(super) fn messages(&self, reader: &Reader, uid: &Uid) -> Result<Vec<Event>, StateError> {
        let mut messages: Vec<Event> = self.events.iter().rev().cloned().collect();
        // Named further back than the newest messages, alone or with all.
        let mut further: Vec<u64> = self.named.get(uid).copied().into_iter().chain(self.names_all).collect();
        further.retain(|seq| self.events.first().is_none_or(|first| *seq < first.place.seq));
        further.sort_unstable_by(|one, other| other.cmp(one));
        further.dedup();
        for seq in further {
            messages.extend(reader.message(&self.found, seq)?);
        }
        Ok(messages)
    }
}

/// The newest messages of so many, oldest first.
pub(super) fn newest(reader: &Reader, found: &Found, first_seq: u64, last_seq: u64) -> Result<Vec<Event>, StateError> {
    let most = usize::try_from(last_seq.saturating_sub(first_seq).saturating_add(1)).map_or(MESSAGES, |count| count.min(MESSAGES));
    let mut events = reader.page(found, Toward::Older(last_seq.saturating_add(1)), most, &["message"])?.events;
    events.retain(|event| event.place.seq >= first_seq);
    Ok(events)
}

/// What comes after a page: the same above its last, or something else when it was not full.
fn next(found: usize, last: Option<&Uid>, same: fn(Option<Uid>) -> Stage, other: Stage) -> Stage {
    if found < PAGE_PEOPLE { other } else { same(last.cloned()) }
}

const _: () = assert!(MESSAGES <= MAX_PAGE);
