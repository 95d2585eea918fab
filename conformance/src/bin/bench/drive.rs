//! Runs a [`Chatter`] against the server or against the bare relay, closed or open loop, and takes the figures.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::bare::{Bare, Task};
use crate::bare_relay::Relay;
use crate::chatter::{Chatter, Refill};
use crate::latency::{self, Summary};
use crate::meter::{Meter, Used};
use crate::net::{ATTENDING, Net, Speaks};
use crate::pacer::Pacer;
use crate::report::median_of;
use crate::request::{FIRST_NUMBER, SendFrame};
use crate::speech::{Speech, WebSocket};

/// How long what is outstanding may take at the end of a load.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);

/// A load, its connections, and the process at their other end.
pub struct Drive<S = WebSocket> {
    pub net: Net,
    pub load: Chatter<S>,
    pub peer_pid: u32,
    // Ends with the drive.
    _bare: Option<Bare>,
}

/// One round's figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    pub per_s: f64,
    /// Of the whole seconds, the one with the fewest messages.
    pub slowest_s: f64,
    pub ack: Summary,
    pub told: Summary,
    pub used: Used,
}

/// How long to load: before measuring, and measured.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    pub warmup: Duration,
    pub measured: Duration,
}

impl Time {
    pub fn new(warmup_s: f64, measured_s: f64) -> Time {
        Time { warmup: Duration::from_secs_f64(warmup_s), measured: Duration::from_secs_f64(measured_s) }
    }
}

/// Messages outstanding.
#[derive(Debug, Clone, Copy)]
pub enum Window {
    PerSender(usize),
    InAll(usize),
}

impl Drive {
    /// The same senders against a process that answers with the bytes that this drive's server answered with.
    pub fn bare(&self, frames: &[SendFrame], has_partners: bool) -> Result<Drive> {
        let task = Task::Relay(Relay {
            connections: frames.len(),
            request_bytes: frames[0].len(),
            number_at: frames[0].id_at(),
            answer: self.load.speech.sample_answer.clone(),
            notification: has_partners.then(|| self.load.speech.sample_notification.clone()),
        });
        let bare = Bare::start(&task)?;
        let mut net = Net::new(bare.address())?;
        let conns: Range<usize> = 0..frames.len();
        for _ in conns.clone() {
            net.conns().open(Speaks::WebSocket)?;
        }
        let load = Chatter::new(conns, frames.to_vec(), has_partners, FIRST_NUMBER);
        Ok(Drive { net, load, peer_pid: bare.pid(), _bare: Some(bare) })
    }
}

impl<S: Speech> Drive<S> {
    pub fn server(net: Net, load: Chatter<S>, pid: u32) -> Drive<S> {
        Drive { net, load, peer_pid: pid, _bare: None }
    }

    /// Who is done sends again.
    pub fn closed_loop(&mut self, window: Window, time: Time) -> Result<Figures> {
        match window {
            Window::PerSender(count) => {
                self.load.refill(Refill::Same);
                self.load.send_each(self.net.conns(), count)?;
            }
            Window::InAll(count) => {
                self.load.refill(Refill::Next);
                self.load.send_in_turn(self.net.conns(), count)?;
            }
        }
        self.net.run_for(&mut self.load, time.warmup)?;
        self.load.reset();
        let meter = Meter::start(self.peer_pid);
        let mut slowest_s = f64::MAX;
        while meter.used().seconds < time.measured.as_secs_f64() {
            let before = self.load.done;
            let left = time.measured.saturating_sub(Duration::from_secs_f64(meter.used().seconds));
            let took = self.net.run_for(&mut self.load, left.min(Duration::from_secs(1)))?;
            let per_s = (self.load.done - before) as f64 / took.as_secs_f64();
            // A rest of a second is no sample of its own.
            if took > Duration::from_millis(500) || slowest_s == f64::MAX {
                slowest_s = slowest_s.min(per_s);
            }
        }
        let figures = self.figures(&meter, slowest_s);
        self.drain()?;
        Ok(figures)
    }

    /// `per_second` messages in all, each at its time, whatever became of those before it.
    pub fn open_loop(&mut self, per_second: f64, time: Time) -> Result<Figures> {
        self.load.refill(Refill::Nobody);
        let interval = self.load.schedule(per_second);
        let pacer = Pacer::start(self.net.waker()?, interval.max(Duration::from_micros(200)))?;
        self.keep_to_schedule(time.warmup)?;
        self.load.reset();
        let meter = Meter::start(self.peer_pid);
        self.keep_to_schedule(time.measured)?;
        let figures = self.figures(&meter, 0.0);
        drop(pacer);
        self.load.end_schedule();
        self.drain()?;
        Ok(figures)
    }

    fn keep_to_schedule(&mut self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.load.send_due(self.net.conns())?;
            self.net.turn(Duration::from_millis(5), &mut self.load)?;
        }
        Ok(())
    }

    fn figures(&mut self, meter: &Meter, slowest_s: f64) -> Figures {
        let used = meter.used();
        Figures {
            per_s: self.load.done as f64 / used.seconds,
            slowest_s,
            ack: self.load.ack.summary(),
            told: self.load.told.summary(),
            used,
        }
    }

    /// Answers what came while others were measured: a ping that waits too long ends a connection.
    pub fn attend(&mut self) -> Result<()> {
        self.net.run_for(&mut self.load, ATTENDING).map(drop)
    }

    /// Until everything outstanding is done, once: what is lost shows here.
    pub fn drain(&mut self) -> Result<()> {
        self.load.refill(Refill::Nobody);
        self.net.run(&mut self.load, DRAIN_WITHIN, "the last messages", |load| load.outstanding == 0)?;
        Ok(())
    }
}

/// Each figure's median over the rounds.
pub fn medians(rounds: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| median_of(rounds, figure);
    Figures {
        per_s: of(|f| f.per_s),
        slowest_s: of(|f| f.slowest_s),
        ack: latency::medians(&rounds.iter().map(|f| f.ack).collect::<Vec<_>>()),
        told: latency::medians(&rounds.iter().map(|f| f.told).collect::<Vec<_>>()),
        used: Used { peer_cores: of(|f| f.used.peer_cores), own_cores: of(|f| f.used.own_cores), seconds: of(|f| f.used.seconds) },
    }
}

impl Figures {
    pub fn json(&self) -> Value {
        json!({
            "per_s": self.per_s, "slowest_s_per_s": self.slowest_s, "ack": self.ack.json(), "told": self.told.json(),
            "peer_cores": self.used.peer_cores, "generator_cores": self.used.own_cores, "seconds": self.used.seconds,
        })
    }
}
