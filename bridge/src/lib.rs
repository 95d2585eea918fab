//! What joins other systems to the hub: XMPP, badge readers and a venue's own MQTT broker, push gateways.

mod backoff;
pub mod badge;
pub mod push;
pub mod venue;
pub mod xmpp;
