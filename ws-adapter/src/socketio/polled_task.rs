//! The task of a polling session: sign-in, then packets in and out until one side ends it, or a WebSocket takes over.

use std::rc::Rc;
use std::time::Duration;

use hallway_broker::outbox::Flushed;
use hallway_broker::queue::Submission;
use hallway_broker::session::Session;
use hallway_broker::shard::{Ending, Peer};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::arrival::{Arrival, Heard};
use super::edge;
use super::polling::Polled;
use super::pulse::Beat;
use super::speaker::{Speaker, Step};

/// When a refill that failed is tried again.
const REFILL_RETRY: Duration = Duration::from_millis(200);
/// How long the last words may wait for a poll.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Frames that wait for a poll while there is no session; with more the client is not heard.
const EARLY_BYTES: usize = 16 * 1024;

/// What a WebSocket takes over.
pub(crate) struct Handover {
    /// Who it is, or who is coming in.
    pub whose: Whose,
    /// What they were not told yet.
    pub frames: Vec<u8>,
}

/// Somebody on a polling connection.
pub(crate) enum Whose {
    /// Signed in.
    Session(Box<Session>),
    /// Not yet.
    Arrival(Box<Arrival>),
}

/// Runs a session.
pub(super) async fn run(polled: Rc<Polled>, arrival: Arrival) {
    let end = match arrive(&polled, arrival).await {
        Ok(session) => serve(&polled, session).await,
        Err(end) => end,
    };
    edge::forget_polled(&polled.sid);
    polled.answer_post(None);
    let last = if end == End::HandedOver { "6" } else { "1" };
    polled.answer_get(Some(last));
}

/// How a session ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nobody is there, or they have said that they go.
    Gone,
    /// The WebSocket has it.
    HandedOver,
}

/// Until there is a session.
async fn arrive(polled: &Rc<Polled>, mut arrival: Arrival) -> Result<Box<Session>, End> {
    let peer = || Rc::clone(polled) as Rc<dyn Peer>;
    let mut out = Vec::new();
    let mut heard = arrival.begin(&polled.speaker, peer(), &mut out).await;
    loop {
        polled.say(&std::mem::take(&mut out));
        match heard {
            Heard::Session(session) => {
                polled.is_in.set(true);
                return Ok(session);
            }
            Heard::End(word) => {
                polled.answer_post((!word.is_empty()).then_some(word));
                return Err(End::Gone);
            }
            Heard::More => {}
        }
        polled.answer_post(None);
        if polled.is_broken.get() || !polled.answer_get(polled.noop()) || Instant::now() >= arrival.until() {
            return Err(End::Gone);
        }
        if let Some(successor) = polled.successor.take() {
            let handover = Handover { whose: Whose::Arrival(Box::new(arrival)), frames: polled.take_early() };
            let _ = successor.send(handover);
            return Err(End::HandedOver);
        }
        let packet = if polled.early_bytes() < EARLY_BYTES { polled.next_packet() } else { None };
        heard = match packet {
            Some(packet) => arrival.hear(&packet, &polled.speaker, peer(), &mut out).await,
            None => {
                polled.rest(Some(arrival.until())).await;
                match polled.beat() {
                    Beat::Dead => return Err(End::Gone),
                    Beat::Ping => polled.speaker.ping(&mut out),
                    Beat::Nothing => {}
                }
                Heard::More
            }
        };
    }
}

/// With a session, until it ends.
async fn serve(polled: &Rc<Polled>, session: Box<Session>) -> End {
    loop {
        let flushed = session.flush();
        if flushed == Flushed::Gone || !polled.answer_get(polled.noop()) || polled.is_broken.get() {
            return End::Gone;
        }
        // While a WebSocket is about to take over, the client does not poll: the end is told there, if it does.
        if let Some(ending) = polled.bell.ending().filter(|_| !polled.probing.get()) {
            say_goodbye(polled, &session, ending).await;
            return hand_over(polled, session);
        }
        if polled.speaker.waiting() == 0 && polled.successor.borrow().is_some() {
            return hand_over(polled, session);
        }
        if session.lags() && Box::pin(session.refill()).await {
            continue;
        }
        match take(polled, &session).await {
            Took::Some => continue,
            Took::End => return End::Gone,
            Took::Nothing => {}
        }
        let retry = session.lags().then(|| Instant::now() + REFILL_RETRY);
        polled.rest(retry).await;
        if session.has_expired() {
            polled.bell.end(Ending::SignedOut);
        }
        match polled.beat() {
            Beat::Dead => return End::Gone,
            Beat::Ping => drop(session.push(|into| polled.speaker.ping(into))),
            Beat::Nothing => {}
        }
    }
}

