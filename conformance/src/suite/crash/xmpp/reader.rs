//! A reader over XMPP that knows messages by the room's ids. What it missed it gets from the archive (XEP-0313), or from the past that a
//! room gives who enters (XEP-0045 §7.1.15) as long as that goes back far enough. What is said after entering may be in the archive already
//! and come live, too, before or after the archive's answer: its id says that it is one message. What comes twice otherwise is a failure.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Counted, ROOMS, room_of, stanza_id};
use crate::check::{self, Event, Heard, Violation};
use crate::suite::crash::cast::{Addresses, Heads, Reading, until_lost};
use crate::xmpp::client::Seen;
use crate::xmpp::element::Element;

const ARCHIVE: &str = "urn:xmpp:mam:2";
/// Results of a page.
const PAGE: usize = 100;
/// Messages that a room gives at most.
const PAST: usize = 250;
/// How many messages of a conversation that is no longer followed are remembered.
const KEPT: usize = 2000;
/// Catching up takes no longer.
const WITHIN: Duration = Duration::from_secs(20);
/// A quiet moment is no failure.
const QUIET: Duration = Duration::from_millis(500);

/// By which way a message came.
#[derive(Debug, Clone, Copy)]
enum Way {
    Archive,
    Entering,
    Live,
}

/// In rooms.
pub struct Reader {
    uid: String,
    by_entering: bool,
    following: Vec<String>,
    heard: BTreeMap<String, Vec<Heard>>,
    /// How each came, and in which life, for the trace.
    ways: BTreeMap<String, Vec<(usize, Way)>>,
    life: usize,
    /// What the archive gave on this connection, and may come live once more.
    archived: HashSet<String>,
    count: usize,
    resumed_behind: usize,
    entered_behind: usize,
}

impl Reader {
    /// With nothing seen yet.
    pub fn new(uid: &str, by_entering: bool) -> Reader {
        Reader {
            uid: uid.to_owned(),
            by_entering,
            following: Vec::new(),
            heard: BTreeMap::new(),
            ways: BTreeMap::new(),
            life: 0,
            archived: HashSet::new(),
            count: 0,
            resumed_behind: 0,
            entered_behind: 0,
        }
    }

    fn last(&self, channel: &str) -> Option<&str> {
        self.heard.get(channel).and_then(|heard| heard.last()).map(|heard| heard.id.as_str())
    }

    fn try_run(&mut self, to: &Addresses, heads: Option<&Heads>) -> Result<()> {
        let mut stream = Counted::sign_in(to, &self.uid)?;
        self.archived.clear();
        self.life += 1;
        // What is said while others are caught up with waits.
        let mut live: Vec<(String, Heard)> = Vec::new();
        for channel in self.following.clone() {
            let past = if self.by_entering { PAST } else { 0 };
            let (mut of_past, mut entered) = (Vec::new(), stream.enter(&channel, &self.uid.clone(), past)?);
            entered.retain(|element| {
                let is_past = element.child_of("delay", "urn:xmpp:delay").is_some() && room_of(element) == Some(&channel);
                if is_past {
                    of_past.extend(message(element).map(|(_, heard)| heard));
                }
                !is_past
            });
            live.extend(entered.iter().filter_map(message));
            if !self.caught_up_by_entering(&channel, of_past) {
                self.catch_up_from_archive(&mut stream, &channel, &mut live)?;
            }
        }
        for (channel, heard) in live {
            self.saw_live(&channel, heard);
        }
        let deadline = heads.map(|_| Instant::now() + WITHIN);
        loop {
            if let Some(heads) = heads
                && heads.iter().all(|(channel, (_, id))| self.last(channel) == Some(id))
            {
                return Ok(());
            }
            ensure!(deadline.is_none_or(|end| Instant::now() < end), "{} had not caught up with {heads:?} within {WITHIN:?}", self.uid);
            match stream.client.see(QUIET)? {
                Seen::Nothing => {}
                Seen::Element(element) => {
                    stream.count(&element)?;
                    ensure!(element.attr("type") != Some("error"), "refused: {element}");
                    if let Some((channel, heard)) = message(&element) {
                        self.saw_live(&channel, heard);
                    }
                }
                _ => return Err(crate::xmpp::client::gone("a message")),
            }
        }
    }

    fn saw_live(&mut self, channel: &str, heard: Heard) {
        if !self.archived.remove(&heard.id) {
            self.saw(channel, heard, Way::Live);
        }
    }

    fn saw(&mut self, channel: &str, heard: Heard, way: Way) {
        self.count += 1;
        self.ways.entry(channel.to_owned()).or_default().push((self.life, way));
        self.heard.entry(channel.to_owned()).or_default().push(heard);
    }

