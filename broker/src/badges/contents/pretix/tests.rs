//! Signed tickets, made as pretix makes them.

use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;

fn signer(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn key(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key().as_ref().try_into().unwrap()
}

fn number(field: u8, mut number: u64, out: &mut Vec<u8>) {
    out.push(field << 3);
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn payload(seed: &str, item: u64, valid: (u64, u64)) -> Vec<u8> {
    let mut payload = vec![0x0a, u8::try_from(seed.len()).unwrap()];
    payload.extend(seed.as_bytes());
    for (field, value) in [(2, item), (3, 0), (4, 0), (5, valid.0), (6, valid.1)] {
        if value > 0 {
            number(field, value, &mut payload);
        }
    }
    payload
}

fn code(pair: &Ed25519KeyPair, payload: &[u8]) -> String {
    let signature = pair.sign(payload);
    let head = [&[1][..], &u16::try_from(payload.len()).unwrap().to_be_bytes(), &64u16.to_be_bytes()].concat();
    BASE64.encode(&[&head, payload, signature.as_ref()].concat()).chars().rev().collect()
}

#[test]
fn a_ticket_of_the_shop_is_good_and_another_is_not() {
    let (shop, other) = (signer(1), signer(2));
    let signers = Signers::new(vec![key(&other), key(&shop)]);
    let ticket = payload("aBc123xyz", 4711, (0, 0));
    let verdict = signers.verdict(&code(&shop, &ticket), 0);
    assert_eq!(verdict, Verdict::Good(Ticket { seed: "aBc123xyz".into(), item: 4711, ..Ticket::default() }));
    assert_eq!(signers.verdict(&code(&signer(3), &ticket), 0), Verdict::Forged);
    for text in ["", "04A1B2C3", "187WCI5", "hjkmnpqrstuvwxyz23456789abcdefgh", "=", "====", "AAAA"] {
        assert_eq!(signers.verdict(text, 0), Verdict::NotSigned, "{text}");
    }
    assert_eq!(Signers::default().verdict(&code(&shop, &ticket), 0), Verdict::NotSigned, "nobody is trusted: a text as any other");
}

#[test]
fn a_ticket_is_good_at_its_time() {
    let shop = signer(1);
    let signers = Signers::new(vec![key(&shop)]);
    let code = code(&shop, &payload("s", 1, (1_000, 2_000)));
    for (now_s, good) in [(999, false), (1_000, true), (2_000, true), (2_001, false)] {
        assert_eq!(matches!(signers.verdict(&code, now_s * 1000), Verdict::Good(_)), good, "{now_s}");
    }
    assert_eq!(signers.verdict(&code, 0), Verdict::NotNow);
}

#[test]
fn a_revoked_ticket_is_good_no_more() {
    let shop = signer(1);
    let (gone, good) = (code(&shop, &payload("gone", 1, (0, 0))), code(&shop, &payload("good", 1, (0, 0))));
    let mut signers = Signers::new(vec![key(&shop)]);
    signers.revoke(&format!("secret,created\n\"{gone}\",2026-11-20\n\n"));
    signers.revoke("\u{feff}first\nsecond\n");
    let is_revoked = |code| signers.verdict(code, 0) == Verdict::Revoked;
    assert_eq!(["first", "second"].map(is_revoked), [true, true], "as a spreadsheet writes it");
    assert_eq!(signers.verdict(&gone, 0), Verdict::Revoked);
    assert!(matches!(signers.verdict(&good, 0), Verdict::Good(_)));
    assert!(!format!("{signers:?}").contains(&gone));
}

#[test]
fn keys_in_all_their_forms() {
    let key = key(&signer(1));
    let der = [&[0x30, 42, 0x30, 5, 0x06, 3, 0x2b, 0x65, 0x70, 0x03, 33, 0][..], &key].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(&der));
    for form in [pem.clone(), BASE64.encode(pem.as_bytes()), BASE64.encode(&der), BASE64.encode(&key), format!(" {} ", BASE64.encode(&key))]
    {
        assert_eq!(public_key(&form), Some(key), "{form}");
    }
    for form in ["", "key", "-----BEGIN PUBLIC KEY-----", &BASE64.encode(&key[1..])] {
        assert_eq!(public_key(form), None, "{form}");
    }
}

proptest! {
    #[test]
    fn no_changed_ticket_is_good(at in 0usize..110, to in "[A-Za-z0-9+/]") {
        let shop = signer(1);
        let signers = Signers::new(vec![key(&shop)]);
        let whole = code(&shop, &payload("aBc123xyz", 4711, (0, 0)));
        let mut changed = whole.clone();
        changed.replace_range(at..=at, &to);
        let verdict = signers.verdict(&changed, 0);
        prop_assert_eq!(matches!(verdict, Verdict::Good(_)), changed == whole);
        prop_assert!(!matches!(signers.verdict(&whole[at..], 0), Verdict::Good(_)) || at == 0);
    }

    #[test]
    fn anything_can_be_presented(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let signers = Signers::new(vec![[7; 32]]);
        let _ = signers.verdict(&text, 0);
        let coded: String = BASE64.encode(&bytes).chars().rev().collect();
        let _ = signers.verdict(&coded, 0);
        let _ = ticket(&bytes);
        let _ = public_key(&text);
    }
}
