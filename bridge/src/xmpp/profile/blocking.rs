//! Whom somebody wants to hear nothing of (XEP-0191). People are blocked, not sessions: a full JID means its user. Other domains cannot be blocked as
//! long as there is no way to them.

use hallway_broker::command::Action;
use hallway_broker::ids::Uid;
use hallway_broker::limits::{MAX_BLOCKED, MAX_PAGE};
use hallway_broker::reject::Reason;
use minidom::Element;

use super::{Answer, Answered, Asking, Push, ns, refused, rejected};
use crate::xmpp::names::Address;
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::write::Writer;

/// What disco says of it, of the server (XEP-0191 §4).
pub const FEATURE: &str = ns::BLOCKING;

pub(super) async fn answer(asking: &Asking<'_>, owner: &Uid, is_set: bool, payload: &Element) -> Answer {
    asking.check_owner(owner)?;
    match (payload.name(), is_set) {
        ("blocklist", false) => {
            let users = all(asking).await?;
            Ok(written(asking, "blocklist", &users).into())
        }
        ("block", true) => {
            let users = named(asking, payload)?;
            if users.is_empty() {
                return Err(refused(Condition::BadRequest, "whom?")); // §5.2
            }
            check_known(asking, &users)?;
            change(asking, &users, true).await
        }
        ("unblock", true) => {
            let users = named(asking, payload)?;
            if users.is_empty() {
                return unblock_all(asking).await;
            }
            change(asking, &users, false).await
        }
        _ => Err(refused(Condition::BadRequest, "the list is got, people are blocked and unblocked by a set")),
    }
}

/// Everybody whom the asker has blocked: bounded, as blocking is.
async fn all(asking: &Asking<'_>) -> Result<Vec<Uid>, StanzaError> {
    let me = asking.me().clone();
    asking.read(move |reader, conf| Ok(reader.blocked(conf, &me, None, MAX_BLOCKED as usize)?.0)).await
}

/// Those who are named in it.
fn named(asking: &Asking<'_>, payload: &Element) -> Result<Vec<Uid>, StanzaError> {
    let mut users: Vec<Uid> = Vec::new();
    for item in payload.children().filter(|child| child.is("item", ns::BLOCKING)) {
        let jid = item.attr("jid").ok_or(refused(Condition::BadRequest, "an item without a jid"))?;
        let uid = match asking.names.parse(jid) {
            Ok(Address::User { uid, .. }) => uid,
            Ok(_) => return Err(refused(Condition::NotAcceptable, "only people can be blocked")),
            Err(error) => return Err(StanzaError::from(&error)),
        };
        if !users.contains(&uid) {
            users.push(uid);
        }
        // Each is a command of its own.
        if users.len() > MAX_PAGE {
            return Err(refused(Condition::PolicyViolation, "too many people in one request"));
        }
    }
    Ok(users)
}

/// All or none: what is refused is refused before anybody is blocked.
fn check_known(asking: &Asking<'_>, users: &[Uid]) -> Result<(), StanzaError> {
    for uid in users {
        asking.user(uid)?.ok_or(Reason::UnknownUser).map_err(rejected)?;
    }
    if users.contains(asking.me()) {
        return Err(refused(Condition::NotAcceptable, "nobody blocks themselves"));
    }
    Ok(())
}

async fn change(asking: &Asking<'_>, users: &[Uid], on: bool) -> Answer {
    let (mut changed, mut failed) = (Vec::new(), None);
    for user in users {
        match asking.call(Action::Block { user: user.clone(), on }).await {
            Ok(_) => changed.push(user.clone()),
            // Who was never there is not blocked either.
            Err(error) if !on && error.condition == Condition::ItemNotFound => {}
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    // What was done before a refusal is done.
    match failed {
        Some(error) if changed.is_empty() => Err(error),
        _ => Ok(Answered { payload: Vec::new(), pushes: push(asking, changed, on).into_iter().collect() }),
    }
}

fn push(asking: &Asking<'_>, users: Vec<Uid>, on: bool) -> Option<Push> {
    let payload = written(asking, if on { "block" } else { "unblock" }, &users);
    (!users.is_empty()).then_some(Push::Blocklist { users, on, payload })
}

async fn unblock_all(asking: &Asking<'_>) -> Answer {
    for user in all(asking).await? {
        asking.call(Action::Block { user, on: false }).await?;
    }
    // Empty: all of them (§3.5).
    let payload = written(asking, "unblock", &[]);
    Ok(Answered { payload: Vec::new(), pushes: vec![Push::Blocklist { users: Vec::new(), on: false, payload }] })
}

fn written(asking: &Asking<'_>, name: &'static str, users: &[Uid]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open(name, ns::BLOCKING).inside();
    for user in users {
        xml.open_child("item").attr_of("jid", &[user.as_str(), "@", asking.names.domain()]).empty();
    }
    xml.close(name);
    out
}
