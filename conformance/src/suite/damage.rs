//! Damaged files: the server refuses to start, says where and what to do, and deletes nothing. Backup under load, restore
//! and rebuild bring back what they should.
//!
//! From outside only this is known of the data directory: log segments are `*.log` files, the store has a file `db`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::Report;
use super::load::{self, Senders};
use crate::check::{Ack, Event};
use crate::server::{Options, Refusal, Server};

/// What is done to a data directory.
type Damage = fn(&Path) -> Result<PathBuf>;

/// All cases, each on a copy of the same data.
pub fn run(report: &mut Report) {
    let log: [(&str, Damage); 3] = [
        ("a bit flipped in the middle of the log", |data| flip_bit(&log_segment(data)?)),
        ("a log segment cut in the middle", |data| cut_in_half(&log_segment(data)?)),
        ("an empty log segment", |data| cut_to(&log_segment(data)?, 0)),
    ];
    let store: [(&str, Damage); 3] = [
        ("a bit flipped in the middle of the store", |data| flip_bit(&store_file(data)?)),
        ("the store cut in the middle", |data| cut_in_half(&store_file(data)?)),
        ("a store of zeros", |data| zero(&store_file(data)?)),
    ];
    match Specimen::make() {
        Err(error) => report.check("damage: data to be damaged", || Err(error)),
        Ok(specimen) => {
            for (name, damage) in log {
                report.check(&format!("damage: {name}"), || specimen.must_be_refused(damage));
            }
            for (name, damage) in store {
                report.check(&format!("damage: {name}"), || specimen.refused_or_intact(damage));
            }
            report.check("damage: a torn tail of the log is cut", || specimen.torn_tail());
            report.check("damage: rebuild after the loss of the store", || specimen.rebuild());
        }
    }
    report.check("damage: data that another server uses", in_use);
    report.check("damage: backup under load, and restore", backup_and_restore);
}

/// Data with a history, of a server that was killed, and the acks of it.
struct Specimen {
    data: tempfile::TempDir,
    acks: Vec<Ack>,
}

impl Specimen {
    fn make() -> Result<Specimen> {
        let mut server = Server::start(Options::new().without_rates())?;
        let senders = Senders::start(&server, "lobby", 2, 16)?;
        let mut watcher = load::join(&server, "watcher")?;
        while senders.acked() < 3000 {
            watcher.pump(Duration::from_millis(10))?;
        }
        let acks = senders.stop()?;
        server.kill()?;
        let data = tempfile::Builder::new().prefix("hallway-specimen-").tempdir()?;
        copy_tree(server.data(), data.path())?;
        Ok(Specimen { data, acks })
    }

    /// A server, not started yet, on a copy.
    fn copy(&self) -> Result<Server> {
        let server = Server::prepare(Options::new().without_rates())?;
        copy_tree(self.data.path(), server.data())?;
        Ok(server)
    }

    /// Everything acked is there.
    fn verify(&self, server: &Server) -> Result<Vec<Event>> {
        let mut judge = load::join(server, "judge")?;
        let stored = load::history(&mut judge, "lobby")?;
        load::verify(&stored, &self.acks)?;
        Ok(stored)
    }

    fn must_be_refused(&self, damage: Damage) -> Result<String> {
        let mut server = self.copy()?;
        let damaged = damage(server.data())?;
        let before = listing(server.data())?;
        let refusal = server.expect_refusal()?;
        self.after_refusal(&mut server, &refusal, &before, &damaged)
    }

    /// What the store has lost may be replayed from the log, and not every bit of it is in use: so it may start when all is
    /// there. What it may not is to start with less, or with something else.
    fn refused_or_intact(&self, damage: Damage) -> Result<String> {
        let mut server = self.copy()?;
        let damaged = damage(server.data())?;
        let before = listing(server.data())?;
        match server.try_start()? {
            Some(refusal) => self.after_refusal(&mut server, &refusal, &before, &damaged),
            None => Ok(format!("started, all {} events intact", self.verify(&server)?.len())),
        }
    }

