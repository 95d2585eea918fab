//! Allowances: who may publish on which of the applications' topics, and who may read them. First the organiser's rules
//! (`[[conference.<id>.topics]]`), read once for each session; then, for the topics of conversations, their membership, looked at for each
//! message, since it changes; then the organiser's [webhook](Webhook).

mod grants;
mod webhook;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{ConversationId, Uid};
use crate::model::UserRole;
use crate::mqtt::topic::{app_name, check_filter, generic_topic, matches};
use crate::reader::Reader;
use crate::reject::{Reason, Reject};
use crate::session::Who;

use grants::Grants;

pub use webhook::{Question, Webhook, WebhookOptions};

/// What the names of conversations' own topics begin with; the conversation's id follows.
pub const OF_CONVERSATION: &str = "exchange/text:";

/// Stands for the reader's or publisher's own uid in a rule's filter.
const OWN_UID: &str = "{uid}";

/// Who a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Allowed {
    /// A role; staff's holds organisers, too.
    Role(UserRole),
    /// One user.
    User(Uid),
}

impl Allowed {
    fn holds(&self, uid: &Uid, role: UserRole) -> bool {
        match self {
            Self::Role(UserRole::Staff) => role.is_staff(),
            Self::Role(wanted) => *wanted == role,
            Self::User(wanted) => wanted == uid,
        }
    }
}

impl TryFrom<String> for Allowed {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        if let Some(uid) = word.strip_prefix("user:") {
            return Uid::parse(uid).map(Self::User).map_err(|error| format!("'{uid}' is {error}"));
        }
        let role = UserRole::from_word(&word).map(Self::Role);
        role.ok_or_else(|| format!("'{word}' is neither a role (attendee, staff, organiser, device, service) nor \"user:<uid>\""))
    }
}

impl From<Allowed> for String {
    fn from(allowed: Allowed) -> Self {
        match allowed {
            Allowed::Role(role) => role.word().to_owned(),
            Allowed::User(uid) => format!("user:{uid}"),
        }
    }
}

/// A rule over some topics. Of the rules that match a topic the first decides; what none matches is open to the conference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicRule {
    /// Which: an MQTT filter over what stands behind `topic/`; a level `{uid}` is one's own uid.
    pub filter: String,
    /// Who may publish; without it all may, with none in it nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<Vec<Allowed>>,
    /// Who may subscribe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<Vec<Allowed>>,
}

impl TopicRule {
    /// Checks the filter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        check_filter(&self.filter).map_err(|error| format!("'{}': {error}", self.filter))
    }
}

/// What somebody may do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// Publish.
    pub publish: bool,
    /// Subscribe.
    pub subscribe: bool,
}

/// What somebody wants with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// To publish.
    Publish,
    /// To subscribe.
    Subscribe,
}

/// Who decides about a topic.
enum Judge {
    /// A rule has.
    Rule(Right),
    /// A conversation's membership does: `exchange/text:<conversation>` is for who may read it, and to publish for who may post there.
    Conversation(ConversationId),
    /// Nobody can use it.
    Nobody,
    /// The organiser's webhook.
    Webhook,
    /// Nobody has to.
    Everybody,
}

/// What one person may do with applications' topics, by their whole names: the first rule decides; without one, of the topics of conversations
/// the membership; of others the organiser's webhook, if there is one; else all may do all.
pub struct TopicRights {
    rules: Vec<(Box<str>, Right)>,
    /// What all applications' topics of the conference begin with.
    prefix: Box<str>,
    reader: Reader,
    who: Who,
    role: UserRole,
    webhook: Option<Arc<Webhook>>,
    /// What the webhook let them subscribe to.
    granted: Option<Arc<Grants>>,
}

