//! Affiliations and roles (XEP-0045 §5): what the hub's roles look like in a room.

use hallway_broker::model::{Kind, MemberRole, Standing, UserRole};

/// Somebody's lasting relation to a room (XEP-0045 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Affiliation {
    /// Gives roles.
    Owner,
    /// Moderates.
    Admin,
    /// Belongs to it.
    Member,
    /// Does not.
    None,
    /// Was banned.
    Outcast,
}

impl Affiliation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Member, Self::None, Self::Outcast];

    /// The attribute's value.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::None => "none",
            Self::Outcast => "outcast",
        }
    }

    /// The affiliation that the attribute's value names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|affiliation| affiliation.word() == word)
    }
}

/// What an occupant may do while they are in a room (XEP-0045 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Puts people out.
    Moderator,
    /// Speaks.
    Participant,
    /// Listens.
    Visitor,
    /// Is not in it.
    None,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Moderator, Self::Participant, Self::Visitor, Self::None];

    /// The attribute's value.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Moderator => "moderator",
            Self::Participant => "participant",
            Self::Visitor => "visitor",
            Self::None => "none",
        }
    }

    /// The role that the attribute's value names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// What somebody is in a room of this kind, by their role in the conference and where they stand with the conversation, as
/// [`policy`](hallway_broker::policy) has it. Who may not read it has no role.
#[must_use]
pub fn standing_of(kind: Kind, role: UserRole, standing: Option<Standing>) -> (Affiliation, Role) {
    if standing == Some(Standing::Banned) {
        return (Affiliation::Outcast, Role::None);
    }
    let inside = standing.and_then(Standing::role);
    let reads = if kind.is_public() { role != UserRole::Device } else { kind == Kind::Group && inside.is_some() };
    if !reads {
        return (Affiliation::None, Role::None);
    }
    let speaks = kind != Kind::Announcements || role.is_staff() || role == UserRole::Service;
    let others = if speaks { Role::Participant } else { Role::Visitor };
    match (role, inside) {
        (UserRole::Organiser, _) | (_, Some(MemberRole::Owner)) => (Affiliation::Owner, Role::Moderator),
        (UserRole::Staff, _) | (_, Some(MemberRole::Moderator)) => (Affiliation::Admin, Role::Moderator),
        (_, Some(MemberRole::Member)) => (Affiliation::Member, others),
        (_, None) => (Affiliation::None, others),
    }
}
