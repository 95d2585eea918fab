//! The server that a story is played against: Hallway, or a Prosody to compare with. Both have the rooms lobby, help and announcements.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::json;

use super::prosody::Prosody;
use crate::http::Request;
use crate::script::password;
use crate::server::{Options, Server};
use crate::xmpp::client::Endpoints;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Ours.
    Hallway,
    /// Debian's Prosody.
    Prosody,
}

impl Kind {
    /// Its name in scripts and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Hallway => "hallway",
            Kind::Prosody => "prosody",
        }
    }

    /// Cuts `hallway:` or `prosody:` off a line.
    #[must_use]
    pub fn of_prefix(line: &str) -> (Option<Kind>, &str) {
        for kind in [Kind::Hallway, Kind::Prosody] {
            if let Some(rest) = line.strip_prefix(kind.name()).and_then(|rest| rest.strip_prefix(':')) {
                return (Some(kind), rest.trim());
            }
        }
        (None, line)
    }
}

enum Running {
    Hallway(Box<Server>),
    Prosody(Box<Prosody>),
}

/// A running server with its people.
pub struct World {
    running: Running,
    endpoints: Endpoints,
    people: BTreeSet<String>,
}

impl World {
    /// Starts one. Everybody's nick is their name.
    ///
    /// # Errors
    /// It does not start, or lets somebody not have an account.
    pub fn start(kind: Kind, people: &BTreeSet<String>, staff: &BTreeSet<String>) -> Result<World> {
        let all: BTreeSet<String> = people.union(staff).cloned().collect();
        let (running, endpoints) = match kind {
            Kind::Hallway => {
                let server = hallway(people, staff)?;
                let endpoints = server.xmpp_endpoints()?;
                (Running::Hallway(Box::new(server)), endpoints)
            }
            Kind::Prosody => {
                let prosody = Prosody::start(&all, staff)?;
                let endpoints = prosody.endpoints().clone();
                (Running::Prosody(Box::new(prosody)), endpoints)
            }
        };
        Ok(World { running, endpoints, people: all })
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The domain of its rooms.
    #[must_use]
    pub fn rooms(&self) -> String {
        format!("rooms.{}", self.endpoints.domain)
    }

    /// Who has an account.
    #[must_use]
    pub fn people(&self) -> &BTreeSet<String> {
        &self.people
    }

    /// What it complained of lately.
    #[must_use]
    pub fn log(&self) -> String {
        let log = match &self.running {
            Running::Hallway(server) => server.stderr_tail(50),
            Running::Prosody(prosody) => prosody.log_tail(50),
        };
        let complaints = log.lines().filter(|line| ["WARN", "ERROR", "warn", "error", "panicked"].iter().any(|word| line.contains(word)));
        complaints.map(|line| format!("{line}\n")).collect()
    }
}

fn hallway(people: &BTreeSet<String>, staff: &BTreeSet<String>) -> Result<Server> {
    let server = Server::start(Options::new().xmpp().without_rates())?;
    for name in people {
        register(&server, name)?;
    }
    for name in staff {
        let user = format!("demo/{name}");
        server.cli_ok(&["user", "add", &user, "--role", "staff", "--name", name, "--password", &password(name)])?;
    }
    Ok(server)
}

/// An account in conference `demo` whose display name, which is its nick, is its uid.
///
/// # Errors
/// The server refuses.
pub fn register(server: &Server, name: &str) -> Result<()> {
    let body = json!({"conference": "demo", "uid": name, "password": password(name), "name": name});
    let answer = Request::new("POST", "/api/register").json(&body).send(server.http())?;
    ensure!(answer.status() == 201, "registering {name} was answered {}: {}", answer.status(), answer.text());
    Ok(())
}
