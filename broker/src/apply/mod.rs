//! `apply(state, command) → outcome, events, changes`: the one function that changes the state. Deterministic: no clock, no
//! randomness, no IO but reads of the state; so it gives the same on one machine, on every node of a cluster, when the log is replayed
//! after a crash, and in the simulator.
//!
//! Each handler decides first and changes afterwards, so that a refused command leaves no trace.

mod accounts;
mod badges;
mod blocks;
mod conferences;
mod conversations;
mod files;
mod invites;
mod items;
mod kept;
mod members;
mod messages;
mod push;
mod stored;
mod topics;
mod traces;

#[cfg(test)]
mod tests;

pub use accounts::erasures;
pub use conferences::{is_expired, swept_after};
pub use conversations::ReadMark;
pub use messages::{Idempotency, answer_of, body_hash, draft_hash, idempotency_hash, packet_hash};

use std::sync::Arc;

use crate::command::{Action, Actor, Command, Outcome};
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys;
use crate::model::{Body, Event, Kind, Notice, Standing, UserRole};
use crate::policy::Asker;
use crate::reject::{Reason, Reject};
use crate::state::StateError;
use crate::view::{Found, View};

/// Why a handler stopped: the asker is refused, or the state cannot be read and the whole batch must be tried again.
#[derive(Debug)]
enum Stop {
    Refused(Reject),
    Failed(StateError),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason.into())
    }
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        Self::Failed(error)
    }
}

type Applied = Result<Outcome, Stop>;

