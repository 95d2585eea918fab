//! Who may do what: pure rules, asked by the edges before a command goes into the log and by `apply` when it comes out.

use crate::ids::{ConversationId, Uid};
use crate::model::{Kind, MemberRole, Standing, UserRole};
use crate::reject::Reason;

/// Ids of conversations that are also routes, or words of the protocols.
const RESERVED_CONVERSATIONS: &[&str] = &[
    "admin",
    "api",
    "assets",
    "bosh",
    "conf",
    "events",
    "favicon",
    "files",
    "healthz",
    "http-bind",
    "inbox",
    "login",
    "metrics",
    "mqtt",
    "openrpc",
    "readyz",
    "register",
    "rooms",
    "rpc",
    "sock",
    "socket",
    "socket-io",
    "static",
    "sys",
    "ticket",
    "topic",
    "user",
    "well-known",
    "ws",
    "xmpp-websocket",
];

/// Whether no conversation may have this id.
#[must_use]
pub fn is_reserved(id: &ConversationId) -> bool {
    RESERVED_CONVERSATIONS.binary_search(&id.as_str()).is_ok()
}

/// Somebody in front of a conversation.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Who.
    pub uid: &'a Uid,
    /// Their role in the conference.
    pub role: UserRole,
    /// Where they stand with the conversation.
    pub standing: Option<Standing>,
}

impl Asker<'_> {
    /// What they are told of a conversation that they are not in.
    fn outside(&self) -> Reason {
        match self.standing {
            None => Reason::UnknownConversation,
            Some(Standing::Banned) => Reason::Banned,
            Some(_) => Reason::NotAMember,
        }
    }

    fn member_role(&self) -> Option<MemberRole> {
        self.standing.and_then(Standing::role)
    }

    /// Reading, subscribing, typing.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_read(&self, kind: Kind, id: &ConversationId) -> Result<(), Reason> {
        // A reader of badges reads what it is told, not what people say.
        if !self.role.takes_part() && !matches!(kind, Kind::Inbox | Kind::Topics) {
            return Err(Reason::NotAllowed);
        }
        match kind {
            Kind::Inbox => (id.inbox_owner().as_ref() == Some(self.uid)).then_some(()).ok_or(Reason::UnknownConversation),
            // Who reads which of them, the MQTT edge knows: they are not read by the name of a conversation.
            Kind::Topics => Ok(()),
            Kind::Direct => id.partner(self.uid).map(|_| ()).ok_or(Reason::UnknownConversation),
            Kind::Group => self.member_role().map(|_| ()).ok_or(self.outside()),
            Kind::Channel | Kind::Announcements if self.standing == Some(Standing::Banned) => Err(Reason::Banned),
            Kind::Channel | Kind::Announcements => Ok(()),
        }
    }

    /// Sending messages, editing one's own.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_post(&self, kind: Kind, id: &ConversationId) -> Result<(), Reason> {
        self.may_read(kind, id)?;
        match kind {
            Kind::Inbox | Kind::Topics => Err(Reason::NotAllowed),
            Kind::Announcements if !self.role.is_staff() && self.role != UserRole::Service => Err(Reason::StaffOnly),
            _ => Ok(()),
        }
    }

    /// Reacting: where one may read, one may also show what one thinks of it.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_react(&self, kind: Kind, id: &ConversationId) -> Result<(), Reason> {
        self.may_read(kind, id)?;
        if matches!(kind, Kind::Inbox | Kind::Topics) { Err(Reason::NotAllowed) } else { Ok(()) }
    }

    /// How much they may moderate: staff like an owner wherever they may read, the others by their role inside.
    fn authority(&self) -> Option<MemberRole> {
        if self.role.is_staff() { Some(MemberRole::Owner) } else { self.member_role() }
    }

    /// Deleting others' messages, removing people, changing the title.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_moderate(&self, kind: Kind, id: &ConversationId) -> Result<MemberRole, Reason> {
        self.may_read(kind, id)?;
        match (kind, self.authority()) {
            (Kind::Direct | Kind::Inbox, _) => Err(Reason::NotAllowed),
            (_, Some(role)) if role >= MemberRole::Moderator => Ok(role),
            _ => Err(Reason::NotModerator),
        }
    }

    /// Giving roles.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_give_roles(&self, kind: Kind, id: &ConversationId) -> Result<(), Reason> {
        match self.may_moderate(kind, id)? {
            MemberRole::Owner => Ok(()),
            _ => Err(Reason::NotModerator),
        }
    }

    /// Asking others in.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_invite(&self, kind: Kind, id: &ConversationId) -> Result<(), Reason> {
        self.may_read(kind, id)?;
        if matches!(kind, Kind::Direct | Kind::Inbox | Kind::Topics) { Err(Reason::NotAllowed) } else { Ok(()) }
    }

    /// Becoming a member.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_join(&self, kind: Kind, id: &ConversationId) -> Result<(), Reason> {
        match kind {
            Kind::Direct | Kind::Inbox | Kind::Topics => self.may_read(kind, id).and(Err(Reason::NotAllowed)),
            Kind::Group if self.standing == Some(Standing::Invited) && self.role.takes_part() => Ok(()),
            Kind::Group | Kind::Channel | Kind::Announcements => self.may_read(kind, id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_list_is_sorted() {
        assert!(RESERVED_CONVERSATIONS.is_sorted());
        assert!(is_reserved(&ConversationId::parse("ws").unwrap()));
        assert!(!is_reserved(&ConversationId::parse("lobby").unwrap()));
    }
}
