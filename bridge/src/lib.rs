//! What joins other systems to the hub: XMPP and push gateways today; badge readers and a venue's own MQTT broker to come.

pub mod push;
pub mod xmpp;
