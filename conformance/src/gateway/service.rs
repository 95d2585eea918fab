//! An XMPP push service (XEP-0357): an account of ours whose client takes what the server publishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::World;
use super::book::{Answer, Arrived, Provider};
use crate::script::password;
use crate::server::Server;
use crate::suite::load;
use crate::xmpp::client::{Client, Over, Seen};
use crate::xmpp::element::Element;

/// Where the service is: a full JID of the demo's domain, so that its client is asked itself.
pub const JID: &str = "pusher@localhost/service";
const UID: &str = "pusher";
const RESOURCE: &str = "service";
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const PUSH: &str = "urn:xmpp:push:0";
const FORM: &str = "jabber:x:data";
const SUMMARY: &str = "urn:xmpp:push:summary";
/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// The service, with a thread of its own.
#[derive(Debug)]
pub struct Service {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Service {
    /// Signs in and takes pushes.
    ///
    /// # Errors
    /// It may not sign in.
    pub fn start(server: &Server, world: Arc<World>) -> Result<Service> {
        load::token(server, UID)?;
        let (mut client, jid) = Client::sign_in(&server.xmpp_endpoints()?, Over::Tcp, UID, &password(UID), RESOURCE)?;
        ensure!(jid == JID, "bound as {jid}");
        client.send("<presence/>")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(UID.into()).spawn(move || take(&mut client, &world, &stopped))?;
        Ok(Service { stop, thread: Some(thread) })
    }

    /// Ends it.
    ///
    /// # Errors
    /// It had lost its connection.
    pub fn stop(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().context("it has ended")?.join().map_err(|_| anyhow!("the service panicked"))?
    }
}

fn take(client: &mut Client, world: &World, stopped: &AtomicBool) -> Result<()> {
    while !stopped.load(Ordering::Relaxed) {
        match client.see(LOOK)? {
            Seen::Element(element) if element.name == "iq" && element.attr("type") == Some("set") => {
                let answer = answer(world, &element);
                client.send(&answer)?;
            }
            Seen::Closed | Seen::End => return Err(anyhow!("the service lost its connection")),
            _ => {}
        }
    }
    Ok(())
}

/// Judges a publish, and answers it.
fn answer(world: &World, iq: &Element) -> String {
    let (id, from) = (iq.attr("id").unwrap_or_default(), iq.attr("from").unwrap_or_default());
    let error = |kind: &str, condition: &str| {
        format!(
            "<iq type='error' id='{id}' to='{from}'><error type='{kind}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        )
    };
    let arrived = match judge(world, iq) {
        Ok(arrived) => arrived,
        Err(why) => {
            world.book.violation(format!("XEP-0357: {why:#}"));
            return error("modify", "bad-request");
        }
    };
    match world.book.arrive(arrived) {
        Answer::Accept => format!("<iq type='result' id='{id}' to='{from}'/>"),
        Answer::Gone | Answer::Unknown => error("cancel", "item-not-found"),
        Answer::Throttle(_) | Answer::Unavailable(_) | Answer::Broken => error("wait", "resource-constraint"),
        _ => error("cancel", "not-acceptable"),
    }
}

/// XEP-0357 §5, with the form of §5.1 ("urn:xmpp:push:summary").
fn judge(world: &World, iq: &Element) -> Result<Arrived> {
    ensure!(iq.attr("id").is_some_and(|id| !id.is_empty()), "no id");
    let pubsub = iq.child_of("pubsub", PUBSUB).context("no pubsub")?;
    let publish = pubsub.child("publish").context("no publish")?;
    let node = publish.attr("node").context("no node")?;
    let device = world.book.device(Provider::Xmpp, &format!("{JID} {node}"))?;
    let notification = publish.child("item").and_then(|item| item.child_of("notification", PUSH)).context("no notification")?;
    let form = notification.child_of("x", FORM).context("no form")?;
    ensure!(form.attr("type") == Some("submit"), "the form's type is {:?}", form.attr("type"));
    ensure!(field(form, "FORM_TYPE").as_deref() == Some(SUMMARY), "the form is of {:?}", field(form, "FORM_TYPE"));
    let unread = field(form, "message-count").context("no message-count")?;
    let from = field(form, "last-message-sender").unwrap_or_default();
    Ok(Arrived {
        conversation: from.clone(),
        from,
        text: field(form, "last-message-body").unwrap_or_default(),
        unread: unread.parse().with_context(|| format!("message-count is {unread:?}"))?,
        ..Arrived::at(&device, &iq.to_string())
    })
}

fn field(form: &Element, name: &str) -> Option<String> {
    let field = form.children.iter().find(|field| field.name == "field" && field.attr("var") == Some(name))?;
    Some(field.child("value")?.text.clone())
}