    fn after_refusal(&self, server: &mut Server, refusal: &Refusal, before: &Listing, damaged: &Path) -> Result<String> {
        let line = clear_error(refusal, server.data())?;
        nothing_deleted(before, server.data())?;
        // What the owner does next: put the file back.
        let name = damaged.strip_prefix(server.data())?;
        fs::copy(self.data.path().join(name), damaged)?;
        server.restart().context("with the damaged file put back")?;
        self.verify(server)?;
        Ok(format!("refused: {line}"))
    }

    /// The start of an append that was not finished, well behind the last whole one.
    fn torn_tail(&self) -> Result<String> {
        let mut server = self.copy()?;
        let segment = log_segments(server.data())?.pop().context("no log segment")?;
        let bytes = fs::read(&segment)?;
        let used = used_bytes(&bytes);
        let at = (used + 64).next_multiple_of(8);
        // It begins as an append does: as the first one, behind the 64 bytes of the segment's header.
        let torn: Vec<u8> = bytes[64..64 + 60].to_vec();
        ensure!(at + torn.len() < bytes.len(), "the last segment has no room for a tail");
        OpenOptions::new().write(true).open(&segment)?.write_all_at(&torn, at as u64)?;
        server.restart()?;
        let stored = self.verify(&server)?;
        load::join(&server, "alice")?.call_ok("message.send", &load::draft("lobby", "after", "after the tail"))?;
        server.kill()?;
        server.restart()?;
        ensure!(self.verify(&server)?.len() > stored.len(), "what was sent after the cut is gone");
        Ok(format!("{} events kept", stored.len()))
    }

    fn rebuild(&self) -> Result<String> {
        let mut server = self.copy()?;
        cut_in_half(&store_file(server.data())?)?;
        server.cli_ok(&["rebuild"])?;
        server.restart()?;
        let stored = self.verify(&server)?;
        Ok(format!("{} events replayed", stored.len()))
    }
}

// ---- Refusals ----

/// An error for people: names a file of the data, and is no panic.
fn clear_error(refusal: &Refusal, data: &Path) -> Result<String> {
    let Refusal { status, stderr } = refusal;
    ensure!(!status.success(), "the exit status is {status}");
    ensure!(status.code().is_some(), "ended by a signal: {status}");
    ensure!(!stderr.contains("panicked"), "a panic is no clear error:\n{stderr}");
    let data = data.to_string_lossy();
    let names_it = |line: &&str| line.contains(data.as_ref()) || line.contains(".log");
    let line = stderr.lines().rev().find(names_it).with_context(|| format!("stderr names no file of the data:\n{stderr}"))?;
    Ok(line.trim().to_owned())
}

type Listing = BTreeMap<PathBuf, u64>;

fn listing(directory: &Path) -> Result<Listing> {
    let mut files = Listing::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files.extend(listing(&entry.path())?);
        } else if kind.is_file() {
            files.insert(entry.path(), entry.metadata()?.len());
        }
    }
    Ok(files)
}

fn nothing_deleted(before: &Listing, data: &Path) -> Result<()> {
    let after = listing(data)?;
    for (path, bytes) in before {
        match after.get(path) {
            None => bail!("{} was deleted", path.display()),
            Some(now) => ensure!(now >= bytes, "{} was cut from {bytes} to {now} bytes", path.display()),
        }
    }
    Ok(())
}

fn in_use() -> Result<String> {
    let first = Server::start(Options::new())?;
    let mut second = Server::prepare(Options::new().data(first.data()))?;
    let refusal = second.expect_refusal()?;
    let line = clear_error(&refusal, first.data())?;
    ensure!(["in use", "lock", "another"].iter().any(|word| line.contains(word)), "it does not say that the data is in use: {line}");
    load::join(&first, "alice")?.call_ok("message.send", &load::draft("lobby", "m", "still here"))?;
    Ok(line)
}

// ---- Backup and restore ----

