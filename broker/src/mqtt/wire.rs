//! The wire forms of the MQTT edge: whole PUBLISH packets, made once for each event or signal, version and whether they are acknowledged, and shared
//! by all receivers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::codec::{MessageProperties, Outgoing, Qos, Stamp, UserProperties, Version, write_publish};
use super::topic::{event_topic, inbox_topic, message_topic, presence_topic, read_topic, typing_topic};
use crate::canonical;
use crate::clock::Clock;
use crate::hub::Hub;
use crate::ids::{ConfNo, EventIds};
use crate::model::{Body, Event, Publication, Signal};
use crate::reader::Reader;
use crate::recent::Published;
use crate::registry::Wire;
use crate::topic::Telling;

/// The number of the form for 3.1.1 with QoS 0 among the hub's wires; the next one is with QoS 1.
const V4_WIRE: usize = 1;
/// The same for 5.
const V5_WIRE: usize = 3;

/// The wire form of a version with QoS 0; the next one is with QoS 1.
#[must_use]
pub fn wire_of(version: Version) -> usize {
    match version {
        Version::V4 => V4_WIRE,
        Version::V5 => V5_WIRE,
    }
}

/// What this edge adds to the hub's wire forms, with their numbers.
#[must_use]
pub fn wires(hub: &Hub) -> Vec<(usize, Arc<dyn Wire>)> {
    let conferences = Arc::new(Conferences { reader: hub.reader().clone(), known: RwLock::default() });
    let mut wires: Vec<(usize, Arc<dyn Wire>)> = Vec::new();
    for version in [Version::V4, Version::V5] {
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
            let form =
                MqttWire { version, qos, ids: hub.reader().ids(), conferences: Arc::clone(&conferences), clock: Arc::clone(hub.clock()) };
            wires.push((wire_of(version) + usize::from(u8::from(qos)), Arc::new(form)));
        }
    }
    wires
}

/// The ids of conferences, which topics begin with.
struct Conferences {
    reader: Reader,
    known: RwLock<HashMap<ConfNo, Arc<str>>>,
}

impl Conferences {
    fn id(&self, conf: ConfNo) -> Arc<str> {
        if let Some(id) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&conf) {
            return Arc::clone(id);
        }
        // A conference that was removed has no readers any more.
        let Ok(Some(id)) = self.reader.conference_id(conf) else { return "".into() };
        let id: Arc<str> = id.as_str().into();
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(conf, Arc::clone(&id));
        id
    }
}

/// See the module's text.
struct MqttWire {
    version: Version,
    qos: Qos,
    ids: EventIds,
    conferences: Arc<Conferences>,
    clock: Arc<dyn Clock>,
}

impl Wire for MqttWire {
    fn event(&self, published: &Published) -> Bytes {
        let event = &published.event;
        let mut out = Vec::new();
        match &event.entry.body {
            Body::Publication(publication) | Body::Stored(publication) => {
                let of = Stamp { qos: self.qos, ..Stamp::default() };
                write_publication(self.version, publication, &of, self.clock.now_ms(), &mut out);
            }
            _ => {
                let mut payload = Vec::with_capacity(512);
                canonical::write_event(event, &self.ids, &mut payload);
                let mut topic = String::with_capacity(64);
                topic_of(&self.conferences.id(event.place.conf), event, &mut topic);
                write_json(self.version, &topic, &payload, &Stamp { qos: self.qos, ..Stamp::default() }, &mut out);
            }
        }
        out.into()
    }

    fn signal(&self, telling: &Telling) -> Bytes {
        let mut out = Vec::new();
        if let Signal::Published { publication, .. } = &telling.signal {
            write_publication(self.version, publication, &Stamp::default(), self.clock.now_ms(), &mut out);
            return out.into();
        }
        let mut topic = String::with_capacity(64);
        topic_of_signal(&self.conferences.id(telling.conf), &telling.signal, &mut topic);
        write_signal(self.version, &topic, &telling.signal, &Stamp::default(), &mut out);
        out.into()
    }
}

/// The topic under which an event is published.
pub fn topic_of(conference: &str, event: &Event, out: &mut String) {
    let conversation = &event.place.conversation;
    match (&event.entry.body, conversation.inbox_owner()) {
        (Body::Publication(publication) | Body::Stored(publication), _) => out.push_str(&publication.topic),
        (_, Some(owner)) => inbox_topic(out, conference, &owner),
        (Body::Message(_), None) => message_topic(out, conference, conversation),
        (_, None) => event_topic(out, conference, conversation),
    }
}

fn packet<'a>(topic: &'a str, payload: &'a [u8], message: MessageProperties<'a>, stamp: &Stamp<'a>) -> Outgoing<'a> {
    let Stamp { dup, qos, retain, packet_id, identifiers, alias } = *stamp;
    let topic = if alias.is_some_and(|alias| alias.is_known) { "" } else { topic };
    let topic_alias = alias.map(|alias| alias.number);
    Outgoing { dup, qos, retain, topic, packet_id, topic_alias, subscription_identifiers: identifiers, message, payload }
}

/// Appends a PUBLISH of canonical JSON.
pub fn write_json(version: Version, topic: &str, payload: &[u8], stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    let message = MessageProperties { payload_is_utf8: true, content_type: Some("application/json"), ..MessageProperties::default() };
    write_publish(version, &packet(topic, payload, message, stamp), out);
}

/// Appends a PUBLISH of text.
pub fn write_text(version: Version, topic: &str, text: &str, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    let message = MessageProperties { payload_is_utf8: true, ..MessageProperties::default() };
    write_publish(version, &packet(topic, text.as_bytes(), message, stamp), out);
}

/// The topic under which a signal is published.
pub fn topic_of_signal(conference: &str, signal: &Signal, out: &mut String) {
    match signal {
        Signal::Typing { conversation, .. } => typing_topic(out, conference, conversation),
        Signal::Read { conversation, .. } => read_topic(out, conference, conversation),
        Signal::Presence { user, .. } => presence_topic(out, conference, user),
        Signal::Published { publication, .. } => out.push_str(&publication.topic),
        // Not told over MQTT.
        Signal::Gathered { .. } => {}
    }
}

/// Appends the PUBLISH of a signal that is not a publication.
pub fn write_signal(version: Version, topic: &str, signal: &Signal, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(128);
    canonical::write_signal(signal, &mut payload);
    write_json(version, topic, &payload, stamp, out);
}

/// Appends the PUBLISH of an application's message, as it came, with what is left of its time [MQTT-3.3.2-6].
pub fn write_publication(version: Version, publication: &Publication, stamp: &Stamp<'_>, now_ms: u64, out: &mut Vec<u8>) {
    let mut message = MessageProperties::default();
    let user;
    if let Some(properties) = publication.properties.as_deref().filter(|_| version == Version::V5) {
        user = UserProperties::encode(&properties.user);
        message.payload_is_utf8 = properties.payload_is_utf8;
        message.content_type = properties.content_type.as_deref();
        message.response_topic = properties.response_topic.as_deref();
        message.correlation_data = properties.correlation.as_deref();
        message.user_properties = UserProperties::encoded(&user);
    }
    if publication.expires_ms != u64::MAX {
        let left_s = publication.expires_ms.saturating_sub(now_ms).div_ceil(1000);
        message.expiry_s = Some(u32::try_from(left_s).unwrap_or(u32::MAX));
    }
    write_publish(version, &packet(&publication.topic, &publication.payload, message, stamp), out);
}
