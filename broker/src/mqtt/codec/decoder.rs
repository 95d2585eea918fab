//! Where packets begin and end.

use super::{Code, Violation, malformed};

/// A packet, not yet looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Its first byte: type and flags.
    pub first: u8,
    /// What follows the remaining length.
    pub body: &'a [u8],
}

/// Finds packets in bytes as they come.
///
/// Memory: at most one packet of `max_packet_bytes`, plus what was given to [`Decoder::hold`]; nothing while nothing is held.
#[derive(Debug)]
pub struct Decoder {
    max_packet_bytes: usize,
    held: Vec<u8>,
    /// What of `held` was handed out already.
    held_from: usize,
}

/// Type, and up to four bytes of length.
const MAX_HEADER_BYTES: usize = 5;

/// The header's and the packet's length; `None` while the header is not whole.
fn lengths(bytes: &[u8], max_packet_bytes: usize) -> Result<Option<(usize, usize)>, Violation> {
    let mut remaining = 0;
    for (at, byte) in bytes.iter().skip(1).enumerate() {
        remaining |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            if *byte == 0 && at > 0 {
                return Err(malformed("MQTT-1.5.5-1"));
            }
            let (header, whole) = (at + 2, at + 2 + remaining);
            // Before anything of it is kept [MQTT-3.2.2-15].
            if whole > max_packet_bytes {
                return Err(Violation { code: Code::PACKET_TOO_LARGE, clause: "MQTT-3.2.2-15" });
            }
            return Ok(Some((header, whole)));
        }
        if at == MAX_HEADER_BYTES - 2 {
            return Err(malformed("MQTT-2.1.4"));
        }
    }
    Ok(None)
}

impl Decoder {
    /// A decoder for packets of at most `max_packet_bytes`.
    #[must_use]
    pub fn new(max_packet_bytes: usize) -> Self {
        Self { max_packet_bytes, held: Vec::new(), held_from: 0 }
    }

    /// The same with another bound, for the packets to come.
    #[must_use]
    pub fn with_bound(self, max_packet_bytes: usize) -> Self {
        Self { max_packet_bytes, ..self }
    }

    /// The next packet in what is held and `input`, `None` when more bytes are needed; then `input` is empty and what it held of a packet is
    /// kept. To stop before `None`, give the rest to [`Self::hold`].
    ///
    /// # Errors
    /// A [`Violation`]; nothing can be read after it.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Result<Option<Raw<'s>>, Violation> {
        if !self.has_held() {
            self.release();
            return match lengths(input, self.max_packet_bytes)? {
                Some((header, whole)) if whole <= input.len() => {
                    let (packet, rest) = input.split_at(whole);
                    *input = rest;
                    Ok(Some(Raw { first: packet[0], body: &packet[header..] }))
                }
                _ => {
                    self.keep(input);
                    *input = &[];
                    Ok(None)
                }
            };
        }
        loop {
            let have = self.held.len() - self.held_from;
            let found = lengths(&self.held[self.held_from..], self.max_packet_bytes)?;
            let want = found.map_or(have + 1, |(_, whole)| whole);
            if let Some((header, whole)) = found.filter(|_| want <= have) {
                let packet = &self.held[self.held_from..self.held_from + whole];
                self.held_from += whole;
                return Ok(Some(Raw { first: packet[0], body: &packet[header..] }));
            }
            if input.is_empty() {
                return Ok(None);
            }
            let (taken, rest) = input.split_at((want - have).min(input.len()));
            *input = rest;
            self.drop_read();
            self.keep(taken);
        }
    }

    /// Keeps `rest`, what [`Self::next`] has not read of its input, for the next call: the caller stops reading for now.
    pub fn hold(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.drop_read();
            self.held.extend_from_slice(rest);
        }
    }

    /// Whether bytes are held that were not handed out.
    #[must_use]
    pub fn has_held(&self) -> bool {
        self.held_from < self.held.len()
    }

    /// Memory that is held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// Grows by doubling, but not beyond the longest packet.
    fn keep(&mut self, bytes: &[u8]) {
        let need = self.held.len() + bytes.len();
        if need > self.held.capacity() {
            let room = need.max((self.held.capacity() * 2).min(self.max_packet_bytes));
            self.held.reserve_exact(room - self.held.len());
        }
        self.held.extend_from_slice(bytes);
    }

    fn drop_read(&mut self) {
        if self.held_from > 0 {
            self.held.drain(..self.held_from);
            self.held_from = 0;
        }
    }

    fn release(&mut self) {
        if self.held.capacity() > 0 {
            self.held = Vec::new();
        }
        self.held_from = 0;
    }
}
