//! The encodings that packets are made of (§1.5), read from the front of a slice.

use super::{Violation, malformed};

/// What of a packet is still to be read.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

/// A packet that ends too early.
const CUT_OFF: &str = "MQTT-4.13.1-1";

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Nothing may be left.
    pub fn end(&self, clause: &'static str) -> Result<(), Violation> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed(clause)) }
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Violation> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(malformed(CUT_OFF))?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn u8(&mut self) -> Result<u8, Violation> {
        Ok(self.take(1)?[0])
    }

    pub fn u16(&mut self) -> Result<u16, Violation> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub fn u32(&mut self) -> Result<u32, Violation> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A variable byte integer (§1.5.5).
    pub fn varint(&mut self) -> Result<u32, Violation> {
        let mut value = 0;
        for at in 0..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                // [MQTT-1.5.5-1]: in as few bytes as it needs.
                return if byte == 0 && at > 0 { Err(malformed("MQTT-1.5.5-1")) } else { Ok(value) };
            }
        }
        Err(malformed("MQTT-1.5.5"))
    }

    pub fn binary(&mut self) -> Result<&'a [u8], Violation> {
        let len = self.u16()?;
        self.take(len.into())
    }

    pub fn string(&mut self) -> Result<&'a str, Violation> {
        let bytes = self.binary()?;
        // [MQTT-1.5.4-1 / 1.5.3-1]; surrogates are no UTF-8 for Rust either
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("MQTT-1.5.4-1"))?;
        // [MQTT-1.5.4-2 / 1.5.3-2]
        if bytes.contains(&0) { Err(malformed("MQTT-1.5.4-2")) } else { Ok(text) }
    }

    /// A packet id, which is never 0 [MQTT-2.2.1-3, -4 / 2.3.1-1].
    pub fn packet_id(&mut self) -> Result<u16, Violation> {
        match self.u16()? {
            0 => Err(malformed("MQTT-2.2.1-3")),
            id => Ok(id),
        }
    }
}
