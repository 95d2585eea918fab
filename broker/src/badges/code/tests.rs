//! The law of badge codes: however a chip's number is written when the badge is given out and when it is read, it is the same badge.

use proptest::prelude::*;

use super::*;

fn code(text: &str) -> BadgeCode {
    BadgeCode::given(text).unwrap()
}

/// Whether both are kept by digits alone, and one of them has as few as a ticket's running number: they may be two tickets.
fn may_be_tickets(read: &str, given: &str) -> bool {
    let digits = [read, given].map(|text| code(text).as_str().strip_prefix("x:").map(str::to_owned).unwrap_or_default());
    let is_digits = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    read != given && digits.iter().all(is_digits) && digits.iter().any(|text| text.len() < GUESSED_DIGITS_MIN)
}

fn finds(read: &str, given: &str) -> bool {
    BadgeCode::candidates(read).contains(&code(given))
}

/// All ways of writing a number of these bytes, in one order of its bytes.
fn one_way_round(bytes: &[u8]) -> Vec<String> {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut writings = vec![
        decimal(bytes),
        format!("{:0>10}", decimal(bytes)),
        format!("0x{}", pairs.concat()),
        BASE64.encode(bytes),
        BASE64_NOPAD.encode(bytes),
        BASE64URL.encode(bytes),
        BASE64URL_NOPAD.encode(bytes),
    ];
    for separator in ["", "-", ":", " "] {
        writings.push(pairs.join(separator));
        writings.push(pairs.join(separator).to_uppercase());
    }
    if let &[facility, high, low] = bytes {
        writings.push(format!("{facility},{}", u16::from_be_bytes([high, low])));
        writings.push(format!("{:010} {facility:03},{:05}", u32::from_be_bytes([0, facility, high, low]), u16::from_be_bytes([high, low])));
    }
    writings
}

fn writings(bytes: &[u8]) -> Vec<String> {
    [one_way_round(bytes), one_way_round(&reversed(bytes))].concat()
}

/// A chip's number: its first and last bytes are now and then zero, as they are now and then in the world.
fn chip() -> impl Strategy<Value = Vec<u8>> {
    let end = || prop_oneof![1 => Just(0u8), 8 => any::<u8>()];
    (end(), prop::collection::vec(any::<u8>(), 1..=8), end())
        .prop_map(|(first, middle, last)| [&[first], middle.as_slice(), &[last]].concat())
        .prop_filter("a running number, or many zeros", |bytes| {
            [bytes.clone(), reversed(bytes)].iter().all(|bytes| significant(bytes).len() >= 3.max(bytes.len() - 1) && !is_running(bytes))
        })
}

proptest! {
    #[test]
    fn every_writing_of_a_chip_finds_every_other(bytes in chip()) {
        let writings = writings(&bytes);
        let of_chip = BadgeCode::of_chip(&bytes);
        for given in &writings {
            let hexadecimal = HEXLOWER.encode(&bytes);
            prop_assert!(of_chip.contains(&code(given)) || may_be_tickets(&hexadecimal, given), "the bytes {bytes:02x?} do not find {given}");
            for read in writings.iter().filter(|read| !may_be_tickets(read, given)) {
                prop_assert!(finds(read, given), "{read} does not find {given}");
            }
        }
    }

    #[test]
    fn digits_alone_are_taken_for_all_they_may_be(bytes in prop::collection::vec(prop::sample::select((0..100u8).map(|n| n / 10 * 16 + n % 10).collect::<Vec<_>>()), 4..=10)) {
        prop_assume!(significant(&bytes).len() == bytes.len() && bytes.last() != Some(&0));
        let writings = writings(&bytes);
        for (given, read) in writings.iter().flat_map(|given| writings.iter().map(move |read| (given, read))) {
            prop_assert!(finds(read, given), "{read} does not find {given}");
        }
    }

    #[test]
    fn leading_zero_bytes_do_not_matter(bytes in chip(), zeros in 0..4usize) {
        // Of base64, the length says how many bytes there are.
        let digits = |bytes: &[u8]| one_way_round(bytes).into_iter().filter(|writing| base64(writing).is_none()).collect::<Vec<_>>();
        let padded = [vec![0; zeros], bytes.clone()].concat();
        for given in digits(&bytes) {
            prop_assert!(BadgeCode::of_chip(&padded).contains(&code(&given)));
            for read in digits(&padded) {
                prop_assert!(finds(&read, &given), "{read} does not find {given}");
                prop_assert!(finds(&given, &read), "{given} does not find {read}");
            }
        }
    }

    #[test]
    fn whatever_it_is_it_finds_itself_first_and_not_much_else(text in any::<String>()) {
        let candidates = BadgeCode::candidates(&text);
        prop_assert_eq!(candidates.first().cloned(), BadgeCode::given(&text));
        prop_assert!(candidates.len() <= CANDIDATES_MAX);
        prop_assert!(candidates.iter().all(|code| code.as_str().len() <= KEPT_BYTES_MAX + 2));
    }

    #[test]
    fn so_does_what_is_nearly_a_number(text in "[0-9a-fA-FxX:, +/=_-]{0,300}") {
        let candidates = BadgeCode::candidates(&text);
        prop_assert_eq!(candidates.first().cloned(), BadgeCode::given(&text));
        prop_assert!(candidates.len() <= CANDIDATES_MAX);
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(BadgeCode::of_chip(&bytes).len() <= CANDIDATES_MAX);
    }
}

