//! SIGKILL while people enter, talk and read archives: what was reflected is in the archive, once, in the order in which it was seen.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::sign_in;
use crate::server::{Options, Server};
use crate::xmpp::client::{Client, Endpoints, Seen};
use crate::xmpp::script::world::register;

const ROOM: &str = "lobby@rooms.localhost";
/// Messages on their way.
const WINDOW: usize = 20;

/// A message whose reflection came: the sender's id and the room's.
type Acked = (String, String);

/// Kills the server so many times.
pub fn run(kills: usize) -> Result<String> {
    let mut server = Server::start(Options::new().xmpp().without_rates())?;
    for name in ["alice", "bob", "carol"] {
        register(&server, name)?;
    }
    let (mut acked, mut joins, mut queries): (Vec<Acked>, usize, usize) = (Vec::new(), 0, 0);
    for round in 0..kills {
        let to = server.xmpp_endpoints()?;
        let life = Duration::from_millis(rand::random_range(100..700));
        let killed = Arc::new(AtomicBool::new(false));
        let sender = spawn(&to, &killed, move |to, killed| talk(to, round, killed));
        let joiner = spawn(&to, &killed, join_and_leave);
        let reader = spawn(&to, &killed, query);
        live(&server, life)?;
        killed.store(true, Ordering::Relaxed);
        server.kill()?;
        acked.extend(joined(sender)?);
        joins += joined(joiner)?;
        queries += joined(reader)?;
        server.restart()?;
    }
    ensure!(
        !acked.is_empty() && joins > 0 && queries > 0,
        "{} messages, {joins} joins, {queries} queries: too little was going on",
        acked.len()
    );
    verify(&server.xmpp_endpoints()?, &acked)?;
    server.terminate()?;
    Ok(format!("{kills} kills; {} messages, {joins} joins, {queries} pages; all that was acknowledged is there", acked.len()))
}

type Player<T> = std::thread::JoinHandle<Result<T>>;

fn spawn<T: Send + 'static>(
    to: &Endpoints,
    killed: &Arc<AtomicBool>,
    play: impl FnOnce(&Endpoints, &AtomicBool) -> Result<T> + Send + 'static,
) -> Player<T> {
    let (to, killed) = (to.clone(), Arc::clone(killed));
    std::thread::spawn(move || play(&to, &killed))
}

fn joined<T>(player: Player<T>) -> Result<T> {
    player.join().map_err(|_| anyhow!("a player panicked"))?
}

/// The server runs for that long; a wait for an end that does not come.
fn live(server: &Server, life: Duration) -> Result<()> {
    let to = server.xmpp_endpoints()?;
    let mut watch = Client::open(&to, crate::xmpp::client::Over::Tcp)?;
    let deadline = Instant::now() + life;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        ensure!(watch.see(left)? == Seen::Nothing, "the server ended by itself");
    }
}

fn enter(client: &mut Client, name: &str) -> Result<()> {
    client.send(&format!(
        "<presence to='{ROOM}/{name}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"
    ))?;
    client.expect_where("the subject", |element| element.name == "message" && element.child("subject").is_some())?;
    Ok(())
}

/// What the server took from a stream that it did not survive is no error: `Ok` with what was done until then.
fn until_killed<T>(killed: &AtomicBool, done: T, error: anyhow::Error) -> Result<T> {
    ensure!(killed.load(Ordering::Relaxed), "before the kill: {error:#}");
    Ok(done)
}

