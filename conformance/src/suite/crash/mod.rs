//! SIGKILL at random moments under load: over WebSocket alone, and over all protocols in the same conversations. Senders retry what was not
//! acked, readers resume; after every restart the whole history must hold every ack and everything that any reader saw, and in the end
//! everybody has read all of it, in one order.
//!
//! A round: start, verify, load, kill. Conversations change every [`ROUNDS_PER_ERA`] rounds, so that verifying stays quick;
//! at the end all of them are verified once more. Everything random comes from one seed.
//!
//! - [`cast`]: who plays, and what is asked of them.
//! - [`sender`]: sends, edits, deletes, reacts over WebSocket; keeps what was promised. [`reader`]: follows; keeps what was seen.
//! - [`drafts`]: what is promised over protocols without seqs: [`mqtt`], [`xmpp`].

mod cast;
mod drafts;
mod mqtt;
mod reader;
mod sender;
mod xmpp;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Report;
use super::load;
use crate::check::{self, Event, Violation};
use crate::server::Server;
use cast::{Addresses, Cast, Heads, Reading, Sending};

const CHANNELS: usize = 3;
const ROUNDS_PER_ERA: usize = 10;
/// The load lives so long before the kill, in ms.
const LIFE_MS: std::ops::Range<u64> = 5..700;

/// Kills the server so many times, with each cast.
pub fn run(kills: usize, seed: u64, report: &mut Report) {
    println!("      crash: seed {seed}");
    for cast in [cast::WEBSOCKET, cast::EVERYWHERE] {
        run_with(cast, kills, seed, report);
    }
}

fn run_with(cast: Cast, kills: usize, seed: u64, report: &mut Report) {
    report.check(&format!("{}: {kills} kills", cast.title), || {
        let mut drama = Drama::new(cast, seed)?;
        drama.play(kills).map_err(|error| match drama.write_trace(&error) {
            Ok(path) => {
                anyhow!("seed {seed}, round {}: {error:#}\ntrace: {}\n{}", drama.round, path.display(), drama.server.stderr_tail(15))
            }
            Err(no_trace) => anyhow!("seed {seed}, round {}: {error:#}\n(no trace: {no_trace})", drama.round),
        })
    });
}

struct Drama {
    cast: Cast,
    rng: StdRng,
    server: Server,
    senders: Vec<Box<dyn Sending>>,
    readers: Vec<Box<dyn Reading>>,
    round: usize,
    killed_while_starting: usize,
    // Rounds in which something was acked.
    lively_rounds: usize,
}

impl Drama {
    fn new(cast: Cast, seed: u64) -> Result<Drama> {
        let mut rng = StdRng::seed_from_u64(seed);
        let server = cast.server()?;
        let senders = cast.senders(&server, rng.random())?;
        let readers = cast.readers(&server)?;
        Ok(Drama { cast, rng, server, senders, readers, round: 0, killed_while_starting: 0, lively_rounds: 0 })
    }

    fn play(&mut self, kills: usize) -> Result<String> {
        while self.round < kills {
            let era = self.round / ROUNDS_PER_ERA;
            if self.round.is_multiple_of(ROUNDS_PER_ERA) {
                self.next_era(era)?;
            }
            let before = self.acked();
            self.load_and_kill()?;
            self.lively_rounds += usize::from(self.acked() > before);
            self.round += 1;
            self.start_again()?;
            self.verify(&channels(era))?;
            if self.round.is_multiple_of(ROUNDS_PER_ERA) || self.round == kills {
                self.settle(&channels(era))?;
            }
        }
        let all: Vec<String> = (0..=(kills.saturating_sub(1)) / ROUNDS_PER_ERA).flat_map(channels).collect();
        self.verify(&all)?;
        self.server.terminate()?;
        self.summary(kills)
    }

    fn acked(&self) -> usize {
        self.senders.iter().map(|sender| sender.sent().acked.values().sum::<usize>()).sum()
    }

    fn next_era(&mut self, era: usize) -> Result<()> {
        for channel in channels(era) {
            self.server.cli_ok(&["channel", "add", &format!("demo/{channel}")])?;
        }
        // What is still unacked belongs to the old channels, and must be kept there.
        self.senders.iter_mut().for_each(|sender| sender.speak_in(&channels(era)));
        self.readers.iter_mut().for_each(|reader| reader.follow(&channels(era)));
        Ok(())
    }

    /// Everybody at once, until the server is killed under them.
    fn load_and_kill(&mut self) -> Result<()> {
        let to = &Addresses::of(&self.server, &self.cast)?;
        let life = Duration::from_millis(self.rng.random_range(LIFE_MS));
        let Drama { senders, readers, server, .. } = self;
        std::thread::scope(|scope| {
            let senders = senders.iter_mut().map(|sender| scope.spawn(move || sender.run(to)));
            let readers = readers.iter_mut().map(|reader| scope.spawn(move || reader.run(to)));
            let threads: Vec<_> = senders.chain(readers).collect();
            // The moment is what is random here; nobody sends on this channel.
            let (_keep, never) = sync_channel::<()>(1);
            let waited = never.recv_timeout(life);
            let lived = server.is_running();
            server.kill()?;
            for thread in threads {
                thread.join().map_err(|_| anyhow!("a thread panicked"))??;
            }
            ensure!(lived?, "the server ended by itself");
            ensure!(waited == Err(RecvTimeoutError::Timeout), "the wait for the kill ended early");
            Ok(())
        })
    }

