//! CONNECT and CONNACK (chapters 3.1 and 3.2), and PINGREQ.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::broker::{Broker, Untested};
use crate::mqtt::client::Seen;
use crate::mqtt::packet::{self, PINGREQ, PUBACK, Publish, Will};
use crate::mqtt::property::{self, Value};

pub fn connect_comes_first(b: &Broker) -> Result<()> {
    for bytes in [PINGREQ.to_vec(), Publish::new(b.topic("x"), 0, "early").bytes(b.version())] {
        let mut client = b.open()?;
        client.throw(&bytes);
        let code = client.expect_closed()?;
        ensure!(code.is_none(), "DISCONNECT before any CONNACK");
    }
    Ok(())
}

pub fn second_connect(b: &Broker) -> Result<()> {
    let hello = b.hello();
    let (mut client, _) = b.enter(&hello)?;
    client.throw(&hello.bytes());
    client.expect_closed().map(drop)
}

pub fn protocol_name(b: &Broker) -> Result<()> {
    for name in ["MQTX", "mqtt", "", "MQTTT"] {
        let mut hello = b.hello();
        hello.protocol = name.into();
        b.must_refuse(&format!("protocol name {name:?}"), &hello)?;
    }
    Ok(())
}

pub fn protocol_level(b: &Broker) -> Result<()> {
    for level in [9, 127] {
        let mut hello = b.hello();
        hello.level = level;
        let code = b.must_refuse(&format!("protocol level {level}"), &hello)?;
        match code {
            Some(1) => {}
            Some(0x84) | None if b.v5() => {}
            other => bail!("protocol level {level} was refused with {other:02X?}"),
        }
    }
    Ok(())
}

pub fn reserved_flag(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.flip = 1;
    let code = b.must_refuse("the reserved connect flag", &hello)?;
    ensure!(b.v5() || code.is_none(), "CONNACK {code:02X?} to a CONNECT that breaks its format");
    Ok(())
}

pub fn format_is_checked(b: &Broker) -> Result<()> {
    let whole = b.hello();
    let body = whole.body();
    let mut longer = whole.clone();
    longer.tail = b"more".to_vec();
    for (what, bytes) in [
        ("CONNECT without a payload", packet::frame(0x10, &body[..10])),
        ("CONNECT cut in the client id", packet::frame(0x10, &body[..body.len() - 1])),
        ("bytes behind the payload", longer.bytes()),
        ("reserved flags of the fixed header", packet::frame(0x11, &body)),
    ] {
        let mut client = b.open()?;
        client.throw(&bytes);
        let code = client.expect_refused().map_err(|error| error.context(what))?;
        ensure!(b.v5() || code.is_none(), "{what}: CONNACK {code:02X?} where the connection is to be closed without");
    }
    Ok(())
}

pub fn accepted(b: &Broker) -> Result<()> {
    let mut client = b.client()?;
    client.ping()
}

pub fn ping(b: &Broker) -> Result<()> {
    let mut client = b.client()?;
    for _ in 0..3 {
        client.ping()?;
    }
    client.send(&[PINGREQ, PINGREQ].concat())?;
    for _ in 0..2 {
        client.expect("PINGRESP")?;
    }
    client.expect_nothing()
}

/// CONNECT, SUBSCRIBE and PINGREQ in one piece: CONNACK comes first, and only once.
pub fn connack_first_and_once(b: &Broker) -> Result<()> {
    let subscribe = packet::frame(0x82, &packet::subscribe_body(b.version(), 7, &[(b.topic("x"), 0)], &Vec::new()));
    let mut client = b.open()?;
    client.send(&[b.hello().bytes(), subscribe, PINGREQ.to_vec()].concat())?;
    let answer = client.expect_connack()?;
    ensure!(answer.code == 0, "CONNECT was answered with code 0x{:02X}", answer.code);
    client.expect("SUBACK")?;
    client.expect("PINGRESP")?;
    client.expect_nothing()
}

/// A CONNECT that must be refused, and a PUBLISH behind it in the same piece, which must reach nobody.
pub fn nothing_after_refusal(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut watcher = b.subscriber(&topic, 0)?;
    let mut hello = b.hello();
    hello.level = 99;
    let mut client = b.open()?;
    client.throw(&[hello.bytes(), Publish::new(&topic, 0, "from a refused client").bytes(b.version())].concat());
    client.expect_refused()?;
    watcher.expect_nothing()
}

