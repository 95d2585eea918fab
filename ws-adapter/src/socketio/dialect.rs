//! Socket.IO over WebSocket: from the first, or in the place of polling, which it takes over from after a probe.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::outbox::Stamped;
use hallway_broker::peers::Unauthenticated;
use hallway_broker::queue::{Answer, Submission};
use hallway_broker::recent::Published;
use hallway_broker::session::Session;
use hallway_broker::shard::{Ending, Shard};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::arrival::{self, Arrival, Heard};
use super::edge::{self, Edge};
use super::engine::{self, Version};
use super::packet;
use super::polled_task::{Handover, Whose};
use super::polling::Polled;
use super::pulse::{Beat, Pulse};
use super::query::Query;
use super::sid::Sid;
use super::speaker::{Speaker, Step};
use super::wire::{self, SOCKETIO_WIRE};
use crate::socket::{self, Closing, Dialect, Entering, Heartbeat, Next, Opened};

/// How long a connection may be without a session: a guest may think about their name. What has its own, shorter time is in [`Arrival`].
const PATIENCE: Duration = Duration::from_secs(660);
/// How long a WebSocket may take to take over.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// See the module's text.
pub(crate) struct Spoken {
    edge: Arc<Edge>,
    version: Version,
    /// Set when it has begun: a polling session brings its own.
    speaker: OnceCell<Rc<Speaker>>,
}

/// What the request says.
pub(crate) struct Entrance {
    pub query: Query,
    pub address: IpAddr,
}

/// Runs a WebSocket: one that takes over from polling, on the shard where that is.
pub(crate) fn open(
    edge: &Arc<Edge>,
    shard: &Rc<Shard>,
    stream: TcpStream,
    leftover: Vec<u8>,
    admitted: Unauthenticated,
    entrance: Entrance,
) {
    let version = entrance.query.version;
    let edge = Arc::clone(edge);
    let Some(home) = entrance.query.sid.map(|sid| sid.shard()).filter(|home| *home != shard.index) else {
        let opened = Opened { shard: Rc::clone(shard), stream, leftover, admitted };
        tokio::task::spawn_local(socket::run(opened, Spoken::new(&edge, version), entrance));
        return;
    };
    let Ok(stream) = stream.into_std() else { return };
    let hub = Arc::clone(&edge.hub);
    hub.run_on_shard(
        home,
        Box::new(move |shard| match TcpStream::from_std(stream) {
            Ok(stream) => open(&edge, shard, stream, leftover, admitted, entrance),
            Err(error) => tracing::debug!(%error, "a connection was lost on its way to its shard"),
        }),
    );
}

impl Spoken {
    pub fn new(edge: &Arc<Edge>, version: Version) -> Self {
        Self { edge: Arc::clone(edge), version, speaker: OnceCell::new() }
    }

    fn speaker(&self) -> &Rc<Speaker> {
        self.speaker.get_or_init(|| arrival::speaker(&self.edge, self.version))
    }
}

const PROTOCOL: u16 = 1002;

fn broken(word: &'static str) -> Closing {
    match word {
        "" => Closing::NORMAL,
        "binary" => Closing { code: 1003, reason: word },
        word => Closing { code: PROTOCOL, reason: word },
    }
}

impl Dialect for Spoken {
    type Entrance = Entrance;
    type Request = String;

    fn wire(&self) -> usize {
        SOCKETIO_WIRE
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn heartbeat(&self) -> Heartbeat {
        looks(self.version, self.edge.heartbeat)
    }

    async fn sign_in(entering: &mut Entering<'_, Self>, entrance: Entrance) -> Result<Session, Closing> {
        let Entrance { query, address } = entrance;
        let (shard, version) = (Rc::clone(entering.shard), query.version);
        if let Some(sid) = query.sid {
            return match tokio::time::timeout(UPGRADE_TIMEOUT, take_over(entering, &sid)).await {
                Ok(Ok(Whose::Session(session))) => Ok(*session),
                Ok(Ok(Whose::Arrival(arrival))) => arrive(entering, *arrival, Heard::More, Vec::new()).await,
                Ok(Err(closing)) => Err(closing),
                Err(_) => Err(Closing { code: 1008, reason: "upgrade_timeout" }),
            };
        }
        let own = Sid::new(shard.index).text();
        let opening = engine::open(version, &own, false, entering.dialect().edge.heartbeat, shard.hub.limits().frame_bytes);
        let mut out = Vec::new();
        packet::frame(&opening, &mut out, |_| {});
        entering.write(&out).await?;
        out.clear();
        let mut arrival = Arrival::new(shard, query.claims, address, None);
        let heard = arrival.begin(&Rc::clone(entering.dialect().speaker()), entering.peer(), &mut out).await;
        arrive(entering, arrival, heard, out).await
    }

    fn text(&self, session: &Session, text: &str, submissions: &mut Vec<Submission>) -> Next<String> {
        match self.speaker().hear(session, text, submissions) {
            Step::More => Next::More,
            Step::Request(text) => Next::Request(text),
            Step::End => Next::Close(Closing::NORMAL),
            Step::Broken(word) => Next::Close(broken(word)),
        }
    }

    async fn carry_out(&self, session: &Session, request: String) {
        self.speaker().carry_out(session, &request).await;
    }

    fn waiting(&self) -> usize {
        self.speaker().waiting()
    }

    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>) {
        self.speaker().answer(tag, answer, into);
    }

