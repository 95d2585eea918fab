//! Each kind of reader sends what it sends, with nothing set and with its format named; and nobody's payload does harm.

use hallway_broker::model::{BadgeCode, Direction, Tap};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// 2026-02-26T17:13:37.432Z.
const SCANNED_MS: u64 = 1_772_126_017_432;
/// The same in whole seconds.
const SCANNED_S: u64 = SCANNED_MS / 1000;

fn read(format: &str, payload: &str) -> Result<Reading, Reject> {
    formats().read(format, payload.as_bytes())
}

/// The taps, understood as well without a format.
fn taps(format: &str, payload: &Value) -> Vec<Tap> {
    let named = read(format, &payload.to_string()).unwrap();
    assert_eq!(read("auto", &payload.to_string()).unwrap(), named, "{payload}");
    match named {
        Reading::Taps(taps) => taps,
        other => panic!("{other:?} of {payload}"),
    }
}

fn health(format: &str, payload: &str) -> Option<bool> {
    let named = read(format, payload).unwrap();
    assert_eq!(read("auto", payload).unwrap(), named, "{payload}");
    match named {
        Reading::Health { online, .. } => Some(online),
        Reading::Nothing => None,
        Reading::Taps(_) => panic!("taps of {payload}"),
    }
}

fn is_badge(tap: &Tap, given: &str) -> bool {
    tap.codes.contains(&BadgeCode::given(given).unwrap())
}

#[test]
fn impinj() {
    let event = |epc: Value| {
        let mut event = json!({"timestamp": "2026-02-26T17:13:37.432087177Z", "hostname": "impinj-14-0a-11", "eventType": "tagInventory",
            "tagInventoryEvent": {"antennaPort": 3, "antennaName": "Gate 3", "peakRssiCdbm": -7400, "frequency": 866_900, "transmitPowerCdbm": 3000}});
        event["tagInventoryEvent"].as_object_mut().unwrap().extend(epc.as_object().unwrap().clone());
        event
    };
    for epc in [
        json!({"epc": "ikUCJA=="}),
        json!({"epc": "ikUCJA"}),
        json!({"epcHex": "8A450224"}),
        json!({"epc": "ikUCJA==", "epcHex": "8A450224"}),
    ] {
        let [tap] = &taps("impinj", &event(epc))[..] else { panic!() };
        assert!(is_badge(tap, "8a:45:02:24") && tap.at_ms == SCANNED_MS && !tap.id.is_empty());
    }
    let url = taps("impinj", &event(json!({"epc": "4oA-_2AAAAAAAAAB", "tidHex": "E2003412A1B2C3D4"})));
    assert!(is_badge(&url[0], "e2803eff6000000000000001") && is_badge(&url[0], "E2003412A1B2C3D4"), "its number or the chip's");
    let batch = json!([event(json!({"epcHex": "8A450224"})), event(json!({"epcHex": "8A450225"}))]);
    assert_eq!(taps("impinj", &batch).len(), 2);
    let status = |status| json!({"timestamp": "2026-02-26T17:13:37Z", "eventType": "inventoryStatus", "inventoryStatusEvent": {"inventoryStatus": status}});
    assert_eq!(health("impinj", &status("running").to_string()), Some(true));
    assert_eq!(health("impinj", &status("idle").to_string()), Some(false));
    assert_eq!(health("impinj", &json!({"eventType": "antennaConnected", "antennaConnectedEvent": {"antennaPort": 1}}).to_string()), None);
}

