//! Who belongs to a room, and in which role (XEP-0045 §8, §9): lists, and what moderators and owners change in them.

use hallway_broker::command::Action;
use hallway_broker::ids::Uid;
use hallway_broker::limits::MAX_PAGE;
use hallway_broker::model::{MemberRole, Standing};
use hallway_broker::reject::Reject;
use hallway_broker::session::blocking;
use hallway_broker::view::Found;
use minidom::Element;

use super::{Asking, MUC_ADMIN, error};
use crate::xmpp::names::nick_of;
use crate::xmpp::rooms::{Affiliation, Role, standing_of};
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::write::Writer;

/// Longest reason, in bytes; none is given for a longer one.
const MAX_REASON_BYTES: usize = 1024;
/// Changes in one request.
const MAX_ITEMS: usize = 100;
/// People in one list; there is no way to ask for more (§9.5 knows no pages).
const MAX_LISTED: usize = 5000;

/// What a list is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Affiliation(Affiliation),
    Role(Role),
}

/// A change of one person.
enum Change {
    Affiliation(Uid, Affiliation),
    Role(Uid, Role),
}

impl Change {
    fn who(&self) -> &Uid {
        match self {
            Self::Affiliation(who, _) | Self::Role(who, _) => who,
        }
    }
}

struct Listed {
    uid: Uid,
    nick: Option<String>,
    affiliation: Affiliation,
    role: Option<Role>,
}

/// A list (§8.5, §9.2, §9.5, §9.8, §10.5, §10.8).
///
/// # Errors
/// The stanza error that is answered.
pub async fn get(asking: &Asking<'_>, found: &Found, query: &Element) -> Result<Vec<u8>, StanzaError> {
    let item = query.children().find(|child| child.is("item", MUC_ADMIN)).ok_or(error(Condition::BadRequest, "what list?"))?;
    let wanted = match (item.attr("affiliation"), item.attr("role")) {
        (Some(word), None) => Affiliation::from_word(word).map(Wanted::Affiliation),
        (None, Some(word)) => Role::from_word(word).map(Wanted::Role),
        _ => None,
    };
    let list = match wanted.ok_or(error(Condition::BadRequest, "one affiliation or one role"))? {
        // Clients that encrypt need to know the members (§9.5).
        Wanted::Affiliation(wanted @ (Affiliation::Owner | Affiliation::Admin | Affiliation::Member)) => {
            members(asking, found, wanted).await.map_err(|reject| StanzaError::from(&reject))?
        }
        Wanted::Affiliation(Affiliation::Outcast) => {
            asking.must_moderate(found)?;
            outcasts(asking, found).await.map_err(|reject| StanzaError::from(&reject))?
        }
        Wanted::Role(wanted) if wanted != Role::None => {
            asking.must_moderate(found)?;
            occupants(asking, found, wanted)
        }
        _ => return Err(error(Condition::NotAcceptable, "there is no such list")),
    };
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("query", MUC_ADMIN).inside();
    for Listed { uid, nick, affiliation, role } in &list {
        xml.open_child("item").attr("affiliation", affiliation.word()).attr("jid", &asking.names.user(uid));
        xml.attr_if("nick", nick.as_deref()).attr_if("role", role.map(Role::word)).empty();
    }
    xml.close("query");
    Ok(out)
}

async fn members(asking: &Asking<'_>, found: &Found, wanted: Affiliation) -> Result<Vec<Listed>, Reject> {
    let (reader, found) = (asking.session.shard.hub.reader().clone(), found.clone());
    let read = move || {
        let (mut list, mut after): (Vec<Listed>, Option<Uid>) = (Vec::new(), None);
        loop {
            let (members, complete) = reader.members(&found, after.as_ref(), MAX_PAGE)?;
            after = members.last().map(|member| member.uid.clone());
            for member in members {
                let Some(user) = member.user else { continue };
                let (affiliation, _) = standing_of(found.record.kind, user.role, Some(Standing::In(member.role)));
                if affiliation == wanted {
                    list.push(Listed { nick: Some(nick_of(&user.name, &member.uid).into()), uid: member.uid, affiliation, role: None });
                }
            }
            if complete || after.is_none() || list.len() >= MAX_LISTED {
                if wanted == Affiliation::Member {
                    // Who may enter belongs to it.
                    let invited = reader.standing_so(&found, Standing::Invited, None, MAX_LISTED)?.0;
                    list.extend(invited.into_iter().map(|uid| Listed { uid, nick: None, affiliation: wanted, role: None }));
                }
                list.truncate(MAX_LISTED);
                return Ok(list);
            }
        }
    };
    blocking(read).await
}

