//! What joins other systems to the hub: XMPP today; badge readers, a venue's own MQTT broker and push gateways to come.
//!
//! In reading order, [`xmpp`]: who is who ([`xmpp::names`]), then what is said ([`xmpp::stanza`]).

pub mod xmpp;
