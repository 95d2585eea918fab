//! One connection of somebody in a story: what has come and was not looked at yet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::pattern::{Vars, matches};
use crate::xmpp::client::{Client, PATIENCE, Seen};
use crate::xmpp::element::{Element, STREAMS};

/// A connection.
pub struct Session {
    /// The client; `None` once it is cut.
    pub client: Client,
    /// Whether a resource is bound.
    pub is_bound: bool,
    unread: VecDeque<Element>,
    /// The id of the stanza sent last.
    last_id: Option<String>,
    next_id: u32,
    /// Stanzas that came since `<enabled/>` (XEP-0198 §4), while there is management.
    handled: Option<u32>,
    ended: bool,
}

impl Session {
    /// On a connection; `handled` stanzas of an earlier one, which may be resumed.
    #[must_use]
    pub fn new(client: Client, handled: Option<u32>) -> Session {
        Session { client, is_bound: false, unread: VecDeque::new(), last_id: None, next_id: 0, handled, ended: false }
    }

    /// Stanzas that came since `<enabled/>`.
    #[must_use]
    pub fn handled(&self) -> Option<u32> {
        self.handled
    }

    /// Sends XML. An IQ without an id is given one.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, xml: &str) -> Result<()> {
        // What is not well-formed is sent as it is.
        let elements = Element::parse_all(xml).unwrap_or_default();
        let mut xml = xml.to_owned();
        if let Some(stanza) = elements.iter().rev().find(|element| element.is_stanza()) {
            self.last_id = stanza.attr("id").map(str::to_owned);
            if stanza.name == "iq" && self.last_id.is_none() && elements.len() == 1 {
                self.next_id += 1;
                let id = format!("q{}", self.next_id);
                xml = xml.replacen("<iq", &format!("<iq id='{id}'"), 1);
                self.last_id = Some(id);
            }
        }
        self.client.send(&xml)
    }

    /// Reads until the condition gives something.
    fn wait<T>(&mut self, what: &str, mut take: impl FnMut(&mut VecDeque<Element>) -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = take(&mut self.unread)? {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.read(left)? {
                let end = if self.ended { "the stream has ended" } else { "nothing of that kind came in time" };
                bail!("expected {what}\n  {end}; unread: {}", self.unread_text());
            }
        }
    }

    /// Reads one thing; false when nothing will come any more, or not in time.
    fn read(&mut self, within: Duration) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        match self.client.see(within)? {
            Seen::Header(_) => {}
            Seen::Element(element) => {
                if element.is("enabled", "urn:xmpp:sm:3") {
                    self.handled = Some(0);
                } else if element.is_stanza() {
                    self.handled = self.handled.map(|handled| handled.wrapping_add(1));
                }
                self.unread.push_back(element);
            }
            Seen::End | Seen::Closed => self.ended = true,
            Seen::Nothing => return Ok(false),
        }
        Ok(true)
    }

    fn unread_text(&self) -> String {
        match self.unread.is_empty() {
            true => "nothing".into(),
            false => self.unread.iter().map(|element| format!("\n    {element}")).collect(),
        }
    }

    /// The next one of the pattern's kind must match it.
    ///
    /// # Errors
    /// It does not, or does not come.
    pub fn gets(&mut self, pattern: &Element, vars: &mut Vars) -> Result<()> {
        let own_id = self.last_id.clone();
        let asked = own_id.filter(|_| pattern.name == "iq" && matches!(pattern.attr("type"), Some("result" | "error")));
        let found = self.wait(&pattern.to_string(), |unread| {
            let at = unread.iter().position(|element| is_of_kind(pattern, element, asked.as_deref()));
            Ok(at.and_then(|at| unread.remove(at)))
        })?;
        matches(pattern, &found, vars).with_context(|| format!("expected {pattern}\n  came {found}"))
    }

    /// The very next one must match.
    ///
    /// # Errors
    /// It does not, or does not come.
    pub fn gets_next(&mut self, pattern: &Element, vars: &mut Vars) -> Result<()> {
        let found = self.wait(&pattern.to_string(), |unread| Ok(unread.pop_front()))?;
        matches(pattern, &found, vars).with_context(|| format!("expected {pattern}\n  came {found}"))
    }

    /// One that matches must come; others stay unread.
    ///
    /// # Errors
    /// None comes.
    pub fn eventually_gets(&mut self, pattern: &Element, vars: &mut Vars) -> Result<()> {
        self.wait(&pattern.to_string(), |unread| {
            let at = unread.iter().position(|element| matches(pattern, element, vars).is_ok());
            Ok(at.and_then(|at| unread.remove(at)).map(drop))
        })
    }

    /// Waits for a room's subject, which ends what is told to who enters (XEP-0045 §7.1); what the room has sent so far is dropped.
    ///
    /// # Errors
    /// It does not come, or an error does.
    pub fn has_joined(&mut self, room: &str) -> Result<()> {
        let of_room = |element: &Element| element.attr("from").is_some_and(|from| from.split('/').next() == Some(room));
        let is_subject = |element: &Element| element.child("subject").is_some() && element.child("body").is_none();
        self.wait(&format!("the subject of {room}"), |unread| {
            if let Some(error) = unread.iter().find(|element| of_room(element) && element.attr("type") == Some("error")) {
                bail!("the room refuses: {error}");
            }
            let Some(end) = unread.iter().position(|element| of_room(element) && element.name == "message" && is_subject(element)) else {
                return Ok(None);
            };
            let mut at = 0;
            unread.retain(|element| {
                at += 1;
                at > end + 1 || !of_room(element)
            });
            Ok(Some(()))
        })
    }

    /// What was sent last comes back.
    ///
    /// # Errors
    /// It does not, or with another error.
    pub fn is_refused(&mut self, kind: &str, condition: &str) -> Result<()> {
        let id = self.last_id.clone();
        let what = format!("the error {kind} {condition}");
        let found = self.wait(&what, |unread| {
            let answer = |element: &Element| element.is_stanza() && element.attr("id") == id.as_deref();
            let at = unread.iter().position(|element| answer(element) && matches!(element.attr("type"), Some("error" | "result")));
            Ok(at.and_then(|at| unread.remove(at)))
        })?;
        let error = found.child("error").with_context(|| format!("expected {what}\n  came {found}"))?;
        let names = condition == "*" || error.child_of(condition, "urn:ietf:params:xml:ns:xmpp-stanzas").is_some();
        ensure!(names && (kind == "*" || error.attr("type") == Some(kind)), "expected {what}\n  came {found}");
        Ok(())
    }

    /// A question and its answer, so that everything sent before is done.
    ///
    /// # Errors
    /// No answer.
    pub fn round_trip(&mut self, domain: &str) -> Result<()> {
        self.next_id += 1;
        let id = format!("trip{}", self.next_id);
        self.client.send(&format!("<iq type='get' to='{domain}' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"))?;
        self.wait("an answer to a ping", |unread| {
            let at = unread.iter().position(|element| element.name == "iq" && element.attr("id") == Some(id.as_str()));
            Ok(at.and_then(|at| unread.remove(at)).map(drop))
        })
    }

    /// Nothing is unread, of that kind or any.
    ///
    /// # Errors
    /// Something is.
    pub fn has_nothing(&self, kind: Option<&str>) -> Result<()> {
        match self.unread.iter().find(|element| kind.is_none_or(|kind| element.name == kind)) {
            None => Ok(()),
            Some(found) => bail!("expected nothing, came {found}"),
        }
    }

    /// Drops what is unread.
    pub fn forget(&mut self) {
        self.unread.clear();
    }

    /// Drops what is unread from this address.
    pub fn forget_from(&mut self, address: &str) {
        self.unread.retain(|element| element.attr("from") != Some(address));
    }

    /// Waits until the server ends the stream: the error's condition.
    ///
    /// # Errors
    /// It does not.
    pub fn stream_end(&mut self) -> Result<Option<String>> {
        let deadline = Instant::now() + PATIENCE;
        while !self.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(self.read(left)?, "the stream is still open; unread: {}", self.unread_text());
        }
        let error = self.unread.iter().find(|element| element.is("error", STREAMS));
        let condition = error.and_then(|error| error.children.iter().find(|child| child.name != "text"));
        Ok(condition.map(|condition| condition.name.clone()))
    }
}

