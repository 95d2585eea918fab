//! The backbone carries published events and signals from the apply thread to dispatch: rumqttd's router over in-process links on one
//! machine. It may drop what a slow link does not take; dispatch notices and reads the store instead.
//!
//! Everything of a conference goes over the one topic `conf/<number>`: the router remembers every topic name for ever
//! (rumqttd 0.20 `router/logs.rs:127`), so a topic for each conversation would grow without bound.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::{Packet, Publish};
use rumqttd::{Notification, Router, RouterConfig};

use crate::ids::ConfNo;

/// The backbone is gone; the process cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("the backbone is gone: {0}")]
pub struct BackboneGone(String);

/// The publishing side.
pub trait Publisher: Send {
    /// Publishes in order, without waiting for readers.
    ///
    /// # Errors
    /// [`BackboneGone`].
    fn publish(&mut self, messages: &mut Vec<(ConfNo, Bytes)>) -> Result<(), BackboneGone>;

    /// Publishes one message that may be dropped, and never waits.
    fn offer(&mut self, conf: ConfNo, message: Bytes);
}

/// The one subscription, which sees everything.
pub trait Subscription: Send {
    /// Waits up to `timeout` for messages and adds all that are there to `into`.
    ///
    /// # Errors
    /// [`BackboneGone`].
    fn receive(&mut self, into: &mut Vec<Bytes>, timeout: Duration) -> Result<(), BackboneGone>;
}

/// Small segments: the router only has to hold what the dispatch thread has not taken yet.
const SEGMENT_BYTES: usize = 1 << 20;
const SEGMENTS: usize = 4;

/// Messages offered that wait for the router at most; more are dropped.
const OFFERED: usize = 4096;

/// A backbone's ends: the publisher of events, that of signals, and the subscription.
pub type Ends = (Box<dyn Publisher>, Box<dyn Publisher>, Box<dyn Subscription>);

/// Starts the embedded router: a publisher for events, one for signals, and the subscription.
///
/// # Errors
/// [`BackboneGone`] when the router does not take the links.
pub fn embedded() -> Result<Ends, BackboneGone> {
    let config = RouterConfig {
        max_connections: 8,
        max_outgoing_packet_count: 200,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    };
    let router = Router::new(0, config).spawn();
    let link = |name| LinkBuilder::new(name, router.clone()).build().map_err(|error| BackboneGone(error.to_string()));
    let (mut tx, rx, _) = link("dispatch")?;
    tx.subscribe("conf/#").map_err(|error| BackboneGone(error.to_string()))?;
    let publisher = |name| -> Result<Box<dyn Publisher>, BackboneGone> {
        let (link, _unread, _) = link(name)?;
        Ok(Box::new(Embedded { link, _unread }))
    };
    Ok((publisher("events")?, publisher("signals")?, Box::new(EmbeddedSubscription { link: rx, _tx: tx })))
}

struct Embedded {
    link: LinkTx,
    /// A link whose reading half is dropped would be disconnected.
    _unread: LinkRx,
}

impl Publisher for Embedded {
    fn publish(&mut self, messages: &mut Vec<(ConfNo, Bytes)>) -> Result<(), BackboneGone> {
        let Some((last_conf, last)) = messages.pop() else { return Ok(()) };
        {
            let mut buffer = self.link.buffer();
            for (conf, payload) in messages.drain(..) {
                buffer.push_back(Packet::Publish(Publish::new(topic(conf), payload, false), None));
            }
        }
        // The last one wakes the router for all.
        self.link.publish(topic(last_conf), last).map(|_| ()).map_err(|error| BackboneGone(error.to_string()))
    }

    fn offer(&mut self, conf: ConfNo, message: Bytes) {
        if self.link.buffer().len() < OFFERED {
            // When the router's channel is full, the message goes with the next one.
            let _ = self.link.try_publish(topic(conf), message);
        }
    }
}

fn topic(conf: ConfNo) -> Bytes {
    format!("conf/{}", conf.0).into()
}

struct EmbeddedSubscription {
    link: LinkRx,
    _tx: LinkTx,
}

impl Subscription for EmbeddedSubscription {
    #[expect(clippy::disallowed_methods, reason = "the link takes a deadline of the machine's clock")]
    fn receive(&mut self, into: &mut Vec<Bytes>, timeout: Duration) -> Result<(), BackboneGone> {
        let mut deadline = Instant::now() + timeout;
        loop {
            match self.link.recv_deadline(deadline) {
                Ok(Some(Notification::Forward(forward))) => into.push(forward.publish.payload),
                // The router pauses a link that has taken a bufferful until it says that it is ready for more.
                Ok(Some(Notification::Unschedule)) => self.link.ready().map_err(|error| BackboneGone(error.to_string()))?,
                Ok(_) => {}
                Err(error) => return if is_timeout(&error) { Ok(()) } else { Err(BackboneGone(error.to_string())) },
            }
            // After the first message, only what is there already.
            if !into.is_empty() {
                deadline = Instant::now();
            }
        }
    }
}

fn is_timeout(error: &rumqttd::local::LinkError) -> bool {
    matches!(error, rumqttd::local::LinkError::RecvTimeout(inner) if inner.to_string().contains("timed out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_everything_in_order() {
        let (mut publisher, _signals, mut subscription) = embedded().unwrap();
        let mut received = Vec::new();
        for batch in 0..50u32 {
            let mut messages = (0..100u32).map(|i| (ConfNo(1), Bytes::from((batch * 100 + i).to_be_bytes().to_vec()))).collect();
            publisher.publish(&mut messages).unwrap();
            while received.len() < (batch as usize + 1) * 100 {
                let before = received.len();
                subscription.receive(&mut received, Duration::from_secs(10)).unwrap();
                assert!(received.len() > before, "nothing came in 10 s");
            }
        }
        let numbers: Vec<u32> = received.iter().map(|bytes| u32::from_be_bytes(bytes[..].try_into().unwrap())).collect();
        assert_eq!(numbers, (0..5000).collect::<Vec<_>>());
    }
}
