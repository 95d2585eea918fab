//! What joins other systems to the hub: XMPP, badge readers, a venue's own MQTT broker, push gateways. Nothing yet: the hub and the
//! WebSocket edge come first.