/// Whether an element is one that the pattern speaks of: a stanza of that kind and type, presence of the same address, the answer to the same IQ.
fn is_of_kind(pattern: &Element, element: &Element, asked: Option<&str>) -> bool {
    let subscribes = |element: &Element| element.attr("type").is_some_and(|kind| kind.contains("subscribe"));
    if !pattern.is_stanza() || !element.is_stanza() {
        return pattern.is_stanza() == element.is_stanza();
    }
    pattern.name == element.name
        && match pattern.name.as_str() {
            "message" => pattern.attr("type").is_none_or(|kind| is_blank(kind) || element.attr("type").unwrap_or("normal") == kind),
            "presence" => {
                let from = pattern.attr("from");
                subscribes(pattern) == subscribes(element) && (from.is_none_or(is_blank) || from == element.attr("from"))
            }
            _ => match pattern.attr("id").filter(|id| !is_blank(id)).or(asked) {
                Some(id) => element.attr("id") == Some(id),
                None => pattern.attr("type") == element.attr("type"),
            },
        }
}

fn is_blank(value: &str) -> bool {
    matches!(value, "*" | "-") || value.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_keep_apart_what_scripts_ask_for_separately() {
        let kind =
            |pattern, xml, asked| is_of_kind(&Element::parse(pattern).expect("a pattern"), &Element::parse(xml).expect("XML"), asked);
        assert!(kind("<message type='chat'/>", "<message type='chat' from='a'/>", None));
        assert!(!kind("<message type='chat'/>", "<message type='groupchat'/>", None));
        assert!(kind("<presence from='a@b'/>", "<presence from='a@b' type='unavailable'/>", None));
        assert!(!kind("<presence from='a@b'/>", "<presence from='a@b/c'/>", None));
        assert!(!kind("<presence type='subscribe' from='a@b'/>", "<presence from='a@b'/>", None));
        assert!(kind("<iq type='result'/>", "<iq type='error' id='q1'/>", Some("q1")), "the answer is looked at, whatever it is");
        assert!(!kind("<iq type='result'/>", "<iq type='result' id='q2'/>", Some("q1")));
        assert!(kind("<iq type='set'/>", "<iq type='set' id='push'/>", None));
        assert!(!kind("<a xmlns='urn:xmpp:sm:3'/>", "<message/>", None));
    }
}
