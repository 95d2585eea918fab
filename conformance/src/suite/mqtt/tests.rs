//! The suite must be able to fail: a stand-in broker that does some things right and others wrong on purpose.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::broker::Target;
use super::report::{self, Outcome};
use super::table::{Check, Statement, Test, statements};
use super::{connect, malformed, publish, qos, subscribe, try_all, unsubscribe};
use crate::mqtt::Version;
use crate::mqtt::packet::{PUBACK, PUBCOMP, PUBREC, ack, frame};
use crate::mqtt::parse::split;

/// How the stand-in behaves. It delivers nothing to anybody in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Answers as it should.
    Right,
    /// Every packet id in its answers is one too high.
    WrongIds,
    /// Reads over everything that is malformed or against the protocol.
    Lenient,
    /// Takes the connection and never says a word.
    Silent,
}

/// Serves MQTT 3.1.1 on a free port for as long as the tests run.
fn stand_in(manner: Manner) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(manner, stream));
        }
    });
    Target { address, version: Version::V4, user: None, password: None, prefix: String::new() }
}

fn serve(manner: Manner, mut stream: TcpStream) {
    let mut held = Vec::new();
    let mut buffer = [0; 4096];
    let mut connected = false;
    loop {
        match split(&held) {
            Ok(Some((first, body, length))) => {
                let reply = answer(manner, connected, first, body);
                connected |= first == 0x10;
                held.drain(..length);
                match reply {
                    Some(bytes) if manner == Manner::Silent => drop(bytes),
                    Some(bytes) if stream.write_all(&bytes).is_ok() => {}
                    None if manner == Manner::Silent || (manner == Manner::Lenient && connected) => {}
                    _ => return,
                }
            }
            Err(_) if !matches!(manner, Manner::Lenient | Manner::Silent) => return,
            Ok(None) | Err(_) => match stream.read(&mut buffer) {
                Ok(count @ 1..) => held.extend_from_slice(&buffer[..count]),
                _ => return,
            },
        }
    }
}

/// The bytes of the answer, or `None` where the connection is to be closed.
fn answer(manner: Manner, connected: bool, first: u8, body: &[u8]) -> Option<Vec<u8>> {
    let id = |at: usize| {
        let id = u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?);
        Some(if manner == Manner::WrongIds { id.wrapping_add(1).max(1) } else { id })
    };
    let topic_end = 2 + usize::from(*body.first().unwrap_or(&0)) * 256 + usize::from(*body.get(1).unwrap_or(&0));
    match (connected, first) {
        (false, 0x10) => Some(frame(0x20, &[0, 0])),
        (true, 0x30) => Some(Vec::new()),
        (true, 0x32 | 0x3A) => Some(ack(PUBACK, id(topic_end)?)),
        (true, 0x34 | 0x3C) => Some(ack(PUBREC, id(topic_end)?)),
        (true, 0x62) => Some(ack(PUBCOMP, id(0)?)),
        (true, 0x82) => Some(frame(0x90, &[&id(0)?.to_be_bytes()[..], &[*body.last()?]].concat())),
        (true, 0xA2) => Some(ack(0xB0, id(0)?)),
        (true, 0xC0) => Some(frame(0xD0, &[])),
        _ => None,
    }
}

/// What that test says about that stand-in.
fn verdict(manner: Manner, test: Test) -> Outcome {
    let statement = Statement { id: "MQTT-0.0.0-0", words: "a test", check: Check::Test(test) };
    try_all(&stand_in(manner), &[statement]).remove(0).outcome
}

fn failed(outcome: &Outcome, with: &str) -> bool {
    matches!(outcome, Outcome::Failed(seen) if seen.contains(with))
}

const ABOUT_IDS: [Test; 4] = [publish::answers, subscribe::acknowledged, unsubscribe::acknowledged, qos::pubrel_answered];
const ABOUT_ERRORS: [Test; 4] = [connect::second_connect, malformed::wrong_types, malformed::reserved_flags, publish::qos_three];

#[test]
fn a_right_broker_passes() {
    for test in ABOUT_IDS.into_iter().chain(ABOUT_ERRORS).chain([connect::ping as Test]) {
        assert_eq!(verdict(Manner::Right, test), Outcome::Passed);
    }
}

#[test]
fn wrong_packet_ids_fail() {
    for test in ABOUT_IDS {
        let outcome = verdict(Manner::WrongIds, test);
        assert!(failed(&outcome, "id"), "{outcome:?}");
    }
}

#[test]
fn a_broker_that_swallows_errors_fails() {
    for test in ABOUT_ERRORS {
        let outcome = verdict(Manner::Lenient, test);
        assert!(failed(&outcome, "the server did not close the connection"), "{outcome:?}");
    }
}

#[test]
fn a_broker_that_delivers_nothing_fails() {
    let outcome = verdict(Manner::Right, publish::every_qos);
    assert!(failed(&outcome, "nothing came"), "{outcome:?}");
}

#[test]
fn a_silent_broker_fails_everything_in_time() {
    // Every eighth row of both versions, to spare the time of the others.
    let rows = statements(Version::V4).into_iter().chain(statements(Version::V5));
    let every: Vec<Statement> = rows.filter(|row| matches!(row.check, Check::Test(_))).step_by(8).collect();
    let lines = try_all(&stand_in(Manner::Silent), &every);
    // A test without credentials of the broker may say that it needs them; none may pass.
    let [passed, failed, untested] = report::counts(&lines);
    assert_eq!(passed, 0, "{}", report::text(&lines));
    assert!(untested <= 1 && failed + untested == every.len());
    assert!(lines.iter().all(|line| line.seconds < 10.5));
}

#[test]
fn every_row_has_its_reason_or_test_and_plain_words() {
    for version in [Version::V4, Version::V5] {
        for row in statements(version) {
            assert!(row.id.starts_with("MQTT-") && row.id.matches('-').count() == 2, "{}", row.id);
            assert!(!row.words.contains("MUST"), "{}: the words are the standard's", row.id);
            assert!(!matches!(row.check, Check::No(reason) if reason.is_empty()), "{}", row.id);
        }
    }
}

#[test]
fn reports_say_the_same() {
    let target = stand_in(Manner::Right);
    let rows: Vec<Statement> = statements(Version::V4).into_iter().filter(|row| matches!(row.check, Check::No(_))).collect();
    let mut lines = try_all(&target, &rows);
    lines[0].outcome = Outcome::Failed("<b> & \"c\"".to_owned());
    let sum = format!("0 passed, 1 failed, {} untested", rows.len() - 1);
    assert!(report::text(&lines).ends_with(&format!("{sum}\n")));
    let page = report::html(&target, &lines);
    assert!(page.contains(&sum) && page.contains("&lt;b&gt; &amp; &quot;c&quot;"));
    let junit = report::junit(&target, &lines);
    assert!(junit.contains("failures=\"1\"") && junit.matches("<testcase").count() == rows.len());
}
