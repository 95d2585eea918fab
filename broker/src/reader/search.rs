//! Messages by their words, newest first. There is no index of words, which every message would have to pay for: a search looks back through what its
//! asker may read, a bounded number of entries at a time, and goes on from where it came to.

use std::collections::BinaryHeap;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::{Reader, history};
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys;
use crate::model::{Body, Entry, Event};
use crate::reject::{Class, Reject};
use crate::state::{Direction, StateError};
use crate::view::{Found, decode};

/// Most words of a query.
pub const MAX_WORDS: usize = 8;
/// Entries that one search looks at.
const SEARCH_SCAN: usize = 2000;
/// Bytes of texts that one search looks at, about.
const SEARCH_BYTES: usize = 2 << 20;
/// Conversations that one search looks into, the asker's own first.
const SEARCH_CONVERSATIONS: usize = 1000;
/// Entries read at once of a conversation, at most.
const SEARCH_AT_ONCE: u64 = 64;

/// The words of a query, without case and accents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<String>);

/// Without case and accents.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkd().flat_map(char::to_lowercase).filter(|c| !is_combining_mark(*c)).collect()
}

impl Words {
    /// Those of a query; `None` when there are none, or too many.
    #[must_use]
    pub fn of(query: &str) -> Option<Self> {
        let folded = folded(query);
        let mut words: Vec<String> = Vec::new();
        for word in folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            if words.iter().all(|known| known != word) {
                words.push(word.to_owned());
            }
        }
        (1..=MAX_WORDS).contains(&words.len()).then_some(Self(words))
    }

    /// Whether each of them begins a word of the text. A word of a script that does not part its words may stand anywhere.
    #[must_use]
    pub fn are_in(&self, text: &str) -> bool {
        let text = folded(text);
        self.0.iter().all(|word| {
            let stands_anywhere = word.chars().next().is_some_and(|c| !c.is_lowercase() && !c.is_numeric());
            text.match_indices(word.as_str())
                .any(|(at, _)| stands_anywhere || text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric()))
        })
    }
}

/// What a search found.
#[derive(Debug)]
pub struct Searched {
    /// Messages, newest first.
    pub events: Vec<Event>,
    /// The pos below which to go on; `None`: there is nothing more.
    pub before: Option<u64>,
}

