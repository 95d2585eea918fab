//! The codec against itself under every chunking, against tungstenite as peer and judge, and against noise.

use std::io::{self, Read, Write};

use proptest::prelude::*;
use tungstenite::protocol::{CloseFrame, Role, WebSocket, WebSocketConfig};
use tungstenite::{Message, Utf8Bytes};

use super::*;

const BOUND: usize = 100_000;

/// An [`Event`] that outlives its buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Refused(u16),
}

fn seen(event: Event<'_>) -> Seen {
    match event {
        Event::Text(text) => Seen::Text(text.to_owned()),
        Event::Binary(bytes) => Seen::Binary(bytes.to_owned()),
        Event::Ping(bytes) => Seen::Ping(bytes.to_owned()),
        Event::Pong(bytes) => Seen::Pong(bytes.to_owned()),
        Event::Close { code, reason } => Seen::Close(code, reason.to_owned()),
    }
}

/// Feeds `chunks`; `hold_after` events of each chunk the rest is held back and taken up with the next chunk.
fn decode(decoder: &mut Decoder, chunks: impl IntoIterator<Item = Vec<u8>>, hold_after: usize) -> Vec<Seen> {
    let mut all = Vec::new();
    for mut chunk in chunks.into_iter().chain([Vec::new()]) {
        let last = chunk.is_empty();
        let mut input = chunk.as_mut_slice();
        let mut events = 0;
        loop {
            if events == hold_after && !last {
                decoder.hold(input);
                break;
            }
            events += 1;
            match decoder.next(&mut input) {
                Ok(Some(event)) => all.push(seen(event)),
                Ok(None) => break assert!(input.is_empty()),
                Err(violation) => {
                    all.push(Seen::Refused(violation.close_code()));
                    assert_eq!(decoder.next(&mut input), Ok(None), "nothing after a violation");
                    return all;
                }
            }
        }
    }
    all
}

/// A frame as a client sends it.
fn client_frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut out = Vec::new();
    text_frame_header(payload.len(), &mut out);
    out[0] = first;
    out[1] |= 0x80;
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn cut(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*size).clamp(1, rest.len()));
        chunks.push(now.to_vec());
        rest = later;
    }
    chunks
}

