//! SUBSCRIBE (§3.8) and UNSUBSCRIBE (§3.10).

use super::cursor::Cursor;
use super::property::{self, id};
use super::publish::UserProperties;
use super::{Qos, Version, Violation, malformed, protocol_error};

/// A request for subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The packet id.
    pub packet_id: u16,
    /// The subscription identifier.
    pub identifier: Option<u32>,
    /// Names and values.
    pub user_properties: UserProperties<'a>,
    /// At least one.
    pub filters: Vec<FilterRequest<'a>>,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterRequest<'a> {
    /// The filter, whose grammar is not checked here.
    pub filter: &'a str,
    /// The highest QoS wanted.
    pub qos: Qos,
    /// Not what this client itself publishes.
    pub no_local: bool,
    /// The retain flag as it was published.
    pub retain_as_published: bool,
    /// When retained messages are sent: 0 always, 1 for a new subscription, 2 never.
    pub retain_handling: u8,
}

/// A request for the end of subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The packet id.
    pub packet_id: u16,
    /// At least one.
    pub filters: Vec<&'a str>,
}

impl<'a> Subscribe<'a> {
    pub(super) fn parse(version: Version, body: &mut Cursor<'a>) -> Result<Self, Violation> {
        let packet_id = body.packet_id()?;
        let (mut identifier, mut user_properties) = (None, UserProperties::default());
        if version == Version::V5 {
            let bytes = property::read(property::SUBSCRIBE, body, |id, value| {
                if id == id::SUBSCRIPTION_IDENTIFIER {
                    identifier = Some(value.number());
                }
                Ok(())
            })?;
            user_properties = UserProperties::of(bytes);
        }
        if identifier == Some(0) {
            return Err(protocol_error("MQTT-3.8.2.1.2"));
        }
        let mut filters = Vec::new();
        while !body.is_empty() {
            filters.push(FilterRequest::parse(version, body)?);
        }
        // [MQTT-3.8.3-2 / 3.8.3-3]
        if filters.is_empty() { Err(protocol_error("MQTT-3.8.3-2")) } else { Ok(Self { packet_id, identifier, user_properties, filters }) }
    }
}

impl<'a> FilterRequest<'a> {
    fn parse(version: Version, body: &mut Cursor<'a>) -> Result<Self, Violation> {
        let filter = body.string()?;
        let options = body.u8()?;
        let reserved = if version == Version::V5 { 0xC0 } else { 0xFC };
        if options & reserved != 0 {
            return Err(malformed("MQTT-3.8.3-5"));
        }
        let qos = Qos::from_bits(options & 3).ok_or(malformed("MQTT-3.8.3-5"))?;
        let (no_local, retain_as_published, retain_handling) = (options & 4 != 0, options & 8 != 0, options >> 4 & 3);
        if retain_handling == 3 {
            return Err(protocol_error("MQTT-3.8.3.1"));
        }
        if no_local && filter.starts_with("$share/") {
            return Err(protocol_error("MQTT-3.8.3-4"));
        }
        if filter.is_empty() {
            return Err(malformed("MQTT-4.7.3-1"));
        }
        Ok(Self { filter, qos, no_local, retain_as_published, retain_handling })
    }
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn parse(version: Version, body: &mut Cursor<'a>) -> Result<Self, Violation> {
        let packet_id = body.packet_id()?;
        if version == Version::V5 {
            property::read(property::UNSUBSCRIBE, body, |_, _| Ok(()))?;
        }
        let mut filters = Vec::new();
        while !body.is_empty() {
            let filter = body.string()?;
            if filter.is_empty() {
                return Err(malformed("MQTT-4.7.3-1"));
            }
            filters.push(filter);
        }
        // [MQTT-3.10.3-2]
        if filters.is_empty() { Err(protocol_error("MQTT-3.10.3-2")) } else { Ok(Self { packet_id, filters }) }
    }
}
