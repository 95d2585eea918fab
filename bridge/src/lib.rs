//! What joins other systems to the hub: XMPP, badge readers; a venue's own MQTT broker and push gateways to come.

pub mod badge;
pub mod xmpp;
