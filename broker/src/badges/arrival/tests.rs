//! Signed tickets on their way to the hub.

use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::badges::BadgeOptions;
use crate::badges::contents::pretix::Signers;
use crate::clock::SystemClock;
use crate::edges::BadgeFormats;
use crate::hub::HubOptions;
use crate::ids::{ConferenceId, Uid};
use crate::limits::Limits;
use crate::model::{BadgeCode, Body, GivenBadge, SignIn, UserRole};

const CONF: ConfNo = ConfNo(1);

/// A ticket without a time, or one that was good until a second after 1970.
fn ticket(pair: &Ed25519KeyPair, seed: &str, is_over: bool) -> String {
    let mut payload = [&[0x0a, u8::try_from(seed.len()).unwrap()], seed.as_bytes()].concat();
    payload.extend(is_over.then_some([0x30, 1]).into_iter().flatten());
    let head = [1, 0, u8::try_from(payload.len()).unwrap(), 0, 64];
    let whole = [&head[..], &payload, pair.sign(&payload).as_ref()].concat();
    data_encoding::BASE64.encode(&whole).chars().rev().collect()
}

/// A hub with a conference, whose staff are ada and bob.
struct Stand {
    hub: Arc<Hub>,
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Stand {
    fn new(badges: BadgeOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
        let options = HubOptions { limits, shards: 1, badges, ..HubOptions::new(dir.path()) };
        let hub = Hub::open(options, Arc::new(SystemClock::start())).unwrap();
        let stand = Self { hub, runtime: Builder::new_current_thread().build().unwrap(), _dir: dir };
        let id = ConferenceId::parse("demo").unwrap();
        stand.act(ConfNo(0), Action::AddConference { id, title: "".into(), sign_in: SignIn::Open, epoch: 1 });
        for (name, uid) in [("Ada", "ada"), ("Bob", "bob")] {
            let uid = Uid::parse(uid).unwrap();
            stand.act(CONF, Action::AddUser { uid, name: Some(name.into()), role: UserRole::Staff, credentials: None });
        }
        stand
    }

    fn act(&self, conf: ConfNo, action: Action) {
        drop(self.runtime.block_on(self.hub.call_to_end(conf, Actor::system(), action)).unwrap());
    }

    fn give(&self, code: &str, user: &str) {
        self.act(CONF, Action::AssignBadge { badge: GivenBadge::of(code).unwrap(), user: Uid::parse(user).unwrap() });
    }

    /// What ada's scans come to.
    fn scan(&self, mode: Option<Mode>, texts: &[&str]) -> Vec<Scanned> {
        let wanted = Scan { mode, conversation: None, taps: texts.iter().map(|text| tap(text)).collect() };
        let actor = Actor { uid: Uid::parse("ada").unwrap(), via: Via::Http, session: 0 };
        self.runtime.block_on(scan(&self.hub, CONF, actor, wanted)).unwrap()
    }
}

fn tap(shown: &str) -> Tap {
    Tap { codes: BadgeCode::candidates(shown), shown: shown.into(), at_ms: 0, id: Arc::default(), direction: None }
}

#[test]
fn a_badge_in_another_writing_is_the_same_at_once_and_another_of_the_same_person_is_not() {
    let stand = Stand::new(BadgeOptions { debounce_ms: 600_000 });
    stand.give("04A1B2C3", "bob");
    stand.give("HALLWAY-7", "bob");
    let told = |text| stand.scan(Some(Mode::Checkin), &[text]).remove(0);
    assert_eq!(told("77705923").reason, ScanReason::Ok, "in decimal");
    for text in ["04A1B2C3", "04:a1:b2:c3", "BKGyww==", "C3B2A104", "MECARD:UID:04A1B2C3;;", "77705923"] {
        let scanned = told(text);
        assert_eq!((scanned.reason, scanned.scan), (ScanReason::Duplicate, 0), "{text}");
    }
    assert_eq!(told("HALLWAY-7").reason, ScanReason::AlreadyCheckedIn, "who shows their other badge is answered");
    assert_eq!(told("77705924").reason, ScanReason::UnknownBadge);
    stand.hub.close();
}

#[test]
fn a_ticket_is_good_when_the_shop_signed_it_and_did_not_take_it_back() {
    let [shop, forger] = [1, 2].map(|seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap());
    let codes = [ticket(&shop, "a", false), ticket(&shop, "b", true), ticket(&shop, "c", false), ticket(&forger, "d", false)];
    let stand = Stand::new(BadgeOptions::default());
    let hub = &stand.hub;
    let mut signers = Signers::new(vec![shop.public_key().as_ref().try_into().unwrap()]);
    signers.revoke(&codes[2]);
    hub.set_ticket_signers("demo".to_owned(), signers);
    let ada = Uid::parse("ada").unwrap();
    // However they are printed, and whatever a scanner puts around them.
    let vcard = |code: &str| format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{code}\r\nEND:VCARD");
    let wraps: [&dyn Fn(&str) -> String; 4] =
        [&str::to_owned, &|code| format!("MECARD:N:Ada;UID:{code};;"), &vcard, &|code| format!("\u{2}{code}\u{3}\r\n")];
    for code in &codes {
        stand.give(code, "ada");
    }
    for (at, wrap) in wraps.iter().enumerate() {
        let texts: Vec<_> = codes.iter().map(|code| wrap(code)).collect();
        let results = stand.scan(Some(Mode::Checkin), &texts.iter().map(String::as_str).collect::<Vec<_>>());
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
    let last_scan_ms = || hub.badges().health.of(CONF, &ada, &[]).last_scan_ms;
    assert_eq!(last_scan_ms(), None, "who scans is not yet a reader");
    stand.act(CONF, Action::SetReader { reader: ada.clone(), settings: Some(Box::default()) });
    stand.scan(None, &[]);
    assert!(last_scan_ms().is_some(), "who has a handheld is");
    hub.close();
}

/// Who scans is a device.
fn device(stand: &Stand) -> Who {
    let gate = Uid::parse("gate").unwrap();
    stand.act(CONF, Action::AddUser { uid: gate.clone(), name: None, role: UserRole::Device, credentials: None });
    stand.hub.set_badge_formats(Arc::new(Lines));
    let conference = ConferenceId::parse("demo").unwrap();
    Who { conf: CONF, conference, uid: gate, name: "gate".into(), version: 0, expires_ms: u64::MAX, token: None }
}

/// A badge in each line.
struct Lines;

impl BadgeFormats for Lines {
    fn check(&self, _: &str) -> Result<(), Reject> {
        Ok(())
    }

    fn read(&self, _: &str, payload: &[u8]) -> Result<Reading, Reject> {
        Ok(Reading::Taps(std::str::from_utf8(payload).unwrap().lines().map(tap).collect()))
    }
}

#[test]
fn what_a_reader_sent_goes_with_everybody_it_is_of_whether_it_was_their_first_time_or_not() {
    let stand = Stand::new(BadgeOptions { debounce_ms: 600_000 });
    let gate = device(&stand);
    let sends = |text: &str| {
        let taken = take(&stand.hub, &gate, text.as_bytes(), Reuse::NewMessage, Whence::Afar);
        stand.runtime.block_on(taken).unwrap().iter().map(|scanned| scanned.reason).collect::<Vec<_>>()
    };
    stand.give("of-ada", "ada");
    stand.give("of-bob", "bob");
    let own = stand.hub.reader().own_badge_code(CONF, &Uid::parse("ada").unwrap()).unwrap();
    assert_eq!(sends("of-bob"), [ScanReason::Ok]);
    assert_eq!(sends("of-ada"), [ScanReason::Ok]);
    assert_eq!(sends("of-bob\nnobody"), [ScanReason::Duplicate, ScanReason::UnknownBadge]);
    assert_eq!(sends("of-ada\nstranger"), [ScanReason::Duplicate, ScanReason::UnknownBadge]);
    assert_eq!(sends(&own), [ScanReason::AlreadyCheckedIn]);
    assert_eq!(sends(&format!("{own}\nalien")), [ScanReason::Duplicate, ScanReason::UnknownBadge]);
    let kept = || {
        let reader = stand.hub.reader();
        let found = reader.conversation(CONF, &ConversationId::topics()).unwrap().unwrap();
        let page = reader.page(&found, crate::reader::Toward::Newer(0), 100, &[]).unwrap();
        let payload = |event: &crate::model::Event| match &event.entry.body {
            Body::Publication(publication) if publication.topic.ends_with("/scan") => String::from_utf8(publication.payload.to_vec()).ok(),
            _ => None,
        };
        page.events.iter().filter_map(payload).collect::<Vec<_>>()
    };
    assert_eq!(kept().len(), 6);
    stand.act(CONF, Action::Erase { uid: Uid::parse("ada").unwrap() });
    assert_eq!(kept(), ["of-bob", "", "of-bob\nnobody", "", "", ""], "what is of ada goes");
    assert_eq!(sends(&format!("{own}\nlate")), [ScanReason::Duplicate, ScanReason::UnknownBadge]);
    assert!(!kept().concat().contains(&own), "and nothing of hers comes after: {:?}", kept());
    stand.hub.close();
}

/// Who takes a reader's message to the hub comes again with it until the hub takes it.
#[test]
fn what_the_hub_refuses_is_neither_counted_nor_told() {
    let stand = Stand::new(BadgeOptions { debounce_ms: 600_000 });
    let gate = device(&stand);
    let take = |text: &str| stand.runtime.block_on(take(&stand.hub, &gate, text.as_bytes(), Reuse::NewMessage, Whence::Afar));
    let duplicates = || {
        let figures = stand.hub.render_metrics();
        let of = r#"hallway_badge_scans_total{mode="checkin",reason="duplicate"} "#;
        figures.lines().find_map(|line| line.strip_prefix(of)).map(str::to_owned)
    };
    stand.give("of-ada", "ada");
    assert_eq!(take("of-ada\nof-ada").unwrap().len(), 2);
    assert_eq!(duplicates().as_deref(), Some("1"));
    stand.hub.drain();
    for _ in 0..3 {
        assert_eq!(take("of-ada\nnobody").unwrap_err().reason, Reason::Draining);
    }
    assert_eq!(duplicates().as_deref(), Some("1"), "until it is taken");
}
