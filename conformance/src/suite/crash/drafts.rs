//! What a sender over a protocol without seqs says, and what it was promised: messages alone, under ids that are never used twice.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::cast::Sent;
use crate::check::{self, Event, Promise, Violation};

/// Messages under way at once.
pub const WINDOW: usize = 16;
/// Acked messages that are sent again on each new connection.
const REPEATED: usize = 5;

/// A message.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where to.
    pub channel: String,
    /// The sender's id.
    pub id: String,
    /// The text.
    pub text: String,
}

/// All messages of a sender.
pub struct Drafts {
    /// Who.
    pub uid: String,
    rng: StdRng,
    /// Where new ones go.
    pub channels: Vec<String>,
    next: u64,
    unacked: VecDeque<Draft>,
    recent: VecDeque<Draft>,
    /// By channel and the sender's id.
    kept: BTreeMap<String, BTreeMap<String, Promise>>,
    retried: usize,
    repeated: usize,
}

impl Drafts {
    /// Nothing said yet.
    pub fn new(uid: &str, seed: u64) -> Drafts {
        Drafts {
            uid: uid.to_owned(),
            rng: StdRng::seed_from_u64(seed),
            channels: Vec::new(),
            next: 0,
            unacked: VecDeque::new(),
            recent: VecDeque::new(),
            kept: BTreeMap::new(),
            retried: 0,
            repeated: 0,
        }
    }

    /// From now on new messages go to these.
    pub fn speak_in(&mut self, channels: &[String]) {
        self.channels = channels.to_vec();
        self.recent.clear();
    }

    /// Where there is anything to be sent.
    pub fn all_channels(&self) -> Vec<String> {
        let mut all = self.channels.clone();
        all.extend(self.unacked.iter().map(|draft| draft.channel.clone()));
        all.sort();
        all.dedup();
        all
    }

    /// What to send on a new connection before anything else: some of what was acked, which must change nothing, and all that was not.
    pub fn again(&mut self) -> Vec<Draft> {
        self.repeated += self.recent.len();
        self.retried += self.unacked.len();
        self.recent.iter().chain(&self.unacked).cloned().collect()
    }

    /// One more, while the window is not full. It counts as sent even when the connection breaks within it.
    pub fn one_more(&mut self) -> Option<Draft> {
        if self.unacked.len() >= WINDOW {
            return None;
        }
        self.next += 1;
        let channel = self.channels[self.rng.random_range(0..self.channels.len())].clone();
        let text = format!("{} {}", self.next, "x".repeat(self.rng.random_range(0..400)));
        let draft = Draft { channel, id: format!("{}-{}", self.uid, self.next), text };
        self.unacked.push_back(draft.clone());
        Some(draft)
    }

    /// Whether everything was acked.
    pub fn is_done(&self) -> bool {
        self.unacked.is_empty()
    }

    /// A message is promised to be kept; with its public id, where that is told. Whether that is new.
    pub fn keep(&mut self, client_id: &str, id: Option<&str>) -> bool {
        let mut is_new = false;
        if let Some(at) = self.unacked.iter().position(|draft| draft.id == client_id)
            && let Some(draft) = self.unacked.remove(at)
        {
            is_new = true;
            let promise = Promise { from: self.uid.clone(), client_id: draft.id.clone(), text: draft.text.clone(), id: None };
            self.kept.entry(draft.channel.clone()).or_default().insert(draft.id.clone(), promise);
            if self.channels.contains(&draft.channel) {
                self.recent.push_back(draft);
                if self.recent.len() > REPEATED {
                    self.recent.pop_front();
                }
            }
        }
        if let (Some(id), Some(promise)) = (id, self.kept.values_mut().find_map(|kept| kept.get_mut(client_id))) {
            promise.id.get_or_insert_with(|| id.to_owned());
        }
        is_new
    }

    /// What was promised and is not so.
    pub fn violations(&self, channel: &str, stored: &[Event]) -> Vec<Violation> {
        check::promises(stored, self.kept.get(channel).into_iter().flat_map(BTreeMap::values))
    }

    /// What was done.
    pub fn sent(&self) -> Sent {
        let acked = self.kept.values().map(BTreeMap::len).sum();
        Sent { acked: BTreeMap::from([("message", acked)]), retried: self.retried, repeated: self.repeated }
    }

    /// All that was promised, one line each.
    pub fn trace(&self) -> Vec<String> {
        let promises = self.kept.iter().flat_map(|(channel, kept)| kept.values().map(move |promise| (channel, promise)));
        promises.map(|(channel, promise)| format!("promised {channel} {promise:?}")).collect()
    }
}
