//! How long until `ready` when much is stored.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::drive::{Time, Window};
use crate::ingest::Ingest;
use crate::meter::{disk_bytes, rss_bytes};
use crate::options::Options;
use crate::report::{Report, Table, median_of, mib};

const SENDERS: usize = 1_000;
const OUTSTANDING_PER_SENDER: usize = 16;
/// What was stored last may still be on its way from log to state.
const STOP_WITHIN: Duration = Duration::from_secs(300);
/// Lets a start's background work end before the next stop.
const SETTLE: Duration = Duration::from_secs(2);

struct Round {
    ready_s: f64,
    rss_bytes: f64,
    settled_rss_bytes: f64,
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let (Ingest { stage, drive, .. }, stored) = filled(options)?;
    drop(drive);
    let mut server = stage.server;
    let data = server.data().to_owned();
    let mut rounds = Vec::new();
    for _ in 0..options.rounds_or(3) {
        if options.kill {
            server.kill()?;
        } else {
            server.signal_terminate()?;
            let status = server.wait(STOP_WITHIN)?;
            ensure!(status.success(), "after SIGTERM the server ended with {status}");
        }
        if options.drop_caches {
            drop_caches()?;
        }
        let start = Instant::now();
        server.restart()?;
        let ready_s = start.elapsed().as_secs_f64();
        let rss = rss_bytes(&server);
        std::thread::sleep(SETTLE);
        rounds.push(Round { ready_s, rss_bytes: rss, settled_rss_bytes: rss_bytes(&server) });
    }
    let ready_s = median_of(&rounds, |round| round.ready_s);
    let mut table = Table::new(&["events", "ready after s", "RSS then MiB", "2 s later", "data MiB", "target for 10 M"]);
    table.row(vec![
        stored.to_string(),
        format!("{ready_s:.2}"),
        mib(median_of(&rounds, |round| round.rss_bytes)),
        mib(median_of(&rounds, |round| round.settled_rss_bytes)),
        mib(disk_bytes(&data) as f64),
        "≤ 5 s, ≤ 512 MiB".into(),
    ]);
    let how = if options.kill { "SIGKILL" } else { "SIGTERM" };
    let cache = if options.drop_caches { "dropped" } else { "warm" };
    let note = format!("stopped with {how}, started again; page cache {cache}");
    let each: Vec<_> = rounds.iter().map(|round| json!({ "ready_s": round.ready_s, "rss_bytes": round.rss_bytes })).collect();
    report.add("coldstart", &note, &table, json!({ "events": stored, "ready_s": ready_s, "rounds": each }));
    Ok(())
}

/// A server with at least `--events` events, and how many; a data directory that was filled before is only topped up.
fn filled(options: &Options) -> Result<(Ingest, u64)> {
    let mut ingest = Ingest::prepare(options, SENDERS, &[("limits.messages_per_second", "0")])?;
    let file = count_file(options);
    let mut stored = file.as_ref().and_then(|file| fs::read_to_string(file).ok()).map_or(0, |count| count.trim().parse().unwrap_or(0));
    let start = Instant::now();
    while stored < options.events {
        let before = ingest.drive.load.next_number();
        // In slices, to say how it goes; what a slice stored is what it sent, since it ends with nothing outstanding.
        ingest.drive.closed_loop(Window::PerSender(OUTSTANDING_PER_SENDER), Time::new(0.0, 5.0))?;
        stored += ingest.drive.load.next_number() - before;
        let rate = stored as f64 / start.elapsed().as_secs_f64();
        eprintln!("{stored} of {} events stored, {rate:.0}/s", options.events);
        if let Some(file) = &file {
            fs::write(file, stored.to_string())?;
        }
    }
    Ok((ingest, stored))
}

/// Beside the data, not in it.
fn count_file(options: &Options) -> Option<PathBuf> {
    let data = options.data.as_ref()?;
    let mut name = data.file_name()?.to_owned();
    name.push(".bench-events");
    Some(data.with_file_name(name))
}

fn drop_caches() -> Result<()> {
    // Dirty pages cannot be dropped.
    Command::new("sync").status()?;
    fs::write("/proc/sys/vm/drop_caches", "3")?;
    Ok(())
}
