//! What a client says: messages into conversations, and what happens to messages.

use std::sync::Arc;

use hallway_broker::admit::{check_draft, check_text};
use hallway_broker::command::{self, Action, Outcome, Reuse};
use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::model::{Kind, Signal};
use hallway_broker::reject::Reason;
use hallway_broker::session::blocking;
use hallway_broker::view::Found;
use minidom::Element;

use super::connection::Waiting;
use super::directory::{Change, Going};
use super::inbound::{Refused, by, refused};
use super::names::{Address, Addressee, NickOwner, nick_owner};
use super::presence::{route_to_user, route_whole};
use super::roster;
use super::stanza::ns;
use super::stanza::{ChatState, Condition, Draft, IdKind, Incoming, Invitation, Mention, MessageType, Said, Target, read_message};
use super::task::Task;

/// Longest reason of an invitation, in bytes; a longer one is left out.
const MAX_REASON_BYTES: usize = 1024;

/// Namespaces of what comes along with texts.
const ALONG_WITH_TEXT: &[&str] = &[ns::CHAT_STATES, ns::STANZA_IDS, ns::RECEIPTS, ns::MARKERS, ns::HINTS];

/// Where a message goes.
struct To {
    conversation: ConversationId,
    /// The one session of the other that it is for.
    resource: Option<String>,
    /// The room by which the other is addressed.
    room: Option<ConversationId>,
    is_room: bool,
}

/// Reads a message. One to a person that has no id gets one, by which it is known how it goes.
fn read(task: &Task, element: &Element) -> Result<Incoming, Refused> {
    let mut incoming = read_message(element, task.connection.domain.names())?;
    if incoming.client_id().is_empty() && !matches!(incoming.kind, MessageType::Groupchat | MessageType::Error) {
        incoming.origin_id = Some(roster::push_id());
    }
    Ok(incoming)
}

/// Takes a message that is only to be stored. False when it is to be carried out by [`message`].
pub(super) fn at_once(task: &mut Task, element: &Element, number: u32) -> bool {
    let Ok(incoming) = read(task, element) else { return false };
    let draft = match incoming.said.as_slice() {
        [Said::Draft(draft)] | [Said::Draft(draft), Said::Typing { on: false }] => draft,
        _ => return false,
    };
    if incoming.kind == MessageType::Headline {
        return false;
    }
    let is_plain = draft.reply_to.is_none() && !draft.mentions.iter().any(|mention| matches!(mention, Mention::Name(_)));
    let Ok(to) = addressed(task, element, incoming.kind) else { return false };
    if !is_plain || !may_speak(task, &to) {
        return false;
    }
    let draft = to_send(&incoming, draft, &to, None);
    let (hub, who) = (&task.session.shard.hub, &task.session.who);
    if check_draft(&draft, hub.limits()).is_err() || task.connection.sending.admit(hub, who, &draft).is_err() {
        // Once more, to be told why.
        return false;
    }
    note_going(task, &incoming, &to);
    let waiting = Waiting { number, id: incoming.id.as_deref().map(Into::into), to: element.attr("to").unwrap_or_default().into() };
    let tag = task.connection.waiting.borrow_mut().insert(waiting);
    let tag = u32::try_from(tag).unwrap_or(u32::MAX);
    task.submissions.push(task.session.submission(tag, Action::Send(draft)));
    true
}

/// Carries out a message.
pub(super) async fn message(task: &mut Task, element: &Element) -> Result<(), Refused> {
    let incoming = read(task, element)?;
    if incoming.kind == MessageType::Error {
        return Ok(());
    }
    let to = addressed(task, element, incoming.kind)?;
    if to.is_room && incoming.kind != MessageType::Groupchat && !incoming.said.iter().any(|said| matches!(said, Said::Invite { .. })) {
        return Err(refused(Condition::BadRequest, "a room takes messages of the type groupchat"));
    }
    let is_invitation = |said: &Said| matches!(said, Said::Invite { .. });
    if to.is_room && !task.connection.is_in(&to.conversation) && !incoming.said.iter().all(is_invitation) {
        return Err(refused(Condition::NotAcceptable, "enter the room first")); // XEP-0045 §7.4
    }
    if incoming.kind == MessageType::Headline && !to.is_room {
        return relay(task, element, &to); // not kept (RFC 6121 §5.2.2)
    }
    if is_empty_text(element, &incoming) {
        return Err(by(&Reason::InvalidParams.into()));
    }
    let hub = Arc::clone(&task.session.shard.hub);
    let mut is_for_clients = incoming.said.is_empty();
    for said in &incoming.said {
        if !matches!(said, Said::Typing { .. }) {
            task.connection.sending.take(&hub, &task.session.who).map_err(|reject| by(&reject))?;
        }
        is_for_clients |= matches!(said, Said::Receipt { .. } | Said::InviteInto { .. });
        one(task, &incoming, &to, said).await?;
    }
    if is_for_clients && !to.is_room {
        relay(task, element, &to)?;
    }
    Ok(())
}

