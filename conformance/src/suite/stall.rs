//! A reader that stops reading under full load: the server's memory stays bounded, the others do not notice, and when the
//! reader goes on it gets everything in order, once.
//!
//! The same load runs first without the staller, for the comparison.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::Report;
use super::load::{self, Latency, MemoryWatch, Others, Senders, mib};
use crate::check::{Event, reading};
use crate::client::Client;
use crate::server::{Options, Server};

/// Memory over what the same load takes without the staller: outboxes are bounded at 256 KiB, the rest is allowance.
const EXTRA_BYTES: u64 = 32 << 20;
/// Memory under this load at all.
const PEAK_BYTES: u64 = 384 << 20;
/// How long catching up may take, however much was missed.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(180);

const SENDERS: usize = 4;
const WINDOW: usize = 32;

/// One phase of load.
struct Phase {
    latency: Latency,
    peak_bytes: u64,
    acked: u64,
}

/// Stalls for `stall`.
pub fn run(stall: Duration, report: &mut Report) {
    report.check(&format!("stall: a reader stops for {} s", stall.as_secs()), || stalled_reader(stall));
}

fn stalled_reader(stall: Duration) -> Result<String> {
    let mut server = Server::start(Options::new().without_rates())?;
    let calm = phase(&server, "before", stall.min(Duration::from_secs(10)), Duration::MAX)?;
    let mut staller = load::join_with_small_buffer(&server, "staller")?;
    let subscribed = staller.call_ok("conversation.subscribe", &json!({"conversation": "lobby"}))?;
    let after = subscribed["seq"].as_u64().context("no seq")?;
    let stalled = phase(&server, "during", stall, calm.latency.p99 * 2 + Duration::from_millis(50))?;

    let mut other = load::join(&server, "other")?;
    let head = other.call_ok("conversation.history", &json!({"conversation": "lobby", "limit": 1}))?;
    let head = head["events"][0]["seq"].as_u64().context("no head")?;
    ensure!(head >= after + stalled.acked, "{} acked after seq {after}, but the head is {head}", stalled.acked);
    let start = Instant::now();
    catch_up(&mut staller, after, head)?;
    let took = start.elapsed();

    // The reader is live again.
    other.call_ok("message.send", &load::draft("lobby", "live-again", "live again"))?;
    catch_up(&mut staller, head, head + 1)?;
    judge(&calm, &stalled)?;
    server.terminate()?;
    Ok(format!(
        "missed {} events, caught up in {:.1} s; peak {} (without the staller {}); others: {} (without: {})",
        head - after,
        took.as_secs_f64(),
        mib(stalled.peak_bytes),
        mib(calm.peak_bytes),
        stalled.latency,
        calm.latency
    ))
}

/// Load for so long, with the memory watched, and others who are to be answered `within` that.
fn phase(server: &Server, name: &str, length: Duration, within: Duration) -> Result<Phase> {
    let memory = MemoryWatch::start(server)?;
    let senders = Senders::start(server, "lobby", SENDERS, WINDOW)?;
    let before = senders.acked();
    let others = Others::start(server, name)?;
    wait(length)?;
    let acked = senders.acked() - before;
    let latency = others.noticed_nothing(within)?;
    let all = senders.stop()?;
    ensure!(acked > 1000, "only {acked} messages were acked: that is no load");
    Ok(Phase { latency, peak_bytes: memory.stop()?, acked: all.len() as u64 })
}

/// The length of a phase is what is tested here, not a wait for something.
fn wait(length: Duration) -> Result<()> {
    let (_keep, never) = sync_channel::<()>(1);
    match never.recv_timeout(length) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => Ok(()),
        other => Err(anyhow!("{other:?}")),
    }
}

/// Reads on until `head`: without holes, in order, each event once.
fn catch_up(staller: &mut Client, after: u64, head: u64) -> Result<()> {
    let deadline = Instant::now() + CATCH_UP_WITHIN;
    let mut last = after;
    while last < head {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "after {CATCH_UP_WITHIN:?} the reader is at {last}, the head is {head}");
        let first = staller.notification(left).with_context(|| format!("at seq {last} of {head}"))?;
        for notification in std::iter::once(first).chain(staller.take_notifications()) {
            let Some(event) = lobby_event(&notification)? else { continue };
            if let Some(violation) = reading(last, std::slice::from_ref(&event)).first() {
                return Err(anyhow!("{violation}"));
            }
            last = event.seq;
        }
    }
    Ok(())
}

fn lobby_event(notification: &Value) -> Result<Option<Event>> {
    let is_event = matches!(notification["method"].as_str(), Some("message" | "member" | "event"));
    if !is_event {
        return Ok(None);
    }
    ensure!(notification["params"]["conversation"] == "lobby", "an event of another conversation: {notification}");
    Event::parse(&notification["params"]).map(Some)
}

fn judge(calm: &Phase, stalled: &Phase) -> Result<()> {
    let allowed = calm.peak_bytes + EXTRA_BYTES;
    ensure!(stalled.peak_bytes <= allowed, "memory rose to {}, over {}", mib(stalled.peak_bytes), mib(allowed));
    ensure!(stalled.peak_bytes <= PEAK_BYTES, "memory rose to {}, over {}", mib(stalled.peak_bytes), mib(PEAK_BYTES));
    Ok(())
}
