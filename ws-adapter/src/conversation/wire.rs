//! The wire form of conversations' own WebSockets: whole frames, made once for each event or signal and shared by all receivers.

use bytes::Bytes;
use hallway_broker::ids::EventIds;
use hallway_broker::recent::Published;
use hallway_broker::registry::Wire;
use hallway_broker::topic::Telling;

use super::frame::{Frame, Notice, write_frame};

/// The number of the form among the hub's wires.
pub const CONVERSATION_WIRE: usize = 7;

/// See the module's text.
pub struct ConversationWire {
    ids: EventIds,
}

impl ConversationWire {
    /// The form whose events have ids by `ids`.
    #[must_use]
    pub fn new(ids: EventIds) -> Self {
        Self { ids }
    }
}

impl Wire for ConversationWire {
    fn event(&self, published: &Published) -> Bytes {
        let mut out = Vec::with_capacity(512);
        write_frame(&Frame::of(&published.event, &self.ids), &mut out);
        out.into()
    }

    fn signal(&self, telling: &Telling) -> Bytes {
        let mut out = Vec::new();
        if let Some(notice) = Notice::of(&telling.signal) {
            write_frame(&notice, &mut out);
        }
        out.into()
    }
}
