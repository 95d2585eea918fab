//! Messages in messages: results of archives and copies for one's other sessions. The message inside is one that was written before.

use super::ns;
use crate::xmpp::write::Writer;

/// A message out of an archive.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveResult<'a> {
    /// The archive: a room's or an account's bare JID.
    pub archive: &'a str,
    /// Who asked: a full JID.
    pub to: &'a str,
    /// What the query is called; `None` when it has no name.
    pub query_id: Option<&'a str>,
    /// The message's id in the archive: its public id.
    pub id: &'a str,
    /// When the message was sent, Unix ms.
    pub ts_ms: u64,
}

/// Appends a result of a query (XEP-0313 §4.2) around `message`, which is not delayed itself: the time is the result's.
pub fn write_archive_result(result: &ArchiveResult<'_>, message: &[u8], out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    xml.open("message", ns::CLIENT).attr("from", result.archive).attr("to", result.to).inside();
    xml.open("result", ns::ARCHIVE);
    if let Some(query_id) = result.query_id {
        xml.attr("queryid", query_id);
    }
    xml.attr("id", result.id).inside();
    xml.open("forwarded", ns::FORWARD).inside();
    xml.open("delay", ns::DELAY).time_attr("stamp", result.ts_ms).empty(); // XEP-0297 §3.2
    xml.written(message).close("forwarded").close("result").close("message");
}

/// Which way a copied message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carbon {
    /// Another session of the user sent it.
    Sent,
    /// It went to another session of the user.
    Received,
}

/// Appends a copy of `message`, of the type `chat`, for the session `to` of `account`, a bare JID, from which alone clients take copies
/// (XEP-0280 §7, §8).
pub fn write_carbon(carbon: Carbon, account: &str, to: &str, message: &[u8], out: &mut Vec<u8>) {
    let name = match carbon {
        Carbon::Sent => "sent",
        Carbon::Received => "received",
    };
    let mut xml = Writer::new(out);
    xml.open("message", ns::CLIENT).attr("from", account).attr("to", to).attr("type", "chat").inside();
    xml.open(name, ns::CARBONS).inside().open("forwarded", ns::FORWARD).inside();
    xml.written(message).close("forwarded").close(name).close("message");
}
