//! What is in a message: the parts that say what happened, between the head and what is said about the sender.

use std::borrow::Cow;

use hallway_broker::ids::Uid;
use hallway_broker::model::{Body, Message, Via};

use super::ns;
use super::outgoing::{Occupant, Original, Outgoing, Stanzas};
use super::quote::quote;
use crate::xmpp::names::nick_of;
use crate::xmpp::write::Writer;

/// What those read whose client knows no retractions.
const RETRACTED: &str = "A message was taken back here, which this client cannot show.";

/// The two kinds of conversations, which name messages differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A room: by its stanza-ids.
    Groupchat,
    /// Two people: by the ids of the stanzas.
    Chat,
}

impl Shape {
    /// The id by which reactions, replies and retractions name a message (XEP-0424 §5.1, XEP-0444 §4.2, XEP-0461 §4.1).
    fn id_of<'a>(self, original: &Original<'a>) -> &'a str {
        match self {
            Self::Groupchat => original.id,
            Self::Chat => original.message_id(),
        }
    }
}

/// Whether somebody deletes what another wrote (XEP-0425).
pub fn is_moderation(outgoing: &Outgoing<'_>) -> bool {
    let entry = &outgoing.event.entry;
    let is_deletion = matches!(entry.body, Body::Delete { .. });
    is_deletion && outgoing.target.is_some_and(|target| *target.author != entry.from)
}

/// Appends what an event says. False when it is not for a message to say, or something is missing.
pub fn write_content(xml: &mut Writer<'_>, stanzas: &Stanzas, outgoing: &Outgoing<'_>, shape: Shape) -> bool {
    let said = match &outgoing.event.entry.body {
        Body::Message(message) if message.deleted.is_some() => write_tombstone(xml, stanzas, outgoing, shape),
        Body::Message(message) => write_message(xml, stanzas, outgoing, message, shape),
        Body::Edit { text, .. } => write_edit(xml, stanzas, outgoing, text, shape),
        Body::Delete { .. } => write_retraction(xml, stanzas, outgoing, shape),
        Body::React { .. } => write_reactions(xml, outgoing, shape),
        Body::Settings { title } if shape == Shape::Groupchat => {
            xml.child("subject", title); // XEP-0045 §8.1
            Some(())
        }
        Body::Settings { .. } | Body::Member { .. } | Body::Notice(_) | Body::Publication(_) | Body::Stored(_) => None,
    };
    said.is_some()
}

fn write_message(xml: &mut Writer<'_>, stanzas: &Stanzas, outgoing: &Outgoing<'_>, message: &Message, shape: Shape) -> Option<()> {
    let urls: Vec<Cow<'_, str>> = message.attachments.iter().map(|url| stanzas.url_of(url)).collect();
    write_body(xml, stanzas, outgoing, &message.text, &urls, shape);
    for url in &urls {
        xml.open("x", ns::OOB).inside().child("url", url).close("x"); // XEP-0066 §3
    }
    for uid in message.mentions.iter().filter_map(|mention| Uid::parse(mention).ok()) {
        let uri = ["xmpp:", uid.as_str(), "@", stanzas.names.domain()];
        xml.open("reference", ns::REFERENCE).attr("type", "mention").attr_of("uri", &uri).empty(); // XEP-0372 §3.2
    }
    if outgoing.event.entry.via == Via::Xmpp && !message.client_id.is_empty() {
        xml.open("origin-id", ns::STANZA_IDS).attr("id", &message.client_id).empty();
    }
    if shape == Shape::Chat {
        xml.open("markable", ns::MARKERS).empty(); // XEP-0333 §4.1; not in rooms (§4.3)
        xml.open("request", ns::RECEIPTS).empty(); // XEP-0184 §5; nor in rooms (§5.3)
    }
    Some(())
}

