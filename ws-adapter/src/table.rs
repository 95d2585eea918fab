//! The method table, of every JSON transport: what there is, what it takes and gives. The OpenRPC document is made from it, and the
//! handlers match on its [`MethodId`]s.

use schemars::{Schema, SchemaGenerator};

use crate::types::attendee::{ImportParams, Imported};
use crate::types::badge::{
    AssignParams, Assigned, AttendanceParams, Attendances, Badges, BadgesParams, CheckinCount, Checkins, OwnBadges, PageParams,
    RevokeParams, Revoked, ScanParams, ScanShape, UserParams,
};
use crate::types::contact::{ContactNow, Contacts};
use crate::types::conversation::{
    At, ConversationRow, CreateParams, History, HistoryParams, InviteParams, ListParams, Members, MembersParams, OpenParams, Opened,
    ReadMark, ReadParams, RemoveParams, RoleParams, SubscribeParams, Subscribed, TypingParams, UpdateParams,
};
use crate::types::lead::{Holders, LeadName, LeadParams, LeadRow, Leads, LeadsCsv, LeadsParams, TableParams, WithdrawParams};
use crate::types::message::{DeleteParams, EditParams, Found, Placed, ReactParams, SearchParams, SendParams};
use crate::types::people::{BlockParams, Blocking, Erased, Export, GetParams, OwnDataParams, People, PeopleParams, Person, ProfileParams};
use crate::types::push::{
    DeadParams, Letters, Notify, NotifyParams, PushKeys, RegisterParams, Registered, ReplayParams, Replayed, Settings, SettingsParams,
    Targets, UnregisterParams,
};
use crate::types::reader::{ReaderName, ReaderParams, Readers};
use crate::types::session::{CloseParams, Hello, HelloParams, PresenceParams, Sessions};
use crate::types::topic::{TopicParams, TopicSubscribed, TransmitParams};
use crate::types::{ConversationParams, Empty, NoParams};

/// What a method needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A live connection, with or without a session: `session.hello`.
    Connection,
    /// A live session: has no meaning in a single HTTP request.
    Session,
    /// A user: a session's, or a bearer token's.
    User,
}

/// A method.
#[derive(Debug)]
pub struct Method {
    /// What handlers match on.
    pub id: MethodId,
    /// Its name on the wire.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// The schema of its parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its result.
    pub result: fn(&mut SchemaGenerator) -> Schema,
}

macro_rules! methods {
    ($($id:ident $name:literal $needs:ident $params:ty => $result:ty, $summary:literal;)*) => {
        /// A method's identity.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum MethodId {
            $(#[doc = $summary] $id,)*
        }

        /// Every method, in the order of PROTOCOL.md.
        pub const METHODS: &[Method] = &[$(Method {
            id: MethodId::$id,
            name: $name,
            summary: $summary,
            needs: Needs::$needs,
            params: |generator| generator.root_schema_for::<$params>(),
            result: |generator| generator.subschema_for::<$result>(),
        },)*];

        impl MethodId {
            /// The method of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$id),)*
                    _ => None,
                }
            }
        }
    };
}

