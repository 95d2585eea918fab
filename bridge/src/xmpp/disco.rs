//! Service discovery (XEP-0030): what an address is and can do, and the hash of it that presence carries (XEP-0115). Pure.

use data_encoding::BASE64;
use ring::digest;

use super::write::Writer;

/// The namespace of a query for what an address is.
pub const INFO: &str = "http://jabber.org/protocol/disco#info";
/// The namespace of a query for what is at an address.
pub const ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// The namespace of entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";

/// What something is, by the registry of identities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// `server`, `conference`, `account`, …
    pub category: &'static str,
    /// `im`, `text`, `registered`, …
    pub kind: &'static str,
    /// For people.
    pub name: String,
}

/// What an address is and can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    /// One at least (§3.1).
    pub identities: Vec<Identity>,
    /// Namespaces of protocols.
    pub features: Vec<&'static str>,
}

/// Something that is at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its address.
    pub jid: String,
    /// For people.
    pub name: Option<String>,
}

impl Info {
    /// Appends `<query/>`, for the node that was asked for, if any (§3.2).
    pub fn write(&self, node: Option<&str>, out: &mut Vec<u8>) {
        self.write_with(node, &[], out);
    }

    /// The same with data forms (XEP-0128), as written before.
    pub fn write_with(&self, node: Option<&str>, forms: &[u8], out: &mut Vec<u8>) {
        let mut xml = Writer::new(out);
        xml.open("query", INFO).attr_if("node", node).inside();
        for Identity { category, kind, name } in &self.identities {
            xml.open_child("identity").attr("category", category).attr("type", kind);
            xml.attr_if("name", Some(name.as_str()).filter(|name| !name.is_empty())).empty();
        }
        for feature in &self.features {
            xml.open_child("feature").attr("var", feature).empty();
        }
        xml.written(forms).close("query");
    }

    /// The verification string's SHA-1 in base64 (XEP-0115 §5.1), which clients ask once for and remember.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut identities: Vec<String> =
            self.identities.iter().map(|Identity { category, kind, name }| format!("{category}/{kind}//{name}<")).collect();
        let mut features: Vec<String> = self.features.iter().map(|feature| format!("{feature}<")).collect();
        // By bytes, as `i;octet` orders (§5.1).
        identities.sort_unstable();
        features.sort_unstable();
        let all = identities.concat() + &features.concat();
        BASE64.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, all.as_bytes()).as_ref())
    }

    /// Appends `<c/>`: by whom (`node`, a URL) and the hash (XEP-0115 §4).
    pub fn write_caps(&self, node: &str, out: &mut Vec<u8>) {
        Writer::new(out).open("c", CAPS).attr("hash", "sha-1").attr("node", node).attr("ver", &self.hash()).empty();
    }
}

/// Appends `<query/>` with what is at an address (XEP-0030 §4).
pub fn write_items(items: &[Item], node: Option<&str>, out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    xml.open("query", ITEMS).attr_if("node", node).inside();
    for Item { jid, name } in items {
        xml.open_child("item").attr("jid", jid).attr_if("name", name.as_deref()).empty();
    }
    xml.close("query");
}

#[cfg(test)]
mod tests {
    use minidom::Element;
    use xmpp_parsers::caps::{Caps, compute_disco, hash_caps};
    use xmpp_parsers::disco::{DiscoInfoResult, DiscoItemsResult};
    use xmpp_parsers::hashes::Algo;

    use super::*;

    fn parsed(write: impl FnOnce(&mut Vec<u8>)) -> Element {
        let mut out = Vec::new();
        write(&mut out);
        Element::from_reader(out.as_slice()).unwrap()
    }

    fn info() -> Info {
        let identity = |category, kind, name: &str| Identity { category, kind, name: name.into() };
        let identities =
            vec![identity("server", "im", "Hallway"), identity("conference", "text", "R&D <rooms>"), identity("pubsub", "pep", "")];
        Info { identities, features: vec!["urn:xmpp:ping", "http://jabber.org/protocol/muc", INFO] }
    }

    #[test]
    fn the_hash_of_the_standards_example() {
        // XEP-0115 §5.2
        let identities = vec![Identity { category: "client", kind: "pc", name: "Exodus 0.9.1".into() }];
        let features = vec!["http://jabber.org/protocol/muc", CAPS, INFO, ITEMS];
        assert_eq!(Info { identities, features }.hash(), "QgayPKawpkPSDYmwT/WM94uAlu0=");
    }

    #[test]
    fn others_read_and_hash_it_alike() {
        let info = info();
        let read = DiscoInfoResult::try_from(parsed(|out| info.write(Some("n&1"), out))).unwrap();
        assert_eq!((read.node.as_deref(), read.identities.len(), read.features.len()), (Some("n&1"), 3, 3));
        assert_eq!(read.identities[1].name.as_deref(), Some("R&D <rooms>"));
        let theirs = hash_caps(&compute_disco(&read), Algo::Sha_1).unwrap();
        assert_eq!(info.hash(), BASE64.encode(&theirs.hash));
        let caps = Caps::try_from(parsed(|out| info.write_caps("https://chat.example", out))).unwrap();
        assert_eq!((caps.node.as_str(), caps.hash, caps.ver), ("https://chat.example", Algo::Sha_1, theirs.hash));
    }

    #[test]
    fn items_are_read_back() {
        let items =
            [Item { jid: "lobby@rooms.chat.example".into(), name: Some("\"Lobby\"".into()) }, Item { jid: "x@y".into(), name: None }];
        let read = DiscoItemsResult::try_from(parsed(|out| write_items(&items, None, out))).unwrap();
        let names: Vec<_> = read.items.iter().map(|item| (item.jid.to_string(), item.name.clone())).collect();
        assert_eq!(names, [("lobby@rooms.chat.example".into(), Some("\"Lobby\"".into())), ("x@y".into(), None)]);
    }
}
