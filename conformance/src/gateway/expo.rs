//! Expo's push service: batches of messages, answered with tickets ("Sending notifications with Expo's Push API"). What becomes of them is in
//! [`super::receipts`].

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::book::{Answer, Arrived, Provider};
use super::exchange::{Reply, Request, has_members, number, text};
use super::{World, misbehave};

/// Where batches are posted.
pub const PATH: &str = "/--/api/v2/push/send";
/// What the project asks senders for.
pub const ACCESS_TOKEN: &str = "expo-access-token";
const MESSAGES: usize = 100;
const MESSAGE_BYTES: usize = 4096;
const OPTIONAL: [&str; 14] = [
    "badge",
    "sound",
    "ttl",
    "priority",
    "channelId",
    "categoryId",
    "mutableContent",
    "interruptionLevel",
    "subtitle",
    "expiration",
    "collapseId",
    "tag",
    "icon",
    "richContent",
];

/// Judges a batch, and answers it.
pub fn answer(world: &World, request: &Request) -> Reply {
    let all = match judge(world, request) {
        Ok(all) => all,
        Err(error) => {
            world.book.violation(format!("Expo: {error:#}"));
            return failure(400, "VALIDATION_ERROR");
        }
    };
    let devices: Vec<String> = all.iter().map(|arrived| arrived.device.clone()).collect();
    let answers: Vec<Answer> = all.into_iter().map(|arrived| world.book.arrive(arrived)).collect();
    // What is of the whole request is said of all of it.
    for answer in &answers {
        match answer {
            Answer::Throttle(after) => return failure(429, "TOO_MANY_REQUESTS").again_after(*after),
            Answer::Broken => return failure(500, "INTERNAL_SERVER_ERROR"),
            Answer::Unavailable(after) => return failure(503, "SERVICE_UNAVAILABLE").again_after(*after),
            Answer::Expired => return failure(401, "UNAUTHORIZED"),
            Answer::Silence | Answer::Endless | Answer::Drip | Answer::Elsewhere => return misbehave(answer),
            Answer::Accept | Answer::Gone | Answer::Unknown | Answer::Refuse | Answer::TooLarge => {}
        }
    }
    let tickets: Vec<Value> = answers.iter().zip(&devices).map(|(answer, device)| ticket(world, answer, device)).collect();
    Reply::json(200, &json!({"data": tickets}))
}

fn ticket(world: &World, answer: &Answer, device: &str) -> Value {
    let error = match answer {
        Answer::Accept => return json!({"status": "ok", "id": world.receipts.ticket(device)}),
        Answer::Gone | Answer::Unknown => "DeviceNotRegistered",
        Answer::TooLarge => "MessageTooBig",
        _ => "InvalidCredentials",
    };
    json!({"status": "error", "message": "It was not sent.", "details": {"error": error}})
}

/// What is said of a whole request.
pub(super) fn failure(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({"errors": [{"code": code, "message": "Not this."}]}))
}

/// Who may ask at all.
pub(super) fn is_let_in(request: &Request) -> Result<()> {
    request.is_post()?;
    ensure!(request.authorization("bearer")? == ACCESS_TOKEN, "another access token");
    Ok(())
}

fn judge(world: &World, request: &Request) -> Result<Vec<Arrived>> {
    is_let_in(request)?;
    let body = request.json()?;
    let messages = match &body {
        Value::Array(messages) => messages.as_slice(),
        Value::Object(_) => std::slice::from_ref(&body),
        _ => bail!("neither a message nor a list of them"),
    };
    ensure!((1..=MESSAGES).contains(&messages.len()), "{} messages at once", messages.len());
    messages.iter().map(|message| read(world, message)).collect()
}

fn read(world: &World, message: &Value) -> Result<Arrived> {
    has_members(message, &["to", "title", "body", "data"], &OPTIONAL)?;
    let device = world.book.device(Provider::Expo, &text(message, "to")?)?;
    let size = message.to_string().len();
    ensure!(size <= MESSAGE_BYTES, "a message of {size} bytes");
    let data = &message["data"];
    let collapse = ["collapseId", "tag"].iter().find_map(|name| message[name].as_str()).or(data["collapse"].as_str());
    for name in ["collapseId", "tag"] {
        ensure!(message[name].is_null() || message[name].as_str() == collapse, "{name} is {}", message[name]);
    }
    ensure!(matches!(message["priority"].as_str(), None | Some("default" | "normal" | "high")), "the priority is {}", message["priority"]);
    Ok(Arrived {
        title: text(message, "title")?,
        text: text(message, "body")?,
        collapse: collapse.context("nothing to collapse by")?.to_owned(),
        is_urgent: message["priority"].as_str().map(|priority| priority == "high"),
        time_to_live_s: message["ttl"].as_u64(),
        ..Arrived::told(&device, &message.to_string(), data, "from", number)?
    })
}
