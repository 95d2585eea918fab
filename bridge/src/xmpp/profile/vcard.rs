//! vCards (XEP-0054). What the hub knows of somebody is told from the hub: FN and NICKNAME are their display name, which is unique, DESC is what
//! they say of themselves, PHOTO is their avatar (XEP-0398); setting FN and NICKNAME is without effect, DESC and PHOTO change what they stand for.
//! All else is kept as it was set.

use hallway_broker::command::{Action, Demanded};
use hallway_broker::ids::Uid;
use hallway_broker::limits::MAX_ABOUT_BYTES;
use hallway_broker::model::{Access, NodeSettings};
use hallway_broker::reject::Reason;
use minidom::{Element, Node};

use super::avatar::{self, Image};
use super::{Answer, Answered, Asking, as_element, as_text, ns, refused};
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::write::Writer;

/// The node and item that a vCard is kept in.
const NODE: &str = "~vcard";
const ITEM: &str = "current";
const SETTINGS: NodeSettings = NodeSettings { access: Access::Presence, max_items: 1 };
/// What is told from elsewhere.
const FROM_THE_HUB: [&str; 4] = ["FN", "NICKNAME", "DESC", "PHOTO"];

/// Somebody's vCard, for whoever may ask.
pub(super) async fn get(asking: &Asking<'_>, owner: &Uid) -> Answer {
    let (of, for_others) = (owner.clone(), asking.me() != owner);
    let (user, kept, image) = asking
        .read(move |reader, conf| {
            let user = reader.user(conf, &of)?.ok_or(Reason::UnknownUser)?;
            let kept = reader.item(conf, &of, NODE, ITEM)?;
            Ok((user, kept, avatar::current(reader, conf, &of, for_others)?))
        })
        .await?;
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("vCard", ns::VCARD).inside().child("FN", &user.name).child("NICKNAME", &user.name);
    if !user.about.is_empty() {
        xml.child("DESC", &user.about);
    }
    if let Some(Image { media_type, base64, .. }) = image {
        xml.open_child("PHOTO").inside().child("TYPE", &media_type).child("BINVAL", &base64).close("PHOTO");
    }
    for child in kept.and_then(|item| as_element(&item.payload)).iter().flat_map(Element::children) {
        xml.element(child, Some(ns::VCARD));
    }
    xml.close("vCard");
    Ok(out.into())
}

/// Replaces one's own.
pub(super) async fn set(asking: &Asking<'_>, owner: &Uid, vcard: &Element) -> Answer {
    asking.check_owner(owner)?;
    let photo = vcard.get_child("PHOTO", ns::VCARD).map(Image::of_photo).transpose()?.flatten();
    set_about(asking, vcard).await?;
    let mut rest = Element::bare("vCard", ns::VCARD);
    for child in vcard.children().filter(|child| !FROM_THE_HUB.contains(&child.name())) {
        rest.append_node(Node::Element(child.clone()));
    }
    asking.keep(NODE, ITEM, as_text(&rest), SETTINGS, Demanded::default()).await?;
    Ok(Answered { payload: Vec::new(), pushes: avatar::set(asking, photo).await? })
}

/// A vCard without DESC leaves alone what somebody says of themselves: clients that know of photos only send none.
async fn set_about(asking: &Asking<'_>, vcard: &Element) -> Result<(), StanzaError> {
    let Some(about) = vcard.get_child("DESC", ns::VCARD).map(Element::text) else { return Ok(()) };
    if about.len() > MAX_ABOUT_BYTES {
        return Err(refused(Condition::PolicyViolation, "DESC is too long"));
    }
    let me = asking.me().clone();
    let before = asking.read(move |reader, conf| Ok(reader.user(conf, &me)?.ok_or(Reason::SessionEnded)?.about)).await?;
    if *before == *about {
        return Ok(());
    }
    asking.call(Action::UpdateProfile { name: None, about: Some(about.into()) }).await.map(drop)
}
