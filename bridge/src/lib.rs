//! What joins other systems to the hub: XMPP, badge readers and a venue's own MQTT broker, push gateways.

pub mod badge;
pub mod push;
pub mod xmpp;