/// To the WebSocket that takes over, if there is one; the lanes go along with the session.
fn hand_over(polled: &Polled, session: Box<Session>) -> End {
    let Some(successor) = polled.successor.take() else { return End::Gone };
    let _ = successor.send(Handover { whose: Whose::Session(session), frames: polled.take_early() });
    End::HandedOver
}

enum Took {
    Nothing,
    Some,
    End,
}

/// Takes packets as far as there is room for their answers, up to one that is to be carried out.
async fn take(polled: &Rc<Polled>, session: &Session) -> Took {
    let limits = session.shard.hub.limits();
    let has_room = || polled.speaker.waiting() < limits.requests_per_session && session.answers_bytes() < limits.answers_bytes;
    let mut submissions: Vec<Submission> = Vec::new();
    let (mut took, mut step) = (false, Step::More);
    while step == Step::More && has_room() {
        let Some(packet) = polled.next_packet() else { break };
        took = true;
        step = polled.speaker.hear(session, &packet, &mut submissions);
    }
    polled.bell.await_answers(!has_room());
    if !submissions.is_empty() {
        session.shard.hub.queue().submit(submissions).await;
    }
    match step {
        Step::More => polled.answer_post(None),
        Step::Request(text) => {
            carry_out(polled, session, &text).await;
            polled.answer_post(None);
        }
        Step::End => return Took::End,
        Step::Broken(word) => {
            polled.answer_post(Some(word));
            return Took::End;
        }
    }
    if took { Took::Some } else { Took::Nothing }
}

/// What was posted before is answered first, so that events of one client see each other's effects in order.
async fn carry_out(polled: &Rc<Polled>, session: &Session, text: &str) {
    polled.bell.await_answers(true);
    while polled.speaker.waiting() > 0 && polled.bell.ending().is_none() {
        polled.bell.rung().await;
        session.flush();
        polled.answer_get(None);
    }
    polled.speaker.carry_out(session, text).await;
}

/// The last words wait a little for a poll, or for a WebSocket that takes them over, and then for the client to close: it would not see them behind
/// a packet that closes.
async fn say_goodbye(polled: &Rc<Polled>, session: &Session, ending: Ending) {
    session.silence();
    session.push(|into| Speaker::goodbye(ending, into));
    let told = async {
        while session.flush() == Flushed::Blocked {
            if polled.successor.borrow().is_some() {
                return;
            }
            polled.answer_get(polled.noop());
            polled.bell.rung().await;
        }
        polled.answer_get(None);
        while !polled.has_get() && !polled.has_post() {
            polled.bell.rung().await;
        }
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, told).await;
}

impl Polled {
    /// What ends a poll at once while a WebSocket is about to take over.
    fn noop(&self) -> Option<&'static str> {
        self.probing.get().then_some("6")
    }

    /// Waits until something happens, or is due.
    async fn rest(&self, until: Option<Instant>) {
        if self.has_get() {
            self.pulse.borrow_mut().polled(Instant::now());
        }
        let next = self.pulse.borrow().next();
        let due = until.map_or(next, |until| until.min(next));
        tokio::select! {
            biased;
            () = self.bell.rung() => {}
            () = tokio::time::sleep_until(due) => {}
        }
    }

    fn beat(&self) -> Beat {
        let now = Instant::now();
        let mut pulse = self.pulse.borrow_mut();
        if self.has_get() {
            pulse.polled(now);
        }
        pulse.beat(now)
    }

    /// A WebSocket is about to take over.
    pub(crate) fn probe(&self) {
        self.probing.set(true);
        self.bell.ring();
    }

    /// It will not, after all.
    pub(crate) fn stay(&self) {
        self.probing.set(false);
        self.bell.ring();
    }

    /// It takes over: what it takes comes when nothing waits for an answer any more.
    pub(crate) fn upgrade(&self) -> oneshot::Receiver<Handover> {
        let (successor, handover) = oneshot::channel();
        *self.successor.borrow_mut() = Some(successor);
        self.bell.ring();
        handover
    }
}