#[test]
fn zebra() {
    let fixed = json!({"data": {"eventNum": 12, "format": "epc", "idHex": "E2003411B802011383257C3D", "peakRssi": -47, "antenna": 2},
        "timestamp": "2026-02-26T18:13:37.432+0100", "type": "SIMPLE", "reader_name": "FX9600F0B1E4"});
    let [tap] = &taps("zebra-fx", &fixed)[..] else { panic!() };
    assert!(is_badge(tap, "e2003411b802011383257c3d") && tap.at_ms == SCANNED_MS);
    let mut after_restart = fixed.clone();
    after_restart["timestamp"] = json!("2026-02-26T18:14:00.000+0100");
    assert_ne!(taps("zebra-fx", &after_restart)[0].id, tap.id, "the counter begins anew, the time does not");
    assert_eq!(taps("zebra-fx", &fixed)[0].id, tap.id, "a repeated upload");
    assert_eq!(
        health("zebra-fx", r#"{"component":"RC","data":{},"eventNum":7,"timestamp":"2026-02-26T17:13:37.432Z","type":"heartbeat"}"#),
        Some(true)
    );

    let sled = json!({"type": "BALANCED_PERFORMANCE", "timestamp": "2026-02-26T17:13:37.432Z", "data": {
        "tagData": [{"EPCid": "E2003411B802011383257C3D", "peakRssi": -52, "seenCount": 14, "eventNum": 1}, {"EPCid": "8A450224", "eventNum": 2}],
        "barcodeData": [{"decodedBarcode": "TICKET 7", "symbology": "QR Code", "eventNum": 3}]}});
    let taps = taps("zebra-rfd", &sled);
    assert!(is_badge(&taps[0], "E2003411B802011383257C3D") && is_badge(&taps[1], "8a450224") && is_badge(&taps[2], "TICKET 7"));
    let damaged = json!({"timestamp": "2026-02-26T17:13:37.432Z", "data": {"tagData": [{"peakRssi": -52}, {"EPCid": "8A450224"}]}});
    let Ok(Reading::Taps(some)) = read("zebra-rfd", &damaged.to_string()) else { panic!() };
    assert!(some[0].codes.is_empty() && is_badge(&some[1], "8a450224"));
    assert_eq!(health("zebra-rfd", r#"{"connectionState":"DISCONNECTED","deviceModel":"RFD4031"}"#), Some(false));
    assert_eq!(health("zebra-rfd", r#"{"connectionState":"CONNECTED","deviceModel":"RFD4031"}"#), Some(true));
    assert_eq!(health("zebra-rfd", r#"{"type":"ALERT","id":4,"state":"SET","priority":"HIGH","alertDetails":{}}"#), None);
}

#[test]
fn esp_rfid() {
    let stable =
        json!({"type": "access", "time": SCANNED_S, "isKnown": "true", "access": "Always", "username": "alice", "uid": "a1b2c3d4"});
    let [tap] = &taps("esp-rfid", &stable)[..] else { panic!() };
    assert!(is_badge(tap, "A1:B2:C3:D4") && tap.at_ms == SCANNED_S * 1000 && !tap.id.is_empty());
    let mut short = stable.clone();
    short["uid"] = json!("ab1c23");
    assert!(is_badge(&taps("esp-rfid", &short)[0], "0A:B1:C2:03"), "the firmware leaves zeros out");
    let mut unset = stable.clone();
    unset["time"] = json!(12);
    let unset = &taps("esp-rfid", &unset)[0];
    assert!(unset.at_ms == 0 && unset.id.is_empty(), "a clock that was never set says 12 s after every start");
    let dev = json!({"cmd": "log", "uid": "a1b2c3d4", "username": "alice", "access": ["Always", "Disabled"], "time": SCANNED_S,
        "doorName": ["front", "back"], "type": "access", "isKnown": "true", "hostname": "gate-1"});
    assert!(is_badge(&taps("esp-rfid-dev", &dev)[0], "a1b2c3d4"));
    let to_home_assistant = json!({"uid": "a1b2c3d4", "username": "alice", "access": "Always", "time": SCANNED_S, "doorName": "front"});
    assert!(is_badge(&taps("esp-rfid-dev", &to_home_assistant)[0], "a1b2c3d4"));
    assert_eq!(health("esp-rfid", r#"{"type":"boot","time":1772126017,"Wifi SSID":"venue","Local IP":"192.168.1.4"}"#), Some(true));
    assert_eq!(health("esp-rfid", r#"{"type":"heartbeat","time":1772126017}"#), Some(true));
    assert_eq!(health("esp-rfid-dev", "online"), Some(true));
    let log = r#"{"type":"INFO","src":"door","desc":"Door Open","data":"","time":1772126017,"cmd":"event","hostname":"gate-1"}"#;
    assert_eq!(health("esp-rfid-dev", log), None);
}

#[test]
fn tasmota() {
    for reader in ["PN532", "RC522", "RDM6300"] {
        let payload = json!({"Time": "2026-02-26T17:13:37", reader: {"UID": "E9F35959", "DATA": ""}});
        let [tap] = &taps("tasmota", &payload)[..] else { panic!() };
        assert!(is_badge(tap, "e9-f3-59-59") && tap.at_ms == 0 && !tap.id.is_empty(), "its time has no zone, and tells uploads apart");
    }
    let wiegand = json!({"Time": SCANNED_S, "Wiegand": {"UID": 7_616_525, "Size": 26}});
    assert!(is_badge(&taps("tasmota", &wiegand)[0], "116,14349") && taps("tasmota", &wiegand)[0].at_ms == SCANNED_S * 1000);
    assert_eq!(health("tasmota", "Online"), Some(true));
    assert_eq!(health("tasmota", "Offline"), Some(false));
    assert_eq!(health("tasmota", r#"{"Time":"2026-02-26T17:13:37","AM2301":{"Temperature":21.4}}"#), None);
}

#[test]
fn esphome_home_assistant_and_plain() {
    let bare = |format: &str, payload: &str| match read(format, payload).unwrap() {
        Reading::Taps(taps) => taps[0].clone(),
        other => panic!("{other:?}"),
    };
    assert!(is_badge(&bare("esphome", "74-10-37-94"), "74103794") && is_badge(&bare("auto", "74-10-37-94"), "74103794"));
    assert!(is_badge(&bare("auto", "7616525"), "74380D"));
    assert!(is_badge(&bare("auto", "0123456789012345678901234"), "123456789012345678901234"), "longer than JSON's numbers");
    assert!(is_badge(&bare("plain", "{not json}\r\n"), "{not json}"));
    assert!(is_badge(&bare("auto", "MECARD:UID:187WCI5;N:Lovelace,Ada;;"), "187WCI5"));
    assert!(is_badge(&bare("auto", "\"04A1B2C3\""), "04a1b2c3"));
    assert!(is_badge(&bare("home-assistant", "https://www.home-assistant.io/tag/04-A1-B2-C3"), "04a1b2c3"));
    let event = json!({"event_type": "tag_scanned", "event_data": {"tag_id": "04-A1-B2-C3", "device_id": "x"}, "time_fired": "2026-02-26T17:13:37.432+00:00"});
    assert_eq!(taps("home-assistant", &event)[0].at_ms, SCANNED_MS);
    assert_eq!(read("auto", "").unwrap(), Reading::Nothing, "a retained message that was taken away");
}

#[test]
fn springcard_starfish_and_cloudprnt() {
    let event =
        json!({"Sequence": 78, "Interface": "13.56", "Protocol": "NFC-A", "Template": 2, "TagId": "262BA1B0", "Uptime": "00:12:08"});
    let [tap] = &taps("springcard", &event)[..] else { panic!() };
    assert!(is_badge(tap, "26:2b:a1:b0") && tap.id.is_empty(), "without a clock, the sequence comes again after a restart");
    assert_eq!(health("springcard", &json!({"Interface": "13.56", "TagId": "262BA1B0", "Move": "Remove"}).to_string()), None);
    assert_eq!(health("springcard", r#"{"VendorName":"SpringCard","ProductName":"SpringPark","SerialNumber":"DA1275B0"}"#), Some(true));

    let edges = json!([{"S": "082", "E": "R", "U": "082B278907"}, {"S": "082", "E": "U", "U": "082B278908"}, {"S": "082", "E": "C", "U": "082B278909"}]);
    let taps_of_edges = taps("starfish", &edges);
    let directions: Vec<_> = taps_of_edges.iter().map(|tap| tap.direction).collect();
    assert_eq!(directions, [Some(Direction::Enter), Some(Direction::Exit)]);
    assert!(is_badge(&taps_of_edges[0], "082b278907"));
    assert_eq!(health("starfish", r#"[{"S":"000","E":"S","U":"000000000F"}]"#), Some(true));

    let data = data_encoding::BASE64.encode(b"187WCI5\r");
    let poll = json!({"status": "29 6 0 0 0 0 0 0 0", "statusCode": "200%20OK", "barcodeReader": [{"name": "usb-1", "status": {"connected": true, "claimed": true},
        "scan": [{"data": data, "symbology": "QR"}]}]});
    assert!(is_badge(&taps("star-cloudprnt", &poll)[0], "187WCI5"));
    assert!(is_badge(&taps("star-cloudprnt", &json!({"scan": [{"data": data}]}))[0], "187WCI5"));
    assert_eq!(health("star-cloudprnt", r#"{"statusCode":"200%20OK","barcodeReader":null}"#), Some(true));
}

#[test]
fn hallways_own() {
    let offline = json!([
        {"badge": "04A1B2C3", "id": "gate-1/77", "at": "2026-02-26T17:13:37.432Z", "direction": "exit"},
        {"badge": 7_616_525},
    ]);
    let taps = taps("hallway", &offline);
    assert!(taps[0].at_ms == SCANNED_MS && &*taps[0].id == "gate-1/77" && taps[0].direction == Some(Direction::Exit));
    assert!(taps[1].at_ms == 0 && taps[1].id.is_empty() && is_badge(&taps[1], "74380D"));
    assert_eq!(health("hallway", r#"{"status":"offline","detail":"battery"}"#), Some(false));
    let damaged = json!([
        {"badge": "04A1B2C3", "id": "a"}, {"badge": null, "id": "b"}, {"badge": "x".repeat(10_000), "id": 7}, 5, {"badge": "04A1B2C4"}
    ]);
    let some = self::taps("hallway", &damaged);
    let ids: Vec<_> = some.iter().map(|tap| (&*tap.id, tap.codes.is_empty())).collect();
    assert_eq!(ids, [("a", false), ("b", true), ("7", true), ("", true), ("", false)], "one that is no scan does not cost the others");
    assert!(read("hallway", r#"[{"badge":null},5]"#).is_err() && read("auto", r#"[{"badge":null},5]"#).is_err());
    let many = |count| Value::Array(vec![json!({"badge": "04A1B2C3"}); count]).to_string();
    assert!(read("auto", &many(MAX_TAPS)).is_ok());
    assert_eq!(read("auto", &many(MAX_TAPS + 1)), Err(Reason::InvalidParams.into()));
}

#[test]
fn a_template_for_readers_that_nobody_has_heard_of() {
    let template = r#"{"code":"/data/uid","at":"/ts","id":"/seq","direction":"/gate","each":"/events","when":{"/kind":"scan"},"enter":"1","exit":"0"}"#;
    formats().check(template).unwrap();
    let payload = json!({"events": [
        {"kind": "scan", "data": {"uid": "04A1B2C3"}, "ts": SCANNED_MS, "seq": 1, "gate": 1},
        {"kind": "temperature", "value": 21},
        {"kind": "scan", "data": {"uid": "04A1B2C4"}, "seq": "x-2", "gate": 0},
    ]});
    let Ok(Reading::Taps(taps)) = read(template, &payload.to_string()) else { panic!() };
    assert!(is_badge(&taps[0], "04a1b2c3") && taps[0].at_ms == SCANNED_MS && taps[0].direction == Some(Direction::Enter));
    assert!(taps[0].id.len() == 24 && &*taps[1].id == "x-2", "a counter counts with the time, or alone when there is none");
    assert_eq!(taps[1].direction, Some(Direction::Exit));
    assert_eq!(read(template, r#"{"events":[]}"#), Ok(Reading::Nothing));
    let damaged = r#"{"events":[{"kind":"scan","seq":"x-3"},{"kind":"scan","data":{"uid":"04A1B2C3"}}]}"#;
    let Ok(Reading::Taps(some)) = read(template, damaged) else { panic!() };
    assert!(some[0].codes.is_empty() && &*some[0].id == "x-3" && is_badge(&some[1], "04a1b2c3"));
    assert!(read(template, r#"{"events":[{"kind":"scan"}]}"#).is_err(), "what is promised is not there");
    for wrong in ["zebra", "{", "{}", r#"{"code":"uid"}"#, r#"{"code":"/uid","colour":"/x"}"#, r#"{"code":"/uid","when":{"/a":[]}}"#, "[]"]
    {
        assert_eq!(formats().check(wrong), Err(Reason::InvalidParams.into()), "{wrong}");
    }
    for right in ["", "auto", "plain", "esphome", "star-cloudprnt", r#"{"code":""}"#] {
        formats().check(right).unwrap();
    }
}

/// A payload of each kind.
fn samples() -> Vec<String> {
    let texts = [
        json!({"timestamp": "2026-02-26T17:13:37.432087177Z", "eventType": "tagInventory", "tagInventoryEvent": {"epc": "ikUCJA=="}}),
        json!({"data": {"idHex": "E2003411B802011383257C3D"}, "timestamp": "2026-02-26T17:13:37Z", "type": "SIMPLE"}),
        json!({"timestamp": "x", "data": {"tagData": [{"EPCid": "8A450224", "eventNum": 1}]}}),
        json!({"type": "access", "time": SCANNED_S, "uid": "a1b2c3"}),
        json!({"Time": "2026-02-26T17:13:37", "PN532": {"UID": "E9F35959"}}),
        json!({"Sequence": 78, "Interface": "13.56", "TagId": "262BA1B0"}),
        json!([{"S": "082", "E": "R", "U": "082B278907"}]),
        json!({"scan": [{"data": "MTg3V0NJNQ=="}]}),
        json!([{"badge": "04A1B2C3", "id": "1", "at": 1}]),
        json!({"event_type": "tag_scanned", "event_data": {"tag_id": "1"}}),
    ];
    texts.iter().map(Value::to_string).chain(["74-10-37-94".to_owned()]).collect()
}

fn any_format() -> impl Strategy<Value = String> {
    let names: Vec<String> = FAMILIES.iter().map(|(name, _)| *name).chain(BARE).chain([AUTO, ""]).map(str::to_owned).collect();
    prop_oneof![prop::sample::select(names), Just(r#"{"code":"/data/uid","each":"/events"}"#.to_owned()), "\\PC{0,40}"]
}

proptest! {
    #[test]
    fn a_payload_that_was_cut_off_is_refused(sample in prop::sample::select(samples()), cut in any::<prop::sample::Index>()) {
        let cut = 1 + cut.index(sample.len() - 1);
        let is_whole = |text: &str| !text.starts_with(['{', '[']);
        if let Some(text) = sample.get(..cut).filter(|text| !is_whole(text)) {
            prop_assert!(read("auto", text).is_err(), "{text}");
        }
    }

    #[test]
    fn whatever_comes_it_is_an_answer(format in any_format(), payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = formats().read(&format, &payload);
    }

    #[test]
    fn so_it_is_when_somebody_changes_a_little(format in any_format(), sample in prop::sample::select(samples()), at in any::<prop::sample::Index>(), with in "[\"{}\\[\\],:0-9a-z\\\\]{0,3}") {
        let mut payload = sample.into_bytes();
        let at = at.index(payload.len());
        payload.splice(at..=at, with.into_bytes());
        if let Ok(Reading::Taps(taps)) = formats().read(&format, &payload) {
            for tap in taps {
                let is_malformed = tap.codes.is_empty() && tap.shown.is_empty();
                prop_assert!((is_malformed || !tap.codes.is_empty()) && tap.codes.len() <= 12 && tap.id.len() <= 64);
            }
        }
    }

    #[test]
    fn nesting_is_no_way_in(depth in 0..5000usize, open in prop::sample::select(vec!["[", "{\"a\":"])) {
        let _ = read("auto", &open.repeat(depth));
    }

    #[test]
    fn every_reader_finds_the_badge_whoever_gave_it_out(bytes in prop::collection::vec(1..=255u8, 4..=8)) {
        let hex = data_encoding::HEXUPPER.encode(&bytes);
        let dashed: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = data_encoding::BASE64.encode(&bytes);
        let payloads = [
            json!({"eventType": "tagInventory", "tagInventoryEvent": {"epc": base64}}),
            json!({"eventType": "tagInventory", "tagInventoryEvent": {"epcHex": hex}}),
            json!({"data": {"idHex": hex}, "timestamp": "", "type": "SIMPLE"}),
            json!({"type": "access", "time": SCANNED_S, "uid": dashed.concat()}),
            json!({"Time": "2026-02-26T17:13:37", "RC522": {"UID": hex}}),
            json!({"Sequence": 78, "TagId": hex}),
            json!([{"S": "082", "E": "R", "U": hex}]),
            json!({"badge": dashed.join(":")}),
        ];
        for payload in payloads.iter().map(Value::to_string).chain([dashed.join("-")]) {
            let Ok(Reading::Taps(taps)) = read("auto", &payload) else { panic!("{payload}") };
            for given in [hex.clone(), dashed.join(":"), base64.clone()] {
                prop_assert!(is_badge(&taps[0], &given), "{payload} does not find {given}");
            }
        }
    }
}
