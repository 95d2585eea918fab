//! Apple's push service, as "Sending notification requests to APNs" and "Establishing a token-based connection to APNs" have it.

use anyhow::{Context, Result, ensure};
use hyper::Version;
use serde_json::{Value, json};

use super::book::{Answer, Arrived, Device, Provider};
use super::exchange::{Reply, Request, has_members, number, text};
use super::token::Token;
use super::{TOPIC, World};

/// Where notifications are posted.
pub const PATH: &str = "/3/device/";
/// The key's id, 10 characters as Apple's.
pub const KEY_ID: &str = "ABC123DEFG";
/// The team's.
pub const TEAM_ID: &str = "DEF123GHIJ";
const PAYLOAD_BYTES: usize = 4096;
const COLLAPSE_BYTES: usize = 64;
/// A provider token lives so long, in s.
const TOKEN_AGE_S: u64 = 3600;

/// Judges a request, and answers it.
pub fn answer(world: &World, request: &Request) -> Reply {
    let id = request.optional("apns-id").ok().flatten().map(str::to_owned);
    let told = judge(world, request).map(|arrived| world.book.arrive(arrived));
    let reply = match told {
        Err(error) => {
            world.book.violation(format!("APNs: {error:#}"));
            refusal(400, "BadMessage")
        }
        Ok(Answer::Accept) => Reply::empty(200),
        Ok(Answer::Gone) => Reply::json(410, &json!({"reason": "Unregistered", "timestamp": (request.at_s - 1) * 1000})),
        Ok(Answer::Unknown) => refusal(400, "BadDeviceToken"),
        Ok(Answer::Refuse) => refusal(400, "BadTopic"),
        Ok(Answer::TooLarge) => refusal(413, "PayloadTooLarge"),
        Ok(Answer::Expired) => refusal(403, "ExpiredProviderToken"),
        Ok(Answer::Throttle(after)) => refusal(429, "TooManyRequests").again_after(after),
        Ok(Answer::Broken) => refusal(500, "InternalServerError"),
        Ok(Answer::Unavailable(after)) => refusal(503, "ServiceUnavailable").again_after(after),
        Ok(other) => super::misbehave(&other),
    };
    reply.with("apns-id", id)
}

fn refusal(status: u16, reason: &str) -> Reply {
    Reply::json(status, &json!({"reason": reason}))
}

fn judge(world: &World, request: &Request) -> Result<Arrived> {
    ensure!(request.version == Version::HTTP_2, "over {:?}", request.version);
    request.is_post()?;
    let token = request.path.strip_prefix(PATH).context("no device")?;
    ensure!(
        token.len() >= 64 && token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
        "the device token is not hexadecimal"
    );
    let device = world.book.device(Provider::Apns, token)?;
    is_authorized(world, request)?;
    ensure!(request.header("apns-topic")? == TOPIC, "the topic is {}", request.header("apns-topic")?);
    ensure!(request.header("apns-push-type")? == "alert", "the push type is {}", request.header("apns-push-type")?);
    ensure!(matches!(request.number("apns-priority")?, 1 | 5 | 10), "the priority is {}", request.number("apns-priority")?);
    let expiration = request.number("apns-expiration")?;
    ensure!(expiration == 0 || expiration > request.at_s, "it expired at {expiration}");
    let collapse = request.header("apns-collapse-id")?;
    ensure!(!collapse.is_empty() && collapse.len() <= COLLAPSE_BYTES, "a collapse id of {} bytes", collapse.len());
    is_uuid(request.header("apns-id")?)?;
    ensure!(request.body.len() <= PAYLOAD_BYTES, "a payload of {} bytes", request.body.len());
    let payload: Value = serde_json::from_str(request.text()?).context("the payload is not JSON")?;
    let mut arrived = read(&device, &payload)?;
    arrived.collapse = collapse.to_owned();
    arrived.is_urgent = Some(request.number("apns-priority")? == 10);
    arrived.time_to_live_s = Some(expiration.saturating_sub(request.at_s));
    Ok(arrived)
}

fn is_authorized(world: &World, request: &Request) -> Result<()> {
    let token = Token::verify(request.authorization("bearer")?, "ES256", &world.apns_public)?;
    ensure!(token.header["kid"] == KEY_ID, "the token's kid is {}", token.header["kid"]);
    has_members(&token.claims, &["iss", "iat"], &[])?;
    ensure!(token.text("iss")? == TEAM_ID, "the token's iss is {}", token.claims["iss"]);
    let age = request.at_s.checked_sub(token.seconds("iat")?).context("the token is from the future")?;
    ensure!(age <= TOKEN_AGE_S, "the token is {age} s old");
    Ok(())
}

fn is_uuid(id: &str) -> Result<()> {
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    let is_hexadecimal = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    ensure!(groups == [8, 4, 4, 4, 12] && is_hexadecimal, "the id {id:?} is no UUID in canonical form");
    Ok(())
}

fn read(device: &Device, payload: &Value) -> Result<Arrived> {
    has_members(payload, &["aps", "hallway"], &[])?;
    let (aps, ours) = (&payload["aps"], &payload["hallway"]);
    has_members(aps, &["alert", "badge", "sound", "thread-id", "mutable-content"], &["category", "interruption-level"])?;
    has_members(&aps["alert"], &["title", "body"], &["subtitle"])?;
    number(aps, "badge")?;
    ensure!(aps["sound"] == "default" && aps["mutable-content"] == 1, "sound or mutable-content in {aps}");
    has_members(ours, &["conference", "from", "unread"], &["conversation", "seq", "id", "kind", "mentions", "collapse", "ts"])?;
    let told = Arrived::told(device, &payload.to_string(), ours, "from", number)?;
    ensure!(told.conversation.is_empty() || aps["thread-id"] == told.conversation.as_str(), "the thread is {}", aps["thread-id"]);
    Ok(Arrived { title: text(&aps["alert"], "title")?, text: text(&aps["alert"], "body")?, ..told })
}
