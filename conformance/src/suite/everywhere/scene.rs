//! A conversation and those who are in it. The first seat, over WebSocket, is the one whose order and ids all others are compared with; that
//! it sees what was done is checked as it is done.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow, ensure};

use super::line::{Change, PROTOCOLS, Protocol, Target};
use super::seat::Seat;
use super::sight::{Sight, What, as_xml_has_it};
use crate::client::Client;
use crate::server::Server;
use crate::suite::load;
use crate::xmpp::script::world::register;

/// What makes a scene.
pub type Opening = fn(&Server) -> Result<Scene>;

/// A conversation and its people.
pub struct Scene {
    /// Its id.
    pub conversation: String,
    /// Who is in it. The first is over WebSocket.
    pub seats: Vec<Seat>,
    /// Those who speak, one for each protocol (between two people: one of each for each protocol).
    pub speakers: Vec<usize>,
    /// Which seat something came from, by event id.
    origins: HashMap<String, usize>,
    next: usize,
}

/// Makes an account whose name is its uid, once.
///
/// # Errors
/// The server refuses.
pub fn person(server: &Server, uid: &str) -> Result<()> {
    if crate::http::login(server.http(), "demo", uid, &crate::script::password(uid)).is_ok() {
        return Ok(());
    }
    register(server, uid)
}

/// Makes a channel, once.
///
/// # Errors
/// The server refuses.
pub fn channel(server: &Server, id: &str) -> Result<()> {
    server.cli_ok(&["channel", "add", &format!("demo/{id}")]).map(drop)
}

fn is_direct(conversation: &str) -> bool {
    conversation.starts_with("dm~")
}

/// The uids of those in a room: for each protocol somebody who speaks and somebody who reads.
#[must_use]
pub fn people() -> Vec<(Protocol, String, String)> {
    PROTOCOLS
        .into_iter()
        .map(|protocol| (protocol, format!("{}-speaker", protocol.word()), format!("{}-reader", protocol.word())))
        .collect()
}

impl Scene {
    /// A room: for each protocol a speaker with two sessions, and a reader. A group is made by the first speaker.
    ///
    /// # Errors
    /// Somebody is not let in.
    pub fn room(server: &Server, conversation: &str) -> Result<Scene> {
        let people = people();
        for (_, speaker, reader) in &people {
            person(server, speaker)?;
            person(server, reader)?;
        }
        bring_in(server, conversation, &people)?;
        let (mut seats, mut speakers) = (Vec::new(), Vec::new());
        for (protocol, speaker, reader) in &people {
            speakers.push(seats.len());
            seats.push(Seat::open(server, *protocol, speaker, "desk")?);
            seats.push(Seat::open(server, *protocol, speaker, "phone")?);
            seats.push(Seat::open(server, *protocol, reader, "desk")?);
        }
        Scene::of(conversation.to_owned(), seats, speakers)
    }

    /// What two people say to each other, who are both there over all protocols, over XMPP twice.
    ///
    /// # Errors
    /// One is not let in.
    pub fn direct(server: &Server, one: &str, two: &str) -> Result<Scene> {
        person(server, one)?;
        person(server, two)?;
        let opened = load::join(server, one)?.call_ok("conversation.open", &serde_json::json!({"with": two}))?;
        let conversation = opened["conversation"].as_str().context("no conversation")?.to_owned();
        let (mut seats, mut speakers) = (Vec::new(), Vec::new());
        for uid in [one, two] {
            for protocol in PROTOCOLS {
                speakers.push(seats.len());
                seats.push(Seat::open(server, protocol, uid, "desk")?);
            }
            seats.push(Seat::open(server, Protocol::Xmpp, uid, "phone")?);
        }
        Scene::of(conversation, seats, speakers)
    }

    /// A channel with two people who are both there over all protocols.
    ///
    /// # Errors
    /// One is not let in.
    pub fn visitors(server: &Server, channel: &str, one: &str, two: &str) -> Result<Scene> {
        let (mut seats, mut speakers) = (Vec::new(), Vec::new());
        for uid in [one, two] {
            load::join(server, uid)?.call_ok("conversation.join", &serde_json::json!({"conversation": channel}))?;
            for protocol in PROTOCOLS {
                speakers.push(seats.len());
                seats.push(Seat::open(server, protocol, uid, "visit")?);
            }
        }
        Scene::of(channel.to_owned(), seats, speakers)
    }

    fn of(conversation: String, mut seats: Vec<Seat>, speakers: Vec<usize>) -> Result<Scene> {
        for seat in &mut seats {
            let name = seat.name();
            seat.line().follow(&conversation).with_context(|| format!("{name} following {conversation}"))?;
        }
        Ok(Scene { conversation, seats, speakers, origins: HashMap::new(), next: 0 })
    }