pub fn refusal_closes(b: &Broker) -> Result<()> {
    if !b.v5() {
        let mut hello = b.hello();
        hello.client_id.clear();
        hello.clean = false;
        let code = b.must_refuse("an empty client id for a lasting session", &hello)?;
        ensure!(code == Some(2), "refused with {code:02X?} instead of CONNACK 2");
        return Ok(());
    }
    let mut hello = b.hello();
    hello.properties.push((property::AUTH_METHOD, Value::Text(b"no-such-method".to_vec())));
    b.must_refuse("an unknown authentication method", &hello)?.map_or_else(
        || Err(Untested("the broker closes without a CONNACK, as it may".to_owned()).into()),
        |code| if code >= 0x80 { Ok(()) } else { bail!("refused with code 0x{code:02X}") },
    )
}

pub fn takeover(b: &Broker) -> Result<()> {
    let hello = b.named("twice");
    let (mut first, _) = b.enter(&hello)?;
    let (mut second, _) = b.enter(&hello)?;
    let code = first.expect_closed()?;
    ensure!(!b.v5() || code == Some(0x8E), "the older connection ended with {code:02X?} instead of DISCONNECT 0x8E");
    second.ping()
}

pub fn keep_alive(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.keep_alive = 1;
    let (mut client, answer) = b.enter(&hello)?;
    if property::number(&answer.properties, property::SERVER_KEEP_ALIVE).is_some_and(|seconds| seconds > 3) {
        return Err(Untested("the broker asks for a longer keep alive than a test can wait".to_owned()).into());
    }
    let begun = Instant::now();
    // Brokers look at their clocks every few seconds; that much is granted.
    match client.see(Duration::from_secs(8))? {
        Seen::Closed => {}
        Seen::Packet(crate::mqtt::parse::Packet::Disconnect { .. }) => client.expect_closed().map(drop)?,
        other => bail!("8 s after the last packet with keep alive 1 s: {other:?}"),
    }
    ensure!(begun.elapsed() > Duration::from_millis(900), "closed after {:?}, before the keep alive was over", begun.elapsed());
    Ok(())
}

/// What is sent in time keeps the connection.
pub fn keep_alive_kept(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.keep_alive = 1;
    let (mut client, _) = b.enter(&hello)?;
    for _ in 0..5 {
        client.expect_nothing()?;
        client.expect_nothing()?;
        client.ping()?;
    }
    Ok(())
}

pub fn client_ids(b: &Broker) -> Result<()> {
    let long = format!("{}ABCXYZabcxyz0123456789", b.tag());
    for id in ["Z", &long[..23]] {
        let mut hello = b.hello();
        hello.client_id = id.into();
        let (mut client, _) = b.enter(&hello).map_err(|error| error.context(format!("client id {id:?}")))?;
        client.ping()?;
    }
    Ok(())
}

pub fn client_id_is_utf8(b: &Broker) -> Result<()> {
    for id in [&b"\xC3\x28"[..], b"\xED\xA0\x80", b"\xFF"] {
        let mut hello = b.hello();
        hello.client_id = id.to_vec();
        b.must_refuse(&format!("client id {id:02X?}"), &hello)?;
    }
    Ok(())
}

/// Two clients without an id live side by side.
pub fn empty_client_id(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.client_id.clear();
    let mut client = b.send(&hello)?;
    let answer = client.expect_connack()?;
    if matches!(answer.code, 2 | 0x85) {
        return Err(Untested("the broker takes no empty client id, as it may".to_owned()).into());
    }
    ensure!(answer.code == 0, "code 0x{:02X}", answer.code);
    let (mut other, second) = b.enter(&hello)?;
    client.ping()?;
    other.ping()?;
    if b.v5() {
        let ids = [&answer, &second].map(|answer| property::find(&answer.properties, property::ASSIGNED_ID));
        ensure!(ids[0].is_some() && ids[1].is_some(), "CONNACK without the assigned client id");
        ensure!(ids[0] != ids[1], "the same client id was given to two clients");
    }
    Ok(())
}

/// 3.1.1: an empty client id with a lasting session is refused with code 2.
pub fn empty_client_id_unclean(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.client_id.clear();
    hello.clean = false;
    let code = b.must_refuse("an empty client id without clean session", &hello)?;
    ensure!(code == Some(2), "refused with {code:02X?} instead of CONNACK 2");
    Ok(())
}

pub fn user_name_is_utf8(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.user = Some(b"\xC0\x80".to_vec());
    b.must_refuse("a user name that is not UTF-8", &hello).map(drop)
}

pub fn will_topic_is_utf8(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.will = Some(Will { topic: b"a/\xED\xBF\xBF".to_vec(), ..Will::default() });
    b.must_refuse("a will topic that is not UTF-8", &hello).map(drop)
}