    fn ping(&self, into: &mut Vec<u8>) {
        self.speaker().ping(into);
    }

    fn goodbye(&self, ending: Ending, into: &mut Vec<u8>) -> Closing {
        Speaker::goodbye(ending, into);
        Closing::of(ending)
    }

    fn stamp(&self, published: &Published, into: &mut Vec<u8>) -> Stamped {
        wire::stamp_notification(published, self.speaker().ids, into);
        Stamped::Given
    }

    fn companions_changed(&self, shard: &Rc<Shard>, slot: u32, id: u64) {
        self.speaker().tell_connections(shard, slot, id);
    }
}

/// How often the loop looks whether the client is there. In protocol 3 it is the client that asks for signs of life: it may say nothing else for
/// as long as interval and timeout together.
fn looks(version: Version, beat: engine::Heartbeat) -> Heartbeat {
    match version {
        Version::V4 => Heartbeat { every: beat.interval, missed: 1 },
        Version::V3 => Heartbeat { every: (beat.interval + beat.timeout) / 2, missed: 2 },
    }
}

/// Until there is a session.
async fn arrive(entering: &mut Entering<'_, Spoken>, mut arrival: Arrival, first: Heard, mut out: Vec<u8>) -> Result<Session, Closing> {
    let speaker = Rc::clone(entering.dialect().speaker());
    let mut pulse = Pulse::new(speaker.version, entering.dialect().edge.heartbeat, Instant::now());
    let mut heard = first;
    loop {
        if !out.is_empty() {
            entering.write(&out).await?;
            out.clear();
        }
        match heard {
            Heard::Session(session) => return Ok(*session),
            Heard::End(word) => return Err(broken(word)),
            Heard::More => {}
        }
        // Nothing is asked for here: only signs of life count.
        pulse.polled(Instant::now());
        let until = arrival.until().min(pulse.next());
        heard = tokio::select! {
            text = entering.next_text() => {
                pulse.heard(Instant::now());
                arrival.hear(&text?, &speaker, entering.peer(), &mut out).await
            }
            () = sleep_until(until) => {
                let now = Instant::now();
                if now >= arrival.until() {
                    return Err(Closing { code: 1008, reason: "no_session" });
                }
                match pulse.beat(now) {
                    Beat::Dead => return Err(Closing { code: 1001, reason: "ping_timeout" }),
                    Beat::Ping => speaker.ping(&mut out),
                    Beat::Nothing => {}
                }
                Heard::More
            }
        };
    }
}

/// Polling goes on as before when the WebSocket that wanted to take over does not.
struct Probing(Option<Rc<Polled>>);

impl Drop for Probing {
    fn drop(&mut self) {
        if let Some(polled) = self.0.take() {
            polled.stay();
        }
    }
}

/// The probe, and then the session: what waits in its lanes goes over this connection from now on.
async fn take_over(entering: &mut Entering<'_, Spoken>, sid: &Sid) -> Result<Whose, Closing> {
    const UNKNOWN: Closing = Closing { code: 1008, reason: "unknown_session" };
    if entering.next_text().await? != "2probe" {
        return Err(broken("no_probe"));
    }
    let polled = edge::polled(sid).ok_or(UNKNOWN)?;
    // Another WebSocket may be at it.
    if polled.probing.get() {
        return Err(broken("already_probing"));
    }
    polled.probe();
    let mut probing = Probing(Some(Rc::clone(&polled)));
    let mut out = Vec::new();
    packet::frame("3probe", &mut out, |_| {});
    entering.write(&out).await?;
    if entering.next_text().await? != "5" {
        return Err(broken("no_upgrade"));
    }
    let Handover { whose, frames } = polled.upgrade().await.map_err(|_| UNKNOWN)?;
    probing.0 = None;
    // Only one of them ever is handed the session, and that one has no speaker yet.
    let _ = entering.dialect().speaker.set(Rc::clone(&polled.speaker));
    entering.write(&frames).await?;
    if let Whose::Session(session) = &whose {
        session.relink(entering.peer());
        if let Some(ending) = polled.bell.ending() {
            entering.peer().end(ending);
        }
    }
    Ok(whose)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::idle_bytes;

    #[test]
    fn who_is_silent_between_two_pings_stays() {
        let beat = engine::Heartbeat::default();
        for (version, silent) in [(Version::V4, beat.interval), (Version::V3, beat.interval + beat.timeout)] {
            let Heartbeat { every, missed } = looks(version, beat);
            // A look that finds nothing new is the first that counts.
            assert!(every * missed >= silent && every * (missed + 1) <= silent * 2, "{version:?}");
        }
    }

    #[test]
    fn an_idle_connection_costs_little() {
        let bytes = idle_bytes::<Spoken>() + size_of::<Speaker>();
        assert!(bytes <= 1280, "{bytes} bytes of task, connection and speaker");
    }
}
