//! The wire forms of the WebSocket edge: whole frames, made once for each event or signal and shared by all receivers.

use bytes::Bytes;
use hallway_broker::ids::EventIds;
use hallway_broker::recent::Published;
use hallway_broker::registry::Wire;
use hallway_broker::shard::Ending;
use hallway_broker::topic::Telling;

use hallway_broker::canonical::{self, SessionNotice};
use hallway_broker::frame;

/// The number of the WebSocket JSON form among the hub's wires.
pub const WS_WIRE: usize = 0;

/// How long clients should wait before they come back to a server that stops.
pub const DRAIN_RETRY_MS: u64 = 2000;

/// JSON-RPC notifications in text frames.
pub struct WsWire {
    ids: EventIds,
}

impl WsWire {
    /// The form whose events have ids by `ids`.
    #[must_use]
    pub fn new(ids: EventIds) -> Self {
        Self { ids }
    }
}

impl Wire for WsWire {
    fn event(&self, published: &Published) -> Bytes {
        framed(|out| canonical::write_event_notification(&published.event, &self.ids, out))
    }

    fn signal(&self, telling: &Telling) -> Bytes {
        framed(|out| canonical::write_signal_notification(&telling.signal, out))
    }

    fn tells_own_reads(&self) -> bool {
        true
    }
}

fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(512);
    frame::write_text_with(&mut out, write);
    out.into()
}

/// The notice that a session's end is announced with.
pub fn write_session_notice(ending: Ending, out: &mut Vec<u8>) {
    canonical::write_session_notice(
        match ending {
            Ending::Closed | Ending::TakenOver => SessionNotice::SessionClosed,
            Ending::SignedOut => SessionNotice::SessionEnded,
            Ending::Draining => SessionNotice::Draining { retry_after_ms: DRAIN_RETRY_MS },
        },
        out,
    );
}