impl Reader {
    /// Messages with all these words, below a pos, up to `limit`: of one conversation, or of all that `uid` may read.
    ///
    /// # Errors
    /// That they may not read the conversation; the state's.
    pub fn search(
        &self,
        conf: ConfNo,
        uid: &Uid,
        within: Option<&ConversationId>,
        words: &Words,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Searched, Reject> {
        let conversations = match within {
            Some(id) => vec![self.readable(conf, uid, id)?],
            None => self.searchable(conf, uid)?,
        };
        let mut searched = self.look_back(conversations, words, before.unwrap_or(u64::MAX), limit, SEARCH_SCAN)?;
        // Looked at again: then nothing that was read was said after a removal.
        let mut readable = Vec::with_capacity(searched.events.len());
        for event in searched.events {
            if self.may_still_read(conf, uid, &event.place.conversation)? {
                readable.push(event);
            }
        }
        searched.events = readable;
        Ok(searched)
    }

    /// The conversations that one search looks into.
    fn searchable(&self, conf: ConfNo, uid: &Uid) -> Result<Vec<Found>, Reject> {
        let mut found = Vec::new();
        for id in self.readable_ids(conf, uid)? {
            if found.len() >= SEARCH_CONVERSATIONS {
                break;
            }
            match self.readable(conf, uid, &id) {
                Ok(readable) => found.push(readable),
                Err(reject) if reject.reason.class() == Class::Unavailable => return Err(reject),
                Err(_) => {}
            }
        }
        Ok(found)
    }

    fn may_still_read(&self, conf: ConfNo, uid: &Uid, id: &ConversationId) -> Result<bool, Reject> {
        match self.readable(conf, uid, id) {
            Ok(_) => Ok(true),
            Err(reject) if reject.reason.class() == Class::Unavailable => Err(reject),
            Err(_) => Ok(false),
        }
    }

    /// Looks at `most` entries, from the newest below `before` on, of all the conversations.
    fn look_back(&self, conversations: Vec<Found>, words: &Words, before: u64, limit: usize, most: usize) -> Result<Searched, StateError> {
        let (mut lines, mut next): (Vec<Line>, BinaryHeap<(u64, usize)>) = (Vec::new(), BinaryHeap::new());
        for found in conversations {
            let head = self.head(&found)?;
            let below = if head.pos < before { head.seq + 1 } else { self.seq_above(&found, before.saturating_sub(1))? };
            let mut line = Line { found, below, at_once: 1, entries: Vec::new() };
            if let Some(pos) = line.peek(self)? {
                next.push((pos, lines.len()));
                lines.push(line);
            }
        }
        let (mut events, mut looked_at, mut bytes, mut reached) = (Vec::new(), 0, 0, before);
        while let Some((pos, at)) = next.pop() {
            if events.len() >= limit || looked_at >= most || bytes >= SEARCH_BYTES {
                return Ok(Searched { events, before: Some(reached) });
            }
            let Some((seq, entry)) = lines[at].entries.pop() else { continue };
            (looked_at, bytes, reached) = (looked_at + 1, bytes + entry.body.text_bytes(), pos);
            if matches!(&entry.body, Body::Message(message) if message.deleted.is_none() && words.are_in(&message.text)) {
                events.push(history::event(&lines[at].found, seq, entry));
            }
            if let Some(pos) = lines[at].peek(self)? {
                next.push((pos, at));
            }
        }
        Ok(Searched { events, before: None })
    }
}

/// A conversation that is looked through backwards.
struct Line {
    found: Found,
    /// The entries below this seq come next.
    below: u64,
    /// Entries read at once: more each time, so that a thousand conversations with little to give take little memory.
    at_once: u64,
    /// The next entries, last first.
    entries: Vec<(u64, Entry)>,
}

impl Line {
    /// The pos of its next entry.
    fn peek(&mut self, reader: &Reader) -> Result<Option<u64>, StateError> {
        if self.entries.is_empty() {
            let (conf, conv) = (self.found.conf, self.found.record.no);
            let from = self.below.saturating_sub(self.at_once);
            let (from, to) = (keys::entry(conf, conv, from), keys::entry(conf, conv, self.below));
            let entries = &mut self.entries;
            reader.visit_range(&from, &to, Direction::Ascending, |key, value| {
                entries.push((keys::seq_of_entry(key), decode(value)?));
                Ok(true)
            })?;
            self.below = self.below.saturating_sub(self.at_once);
            self.at_once = (self.at_once * 2).min(SEARCH_AT_ONCE);
        }
        Ok(self.entries.last().map(|(_, entry)| entry.pos))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::command::Actor;
    use crate::model::{Kind, Message};
    use crate::recent::Recent;
    use crate::state::State;
    use crate::state::memory::MemoryStore;
    use crate::view::{Kept, SCHEMA, StoreHead, View};
    use proptest::prelude::*;

    #[test]
    fn words_match_without_case_and_accents() {
        let rows = [
            ("zurich", "Treffen in ZÜRICH?", true),
            ("ZÜRICH treff", "Treffen in Zurich?", true),
            ("urich", "Zürich", false),
            ("cafe", "Le Cafe\u{301}, s'il vous plaît", true),
            ("cafe tea", "cafe only", false),
            ("3d", "the 3D printer", true),
            ("ﬁle", "a file", true),
            ("会議", "明日の会議は10時です", true),
            ("привет", "Всем ПРИВЕТ!", true),
            ("don't", "I don't know", true),
            ("a", "", false),
        ];
        for (query, text, expected) in rows {
            assert_eq!(Words::of(query).unwrap().are_in(text), expected, "{query} in {text}");
        }
        assert_eq!(Words::of("a, A á"), Words::of("a"));
        for none in ["", "  ?! ", "a b c d e f g h i"] {
            assert_eq!(Words::of(none), None, "{none}");
        }
    }

    /// Conversations, and what is said in them: which, whether there is the word in it, and whether it is deleted.
    fn story(said: &[(usize, bool, bool)]) -> (Reader, Vec<Found>, Vec<u64>) {
        let state: Arc<dyn State> = Arc::new(MemoryStore::new().open().unwrap());
        let mut kept = Kept::default();
        let head = StoreHead { schema: SCHEMA, applied: 0, secret: [0; 16], conferences: 1 };
        let mut view = View::new(&*state, &mut kept, head);
        let ids = ["a", "b", "c"].map(|id| ConversationId::parse(id).unwrap());
        let found = ids.map(|id| view.add_conversation(ConfNo(1), &id, Kind::Channel, String::new()).unwrap());
        let mut matching = Vec::new();
        for (which, has, is_deleted) in said {
            let text = if *has { "the Wörd" } else { "nothing" };
            let message = Message { text: text.into(), deleted: is_deleted.then_some(1), ..Message::default() };
            let event = view.append(&found[*which], &Actor::system(), "".into(), 0, Body::Message(message)).unwrap();
            if *has && !is_deleted {
                matching.push(event.entry.pos);
            }
        }
        let (batch, ..) = view.finish();
        state.commit(&batch).unwrap();
        matching.reverse();
        (Reader::new(state, Arc::new(Recent::default()), [0; 16]), found.to_vec(), matching)
    }

    proptest! {
        /// Page by page, however little one looks at: every message that matches, once, the newest first.
        #[test]
        fn pages_give_all_there_is(
            said in prop::collection::vec((0..3usize, any::<bool>(), prop::bool::weighted(0.2)), 0..120),
            limit in 1..20usize,
            most in 1..30usize,
        ) {
            let (reader, found, matching) = story(&said);
            let words = Words::of("word").unwrap();
            let (mut positions, mut before) = (Vec::new(), u64::MAX);
            loop {
                let page = reader.look_back(found.clone(), &words, before, limit, most).unwrap();
                prop_assert!(page.events.len() <= limit);
                positions.extend(page.events.iter().map(|event| event.entry.pos));
                let Some(next) = page.before else { break };
                prop_assert!(next < before, "it goes on");
                before = next;
            }
            prop_assert_eq!(positions, matching);
        }

        #[test]
        fn any_text_can_be_searched_for_any_words(query in "\\PC{0,40}", text in "\\PC{0,200}") {
            if let Some(words) = Words::of(&query) {
                let _ = words.are_in(&text);
                prop_assert!(words.are_in(&query));
            }
        }
    }
}