fn talk(to: &Endpoints, round: usize, killed: &AtomicBool) -> Result<Vec<Acked>> {
    let mut acked = Vec::new();
    let result: Result<()> = (|| {
        let mut client = sign_in(to, "alice", "talks")?;
        enter(&mut client, "alice")?;
        let (mut sent, mut waiting) = (0, 0);
        loop {
            while waiting < WINDOW {
                client
                    .send(&format!("<message to='{ROOM}' type='groupchat' id='k{round}-{sent}'><body>{round} {sent}</body></message>"))?;
                sent += 1;
                waiting += 1;
            }
            let reflected = client.expect_where("a reflection", |element| element.name == "message" && element.attr("id").is_some())?;
            ensure!(reflected.attr("type") == Some("groupchat"), "refused: {reflected}");
            let id = reflected.attr("id").unwrap_or_default().to_owned();
            let stored = reflected.child_of("stanza-id", "urn:xmpp:sid:0").and_then(|id| id.attr("id")).context("no stanza-id")?;
            acked.push((id, stored.to_owned()));
            waiting -= 1;
        }
    })();
    match result {
        Ok(()) => Ok(acked),
        Err(error) => until_killed(killed, acked, error),
    }
}

fn join_and_leave(to: &Endpoints, killed: &AtomicBool) -> Result<usize> {
    let mut joins = 0;
    let result: Result<()> = (|| {
        let mut client = sign_in(to, "bob", "joins")?;
        loop {
            enter(&mut client, "bob")?;
            joins += 1;
            client.send(&format!("<presence type='unavailable' to='{ROOM}/bob'/>"))?;
            client.expect_where("the end", |element| {
                element.attr("type") == Some("unavailable") && element.attr("from") == Some(&format!("{ROOM}/bob"))
            })?;
        }
    })();
    match result {
        Ok(()) => Ok(joins),
        Err(error) => until_killed(killed, joins, error),
    }
}

fn query(to: &Endpoints, killed: &AtomicBool) -> Result<usize> {
    let mut pages = 0;
    let result: Result<()> = (|| {
        let mut client = sign_in(to, "carol", "reads")?;
        loop {
            page(&mut client, None)?;
            pages += 1;
        }
    })();
    match result {
        Ok(()) => Ok(pages),
        Err(error) => until_killed(killed, pages, error),
    }
}

/// A page of the room's archive: (archive id, sender's id) of each, and whether it was the last.
fn page(client: &mut Client, after: Option<&str>) -> Result<(Vec<Acked>, bool)> {
    let after = after.map_or_else(String::new, |after| format!("<after>{after}</after>"));
    client.send(&format!(
        "<iq type='set' id='page' to='{ROOM}'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max>{after}</set></query></iq>"
    ))?;
    let mut found = Vec::new();
    let end = client.expect_where("a page", |element| {
        if let Some(result) = element.child_of("result", "urn:xmpp:mam:2") {
            let message = result.child("forwarded").and_then(|forwarded| forwarded.child("message"));
            let id = message.and_then(|message| message.attr("id")).unwrap_or_default();
            found.push((id.to_owned(), result.attr("id").unwrap_or_default().to_owned()));
        }
        element.name == "iq" && element.attr("id") == Some("page")
    })?;
    let fin = end.child_of("fin", "urn:xmpp:mam:2").with_context(|| format!("a page ended with {end}"))?;
    Ok((found, fin.attr("complete") == Some("true")))
}

/// Everything acknowledged is in the archive once, and in that order.
fn verify(to: &Endpoints, acked: &[Acked]) -> Result<()> {
    let mut client = sign_in(to, "carol", "verifies")?;
    let mut stored: Vec<Acked> = Vec::new();
    loop {
        let (found, complete) = page(&mut client, stored.last().map(|(_, id)| id.clone()).as_deref())?;
        ensure!(complete || !found.is_empty(), "an empty page that is not the last");
        stored.extend(found);
        if complete {
            break;
        }
    }
    let ids: HashSet<&String> = stored.iter().map(|(_, id)| id).collect();
    ensure!(ids.len() == stored.len(), "an archive id comes twice");
    let mut at = 0;
    for one in acked {
        let found = stored[at..].iter().position(|stored| stored == one);
        at += 1 + found.with_context(|| format!("{one:?} was acknowledged and is not in the archive, or not in that order"))?;
    }
    let senders: HashSet<&String> = stored.iter().map(|(id, _)| id).filter(|id| !id.is_empty()).collect();
    let named = stored.iter().filter(|(id, _)| !id.is_empty()).count();
    ensure!(senders.len() == named, "a message is stored twice");
    Ok(())
}
