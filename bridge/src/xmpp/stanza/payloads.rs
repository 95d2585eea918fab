//! The extensions in a message, each found by its name and namespace in one walk over its children.

use hallway_broker::files::capability_in;
use hallway_broker::limits::{MAX_ATTACHMENTS, MAX_MENTIONS};
use minidom::Element;

use super::fallback;
use super::incoming::BadMessage;
use super::mention::{Mention, mention};
use super::ns;
use super::state::ChatState;
use crate::xmpp::names::Names;

/// What a message holds of what is known here, still as elements.
#[derive(Default)]
pub struct Payloads<'m> {
    body: Option<&'m Element>,
    subject: Option<&'m Element>,
    has_thread: bool,
    fallbacks: Vec<&'m Element>,
    references: Vec<&'m Element>,
    oob: Vec<&'m Element>,
    muc_user: Option<&'m Element>,
    /// XEP-0249: into this room.
    pub conference: Option<&'m Element>,
    /// XEP-0085: whether the sender types.
    pub state: Option<ChatState>,
    /// XEP-0184: a receipt is asked for.
    pub wants_receipt: bool,
    /// XEP-0184: a message has arrived.
    pub received: Option<&'m Element>,
    /// XEP-0280, XEP-0334: no copies.
    pub no_copy: bool,
    /// XEP-0308: another text.
    pub replace: Option<&'m Element>,
    /// XEP-0333: read up to here.
    pub displayed: Option<&'m Element>,
    /// XEP-0359: the sender's id.
    pub origin_id: Option<&'m Element>,
    /// XEP-0424: taken back.
    pub retract: Option<&'m Element>,
    /// XEP-0444: reactions.
    pub reactions: Option<&'m Element>,
    /// XEP-0461: an answer.
    pub reply: Option<&'m Element>,
}

impl<'m> Payloads<'m> {
    /// Finds them.
    ///
    /// # Errors
    /// [`BadMessage`] when one that can be there once is there twice, or two contradict each other.
    pub fn of(message: &'m Element) -> Result<Self, BadMessage> {
        let mut payloads = Self::default();
        for child in message.children() {
            payloads.find(child)?;
        }
        let changes = [("replace", payloads.replace), ("retract", payloads.retract), ("reactions", payloads.reactions)];
        let mut changes = changes.iter().filter(|(_, element)| element.is_some());
        match (changes.next(), changes.next()) {
            (Some((one, _)), Some((other, _))) => Err(BadMessage::Contradiction(one, other)),
            _ => Ok(payloads),
        }
    }

    fn find(&mut self, child: &'m Element) -> Result<(), BadMessage> {
        let is = |namespace: &str| child.has_ns(namespace);
        match child.name() {
            // RFC 6121 §5.2.3: there may be more, in other languages
            "body" if is(ns::CLIENT) => drop(self.body.get_or_insert(child)),
            "subject" if is(ns::CLIENT) => drop(self.subject.get_or_insert(child)),
            "thread" if is(ns::CLIENT) => self.has_thread = true,
            "fallback" if is(ns::FALLBACK) => self.fallbacks.push(child),
            "reference" if is(ns::REFERENCE) => self.references.push(child),
            "x" if is(ns::OOB) => self.oob.push(child),
            "x" if is(ns::MUC_USER) => once(&mut self.muc_user, child, "x")?,
            "x" if is(ns::CONFERENCE) => once(&mut self.conference, child, "x")?,
            name if is(ns::CHAT_STATES) => self.state = ChatState::from_name(name).or(self.state),
            "request" if is(ns::RECEIPTS) => self.wants_receipt = true,
            "received" if is(ns::RECEIPTS) => once(&mut self.received, child, "received")?,
            "private" if is(ns::CARBONS) => self.no_copy = true,
            "no-copy" if is(ns::HINTS) => self.no_copy = true,
            "replace" if is(ns::CORRECT) => once(&mut self.replace, child, "replace")?,
            "displayed" if is(ns::MARKERS) => once(&mut self.displayed, child, "displayed")?,
            "origin-id" if is(ns::STANZA_IDS) => once(&mut self.origin_id, child, "origin-id")?,
            "retract" if is(ns::RETRACT) => once(&mut self.retract, child, "retract")?,
            "reactions" if is(ns::REACTIONS) => once(&mut self.reactions, child, "reactions")?, // XEP-0444 §4
            "reply" if is(ns::REPLY) => once(&mut self.reply, child, "reply")?,
            _ => {}
        }
        Ok(())
    }

    /// The body without what stands in for extensions that are understood, or the attachment that came without one; `None` when
    /// that is nothing.
    ///
    /// # Errors
    /// [`BadMessage::Region`].
    pub fn text(&self) -> Result<Option<String>, BadMessage> {
        let body = self.body.map(Element::text).unwrap_or_default();
        let understood = |namespace: Option<&str>| match namespace {
            Some(ns::REPLY) => self.reply.is_some(),
            Some(ns::REACTIONS) => self.reactions.is_some(),
            // The URL of a file elsewhere is part of the text.
            Some(ns::OOB) => !self.oob.is_empty() && self.urls().all(|url| capability_in(&url).is_some()),
            Some(_) => false,
            // XEP-0428 §2.2 wants one; without it, it is for whatever is there
            None => self.reply.is_some() || self.reactions.is_some(),
        };
        let text = fallback::strip(&body, &self.fallbacks, understood)?.into_owned();
        Ok(Some(text).filter(|text| !text.is_empty()).or_else(|| self.urls().next()))
    }

    /// Who is named, each once; of too many, one more than may be.
    #[must_use]
    pub fn mentions(&self, names: &Names) -> Vec<Mention> {
        let mut mentions = Vec::new();
        for mention in self.references.iter().filter_map(|reference| mention(reference, names)) {
            if mentions.len() <= MAX_MENTIONS && !mentions.contains(&mention) {
                mentions.push(mention);
            }
        }
        mentions
    }

    /// URLs of attached files, which are this server's; of too many, one more than may be.
    #[must_use]
    pub fn attachments(&self) -> Vec<String> {
        self.urls().filter(|url| capability_in(url).is_some()).take(MAX_ATTACHMENTS + 1).collect()
    }

    /// XEP-0066 §3. Only what a browser can fetch is of use to everybody.
    fn urls(&self) -> impl Iterator<Item = String> {
        let urls = self.oob.iter().filter_map(|x| x.get_child("url", ns::OOB)).map(Element::text);
        urls.filter(|url| url.starts_with("https://") || url.starts_with("http://"))
    }

    /// XEP-0045 §7.8.2: those whom the room is asked to invite.
    pub fn invites(&self) -> impl Iterator<Item = &'m Element> {
        self.muc_user.into_iter().flat_map(Element::children).filter(|child| child.is("invite", ns::MUC_USER))
    }

    /// XEP-0045 §8.1: a subject is a change of the room's only without body and thread.
    #[must_use]
    pub fn subject_change(&self) -> Option<&'m Element> {
        self.subject.filter(|_| self.body.is_none() && !self.has_thread)
    }
}

fn once<'m>(slot: &mut Option<&'m Element>, element: &'m Element, name: &'static str) -> Result<(), BadMessage> {
    if slot.replace(element).is_some() { Err(BadMessage::Repeated(name)) } else { Ok(()) }
}