    /// Takes what a room gave of its past; false when that does not go back far enough.
    fn caught_up_by_entering(&mut self, channel: &str, past: Vec<Heard>) -> bool {
        if !self.by_entering {
            return false;
        }
        let known = match self.last(channel) {
            Some(last) => past.iter().position(|heard| heard.id == last).map(|at| at + 1),
            None => (past.len() < PAST).then_some(0),
        };
        let Some(from) = known else { return false };
        let behind = past.len() > from;
        self.entered_behind += usize::from(behind);
        self.resumed_behind += usize::from(behind && from > 0);
        for heard in past.into_iter().skip(from) {
            self.saw(channel, heard, Way::Entering);
        }
        true
    }

    fn catch_up_from_archive(&mut self, stream: &mut Counted, channel: &str, live: &mut Vec<(String, Heard)>) -> Result<()> {
        let mut after = self.last(channel).map(str::to_owned);
        let (was_here, mut is_behind) = (after.is_some(), false);
        loop {
            let from = after.as_ref().map_or_else(String::new, |after| format!("<after>{after}</after>"));
            stream.client.send(&format!(
                "<iq type='set' id='page' to='{channel}@{ROOMS}'><query xmlns='{ARCHIVE}'>\
                 <set xmlns='http://jabber.org/protocol/rsm'><max>{PAGE}</max>{from}</set></query></iq>"
            ))?;
            let end = loop {
                let element = stream.next("a page of the archive")?;
                if element.name == "iq" && element.attr("id") == Some("page") {
                    break element;
                }
                let Some(result) = element.child_of("result", ARCHIVE) else {
                    live.extend(message(&element));
                    continue;
                };
                let id = result.attr("id").context("a result without an id")?.to_owned();
                let forwarded = result.child("forwarded").and_then(|forwarded| forwarded.child("message"));
                if let Some(text) = forwarded.and_then(text) {
                    is_behind = true;
                    self.archived.insert(id.clone());
                    self.saw(channel, Heard { id: id.clone(), text }, Way::Archive);
                }
                after = Some(id);
            };
            let fin = end.child_of("fin", ARCHIVE).with_context(|| format!("a page ended with {end}"))?;
            if fin.attr("complete") == Some("true") {
                self.resumed_behind += usize::from(was_here && is_behind);
                return Ok(());
            }
        }
    }
}

/// The text of a message, none of one that was deleted; `None` for what is no message (changes, subjects, signals).
fn text(message: &Element) -> Option<Option<String>> {
    let is_change = message.children.iter().any(|child| matches!(child.name.as_str(), "replace" | "retract" | "reactions"));
    match (message.child("body"), message.child("retracted")) {
        _ if is_change || message.name != "message" => None,
        (_, Some(_)) => Some(None),
        (Some(body), None) => Some(Some(body.text.clone())),
        (None, None) => None,
    }
}

fn message(element: &Element) -> Option<(String, Heard)> {
    let text = text(element)?;
    Some((room_of(element)?.to_owned(), Heard { id: stanza_id(element)?.to_owned(), text }))
}

impl Reading for Reader {
    fn name(&self) -> String {
        format!("{} over XMPP", self.uid)
    }

    fn follow(&mut self, channels: &[String]) {
        for heard in self.heard.values_mut() {
            heard.drain(..heard.len().saturating_sub(KEPT));
        }
        for ways in self.ways.values_mut() {
            ways.drain(..ways.len().saturating_sub(KEPT));
        }
        self.following = channels.to_vec();
    }

    fn run(&mut self, to: &Addresses) -> Result<()> {
        until_lost(self.try_run(to, None))
    }

    fn catch_up(&mut self, to: &Addresses, heads: &Heads) -> Result<()> {
        self.try_run(to, Some(heads))
    }

    fn violations(&self, channel: &str, stored: &[Event]) -> Vec<Violation> {
        check::listening(stored, self.heard.get(channel).map_or(&[], Vec::as_slice))
    }

    fn seen(&self) -> (usize, usize) {
        (self.count, self.resumed_behind)
    }

    fn is_enough(&self) -> Result<()> {
        ensure!(!self.by_entering || self.entered_behind > 0, "entering a room never gave {} what it had missed", self.uid);
        Ok(())
    }

    fn trace(&self) -> Vec<String> {
        let ways = |channel: &str| self.ways.get(channel).map_or(&[][..], Vec::as_slice);
        let all =
            self.heard.iter().flat_map(|(channel, heard)| heard.iter().zip(ways(channel)).map(move |(heard, way)| (channel, heard, way)));
        all.map(|(channel, heard, (life, way))| format!("saw {channel} in life {life} by {way:?} {heard:?}")).collect()
    }
}