/// Carries out one command.
///
/// # Errors
/// The state could not be read: nothing of the batch may be committed. A refusal is an answer, not an error.
pub fn apply(view: &mut View<'_>, command: &Command) -> Result<Result<Outcome, Reject>, StateError> {
    match handle(view, command) {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(Stop::Refused(reject)) => Ok(Err(reject)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn handle(view: &mut View<'_>, command: &Command) -> Applied {
    let ask = Ask { conf: command.conf, actor: &command.actor, at_ms: command.at_ms };
    match &command.action {
        Action::Send(draft) => messages::send(view, ask, draft),
        Action::Edit { conversation, target, text } => messages::edit(view, ask, conversation, *target, text),
        Action::Delete { conversation, target } => messages::delete(view, ask, conversation, *target),
        Action::React { conversation, target, emoji, on } => messages::react(view, ask, conversation, *target, emoji, *on),
        Action::Open { with } => conversations::open(view, ask, with),
        Action::Create { kind, id, title, members } => conversations::create(view, ask, *kind, id, title, members),
        Action::Update { conversation, title } => conversations::update(view, ask, conversation, title),
        Action::Read { conversation, seq } => conversations::read(view, ask, conversation, *seq),
        Action::Join { conversation } => members::join(view, ask, conversation),
        Action::Leave { conversation } => members::leave(view, ask, conversation),
        Action::Invite { conversation, user } => members::invite(view, ask, conversation, user),
        Action::Remove { conversation, user, ban } => members::remove(view, ask, conversation, user, *ban),
        Action::SetRole { conversation, user, role } => members::set_role(view, ask, conversation, user, *role),
        Action::Publish(publication, reuse) => topics::publish(view, ask, publication, *reuse),
        Action::Trim { through } => topics::trim(view, ask, *through),
        Action::Report { topic, why } => topics::report(view, ask, topic, why),
        Action::KeepSession { client, session } => kept::keep(view, ask, client, session),
        Action::KeepSubscriptions { client, remove, add } => kept::subscribe(view, ask, client, remove, add),
        Action::ForgetSession { uid, client, ended_ms } => kept::forget(view, ask, uid, client, *ended_ms),
        Action::AddUser { uid, name, role, credentials } => accounts::add(view, ask, uid, name.as_deref(), *role, credentials.as_ref()),
        Action::SetPassword { uid, credentials } => accounts::set_password(view, ask, uid, credentials),
        Action::UpdateProfile { name, about } => accounts::update_profile(view, ask, name.as_deref(), about.as_ref()),
        Action::Erase { uid } => accounts::erase(view, ask, uid),
        Action::IssueToken { uid, hash, expires_ms } => accounts::issue_token(view, ask, uid, hash, *expires_ms),
        Action::RevokeToken { hash } => accounts::revoke_token(view, hash),
        Action::AddConference { id, title, sign_in, epoch } => conferences::add(view, id, title, *sign_in, *epoch),
        Action::SetConference { title, sign_in, epoch } => conferences::set(view, ask, title.as_deref(), *sign_in, *epoch),
        Action::RemoveConference => conferences::remove(view, ask),
        Action::Sweep { from } => conferences::sweep(view, ask, from),
        Action::Block { user, on } => blocks::block(view, ask, user, *on),
        Action::KeepItem { node, id, payload, settings, demanded } => items::keep(view, ask, node, id, payload, *settings, *demanded),
        Action::SetNode { node, settings } => items::set_node(view, ask, node, *settings),
        Action::DropItem { node, id } => items::drop_item(view, ask, node, id),
        Action::DropNode { node, keep } => items::drop_node(view, ask, node, *keep),
        Action::Store(publication) => stored::publish(view, ask, publication),
        Action::AddSubject { subject, uid, name, role, issued_ms } => {
            accounts::add_subject(view, ask, subject, uid, name.as_deref(), role.map(|role| (role, *issued_ms)))
        }
        Action::Register { uid, name, credentials, invite } => invites::register(view, ask, uid, name.as_deref(), credentials, invite),
        Action::AddInvite { code, invite } => invites::add(view, ask, code, invite),
        Action::RemoveInvite { code } => invites::remove(view, ask, code),
        Action::KeepFile { id, file } => files::keep(view, ask, *id, file),
        Action::CollectFiles { before_ms } => files::collect(view, ask, *before_ms),
        Action::RegisterTarget { target } => push::register(view, ask, target),
        Action::ForgetTarget { uid, target, since_ms } => push::forget(view, ask, uid, target, *since_ms),
        Action::SetPush { settings } => push::set(view, ask, settings),
        Action::SetAttention { conversation, attention } => push::attend(view, ask, conversation, *attention),
        Action::PushProgress { cursor, done, due, dead } => push::progress(view, ask, cursor.as_ref(), done, due, dead),
        Action::ReplayPushes { letters } => push::replay(view, ask, letters.as_deref()),
        Action::AssignBadge { .. }
        | Action::RevokeBadge { .. }
        | Action::SetReader { .. }
        | Action::Scan { .. }
        | Action::Contact { .. }
        | Action::NoteLead { .. }
        | Action::DropLead { .. }
        | Action::UndoCheckin { .. }
        | Action::ImportAttendee { .. } => badges::handle(view, ask, &command.action),
    }
}

/// Who asks, where and when.
#[derive(Clone, Copy)]
struct Ask<'a> {
    conf: ConfNo,
    actor: &'a Actor,
    at_ms: u64,
}

/// The asker's account: the server itself has none and may do what staff may.
struct Author {
    name: Arc<str>,
    role: UserRole,
}

impl Ask<'_> {
    fn author(&self, view: &mut View<'_>) -> Result<Author, Stop> {
        if self.actor.is_system() {
            return Ok(Author { name: "Hallway".into(), role: UserRole::Organiser });
        }
        let user = view.user(self.conf, &self.actor.uid)?.ok_or(Reason::SessionEnded)?;
        Ok(Author { name: Arc::clone(&user.name), role: user.role })
    }

    /// The conversation, and where the asker stands with it.
    fn find(&self, view: &mut View<'_>, id: &ConversationId) -> Result<(Found, Option<Standing>), Stop> {
        let found = view.conversation(self.conf, id)?.ok_or(Reason::UnknownConversation)?;
        let standing = view.standing(&found, &self.actor.uid)?;
        Ok((found, standing))
    }

    fn asker(&self, role: UserRole, standing: Option<Standing>) -> Asker<'_> {
        Asker { uid: &self.actor.uid, role, standing }
    }

    fn append(&self, view: &mut View<'_>, found: &Found, author: &Author, body: Body) -> Result<Arc<Event>, StateError> {
        if !self.actor.is_system() && view.member(found, &self.actor.uid)?.is_none() {
            // An erasure finds by this what somebody did where they never were a member.
            view.put(keys::user_conversation(self.conf, &self.actor.uid, &found.id), &());
        }
        view.append(found, self.actor, Arc::clone(&author.name), self.at_ms, body)
    }

    /// Puts a notice into somebody's durable inbox.
    fn notify(&self, view: &mut View<'_>, author: &Author, of: &Uid, notice: Notice) -> Result<(), StateError> {
        if *of == self.actor.uid {
            return Ok(());
        }
        let id = ConversationId::inbox(of);
        let inbox = match view.conversation(self.conf, &id)? {
            Some(inbox) => inbox,
            None => view.add_conversation(self.conf, &id, Kind::Inbox, String::new())?,
        };
        self.append(view, &inbox, author, Body::Notice(notice))?;
        Ok(())
    }
}

/// The outcome of a command that added `event`, or found that it was there.
fn added(event: &Event, fresh: bool) -> Outcome {
    Outcome::Added {
        conversation: event.place.conversation.clone(),
        seq: event.place.seq,
        pos: event.entry.pos,
        ts_ms: event.entry.ts_ms,
        fresh,
    }
}

/// The outcome of a command that had nothing to add: the event that stands at `seq`.
fn stands(view: &View<'_>, found: &Found, seq: u64) -> Applied {
    let (pos, ts_ms) = view.entry(found, seq)?.map_or((0, 0), |entry| (entry.pos, entry.ts_ms));
    Ok(Outcome::Added { conversation: found.id.clone(), seq, pos, ts_ms, fresh: false })
}