methods! {
    SessionHello "session.hello" Connection HelloParams<'_> => Hello, "Signs the connection in with a token.";
    SessionList "session.list" User NoParams => Sessions, "Lists one's own live sessions.";
    SessionClose "session.close" User CloseParams<'_> => Empty, "Closes one of one's own sessions.";
    MessageSend "message.send" User SendParams<'_> => Placed, "Sends a message; the answer comes once it is stored.";
    MessageEdit "message.edit" User EditParams<'_> => Placed, "Replaces the text of one's own message.";
    MessageDelete "message.delete" User DeleteParams<'_> => Placed, "Takes a message back.";
    MessageReact "message.react" User ReactParams<'_> => Placed, "Gives a reaction, or takes it back.";
    MessageSearch "message.search" User SearchParams<'_> => Found, "Finds messages by their words, newest first, in what one may read.";
    ConversationList "conversation.list" User ListParams => Vec<ConversationRow>, "Lists one's own conversations and those open to all, newest first.";
    ConversationOpen "conversation.open" User OpenParams<'_> => Opened, "Opens the direct conversation with somebody.";
    ConversationCreate "conversation.create" User CreateParams => At, "Makes a group, or (staff) a channel or announcements.";
    ConversationUpdate "conversation.update" User UpdateParams<'_> => At, "Changes the title.";
    ConversationJoin "conversation.join" User ConversationParams<'_> => At, "Becomes a member.";
    ConversationLeave "conversation.leave" User ConversationParams<'_> => At, "Stops being a member.";
    ConversationInvite "conversation.invite" User InviteParams<'_> => At, "Asks somebody in.";
    ConversationRemove "conversation.remove" User RemoveParams<'_> => At, "Puts somebody out.";
    ConversationRole "conversation.role" User RoleParams<'_> => At, "Gives a member another role.";
    ConversationMembers "conversation.members" User MembersParams<'_> => Members, "Lists the members by uid.";
    ConversationSubscribe "conversation.subscribe" Session SubscribeParams<'_> => Subscribed, "Follows a conversation from now on, or from a seq on.";
    ConversationUnsubscribe "conversation.unsubscribe" Session ConversationParams<'_> => Empty, "Stops following it.";
    ConversationHistory "conversation.history" User HistoryParams<'_> => History, "Reads events, ascending, as they are now.";
    ConversationRead "conversation.read" User ReadParams<'_> => ReadMark, "Moves one's read marker on.";
    ConversationTyping "conversation.typing" Session TypingParams<'_> => Empty, "Says that one types, or stopped.";
    ConversationNotify "conversation.notify" User NotifyParams<'_> => Notify, "Says what of a conversation one wants to be pushed; without words, reads it.";
    PeopleList "people.list" User PeopleParams => People, "Lists or searches the attendees.";
    PeopleGet "people.get" User GetParams<'_> => Person, "Tells who somebody is, and how.";
    PeopleUpdate "people.update" User ProfileParams => Person, "Changes what one says of oneself.";
    PeopleBlock "people.block" User BlockParams<'_> => Blocking, "Blocks somebody, or takes that back.";
    PeopleExport "people.export" User OwnDataParams => Export, "Gives all that is stored of a person.";
    PeopleErase "people.erase" User OwnDataParams => Erased, "Erases a person: account, texts, sessions.";
    BadgeAssign "badge.assign" User AssignParams<'_> => Assigned, "Gives somebody a badge.";
    BadgeRevoke "badge.revoke" User RevokeParams<'_> => Revoked, "Makes a badge worth nothing, or takes that back.";
    BadgeList "badge.list" User BadgesParams<'_> => Badges, "Lists badges.";
    BadgeMine "badge.mine" User NoParams => OwnBadges, "Gives the code to show as one's badge.";
    BadgeScan "badge.scan" User ScanParams<'_> => ScanShape, "Scans somebody's badge.";
    ReaderSet "reader.set" User ReaderParams<'_> => Empty, "Says what a reader scans for.";
    ReaderRemove "reader.remove" User ReaderName<'_> => Empty, "Forgets what a reader scans for.";
    ReaderList "reader.list" User PageParams => Readers, "Lists readers, what they scan for and how they are.";
    CheckinList "checkin.list" User PageParams => Checkins, "Lists who has arrived.";
    CheckinCount "checkin.count" User NoParams => CheckinCount, "Counts who has arrived.";
    CheckinUndo "checkin.undo" User UserParams<'_> => Empty, "Takes a check-in back.";
    AttendanceList "attendance.list" User AttendanceParams<'_> => Attendances, "Lists who was at a session, and for how long.";
    ContactList "contact.list" User PageParams => Contacts, "Lists whom one knows, has asked, or was asked by.";
    ContactAsk "contact.ask" User UserParams<'_> => ContactNow, "Asks somebody for their contact, or says yes to who has asked.";
    ContactAccept "contact.accept" User UserParams<'_> => ContactNow, "Says yes to who has asked.";
    ContactDecline "contact.decline" User UserParams<'_> => ContactNow, "Says no; the other is not told.";
    ContactRemove "contact.remove" User UserParams<'_> => ContactNow, "Forgets each other.";
    LeadList "lead.list" User LeadsParams<'_> => Leads, "Lists leads.";
    LeadUpdate "lead.update" User LeadParams<'_> => LeadRow, "Writes something to a lead.";
    LeadRemove "lead.remove" User LeadName<'_> => Empty, "Lets a lead go.";
    LeadExport "lead.export" User TableParams<'_> => LeadsCsv, "Gives leads as a table.";
    LeadHolders "lead.holders" User PageParams => Holders, "Lists who has one's data as a lead.";
    LeadWithdraw "lead.withdraw" User WithdrawParams<'_> => Empty, "Takes one's data back from somebody.";
    AttendeeImport "attendee.import" User ImportParams<'_> => Imported, "Brings a ticket shop's attendees in.";
    TopicSubscribe "topic.subscribe" Session TopicParams<'_> => TopicSubscribed, "Follows an application's topic; gives what is stored there.";
    TopicUnsubscribe "topic.unsubscribe" Session TopicParams<'_> => Empty, "Stops following it.";
    TopicTransmit "topic.transmit" User TransmitParams<'_> => Empty, "Says something to all who follow a topic.";
    PresenceSet "presence.set" Session PresenceParams => Empty, "Says how one is.";
    PushRegister "push.register" User RegisterParams => Registered, "Has one pushed to on a device while one is away.";
    PushUnregister "push.unregister" User UnregisterParams => Empty, "Pushes nothing there any more.";
    PushList "push.list" User NoParams => Targets, "Lists where one is pushed to.";
    PushKey "push.key" User NoParams => PushKeys, "Gives what a client needs to register.";
    PushSettings "push.settings" User SettingsParams => Settings, "Says what one wants to be pushed; without words, reads it.";
    PushDead "push.dead" User DeadParams => Letters, "Lists pushes that were given up.";
    PushReplay "push.replay" User ReplayParams => Replayed, "Tries pushes that were given up once more.";
}

impl MethodId {
    /// Its row in the table.
    #[must_use]
    pub fn method(self) -> &'static Method {
        &METHODS[self as usize] // the enum and the table are made from the same rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_finds_its_row() {
        for method in METHODS {
            assert_eq!(MethodId::named(method.name), Some(method.id));
            assert_eq!(method.id.method().name, method.name);
        }
        assert_eq!(MethodId::named("message.Send"), None);
    }

    #[test]
    fn what_http_cannot_do_is_as_the_protocol_says() {
        let live: Vec<&str> = METHODS.iter().filter(|method| method.needs != Needs::User).map(|method| method.name).collect();
        let expected = [
            "session.hello",
            "conversation.subscribe",
            "conversation.unsubscribe",
            "conversation.typing",
            "topic.subscribe",
            "topic.unsubscribe",
            "presence.set",
        ];
        assert_eq!(live, expected);
    }
}
