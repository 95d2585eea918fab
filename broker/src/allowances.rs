//! Allowances: who may publish on which of the applications' topics, and who may read them. The organiser's rules (`[[conference.<id>.topics]]`),
//! read once for each session, so that nothing is asked while messages flow.

use serde::{Deserialize, Serialize};

use crate::ids::{ConferenceId, Uid};
use crate::model::UserRole;
use crate::mqtt::topic::{check_filter, generic_topic, matches};

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

/// What of the rules concerns one person: filters over whole topic names, and what they may do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRights {
    rules: Vec<(Box<str>, Right)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Right {
    publish: bool,
    subscribe: bool,
}

impl TopicRights {
    /// The rights of somebody; `None` when there are no rules.
    #[must_use]
    pub fn of(rules: &[TopicRule], conference: &ConferenceId, uid: &Uid, role: UserRole) -> Option<Self> {
        let may = |allowed: &Option<Vec<Allowed>>| allowed.as_ref().is_none_or(|all| all.iter().any(|one| one.holds(uid, role)));
        let right = |rule: &TopicRule| {
            let mut filter = String::new();
            let own: Vec<&str> = rule.filter.split('/').map(|level| if level == OWN_UID { uid.as_str() } else { level }).collect();
            generic_topic(&mut filter, conference.as_str(), &own.join("/"));
            (filter.into(), Right { publish: may(&rule.publish), subscribe: may(&rule.subscribe) })
        };
        (!rules.is_empty()).then(|| Self { rules: rules.iter().map(right).collect() })
    }

    /// Whether they may publish on this topic.
    #[must_use]
    pub fn may_publish(&self, topic: &str) -> bool {
        self.of_topic(topic).publish
    }

    /// Whether they may read what is published on this topic.
    #[must_use]
    pub fn may_read(&self, topic: &str) -> bool {
        self.of_topic(topic).subscribe
    }

    fn of_topic(&self, topic: &str) -> Right {
        let rule = self.rules.iter().find(|(filter, _)| matches(filter, topic));
        rule.map_or(Right { publish: true, subscribe: true }, |(_, right)| *right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(filter: &str, publish: Option<&[&str]>, subscribe: Option<&[&str]>) -> TopicRule {
        let allowed =
            |words: Option<&[&str]>| words.map(|words| words.iter().map(|word| Allowed::try_from((*word).to_owned()).unwrap()).collect());
        TopicRule { filter: filter.into(), publish: allowed(publish), subscribe: allowed(subscribe) }
    }

    fn rights(rules: &[TopicRule], uid: &str, role: UserRole) -> TopicRights {
        TopicRights::of(rules, &ConferenceId::parse("demo").unwrap(), &Uid::parse(uid).unwrap(), role).unwrap()
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