/// Each flag that says a field is there, while it is not.
pub fn fields_missing(b: &Broker) -> Result<()> {
    for (what, flip) in [("user name", 0x80), ("user name and password", 0xC0)] {
        let mut hello = b.hello();
        (hello.user, hello.password) = (None, None);
        hello.flip = flip;
        b.must_refuse(&format!("the flag of {what} without the field"), &hello)?;
    }
    Ok(())
}

pub fn will_fields_missing(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    (hello.user, hello.password) = (None, None);
    hello.flip = 0x04;
    b.must_refuse("the will flag without a will", &hello).map(drop)
}

/// A field is there, while its flag says it is not.
pub fn fields_unannounced(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    (hello.user, hello.password) = (None, None);
    packet::text(&mut hello.tail, b"somebody");
    b.must_refuse("a user name without its flag", &hello)?;
    let mut hello = b.hello();
    hello.user = Some(b"somebody".to_vec());
    hello.password = None;
    packet::text(&mut hello.tail, b"secret");
    b.must_refuse("a password without its flag", &hello).map(drop)
}

pub fn password_needs_user(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.user = None;
    hello.password = Some(b"secret".to_vec());
    b.must_refuse("a password without a user name", &hello).map(drop)
}

pub fn wrong_password(b: &Broker) -> Result<()> {
    if !b.signs_in() {
        return Err(Untested("needs --user and --pass of a broker that checks them".to_owned()).into());
    }
    let mut hello = b.hello();
    hello.password = Some(b"surely not this one".to_vec());
    b.must_refuse("a wrong password", &hello).map(drop)
}

pub fn unknown_method(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.properties.push((property::AUTH_METHOD, Value::Text(b"no-such-method".to_vec())));
    let code = b.must_refuse("an unknown authentication method", &hello)?;
    ensure!(matches!(code, None | Some(0x8C | 0x87)), "refused with {code:02X?} instead of 0x8C or 0x87");
    Ok(())
}

pub fn no_method_no_auth(b: &Broker) -> Result<()> {
    let (mut client, answer) = b.enter(&b.hello())?;
    ensure!(property::find(&answer.properties, property::AUTH_METHOD).is_none(), "CONNACK has an authentication method");
    client.ping()
}

pub fn no_response_information(b: &Broker) -> Result<()> {
    for asked in [None, Some(0)] {
        let mut hello = b.hello();
        hello.properties.extend(asked.map(|byte| (property::REQUEST_RESPONSE, Value::Byte(byte))));
        let (_, answer) = b.enter(&hello)?;
        ensure!(property::find(&answer.properties, property::RESPONSE_INFORMATION).is_none(), "unasked response information");
    }
    Ok(())
}

/// CONNECT properties that are given twice, unknown or out of range.
pub fn bad_properties(b: &Broker) -> Result<()> {
    for (what, list) in [
        ("receive maximum 0", vec![(property::RECEIVE_MAXIMUM, Value::Two(0))]),
        ("maximum packet size 0", vec![(property::MAXIMUM_PACKET, Value::Four(0))]),
        ("request problem information 2", vec![(property::REQUEST_PROBLEM, Value::Byte(2))]),
        ("session expiry twice", vec![(property::SESSION_EXPIRY, Value::Four(1)), (property::SESSION_EXPIRY, Value::Four(1))]),
        ("a property of PUBLISH", vec![(property::TOPIC_ALIAS, Value::Two(1))]),
        ("an unknown property", vec![(0x7F, Value::Byte(1))]),
        ("authentication data without a method", vec![(property::AUTH_DATA, Value::Binary(b"x".to_vec()))]),
    ] {
        let mut hello = b.hello();
        hello.properties = list;
        b.must_refuse(what, &hello)?;
    }
    Ok(())
}

/// CONNACK fits the smallest packet size that its needed parts fit.
pub fn connack_fits(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.properties.push((property::MAXIMUM_PACKET, Value::Four(64)));
    let (client, _) = b.enter(&hello)?;
    ensure!(client.last_bytes() <= 64, "CONNACK of {} bytes for a client that takes 64", client.last_bytes());
    Ok(())
}

/// What a client may not send before its CONNACK is not answered by DISCONNECT when the CONNECT fails.
pub fn no_disconnect_before_connack(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.flip = 1;
    for bytes in [hello.bytes(), packet::ack(PUBACK, 1), packet::disconnect(b.version(), 0x04, &Vec::new()), vec![0xF0, 0x00]] {
        let mut client = b.open()?;
        client.throw(&bytes);
        client.expect_refused()?;
    }
    Ok(())
}
