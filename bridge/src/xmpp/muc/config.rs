//! A room's settings (XEP-0045 §10). Only the title can be changed; what else a room is follows from the conversation's kind, and a form that
//! wants something else is refused. Fields that a room does not have are passed over (XEP-0004 §3.2).

use hallway_broker::command::Action;
use hallway_broker::limits::MAX_TITLE_BYTES;
use hallway_broker::model::Kind;
use hallway_broker::view::Found;
use minidom::Element;

use super::form::{self, DATA, Field};
use super::{Asking, MUC_OWNER, error};
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::write::Writer;

const FORM_TYPE: &str = "http://jabber.org/protocol/muc#roomconfig";
const ROOM_NAME: &str = "muc#roomconfig_roomname";

/// The settings of a room (§10.2).
fn fields(found: &Found) -> Vec<Field> {
    let kind = found.record.kind;
    vec![
        Field::text(ROOM_NAME, "Title", &found.record.title),
        Field::boolean("muc#roomconfig_persistentroom", "Stays when it is empty", true),
        Field::boolean("muc#roomconfig_publicroom", "Listed", kind.is_public()),
        Field::boolean("muc#roomconfig_membersonly", "For members only", kind == Kind::Group),
        Field::boolean("muc#roomconfig_moderatedroom", "Only some may speak", kind == Kind::Announcements),
        Field::boolean("muc#roomconfig_passwordprotectedroom", "With a password", false),
        Field::boolean("muc#roomconfig_changesubject", "Occupants may change the subject", false),
        Field::fixed("muc#roomconfig_whois", "Who may see addresses", &["anyone"]),
    ]
}

/// The form for moderators, who may change the title.
///
/// # Errors
/// The stanza error that is answered.
pub fn get(asking: &Asking<'_>, found: &Found) -> Result<Vec<u8>, StanzaError> {
    asking.must_moderate(found)?;
    let mut out = Vec::new();
    Writer::new(&mut out).open("query", MUC_OWNER).inside();
    form::write("form", FORM_TYPE, Some("Settings of this room"), &fields(found), &mut out);
    Writer::new(&mut out).close("query");
    Ok(out)
}

/// A submitted form. One without fields takes the settings as they are: an instant room (§10.1.2).
///
/// # Errors
/// The stanza error that is answered.
pub async fn set(asking: &Asking<'_>, found: &Found, query: &Element) -> Result<Vec<u8>, StanzaError> {
    asking.must_moderate(found)?;
    if query.children().any(|child| child.is("destroy", MUC_OWNER)) {
        return Err(error(Condition::NotAllowed, "rooms are not destroyed"));
    }
    let Some(form) = query.get_child("x", DATA) else { return Err(error(Condition::BadRequest, "no form")) };
    match form.attr("type") {
        Some("submit") => {}
        Some("cancel") => return Ok(Vec::new()),
        _ => return Err(error(Condition::BadRequest, "a form is submitted or cancelled")),
    }
    let submitted = form::submitted(form, FORM_TYPE).ok_or(error(Condition::BadRequest, "not the form of a room's settings"))?;
    let settings = fields(found);
    let mut title = None;
    for (var, value) in submitted {
        if var == ROOM_NAME {
            title = Some(value);
        } else if settings.iter().any(|field| field.var == var && !field.is(&value)) {
            return Err(error(Condition::NotAcceptable, "only the title can be changed"));
        }
    }
    if let Some(title) = title.filter(|title| *title != found.record.title) {
        if title.len() > MAX_TITLE_BYTES {
            return Err(error(Condition::NotAcceptable, "a title of 256 bytes at most"));
        }
        let update = Action::Update { conversation: found.id.clone(), title: title.into() };
        asking.session.call(update).await.map_err(|reject| asking.refused(found, &reject))?;
    }
    Ok(Vec::new())
}