async fn outcasts(asking: &Asking<'_>, found: &Found) -> Result<Vec<Listed>, Reject> {
    let (reader, found) = (asking.session.shard.hub.reader().clone(), found.clone());
    let banned = blocking(move || Ok(reader.standing_so(&found, Standing::Banned, None, MAX_LISTED)?.0)).await?;
    Ok(banned.into_iter().map(|uid| Listed { uid, nick: None, affiliation: Affiliation::Outcast, role: None }).collect())
}

fn occupants(asking: &Asking<'_>, found: &Found, wanted: Role) -> Vec<Listed> {
    let shown = asking.rooms.shown(asking.key(found));
    let of_role = shown.into_iter().filter(|shown| shown.role == wanted);
    let list = of_role.map(|shown| Listed {
        uid: shown.uid.clone(),
        nick: Some(shown.nick.to_string()),
        affiliation: shown.affiliation,
        role: Some(shown.role),
    });
    list.collect()
}

/// Changes, one after the other; what comes before one that is refused has been carried out.
///
/// # Errors
/// The stanza error that is answered.
pub async fn set(asking: &Asking<'_>, found: &Found, query: &Element) -> Result<Vec<u8>, StanzaError> {
    let items: Vec<&Element> = query.children().filter(|child| child.is("item", MUC_ADMIN)).collect();
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(error(Condition::BadRequest, "1 to 100 items"));
    }
    // First all are read: a request that is wrong changes nothing.
    let changes = items.iter().map(|item| read_change(asking, found, item)).collect::<Result<Vec<_>, _>>()?;
    for (change, item) in changes.into_iter().zip(items) {
        let reason = item.get_child("reason", MUC_ADMIN).map(Element::text).unwrap_or_default();
        if reason.len() <= MAX_REASON_BYTES {
            asking.rooms.give_reason(asking.key(found), change.who(), &reason);
        }
        let Some(action) = action_of(asking, found, change)? else { continue };
        asking.session.call(action).await.map_err(|reject| asking.refused(found, &reject))?;
    }
    Ok(Vec::new())
}

fn read_change(asking: &Asking<'_>, found: &Found, item: &Element) -> Result<Change, StanzaError> {
    let who = match (item.attr("jid"), item.attr("nick")) {
        (Some(jid), _) => asking.by_jid(found, jid)?,
        (None, Some(nick)) => asking.by_nick(found, nick).ok_or(error(Condition::ItemNotFound, "nobody here has this nick"))?,
        (None, None) => return Err(error(Condition::BadRequest, "whose?")),
    };
    let change = match (item.attr("affiliation"), item.attr("role")) {
        (Some(word), None) => Affiliation::from_word(word).map(|affiliation| Change::Affiliation(who, affiliation)),
        (None, Some(word)) => Role::from_word(word).map(|role| Change::Role(who, role)),
        _ => None,
    };
    change.ok_or(error(Condition::BadRequest, "one affiliation or one role"))
}

/// What the hub is to be asked for; `None` when it is so already.
fn action_of(asking: &Asking<'_>, found: &Found, change: Change) -> Result<Option<Action>, StanzaError> {
    let (user, wanted) = match change {
        Change::Affiliation(user, affiliation) => (user, affiliation),
        // §8.2
        Change::Role(user, Role::None) => return Ok(Some(Action::Remove { conversation: found.id.clone(), user, ban: false })),
        // A role is what follows from the affiliation here: it is given by giving that.
        Change::Role(user, Role::Moderator) => (user, Affiliation::Admin),
        Change::Role(user, Role::Participant) => (user, Affiliation::Member),
        Change::Role(_, Role::Visitor) => return Err(error(Condition::NotAllowed, "who may speak follows from the kind of the room")),
    };
    let conversation = found.id.clone();
    let standing = asking.session.shard.hub.reader().standing(found, &user).map_err(|error| StanzaError::from(&Reject::from(error)))?;
    let role = match wanted {
        Affiliation::Outcast => return Ok(Some(Action::Remove { conversation, user, ban: true })),
        Affiliation::None => {
            return Ok(match standing {
                Some(Standing::In(_) | Standing::Invited) => Some(Action::Remove { conversation, user, ban: false }),
                // A ban is taken back by asking in again.
                Some(Standing::Banned) => {
                    asking.must_moderate(found)?;
                    Some(Action::Invite { conversation, user })
                }
                _ => None,
            });
        }
        Affiliation::Member => MemberRole::Member,
        Affiliation::Admin => MemberRole::Moderator,
        Affiliation::Owner => MemberRole::Owner,
    };
    match standing.and_then(Standing::role) {
        Some(_) => Ok(Some(Action::SetRole { conversation, user, role })),
        // Nobody is made a member but by joining.
        None if role == MemberRole::Member => Ok(Some(Action::Invite { conversation, user })),
        None => Err(error(Condition::NotAcceptable, "only members have roles: invite them first")),
    }
}
