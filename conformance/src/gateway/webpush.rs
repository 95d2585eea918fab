//! A browser's push service (RFC 8030) that knows who may push (RFC 8292), with the browser behind it that opens what came (RFC 8291). A distributor
//! of UnifiedPush takes the same.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::book::{Answer, Arrived, Provider};
use super::exchange::{AT, Reply, Request, has_members, number, text};
use super::token::{Token, base64url};
use super::{World, by_status};

/// Where a browser's subscriptions are.
pub const PATH: &str = "/push/";
/// Where those of UnifiedPush are.
pub const UNIFIED_PATH: &str = "/up/";
/// RFC 8292 §2: no more than 24 hours.
const MAX_LIFE_S: u64 = 86_400;
/// RFC 8030 §5.4.
const TOPIC_CHARACTERS: usize = 32;
/// All that is told of a push.
const MEMBERS: [&str; 10] = ["conference", "kind", "from", "title", "text", "unread", "badge", "collapse", "mentions", "ts"];

/// Judges a request, and answers it.
pub fn answer(world: &World, provider: Provider, request: &Request) -> Reply {
    // UnifiedPush has no word of who may push in its oldest servers; this one is of those that ask (RFC 8292 §4.2).
    if provider == Provider::UnifiedPush && request.optional("authorization").is_ok_and(|signed| signed.is_none()) {
        return Reply::empty(401).with("www-authenticate", Some("vapid".into()));
    }
    let arrived = match judge(world, provider, request) {
        Ok(arrived) => arrived,
        Err(error) => {
            world.book.violation(format!("{}: {error:#}", provider.word()));
            return Reply::empty(400);
        }
    };
    match world.book.arrive(arrived) {
        Answer::Accept => Reply::empty(201).with("location", Some(format!("{}/message/{}", world.origin, rand::random::<u32>()))),
        Answer::Expired => Reply::empty(403),
        other => by_status(&other),
    }
}

fn judge(world: &World, provider: Provider, request: &Request) -> Result<Arrived> {
    request.is_post()?;
    let device = world.book.device(provider, &request.path)?;
    is_authorized(world, request)?;
    let time_to_live_s = request.number("ttl")?;
    let topic = request.header("topic")?;
    let is_base64url = topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    ensure!((1..=TOPIC_CHARACTERS).contains(&topic.len()) && is_base64url, "the topic is {topic:?}");
    let is_urgent = match request.header("urgency")? {
        "very-low" | "low" | "normal" => false,
        "high" => true,
        other => bail!("the urgency is {other:?}"),
    };
    ensure!(request.header("content-encoding")? == "aes128gcm", "the encoding is {}", request.header("content-encoding")?);
    let (plain, once) = device.subscription.open(&request.body)?;
    world.book.once(once)?;
    let raw = String::from_utf8(plain).context("it is not UTF-8")?;
    let told: Value = serde_json::from_str(&raw).context("it is not JSON")?;
    has_members(&told, &MEMBERS, &AT)?;
    ensure!(told["collapse"] == topic, "the topic is {topic}, collapse {}", told["collapse"]);
    ensure!(told["mentions"].is_boolean(), "mentions is {}", told["mentions"]);
    number(&told, "badge")?;
    ensure!(text(&told, "ts")?.ends_with('Z'), "ts is {}", told["ts"]);
    Ok(Arrived {
        title: text(&told, "title")?,
        text: text(&told, "text")?,
        collapse: topic.to_owned(),
        is_urgent: Some(is_urgent),
        time_to_live_s: Some(time_to_live_s),
        ..Arrived::told(&device, &raw, &told, "from", number)?
    })
}

/// RFC 8292: `vapid t=…, k=…`.
fn is_authorized(world: &World, request: &Request) -> Result<()> {
    let parameters = request.authorization("vapid")?;
    let (mut token, mut key) = (None, None);
    for parameter in parameters.split(',') {
        match parameter.trim().split_once('=') {
            Some(("t", value)) if token.is_none() => token = Some(value),
            Some(("k", value)) if key.is_none() => key = Some(value),
            _ => bail!("the parameter {parameter:?}"),
        }
    }
    let key = base64url(key.context("no k")?)?;
    ensure!(key.len() == 65 && key[0] == 4, "k is no uncompressed point");
    // §4.2: the subscription was made for this key.
    let expected = world.vapid();
    ensure!(expected.as_ref().is_none_or(|expected| *expected == key), "k is another key than push.key told");
    let token = Token::verify(token.context("no t")?, "ES256", &key)?;
    ensure!(token.text("aud")? == world.origin, "the token's aud is {}, not {}", token.claims["aud"], world.origin);
    let until = token.seconds("exp")?;
    ensure!(request.at_s < until && until <= request.at_s + MAX_LIFE_S, "the token's exp is {until}, now is {}", request.at_s);
    let subject = token.text("sub")?;
    ensure!(subject.starts_with("mailto:") || subject.starts_with("https:"), "the token's sub is {subject:?}");
    Ok(())
}
