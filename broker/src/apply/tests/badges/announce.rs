//! What a conversation is told.

use super::*;

#[test]
fn a_conversation_is_told_who_is_there() {
    let mut venue = Venue::new();
    venue.set("gate", settings(Mode::Announce, Some("talk")));
    venue.scan("gate", "alice");
    venue.set("gate", ReaderSettings { text: "Welcome {name}! {name} speaks at 5.".into(), ..settings(Mode::Announce, Some("talk")) });
    assert_eq!(venue.scan("gate", "bob"), ScanReason::Ok);
    assert_eq!(venue.said("talk"), [pair("gate", "alice is here."), pair("gate", "Welcome bob! bob speaks at 5.")]);
    let page = venue.reader().page(&venue.found("talk"), crate::reader::Toward::Newer(0), 9, &[]).unwrap();
    assert!(page.events.iter().all(|event| event.entry.via == Via::Badge));
    venue.is_good();
}