fn backup_and_restore() -> Result<String> {
    let server = Server::start(Options::new().without_rates())?;
    let senders = Senders::start(&server, "lobby", 4, 16)?;
    let mut judge = load::join(&server, "judge")?;
    let before = load::history(&mut judge, "lobby")?;
    while senders.acked() < 2000 {
        judge.pump(Duration::from_millis(10))?;
    }
    let head = |events: &[Event]| events.last().map_or(0, |event| event.seq);
    let early = load::history(&mut judge, "lobby")?;
    ensure!(head(&early) > head(&before), "nothing was sent before the backup");
    let file = server.scratch().join("backup");
    let path = file.to_string_lossy().into_owned();
    let acked = senders.acked();
    server.cli_ok(&["backup", &path])?;
    ensure!(senders.acked() > acked, "nobody was served while the backup was made");
    let acks = senders.stop()?;
    let original = load::history(&mut judge, "lobby")?;
    load::verify(&original, &acks)?;

    let mut restored = Server::prepare(Options::new())?;
    restored.cli_ok(&["restore", &path])?;
    restored.restart()?;
    let mut reader = load::join(&restored, "reader")?;
    let epochs = [epoch(&mut judge)?, epoch(&mut reader)?];
    ensure!(epochs[0] != epochs[1], "the restored conference has the same epoch");
    let stored = load::history(&mut reader, "lobby")?;
    ensure!(head(&stored) >= head(&early), "the backup ends at {}, though {} was stored before it began", head(&stored), head(&early));
    ensure!(head(&stored) <= head(&original), "the backup has more than there ever was");
    load::verify(&stored, &[])?;
    let texts = |events: &[Event]| -> Vec<Option<String>> { events.iter().map(|event| event.text.clone()).collect() };
    ensure!(texts(&stored) == texts(&original[..stored.len()]), "the restored history is another one");
    Ok(format!("{} of {} events in the backup", stored.len(), original.len()))
}

fn epoch(client: &mut crate::client::Client) -> Result<serde_json::Value> {
    Ok(client.call_ok("conversation.subscribe", &json!({"conversation": "help"}))?["epoch"].clone())
}

// ---- Files ----

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    // The control socket is in a directory that only its owner may enter.
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// By name, which is by age.
fn log_segments(data: &Path) -> Result<Vec<PathBuf>> {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    let mut segments: Vec<PathBuf> = listing(data)?.into_keys().filter(is_segment).collect();
    segments.sort();
    Ok(segments)
}

fn log_segment(data: &Path) -> Result<PathBuf> {
    log_segments(data)?.into_iter().next().with_context(|| format!("no *.log file in {}", data.display()))
}

fn store_file(data: &Path) -> Result<PathBuf> {
    let files = listing(data)?;
    let found = files.into_keys().find(|path| path.file_name().is_some_and(|name| name == "db"));
    found.with_context(|| format!("no file 'db' in {}", data.display()))
}

/// Up to the last byte that is not zero.
fn used_bytes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn flip_bit(path: &Path) -> Result<PathBuf> {
    let bytes = fs::read(path)?;
    let at = used_bytes(&bytes) / 2;
    ensure!(at > 0, "{} is empty", path.display());
    OpenOptions::new().write(true).open(path)?.write_all_at(&[bytes[at] ^ 0x10], at as u64)?;
    Ok(path.to_owned())
}

fn cut_in_half(path: &Path) -> Result<PathBuf> {
    let bytes = fs::read(path)?;
    cut_to(path, used_bytes(&bytes) as u64 / 2)
}

fn cut_to(path: &Path, bytes: u64) -> Result<PathBuf> {
    OpenOptions::new().write(true).open(path)?.set_len(bytes)?;
    Ok(path.to_owned())
}

fn zero(path: &Path) -> Result<PathBuf> {
    let bytes = fs::metadata(path)?.len();
    File::create(path)?.write_all_at(&vec![0; usize::try_from(bytes)?], 0)?;
    Ok(path.to_owned())
}
