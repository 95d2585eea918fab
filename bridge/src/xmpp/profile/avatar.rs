//! Avatars: one image of each person, the same in PEP (XEP-0084), in vCards (XEP-0398) and, as a hash, in presence (XEP-0153). It is kept as PEP has it:
//! the image in one node, which image it is in another.

use data_encoding::{BASE64, HEXLOWER};
use hallway_broker::command::{Action, Demanded};
use hallway_broker::hub::Reader;
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::limits::MAX_ITEM_BYTES;
use hallway_broker::model::Access;
use hallway_broker::state::StateError;
use minidom::Element;
use ring::digest;

use super::pep::{self, event};
use super::{Asking, Push, as_element, ns, refused};
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::write::Writer;

/// The longest image, in bytes of base64: with what is around it, it is an item.
const MAX_PHOTO_BYTES: usize = MAX_ITEM_BYTES - 256;
/// The longest media type, in bytes.
const MAX_TYPE_BYTES: usize = 64;

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Hexadecimal SHA-1 of its bytes.
    pub id: String,
    /// `image/png`, …
    pub media_type: String,
    /// Its bytes in base64, without white space.
    pub base64: String,
    /// How many they are.
    pub bytes: usize,
}

fn without_space(text: &str) -> String {
    text.split_ascii_whitespace().collect()
}

impl Image {
    /// The image in a vCard's PHOTO; `None` for one that is elsewhere, or an empty one.
    pub(super) fn of_photo(photo: &Element) -> Result<Option<Self>, StanzaError> {
        let text = |name: &str| photo.get_child(name, ns::VCARD).map(Element::text).unwrap_or_default();
        let (base64, media_type) = (without_space(&text("BINVAL")), text("TYPE").trim().to_owned());
        if base64.is_empty() {
            return Ok(None);
        }
        let bytes = BASE64.decode(base64.as_bytes()).map_err(|_| refused(Condition::BadRequest, "the photo is not in base64"))?;
        if media_type.len() > MAX_TYPE_BYTES {
            return Err(refused(Condition::BadRequest, "the photo's type is too long"));
        }
        if base64.len() > MAX_PHOTO_BYTES {
            return Err(refused(Condition::PolicyViolation, "the photo is too large"));
        }
        let id = HEXLOWER.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes).as_ref());
        let media_type = if media_type.is_empty() { "image/png".into() } else { media_type };
        Ok(Some(Self { id, media_type, base64, bytes: bytes.len() }))
    }

    /// XEP-0084 §4.1, §4.2: the items that it is.
    fn items(&self) -> (String, String) {
        let (mut data, mut metadata) = (Vec::new(), Vec::new());
        Writer::new(&mut data).open("data", ns::AVATAR_DATA).inside().text(&self.base64).close("data");
        let mut xml = Writer::new(&mut metadata);
        xml.open("metadata", ns::AVATAR).inside();
        xml.open_child("info").number_attr("bytes", self.bytes).attr("id", &self.id).attr("type", &self.media_type).empty();
        xml.close("metadata");
        let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
        (text(data), text(metadata))
    }
}

/// What the newest metadata say: the image's id and type; `None` when there is no avatar, or others are not to see it.
fn described(reader: &Reader, conf: ConfNo, of: &Uid, for_others: bool) -> Result<Option<(String, String)>, StateError> {
    if for_others {
        for node in [ns::AVATAR, ns::AVATAR_DATA] {
            if reader.item_node(conf, of, node)?.is_none_or(|node| node.settings.access == Access::Private) {
                return Ok(None);
            }
        }
    }
    let newest = reader.items(conf, of, ns::AVATAR, 1)?.pop();
    let metadata = newest.and_then(|(_, item)| as_element(&item.payload));
    let mut infos = metadata.iter().flat_map(Element::children);
    // One that is elsewhere has a `url` (XEP-0084 §4.2.1); of those here the first is the one for all.
    let info = infos.find(|info| info.is("info", ns::AVATAR) && info.attr("url").is_none());
    Ok(info.and_then(|info| Some((info.attr("id")?.to_owned(), info.attr("type").unwrap_or("image/png").to_owned()))))
}

/// Somebody's avatar, as others see it or they themselves.
///
/// # Errors
/// The state's.
pub fn current(reader: &Reader, conf: ConfNo, of: &Uid, for_others: bool) -> Result<Option<Image>, StateError> {
    let Some((id, media_type)) = described(reader, conf, of, for_others)? else { return Ok(None) };
    let data = reader.item(conf, of, ns::AVATAR_DATA, &id)?.and_then(|item| as_element(&item.payload));
    let base64 = data.map(|data| without_space(&data.text())).filter(|base64| !base64.is_empty());
    // Three bytes are four characters.
    Ok(base64.map(|base64| Image { id, media_type, bytes: base64.len() / 4 * 3, base64 }))
}

/// The SHA-1 of somebody's avatar, for `<photo/>` in their presence (XEP-0153 §3.1); `None`: there is none.
///
/// # Errors
/// The state's.
pub fn photo_hash(reader: &Reader, conf: ConfNo, of: &Uid) -> Result<Option<String>, StateError> {
    let is_hash = |id: &str| id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = described(reader, conf, of, true)?.map(|(id, _)| id.to_ascii_lowercase()).filter(|id| is_hash(id));
    let Some(id) = id else { return Ok(None) };
    // Without the image nobody could fetch what the hash says.
    Ok(reader.item_ids(conf, of, ns::AVATAR_DATA, usize::MAX)?.iter().any(|kept| **kept == *id).then_some(id))
}

/// Makes an image the asker's avatar, or takes the avatar away; what changed is to be told.
pub(super) async fn set(asking: &Asking<'_>, image: Option<Image>) -> Result<Vec<Push>, StanzaError> {
    let me = asking.me().clone();
    let before = asking.read(move |reader, conf| Ok(current(reader, conf, &me, false)?)).await?;
    match (before, image) {
        (before, Some(image)) if before.as_ref().is_some_and(|before| before.id == image.id) => Ok(Vec::new()),
        (_, Some(image)) => publish(asking, &image).await,
        (Some(before), None) => remove(asking, &before).await,
        (None, None) => Ok(Vec::new()),
    }
}

async fn publish(asking: &Asking<'_>, image: &Image) -> Result<Vec<Push>, StanzaError> {
    let (data, metadata) = image.items();
    let mut pushes = Vec::new();
    // §3.1: the data first.
    for (node, payload) in [(ns::AVATAR_DATA, data), (ns::AVATAR, metadata)] {
        asking.keep(node, &image.id, payload.as_str(), pep::settings_of(node), Demanded::default()).await?;
        pushes.push(event::published(node, pep::access_of(asking, node), &[(&image.id, &payload)]));
    }
    Ok(pushes)
}

/// §3.5: empty metadata; the image goes, too.
async fn remove(asking: &Asking<'_>, before: &Image) -> Result<Vec<Push>, StanzaError> {
    let (node, payload) = (ns::AVATAR, format!("<metadata xmlns=\"{}\"/>", ns::AVATAR));
    asking.keep(node, "none", payload.as_str(), pep::settings_of(node), Demanded::default()).await?;
    let gone = asking.call(Action::DropItem { node: ns::AVATAR_DATA.into(), id: before.id.as_str().into() }).await;
    match gone {
        Err(error) if error.condition != Condition::ItemNotFound => Err(error),
        _ => Ok(vec![event::published(node, pep::access_of(asking, node), &[("none", &payload)])]),
    }
}
