//! Bad input over WebSocket and HTTP: each is answered with the documented error or close, and meanwhile somebody else goes
//! on talking without noticing.
//!
//! - [`input`]: single bad messages and frames, as a table.
//! - [`flood`]: many of something: unread answers, half-open connections, slow bytes.
//! - [`bounds`]: numbers that are too large, on good requests.
//! - [`compat`]: the compatibility endpoints, and pages of other sites everywhere.
//! - [`badges`]: readers, handhelds and lists of attendees that mean harm.
//! - [`files`]: files that mean harm. [`events`]: streams of events that nobody reads.
//! - [`signin`]: tokens, tickets and invitations that let nobody in.
//! - [`socketio`]: the same over Socket.IO, and long polling.
//! - [`xmpp`]: the same over XMPP.

mod badges;
mod bounds;
pub mod compat;
mod events;
mod files;
mod flood;
mod input;
pub mod signin;
pub mod socketio;
pub mod xmpp;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::Report;
use super::load::{self, MemoryWatch, Others, mib};
use crate::client::Client;
use crate::http;
use crate::server::{Options, Server};

/// What all the abuse together may cost: bounded answers (1 MiB), frames (1 MB) and outboxes of a few hundred connections.
const EXTRA_BYTES: u64 = 96 << 20;
/// The others' latency while it goes on.
const OTHERS_P99: Duration = Duration::from_millis(100);

/// All of it against one server, with a pair that talks all the time.
///
/// # Errors
/// When the server does not start.
pub fn run(report: &mut Report) -> Result<()> {
    let server = Server::start(Options::new().set("limits.failed_logins_per_minute_per_address", 0).set("limits.sessions_per_user", 64))?;
    let token = load::token(&server, "mallory")?;
    let before = server.rss_bytes()?;
    let (memory, others) = (MemoryWatch::start(&server)?, Others::start(&server, "talkers")?);
    input::run(&server, &token, report);
    flood::run(&server, &token, report);
    files::run(&server, &token, report);
    events::run(&server, &token, report);
    report.check("hostile: the others did not notice", || {
        let latency = others.noticed_nothing(OTHERS_P99)?;
        Ok(latency.to_string())
    });
    report.check("hostile: memory is bounded", || {
        let peak = memory.stop()?;
        ensure!(peak <= before + EXTRA_BYTES, "{} at the start, {} at the peak", mib(before), mib(peak));
        Ok(format!("{} at the start, {} at the peak", mib(before), mib(peak)))
    });
    badges::run(report)?;
    bounds::run(report);
    compat::run(report);
    signin::run(report)?;
    socketio::run(report)
}

/// The same process is there, healthy, and talks to somebody new.
fn is_alive(server: &Server, token: &str) -> Result<()> {
    let health = http::get(server.http(), "/healthz").context("is the server alive?")?;
    ensure!(health.status() == 200, "/healthz says {}", health.status());
    let client = Client::sign_in(server.http(), token).context("is the server alive?")?;
    let mut client = client;
    client.call_ok("session.list", &json!({}))?;
    client.close()?;
    Ok(())
}
