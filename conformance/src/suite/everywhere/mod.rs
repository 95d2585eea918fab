//! One message everywhere: people over WebSocket, MQTT 3.1.1, MQTT 5 and XMPP in the same conversations see the same, in the same order, and
//! the histories that each protocol has say the same.
//!
//! - [`sight`]: what anybody sees, in the same words for all. [`line`]: a session of each protocol. [`seat`]: one of them with what it saw.
//! - [`scene`]: a conversation with its people, who are compared with each other.
//! - The stories: [`talk`], [`texts`], [`history`], [`standing`], [`narrow`]; [`sessions`], which are one person's.

pub mod history;
pub mod line;
pub mod narrow;
pub mod scene;
pub mod seat;
pub mod sessions;
pub mod sight;
pub mod standing;
pub mod talk;
pub mod texts;

use anyhow::Result;

use super::Report;
use crate::server::{Options, Server};

/// All stories.
///
/// # Errors
/// The server does not start.
pub fn run(report: &mut Report) -> Result<()> {
    let mut server = Server::start(Options::new().xmpp().without_rates().set("limits.sessions_per_user", 64))?;
    talk::run(&server, report);
    texts::run(&server, report);
    history::run(&server, report);
    standing::run(&server, report);
    narrow::run(&server, report);
    sessions::run(report)?;
    report.check("everywhere: the server ends well", || server.terminate().map(|()| String::new()));
    Ok(())
}
