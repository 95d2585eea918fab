//! What goes over a stream (HTML §9.2.6): the name of an event, its cursor when it is durable, and as data what the same notification of `/ws` has
//! as params, which is one line of JSON.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hallway_broker::canonical::{event_method, signal_method, write_event_params, write_number, write_signal};
use hallway_broker::ids::{ConfNo, EventIds};
use hallway_broker::reader::Reader;
use hallway_broker::recent::Published;
use hallway_broker::registry::Wire;
use hallway_broker::shard::Ending;
use hallway_broker::topic::Telling;

use super::Begin;
use crate::types::session::Hello;
use crate::wire::DRAIN_RETRY_MS;

/// The number of this form among the hub's wires.
pub(crate) const SSE_WIRE: usize = 9;

/// Events and signals, made once for all streams.
pub(crate) struct SseWire {
    reader: Reader,
    ids: EventIds,
    /// Epochs of conferences, which last as long as the process.
    epochs: Mutex<HashMap<ConfNo, u64>>,
}

impl SseWire {
    /// The form of the events that `reader` reads.
    pub(crate) fn new(reader: Reader) -> Self {
        let ids = reader.ids();
        Self { reader, ids, epochs: Mutex::default() }
    }

    fn epoch(&self, conf: ConfNo) -> Option<u64> {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(epoch) = epochs.get(&conf) {
            return Some(*epoch);
        }
        let id = self.reader.conference_id(conf).ok()??;
        let epoch = self.reader.conference(id.as_str()).ok()??.epoch;
        epochs.insert(conf, epoch);
        Some(epoch)
    }
}

impl Wire for SseWire {
    fn event(&self, published: &Published) -> Bytes {
        let event = &published.event;
        let mut out = Vec::with_capacity(512);
        begin(event_method(&event.entry.body), &mut out);
        // Without an epoch, which only a failing store keeps back, the client keeps the cursor that it has.
        if let Some(epoch) = self.epoch(event.place.conf) {
            write_cursor(epoch, published.pos(), &mut out);
        }
        data(&mut out, |out| write_event_params(event, &self.ids, out));
        out.into()
    }

    fn signal(&self, telling: &Telling) -> Bytes {
        let mut out = Vec::with_capacity(256);
        begin(signal_method(&telling.signal), &mut out);
        data(&mut out, |out| write_signal(&telling.signal, out));
        out.into()
    }

    fn tells_own_reads(&self) -> bool {
        true
    }
}

fn begin(event: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.as_bytes());
    out.push(b'\n');
}

fn write_cursor(epoch: u64, pos: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    write_number(epoch, out);
    out.push(b'.');
    write_number(pos, out);
    out.push(b'\n');
}

fn data(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"data: ");
    write(out);
    out.extend_from_slice(b"\n\n");
}

/// What a stream begins with: who one is, where it begins, and that the client's cursor was of another store.
pub(super) fn write_beginning(hello: &Hello, epoch: u64, from: Begin, out: &mut Vec<u8>) {
    begin("hello", out);
    write_cursor(epoch, from.pos(), out);
    data(out, |out| out.extend_from_slice(&serde_json::to_vec(hello).unwrap_or_default()));
    if let Begin::Anew(_) = from {
        begin("resync", out);
        data(out, |out| {
            out.extend_from_slice(b"{\"epoch\":\"");
            write_number(epoch, out);
            out.extend_from_slice(b"\"}");
        });
    }
}

/// Why a stream ends; of one that ends with the server also when to come back.
pub(super) fn write_notice(ending: Ending, params: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    if ending == Ending::Draining {
        out.extend_from_slice(b"retry: ");
        write_number(DRAIN_RETRY_MS, out);
        out.push(b'\n');
    }
    begin("notice", out);
    data(out, params);
}
