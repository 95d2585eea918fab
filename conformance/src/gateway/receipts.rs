//! Expo's receipts: what became of pushes for which tickets were given. Each is asked for once.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::exchange::{Reply, Request, has_members};
use super::{World, expo};

/// Where receipts are asked for.
pub const PATH: &str = "/--/api/v2/push/getReceipts";
const RECEIPTS: usize = 1000;

/// What is known of tickets.
#[derive(Debug, Default)]
pub struct Receipts(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    /// Devices by the tickets for which nobody has asked.
    open: HashMap<String, String>,
    /// Devices that turn out to be gone.
    departing: HashSet<String>,
}

impl Receipts {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ticket for a push to a device.
    #[must_use]
    pub fn ticket(&self, device: &str) -> String {
        let ticket = format!("{:032x}", rand::random::<u128>());
        self.pages().open.insert(ticket.clone(), device.to_owned());
        ticket
    }

    /// What is taken for this device does not get through: it is gone.
    pub fn departs(&self, device: &str) {
        self.pages().departing.insert(device.to_owned());
    }

    fn receipt(&self, ticket: &str) -> Result<Value> {
        let mut pages = self.pages();
        let device = pages.open.remove(ticket).with_context(|| format!("the ticket {ticket} was never given, or was asked for before"))?;
        let gone = json!({"status": "error", "message": "It is gone.", "details": {"error": "DeviceNotRegistered"}});
        Ok(if pages.departing.contains(&device) { gone } else { json!({"status": "ok"}) })
    }
}

/// Judges who asks, and answers.
pub fn answer(world: &World, request: &Request) -> Reply {
    match judge(world, request) {
        Ok(data) => Reply::json(200, &json!({"data": data})),
        Err(error) => {
            world.book.violation(format!("Expo's receipts: {error:#}"));
            expo::failure(400, "VALIDATION_ERROR")
        }
    }
}

fn judge(world: &World, request: &Request) -> Result<Map<String, Value>> {
    expo::is_let_in(request)?;
    let body = request.json()?;
    has_members(&body, &["ids"], &[])?;
    let ids = body["ids"].as_array().context("ids is no list")?;
    ensure!((1..=RECEIPTS).contains(&ids.len()), "{} receipts at once", ids.len());
    ids.iter()
        .map(|id| {
            let id = id.as_str().context("an id that is no text")?;
            Ok((id.to_owned(), world.receipts.receipt(id)?))
        })
        .collect()
}
