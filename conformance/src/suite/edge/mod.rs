//! What Hallway promises over MQTT: the standard, and what goes beyond it.
//!
//! - [`standard`]: the normative statements of MQTT.
//! - [`silence`]: what somebody may not read does not reach them, whichever way they ask.
//! - [`sessions`]: what sessions that come back and filters that overlap are given.
//! - [`badges`]: readers of badges.
//! - [`kills`]: SIGKILL under load with QoS 1 and 2 both ways.
//! - [`floods`]: bad input and floods, while somebody else goes on talking.

pub mod badges;
pub mod floods;
pub mod kills;
pub mod sessions;
pub mod silence;
pub mod standard;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Report;
use crate::mqtt::Version;
use crate::mqtt::client::{Client, Seen};
use crate::mqtt::packet::{Connect, Publish};
use crate::mqtt::property::{SESSION_EXPIRY, Value};
use crate::script::password;
use crate::server::{Options, Server};

/// No story takes longer.
const STORY: Duration = Duration::from_secs(600);

/// All of them; the server is killed so many times.
pub fn run(kills: usize, seed: u64, report: &mut Report) {
    standard::run(report);
    silence::run(report);
    sessions::run(report);
    badges::run(report);
    floods::run(report);
    kills::run(kills, seed, report);
}

/// A server with conference `demo` of staff `sam`, devices `gate` and `door` and the people who register, and conference `other` of `eve`.
fn story(tell: impl FnOnce(&Server) -> Result<String>) -> Result<String> {
    story_with(Options::new(), tell)
}

/// The same with other settings.
fn story_with(options: Options, tell: impl FnOnce(&Server) -> Result<String>) -> Result<String> {
    let mut server = Server::start(options)?;
    server.cli_ok(&["conference", "add", "other"])?;
    for (user, role) in [("demo/sam", "staff"), ("demo/gate", "device"), ("demo/door", "device"), ("other/eve", "attendee")] {
        let uid = user.split_once('/').map_or(user, |(_, uid)| uid);
        server.cli_ok(&["user", "add", user, "--role", role, "--password", &password(uid)])?;
    }
    let told = tell(&server)?;
    server.terminate()?;
    Ok(told)
}

/// A CONNECT of a user of the demo; `keeps`: the session outlives its connection.
fn hello(version: Version, uid: &str, client_id: &str, keeps: bool) -> Connect {
    let mut connect = Connect::new(version, client_id);
    (connect.user, connect.password) = (Some(uid.into()), Some(password(uid).into()));
    connect.clean = !keeps;
    if keeps && version == Version::V5 {
        connect.properties.push((SESSION_EXPIRY, Value::Four(3600)));
    }
    connect
}

/// Connects; whether there was a session.
fn connect(server: &Server, connect: &Connect) -> Result<(Client, bool)> {
    let mut client = Client::open(&server.mqtt()?.to_string(), connect.version, Instant::now() + STORY)?;
    client.send(&connect.bytes())?;
    let answer = client.expect_connack()?;
    ensure!(answer.code == 0, "refused with 0x{:02X}", answer.code);
    Ok((client, answer.session_present))
}

/// Somebody connected with a session of their own, gone with the connection.
pub(super) fn join(server: &Server, version: Version, uid: &str) -> Result<Client> {
    Ok(connect(server, &hello(version, uid, &format!("{uid}-device"), false))?.0)
}

/// All messages that come before nothing comes for `quiet`, acknowledged.
fn drain(client: &mut Client, quiet: Duration) -> Result<Vec<Publish>> {
    let mut all = Vec::new();
    loop {
        match client.see(quiet)? {
            Seen::Packet(crate::mqtt::parse::Packet::Publish(message)) => {
                client.acknowledge(&message)?;
                all.push(message);
            }
            Seen::Packet(_) => {}
            Seen::Closed | Seen::Nothing => return Ok(all),
        }
    }
}