    /// A seat.
    ///
    /// # Errors
    /// There is none of this number.
    pub fn seat(&mut self, at: usize) -> Result<&mut Seat> {
        self.seats.get_mut(at).context("no such seat")
    }

    fn judge(&mut self) -> Result<&mut Seat> {
        self.seat(0)
    }

    /// The speakers who are other people than the one of this seat.
    ///
    /// # Errors
    /// There is none of this number.
    pub fn others(&mut self, from: usize) -> Result<Vec<usize>> {
        let uid = self.seat(from)?.uid.clone();
        Ok(self.speakers.iter().copied().filter(|at| self.seats[*at].uid != uid).collect())
    }

    /// A sender's id that was not used before.
    pub fn fresh(&mut self) -> String {
        self.next += 1;
        format!("{}-{}-{}", self.conversation.replace('~', "-"), self.seats[0].uid, self.next)
    }

    // ---- Doing ----

    /// All speakers of a group become moderators, by the first seat, who owns it.
    ///
    /// # Errors
    /// The server refuses.
    pub fn make_moderators(&mut self, server: &Server) -> Result<()> {
        let conversation = self.conversation.clone();
        let mut owner = load::join(server, &self.judge()?.uid.clone())?;
        for at in self.speakers.iter().skip(1) {
            let uid = &self.seats[*at].uid;
            let params = serde_json::json!({"conversation": conversation, "user": uid, "role": "moderator"});
            owner.call_ok("conversation.role", &params)?;
        }
        Ok(())
    }

    /// Somebody says something, which the first seat sees next, as it was said; the message.
    ///
    /// # Errors
    /// It does not.
    pub fn say(&mut self, from: usize, id: &str, text: &str) -> Result<Target> {
        let conversation = self.conversation.clone();
        let (seen, protocol) = (self.count()?, self.seat(from)?.protocol);
        self.seat(from)?.line().say(&conversation, id, text)?;
        let sight = self.next_sight(from, seen, "message")?;
        let text = if protocol == Protocol::Xmpp { as_xml_has_it(text) } else { text.to_owned() };
        ensure!(sight.what == What::Said(Some(text.clone())), "{text:?} became {:?}", sight.what);
        ensure!(id.is_empty() || sight.client_id == id, "the sender's id {id:?} became {:?}", sight.client_id);
        Ok(Target { seq: sight.seq.context("no seq")?, id: sight.id, client_id: sight.client_id })
    }

    /// Somebody changes something that is kept, which the first seat sees next.
    ///
    /// # Errors
    /// It does not.
    pub fn change(&mut self, from: usize, target: &Target, change: &Change) -> Result<()> {
        let conversation = self.conversation.clone();
        let seen = self.count()?;
        self.seat(from)?.line().change(&conversation, target, change)?;
        let sight = self.next_sight(from, seen, &format!("{change:?}"))?;
        let about = target.seq.to_string();
        let expected = match change {
            Change::Edit(text) => What::Edited(about.clone(), text.clone()),
            Change::React(emoji, on) => What::Reacted(about.clone(), on.then(|| (*emoji).to_owned())),
            Change::Delete | Change::Moderate => What::Deleted(about.clone()),
            Change::Title(title) => What::Titled(title.clone()),
            Change::Read | Change::Typing(_) => return Err(anyhow!("{change:?} is not kept")),
        };
        ensure!(sight.what == expected, "{change:?} of {about} became {:?}", sight.what);
        Ok(())
    }

    /// How much that is kept the first seat has seen.
    ///
    /// # Errors
    /// There is no seat.
    pub fn count(&mut self) -> Result<usize> {
        let conversation = self.conversation.clone();
        Ok(self.judge()?.kept(&conversation).count())
    }

    fn next_sight(&mut self, from: usize, seen: usize, what: &str) -> Result<Sight> {
        let (conversation, speaker) = (self.conversation.clone(), self.seat(from)?.name());
        let uid = self.seat(from)?.uid.clone();
        let kept = |heard: &super::line::Heard| {
            let mut kept = heard.sights.iter().filter(|sight| sight.conversation == conversation && !sight.what.is_signal());
            kept.nth(seen).cloned()
        };
        let sight = match self.judge()?.wait(&format!("{what} of {speaker}"), kept) {
            Ok(sight) => sight,
            Err(error) => {
                // Why not, if the speaker was told.
                let told = self.seat(from)?.wait("refusal", |heard| heard.refused.last().cloned());
                return Err(told.map_or(error, |told| anyhow!("{what} of {speaker} was refused: {told}")));
            }
        };
        ensure!(sight.from == uid, "what {speaker} did is told as {}'s", sight.from);
        self.origins.insert(sight.id.clone(), from);
        Ok(sight)
    }

