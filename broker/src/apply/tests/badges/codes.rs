//! Badges are given out, revoked and given to others; everybody has a code of their own.

use super::*;

#[test]
fn badges_are_given_revoked_and_given_again() {
    let mut venue = Venue::new();
    assert_eq!(venue.does("alice", assign("new", "alice")), Err(Reason::StaffOnly));
    assert_eq!(venue.does("stan", assign("new", "nobody")), Err(Reason::UnknownUser));
    assert_eq!(venue.does("stan", assign("alice", "bob")), Err(Reason::Taken));
    venue.does("stan", assign("alice", "alice")).unwrap();
    let revoke = |badge: &str, on| Action::RevokeBadge { codes: vec![code(badge)], on };
    assert_eq!(venue.does("bob", revoke("alice", true)), Err(Reason::StaffOnly));
    assert_eq!(venue.does("stan", revoke("nobody", true)), Err(Reason::UnknownBadge));
    venue.does("stan", revoke("alice", true)).unwrap();
    let refused = venue.scans("gate", vec![tap("alice")]).remove(0);
    assert_eq!((refused.reason, refused.accepted, &*refused.name), (ScanReason::Revoked, false, "alice"));
    venue.does("stan", revoke("alice", false)).unwrap();
    assert_eq!(venue.scan("gate", "alice"), ScanReason::Ok);
    venue.does("stan", revoke("alice", true)).unwrap();
    venue.does("stan", assign("alice", "bob")).unwrap();
    assert_eq!(venue.scans("gate", vec![tap("alice")]).remove(0).user, Some(uid("bob")), "it was given to somebody else");
    assert_eq!(venue.reader().badges_of(CONF, &uid("bob")).unwrap().len(), 2);
    assert!(venue.reader().badges_of(CONF, &uid("alice")).unwrap().is_empty());
    for n in 2..crate::limits::MAX_BADGES {
        venue.does("stan", assign(&format!("more-{n}"), "bob")).unwrap();
    }
    assert_eq!(venue.does("stan", assign("one-more", "bob")), Err(Reason::TooManyBadges));
    let (first, complete) = venue.reader().badges(CONF, None, 10).unwrap();
    let (rest, all) = venue.reader().badges(CONF, first.last().map(|(code, _)| code), 10).unwrap();
    assert_eq!((first.len(), complete, rest.len(), all), (10, false, 7, true));
    venue.is_good();
}

#[test]
fn a_chip_is_one_badge_in_all_its_writings() {
    let mut venue = Venue::new();
    let (hexadecimal, decimal, turned) = ("04A1B2C3", "77705923", "C3B2A104");
    let give = |text: &str, user: &str| Action::AssignBadge { badge: GivenBadge::of(text).unwrap(), user: uid(user) };
    let read = |text: &str| Tap { codes: BadgeCode::candidates(text), ..tap(text) };
    venue.does("stan", give(hexadecimal, "alice")).unwrap();
    for same in [decimal, "BKGyww==", "04:a1:b2:c3"] {
        assert_eq!(venue.does("stan", give(same, "bob")), Err(Reason::Taken), "{same}");
        venue.does("stan", give(same, "alice")).unwrap();
    }
    assert_eq!(venue.reader().badges_of(CONF, &uid("alice")).unwrap().len(), 2, "it was hers");
    // Another chip may have these bytes.
    venue.does("stan", give(turned, "carol")).unwrap();
    let revoke = |venue: &mut Venue, text: &str| {
        let codes = venue.reader().codes_of_badge(CONF, text).unwrap();
        venue.does("stan", Action::RevokeBadge { codes, on: true })
    };
    revoke(&mut venue, decimal).unwrap();
    assert_eq!(venue.scans("gate", vec![read(hexadecimal)]).remove(0).reason, ScanReason::Revoked);
    assert_eq!(venue.scans("gate", vec![read(turned)]).remove(0).user, Some(uid("carol")));
    venue.does("stan", give(decimal, "bob")).unwrap();
    assert_eq!(venue.scans("gate", vec![read(hexadecimal)]).remove(0).user, Some(uid("bob")), "in whatever writing");
    venue.is_good();
}

#[test]
fn everybody_has_a_code_of_their_own() {
    let mut venue = Venue::new();
    let demo = crate::ids::ConferenceId::parse("demo").unwrap();
    let key = key_for(&[1; 16], "badge");
    let own = venue.reader().own_badge_code(CONF, &uid("alice")).unwrap();
    assert_eq!((own.clone(), whose(&key, &demo, &code(&own))), (own_code(&key, &demo, &uid("alice")), Some(uid("alice"))));
    assert_eq!(venue.scan("gate", &own), ScanReason::Ok);
    assert_eq!(venue.scan("gate", "alice"), ScanReason::AlreadyCheckedIn, "the same person");
    assert_eq!(venue.scan("gate", &own.replace("alice", "bob")), ScanReason::UnknownBadge, "forged");
    let others = venue.reader().own_badge_code(CONF, &uid("bob")).unwrap();
    venue.does("stan", Action::RevokeBadge { codes: vec![BadgeCode::given(&others).unwrap()], on: true }).unwrap();
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let (page, complete) = venue.reader().badges(CONF, after.as_ref(), 1).unwrap();
        listed.extend(page.into_iter().map(|(_, badge)| badge.shown));
        after = listed.last().and_then(|shown| BadgeCode::given(shown));
        if complete || listed.len() > 9 {
            break;
        }
    }
    assert_eq!(listed, ["alice", "bob", "carol", &*others.to_ascii_lowercase()].map(Arc::from), "each once, page by page");
    let foreign = own_code(&key, &crate::ids::ConferenceId::parse("other").unwrap(), &uid("alice"));
    assert_eq!(venue.scan("gate", &foreign), ScanReason::UnknownBadge, "another conference's");
    assert_eq!(venue.does("stan", assign(&own, "bob")), Err(Reason::Reserved));
    let capitals = |own: &str| BadgeCode::given(&own.to_ascii_uppercase()).unwrap();
    venue.does("stan", Action::RevokeBadge { codes: vec![capitals(&own)], on: true }).unwrap();
    for shown in [own.clone(), own.to_ascii_uppercase(), own.to_ascii_lowercase()] {
        venue.now_ms += 1000;
        let shown = Tap { codes: BadgeCode::candidates(&shown), ..tap(&shown) };
        assert_eq!(venue.scans("gate", vec![shown]).remove(0).reason, ScanReason::Revoked, "in any case");
    }
    venue.is_good();
}
