//! The wire forms of the Socket.IO edge: WebSocket frames of Engine.IO packets, made once for each event or signal and shared by all receivers.
//! Who polls is given the packets out of the same frames.

use bytes::Bytes;
use hallway_broker::canonical;
use hallway_broker::ids::EventIds;
use hallway_broker::model::{Body, Signal};
use hallway_broker::recent::Published;
use hallway_broker::registry::Wire;
use hallway_broker::topic::Telling;
use serde::Serialize;

use super::packet::event;
use super::shapes::{write, write_message};
use crate::wire::{WS_WIRE, WsWire};

/// The number of the Socket.IO form among the hub's wires.
pub const SOCKETIO_WIRE: usize = 6;

/// See the module's text.
pub struct SocketioWire {
    ids: EventIds,
}

impl SocketioWire {
    /// The form whose events have ids by `ids`.
    #[must_use]
    pub fn new(ids: EventIds) -> Self {
        Self { ids }
    }
}

impl Wire for SocketioWire {
    fn event(&self, published: &Published) -> Bytes {
        let mut frame = Vec::with_capacity(512);
        match &published.event.entry.body {
            Body::Message(message) => event("message", &mut frame, |out| write_message(&published.event, message, &self.ids, out)),
            _ => event("notification", &mut frame, |out| canonical::write_event_notification(&published.event, &self.ids, out)),
        }
        frame.into()
    }

    fn signal(&self, telling: &Telling) -> Bytes {
        let mut frame = Vec::with_capacity(128);
        match &telling.signal {
            Signal::Typing { conversation, from, name, on } => {
                let typing = Typing { conversation: conversation.as_str(), from: from.as_str(), sender_id: from.as_str(), name, on: *on };
                event("typing", &mut frame, |out| write(&typing, out));
            }
            signal => event("notification", &mut frame, |out| canonical::write_signal_notification(signal, out)),
        }
        frame.into()
    }

    fn tells_own_reads(&self) -> bool {
        true
    }
}

/// Who types, in the shape that other events have, and in that of the JSON protocol.
#[derive(Serialize)]
struct Typing<'a> {
    conversation: &'a str,
    from: &'a str,
    #[serde(rename = "senderId")]
    sender_id: &'a str,
    name: &'a str,
    on: bool,
}

/// Appends an event as a notification of the JSON protocol: what follows conversations by `rpc` reads it so. Its JSON is the WebSocket form's,
/// made once for all.
pub fn stamp_notification(published: &Published, ids: EventIds, into: &mut Vec<u8>) {
    let form = published.wire(WS_WIRE, |published| WsWire::new(ids).event(published));
    event("notification", into, |into| {
        for json in texts(form) {
            into.extend_from_slice(json.as_bytes());
        }
    });
}

/// The texts in frames of our own making (RFC 6455 §5.2).
pub fn texts(frames: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = frames;
    std::iter::from_fn(move || {
        let short = usize::from(*rest.get(1)? & 0x7F);
        let (header, len) = match short {
            126 => (4, usize::from(u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(rest.get(2..10)?.try_into().ok()?)).ok()?),
            short => (2, short),
        };
        let text = rest.get(header..header + len)?;
        rest = &rest[header + len..];
        std::str::from_utf8(text).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallway_broker::frame;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_give_back_their_texts(texts_in in prop::collection::vec("\\PC{0,300}", 0..5), long in 0..70_000usize) {
            let mut frames = Vec::new();
            let mut wanted = texts_in;
            wanted.push("x".repeat(long));
            for text in &wanted {
                frame::write_text(text, &mut frames);
            }
            prop_assert_eq!(texts(&frames).collect::<Vec<_>>(), wanted);
        }
    }
}
