//! What became of pushes that Expo took. A ticket says that it has one; its receipt, some time later, what those behind it made of it. Each is asked
//! for once: what is not known by then shows with the next push.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hallway_broker::ids::ConferenceId;
use hallway_broker::model::TargetId;
use hallway_broker::push::gateway::Departed;
use serde::Deserialize;

use super::super::answer::word;
use super::Details;

/// Tickets that wait for their receipts; those of more devices are not kept.
const MAX_TICKETS: usize = 10_000;
/// Longest id of a ticket; Expo's have 36 bytes.
const MAX_ID_BYTES: usize = 64;
/// Receipts that are asked for at once: Expo answers up to 1,000, and its own libraries ask for so many.
const MAX_ASKED: usize = 300;

/// A push that Expo took.
#[derive(Debug)]
pub(super) struct Ticket {
    pub id: String,
    /// Whose it was, if its device turns out to be gone.
    whose: Departed,
    /// When, by the server's monotonic clock.
    taken: Duration,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Receipts(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    /// In the order in which they were taken.
    tickets: VecDeque<Ticket>,
    /// The devices that they are of: one of each is enough.
    devices: HashSet<(ConferenceId, TargetId)>,
    departed: Vec<Departed>,
}

impl Receipts {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expo took a push.
    pub(super) fn note(&self, id: String, whose: Departed, now: Duration) {
        let mut pages = self.pages();
        let may = pages.tickets.len() < MAX_TICKETS && (1..=MAX_ID_BYTES).contains(&id.len());
        if may && pages.devices.insert((whose.conference.clone(), whose.target)) {
            pages.tickets.push_back(Ticket { id, whose, taken: now });
        }
    }

    /// The tickets for whose receipts it is time.
    pub(super) fn take_due(&self, now: Duration, after: Duration) -> Vec<Ticket> {
        let mut pages = self.pages();
        let due = pages.tickets.iter().take(MAX_ASKED).take_while(|ticket| ticket.taken + after <= now).count();
        let due: Vec<Ticket> = pages.tickets.drain(..due).collect();
        for Ticket { whose, .. } in &due {
            pages.devices.remove(&(whose.conference.clone(), whose.target));
        }
        due
    }

    /// What Expo says of them; the errors that tell nothing of the device, and how often each came.
    pub(super) fn settle(&self, tickets: Vec<Ticket>, answer: &[u8]) -> HashMap<String, usize> {
        let Answer { data } = serde_json::from_slice(answer).unwrap_or_default();
        let (mut departed, mut errors) = (Vec::new(), HashMap::new());
        for Ticket { id, whose, .. } in tickets {
            match data.get(&id) {
                Some(receipt) if receipt.status == "error" => match receipt.details.error.as_str() {
                    "DeviceNotRegistered" => departed.push(whose),
                    error => *errors.entry(word(error)).or_default() += 1,
                },
                _ => {}
            }
        }
        self.pages().departed.extend(departed);
        errors
    }

    /// Whose devices turned out to be gone since this was asked last.
    pub(super) fn take_departed(&self) -> Vec<Departed> {
        std::mem::take(&mut self.pages().departed)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    data: HashMap<String, Receipt>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Receipt {
    status: String,
    details: Details,
}

#[cfg(test)]
mod tests {
    use hallway_broker::ids::Uid;
    use proptest::prelude::*;

    use super::*;

    const AFTER: Duration = Duration::from_secs(900);

    fn whose(number: usize) -> Departed {
        let mut target = TargetId::default();
        target[8..].copy_from_slice(&number.to_be_bytes());
        Departed { conference: ConferenceId::parse("demo").unwrap(), user: Uid::parse("bob").unwrap(), target, since_ms: 1 }
    }

    #[test]
    fn tickets_are_bounded_and_one_of_each_device() {
        let receipts = Receipts::default();
        for number in 0..MAX_TICKETS + 5 {
            receipts.note(format!("t{number}"), whose(number), Duration::ZERO);
            receipts.note(format!("again{number}"), whose(number), Duration::ZERO);
        }
        receipts.note("x".repeat(MAX_ID_BYTES + 1), whose(0), Duration::ZERO);
        assert!(receipts.take_due(AFTER - Duration::from_millis(1), AFTER).is_empty());
        let mut asked = Vec::new();
        while let due = receipts.take_due(AFTER, AFTER)
            && !due.is_empty()
        {
            assert!(due.len() <= MAX_ASKED);
            asked.extend(due.into_iter().map(|ticket| ticket.id));
        }
        assert_eq!(asked.len(), MAX_TICKETS);
        assert!(asked.iter().enumerate().all(|(number, id)| *id == format!("t{number}")));
        // Once they were asked for, the next push has one again.
        receipts.note("next".to_owned(), whose(0), AFTER);
        assert_eq!(receipts.take_due(2 * AFTER, AFTER).len(), 1);
    }

    proptest! {
        #[test]
        fn whatever_expo_says_only_who_was_asked_about_departs(answer in prop::collection::vec(any::<u8>(), 0..80), status in ".{0,8}", error in ".{0,20}") {
            let receipts = Receipts::default();
            receipts.note("one".to_owned(), whose(1), Duration::ZERO);
            let tickets = receipts.take_due(AFTER, AFTER);
            receipts.settle(tickets, &answer);
            receipts.note("one".to_owned(), whose(1), Duration::ZERO);
            let gone = serde_json::json!({ "data": {
                "one": { "status": status, "details": { "error": error } }, "two": { "status": "error", "details": { "error": "DeviceNotRegistered" } },
            } });
            receipts.settle(receipts.take_due(AFTER, AFTER), gone.to_string().as_bytes());
            let departed = receipts.take_departed();
            prop_assert_eq!(departed.len(), usize::from(status == "error" && error == "DeviceNotRegistered"));
        }
    }
}
