//! What the readers of a venue send: the payload of each vendor, as the vendor's own documents show it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Value, json};

use super::writing::Writing;
use crate::time::{to_the_millisecond, to_the_second};

/// A kind of reader, by what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Impinj R700, the number in hexadecimal digits.
    ImpinjHex,
    /// Impinj R700, the number in base64 or base64url.
    ImpinjBase64,
    /// Zebra FX.
    ZebraFx,
    /// Zebra RFD40 and RFD90, tags: several in one message.
    ZebraTags,
    /// Zebra RFD40 and RFD90, barcodes.
    ZebraBarcode,
    /// ESP-RFID, stable.
    EspRfid,
    /// ESP-RFID, development: with the door's name, and lists where there are several relays.
    EspRfidDoors,
    /// Tasmota with a PN532.
    TasmotaPn532,
    /// Tasmota with an RC522.
    TasmotaRc522,
    /// Tasmota with an RDM6300.
    TasmotaRdm6300,
    /// `ESPHome` with a PN532: the bare number.
    EsphomePn532,
    /// `ESPHome` with an RDM6300: the bare number, decimal.
    EsphomeRdm6300,
    /// `SpringCard`.
    SpringCard,
    /// Starfish's hub: who enters and who leaves.
    Starfish,
    /// Star `CloudPRNT`: what a scanner at the printer read.
    CloudPrnt,
    /// A scanner of QR codes that sends what is in them.
    Qr,
    /// Something that nobody has heard of, read by a template.
    Other,
}

/// Which of somebody's badges a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// NFC: 4 or 7 bytes.
    Near,
    /// UHF: 12 bytes.
    Far,
    /// 125 kHz: 4 bytes of number.
    Low,
    /// 125 kHz with the version byte: 5 bytes.
    Hub,
    /// Printed: letters and digits.
    Printed,
}

/// How exactly a reader tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Not at all.
    None,
    /// To the second.
    Seconds,
    /// To the millisecond.
    Milliseconds,
}

/// One badge, as a reader has read it.
#[derive(Debug, Clone)]
pub struct Read {
    /// The code as the reader writes it.
    pub code: String,
    /// When, Unix ms, by the reader's clock.
    pub at_ms: u64,
    /// The reader's own number for it.
    pub number: u64,
    /// Out, not in.
    pub exit: bool,
}

