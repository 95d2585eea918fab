//! PUBACK, PUBREC, PUBREL, PUBCOMP (§3.4 to §3.7), DISCONNECT (§3.14) and AUTH (§3.15).

use super::cursor::Cursor;
use super::property::{self, id};
use super::{Code, Version, Violation, malformed, protocol_error};

/// The reason codes that a PUBACK or PUBREC may have.
pub const PUBACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
/// Those of a PUBREL or PUBCOMP.
pub const PUBREL: &[u8] = &[0x00, 0x92];
/// Those of a client's DISCONNECT.
const DISCONNECT: &[u8] = &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
/// Those of a client's AUTH.
const AUTH: &[u8] = &[0x18, 0x19];

/// An acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The packet id.
    pub packet_id: u16,
    /// What came of it.
    pub code: Code,
    /// In the client's words.
    pub reason_string: Option<&'a str>,
}

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why.
    pub code: Code,
    /// Another session expiry than the CONNECT's.
    pub session_expiry_s: Option<u32>,
    /// In the client's words.
    pub reason_string: Option<&'a str>,
}

/// A step of enhanced authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Go on, or authenticate anew.
    pub code: Code,
    /// The method.
    pub method: Option<&'a str>,
    /// The method's message.
    pub data: Option<&'a [u8]>,
    /// In the client's words.
    pub reason_string: Option<&'a str>,
}

/// A reason code that the packet may have; none is success.
fn code(allowed: &[u8], body: &mut Cursor<'_>, clause: &'static str) -> Result<Code, Violation> {
    if body.is_empty() {
        return Ok(Code::SUCCESS);
    }
    let code = body.u8()?;
    if allowed.contains(&code) { Ok(Code(code)) } else { Err(malformed(clause)) }
}

impl<'a> Ack<'a> {
    pub(super) fn parse(version: Version, allowed: &[u8], body: &mut Cursor<'a>) -> Result<Self, Violation> {
        let packet_id = body.packet_id()?;
        let mut ack = Self { packet_id, code: Code::SUCCESS, reason_string: None };
        if version == Version::V5 {
            ack.code = code(allowed, body, "MQTT-3.4.2-1")?;
            if !body.is_empty() {
                property::read(property::ACK, body, |id, value| {
                    if id == id::REASON_STRING {
                        ack.reason_string = value.text();
                    }
                    Ok(())
                })?;
            }
        }
        body.end("MQTT-4.13.1-1")?;
        Ok(ack)
    }
}

impl<'a> Disconnect<'a> {
    pub(super) fn parse(version: Version, body: &mut Cursor<'a>) -> Result<Self, Violation> {
        let mut disconnect = Self { code: Code::SUCCESS, session_expiry_s: None, reason_string: None };
        if version == Version::V5 {
            disconnect.code = code(DISCONNECT, body, "MQTT-3.14.2-1")?;
            if !body.is_empty() {
                property::read(property::DISCONNECT, body, |id, value| {
                    match id {
                        id::SESSION_EXPIRY => disconnect.session_expiry_s = Some(value.number()),
                        id::REASON_STRING => disconnect.reason_string = value.text(),
                        _ => {}
                    }
                    Ok(())
                })?;
            }
        }
        body.end("MQTT-3.14.1-1")?;
        Ok(disconnect)
    }
}

impl<'a> Auth<'a> {
    pub(super) fn parse(body: &mut Cursor<'a>) -> Result<Self, Violation> {
        // §3.15.2.1: without a code it is success, which only a server says.
        let code = code(AUTH, body, "MQTT-3.15.2-1")?;
        let mut auth = Self { code, method: None, data: None, reason_string: None };
        if code == Code::SUCCESS {
            return Err(protocol_error("MQTT-3.15.2-1"));
        }
        if !body.is_empty() {
            property::read(property::AUTH, body, |id, value| {
                match id {
                    id::AUTHENTICATION_METHOD => auth.method = value.text(),
                    id::AUTHENTICATION_DATA => auth.data = value.binary(),
                    id::REASON_STRING => auth.reason_string = value.text(),
                    _ => {}
                }
                Ok(())
            })?;
        }
        body.end("MQTT-3.15")?;
        // §3.15.2.2.2
        if auth.method.is_none() { Err(protocol_error("MQTT-3.15.2.2.2")) } else { Ok(auth) }
    }
}