impl TopicRights {
    /// The rights of somebody.
    #[must_use]
    pub fn of(rules: &[TopicRule], reader: Reader, who: Who, role: UserRole, webhook: Option<Arc<Webhook>>) -> Self {
        let (conference, uid) = (&who.conference, &who.uid);
        let may = |allowed: &Option<Vec<Allowed>>| allowed.as_ref().is_none_or(|all| all.iter().any(|one| one.holds(uid, role)));
        let right = |rule: &TopicRule| {
            let mut filter = String::new();
            let own: Vec<&str> = rule.filter.split('/').map(|level| if level == OWN_UID { uid.as_str() } else { level }).collect();
            generic_topic(&mut filter, conference.as_str(), &own.join("/"));
            (filter.into(), Right { publish: may(&rule.publish), subscribe: may(&rule.subscribe) })
        };
        let mut prefix = String::new();
        generic_topic(&mut prefix, conference.as_str(), "");
        let rules = rules.iter().map(right).collect();
        let granted = webhook.clone().map(|webhook| Grants::new(webhook, conference.clone(), uid.clone(), role));
        Self { rules, prefix: prefix.into(), reader, who, role, webhook, granted }
    }

    /// Whether they may publish on this topic, as far as is known now: [`TopicRights::settle`] asks.
    #[must_use]
    pub fn may_publish(&self, topic: &str) -> bool {
        match self.judge(topic) {
            Judge::Webhook => self.known(topic).is_some_and(|right| right.is_ok_and(|right| right.publish)),
            judge => self.decided(&judge, Use::Publish),
        }
    }

    /// Whether they may read what is published on this topic.
    #[must_use]
    pub fn may_read(&self, topic: &str) -> bool {
        match self.judge(topic) {
            Judge::Webhook => self.granted.as_ref().is_some_and(|granted| granted.has(topic)),
            judge => self.decided(&judge, Use::Subscribe),
        }
    }

    /// Whether only [`TopicRights::settle`] can say whether they may publish on this topic.
    #[must_use]
    pub fn must_ask(&self, topic: &str) -> bool {
        self.webhook.is_some() && matches!(self.judge(topic), Judge::Webhook) && self.known(topic).is_none()
    }

    /// Finds out whether they may do this, by asking the webhook if it is for it to say.
    ///
    /// # Errors
    /// [`Reason::NotAllowed`], or [`Reason::AllowanceUnknown`] when the webhook does not answer.
    pub async fn settle(&self, topic: &str, wanted: Use) -> Result<(), Reject> {
        let judge = self.judge(topic);
        let Some(webhook) = self.webhook.as_ref().filter(|_| matches!(judge, Judge::Webhook)) else {
            return if self.decided(&judge, wanted) { Ok(()) } else { Err(Reason::NotAllowed.into()) };
        };
        let question = Question { conference: self.who.conference.as_str(), topic: app_name(topic), user: &self.who.uid, role: self.role };
        let right = webhook.ask(question).await?;
        match wanted {
            Use::Publish if right.publish => Ok(()),
            Use::Subscribe if right.subscribe => self.granted.as_ref().map_or(Ok(()), |granted| Ok(granted.add(topic)?)),
            _ => Err(Reason::NotAllowed.into()),
        }
    }

    /// They have left a topic that they subscribed to by name.
    pub fn leave(&self, topic: &str) {
        if let Some(granted) = &self.granted {
            granted.remove(topic);
        }
    }

    fn known(&self, topic: &str) -> Option<Result<Right, Reason>> {
        self.webhook.as_ref()?.known(&self.who.uid, app_name(topic))
    }

    fn decided(&self, judge: &Judge, wanted: Use) -> bool {
        match (judge, wanted) {
            (Judge::Rule(right), Use::Publish) => right.publish,
            (Judge::Rule(right), Use::Subscribe) => right.subscribe,
            (Judge::Conversation(id), Use::Publish) => {
                let Self { reader, who, .. } = self;
                reader.readable(who.conf, &who.uid, id).is_ok() && reader.may_post(who.conf, &who.uid, id).is_ok()
            }
            (Judge::Conversation(id), Use::Subscribe) => self.reader.readable(self.who.conf, &self.who.uid, id).is_ok(),
            (Judge::Nobody | Judge::Webhook, _) => false,
            (Judge::Everybody, _) => true,
        }
    }

