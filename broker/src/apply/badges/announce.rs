//! Announcing: a conversation is told who is there.

use super::super::Stop;
use super::readers::gathering_of;
use super::scan::{Desk, Holder, Verdict};
use crate::keys;
use crate::model::{Body, Message, ScanReason};
use crate::view::View;

/// What is said when the reader has no words of its own.
const TEXT: &str = "{name} is here.";

pub(super) fn announce(view: &mut View<'_>, desk: &Desk<'_>, holder: &Holder) -> Result<Verdict, Stop> {
    let Some(found) = gathering_of(view, desk.ask.conf, &desk.settings)? else { return Ok(ScanReason::NotAllowed.into()) };
    let words = if desk.settings.text.is_empty() { TEXT } else { &desk.settings.text };
    // It names whom it is about: so an erasure finds it, wherever they are no member.
    let (text, mentions) = (words.replace("{name}", &holder.name).into(), vec![holder.uid.as_str().into()]);
    let message = Message { text, mentions, ..Message::default() };
    view.put(keys::user_conversation(desk.ask.conf, &holder.uid, &found.id), &());
    desk.ask.append(view, &found, &desk.author, Body::Message(message))?;
    Ok(Verdict { reason: ScanReason::Ok, conversation: Some(found.id) })
}