    /// Now and then the server is killed while it recovers, too.
    fn start_again(&mut self) -> Result<()> {
        while self.rng.random_ratio(1, 5) {
            let delay = Duration::from_millis(self.rng.random_range(1..150));
            self.server.kill_while_starting(delay)?;
            self.killed_while_starting += 1;
        }
        self.server.restart()
    }

    /// Lets the senders finish what was not acked when the last kill came, and the readers read all of it.
    fn settle(&mut self, channels: &[String]) -> Result<()> {
        let to = Addresses::of(&self.server, &self.cast)?;
        for sender in &mut self.senders {
            let name = sender.name();
            sender.finish(&to).with_context(|| format!("{name} finishing"))?;
        }
        let (mut judge, mut heads) = (load::join(&self.server, "judge")?, Heads::new());
        for channel in channels {
            let stored = load::history(&mut judge, channel)?;
            if let Some(head) = stored.iter().rev().find(|event| event.is_message()) {
                heads.insert(channel.clone(), (head.seq, head.id.clone()));
            }
        }
        for reader in &mut self.readers {
            let name = reader.name();
            reader.catch_up(&to, &heads).with_context(|| format!("{name} catching up"))?;
        }
        self.verify(channels)
    }

    // ---- The verdict ----

    fn verify(&mut self, channels: &[String]) -> Result<()> {
        let mut judge = load::join(&self.server, "judge")?;
        for channel in channels {
            let stored = load::history(&mut judge, channel)?;
            let violations = self.violations(channel, &stored);
            if let Some(first) = violations.first() {
                bail!("{channel}: {first} (and {} more violations)", violations.len() - 1);
            }
        }
        Ok(())
    }

    fn violations(&self, channel: &str, stored: &[Event]) -> Vec<Violation> {
        let mut violations = check::history(stored);
        violations.extend(check::deletions(stored));
        violations.extend(self.senders.iter().flat_map(|sender| sender.violations(channel, stored)));
        violations.extend(self.readers.iter().flat_map(|reader| reader.violations(channel, stored)));
        violations
    }

    /// What was done, provided that it was enough to mean something.
    fn summary(&self, kills: usize) -> Result<String> {
        let mut done: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut retried, mut repeated) = (0, 0);
        for sender in &self.senders {
            let sent = sender.sent();
            sender.is_enough()?;
            let acked: usize = sent.acked.values().sum();
            ensure!(acked > kills, "only {acked} of {} were acked in {kills} rounds", sender.name());
            sent.acked.iter().for_each(|(kind, count)| *done.entry(kind).or_default() += count);
            (retried, repeated) = (retried + sent.retried, repeated + sent.repeated);
        }
        for kind in ["message", "edit", "delete", "react"] {
            ensure!(
                done.get(kind).is_some_and(|count| *count > kills),
                "only {:?} of '{kind}' were acked in {kills} rounds",
                done.get(kind)
            );
        }
        let (mut seen, mut resumed) = (0, 0);
        for reader in &self.readers {
            reader.is_enough()?;
            let (count, behind) = reader.seen();
            ensure!(count > kills, "{} saw only {count}", reader.name());
            (seen, resumed) = (seen + count, resumed + behind);
        }
        ensure!(retried > 0, "nothing was retried");
        ensure!(repeated > kills, "only {repeated} acked messages were sent again");
        ensure!(resumed > 0, "no reader ever had something to catch up with");
        ensure!(self.lively_rounds * 2 >= kills, "something was acked in only {} of {kills} rounds", self.lively_rounds);
        Ok(format!(
            "{done:?} acked; {retried} retried unacked, {repeated} sent again; {seen} events seen, {resumed} caught up; {} kills during recovery",
            self.killed_while_starting
        ))
    }

    /// All that was promised and seen, one line each.
    fn write_trace(&mut self, error: &anyhow::Error) -> Result<PathBuf> {
        self.server.keep();
        let (file, path) = tempfile::Builder::new().prefix("crash-trace-").suffix(".txt").tempfile()?.keep()?;
        let mut out = std::io::BufWriter::new(file);
        writeln!(out, "{error:#}\nround {}, data {}", self.round, self.server.data().display())?;
        for sender in &self.senders {
            let name = sender.name();
            sender.trace().iter().try_for_each(|line| writeln!(out, "{name}: {line}"))?;
        }
        for reader in &self.readers {
            let name = reader.name();
            reader.trace().iter().try_for_each(|line| writeln!(out, "{name}: {line}"))?;
        }
        out.flush().context("the trace")?;
        Ok(path)
    }
}

fn channels(era: usize) -> Vec<String> {
    (0..CHANNELS).map(|at| format!("era{era}-{at}")).collect()
}
