//! One chat, many subscribers, at QoS 0 and 1: deliveries per second of Hallway, the peer and the bare writer, in turn.
//!
//! Every subscriber is checked to get every message once, in order.

use anyhow::Result;
use serde_json::json;

use super::broker::{self, Broker};
use super::peer_note;
use super::subscribers::{self, Subscribers, TOPIC};
use crate::beside;
use crate::deliveries::Drive;
use crate::options::Options;
use crate::report::{Report, Table};

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let subscribers = options.clients_or(1_000);
    let brokers = broker::start(options, &[("limits.messages_per_second", "0")], subscribers + 1)?;
    if let Some(stage) = brokers.iter().find_map(Broker::stage) {
        stage.join("lobby", &stage.accounts[..1])?;
    }
    let names: Vec<&str> = brokers.iter().map(Broker::name).collect();
    let windows = options.windows_or(&[1, 10, 100]);
    let mut table = Table::new(&beside::headers("QoS, window"));
    let (mut figures, mut bytes) = (Vec::new(), Vec::new());
    for &qos in &options.qos {
        let mut drives = connect(&brokers, subscribers, qos, &options.body())?;
        bytes.push(drives[0].load.packet_bytes());
        for (&window, rounds) in windows.iter().zip(beside::rounds(&mut drives, subscribers::bare, &windows, options)?) {
            beside::rows(&mut table, &format!("QoS {qos}, {window}"), &names, &rounds);
            let mut of_load = beside::figures(window, &names, &rounds);
            of_load["qos"] = json!(qos);
            figures.push(of_load);
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
