//! How the hub's refusals are said in MQTT (DESIGN, "Refusals and acks on MQTT").

use super::codec::Code;
use crate::reject::{Class, Reason};

/// In a PUBACK or PUBREC (MQTT 5 §3.4.2.1).
#[must_use]
pub fn of_publish(reason: Reason) -> Code {
    match reason.class() {
        Class::Unauthorized | Class::Forbidden => Code::NOT_AUTHORIZED,
        Class::NotFound => Code::TOPIC_NAME_INVALID,
        Class::Conflict => Code::IMPLEMENTATION_SPECIFIC,
        Class::TooLarge | Class::RateLimited => Code::QUOTA_EXCEEDED,
        Class::Unavailable if reason == Reason::DiskFull => Code::QUOTA_EXCEEDED,
        Class::Unavailable => Code::UNSPECIFIED_ERROR,
        Class::Invalid => Code::PAYLOAD_FORMAT_INVALID,
    }
}

/// In a SUBACK (MQTT 5 §3.9.3): what there is not is not told from what one may not read.
#[must_use]
pub fn of_subscribe(reason: Reason) -> Code {
    match reason.class() {
        Class::TooLarge | Class::RateLimited => Code::QUOTA_EXCEEDED,
        Class::Unavailable if reason == Reason::DiskFull => Code::QUOTA_EXCEEDED,
        Class::Unavailable => Code::UNSPECIFIED_ERROR,
        _ => Code::NOT_AUTHORIZED,
    }
}

/// In a CONNACK (MQTT 5 §3.2.2.2).
#[must_use]
pub fn of_connect(reason: Reason) -> Code {
    match reason {
        Reason::PlaintextLogin | Reason::NotAllowed | Reason::NoSession => Code::NOT_AUTHORIZED,
        Reason::LoginRate => Code::CONNECTION_RATE_EXCEEDED,
        Reason::TooManySessions | Reason::Quota | Reason::DiskFull => Code::QUOTA_EXCEEDED,
        Reason::Busy => Code::SERVER_BUSY,
        Reason::Draining => Code::SERVER_SHUTTING_DOWN,
        _ if reason.class() == Class::Unavailable => Code::SERVER_UNAVAILABLE,
        _ => Code::BAD_USER_NAME_OR_PASSWORD,
    }
}

/// Whether the same may succeed later: who cannot be told so is disconnected, so that it comes again.
#[must_use]
pub fn is_for_now(reason: Reason) -> bool {
    reason.class() == Class::Unavailable
}
