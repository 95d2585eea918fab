//! Many of something, and too little of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{GONE_WITHIN, is_served, ping, sign_in};
use crate::server::Server;
use crate::suite::Report;
use crate::suite::load::mib;
use crate::xmpp::client::{Client, Endpoints, Over, Seen};
use crate::xmpp::script::world::register;

/// Connections that say nothing.
const SILENT: usize = 50;
/// Connections that say it slowly.
const SLOW: usize = 5;
/// Stanzas in one go.
const STANZAS: usize = 20_000;
/// Joins of one room.
const JOINS: usize = 5_000;
/// By how many people.
const JOINERS: usize = 50;
/// In what time.
const JOINS_WITHIN: Duration = Duration::from_secs(60);
/// What they may cost.
const JOINS_BYTES: u64 = 64 << 20;

/// All floods, one after the other.
pub fn run(server: &Server, to: &Endpoints, report: &mut Report) {
    report.check("hostile XMPP: silence", || silence(to, |_| Ok(())));
    report.check("hostile XMPP: silence after the header", || silence(to, Client::start));
    report.check("hostile XMPP: one byte at a time", || slow_bytes(to));
    report.check("hostile XMPP: 20,000 stanzas that are refused", || refusals(server, to));
    report.check("hostile XMPP: 20,000 questions whose answers nobody reads", || unread(server, to));
    report.check("hostile XMPP: 5,000 joins of one room", || joins(server, to));
    report.check("hostile XMPP: passwords without end", || passwords(to));
}

/// Who never signs in is sent away.
fn silence(to: &Endpoints, first: impl Fn(&mut Client) -> Result<()>) -> Result<String> {
    let mut clients = Vec::new();
    for _ in 0..SILENT {
        let mut client = Client::open(to, Over::Tcp)?;
        first(&mut client)?;
        clients.push(client);
    }
    is_served(to)?;
    let start = Instant::now();
    let mut told = 0;
    for mut client in clients {
        let condition = client.expect_end(GONE_WITHIN.saturating_sub(start.elapsed()))?;
        told += usize::from(condition.is_some());
    }
    is_served(to)?;
    Ok(format!("{SILENT} gone after {:.0} s, {told} were told why", start.elapsed().as_secs_f64()))
}

/// A header that comes so slowly that it is never whole.
fn slow_bytes(to: &Endpoints) -> Result<String> {
    let mut clients = (0..SLOW).map(|_| Client::open(to, Over::Tcp)).collect::<Result<Vec<_>>>()?;
    let header = format!("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{}'", "x".repeat(2000));
    let start = Instant::now();
    for byte in header.as_bytes().chunks(1) {
        let mut open = Vec::new();
        for mut client in clients {
            client.throw(byte);
            // The pace is a wait for the end.
            match client.see(Duration::from_millis(200))? {
                Seen::Nothing | Seen::Header(_) => open.push(client),
                Seen::Element(_) | Seen::End | Seen::Closed => {}
            }
        }
        clients = open;
        if clients.is_empty() {
            is_served(to)?;
            return Ok(format!("all gone after {:.0} s", start.elapsed().as_secs_f64()));
        }
        ensure!(start.elapsed() < GONE_WITHIN, "{} of {SLOW} are still there after {GONE_WITHIN:?}", clients.len());
    }
    bail!("the header was over before the server lost its patience")
}

/// Each is refused, in order; or the stream is ended for it. Others are served meanwhile.
fn refusals(server: &Server, to: &Endpoints) -> Result<String> {
    let mut client = sign_in(to, "mallory", "flood")?;
    let before = server.rss_bytes()?;
    let mut answered = 0;
    for chunk in 0..STANZAS / 500 {
        let stanzas: String = (0..500)
            .map(|at| format!("<iq type='get' id='f{}' to='localhost'><x xmlns='urn:example:none'/></iq>", chunk * 500 + at))
            .collect();
        client.throw(stanzas.as_bytes());
        for at in 0..500 {
            match client.see(super::WITHIN)? {
                Seen::Element(element) if element.attr("id") == Some(format!("f{}", chunk * 500 + at).as_str()) => answered += 1,
                Seen::Element(element) if element.name == "error" => return Ok(format!("the stream ended after {answered}: {element}")),
                other => bail!("instead of answer {answered} came {other:?}"),
            }
        }
    }
    is_served(to)?;
    Ok(format!("all answered; memory from {} to {}", mib(before), mib(server.rss_bytes()?)))
}

