//! The headline: 1,000 quiet two-person chats on the default limits, and what the server needs for them.

use anyhow::Result;
use serde_json::json;

use crate::drive::Time;
use crate::meter::rss_bytes;
use crate::options::Options;
use crate::pairs::Chats;
use crate::report::{Report, Table, mib};

/// Each person says something once in this time.
const SECONDS_PER_MESSAGE: f64 = 10.0;

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let chats = options.clients_or(1_000);
    let per_second = options.rate.unwrap_or(chats as f64 * 2.0 / SECONDS_PER_MESSAGE);
    let mut chat = Chats::prepare(options, chats)?;
    let figures = chat.drive.open_loop(per_second, Time::new(options.warmup_s, options.seconds_or(60.0)))?;
    let rss = rss_bytes(&chat.stage.server);
    let peak = chat.stage.server.peak_rss_bytes()? as f64;
    let mut table = Table::new(&["", "figure", "target"]);
    let mut line = |name: &str, figure: String, target: &str| table.row(vec![name.into(), figure, target.into()]);
    line("server RSS MiB", mib(rss), "≤ 64");
    line("its peak, set-up included", mib(peak), "");
    line("server, % of one core", format!("{:.1}", figures.used.peer_cores * 100.0), "≤ 5");
    line("ack p50/p99/max ms", figures.ack.to_string(), "");
    line("told p50/p99/max ms", figures.told.to_string(), "");
    let pushes = chat.stage.push_note();
    let note = format!("{chats} chats, {} connections, {per_second:.0} msg/s, {pushes}, default limits unless --set", chats * 2);
    let figures = json!({ "rss_bytes": rss, "peak_rss_bytes": peak, "load": figures.json() });
    report.add("headline", &note, &table, figures);
    Ok(())
}
