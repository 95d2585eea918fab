//! Topic names and filters (4.7).

use anyhow::{Result, bail, ensure};

use super::broker::{Broker, Untested};
use crate::mqtt::client::{PATIENCE, Seen};
use crate::mqtt::packet::{self, Publish};
use crate::mqtt::parse::Packet;

/// SUBSCRIBE with that filter must end in a failure code or in a closed connection.
pub fn filter_refused(b: &Broker, filter: &[u8], options: u8) -> Result<()> {
    let mut client = b.client()?;
    client.throw(&packet::frame(0x82, &packet::subscribe_body(b.version(), 1, &[(filter, options)], &Vec::new())));
    match client.see(PATIENCE)? {
        Seen::Closed => Ok(()),
        Seen::Packet(Packet::SubAck(answer)) if answer.codes.iter().all(|code| *code >= 0x80) => Ok(()),
        Seen::Packet(Packet::Disconnect { .. }) => client.expect_closed().map(drop),
        other => bail!("filter {:?} was answered with {other:?}", String::from_utf8_lossy(filter)),
    }
}

fn refuses(b: &Broker, filters: &[&str]) -> Result<()> {
    filters.iter().try_for_each(|filter| filter_refused(b, b.topic(filter).as_bytes(), 0))
}

/// Whether the filter gets these names, and not the others.
fn matching(b: &Broker, filter: &str, yes: &[&str], no: &[&str]) -> Result<()> {
    let mut reader = b.subscriber(&b.topic(filter), 0)?;
    let mut writer = b.client()?;
    for name in no.iter().chain(yes) {
        writer.publish(Publish::new(b.topic(name), 1, "x"))?;
    }
    for name in yes {
        let message = reader.receive().map_err(|error| error.context(format!("filter {filter:?}, name {name:?}")))?;
        let came = String::from_utf8_lossy(&message.topic).into_owned();
        ensure!(came == b.topic(name), "filter {filter:?}: {came:?} came, {name:?} was expected");
    }
    reader.expect_nothing()
}

pub fn many_levels(b: &Broker) -> Result<()> {
    refuses(b, &["a#", "#/a", "a/#/b", "a/##", "a/b#"])?;
    matching(b, "a/#", &["a", "a/b", "a/b/c/d", "a/"], &["ab", "b/a", "A/b"])
}

pub fn one_level(b: &Broker) -> Result<()> {
    refuses(b, &["a+", "+a", "a/+b", "a/b+/c", "++"])?;
    matching(b, "a/+", &["a/b", "a/", "a/c"], &["a", "a/b/c", "b/a"])?;
    matching(b, "p/+/+/z", &["p/1/2/z", "p///z"], &["p/1/z", "p/1/2/3/z"])
}

/// Names are compared byte by byte: case, spaces, slashes, composed letters.
pub fn no_normalization(b: &Broker) -> Result<()> {
    matching(b, "Ab", &["Ab"], &["ab", "AB", "Ab ", " Ab", "Ab/", "/Ab"])?;
    matching(b, "n/\u{E9}", &["n/\u{E9}"], &["n/e\u{301}", "n/e"])?;
    matching(b, "s//t", &["s//t"], &["s/t", "s///t"])?;
    matching(b, "u/\u{1F30D} \u{10FFFD}", &["u/\u{1F30D} \u{10FFFD}"], &["u/?"])
}

pub fn one_character(b: &Broker) -> Result<()> {
    b.must_close_on("an empty topic name", &Publish::new("", 0, "x").bytes(b.version()))?;
    filter_refused(b, b"", 0)
}

pub fn no_nul(b: &Broker) -> Result<()> {
    b.must_close_on("U+0000 in a topic name", &Publish::new(b.topic("a\0b"), 0, "x").bytes(b.version()))?;
    filter_refused(b, b.topic("a\0b").as_bytes(), 0)
}

/// `+/x` and `#` do not see `$…`.
pub fn dollar(b: &Broker) -> Result<()> {
    let name = format!("$c{}/leaf{}", b.tag(), b.tag());
    let mut exact = b.client()?;
    if exact.subscribe_with(&[(&name, 0)], &Vec::new())? != [0] {
        return Err(Untested("the broker lets nobody subscribe such a topic".to_owned()).into());
    }
    let plus = format!("+/leaf{}", b.tag());
    let mut wild = b.client()?;
    if wild.subscribe_with(&[(&plus, 0)], &Vec::new())? != [0] {
        return Err(Untested(format!("the broker does not grant {plus}, whatever the prefix")).into());
    }
    let mut writer = b.client()?;
    writer.throw(&Publish::new(&name, 0, "x").bytes(b.version()));
    if !matches!(exact.see(PATIENCE)?, Seen::Packet(Packet::Publish(_))) {
        return Err(Untested("the broker delivers no message on a topic that begins with $".to_owned()).into());
    }
    wild.expect_nothing()
}

/// The longest name that can be written is carried, or refused in order.
pub fn longest(b: &Broker) -> Result<()> {
    let start = b.topic("l/");
    let long = format!("{start}{}", "x".repeat(65_535 - start.len()));
    let mut reader = b.client()?;
    let answer = reader.subscribe_with(&[(&long, 0)], &Vec::new());
    match answer.as_deref() {
        Ok([0]) => {}
        _ => return Err(Untested("the broker takes no topic of 65,535 bytes, as it may".to_owned()).into()),
    }
    b.client()?.publish(Publish::new(&long, 1, "x"))?;
    let message = reader.receive()?;
    ensure!(message.topic == long.as_bytes(), "a topic of {} bytes came", message.topic.len());
    Ok(())
}

pub fn filter_is_utf8(b: &Broker) -> Result<()> {
    let mut filter = b.topic("").into_bytes();
    filter.extend_from_slice(b"\xC3\x28");
    for (what, first, body) in [
        ("SUBSCRIBE", 0x82, packet::subscribe_body(b.version(), 1, &[(&filter, 0)], &Vec::new())),
        ("UNSUBSCRIBE", 0xA2, packet::unsubscribe_body(b.version(), 1, &[&filter])),
    ] {
        b.must_close_on(&format!("{what} with a filter that is not UTF-8"), &packet::frame(first, &body))?;
    }
    Ok(())
}