/// Whether it is a message whose text is empty, and nothing else: nobody may send that.
fn is_empty_text(element: &Element, incoming: &Incoming) -> bool {
    let says_nothing = incoming.said.iter().all(|said| matches!(said, Said::Typing { .. }));
    let goes_along = |child: &Element| ALONG_WITH_TEXT.contains(&child.ns().as_str()) || child.is("thread", ns::CLIENT);
    says_nothing
        && element.has_child("body", ns::CLIENT)
        && element.children().all(|child| child.is("body", ns::CLIENT) || goes_along(child))
}

/// What clients say to each other and the hub knows nothing of, or need not keep, goes to the other's sessions as it is.
fn relay(task: &Task, element: &Element, to: &To) -> Result<(), Refused> {
    let Some(partner) = to.conversation.partner(&task.connection.me.uid) else { return Ok(()) };
    task.connection.sending.take(&task.session.shard.hub, &task.session.who).map_err(|reject| by(&reject))?;
    task.edge.hub.reader().may_post(task.connection.me.conf, &task.connection.me.uid, &to.conversation).map_err(|reject| by(&reject))?;
    route_to_user(task, element, &partner, to.resource.as_deref());
    Ok(())
}

async fn one(task: &mut Task, incoming: &Incoming, to: &To, said: &Said) -> Result<(), Refused> {
    let conversation = to.conversation.clone();
    match said {
        Said::Draft(draft) => send(task, incoming, draft, to).await,
        Said::Typing { on } => tell(task, &conversation, *on, incoming.state),
        Said::Receipt { .. } => Ok(()),
        Said::Edit { target, text } => {
            check_text(text, task.session.shard.hub.limits()).map_err(|reject| by(&reject))?;
            let target = find(task, to, target).await?;
            let text = text.as_str().into();
            change(task, incoming, target, &Action::Edit { conversation, target, text }).await
        }
        Said::Retract { target } | Said::Moderate { target, .. } => {
            let target = find(task, to, target).await?;
            change(task, incoming, target, &Action::Delete { conversation, target }).await
        }
        Said::React { target, emojis } => {
            let target = find(task, to, target).await?;
            react(task, incoming, &conversation, target, emojis).await
        }
        Said::Read { target } => {
            let seq = find(task, to, target).await?;
            call(task, Action::Read { conversation, seq }).await.map(drop)
        }
        Said::Subject { text } => {
            expect(task, incoming, &conversation, None, None);
            call(task, Action::Update { conversation, title: text.as_str().into() }).await.map(drop)
        }
        Said::Invite { users, reason } => invite(task, &conversation, users, reason).await,
        Said::InviteInto { conversation: room } => {
            let Some(user) = conversation.partner(&task.connection.me.uid) else { return Ok(()) };
            // Into a channel everybody may come by themselves: the stanza goes to the other's clients, and that is all.
            let found = readable(task, room)?;
            if found.record.kind == Kind::Group {
                call(task, Action::Invite { conversation: room.clone(), user }).await?;
            }
            Ok(())
        }
    }
}

/// Asks people into a room (XEP-0045 §7.8.2). Into a group they are invited by the hub; into what is open to all they may come by themselves, and
/// their clients are told.
async fn invite(task: &Task, room: &ConversationId, users: &[Uid], reason: &str) -> Result<(), Refused> {
    let (found, me) = (readable(task, room)?, &task.connection.me);
    let reason = Some(reason).filter(|reason| !reason.is_empty() && reason.len() <= MAX_REASON_BYTES);
    for user in users {
        task.edge.rooms.give_reason((found.conf, found.record.no), user, reason.unwrap_or_default());
        if found.record.kind == Kind::Group {
            call(task, Action::Invite { conversation: room.clone(), user: user.clone() }).await?;
            continue;
        }
        if task.edge.hub.reader().block_between(me.conf, &me.uid, user).map_err(|error| by(&error.into()))?.is_some() {
            continue;
        }
        let to = task.connection.domain.names().user(user);
        let mut stanza = Vec::new();
        task.connection.domain.stanzas.write_invitation(
            room,
            &Invitation { inviter: &me.uid, to: &to, id: &roster::push_id(), reason },
            &mut stanza,
        );
        let stanza: Arc<[u8]> = stanza.into();
        for resource in task.edge.directory.of(me.conf, user) {
            route_whole(&task.edge, &resource, Arc::clone(&stanza));
        }
    }
    Ok(())
}

