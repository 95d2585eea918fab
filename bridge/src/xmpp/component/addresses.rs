//! Addresses on the component's domain, and the conference's own: a room is `lobby@<component>` there and `lobby@rooms.<conference>` here, a
//! user `~alice@<component>` there and `alice@<conference>` here (no room's id has a `~`, so no address means both), and somebody of another
//! server has their own address there and a uid here, whose sessions' resources begin with `r.`, but for the one that stands for the
//! account.

use hallway_broker::ids::Uid;
use jid::Jid;
use minidom::Element;

use crate::xmpp::names::{Names, NotAnAddress};

/// The resource of the session that stands for the account of somebody of another server.
pub const ACCOUNT: &str = "account";
/// What the resources of their clients begin with.
const CLIENT: &str = "r.";
/// What the address of a user of ours begins with.
const USER: &str = "~";
/// Attributes that hold addresses, in stanzas and in what is in them.
const HOLD_ADDRESSES: [&str; 5] = ["from", "to", "by", "jid", "uri"];
/// What an address begins with that is a URI (RFC 5122).
const SCHEME: &str = "xmpp:";

/// The addresses of a component.
pub struct Addresses {
    domain: String,
    names: Names,
}

/// What an address on the component's domain is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The component itself.
    Service,
    /// A room.
    Room,
    /// An occupant of one.
    Occupant,
    /// A user of ours.
    User(Uid),
}

/// The resource here of a client's.
#[must_use]
pub fn resource_here(resource: Option<&str>) -> String {
    resource.map_or_else(|| ACCOUNT.to_owned(), |resource| format!("{CLIENT}{resource}"))
}

impl Addresses {
    /// Of a component, for the people and rooms of `names`.
    #[must_use]
    pub fn new(domain: &str, names: &Names) -> Self {
        Self { domain: domain.to_owned(), names: names.clone() }
    }

    /// The component's domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether a domain is this server's own: nobody of another server is of it.
    #[must_use]
    pub fn is_own(&self, domain: &str) -> bool {
        domain == self.domain || domain == self.names.domain() || domain == self.names.rooms()
    }

    /// What a stanza is for, and its address here.
    ///
    /// # Errors
    /// It is not on the component's domain, or there can be nobody with this name.
    pub fn inward(&self, to: &Jid) -> Result<(Place, String), NotAnAddress> {
        if to.domain().as_str() != self.domain {
            return Err(NotAnAddress::Foreign(to.domain().as_str().to_owned()));
        }
        let resource = to.resource().map(|resource| resource.as_str());
        let tail = resource.map_or_else(String::new, |resource| format!("/{resource}"));
        let Some(node) = to.node().map(|node| node.as_str()) else {
            return Ok((Place::Service, self.names.rooms().to_owned()));
        };
        match node.strip_prefix(USER) {
            Some(name) => {
                let uid = Uid::parse(name).map_err(|_| NotAnAddress::NoUser(name.to_owned()))?;
                let address = format!("{}{tail}", self.names.user(&uid));
                Ok((Place::User(uid), address))
            }
            None => {
                let place = if resource.is_some() { Place::Occupant } else { Place::Room };
                Ok((place, format!("{node}@{}{tail}", self.names.rooms())))
            }
        }
    }

    /// An address as the other server knows it; `None` when it is none of ours. `of_others` knows whose address a uid stands for.
    pub fn outward(&self, address: &str, of_others: &dyn Fn(&Uid) -> Option<String>) -> Option<String> {
        let (bare, resource) = address.split_once('/').map_or((address, None), |(bare, resource)| (bare, Some(resource)));
        let (node, domain) = bare.split_once('@').map_or((None, bare), |(node, domain)| (Some(node), domain));
        let with = |bare: String, resource: Option<&str>| resource.map_or_else(|| bare.clone(), |resource| format!("{bare}/{resource}"));
        if domain == self.names.rooms() {
            return Some(with(node.map_or_else(|| self.domain.clone(), |node| format!("{node}@{}", self.domain)), resource));
        }
        if domain != self.names.domain() {
            return None;
        }
        let Some(uid) = node.and_then(|node| Uid::parse(node).ok()) else { return Some(self.domain.clone()) };
        Some(match of_others(&uid) {
            Some(jid) => with(jid, resource.and_then(|resource| resource.strip_prefix(CLIENT))),
            None => with(format!("{USER}{uid}@{}", self.domain), resource),
        })
    }

    /// Has an element of ours name addresses as the other server knows them, and all that is in it.
    pub fn send(&self, element: &mut Element, of_others: &dyn Fn(&Uid) -> Option<String>) {
        replace(element, &|address| self.outward(address, of_others));
    }

    /// Has a stanza for `receiver`, a bare JID, be from an address on the component's domain, since no server takes another from a component;
    /// `from` is what it was from here. False when that cannot be: it has no sender, or it is their own.
    pub fn set_sender(&self, stanza: &mut Element, from: Option<&str>, receiver: &str) -> bool {
        let is_own = stanza.attr("from").is_some_and(|from| from.split('/').next() == Some(receiver));
        // People of other servers have addresses here, too, for each other.
        let Some(from) = from.and_then(|from| self.outward(from, &|_| None)).filter(|_| !is_own) else { return false };
        super::set_attribute(stanza, "from", from);
        true
    }

