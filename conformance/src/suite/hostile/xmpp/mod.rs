//! Bad XML and worse manners over XMPP: each is answered with a named error or ended in bounded time, and meanwhile others are served.
//!
//! - [`input`]: single bad bytes, before and after signing in, as a table.
//! - [`flood`]: many of something, and too little of it: silence, slow bytes, stanzas, joins.
//! - [`resume`]: streams that are resumed by two at once.
//! - [`kill`]: SIGKILL during joins, messages and queries of archives.

mod flood;
mod input;
mod kill;
mod resume;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::script::password;
use crate::server::{Options, Server};
use crate::suite::Report;
use crate::suite::load::{MemoryWatch, Others, mib};
use crate::xmpp::client::{Client, Endpoints, Over};
use crate::xmpp::script::world::register;

/// What all the abuse together may cost: stanzas of 256 KiB and outboxes of some hundred connections.
const EXTRA_BYTES: u64 = 128 << 20;
/// The others' latency while it goes on.
const OTHERS_P99: Duration = Duration::from_millis(250);
/// How long an answer or the end may take.
const WITHIN: Duration = Duration::from_secs(15);
/// How long one who does not sign in may stay.
const GONE_WITHIN: Duration = Duration::from_secs(75);

/// All of it.
///
/// # Errors
/// When a server does not start.
pub fn run(report: &mut Report) -> Result<()> {
    let server = Server::start(Options::new().xmpp().without_rates().set("limits.sessions_per_user", 64))?;
    for name in ["mallory", "alice", "bob"] {
        register(&server, name)?;
    }
    let to = server.xmpp_endpoints()?;
    let before = server.rss_bytes()?;
    let (memory, others) = (MemoryWatch::start(&server)?, Others::start(&server, "talkers")?);
    input::run(&to, report);
    flood::run(&server, &to, report);
    resume::run(&to, report);
    report.check("hostile XMPP: the others did not notice", || {
        let latency = others.noticed_nothing(OTHERS_P99)?;
        Ok(latency.to_string())
    });
    report.check("hostile XMPP: memory is bounded", || {
        let peak = memory.stop()?;
        ensure!(peak <= before + EXTRA_BYTES, "{} at the start, {} at the peak", mib(before), mib(peak));
        Ok(format!("{} at the start, {} at the peak", mib(before), mib(peak)))
    });
    report.check("hostile XMPP: SIGKILL during joins, messages and queries", || kill::run(8));
    Ok(())
}

/// Somebody signed in over plain TCP.
fn sign_in(to: &Endpoints, name: &str, resource: &str) -> Result<Client> {
    Ok(Client::sign_in(to, Over::Tcp, name, &password(name), resource)?.0)
}

/// Somebody new is served: signs in, and is answered.
fn is_served(to: &Endpoints) -> Result<()> {
    let mut client = sign_in(to, "alice", "witness").context("is the server alive?")?;
    ping(&mut client, to, "witness").context("is the server alive?")?;
    client.close()
}

/// A question and its answer.
fn ping(client: &mut Client, to: &Endpoints, id: &str) -> Result<()> {
    let answer = client.ask(id, &format!("<iq type='get' id='{id}' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>", to.domain))?;
    ensure!(answer.attr("type") == Some("result"), "a ping was answered by {answer}");
    Ok(())
}