/// What a client may send: whole and fragmented messages with control frames in between.
fn script() -> impl Strategy<Value = Vec<(u8, Vec<u8>, Option<Seen>)>> {
    let text = prop_oneof![4 => "\\PC{0,200}", 1 => ("[a-zä€😀]{1,9}", 300..3000usize).prop_map(|(word, times)| word.repeat(times))];
    let control = prop::collection::vec(any::<u8>(), 0..=125);
    let whole = text.clone().prop_map(|t| vec![(0x81, t.clone().into_bytes(), Some(Seen::Text(t)))]);
    let binary = prop::collection::vec(any::<u8>(), 0..300).prop_map(|b| vec![(0x82, b.clone(), Some(Seen::Binary(b)))]);
    let ping = control.clone().prop_map(|b| vec![(0x89, b.clone(), Some(Seen::Ping(b)))]);
    let pong = control.clone().prop_map(|b| vec![(0x8A, b.clone(), Some(Seen::Pong(b)))]);
    let parts = (text, prop::collection::vec(any::<prop::sample::Index>(), 0..4), control).prop_map(|(text, cuts, ping)| {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        at.sort_unstable();
        at.push(text.len());
        let mut frames = Vec::new();
        let mut from = 0;
        for (i, to) in at.iter().enumerate() {
            let (first, last) = (i == 0, i + 1 == at.len());
            let bits = u8::from(first) | if last { 0x80 } else { 0 };
            let seen = last.then(|| Seen::Text(text.clone()));
            frames.push((bits, text.as_bytes()[from..*to].to_vec(), seen));
            if !last {
                frames.push((0x89, ping.clone(), Some(Seen::Ping(ping.clone()))));
            }
            from = *to;
        }
        frames
    });
    prop::collection::vec(prop_oneof![whole, binary, ping, pong, parts], 0..12).prop_map(|steps| steps.into_iter().flatten().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_sent_arrives_under_any_chunking(
        script in script(),
        mask: [u8; 4],
        sizes in prop::collection::vec(prop_oneof![1..16usize, 1..9000usize], 1..20),
        hold_after in prop_oneof![Just(usize::MAX), 0..3usize],
    ) {
        let bytes: Vec<u8> = script.iter().flat_map(|(first, payload, _)| client_frame(*first, payload, mask)).collect();
        let expected: Vec<Seen> = script.into_iter().filter_map(|(_, _, seen)| seen).collect();
        let mut decoder = Decoder::new(BOUND, Binary::Taken);
        prop_assert_eq!(decode(&mut decoder, cut(&bytes, &sizes), hold_after), expected);
        prop_assert_eq!(decoder.held_bytes(), 0, "an idle connection holds nothing");
    }

    #[test]
    fn noise_neither_panics_nor_grows(
        noise in prop::collection::vec(prop::collection::vec(prop_oneof![any::<u8>(), Just(0x81), Just(0x01), Just(0x80), Just(0xFE)], 1..200), 1..30),
        bound in 0..3000usize,
    ) {
        let mut decoder = Decoder::new(bound, Binary::Taken);
        for mut chunk in noise {
            let mut input = chunk.as_mut_slice();
            while let Ok(Some(event)) = decoder.next(&mut input) {
                if let Event::Text(text) = event {
                    prop_assert!(text.len() <= bound);
                }
            }
            // A frame and a message, each doubling at most up to the bound.
            prop_assert!(decoder.held_bytes() <= 2 * (bound + 14) + 125);
        }
    }

    #[test]
    fn tungstenite_takes_what_we_refuse_to_refuse(
        script in script(),
        flip in prop::option::of((any::<prop::sample::Index>(), 0..8u8)),
        mask: [u8; 4],
    ) {
        let mut bytes: Vec<u8> = script.iter().flat_map(|(first, payload, _)| client_frame(*first, payload, mask)).collect();
        if let (Some((at, bit)), false) = (flip, bytes.is_empty()) {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let ours = decode(&mut Decoder::new(BOUND, Binary::Taken), [bytes.clone()], usize::MAX);
        let theirs = judged_by_tungstenite(&bytes);
        // We may be stricter (lengths in more bytes than needed), never laxer.
        // Control frames are left out: tungstenite ends at a bad fragment, we at the end of its message, with pings in between.
        let messages = |all: &[Seen]| -> Vec<Seen> {
            all.iter().filter(|seen| matches!(seen, Seen::Text(_) | Seen::Binary(_))).cloned().collect()
        };
        prop_assert!(messages(&theirs).starts_with(&messages(&ours)), "ours {:?} theirs {:?}", ours, theirs);
        if flip.is_none() {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn tungstenite_reads_what_we_write(
        texts in prop::collection::vec(prop_oneof!["\\PC{0,200}".boxed(), (30_000..70_000usize).prop_map(|times| "é".repeat(times)).boxed()], 0..5),
        ping in prop::collection::vec(any::<u8>(), 0..200),
        reason in "\\PC{0,80}",
    ) {
        let mut bytes = Vec::new();
        for text in &texts {
            write_text(text, &mut bytes);
            write_text_with(&mut bytes, |out| out.extend_from_slice(text.as_bytes()));
        }
        write_ping(&ping, &mut bytes);
        write_close(Some(1012), &reason, &mut bytes);
        let mut peer = WebSocket::from_raw_socket(Pipe::of(&bytes), Role::Client, None);
        for text in texts.iter().flat_map(|text| [text, text]) {
            prop_assert_eq!(peer.read().unwrap(), Message::text(text.clone()));
        }
        prop_assert_eq!(peer.read().unwrap(), Message::Ping(ping[..ping.len().min(125)].to_vec().into()));
        let Message::Close(Some(close)) = peer.read().unwrap() else { panic!("no close") };
        prop_assert_eq!(u16::from(close.code), 1012);
        prop_assert!(reason.starts_with(close.reason.as_str()));
        prop_assert!(close.reason.len() + 4 > reason.len().min(123));
    }

    #[test]
    fn we_read_what_tungstenite_writes(texts in prop::collection::vec("\\PC{0,300}", 0..6), size in 1..500usize) {
        let config = WebSocketConfig::default();
        let mut peer = WebSocket::from_raw_socket(Pipe::of(&[]), Role::Client, Some(config));
        let mut expected = Vec::new();
        for text in texts {
            peer.send(Message::text(text.clone())).unwrap();
            expected.push(Seen::Text(text));
        }
        let frame = CloseFrame { code: 1000.into(), reason: Utf8Bytes::from_static("bye") };
        peer.close(Some(frame)).unwrap();
        expected.push(Seen::Close(Some(1000), "bye".into()));
        let sent = std::mem::take(&mut peer.get_mut().written);
        prop_assert_eq!(decode(&mut Decoder::new(BOUND, Binary::Refused), cut(&sent, &[size]), usize::MAX), expected);
    }
}

/// Reads from what it was given, and keeps what is written.
struct Pipe {
    to_read: io::Cursor<Vec<u8>>,
    written: Vec<u8>,
}

impl Pipe {
    fn of(bytes: &[u8]) -> Self {
        Self { to_read: io::Cursor::new(bytes.to_vec()), written: Vec::new() }
    }
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.to_read.read(buf)
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.written.write(buf)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn judged_by_tungstenite(bytes: &[u8]) -> Vec<Seen> {
    let mut peer = WebSocket::from_raw_socket(Pipe::of(bytes), Role::Server, None);
    let mut all = Vec::new();
    loop {
        match peer.read() {
            Ok(Message::Text(text)) => all.push(Seen::Text(text.to_string())),
            Ok(Message::Binary(bytes)) => all.push(Seen::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => all.push(Seen::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => all.push(Seen::Pong(bytes.to_vec())),
            Ok(Message::Close(close)) => {
                let (code, reason) = close.map_or((None, String::new()), |close| (Some(u16::from(close.code)), close.reason.to_string()));
                all.push(Seen::Close(code, reason));
                return all;
            }
            Ok(Message::Frame(_)) | Err(_) => return all,
        }
    }
}

/// One row per clause: what is sent after a masked header is made of it, and the close code.
#[test]
fn every_breach_has_its_code() {
    let mask = [1, 2, 3, 4];
    let frame = |first, payload: &[u8]| client_frame(first, payload, mask);
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("RSV1", frame(0xC1, b"a"), 1002),
        ("RSV3 in the first byte alone", vec![0x91], 1002),
        ("opcode 3", frame(0x83, b""), 1002),
        ("opcode B", frame(0x8B, b""), 1002),
        ("unmasked", vec![0x81, 0x01], 1002),
        ("fragmented ping", frame(0x09, b""), 1002),
        ("ping over 125", frame(0x89, &[0; 126]), 1002),
        ("length 125 in two bytes", vec![0x81, 0xFE, 0, 125, 1, 2, 3, 4], 1002),
        ("length 65535 in eight bytes", vec![0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 1, 2, 3, 4], 1002),
        ("highest bit of the length", vec![0x81, 0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4], 1002),
        ("continuation of nothing", frame(0x80, b"a"), 1002),
        ("text within text", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
        ("half a close code", frame(0x88, b"\x03"), 1002),
        ("close code 1005", frame(0x88, &1005u16.to_be_bytes()), 1002),
        ("close code 999", frame(0x88, &999u16.to_be_bytes()), 1002),
        ("close code 2000", frame(0x88, &2000u16.to_be_bytes()), 1002),
        ("close reason not UTF-8", frame(0x88, b"\x03\xe8\xff"), 1007),
        ("text not UTF-8", frame(0x81, b"a\xff"), 1007),
        ("a surrogate in UTF-8", frame(0x81, b"\xed\xa0\x80"), 1007),
        ("a character cut off by the end", [frame(0x01, b"\xe2\x82"), frame(0x80, b"")].concat(), 1007),
        ("binary", frame(0x82, b"a"), 1003),
        ("over the bound, from its header", vec![0x81, 0xFE, 0x10, 0x00, 1, 2, 3, 4], 1009),
        ("2^62 bytes", vec![0x81, 0xFF, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1009),
        ("fragments over the bound", [frame(0x01, &[b'a'; 600]), frame(0x00, &[b'a'; 500])].concat(), 1009),
    ];
    for (what, bytes, code) in rows {
        for size in [1, 3, bytes.len()] {
            let mut decoder = Decoder::new(1000, Binary::Refused);
            let seen = decode(&mut decoder, cut(&bytes, &[size]), usize::MAX);
            assert_eq!(seen, [Seen::Refused(code)], "{what}, {size} bytes at a time");
            assert_eq!(decoder.held_bytes(), 0, "{what}");
        }
    }
}

#[test]
fn a_character_may_span_fragments() {
    let bytes = [client_frame(0x01, b"\xe2\x82", [9; 4]), client_frame(0x80, b"\xac", [7; 4])].concat();
    let seen = decode(&mut Decoder::new(10, Binary::Refused), [bytes], usize::MAX);
    assert_eq!(seen, [Seen::Text("€".into())]);
}

#[test]
fn a_whole_message_is_not_copied() {
    let mut bytes = client_frame(0x81, &[b'x'; 5000], [1, 2, 3, 4]);
    let range = bytes.as_ptr_range();
    let mut decoder = Decoder::new(BOUND, Binary::Refused);
    let mut input = bytes.as_mut_slice();
    let Ok(Some(Event::Text(text))) = decoder.next(&mut input) else { panic!("no text") };
    assert!(range.contains(&text.as_ptr()));
}

#[test]
fn a_promised_length_takes_no_memory() {
    let mut decoder = Decoder::new(BOUND, Binary::Refused);
    decode(&mut decoder, [vec![0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0x00, 0x00, 1, 2, 3, 4, 0]], usize::MAX);
    assert!(decoder.held_bytes() < 100);
}

#[test]
fn nothing_is_read_after_a_close() {
    let bytes = [client_frame(0x88, b"", [0; 4]), client_frame(0x81, b"late", [0; 4])].concat();
    let seen = decode(&mut Decoder::new(BOUND, Binary::Refused), [bytes], usize::MAX);
    assert_eq!(seen, [Seen::Close(None, String::new())]);
}