/// Appends a body with all that those need in it who do not know replies and attachments, and says which part of it that is (XEP-0428).
fn write_body(xml: &mut Writer<'_>, stanzas: &Stanzas, outgoing: &Outgoing<'_>, text: &str, attachments: &[Cow<'_, str>], shape: Shape) {
    let quoted = outgoing.reply_to.map(|original| quote(original.name, original.text)).unwrap_or_default();
    xml.open_child("body").inside().text(&quoted).text(text);
    // A text that is the file's URL is how clients send files.
    let urls = if attachments.iter().any(|url| url == text) { &[] } else { attachments };
    for url in urls {
        xml.text("\n").text(url);
    }
    xml.close("body");
    let quoted_chars = quoted.chars().count();
    if let Some(original) = &outgoing.reply_to {
        write_reply(xml, stanzas, outgoing, original, shape);
        write_fallback(xml, ns::REPLY, Some((0, quoted_chars)));
    }
    if !urls.is_empty() {
        let start = quoted_chars + text.chars().count();
        let urls_chars: usize = urls.iter().map(|url| 1 + url.chars().count()).sum();
        write_fallback(xml, ns::OOB, Some((start, start + urls_chars)));
    }
}

/// XEP-0461 §3: whose message it is, and which.
fn write_reply(xml: &mut Writer<'_>, stanzas: &Stanzas, outgoing: &Outgoing<'_>, original: &Original<'_>, shape: Shape) {
    let conversation = outgoing.event.place.conversation.as_str();
    xml.open("reply", ns::REPLY);
    match shape {
        Shape::Groupchat => xml.attr_of("to", &[conversation, "@", stanzas.names.rooms(), "/", &nick_of(original.name, original.author)]),
        Shape::Chat => xml.attr_of("to", &[original.author.as_str(), "@", stanzas.names.domain()]),
    };
    xml.attr("id", shape.id_of(original)).empty();
}

/// XEP-0428 §2.2: what of the body stands in for `extension`, in code points; all of it without `region`.
fn write_fallback(xml: &mut Writer<'_>, extension: &'static str, region: Option<(usize, usize)>) {
    xml.open("fallback", ns::FALLBACK).attr("for", extension).inside().open_child("body");
    if let Some((start, end)) = region {
        xml.number_attr("start", start).number_attr("end", end);
    }
    xml.empty().close("fallback");
}

/// XEP-0308 §3. A message that has been deleted since has no texts any more, and no edits to tell of.
fn write_edit(xml: &mut Writer<'_>, stanzas: &Stanzas, outgoing: &Outgoing<'_>, text: &str, shape: Shape) -> Option<()> {
    let target = outgoing.target.filter(|_| !text.is_empty())?;
    write_body(xml, stanzas, outgoing, text, &[], shape);
    xml.open("replace", ns::CORRECT).attr("id", target.message_id()).empty();
    Some(())
}

/// XEP-0424 §3 for one's own message, XEP-0425 §3.1 for another's.
fn write_retraction(xml: &mut Writer<'_>, stanzas: &Stanzas, outgoing: &Outgoing<'_>, shape: Shape) -> Option<()> {
    let target = outgoing.target?;
    let entry = &outgoing.event.entry;
    xml.open("retract", ns::RETRACT).attr("id", shape.id_of(&target)).inside();
    if shape == Shape::Groupchat && is_moderation(outgoing) {
        write_moderated(xml, stanzas, outgoing, (&entry.from, &entry.name));
    }
    xml.close("retract");
    xml.child("body", RETRACTED);
    write_fallback(xml, ns::RETRACT, None);
    xml.open("store", ns::HINTS).empty(); // XEP-0334 §4.4
    Some(())
}

/// XEP-0424 §4, XEP-0425 §4: what is left of a message in history.
fn write_tombstone(xml: &mut Writer<'_>, stanzas: &Stanzas, outgoing: &Outgoing<'_>, shape: Shape) -> Option<()> {
    let retraction = outgoing.retraction?;
    let is_moderated = *retraction.by.0 != outgoing.event.entry.from;
    xml.open("retracted", ns::RETRACT).attr("id", retraction.id).time_attr("stamp", retraction.ts_ms).inside();
    if shape == Shape::Groupchat && is_moderated {
        write_moderated(xml, stanzas, outgoing, retraction.by);
    }
    xml.close("retracted");
    Some(())
}

fn write_moderated(xml: &mut Writer<'_>, stanzas: &Stanzas, outgoing: &Outgoing<'_>, (uid, name): (&Uid, &str)) {
    let place = &outgoing.event.place;
    xml.open("moderated", ns::MODERATE);
    if *uid == Uid::system() {
        xml.empty(); // XEP-0425 §4: nobody in particular
        return;
    }
    let nick = nick_of(name, uid);
    xml.attr_of("by", &[place.conversation.as_str(), "@", stanzas.names.rooms(), "/", &nick]).inside();
    stanzas.write_occupant_id(xml, &Occupant { conf: place.conf, conversation: &place.conversation, uid, name });
    xml.close("moderated");
}

/// XEP-0444 §3.2: all reactions of this person to the message; none when the last was taken back.
fn write_reactions(xml: &mut Writer<'_>, outgoing: &Outgoing<'_>, shape: Shape) -> Option<()> {
    let target = outgoing.target?;
    xml.open("reactions", ns::REACTIONS).attr("id", shape.id_of(&target)).inside();
    for emoji in outgoing.reactions {
        xml.child("reaction", emoji);
    }
    xml.close("reactions");
    xml.open("store", ns::HINTS).empty(); // XEP-0444 §4
    Some(())
}
