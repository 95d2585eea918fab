//! What is good for so many times is not good for more, and what is too large for nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Scene;
use super::doors::{DOORS, in_its_words, said, upgrade};
use crate::client::Connect;
use crate::http::{Request, Response};
use crate::jwt::claims_with;
use crate::sse::EventStream;
use crate::suite::Report;

/// How long a ticket is good, and a little.
const EXPIRED: Duration = Duration::from_secs(32);

/// A ticket, and since when it is out: others are checked while it expires.
pub struct Waiting(String, Instant);

impl Waiting {
    pub fn begin(scene: &Scene) -> Result<Waiting> {
        Ok(Waiting(ticket_of(scene, "patient")?, Instant::now()))
    }
}

pub fn run(scene: &Scene, waiting: &Waiting, report: &mut Report) {
    report.check("hostile sign-in: tokens that are too large", || too_large(scene));
    report.check("hostile sign-in: a ticket is good once", || once(scene));
    report.check("hostile sign-in: a ticket is good for one upgrade", || upgrades(scene));
    report.check("hostile sign-in: another site's page has no use of a ticket", || other_site(scene));
    report.check("hostile sign-in: all at once a ticket is good once", || once_at_once(scene));
    report.check("hostile sign-in: tickets that are none", || no_tickets(scene));
    report.check("hostile sign-in: tickets without end", || many_tickets(scene));
    report.check("hostile sign-in: an invitation is good as often as it says", || invitation(scene));
    report.check("hostile sign-in: nobody comes in without an invitation", || no_invitation(scene));
    report.check("hostile sign-in: a ticket expires", || late(scene, waiting));
}

fn too_large(scene: &Scene) -> Result<String> {
    for bytes in [9_000, 100_000] {
        let token = scene.ed25519.token("e", &claims_with("mallory", &json!({"groups": "g".repeat(bytes)})));
        for (door, ask) in DOORS {
            // XMPP takes nothing of that size before somebody has signed in, and ends the stream.
            if let Ok(said) = ask(&scene.server, &token) {
                let expected = [in_its_words(door, "bad_token"), "malformed-request".to_owned()];
                ensure!(expected.contains(&said), "{door} says {said:?}");
            } else {
                ensure!(door.starts_with("XMPP") || bytes > 50_000, "{door} says nothing to {bytes} bytes");
            }
        }
    }
    Ok(String::new())
}

fn new_ticket(scene: &Scene) -> Result<String> {
    ticket_of(scene, "ticketed")
}

fn ticket_of(scene: &Scene, subject: &str) -> Result<String> {
    let token = scene.p256.token("p", &claims_with(subject, &json!({"preferred_username": subject})));
    let answer = Request::new("POST", "/ticket").header("Authorization", &format!("Bearer {token}")).send(scene.server.http())?;
    let answer = answer.json()?;
    ensure!(answer["expires_in"] == 30, "{answer}");
    Ok(answer["ticket"].as_str().context("no ticket")?.to_owned())
}

/// What `session.hello` says to a ticket.
fn hello(scene: &Scene, ticket: &str) -> Result<String> {
    let mut client = Connect::new().open(scene.server.http())?;
    Ok(client.call("session.hello", &json!({"ticket": ticket}))?.map_or_else(|error| error.reason, |_| "yes".into()))
}

fn by_http(scene: &Scene, ticket: &str) -> Result<String> {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "session.list"});
    said(&Request::new("POST", &format!("/rpc?ticket={ticket}")).json(&call).send(scene.server.http())?)
}

fn once(scene: &Scene) -> Result<String> {
    let (first, second) = (new_ticket(scene)?, new_ticket(scene)?);
    for (ticket, expected) in [(&first, "yes"), (&first, "bad_ticket"), (&second, "yes"), (&second, "bad_ticket"), (&first, "bad_ticket")] {
        let said = hello(scene, ticket)?;
        ensure!(said == expected, "{said}, not {expected}");
    }
    let third = new_ticket(scene)?;
    ensure!(
        by_http(scene, &third)? == "yes" && by_http(scene, &third)? == "bad_ticket" && hello(scene, &third)? == "bad_ticket",
        "over HTTP"
    );
    Ok(String::new())
}

fn upgrades(scene: &Scene) -> Result<String> {
    let show = |path: &str, ticket: &str| match path {
        "/events" => events(scene, ticket),
        path => upgrade(&scene.server, &format!("{path}?ticket={ticket}")),
    };
    let paths = ["/events", "/sock", "/lobby"];
    for first in paths {
        let ticket = new_ticket(scene)?;
        ensure!(show(first, &ticket)? == "yes", "{first} does not take it");
        for again in paths {
            let said = show(again, &ticket)?;
            ensure!(said == "bad_ticket", "{again} after {first}: {said}");
        }
    }
    Ok(paths.join(", "))
}

fn events(scene: &Scene, ticket: &str) -> Result<String> {
    let stream = EventStream::open(scene.server.http(), &format!("ticket={ticket}"), &[], None)?;
    Ok(if stream.head.status == 200 { "yes" } else { "bad_ticket" }.to_owned())
}