/// The server stops reading from one who does not read, or sends them away; it does not collect answers.
fn unread(server: &Server, to: &Endpoints) -> Result<String> {
    let client = sign_in(to, "mallory", "deaf")?;
    let before = server.rss_bytes()?;
    let mut writer = client.link().socket().try_clone()?;
    writer.set_write_timeout(Some(Duration::from_secs(3)))?;
    let padding = "x".repeat(500);
    let mut sent = 0;
    for at in 0..STANZAS {
        let stanza = format!("<iq type='get' id='u{at}-{padding}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
        if std::io::Write::write_all(&mut writer, stanza.as_bytes()).is_err() {
            break;
        }
        sent += 1;
    }
    let during = server.rss_bytes()?;
    ensure!(during <= before + (24 << 20), "memory rose from {} to {}", mib(before), mib(during));
    is_served(to)?;
    client.cut();
    Ok(format!("{sent} were taken; memory from {} to {}", mib(before), mib(during)))
}

/// People who enter and leave as fast as they are let; each hears of the others.
fn joins(server: &Server, to: &Endpoints) -> Result<String> {
    let mut clients = Vec::new();
    for at in 0..JOINERS {
        let name = format!("joiner{at}");
        register(server, &name)?;
        clients.push((sign_in(to, &name, "desk")?, name));
    }
    let before = server.rss_bytes()?;
    let (start, mut peak, mut entered, mut refused) = (Instant::now(), before, 0, 0);
    for round in 0..JOINS / JOINERS {
        let id = format!("r{round}");
        for (client, name) in &mut clients {
            let to_room = format!("to='lobby@rooms.localhost/{name}'");
            let join = format!("<presence {to_room}><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>");
            let ping = format!("<iq type='get' id='{id}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
            client.throw(format!("{join}{ping}<presence type='unavailable' {to_room}/>").as_bytes());
        }
        for (client, _) in &mut clients {
            client.expect_where("the end of a join", |element| {
                refused += usize::from(element.name == "presence" && element.attr("type") == Some("error"));
                entered += usize::from(element.name == "message" && element.child("subject").is_some());
                element.name == "iq" && element.attr("id") == Some(id.as_str())
            })?;
        }
        peak = peak.max(server.rss_bytes()?);
        ensure!(start.elapsed() < JOINS_WITHIN, "only {} joins in {JOINS_WITHIN:?}", round * JOINERS);
    }
    let took = start.elapsed();
    ensure!(peak <= before + JOINS_BYTES, "memory rose from {} to {}", mib(before), mib(peak));
    is_served(to)?;
    for (client, _) in clients {
        client.close()?;
    }
    let ghosts = left_behind(to)?;
    ensure!(ghosts.is_empty(), "who has left is still there: {ghosts:?}");
    // The answer to a question may come before a room's last words, once for each.
    ensure!(entered + refused + JOINERS >= JOINS, "of {JOINS} joins {entered} were answered and {refused} refused");
    Ok(format!("in {:.1} s, {entered} entered, {refused} refused; memory from {} to {}", took.as_secs_f64(), mib(before), mib(peak)))
}

/// Joiners whom one who enters now is told of.
fn left_behind(to: &Endpoints) -> Result<Vec<String>> {
    let mut last = sign_in(to, "alice", "looks")?;
    last.send("<presence to='lobby@rooms.localhost/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")?;
    let mut ghosts = Vec::new();
    last.expect_where("the subject", |element| {
        if element.name == "presence" && element.attr("from").is_some_and(|from| from.contains("/joiner")) {
            ghosts.push(element.to_string());
        }
        element.name == "message" && element.child("subject").is_some()
    })?;
    last.close()?;
    Ok(ghosts)
}

/// [RFC 6120 §6.4.4]: the stream ends after a few failures.
fn passwords(to: &Endpoints) -> Result<String> {
    let mut client = Client::greet(to, Over::Tcp)?;
    for at in 0..20 {
        client.throw(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHdyb25n</auth>");
        match client.see(super::WITHIN).context("waiting for a failure")? {
            Seen::Element(element) if element.name == "failure" => {}
            Seen::Element(element) if element.name == "error" => return Ok(format!("the stream ended after {at}")),
            Seen::End | Seen::Closed => return Ok(format!("the stream ended after {at}")),
            other => bail!("after {at} passwords came {other:?}"),
        }
    }
    let mut other = sign_in(to, "alice", "other")?;
    ping(&mut other, to, "p")?;
    bail!("20 passwords on one stream")
}