/// XEP-0425 §3: a moderator takes a message back.
pub(super) async fn moderate(task: &mut Task, room: &ConversationId, said: &Said) -> Result<(), Refused> {
    let Said::Moderate { target, .. } = said else { return Ok(()) };
    let to = To { conversation: room.clone(), resource: None, room: None, is_room: true };
    let target = find(task, &to, target).await?;
    call(task, Action::Delete { conversation: room.clone(), target }).await.map(drop)
}

async fn call(task: &Task, action: Action) -> Result<Outcome, Refused> {
    task.session.call(action).await.map_err(|reject| by(&reject))
}

/// Where the message goes.
fn addressed(task: &Task, element: &Element, kind: MessageType) -> Result<To, Refused> {
    let (me, names) = (&task.connection.me.uid, task.connection.domain.names());
    let address = names.parse(element.attr("to").unwrap_or(&task.connection.me.bare)).map_err(|error| Refused::from(&error))?;
    let resource = match &address {
        Address::User { resource, .. } => resource.clone(),
        _ => None,
    };
    let is_room = matches!(address, Address::Room { nick: None, .. });
    if kind == MessageType::Groupchat && matches!(address, Address::Room { nick: Some(_), .. }) {
        return Err(refused(Condition::BadRequest, "what is for one occupant is of the type chat")); // XEP-0045 §7.5
    }
    if kind == MessageType::Groupchat && !is_room {
        return Err(refused(Condition::ServiceUnavailable, "only rooms take messages of the type groupchat")); // RFC 6121 §8.5.2.1.1
    }
    match names.addressee(me, address).map_err(|error| Refused::from(&error))? {
        Addressee::Conversation(conversation) => Ok(To { conversation, resource, room: None, is_room }),
        Addressee::Occupant { conversation, name } => {
            if !task.connection.is_in(&conversation) {
                return Err(refused(Condition::NotAcceptable, "enter the room first")); // XEP-0045 §7.5
            }
            let found = readable(task, &conversation)?;
            let uid = task.edge.rooms.occupant_by_nick((found.conf, found.record.no), &name);
            let direct = uid.and_then(|uid| ConversationId::direct(me, &uid));
            let direct = direct.ok_or_else(|| refused(Condition::ItemNotFound, "there is nobody with this nick"))?;
            Ok(To { conversation: direct, resource: None, room: Some(conversation), is_room: false })
        }
    }
}

fn readable(task: &Task, id: &ConversationId) -> Result<Found, Refused> {
    let me = &task.connection.me;
    task.edge.hub.reader().readable(me.conf, &me.uid, id).map_err(|reject| by(&reject))
}

/// Whether the message may go without another look: into a room that the session is in, or to a person.
fn may_speak(task: &Task, to: &To) -> bool {
    !to.is_room || task.connection.is_in(&to.conversation)
}

fn to_send(incoming: &Incoming, draft: &Draft, to: &To, reply_to: Option<u64>) -> command::Draft {
    let uid = |mention: &Mention| match mention {
        Mention::User(uid) => Some(uid.as_str().into()),
        Mention::Name(_) => None,
    };
    command::Draft {
        conversation: to.conversation.clone(),
        client_id: incoming.client_id().into(),
        reuse: Reuse::NewMessage,
        text: draft.text.as_str().into(),
        reply_to,
        mentions: draft.mentions.iter().filter_map(uid).collect(),
        attachments: draft.attachments.iter().map(|url| url.as_str().into()).collect(),
    }
}

/// What the stanza alone says of how the message goes.
fn note_going(task: &Task, incoming: &Incoming, to: &To) {
    if to.is_room {
        return;
    }
    let going = Going { resource: to.resource.as_deref().map(Into::into), room: to.room.clone(), is_private: incoming.no_copy };
    task.edge.directory.send(task.session.id, &to.conversation, incoming.client_id(), going);
}

async fn send(task: &mut Task, incoming: &Incoming, draft: &Draft, to: &To) -> Result<(), Refused> {
    let reply_to = match &draft.reply_to {
        // An answer to what cannot be found is a message all the same.
        Some(target) => find(task, to, target).await.ok(),
        None => None,
    };
    let mut wanted = to_send(incoming, draft, to, reply_to);
    for mention in &draft.mentions {
        if let Mention::Name(name) = mention
            && let Some(uid) = occupant(task, &to.conversation, name)
        {
            wanted.mentions.push(uid.as_str().into());
        }
    }
    let (hub, who) = (&task.session.shard.hub, &task.session.who);
    check_draft(&wanted, hub.limits()).map_err(|reject| by(&reject))?;
    hub.writable().map_err(|reject| by(&reject))?;
    task.connection.sending.may_post(hub, who, &wanted.conversation).map_err(|reject| by(&reject))?;
    note_going(task, incoming, to);
    call(task, Action::Send(wanted)).await.map(drop)
}

