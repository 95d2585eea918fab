//! Badge readers: from a scan, QoS 1, to its result on the reader's own topic, at rising rates until the results come too late, then as fast as
//! it goes. Half of the readers check people in, half let them in and out of sessions.

use anyhow::{Context as _, Result, bail, ensure};
use conformance::mqtt::Version;
use conformance::mqtt::parse;
use serde_json::{Value, json};

use super::broker::{Broker, Credential};
use super::login::{Client, log_in};
use super::packet::{self, Packet, PublishFrame, puback};
use super::speech::Unacked;
use crate::arrivals::GENTLE;
use crate::chatter::Chatter;
use crate::drive::{Drive, Figures, Time, medians};
use crate::http::{Post, post_all};
use crate::net::{Conns, Net};
use crate::options::Options;
use crate::pairs::Load;
use crate::report::{Report, Table, short};
use crate::request::{FIRST_NUMBER, run_word};
use crate::scan::{Key, digits};
use crate::speech::{Heard, Speech};
use crate::stage::{Account, PASSWORD, Stage, login};

/// Badges that are held to readers one after the other: a prime, so that all meet all readers before one meets the same again, long after the debounce.
const BADGES: u64 = 5_003;
/// Scans per second, in all.
const STEPS: [f64; 9] = [250.0, 500.0, 1_000.0, 2_000.0, 3_000.0, 4_000.0, 6_000.0, 8_000.0, 12_000.0];
/// A result is told within that, 99 of 100 times.
const WITHIN_MS: f64 = 50.0;
const HALLS: usize = 5;
const STAFF: &str = "bench-staff";

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let readers = options.clients_or(100);
    let broker = open(options, readers)?;
    let mut drive = connect(&broker, readers, options)?;
    let time = Time::new(options.warmup_s, options.seconds_or(5.0));
    let rounds = options.rounds_or(3);
    let mut table = Table::new(&["load", "scans/s", "result p50/p99/max ms", "PUBACK p50/p99/max ms", "server cores", "generator"]);
    let mut all = Vec::new();
    for load in STEPS.into_iter().map(Load::Open) {
        let figures = measure(&mut drive, load, time, rounds, (&mut table, &mut all))?;
        if figures.told.p99_ms > WITHIN_MS {
            break;
        }
    }
    for window in options.windows_or(&[100]) {
        measure(&mut drive, Load::Closed(window), time, rounds, (&mut table, &mut all))?;
    }
    let note =
        format!("{readers} readers, MQTT {} QoS 1, {BADGES} badges, message rate limit off; result: due → the reader has it", options.v);
    report.add("scans", &note, &table, json!(all));
    Ok(())
}

fn measure(drive: &mut Drive<Readers>, load: Load, time: Time, rounds: usize, told: (&mut Table, &mut Vec<Value>)) -> Result<Figures> {
    let rounds = (0..rounds).map(|_| load.drive(drive, time)).collect::<Result<Vec<_>>>()?;
    let figures = medians(&rounds);
    told.0.row(vec![
        load.name().replace("msg/s", "scans/s"),
        short(figures.per_s),
        figures.told.to_string(),
        figures.ack.to_string(),
        format!("{:.2}", figures.used.peer_cores),
        format!("{:.2}", figures.used.own_cores),
    ]);
    told.1.push(json!({ "load": load.name(), "median": figures.json(), "rounds": rounds.iter().map(Figures::json).collect::<Vec<_>>() }));
    Ok(figures)
}

// ---- The venue ----

/// A server with attendees, their badges, sessions and readers; the accounts are the readers'.
fn open(options: &Options, readers: usize) -> Result<Broker> {
    let mut stage = Stage::start(options, &[("limits.messages_per_second", "0")], 0)?;
    let halls = stage.channels(HALLS)?;
    user(&stage, STAFF, "staff")?;
    let staff = match post_all(stage.target(), &[login(STAFF)])?.pop() {
        Some((200, answer)) => Account { uid: STAFF.into(), token: answer["token"].as_str().unwrap_or_default().into() },
        other => bail!("staff does not get in: {other:?}"),
    };
    let badges = FIRST_NUMBER..FIRST_NUMBER + BADGES;
    let csv: String = badges.fold("name,badge\n".into(), |csv, badge| csv + &format!("Attendee {badge},{}\n", code(badge)));
    let imported = stage.done(&[stage.rpc(&staff, "attendee.import", &json!({ "csv": csv }))])?;
    ensure!(imported[0]["rows"] == BADGES && imported[0]["bad"] == json!([]), "the import says {}", imported[0]);
    stage.accounts = (0..readers).map(|reader| Account { uid: format!("bench-reader{reader:03}"), token: String::new() }).collect();
    for reader in &stage.accounts {
        user(&stage, &reader.uid, "device")?;
    }
    let set = |(number, reader): (usize, &Account)| {
        let params = match number % 2 {
            0 => json!({ "reader": reader.uid, "mode": "checkin" }),
            _ => json!({ "reader": reader.uid, "mode": "session", "conversation": halls[number / 2 % HALLS] }),
        };
        stage.rpc(&staff, "reader.set", &params)
    };
    let posts: Vec<Post> = stage.accounts.iter().enumerate().map(set).collect();
    stage.done(&posts)?;
    Ok(Broker::hallway(stage, options.version()))
}

