//! News of what people keep and show of themselves (XEP-0163 §4.3): to those whose clients say that they want it, by their capabilities
//! (XEP-0115); and changes of block lists.

use std::rc::Rc;
use std::sync::Arc;

use hallway_broker::ids::Uid;
use hallway_broker::model::Access;
use hallway_broker::session::blocking;
use minidom::Element;

use super::connection::Connection;
use super::directory::Resource;
use super::disco;
use super::edge::Edge;
use super::presence;
use super::profile::{Push, pep};
use super::roster::{self, push_id};
use super::stream::ns;
use super::task::Task;
use super::write::Writer;

/// What the id of our question for capabilities begins with.
const QUESTION: &str = "caps-";
/// Nodes that one client is told of.
const MAX_NODES: usize = 64;
/// Bytes of what somebody who comes is told in all.
const MAX_NEWS_BYTES: usize = 1 << 20;
/// People of whom somebody who comes is told the last of each node.
const MAX_OWNERS: usize = 200;

/// A client that says that it has capabilities is asked which, once (XEP-0115 §6.2).
pub(super) fn ask(task: &Task, presence: &Element) {
    let Some(caps) = presence.get_child("c", disco::CAPS) else { return };
    let ver = caps.attr("ver").unwrap_or_default();
    if ver.is_empty() || task.connection.caps.replace(ver.into()) == ver.into() {
        return;
    }
    let connection = &task.connection;
    let id = [QUESTION, &push_id()].concat();
    connection.question.replace(id.as_str().into());
    let node = format!("{}#{ver}", caps.attr("node").unwrap_or_default());
    task.session.push(|into| {
        let mut question = Vec::new();
        let mut xml = Writer::new(&mut question);
        xml.open("iq", ns::CLIENT).attr("from", &connection.domain.host.domain).attr("to", &connection.me.full);
        xml.attr("type", "get").attr("id", &id).inside();
        xml.open("query", disco::INFO).attr("node", &node).empty().close("iq");
        connection.emit(&question, into);
    });
}

/// Takes the answer: the session is told the last of each node that it wants news of.
pub(super) async fn answered(task: &mut Task, iq: &Element) {
    // Once for each question: to find out what there is to be told is much work.
    let is_ours = iq.attr("id").is_some_and(|id| id.starts_with(QUESTION) && *id == **task.connection.question.borrow());
    let Some(query) = iq.get_child("query", disco::INFO).filter(|_| is_ours) else { return };
    task.connection.question.take();
    let features = query.children().filter(|child| child.is("feature", disco::INFO)).filter_map(|feature| feature.attr("var"));
    let nodes: Vec<Box<str>> = features.filter_map(|name| name.strip_suffix("+notify")).take(MAX_NODES).map(Into::into).collect();
    task.connection.notified.replace(nodes.clone());
    let (reader, conf, me) = (task.edge.hub.reader().clone(), task.connection.me.conf, task.connection.me.uid.clone());
    let found = blocking(move || {
        let mut owners = roster::partners(&reader, conf, &me)?;
        owners.truncate(MAX_OWNERS);
        owners.insert(0, me.clone());
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (owner, node) in owners.iter().flat_map(|owner| nodes.iter().map(move |node| (owner, node))) {
            let Some(push) = pep::last_event(&reader, conf, owner, &me, node)? else { continue };
            bytes += push.payload().len();
            if bytes > MAX_NEWS_BYTES {
                break;
            }
            found.push((owner.clone(), push));
        }
        Ok(found)
    });
    let Ok(found) = found.await else { return };
    let connection = Rc::clone(&task.connection);
    task.session.push(|into| {
        for (owner, push) in &found {
            let mut stanza = Vec::new();
            push.write(&connection.domain.names().user(owner), &connection.me.full, &push_id(), &mut stanza);
            connection.emit(&stanza, into);
        }
    });
}

/// Tells what changed of the account's own.
pub(super) async fn tell(task: &Task, pushes: Vec<Push>) {
    for push in pushes {
        match &push {
            Push::Event { access, .. } => {
                let mut to = vec![task.connection.me.uid.clone()];
                if *access != Access::Private {
                    let (reader, conf, me) = (task.edge.hub.reader().clone(), task.connection.me.conf, task.connection.me.uid.clone());
                    to.extend(blocking(move || Ok(roster::partners(&reader, conf, &me)?)).await.unwrap_or_default());
                }
                send(task, &to, push);
            }
            Push::Blocklist { users, on, .. } => {
                presence::blocked(task, users, *on);
                send(task, std::slice::from_ref(&task.connection.me.uid), push);
            }
        }
    }
}

fn send(task: &Task, to: &[Uid], push: Push) {
    let push = Arc::new(push);
    let from: Arc<str> = Arc::clone(&task.connection.me.bare);
    for uid in to {
        for resource in task.edge.directory.of(task.connection.me.conf, uid) {
            route(&task.edge, &resource, Arc::clone(&from), Arc::clone(&push));
        }
    }
}

/// Gives news to a session on any shard, if it wants them.
fn route(edge: &Edge, to: &Resource, from: Arc<str>, push: Arc<Push>) {
    presence::route_by(edge, to, move |connection, into| {
        if wants(connection, &push) {
            let mut stanza = Vec::new();
            push.write(&from, &connection.me.full, &push_id(), &mut stanza);
            connection.emit(&stanza, into);
        }
    });
}

fn wants(connection: &Connection, push: &Push) -> bool {
    match push {
        Push::Event { node, .. } => connection.notified.borrow().iter().any(|wanted| **wanted == **node),
        Push::Blocklist { .. } => connection.sees_blocks.get(),
    }
}
