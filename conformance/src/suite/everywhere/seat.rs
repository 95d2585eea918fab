//! Somebody's session with all that it saw.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::line::{self, Heard, Line, Protocol};
use super::sight::Sight;
use crate::server::Server;

/// How long anything that is waited for may take.
pub const WITHIN: Duration = Duration::from_secs(8);

/// A session.
pub struct Seat {
    /// Whose it is.
    pub uid: String,
    /// Over which protocol.
    pub protocol: Protocol,
    /// Which of theirs.
    pub device: String,
    /// What it is and was told.
    pub heard: Heard,
    line: Box<dyn Line>,
}

impl Seat {
    /// Signs in.
    ///
    /// # Errors
    /// When that is refused.
    pub fn open(server: &Server, protocol: Protocol, uid: &str, device: &str) -> Result<Seat> {
        let device = format!("{}-{device}", protocol.word());
        let line = line::open(server, protocol, uid, &device).with_context(|| format!("{uid} signing in as {device}"))?;
        Ok(Seat { uid: uid.to_owned(), protocol, device, heard: Heard::default(), line })
    }

    /// As reports call it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.uid, self.device)
    }

    /// What to do with.
    pub fn line(&mut self) -> &mut dyn Line {
        self.line.as_mut()
    }

    /// Waits until `found` finds something in what was heard.
    ///
    /// # Errors
    /// It does not in time: with `what`, and the last of what was heard.
    pub fn wait<T>(&mut self, what: &str, mut found: impl FnMut(&Heard) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + WITHIN;
        loop {
            if let Some(found) = found(&self.heard) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last: Vec<&Sight> = self.heard.sights.iter().rev().take(3).rev().collect();
                let refused = self.heard.refused.last();
                return Err(anyhow!("{}: no {what} within {WITHIN:?}; seen last: {last:?}; refused: {refused:?}", self.name()));
            }
            let more = self.line.hear(left).with_context(|| format!("{} waiting for {what}", self.name()))?;
            self.heard.sights.extend(more.sights);
            self.heard.refused.extend(more.refused);
            self.heard.occupants.extend(more.occupants);
            self.heard.put_out.extend(more.put_out);
        }
    }

    /// What of a conversation was seen that is kept, in order.
    pub fn kept<'a>(&'a self, conversation: &'a str) -> impl Iterator<Item = &'a Sight> {
        self.heard.sights.iter().filter(move |sight| sight.conversation == conversation && !sight.what.is_signal())
    }

    /// Nothing was refused.
    ///
    /// # Errors
    /// Something was.
    pub fn is_content(&self) -> Result<()> {
        ensure!(self.heard.refused.is_empty(), "{} was refused: {}", self.name(), self.heard.refused.join("; "));
        Ok(())
    }
}