    /// Has an element of the other server name addresses as they are here, and all that is in it. `uid_of` is whom a bare JID of another
    /// server stands for.
    pub fn receive(&self, element: &mut Element, uid_of: &dyn Fn(&str) -> Uid) {
        replace(element, &|address| {
            let jid = Jid::new(address).ok()?;
            match self.inward(&jid) {
                Ok((_, address)) => Some(address),
                Err(NotAnAddress::Foreign(domain)) if jid.node().is_some() && !self.is_own(&domain) => {
                    Some(self.names.user(&uid_of(jid.to_bare().as_str())))
                }
                Err(_) => None,
            }
        });
    }
}

/// As deep in calls as the element is in elements, which the reader bounds.
fn replace(element: &mut Element, with: &dyn Fn(&str) -> Option<String>) {
    for ((namespace, name), value) in element.attrs_mut() {
        if !namespace.is_none() || !HOLD_ADDRESSES.contains(&name.as_str()) {
            continue;
        }
        let other = match (name.as_str(), value.strip_prefix(SCHEME)) {
            ("uri", Some(address)) => with(address).map(|address| format!("{SCHEME}{address}")),
            ("uri", None) => None,
            _ => with(value),
        };
        if let Some(other) = other {
            *value = other;
        }
    }
    for child in element.children_mut() {
        replace(child, with);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses::new("hallway.other.example", &Names::new("chat.example").unwrap())
    }

    fn of_others(uid: &Uid) -> Option<String> {
        (uid.as_str() == "x.bob.1").then(|| "bob@other.example".to_owned())
    }

    fn inward(jid: &str) -> Option<String> {
        addresses().inward(&Jid::new(jid).unwrap()).ok().map(|(_, address)| address)
    }

    #[test]
    fn each_address_has_one_there() {
        for (here, there) in [
            ("rooms.chat.example", "hallway.other.example"),
            ("lobby@rooms.chat.example", "lobby@hallway.other.example"),
            ("lobby@rooms.chat.example/Zoë/b", "lobby@hallway.other.example/Zoë/b"),
            ("alice@chat.example", "~alice@hallway.other.example"),
            ("alice@chat.example/phone", "~alice@hallway.other.example/phone"),
        ] {
            assert_eq!(addresses().outward(here, &of_others).as_deref(), Some(there));
            assert_eq!(inward(there).as_deref(), Some(here));
        }
        for (here, there) in [
            ("chat.example", "hallway.other.example"),
            ("x.bob.1@chat.example/r.phone", "bob@other.example/phone"),
            ("x.bob.1@chat.example/account", "bob@other.example"),
            ("x.bob.1@chat.example", "bob@other.example"),
        ] {
            assert_eq!(addresses().outward(here, &of_others).as_deref(), Some(there));
        }
        assert_eq!(addresses().outward("bob@third.example/x", &of_others), None);
        assert_eq!(inward("lobby@rooms.chat.example"), None);
        assert_eq!(inward("~-x@hallway.other.example"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_address_means_both(node in "[a-z0-9~][a-z0-9._~-]{0,20}", resource in proptest::option::of("[ -~]{1,12}")) {
            let tail = resource.map_or_else(String::new, |resource| format!("/{resource}"));
            let Ok(jid) = Jid::new(&format!("{node}@hallway.other.example{tail}")) else { return Ok(()) };
            if let Ok((place, address)) = addresses().inward(&jid) {
                proptest::prop_assert_eq!(matches!(place, Place::User(_)), node.starts_with('~'));
                let back = addresses().outward(&address, &of_others);
                proptest::prop_assert_eq!(back, Some(jid.to_string()));
            }
        }

        #[test]
        fn any_text_is_an_address_or_none(address in ".{0,60}") {
            let _ = addresses().outward(&address, &of_others);
            let _ = Jid::new(&address).map(|jid| addresses().inward(&jid));
        }
    }

    #[test]
    fn addresses_within_are_others_too() {
        let text = "<message xmlns='jabber:client' from='lobby@rooms.chat.example/Bob' to='x.bob.1@chat.example/r.p'>\
            <body>alice@chat.example</body><reply xmlns='urn:xmpp:reply:0' to='lobby@rooms.chat.example/Al' id='1'/>\
            <reference xmlns='urn:xmpp:reference:0' uri='xmpp:alice@chat.example'/></message>";
        let mut element: Element = text.parse().unwrap();
        addresses().send(&mut element, &of_others);
        assert_eq!(element.attr("to"), Some("bob@other.example/p"));
        assert_eq!(element.get_child("reply", "urn:xmpp:reply:0").unwrap().attr("to"), Some("lobby@hallway.other.example/Al"));
        let reference = element.get_child("reference", "urn:xmpp:reference:0").unwrap();
        assert_eq!(reference.attr("uri"), Some("xmpp:~alice@hallway.other.example"));
        assert_eq!(element.get_child("body", "jabber:client").unwrap().text(), "alice@chat.example");
        assert!(addresses().set_sender(&mut element, Some("x.carol.1@chat.example/r.p"), "bob@other.example"));
        assert_eq!(element.attr("from"), Some("~x.carol.1@hallway.other.example/r.p"));
        assert!(!addresses().set_sender(&mut element, Some("carol@third.example"), "bob@other.example"));
        assert!(!addresses().set_sender(&mut element, None, "bob@other.example"));
        assert!(addresses().set_sender(&mut element, Some("lobby@rooms.chat.example/Bob"), "bob@other.example"));
        addresses().receive(&mut element, &|_| Uid::parse("x.bob.1").unwrap());
        assert_eq!(element.attr("to"), Some("x.bob.1@chat.example"));
        assert_eq!(element.attr("from"), Some("lobby@rooms.chat.example/Bob"));
    }
}