    fn judge(&self, topic: &str) -> Judge {
        if let Some((_, right)) = self.rules.iter().find(|(filter, _)| matches(filter, topic)) {
            return Judge::Rule(*right);
        }
        let Some(name) = topic.strip_prefix(&*self.prefix) else { return Judge::Everybody };
        // A badge reader has what a rule gives it, and nothing else.
        if !self.role.takes_part() {
            return Judge::Nobody;
        }
        match name.strip_prefix(OF_CONVERSATION) {
            Some(id) => ConversationId::parse(id).map_or(Judge::Nobody, Judge::Conversation),
            None if self.webhook.is_some() => Judge::Webhook,
            None => Judge::Everybody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConfNo, ConferenceId};
    use crate::state::memory::MemoryStore;

    fn rule(filter: &str, publish: Option<&[&str]>, subscribe: Option<&[&str]>) -> TopicRule {
        let allowed =
            |words: Option<&[&str]>| words.map(|words| words.iter().map(|word| Allowed::try_from((*word).to_owned()).unwrap()).collect());
        TopicRule { filter: filter.into(), publish: allowed(publish), subscribe: allowed(subscribe) }
    }

    fn rights(rules: &[TopicRule], uid: &str, role: UserRole) -> TopicRights {
        let state = MemoryStore::new().open().unwrap();
        let reader = Reader::new(Arc::new(state), Arc::default(), [0; 16]);
        let (conference, uid) = (ConferenceId::parse("demo").unwrap(), Uid::parse(uid).unwrap());
        let who = Who { conf: ConfNo(1), conference, uid, name: "N".into(), version: 0, expires_ms: u64::MAX, token: None };
        TopicRights::of(rules, reader, who, role, None)
    }

    #[test]
    fn a_conversations_topic_is_its_members() {
        let ann = rights(&[], "ann", UserRole::Organiser);
        for name in ["exchange/text:lobby", "exchange/text:", "exchange/text:no id", "exchange/text:lobby/x"] {
            let topic = format!("conf/demo/topic/{name}");
            assert!(!ann.may_publish(&topic) && !ann.may_read(&topic), "{name}");
        }
        assert!(ann.may_read("conf/demo/topic/exchange/other") && ann.may_read("conf/demo/topic/exchange"));
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_what_none_matches_is_open() {
        let rules = [
            rule("own/{uid}/#", None, None),
            rule("own/#", Some(&[]), Some(&["staff"])),
            rule("sensors/+/value", Some(&["device", "user:bob"]), None),
        ];
        let alice = rights(&rules, "alice", UserRole::Attendee);
        assert!(alice.may_publish("conf/demo/topic/own/alice/x") && alice.may_read("conf/demo/topic/own/alice"));
        assert!(!alice.may_publish("conf/demo/topic/own/bob") && !alice.may_read("conf/demo/topic/own/bob"));
        assert!(!alice.may_publish("conf/demo/topic/sensors/1/value") && alice.may_read("conf/demo/topic/sensors/1/value"));
        assert!(alice.may_publish("conf/demo/topic/sensors/1/name") && alice.may_read("conf/demo/topic/else"));
        let organiser = rights(&rules, "olga", UserRole::Organiser);
        assert!(organiser.may_read("conf/demo/topic/own/bob") && !organiser.may_publish("conf/demo/topic/own/bob"));
        assert!(rights(&rules, "gate", UserRole::Device).may_publish("conf/demo/topic/sensors/1/value"));
        assert!(!rights(&rules, "gate", UserRole::Device).may_publish("conf/demo/topic/else"), "a device needs a rule");
        assert!(rights(&rules, "bob", UserRole::Attendee).may_publish("conf/demo/topic/sensors/1/value"));
        let staff = rule("x", Some(&["staff", "user:eve"]), None);
        assert_eq!(toml_like(&staff), r#"{"filter":"x","publish":["staff","user:eve"]}"#);
    }

    fn toml_like(rule: &TopicRule) -> String {
        let text = serde_json::to_string(rule).unwrap();
        assert_eq!(serde_json::from_str::<TopicRule>(&text).unwrap(), *rule);
        text
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for word in ["nobody", "user:", "user:UPPER CASE", ""] {
            assert!(Allowed::try_from(word.to_owned()).is_err(), "{word}");
        }
        assert!(rule("a/#/b", None, None).check().is_err() && rule("a/{uid}/+", None, None).check().is_ok());
    }
}
