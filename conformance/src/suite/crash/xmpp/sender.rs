//! A sender over XMPP: a message is kept when its reflection has come, or an `<a/>` has counted it (XEP-0198 §4).

use std::collections::VecDeque;

use anyhow::{Context, Result, ensure};

use super::{Counted, ROOMS, SM, room_of, stanza_id};
use crate::check::{Event, Violation};
use crate::suite::crash::cast::{Addresses, Sending, Sent, until_lost};
use crate::suite::crash::drafts::{Draft, Drafts};
use crate::xmpp::element::Element;

/// Messages after which a count is asked for.
const ASKED_AFTER: usize = 4;

/// In rooms.
pub struct Sender {
    drafts: Drafts,
    /// Stanzas that were sent and are not counted yet: of messages the id.
    uncounted: VecDeque<Option<String>>,
    /// The server's last count.
    counted: u32,
    /// What was kept first by a count, and what first by a reflection.
    by_count: usize,
    by_reflection: usize,
}

impl Sender {
    /// With nothing said yet.
    pub fn new(drafts: Drafts) -> Sender {
        Sender { drafts, uncounted: VecDeque::new(), counted: 0, by_count: 0, by_reflection: 0 }
    }

    fn try_run(&mut self, to: &Addresses, more: bool) -> Result<()> {
        let mut stream = Counted::sign_in(to, &self.drafts.uid)?;
        (self.uncounted, self.counted) = (VecDeque::new(), 0);
        for channel in self.drafts.all_channels() {
            self.uncounted.push_back(None);
            for element in stream.enter(&channel, &self.drafts.uid.clone(), 0)? {
                self.take(&element)?;
            }
        }
        for draft in self.drafts.again() {
            self.send(&mut stream, &draft)?;
        }
        stream.client.send(&format!("<r xmlns='{SM}'/>"))?;
        loop {
            let mut sent = 0;
            while more && let Some(draft) = self.drafts.one_more() {
                self.send(&mut stream, &draft)?;
                sent += 1;
                if sent % ASKED_AFTER == 0 {
                    stream.client.send(&format!("<r xmlns='{SM}'/>"))?;
                }
            }
            if !more && self.drafts.is_done() {
                return Ok(());
            }
            let element = stream.next("a reflection or a count")?;
            self.take(&element)?;
        }
    }

    fn send(&mut self, stream: &mut Counted, draft: &Draft) -> Result<()> {
        self.uncounted.push_back(Some(draft.id.clone()));
        let Draft { channel, id, text } = draft;
        stream.client.send(&format!("<message to='{channel}@{ROOMS}' type='groupchat' id='{id}'><body>{text}</body></message>"))
    }

    fn take(&mut self, element: &Element) -> Result<()> {
        if element.is("a", SM) {
            let h: u32 = element.attr("h").context("no h")?.parse()?;
            let more = h.wrapping_sub(self.counted) as usize;
            ensure!(more <= self.uncounted.len(), "{more} more were counted, and {} are not yet", self.uncounted.len());
            self.counted = h;
            for id in self.uncounted.drain(..more).flatten() {
                self.by_count += usize::from(self.drafts.keep(&id, None));
            }
        }
        let own = format!("/{}", self.drafts.uid);
        let is_own =
            element.name == "message" && room_of(element).is_some() && element.attr("from").is_some_and(|from| from.ends_with(&own));
        if is_own && let (Some(id), Some(_)) = (element.attr("id"), element.child("body")) {
            let public = stanza_id(element).with_context(|| format!("a reflection without a stanza-id: {element}"))?;
            self.by_reflection += usize::from(self.drafts.keep(id, Some(public)));
        }
        Ok(())
    }
}

impl Sending for Sender {
    fn name(&self) -> String {
        format!("{} over XMPP", self.drafts.uid)
    }

    fn speak_in(&mut self, channels: &[String]) {
        self.drafts.speak_in(channels);
    }

    fn run(&mut self, to: &Addresses) -> Result<()> {
        until_lost(self.try_run(to, true))
    }

    fn finish(&mut self, to: &Addresses) -> Result<()> {
        self.try_run(to, false)
    }

    fn violations(&self, channel: &str, stored: &[Event]) -> Vec<Violation> {
        self.drafts.violations(channel, stored)
    }

    fn sent(&self) -> Sent {
        self.drafts.sent()
    }

    fn is_enough(&self) -> Result<()> {
        let Sender { by_count, by_reflection, .. } = self;
        ensure!(*by_count > 0 && *by_reflection > 0, "{} were kept by count, and {} by reflection", by_count, by_reflection);
        Ok(())
    }

    fn trace(&self) -> Vec<String> {
        self.drafts.trace()
    }
}
