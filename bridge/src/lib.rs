//! What joins other systems to the hub: XMPP today; badge readers, a venue's own MQTT broker and push gateways to come.

pub mod xmpp;