impl Format {
    /// Which badges it reads.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::ImpinjHex | Self::ImpinjBase64 | Self::ZebraFx | Self::ZebraTags => Family::Far,
            Self::EspRfid | Self::EspRfidDoors | Self::TasmotaPn532 | Self::TasmotaRc522 | Self::EsphomePn532 | Self::SpringCard => {
                Family::Near
            }
            Self::TasmotaRdm6300 | Self::EsphomeRdm6300 => Family::Low,
            Self::Starfish => Family::Hub,
            Self::ZebraBarcode | Self::CloudPrnt | Self::Qr | Self::Other => Family::Printed,
        }
    }

    /// Whether its payloads say when.
    #[must_use]
    pub fn clock(self) -> Clock {
        match self {
            Self::ImpinjHex | Self::ImpinjBase64 | Self::ZebraFx | Self::ZebraTags | Self::ZebraBarcode | Self::Other => {
                Clock::Milliseconds
            }
            Self::EspRfid | Self::EspRfidDoors => Clock::Seconds,
            // Tasmota's time has no zone.
            _ => Clock::None,
        }
    }

    /// What an organiser tells the server about it.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Other => r#"{"code":"/seen/what","at":"/seen/when","id":"/seen/no"}"#,
            _ => "auto",
        }
    }

    /// A chip's number as this reader writes it, now one way and now another.
    pub fn write(self, chip: &[u8], rng: &mut StdRng) -> String {
        let writings: &[Writing] = match self {
            Self::ImpinjBase64 => &[Writing::Base64, Writing::Base64Url],
            Self::EsphomePn532 => &[Writing::Dashes, Writing::Colons, Writing::Blanks, Writing::Upper, Writing::Reversed],
            Self::EsphomeRdm6300 => &[Writing::Decimal],
            _ => &Writing::HEX,
        };
        Writing::any(writings, rng).write(chip)
    }

    /// A printed code as what the scanner found: bare, or within a card.
    pub fn print(self, code: &str, rng: &mut StdRng) -> String {
        let contents = [code.to_owned(), format!("MECARD:N:Somebody;UID:{code};EMAIL:somebody@example.org;;")];
        match self {
            Self::Qr | Self::CloudPrnt => contents.choose(rng).cloned().unwrap_or_default(),
            _ => code.to_owned(),
        }
    }

    /// How the result shows a code that was written so.
    #[must_use]
    pub fn shown(self, code: &str) -> String {
        code.to_owned()
    }

    /// The payload of one message.
    ///
    /// Only [`Format::ZebraTags`] and [`Format::Starfish`] put several badges in one; of others the first is written.
    pub fn payload(self, reads: &[Read], rng: &mut StdRng) -> String {
        let Some(read) = reads.first() else { return String::new() };
        let value = match self {
            Self::EsphomePn532 | Self::EsphomeRdm6300 | Self::Qr => return read.code.clone(),
            Self::ImpinjHex | Self::ImpinjBase64 => self.impinj(read, rng),
            Self::ZebraFx => json!({
                "data": {"antenna": 2, "eventNum": read.number, "format": "epc", "idHex": read.code, "peakRssi": -rng.random_range(30..70)},
                "timestamp": to_the_millisecond(read.at_ms), "type": "SIMPLE", "reader_name": "FX9600F0B1E4",
            }),
            Self::ZebraTags => json!({
                "type": "BALANCED_PERFORMANCE", "timestamp": to_the_millisecond(read.at_ms),
                "data": {"tagData": reads.iter().map(zebra_tag).collect::<Vec<_>>()},
            }),
            Self::ZebraBarcode => json!({
                "type": "BARCODE", "timestamp": to_the_millisecond(read.at_ms),
                "data": {"barcodeData": [{"decodedBarcode": read.code, "symbology": "QR", "eventNum": read.number}]},
            }),
            Self::EspRfid | Self::EspRfidDoors => self.esp_rfid(read, rng),
            Self::TasmotaPn532 => tasmota("PN532", json!({"UID": read.code, "DATA": ""}), read),
            Self::TasmotaRc522 => tasmota("RC522", json!({"UID": read.code, "DATA": "", "TYPE": "MIFARE 1 KB"}), read),
            Self::TasmotaRdm6300 => tasmota("RDM6300", json!({"UID": read.code, "DATA": ""}), read),
            Self::SpringCard => json!({"Sequence": read.number, "Interface": "13.56", "TagId": read.code, "Protocol": "ISO14443A"}),
            Self::Starfish => {
                reads.iter().map(|read| json!({"S": "082", "E": if read.exit { "U" } else { "R" }, "U": read.code})).collect()
            }
            Self::CloudPrnt => {
                json!({"status": "23 6 0 0 0 0 0 0 0", "scan": [{"data": STANDARD.encode(&read.code)}], "statusCode": "200%20OK"})
            }
            Self::Other => {
                json!({"door": {"open": false}, "seen": {"what": read.code, "when": to_the_millisecond(read.at_ms), "no": format!("n{}", read.number)}})
            }
        };
        value.to_string()
    }

    fn impinj(self, read: &Read, rng: &mut StdRng) -> Value {
        let member = if self == Self::ImpinjHex { "epcHex" } else { "epc" };
        // Nanoseconds, as the reader has them.
        let timestamp = to_the_millisecond(read.at_ms).replace('Z', "087177Z");
        json!({
            "timestamp": timestamp, "hostname": "impinj-14-46-36", "eventType": "tagInventory",
            "tagInventoryEvent": {member: read.code, "antennaPort": 3, "peakRssiCdbm": -rng.random_range(3000..7400)},
        })
    }

    fn esp_rfid(self, read: &Read, rng: &mut StdRng) -> Value {
        let mut value = json!({
            "type": "access", "time": read.at_ms / 1000, "isKnown": "true", "access": "Always", "username": "somebody", "uid": read.code,
        });
        if self == Self::EspRfidDoors {
            value["cmd"] = json!("log");
            value["hostname"] = json!("esp-rfid");
            let several = rng.random_bool(0.5);
            value["doorName"] = if several { json!(["front", "back"]) } else { json!("front") };
            value["access"] = if several { json!(["Always", "Disabled"]) } else { json!("Always") };
        }
        value
    }
}

fn zebra_tag(read: &Read) -> Value {
    json!({"EPCid": read.code, "peakRssi": -52, "seenCount": 14, "eventNum": read.number})
}

fn tasmota(sensor: &str, seen: Value, read: &Read) -> Value {
    json!({"Time": to_the_second(read.at_ms), sensor: seen})
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn read(code: &str) -> Read {
        Read { code: code.into(), at_ms: 1_772_126_017_432, number: 78, exit: false }
    }

    fn value(format: Format, code: &str) -> Value {
        let text = format.payload(&[read(code)], &mut StdRng::seed_from_u64(1));
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn payloads_are_those_of_the_vendors() {
        assert_eq!(value(Format::ImpinjBase64, "ikUCJA==")["tagInventoryEvent"]["epc"], "ikUCJA==");
        assert_eq!(value(Format::ImpinjHex, "8A450224")["timestamp"], "2026-02-26T17:13:37.432087177Z");
        assert_eq!(value(Format::ZebraFx, "E2003411B802011383257C3D")["data"]["idHex"], "E2003411B802011383257C3D");
        assert_eq!(value(Format::EspRfid, "a1b2c3d4")["time"], 1_772_126_017);
        assert_eq!(value(Format::TasmotaPn532, "E9F35959")["PN532"]["UID"], "E9F35959");
        assert_eq!(value(Format::SpringCard, "262BA1B0")["Sequence"], 78);
        assert_eq!(value(Format::Starfish, "082B278907"), json!([{"S": "082", "E": "R", "U": "082B278907"}]));
        assert_eq!(value(Format::CloudPrnt, "hello")["scan"][0]["data"], "aGVsbG8=");
    }

    #[test]
    fn several_tags_are_in_one_message() {
        let text = Format::ZebraTags.payload(&[read("A"), read("B")], &mut StdRng::seed_from_u64(1));
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["data"]["tagData"].as_array().map(Vec::len), Some(2));
        assert_eq!(value["data"]["tagData"][1]["EPCid"], "B");
    }
}
