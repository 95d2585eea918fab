//! A receiver of the user's own: JSON, signed with the secret that they gave (DESIGN, "Push").

use anyhow::{Context, Result, anyhow, ensure};
use ring::hmac;

use super::book::{Answer, Arrived, Provider};
use super::exchange::{AT, Reply, Request, has_members, number, text};
use super::{World, by_status, hexadecimal};

/// Where receivers are.
pub const PATH: &str = "/hook/";
const MEMBERS: [&str; 7] = ["conference", "user", "from", "title", "text", "unread", "collapse"];
/// How far the time of a signature may be off, in s.
const SKEW_S: u64 = 300;

/// Judges a request, and answers it.
pub fn answer(world: &World, request: &Request) -> Reply {
    let arrived = match judge(world, request) {
        Ok(arrived) => arrived,
        Err(error) => {
            world.book.violation(format!("webhook: {error:#}"));
            return Reply::empty(400);
        }
    };
    match world.book.arrive(arrived) {
        Answer::Accept => Reply::empty(204),
        Answer::Expired => Reply::empty(401),
        other => by_status(&other),
    }
}

fn judge(world: &World, request: &Request) -> Result<Arrived> {
    request.is_post()?;
    let device = world.book.device(Provider::Webhook, &request.path)?;
    is_signed(request, &device.secret)?;
    let body = request.json()?;
    has_members(&body, &MEMBERS, &AT)?;
    Ok(Arrived {
        title: text(&body, "title")?,
        text: text(&body, "text")?,
        collapse: text(&body, "collapse")?,
        ..Arrived::told(&device, request.text()?, &body, "from", number)?
    })
}

/// `t=<unix s>,v1=<hex HMAC-SHA-256 of "t.body">`.
fn is_signed(request: &Request, secret: &str) -> Result<()> {
    let value = request.header("hallway-signature")?;
    let (at, mac) = value.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).context("no signature")?;
    let seconds: u64 = at.parse().context("the signature's time")?;
    ensure!(seconds.abs_diff(request.at_s) <= SKEW_S, "signed {} s away", seconds.abs_diff(request.at_s));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [at.as_bytes(), b".", &request.body].concat();
    let mac = hexadecimal(mac).context("no hexadecimal")?;
    hmac::verify(&key, &signed, &mac).map_err(|_| anyhow!("the signature is another's"))
}
