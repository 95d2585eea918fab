//! The normative statements of MQTT on Hallway as a plain broker. A row that fails among eight tests at a time is tried once more by itself:
//! a message of QoS 0 is on its way for a moment, and a test that believes after 0.4 s that nothing comes may meet it then.

use anyhow::{Result, bail};

use crate::mqtt::Version;
use crate::server::{Options, Server};
use crate::suite::Report;
use crate::suite::mqtt::broker::Target;
use crate::suite::mqtt::report::{Outcome, counts};
use crate::suite::mqtt::{run as try_statements, table, try_all};

/// Both versions.
pub fn run(report: &mut Report) {
    for version in [Version::V4, Version::V5] {
        report.check(&format!("the statements of MQTT {version:?}"), || statements(version));
    }
}

fn statements(version: Version) -> Result<String> {
    let plain = Options::new().without_rates().set("mqtt.anonymous", true).set("mqtt.plain_topics", true);
    let mut server = Server::start(plain)?;
    let target = Target { address: server.mqtt()?.to_string(), version, user: None, password: None, prefix: String::new() };
    let lines = try_statements(&target);
    let [passed, _, untested] = counts(&lines);
    let (mut again, mut failed) = (0, Vec::new());
    for (statement, line) in table::statements(version).iter().zip(&lines) {
        if matches!(line.outcome, Outcome::Failed(_)) {
            again += 1;
            for line in try_all(&target, std::slice::from_ref(statement)) {
                if let Outcome::Failed(seen) = line.outcome {
                    failed.push(format!("{} {}: {seen}", line.id, line.words));
                }
            }
        }
    }
    server.terminate()?;
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(format!("{} rows hold, {again} of them at the second try; {untested} are untested", passed + again))
}
