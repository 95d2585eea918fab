//! Applications' topics, as `/sock` and JSON-RPC speak of them: by the application's own name, with an action and a payload of JSON.

use std::sync::Arc;

use bytes::Bytes;
use hallway_broker::allowances::{TopicRights, Use};
use hallway_broker::canonical::{MAX_ACTION_BYTES, Said, is_action};
use hallway_broker::command::{Action, Actor};
use hallway_broker::hub::Hub;
use hallway_broker::model::{Properties, Publication, Realm, Signal};
use hallway_broker::mqtt::topic::{check_name, generic_topic};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::Who;
use hallway_broker::topic::Telling;
use serde_json::value::RawValue;

use crate::rpc::Fault;

/// The whole name of an application's topic.
///
/// # Errors
/// `invalid_params` when it cannot be one.
pub(crate) fn whole_name(who: &Who, topic: &str) -> Result<Arc<str>, Fault> {
    let mut name = String::with_capacity(topic.len() + 32);
    generic_topic(&mut name, who.conference.as_str(), topic);
    if topic.is_empty() {
        return Err(Fault::invalid_params("topic is empty"));
    }
    check_name(&name).map_err(Fault::invalid_params)?;
    Ok(name.into())
}

/// Something to be said on a topic.
#[derive(Debug)]
pub(crate) struct Message {
    publication: Arc<Publication>,
    store: bool,
}

impl Message {
    /// What somebody wants to say, within its bounds.
    ///
    /// # Errors
    /// `invalid_params`, `too_large`.
    pub fn new(hub: &Hub, name: &Arc<str>, action: &str, payload: Option<&RawValue>, store: bool) -> Result<Self, Fault> {
        if !is_action(action) {
            let what = format_args!("action has 1 to {MAX_ACTION_BYTES} bytes and is none of the server's own words");
            return Err(Fault::invalid_params(what));
        }
        let payload = serde_json::to_vec(&Said { action, payload }).map_err(Fault::invalid_params)?;
        if payload.len() > hub.limits().text_bytes {
            return Err(Reason::TooLarge.into());
        }
        let properties = Properties { payload_is_utf8: true, content_type: Some("application/json".into()), ..Properties::default() };
        let publication = Publication {
            realm: Realm::Apps,
            topic: Arc::clone(name),
            payload: Bytes::from(payload),
            qos: u8::from(store),
            retain: false,
            expires_ms: u64::MAX,
            properties: Some(Box::new(properties)),
        };
        Ok(Self { publication: Arc::new(publication), store })
    }

    /// Whether it is to be stored.
    pub fn is_stored(&self) -> bool {
        self.store
    }

    /// Whether nobody has to be asked whether it may be said: yes or no, or `None` when the webhook must be.
    pub fn may_be_said(&self, rights: &TopicRights) -> Option<bool> {
        let name = &self.publication.topic;
        if rights.must_ask(name) { None } else { Some(rights.may_publish(name)) }
    }

    /// Finds out whether it may be said.
    ///
    /// # Errors
    /// Why not.
    pub async fn settle(&self, rights: &TopicRights) -> Result<(), Reject> {
        rights.settle(&self.publication.topic, Use::Publish).await
    }

    /// What the hub is to be asked for it, or nothing when it was told at once, since nobody has to keep it.
    pub fn say(self, hub: &Hub, who: &Who, session: u64) -> Option<Action> {
        let Self { publication, store } = self;
        if store {
            return Some(Action::Store(publication));
        }
        let (from, at_ms) = (who.uid.clone(), hub.clock().now_ms());
        hub.tell(&Telling::of(who.conf, Signal::Published { from, origin: session, publication, at_ms }));
        None
    }

    /// Says it, and waits until it is kept if it is to be.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn deliver(self, hub: &Hub, who: &Who, actor: Actor) -> Result<(), Reject> {
        match self.say(hub, who, actor.session) {
            Some(action) => hub.call(who.conf, actor, action).await.map(drop),
            None => Ok(()),
        }
    }
}
