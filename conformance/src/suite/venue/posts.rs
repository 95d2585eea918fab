//! The twenty readers of the venue: what each is, where it stands, what it scans for and over which broker it talks.

use super::format::Format;

/// What a reader scans for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Says that somebody has arrived.
    Checkin,
    /// Lets people in and out of a session; how many at most, 0 for any number.
    Session(&'static str, u32),
    /// Introduces two people.
    Meet,
    /// Gives somebody's contact to this exhibitor.
    Lead(&'static str),
    /// Tells that somebody is there.
    Announce(&'static str),
}

impl Mode {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Checkin => "checkin",
            Self::Session(..) => "session",
            Self::Meet => "meet",
            Self::Lead(_) => "lead",
            Self::Announce(_) => "announce",
        }
    }
}

/// Over what a reader talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The venue's broker, on this topic; `{reader}` is in its place.
    Venue(&'static str),
    /// Hallway, with MQTT 3.1.1.
    Direct4,
    /// Hallway, with MQTT 5.
    Direct5,
}

/// A reader.
#[derive(Debug, Clone, Copy)]
pub struct Post {
    /// The device's uid.
    pub uid: &'static str,
    /// What it sends.
    pub format: Format,
    /// What it scans for.
    pub mode: Mode,
    /// Over what it talks.
    pub way: Way,
    /// How far its clock is ahead, in ms.
    pub ahead_ms: i64,
    /// It keeps what it reads, and uploads it twice at the end.
    pub is_offline: bool,
}

const fn post(uid: &'static str, format: Format, mode: Mode, way: Way) -> Post {
    Post { uid, format, mode, way, ahead_ms: 0, is_offline: false }
}

/// A day.
const DAY_MS: i64 = 86_400_000;
/// What the reader that was offline is behind: some hours.
const OFFLINE_MS: i64 = -3 * 3_600_000;

/// The sessions' channels.
pub const HALLS: [&str; 5] = ["hall-a", "hall-b", "hall-c", "hall-d", "hall-e"];
/// Where it is announced who is there.
pub const STAGE: &str = "stage";
/// Who collects leads.
pub const EXHIBITORS: [&str; 2] = ["expo-1", "expo-2"];
/// What is announced.
pub const GREETING: &str = "Welcome, {name}!";

/// All of them.
pub const POSTS: [Post; 20] = [
    post("gate-1", Format::SpringCard, Mode::Checkin, Way::Venue("springcard/springcore/{reader}/rdr/evt")),
    post("gate-2", Format::TasmotaPn532, Mode::Checkin, Way::Venue("tasmota/{reader}/SENSOR")),
    post("gate-3", Format::EsphomePn532, Mode::Checkin, Way::Venue("esphome/{reader}/tag")),
    post("gate-4", Format::Qr, Mode::Checkin, Way::Direct5),
    post("gate-5", Format::TasmotaRc522, Mode::Checkin, Way::Direct4),
    post("gate-6", Format::CloudPrnt, Mode::Checkin, Way::Direct5),
    Post { ahead_ms: DAY_MS, ..post("gate-7", Format::EspRfid, Mode::Checkin, Way::Direct4) },
    Post { ahead_ms: -8 * DAY_MS, ..post("gate-8", Format::ZebraFx, Mode::Checkin, Way::Venue("zebra/{reader}/tags")) },
    post("hall-a-door", Format::ImpinjHex, Mode::Session("hall-a", 8), Way::Direct5),
    post("hall-b-left", Format::ZebraFx, Mode::Session("hall-b", 0), Way::Venue("zebra/{reader}/tags")),
    post("hall-b-right", Format::EspRfid, Mode::Session("hall-b", 0), Way::Direct4),
    post("hall-c-gate", Format::Starfish, Mode::Session("hall-c", 0), Way::Venue("RFID/data")),
    Post { ahead_ms: OFFLINE_MS, is_offline: true, ..post("hall-d-door", Format::EspRfidDoors, Mode::Session("hall-d", 0), Way::Direct5) },
    post("hall-e-door", Format::ImpinjBase64, Mode::Session("hall-e", 12), Way::Venue("impinj/{reader}/events")),
    post("meet-1", Format::ZebraTags, Mode::Meet, Way::Venue("zebra/{reader}/tags")),
    post("meet-2", Format::EspRfid, Mode::Meet, Way::Direct4),
    post("booth-1", Format::ZebraBarcode, Mode::Lead("expo-1"), Way::Direct5),
    post("booth-2", Format::TasmotaRdm6300, Mode::Lead("expo-2"), Way::Venue("tasmota/{reader}/SENSOR")),
    post("booth-3", Format::EsphomeRdm6300, Mode::Lead("expo-2"), Way::Venue("esphome/{reader}/tag")),
    post("stage-door", Format::Other, Mode::Announce(STAGE), Way::Direct5),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::venue::format::Clock;
    use std::collections::HashSet;

    #[test]
    fn readers_of_the_same_family_read_the_same_badges_and_sessions_know_what_was_read_twice() {
        assert_eq!(POSTS.iter().map(|post| post.uid).collect::<HashSet<_>>().len(), POSTS.len());
        for post in POSTS {
            // What is delivered again must be known again, or be the same the second time.
            let knows = post.format.clock() != Clock::None || post.format == Format::Starfish;
            assert!(knows || matches!(post.mode, Mode::Checkin | Mode::Lead(_)), "{}", post.uid);
        }
    }
}