    /// All speakers at once, so many messages each.
    ///
    /// # Errors
    /// Not all of them are seen by the first seat, or not as they were said.
    pub fn burst(&mut self, each: usize) -> Result<()> {
        let (conversation, seen) = (self.conversation.clone(), self.count()?);
        let mut said: HashMap<String, (usize, String)> = HashMap::new();
        for number in 0..each {
            for from in self.speakers.clone() {
                let (id, text) = (self.fresh(), format!("number {number} of {from}"));
                self.seat(from)?.line().say(&conversation, &id, &text)?;
                said.insert(id, (from, text));
            }
        }
        let all = seen + said.len();
        self.judge()?.wait(&format!("burst of {}", said.len()), |heard| {
            let kept = heard.sights.iter().filter(|sight| sight.conversation == conversation && !sight.what.is_signal());
            (kept.count() >= all).then_some(())
        })?;
        let judged: Vec<Sight> = self.judge()?.kept(&conversation).skip(seen).cloned().collect();
        for sight in judged {
            let (from, text) = said.remove(&sight.client_id).with_context(|| format!("nobody said {sight:?}, or it came twice"))?;
            ensure!(sight.what == What::Said(Some(text.clone())), "{text:?} became {:?}", sight.what);
            self.origins.insert(sight.id, from);
        }
        Ok(())
    }

    // ---- Comparing ----

    /// Everybody has seen what the first seat has, and nothing was refused. How much that was.
    ///
    /// # Errors
    /// As [`Scene::is_same`], and who was refused something.
    pub fn agree(&mut self) -> Result<usize> {
        let events = self.is_same()?;
        self.seats.iter().try_for_each(Seat::is_content)?;
        Ok(events)
    }

