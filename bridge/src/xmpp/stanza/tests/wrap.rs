use hallway_broker::model::Body;
use xmpp_parsers::carbons;
use xmpp_parsers::mam::Result_;
use xmpp_parsers::message::Message as Typed;

use super::{NOON_MS, ends, event, message, parse, stanzas};
use crate::xmpp::stanza::{ArchiveResult, Carbon, Outgoing, write_archive_result, write_carbon};

fn to_bob() -> Vec<u8> {
    let mut out = Vec::new();
    assert!(stanzas().write_chat(&Outgoing::new(&event(Body::Message(message("hi"))), "ev5"), &ends(), &mut out));
    out
}

#[test]
fn an_archive_gives_its_messages_wrapped() {
    let mut result =
        ArchiveResult { archive: "bob@demo.example", to: "bob@demo.example/desk", query_id: Some("q\"1"), id: "ev5", ts_ms: NOON_MS };
    for query_id in [Some("q\"1"), None] {
        result.query_id = query_id;
        let mut out = Vec::new();
        write_archive_result(&result, &to_bob(), &mut out);
        let outer = Typed::try_from(parse(&out)).unwrap();
        assert_eq!(outer.to.as_ref().unwrap().as_str(), "bob@demo.example/desk");
        let found = Result_::try_from(outer.payloads[0].clone()).unwrap();
        assert_eq!((found.id.as_str(), found.queryid.map(|id| id.0).as_deref()), ("ev5", query_id));
        let stamp = found.forwarded.delay.unwrap().stamp.0.timestamp_millis();
        assert_eq!(stamp, i64::try_from(NOON_MS).unwrap());
        assert_eq!(found.forwarded.message, Typed::try_from(parse(&to_bob())).unwrap());
    }
}

#[test]
fn other_sessions_get_copies_from_their_own_account() {
    let inner = Typed::try_from(parse(&to_bob())).unwrap();
    for (carbon, account) in [(Carbon::Sent, "alice@demo.example"), (Carbon::Received, "bob@demo.example")] {
        let mut out = Vec::new();
        write_carbon(carbon, account, &format!("{account}/desk"), &to_bob(), &mut out);
        let outer = Typed::try_from(parse(&out)).unwrap();
        assert_eq!(outer.from.as_ref().unwrap().as_str(), account);
        assert_eq!(outer.to.as_ref().unwrap().as_str(), format!("{account}/desk"));
        let payload = outer.payloads[0].clone();
        let forwarded = match carbon {
            Carbon::Sent => carbons::Sent::try_from(payload).unwrap().forwarded,
            Carbon::Received => carbons::Received::try_from(payload).unwrap().forwarded,
        };
        assert_eq!(forwarded.message, inner);
    }
}
