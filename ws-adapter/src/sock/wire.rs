//! The wire form of `/sock`: whole frames, made once for each event or signal and shared by all receivers.

use bytes::Bytes;
use hallway_broker::canonical::{write_topic_event, write_topic_signal};
use hallway_broker::frame::write_text_with;
use hallway_broker::model::Body;
use hallway_broker::recent::Published;
use hallway_broker::registry::Wire;
use hallway_broker::topic::Telling;

/// The number of the form among the hub's wires.
pub const SOCK_WIRE: usize = 8;

/// See the module's text.
pub struct SockWire;

impl Wire for SockWire {
    fn event(&self, published: &Published) -> Bytes {
        let mut out = Vec::new();
        // Nothing else is followed here.
        if let Body::Publication(publication) | Body::Stored(publication) = &published.event.entry.body {
            write_text_with(&mut out, |out| write_topic_event(&published.event, publication, out));
        }
        out.into()
    }

    fn signal(&self, telling: &Telling) -> Bytes {
        let mut out = Vec::new();
        write_text_with(&mut out, |out| write_topic_signal(&telling.signal, out));
        out.into()
    }
}