/// A cross-site handshake is refused before the ticket is looked at, so that it stays good for whom it was made.
fn other_site(scene: &Scene) -> Result<String> {
    let ticket = new_ticket(scene)?;
    for path in ["/sock", "/lobby", "/events"] {
        for (name, value) in [("Origin", "https://evil.example"), ("Host", "evil.example")] {
            let handshake = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")];
            let request = Request::new("GET", &format!("{path}?ticket={ticket}")).header(name, value);
            let request = handshake.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            let answer = request.header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==").send(scene.server.http())?;
            ensure!(answer.status() == 403, "{path} from {value}: {}", answer.status());
        }
    }
    ensure!(hello(scene, &ticket)? == "yes", "the ticket was used");
    Ok(String::new())
}

fn once_at_once(scene: &Scene) -> Result<String> {
    let (ticket, let_in) = (new_ticket(scene)?, AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                if hello(scene, &ticket).is_ok_and(|said| said == "yes") {
                    let_in.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let let_in = let_in.into_inner();
    ensure!(let_in == 1, "{let_in} were let in");
    Ok(String::new())
}

fn no_tickets(scene: &Scene) -> Result<String> {
    let good = new_ticket(scene)?;
    let (id, code) = good.split_once(':').context("a ticket has two parts")?;
    let long = "x".repeat(4000);
    let other = new_ticket(scene)?;
    let swapped = format!("{id}:{}", other.split_once(':').context("a ticket has two parts")?.1);
    for ticket in ["", ":", id, code, &format!("{id}:"), &format!("{id}:{long}"), &swapped, &format!("{id}:{code}:"), "\u{0}:\u{0}", &long]
    {
        ensure!(hello(scene, ticket)? == "bad_ticket", "{ticket:?}");
    }
    // Neither do guesses spoil it, nor does it buy another.
    let bought = Request::new("GET", &format!("/ticket?ticket={good}")).send(scene.server.http())?;
    ensure!(said(&bought)? == "no_session", "a ticket bought a ticket");
    let mut client = Connect::new().open(scene.server.http())?;
    for params in [json!({}), json!({"ticket": good, "token": "x"}), json!({"ticket": 1}), json!({"ticket": null})] {
        let refused = client.call("session.hello", &params)?.err().map(|error| error.reason);
        ensure!(refused.as_deref() == Some("invalid_params"), "{params}: {refused:?}");
    }
    ensure!(hello(scene, &good)? == "yes", "it is good all the same");
    Ok(String::new())
}

fn many_tickets(scene: &Scene) -> Result<String> {
    let before = scene.server.rss_bytes()?;
    let first = new_ticket(scene)?;
    for _ in 0..500 {
        new_ticket(scene)?;
    }
    ensure!(hello(scene, &first)? == "bad_ticket", "the oldest is still good");
    let grown = scene.server.rss_bytes()?.saturating_sub(before);
    ensure!(grown < 16 << 20, "{grown} bytes more");
    Ok(String::new())
}

fn late(scene: &Scene, Waiting(ticket, start): &Waiting) -> Result<String> {
    while start.elapsed() < EXPIRED {
        // A wait for time itself: no condition tells that it has passed.
        std::thread::sleep(EXPIRED.saturating_sub(start.elapsed()));
    }
    ensure!(hello(scene, ticket)? == "bad_ticket", "it is still good");
    Ok(String::new())
}

fn register(scene: &Scene, uid: &str, invite: &Value) -> Result<Response> {
    let body = json!({"conference": "club", "uid": uid, "password": "club-secret-1", "invite": invite});
    Request::new("POST", "/api/register").json(&body).send(scene.server.http())
}

fn invitation(scene: &Scene) -> Result<String> {
    let code = scene.server.cli_ok(&["invite", "add", "club", "--uses", "5", "--days", "1"])?;
    let (let_in, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for n in 0..20 {
            let (code, let_in, refused) = (&code, &let_in, &refused);
            scope.spawn(move || match register(scene, &format!("guest-{n}"), &json!(code)) {
                Ok(answer) if answer.status() == 201 => let_in.fetch_add(1, Ordering::Relaxed),
                Ok(answer) if said(&answer).is_ok_and(|said| said == "bad_invite") => refused.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            });
        }
    });
    let (let_in, refused) = (let_in.into_inner(), refused.into_inner());
    ensure!(let_in == 5 && refused == 15, "{let_in} let in, {refused} refused of 20");
    let listed = scene.server.cli_ok(&["invite", "list", "club"])?;
    ensure!(listed.contains("5 of 5") && !listed.contains(&code), "listed as {listed}");
    Ok(String::new())
}

fn no_invitation(scene: &Scene) -> Result<String> {
    let code = scene.server.cli_ok(&["invite", "add", "club", "--role", "staff"])?;
    for invite in [json!(null), json!(""), json!("aaaa-aaaa-aaaa-aaaa"), json!("x".repeat(10_000)), json!("\u{0}")] {
        let said = said(&register(scene, "stranger", &invite)?)?;
        ensure!(said == "bad_invite", "{invite}: {said}");
    }
    ensure!(register(scene, "stranger", &json!(["a"]))?.status() == 400, "a list of codes");
    scene.server.cli_ok(&["invite", "remove", "club", &code])?;
    ensure!(said(&register(scene, "stranger", &json!(code))?)? == "bad_invite", "taken back");
    let not_there = scene.server.cli(&["invite", "remove", "club", &code])?;
    ensure!(!not_there.status.success(), "taken back twice");
    Ok(String::new())
}
