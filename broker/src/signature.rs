//! How requests of this server to others are signed: `Hallway-Signature: t=<unix s>,v1=<hex HMAC-SHA-256 of "t.body">`. Who gets one compares the
//! MAC and that the time is near, so that it can be neither forged nor kept for later.

use data_encoding::HEXLOWER;
use ring::hmac;

/// The header that holds it.
pub const SIGNATURE: &str = "hallway-signature";

/// The header's value for a body that is sent at `now_ms`.
#[must_use]
pub fn signature(secret: &str, body: &[u8], now_ms: u64) -> String {
    let at_s = now_ms / 1000;
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    context.update(format!("{at_s}.").as_bytes());
    context.update(body);
    format!("t={at_s},v1={}", HEXLOWER.encode(context.sign().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_openssl_makes_of_it() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let wanted = "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(signature("secret", b"{\"a\":1}", 1_700_000_000_999), wanted);
    }
}
