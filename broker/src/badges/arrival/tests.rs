//! Signed tickets on their way to the hub.

use std::collections::HashMap;

use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::runtime::Builder;

use super::*;
use crate::badges::BadgeOptions;
use crate::badges::contents::pretix::Signers;
use crate::clock::SystemClock;
use crate::hub::{HubOptions, StoreOptions};
use crate::ids::{ConferenceId, Uid};
use crate::limits::Limits;
use crate::model::{BadgeCode, GivenBadge, SignIn, UserRole};

const CONF: ConfNo = ConfNo(1);

/// A ticket without a time, or one that was good until a second after 1970.
fn ticket(pair: &Ed25519KeyPair, seed: &str, is_over: bool) -> String {
    let mut payload = [&[0x0a, u8::try_from(seed.len()).unwrap()], seed.as_bytes()].concat();
    payload.extend(is_over.then_some([0x30, 1]).into_iter().flatten());
    let head = [1, 0, u8::try_from(payload.len()).unwrap(), 0, 64];
    let whole = [&head[..], &payload, pair.sign(&payload).as_ref()].concat();
    data_encoding::BASE64.encode(&whole).chars().rev().collect()
}

#[test]
fn a_ticket_is_good_when_the_shop_signed_it_and_did_not_take_it_back() {
    let [shop, forger] = [1, 2].map(|seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap());
    let codes = [ticket(&shop, "a", false), ticket(&shop, "b", true), ticket(&shop, "c", false), ticket(&forger, "d", false)];
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
    let (data_dir, store, badges) = (dir.path().to_owned(), StoreOptions::default(), BadgeOptions::default());
    let options = HubOptions { data_dir, store, limits, shards: 1, demo: false, topic_rules: HashMap::default(), badges };
    let hub = Hub::open(options, Arc::new(SystemClock::start())).unwrap();
    let mut signers = Signers::new(vec![shop.public_key().as_ref().try_into().unwrap()]);
    signers.revoke(&codes[2]);
    hub.set_ticket_signers(HashMap::from([("demo".to_owned(), signers)]));
    let runtime = Builder::new_current_thread().build().unwrap();
    let act = |conf, action| drop(runtime.block_on(hub.call_to_end(conf, Actor::system(), action)).unwrap());
    let (id, ada) = (ConferenceId::parse("demo").unwrap(), Uid::parse("ada").unwrap());
    act(ConfNo(0), Action::AddConference { id, title: "".into(), sign_in: SignIn::Open, epoch: 1 });
    act(CONF, Action::AddUser { uid: ada.clone(), name: Some("Ada".into()), role: UserRole::Staff, credentials: None });
    // However they are printed, and whatever a scanner puts around them.
    let vcard = |code: &str| format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{code}\r\nEND:VCARD");
    let wraps: [&dyn Fn(&str) -> String; 4] =
        [&str::to_owned, &|code| format!("MECARD:N:Ada;UID:{code};;"), &vcard, &|code| format!("\u{2}{code}\u{3}\r\n")];
    for code in &codes {
        act(CONF, Action::AssignBadge { badge: GivenBadge::of(code).unwrap(), user: ada.clone() });
    }
    let tap =
        |shown: String| Tap { codes: BadgeCode::candidates(&shown), shown: shown.into(), at_ms: 0, id: Arc::default(), direction: None };
    for (at, wrap) in wraps.iter().enumerate() {
        let taps = codes.iter().map(|code| tap(wrap(code))).collect();
        let wanted = Scan { mode: Some(Mode::Checkin), conversation: None, taps };
        let actor = Actor { uid: ada.clone(), via: Via::Http, session: 0 };
        let results = runtime.block_on(scan(&hub, CONF, actor, wanted)).unwrap();
        let told: Vec<_> = results.iter().map(|scanned| (scanned.reason, &*scanned.name, scanned.scan > 0)).collect();
        let good = if at == 0 { ScanReason::Ok } else { told[0].0 };
        assert!(matches!(good, ScanReason::Ok | ScanReason::AlreadyCheckedIn | ScanReason::Duplicate));
        let expected = [
            (good, told[0].1, told[0].2),
            (ScanReason::NotAllowed, "Ada", false),
            (ScanReason::Revoked, "Ada", false),
            (ScanReason::UnknownBadge, "", false),
        ];
        assert_eq!(told, expected, "{at}");
    }
    let actor = Actor { uid: ada.clone(), via: Via::Http, session: 0 };
    let last_scan_ms = || hub.badges().health.of(CONF, &ada, &[]).last_scan_ms;
    assert_eq!(last_scan_ms(), None, "who scans is not yet a reader");
    act(CONF, Action::SetReader { reader: ada.clone(), settings: Some(Box::default()) });
    runtime.block_on(scan(&hub, CONF, actor, Scan { mode: None, conversation: None, taps: vec![] })).unwrap();
    assert!(last_scan_ms().is_some(), "who has a handheld is");
    hub.close();
}