    /// Everybody has seen what the first seat has: the same ids, order and texts. How much that was.
    ///
    /// # Errors
    /// Who has not, and where they differ; all who do.
    pub fn is_same(&mut self) -> Result<usize> {
        let conversation = self.conversation.clone();
        let judged: Vec<Sight> = self.judge()?.kept(&conversation).cloned().collect();
        let mut wrong = Vec::new();
        for at in 1..self.seats.len() {
            let expected = self.expected(at, &judged)?;
            let wait = self.seat(at)?.wait(&format!("{} events of {conversation}", expected.len()), |heard| {
                let kept = heard.sights.iter().filter(|sight| sight.conversation == conversation && !sight.what.is_signal());
                (kept.count() >= expected.len()).then_some(())
            });
            let seat = self.seat(at)?;
            let seen: Vec<Sight> = seat.kept(&conversation).map(|sight| known(&judged, sight)).collect();
            let name = seat.name();
            if let Err(error) = compare(&expected, &seen).and(wait) {
                wrong.push(format!("{name}: {error:#}"));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(judged.len())
    }

    /// Everybody sees the newest that is kept in the same way.
    ///
    /// # Errors
    /// Who does not; all of them.
    pub fn ends_same(&mut self) -> Result<()> {
        let conversation = self.conversation.clone();
        let judged: Vec<Sight> = self.judge()?.kept(&conversation).cloned().collect();
        let mut wrong = Vec::new();
        for at in 1..self.seats.len() {
            let Some(last) = self.expected(at, &judged)?.pop() else { continue };
            let seen = self.seat(at)?.wait(&format!("{last:?}"), |heard| heard.sights.iter().rfind(|sight| sight.id == last.id).cloned());
            let same = seen.and_then(|seen| compare(std::slice::from_ref(&last), &[known(&judged, &seen)]));
            wrong.extend(same.err().map(|error| format!("{}: {error:#}", self.seats[at].name())));
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }

    /// What a seat sees of what the first one saw.
    fn expected(&mut self, at: usize, judged: &[Sight]) -> Result<Vec<Sight>> {
        let (protocol, is_direct) = (self.seat(at)?.protocol, is_direct(&self.conversation));
        // Between two people the session that sends is not told what it sent (RFC 6121 §5.2).
        let is_own = |sight: &&Sight| is_direct && protocol == Protocol::Xmpp && self.origins.get(&sight.id) == Some(&at);
        Ok(judged.iter().filter(|sight| !is_own(sight)).map(|sight| as_told(protocol, judged, sight)).collect())
    }

    /// Everybody but `from`'s user sees a signal of theirs.
    ///
    /// # Errors
    /// Who does not; all of them.
    pub fn all_told(&mut self, from: usize, what: &What) -> Result<()> {
        let (conversation, speaker) = (self.conversation.clone(), self.seat(from)?.uid.clone());
        let judged: Vec<Sight> = self.judge()?.kept(&conversation).cloned().collect();
        let mut wrong = Vec::new();
        for seat in self.seats.iter_mut().filter(|seat| seat.uid != speaker) {
            let told = seat.wait(&format!("{what:?} of {speaker}"), |heard| {
                let mut signals = heard.sights.iter().filter(|sight| sight.conversation == conversation && sight.what.is_signal());
                let is_it = |sight: &&Sight| {
                    let whose = if sight.from.is_empty() { &sight.name } else { &sight.from };
                    *whose == speaker && known(&judged, sight).what == *what
                };
                signals.rfind(is_it).map(drop)
            });
            wrong.extend(told.err().map(|error| format!("{error:#}")));
            // So that the next one of its kind is another.
            seat.heard.sights.retain(|sight| !sight.what.is_signal());
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }
}

/// Makes everybody a member, of a group that is made when there is no such conversation.
fn bring_in(server: &Server, conversation: &str, people: &[(Protocol, String, String)]) -> Result<()> {
    let everybody: Vec<&String> = people.iter().flat_map(|(_, speaker, reader)| [speaker, reader]).collect();
    let (first, rest) = everybody.split_first().context("nobody")?;
    let group = serde_json::json!({"kind": "group", "id": conversation, "title": conversation, "members": rest});
    let mut owner = load::join(server, first)?;
    let is_there = owner.call("conversation.history", &serde_json::json!({"conversation": conversation}))?.is_ok();
    if !is_there {
        owner.call_ok("conversation.create", &group)?;
    }
    for uid in &everybody {
        let mut client: Client = load::join(server, uid)?;
        client.call_ok("conversation.join", &serde_json::json!({"conversation": conversation}))?;
    }
    Ok(())
}

/// What the first seat saw, as it is told over a protocol, with targets by id.
#[must_use]
pub fn as_told(protocol: Protocol, judged: &[Sight], sight: &Sight) -> Sight {
    let mut told = known(judged, sight);
    if protocol == Protocol::Xmpp {
        (told.what, told.name) = (told.what.map(str::to_owned, as_xml_has_it), as_xml_has_it(&told.name));
    }
    told
}

/// The same with what it is about by its public id.
#[must_use]
pub fn known(judged: &[Sight], sight: &Sight) -> Sight {
    let id = |about: &str| {
        let by_seq = |sight: &&Sight| sight.seq.is_some_and(|seq| seq.to_string() == about);
        let is_it = |sight: &&Sight| sight.id == about || (!sight.client_id.is_empty() && sight.client_id == about) || by_seq(sight);
        judged.iter().find(is_it).map_or_else(|| format!("unknown {about}"), |found| found.id.clone())
    };
    Sight { what: sight.what.map(id, str::to_owned), ..sight.clone() }
}

/// The same events in the same order.
///
/// # Errors
/// The first difference.
pub fn compare(expected: &[Sight], seen: &[Sight]) -> Result<()> {
    for (at, expected) in expected.iter().enumerate() {
        let seen = seen.get(at).with_context(|| format!("event {at} is missing: {expected:?}"))?;
        let is_same_person = seen.from.is_empty() || seen.from == expected.from;
        let is_same = seen.id == expected.id && seen.what == expected.what && seen.name == expected.name && is_same_person;
        let is_same_id = seen.client_id == expected.client_id || expected.client_id.is_empty();
        ensure!(is_same && is_same_id, "event {at} is\n  {}\ninstead of\n  {}", shown(seen), shown(expected));
    }
    ensure!(seen.len() == expected.len(), "{} events too many, the first {:?}", seen.len() - expected.len(), seen[expected.len()]);
    Ok(())
}

fn shown(sight: &Sight) -> String {
    let all = format!("{sight:?}");
    if all.chars().count() > 600 {
        format!("{}… ({} chars)", all.chars().take(600).collect::<String>(), all.chars().count())
    } else {
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(id: &str, text: &str) -> Sight {
        let what = What::Said(Some(text.into()));
        let word = String::new;
        Sight { conversation: "c".into(), id: id.into(), seq: Some(1), client_id: word(), from: "a".into(), name: "a".into(), what }
    }

    #[test]
    fn differences_are_found() {
        let all = [said("1", "x"), said("2", "y")];
        assert!(compare(&all, &all).is_ok());
        assert!(compare(&all, &all[..1]).is_err(), "missing");
        assert!(compare(&all[..1], &all).is_err(), "too many");
        assert!(compare(&all, &[said("2", "y"), said("1", "x")]).is_err(), "another order");
        assert!(compare(&all, &[said("1", "x"), said("2", "z")]).is_err(), "another text");
        assert!(compare(&all, &[said("1", "x"), said("3", "y")]).is_err(), "another id");
    }
}