#[test]
fn the_readers_of_one_venue_agree() {
    // An EM4100 card with the print of its maker, and what the readers send.
    for read in ["0001193046", "1193046", "018,13398"] {
        assert!(finds(read, "0001193046 018,13398"), "its hexadecimal digits are digits only: {read}");
    }
    for read in ["7616525", "0007616525", "0007616525 116,14349", "116,14349", "74-38-0D", "74380d", "0D3874", "dDgN"] {
        assert!(finds(read, "0007616525 116,14349"), "{read}");
        assert!(finds(read, "74380D"), "{read}");
    }
    assert!(finds("ikUCJA==", "8A:45:02:24"));
    assert!(!finds("ikUCJA==", "8A:45:02:25"));
}

#[test]
fn running_numbers_are_only_themselves() {
    assert_eq!(BadgeCode::candidates("274"), [code("274")]);
    let others = [
        ("274", "112", "0x112 is 274"),
        ("4609", "274", "0x1201 turned round is 0x0112"),
        ("74565", "12345", "0x12345 is 74565"),
        ("1193046", "123456", "0x123456 is 1193046"),
        ("123456", "1193046", "and the other way round"),
        ("7616525", "866420", "one's bytes turned round are the other's"),
        ("0123", "123", "zeros count"),
        ("123", "0123", "zeros count"),
        ("0123456", "123456", "zeros count"),
        ("AAEQ", "110", "base64 of 0x110"),
        ("EjRW", "123456", "base64 of 0x123456"),
        ("1-2-3", "10203", "a seat"),
        ("0,274", "112", "card 274 of facility 0"),
    ];
    for (read, given, why) in others {
        assert!(!finds(read, given) && !finds(given, read), "{read} is {given}: {why}");
    }
    let tickets = (0..3000).map(|n| n * 3001).chain(0..2000).map(|n| n.to_string()).collect::<Vec<_>>();
    let all: std::collections::HashSet<BadgeCode> = tickets.iter().map(|ticket| code(ticket)).collect();
    for ticket in &tickets {
        let found: Vec<_> = BadgeCode::candidates(ticket).into_iter().filter(|code| all.contains(code)).collect();
        assert_eq!(found, [code(ticket)], "{ticket}");
    }
    let (mut bib, mut other) = ([0; 12], [0; 12]);
    (bib[10], other[11]) = (1, 1);
    assert_eq!(BadgeCode::of_chip(&bib).first(), Some(&code("100")));
    assert!(!BadgeCode::of_chip(&bib).contains(BadgeCode::of_chip(&other).first().unwrap()), "numbers that an EPC holds");
}

#[test]
fn a_business_card_is_the_code_in_it() {
    let card = "MECARD:UID:04A1B2C3;N:Lovelace,Ada;;";
    assert_eq!(code(card), code("04:a1:b2:c3"));
    let candidates = BadgeCode::candidates(card);
    assert!(candidates.contains(&code("77705923")), "the number in decimal");
    assert_eq!(candidates.last().map(BadgeCode::as_str), Some(format!("t:{card}").as_str()));
}

#[test]
fn a_uuid_is_one_badge_on_a_vcard_and_alone() {
    let uuid = "4fbe8971-0bc3-424c-9c26-36c3e1eff6b1";
    let card = format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:uuid:{uuid}\r\nEND:VCARD");
    assert!(finds(uuid, &card) && finds(&card, uuid) && finds(&uuid.to_uppercase(), &card));
    assert!(BadgeCode::candidates(&card).contains(&code(&format!("urn:uuid:{uuid}"))));
}

#[test]
fn base64_that_looks_like_something_else() {
    for (base64, hex) in [("AB00-A", "001d34f8"), ("0x0aB0AA", "d31d1a074000"), ("1234", "d76df8"), ("deadbeef", "75e69d6de79f")] {
        assert!(finds(hex, base64) && finds(base64, hex), "{base64}");
    }
}

#[test]
fn a_text_is_that_text() {
    let own = "HW1:demo:alice:ABCDEFGHIJKLMNOPQRST";
    assert_eq!(BadgeCode::candidates(&format!("{own}\r\n")), [code(own)]);
    assert_eq!(code(own).as_str(), "t:hw1:demo:alice:abcdefghijklmnopqrst", "in any case");
    assert_eq!(code(&own.to_ascii_uppercase()), code(own));
    assert_ne!(code("Ticket 7"), code("ticket 7"));
    let long = "x".repeat(CODE_BYTES_MAX);
    assert_eq!(BadgeCode::candidates(&long), [code(&long)]);
    assert_ne!(code(&long), code(&long[1..]));
    assert_eq!((BadgeCode::given(&format!("{long}x")), BadgeCode::given(" \r\n")), (None, None));
}
