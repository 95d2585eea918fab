//! Namespaces and nodes, each with the document that defines it.

/// Private storage (XEP-0049).
pub const PRIVATE: &str = "jabber:iq:private";
/// Data forms (XEP-0004).
pub const FORMS: &str = "jabber:x:data";
/// Bookmarks in private storage (XEP-0048).
pub const STORAGE: &str = "storage:bookmarks";
/// vCards (XEP-0054).
pub const VCARD: &str = "vcard-temp";
/// Publishing (XEP-0060).
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// What was published (XEP-0060).
pub const EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// For a node's owner (XEP-0060 §8).
pub const OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// The form of a node's settings (XEP-0060 §16.4.3).
pub const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// The form of what a publisher demands of a node (XEP-0060 §7.1.5).
pub const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// Avatars' images (XEP-0084).
pub const AVATAR_DATA: &str = "urn:xmpp:avatar:data";
/// Which image is the avatar (XEP-0084).
pub const AVATAR: &str = "urn:xmpp:avatar:metadata";
/// Nicknames (XEP-0172).
pub const NICK: &str = "http://jabber.org/protocol/nick";
/// The blocking command (XEP-0191).
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// Bookmarks (XEP-0402).
pub const BOOKMARKS: &str = "urn:xmpp:bookmarks:1";