fn occupant(task: &Task, room: &ConversationId, nick: &str) -> Option<Uid> {
    if let NickOwner::Uid(uid) = nick_owner(nick) {
        return Some(uid);
    }
    let rooms = task.connection.rooms.borrow();
    let room = rooms.iter().find(|in_room| in_room.id == *room)?;
    task.edge.rooms.occupant_by_nick(room.key, nick)
}

/// A typing signal; those of rooms that one does not read are nobody's business.
fn tell(task: &Task, conversation: &ConversationId, on: bool, state: Option<ChatState>) -> Result<(), Refused> {
    let me = &task.connection.me;
    if let Some(state) = state {
        task.edge.directory.set_chat_state(me.conf, conversation, &me.uid, state);
    }
    // One too many is of no use to anybody.
    if task.connection.sending.take(&task.session.shard.hub, &task.session.who).is_err() {
        return Ok(());
    }
    // Nothing is told in a conversation that does not exist yet.
    let Ok(found) = readable(task, conversation) else { return Ok(()) };
    // Who may say nothing types nothing.
    if task.edge.hub.reader().may_post(me.conf, &me.uid, conversation).is_err() {
        return Ok(());
    }
    let signal = Signal::Typing { conversation: conversation.clone(), from: me.uid.clone(), name: Arc::clone(&me.name), on };
    task.session.tell(&found, signal);
    Ok(())
}

/// The seq of the message that is meant.
async fn find(task: &Task, to: &To, target: &Target) -> Result<u64, Refused> {
    let found = readable(task, &to.conversation)?;
    let (reader, ids) = (task.edge.hub.reader().clone(), task.edge.domains.ids);
    let (me, target) = (task.connection.me.uid.clone(), target.clone());
    let seq = blocking(move || {
        let own = |uid: &Uid| reader.said_as(&found, uid, &target.id);
        let by_sender = match target.kind {
            IdKind::StanzaId => None,
            IdKind::OwnMessageId => own(&me)?,
            IdKind::MessageId => match found.id.partner(&me) {
                Some(partner) => own(&partner)?.or(own(&me)?),
                None => own(&me)?,
            },
        };
        match (by_sender, ids.decode(found.conf, &target.id)) {
            (Some(seq), _) => Ok(Some(seq)),
            (None, Some(pos)) => Ok(reader.seq_at(&found, pos)?),
            (None, None) => Ok(None),
        }
    });
    seq.await.map_err(|reject| by(&reject))?.ok_or_else(|| by(&Reason::UnknownMessage.into()))
}

/// What is changed is told with the id of the stanza that asked for it.
fn expect(task: &Task, incoming: &Incoming, conversation: &ConversationId, target: Option<u64>, last: Option<(Arc<str>, bool)>) {
    if let Some(id) = &incoming.id {
        task.edge.directory.change(task.session.id, conversation, target, Change { id: id.as_str().into(), last });
    }
}

async fn change(task: &mut Task, incoming: &Incoming, target: u64, action: &Action) -> Result<(), Refused> {
    if let Action::Edit { conversation, .. } | Action::Delete { conversation, .. } = action {
        expect(task, incoming, conversation, Some(target), None);
    }
    call(task, action.clone()).await.map(drop)
}

/// One's reactions to a message are these from now on (XEP-0444 §3.2).
async fn react(task: &mut Task, incoming: &Incoming, conversation: &ConversationId, target: u64, emojis: &[String]) -> Result<(), Refused> {
    let found = readable(task, conversation)?;
    let (reader, me) = (task.edge.hub.reader().clone(), task.connection.me.uid.clone());
    let given = blocking(move || Ok(reader.reactions_by(found.conf, found.record.no, target, &me)?));
    let given = given.await.map_err(|reject| by(&reject))?;
    let wanted: Vec<Arc<str>> = emojis.iter().map(|emoji| emoji.as_str().into()).collect();
    let changes = |list: &[Arc<str>], others: &[Arc<str>], on: bool| {
        let only = list.iter().filter(|emoji| !others.contains(emoji));
        only.map(|emoji| (Arc::clone(emoji), on)).collect::<Vec<_>>()
    };
    let all = [changes(&given, &wanted, false), changes(&wanted, &given, true)].concat();
    expect(task, incoming, conversation, Some(target), all.last().cloned());
    for (emoji, on) in all {
        call(task, Action::React { conversation: conversation.clone(), target, emoji, on }).await?;
    }
    Ok(())
}