fn user(stage: &Stage, uid: &str, role: &str) -> Result<()> {
    stage.server.cli_ok(&["user", "add", &format!("demo/{uid}"), "--role", role, "--password", PASSWORD]).map(drop)
}

/// What is printed on a badge.
fn code(number: u64) -> String {
    format!("bench-badge-{number}")
}

// ---- The readers ----

fn connect(broker: &Broker, readers: usize, options: &Options) -> Result<Drive<Readers>> {
    let accounts = broker.stage().map_or(&[][..], |stage| &stage.accounts);
    let topic = |reader: usize, what: &str| format!("conf/demo/badge/{}/{what}", accounts[reader].uid);
    let follow = |reader| Client::new(broker, reader, Credential::Password).follow(broker, &topic(reader, "result"), 1);
    let clients: Vec<Client> = (0..readers).map(follow).collect();
    let payload = format!(r#"{{"badge":"{}","id":"{}-{FIRST_NUMBER}"}}"#, code(FIRST_NUMBER), run_word());
    let frames = (0..readers).map(|reader| PublishFrame::new(broker.version, &topic(reader, "scan"), &payload, false)).collect();
    let mut net = Net::new(broker.plain()?)?;
    let conns = log_in(&mut net, broker.version, &clients, GENTLE)?.conns();
    let load = Chatter::with(Readers::new(options.version(), frames), conns, true, FIRST_NUMBER);
    Ok(Drive::server(net, load, broker.pid()?))
}

/// Scans, each with an id that its result repeats.
struct Readers {
    version: Version,
    frames: Vec<PublishFrame>,
    unacked: Unacked,
    id_key: Key,
    reason_key: Key,
}

impl Readers {
    fn new(version: Version, frames: Vec<PublishFrame>) -> Readers {
        let unacked = Unacked::of(version, frames.len());
        Readers { version, frames, unacked, id_key: Key::new(b"\"id\":\""), reason_key: Key::new(b"\"reason\":\"") }
    }

    /// The scan that a result is of; each was to be stored.
    fn told(&mut self, result: &[u8]) -> Option<u64> {
        let reason = self.reason_key.after(result)?;
        if !reason.starts_with(b"ok\"") && !reason.starts_with(b"already_checked_in\"") {
            return None;
        }
        let id = self.id_key.after(result)?;
        let dash = id.iter().position(|&byte| byte == b'-')?;
        digits(&id[dash + 1..])
    }
}

impl Speech for Readers {
    const HAS_ECHO: bool = false;

    fn senders(&self) -> usize {
        self.frames.len()
    }

    fn listener(&self, sender: usize) -> usize {
        sender
    }

    fn say(&mut self, sender: usize, number: u64) -> &[u8] {
        self.unacked.sent(sender, number);
        self.frames[sender].numbered_each(number, &[FIRST_NUMBER + number % BADGES, number])
    }

    fn packet(&mut self, conns: &mut Conns, id: usize, sender: usize, packet: &Packet<'_>) -> Result<Heard> {
        if packet.first == packet::PUBACK {
            return self.unacked.acked(sender, packet);
        }
        ensure!(packet.is_publish(), "reader {sender} got {:?}", packet.parsed(self.version)?);
        let (_, packet_id, rest) = packet.message().context("a PUBLISH that ends too early")?;
        if packet_id > 0 {
            conns.queue(id, &puback(packet_id));
        }
        match self.told(rest) {
            Some(number) => Ok(Heard::Told(number)),
            None => match packet.parsed(self.version)? {
                parse::Packet::Publish(message) => bail!("reader {sender} was told {}", String::from_utf8_lossy(&message.payload)),
                other => bail!("reader {sender} got {other:?}"),
            },
        }
    }
}
