//! Meeting: two badges held to one reader within moments, or one person scanning another's. Both get the other's card in their direct conversation,
//! which is thereby open in every protocol.

use std::fmt::Write as _;
use std::sync::Arc;

use super::super::{Ask, Stop, blocks, conversations};
use super::contacts;
use super::scan::{Desk, Holder, Verdict};
use crate::command::Actor;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys;
use crate::limits::MEET_WINDOW_MS;
use crate::model::{Acquaintance, Attendee, Body, Contact, Message, Notice, ScanReason, Via, Waiting};
use crate::reject::Reason;
use crate::view::View;

pub(super) fn meet(view: &mut View<'_>, desk: &Desk<'_>, holder: &Holder, at_ms: u64) -> Result<Verdict, Stop> {
    if !desk.is_reader {
        return contacts::scanned(view, desk, holder);
    }
    let conf = desk.ask.conf;
    let key = keys::waiting_tap(conf, &desk.ask.actor.uid);
    let near = |waiting: &Waiting| waiting.user != holder.uid && waiting.at_ms.abs_diff(at_ms) <= MEET_WINDOW_MS;
    let first = view.get::<Waiting>(&key)?.filter(near);
    let first = match first {
        // Who was erased meanwhile meets nobody.
        Some(first) if view.user(conf, &first.user)?.is_some() => first.user,
        _ => {
            view.put(key, &Waiting { user: holder.uid.clone(), at_ms });
            return Ok(ScanReason::Ok.into());
        }
    };
    view.remove(key);
    let conversation = acquaint(view, desk.ask, &first, &holder.uid)?;
    let reason = if conversation.is_some() { ScanReason::Ok } else { ScanReason::NotAllowed };
    Ok(Verdict { reason, conversation })
}

fn state(view: &View<'_>, conf: ConfNo, of: &Uid, with: &Uid) -> Result<Option<Acquaintance>, Stop> {
    Ok(view.get::<Contact>(&keys::contact(conf, of, with))?.map(|contact| contact.state))
}

/// Makes two people acquainted; their direct conversation. `None` when one has blocked the other.
pub(super) fn acquaint(view: &mut View<'_>, ask: Ask<'_>, one: &Uid, other: &Uid) -> Result<Option<ConversationId>, Stop> {
    let conf = ask.conf;
    if blocks::are_apart(view, conf, one, other)? {
        return Ok(None);
    }
    let Some(id) = ConversationId::direct(one, other) else { return Ok(None) };
    let met = Some(Acquaintance::Met);
    if state(view, conf, one, other)? == met && state(view, conf, other, one)? == met {
        return Ok(Some(id));
    }
    let contact = Contact { state: Acquaintance::Met, since_ms: ask.at_ms, is_withdrawn: false };
    let is_open = view.conversation(conf, &id)?.is_some();
    for (me, you) in [(one, other), (other, one)] {
        view.put(keys::contact(conf, me, you), &contact);
        give_card(view, ask, &id, me, you, is_open)?;
    }
    Ok(Some(id))
}

/// `me` says to `you` who they are. Who did nothing themselves is told that there is a conversation now.
fn give_card(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, me: &Uid, you: &Uid, was_open: bool) -> Result<(), Stop> {
    let actor = Actor { uid: me.clone(), via: Via::Badge, session: 0 };
    let ask = Ask { actor: &actor, ..ask };
    let author = ask.author(view)?;
    let found = match view.conversation(ask.conf, id)? {
        None => conversations::add_direct(view, ask, &author, id, you)?,
        Some(found) => {
            if !was_open {
                ask.notify(view, &author, you, Notice::Invited { conversation: id.clone() })?;
            }
            found
        }
    };
    let text = card(view, ask.conf, me)?;
    ask.append(view, &found, &author, Body::Message(Message { text: text.into(), ..Message::default() }))?;
    ask.notify(view, &author, you, Notice::Contact { user: me.clone(), state: Acquaintance::Met })?;
    Ok(())
}

/// Name, job and company, and what they say about themselves.
fn card(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<String, Stop> {
    let user = view.user(conf, uid)?.ok_or(Reason::UnknownUser)?;
    let known: Attendee = view.get(&keys::attendee(conf, uid))?.unwrap_or_default();
    let work: Vec<&str> = [&known.job, &known.company].into_iter().map(Arc::as_ref).filter(|text: &&str| !text.is_empty()).collect();
    let mut text = user.name.to_string();
    for line in [work.join(", ").as_str(), &user.about] {
        if !line.is_empty() {
            // Into a text it cannot fail.
            let _ = write!(text, "\n{line}");
        }
    }
    Ok(text)
}
