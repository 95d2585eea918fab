//! One chat, many subscribers, at QoS 0 and 1: deliveries per second of Hallway, the peer and the bare writer, in turn.
//!
//! Every subscriber is checked to get every message once, in order.

use anyhow::Result;
use serde_json::{Value, json};

use super::broker::{self, Broker};
use super::peer_note;
use super::subscribers::{self, Subscribers, TOPIC};
use crate::deliveries::{Drive, Sample};
use crate::options::Options;
use crate::report::{Report, Table, median_of, short};

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let subscribers = options.clients_or(1_000);
    let brokers = broker::start(options, &[("limits.messages_per_second", "0")], subscribers + 1)?;
    if let Some(stage) = brokers.iter().find_map(Broker::stage) {
        stage.join("lobby", &stage.accounts[..1])?;
    }
    let windows = options.windows_or(&[1, 10, 100]);
    let mut table = Table::new(&["QoS, window", "", "deliveries/s", "of bare half", "of bare whole", "cores", "generator"]);
    let (mut figures, mut bytes) = (Vec::new(), Vec::new());
    for &qos in &options.qos {
        let mut drives = connect(&brokers, subscribers, qos, &options.body())?;
        bytes.push(drives[0].load.packet_bytes());
        for (&window, rounds) in windows.iter().zip(rounds(&mut drives, &windows, options)?) {
            rows(&mut table, &format!("QoS {qos}, {window}"), &brokers, &rounds);
            figures.push(json_of(qos, window, &brokers, &rounds));
        }
    }
    let note = format!(
        "1 topic → {subscribers} subscribers, published with QoS 1, MQTT {}, message rate limit off; packets of {bytes:?} B; medians; \
         bare half: half windows joined into a write (FINDINGS' table), whole: whole windows; at QoS 1 it reads the acks; \
         targets: 0.75 of bare at QoS 0, 0.65 at QoS 1; {}",
        options.v,
        peer_note(&brokers)
    );
    report.add("mqtt_fanout", &note, &table, json!({ "topic": TOPIC, "packet_bytes": bytes, "windows": figures }));
    Ok(())
}

/// Everyone connected, and a first message delivered: for the bytes that the peer and the bare writer copy.
fn connect(brokers: &[Broker], subscribers: usize, qos: u8, body: &str) -> Result<Vec<Drive<Subscribers>>> {
    let mut payload_bytes = None;
    brokers
        .iter()
        .map(|broker| {
            let mut drive = subscribers::connect(broker, subscribers, qos, body, payload_bytes)?;
            drive.measure(1, 0.0, 0.2)?;
            payload_bytes = Some(drive.load.payload().len());
            Ok(drive)
        })
        .collect()
}

/// All that is measured, one right after the other.
struct Round {
    /// In the order of the brokers.
    brokers: Vec<Sample>,
    half: Sample,
    whole: Sample,
}

/// By window.
fn rounds(drives: &mut [Drive<Subscribers>], windows: &[usize], options: &Options) -> Result<Vec<Vec<Round>>> {
    let seconds = options.seconds_or(2.0);
    // The new connections' first windows and the server's first batches are not what lasts.
    let warmup_s = options.warmup_s.min(0.5);
    let mut rounds: Vec<Vec<Round>> = windows.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds_or(5) {
        for (&window, rounds) in windows.iter().zip(&mut rounds) {
            let brokers = drives.iter_mut().map(|drive| drive.measure(window, warmup_s, seconds)).collect::<Result<_>>()?;
            let half = subscribers::bare(&drives[0], window.div_ceil(2))?.measure(window, warmup_s, seconds)?;
            let whole = subscribers::bare(&drives[0], window)?.measure(window, warmup_s, seconds)?;
            rounds.push(Round { brokers, half, whole });
        }
    }
    Ok(rounds)
}

fn rows(table: &mut Table, load: &str, brokers: &[Broker], rounds: &[Round]) {
    let mut load = load;
    let mut row = |name: &str, sample: &dyn Fn(&Round) -> Sample, is_limit: bool| {
        let ratio = |limit: fn(&Round) -> Sample| match is_limit {
            true => String::new(),
            false => format!("{:.2}", median_of(rounds, |round| sample(round).per_s / limit(round).per_s)),
        };
        table.row(vec![
            std::mem::take(&mut load).into(),
            name.into(),
            short(median_of(rounds, |round| sample(round).per_s)),
            ratio(|round| round.half),
            ratio(|round| round.whole),
            format!("{:.2}", median_of(rounds, |round| sample(round).used.peer_cores)),
            format!("{:.2}", median_of(rounds, |round| sample(round).used.own_cores)),
        ]);
    };
    for (index, broker) in brokers.iter().enumerate() {
        row(broker.name(), &|round| round.brokers[index], false);
    }
    row("bare half", &|round| round.half, true);
    row("bare whole", &|round| round.whole, true);
}

fn json_of(qos: u8, window: usize, brokers: &[Broker], rounds: &[Round]) -> Value {
    let mut figures = json!({
        "qos": qos,
        "window": window,
        "bare_half_per_s": median_of(rounds, |round| round.half.per_s),
        "bare_whole_per_s": median_of(rounds, |round| round.whole.per_s),
    });
    for (index, broker) in brokers.iter().enumerate() {
        figures[broker.name()] = json!({
            "deliveries_per_s": median_of(rounds, |round| round.brokers[index].per_s),
            "ratio_half": median_of(rounds, |round| round.brokers[index].per_s / round.half.per_s),
            "ratio_whole": median_of(rounds, |round| round.brokers[index].per_s / round.whole.per_s),
            "cores": median_of(rounds, |round| round.brokers[index].used.peer_cores),
            "rounds": rounds.iter().map(|round| round.brokers[index].per_s).collect::<Vec<_>>(),
        });
    }
    figures
}
