//! Which topics of the venue's broker are whose: patterns in which `{reader}` stands for the reader's name, beside MQTT's wildcards.

use hallway_broker::ids::Uid;

/// Longest pattern in bytes.
const PATTERN_BYTES_MAX: usize = 256;
/// What stands for the reader's name.
const READER: &str = "{reader}";

/// One level of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Exact(Box<str>),
    /// `+`
    Any,
    /// `#`
    Rest,
    /// The reader's name between these.
    Reader(Box<str>, Box<str>),
}

/// A topic with places left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Level>);

impl Pattern {
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX || text.contains('\0') {
            return Err(format!("'{text}' is no topic: one has 1 to {PATTERN_BYTES_MAX} bytes"));
        }
        if text.starts_with('$') {
            return Err(format!("'{text}' is a topic of the broker itself"));
        }
        let levels = text.split('/').map(Level::parse).collect::<Result<Vec<_>, _>>()?;
        if levels.iter().rev().skip(1).any(|level| *level == Level::Rest) {
            return Err(format!("'{text}': # stands at the end alone"));
        }
        if levels.iter().filter(|level| matches!(level, Level::Reader(..))).count() > 1 {
            return Err(format!("'{text}' names the reader twice"));
        }
        Ok(Self(levels))
    }

    /// Whether the reader's name is in it.
    pub fn names_reader(&self) -> bool {
        self.0.iter().any(|level| matches!(level, Level::Reader(..)))
    }

    fn has_wildcards(&self) -> bool {
        self.0.iter().any(|level| matches!(level, Level::Any | Level::Rest))
    }

    /// What is subscribed to.
    pub fn filter(&self) -> String {
        let level = |level: &Level| match level {
            Level::Exact(text) => text.to_string(),
            Level::Any | Level::Reader(..) => "+".to_owned(),
            Level::Rest => "#".to_owned(),
        };
        self.0.iter().map(level).collect::<Vec<_>>().join("/")
    }

    /// The reader's name in a topic, empty when the pattern has none; `None` when the topic is another's.
    pub fn name_in<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let (mut name, mut levels) = ("", topic.split('/'));
        for level in &self.0 {
            let found = match level {
                Level::Rest => return Some(name),
                _ => levels.next()?,
            };
            match level {
                Level::Exact(text) if **text != *found => return None,
                Level::Reader(before, after) => {
                    name = found.strip_prefix(&**before)?.strip_suffix(&**after).filter(|name| !name.is_empty())?;
                }
                _ => {}
            }
        }
        levels.next().is_none().then_some(name)
    }

    /// The topic with the reader's name in it.
    fn with(&self, name: &str) -> String {
        let level = |level: &Level| match level {
            Level::Exact(text) => text.to_string(),
            Level::Reader(before, after) => format!("{before}{name}{after}"),
            Level::Any | Level::Rest => String::new(),
        };
        self.0.iter().map(level).collect::<Vec<_>>().join("/")
    }

    /// Whether there may be a topic that is of both. What stands beside the reader's name is not looked at.
    fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.0.iter(), other.0.iter());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some(Level::Rest), _) | (_, Some(Level::Rest)) => return true,
                (Some(Level::Exact(one)), Some(Level::Exact(two))) if one != two => return false,
                (Some(_), Some(_)) => {}
                _ => return false,
            }
        }
    }
}

impl Level {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "+" => return Ok(Self::Any),
            "#" => return Ok(Self::Rest),
            _ if text.contains(['+', '#']) => return Err(format!("'{text}': + and # stand alone between slashes")),
            _ => {}
        }
        let Some((before, after)) = text.split_once(READER) else {
            return if text.contains(['{', '}']) {
                Err(format!("'{text}': only {READER} stands in braces"))
            } else {
                Ok(Self::Exact(text.into()))
            };
        };
        if after.contains(['{', '}']) {
            Err(format!("'{text}' names the reader twice"))
        } else {
            Ok(Self::Reader(before.into(), after.into()))
        }
    }
}

/// A topic of readers, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderTopic {
    /// Where scans come from.
    pub topic: String,
    /// Whose they are, when `topic` does not name the reader.
    pub reader: Option<String>,
    /// Where results go; none are told without.
    pub result: Option<String>,
}

#[derive(Debug, Clone)]
struct Entry {
    scans: Pattern,
    reader: Option<Uid>,
    results: Option<Pattern>,
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Topics(Vec<Entry>);

/// Whose a topic is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The device.
    pub reader: Uid,
    /// Where its results go.
    pub result: Option<String>,
}

impl Topics {
    /// # Errors
    /// What is wrong: no topic, nobody whose it is, a message that would come twice, or results that would come back as scans.
    pub fn new(configured: &[ReaderTopic]) -> Result<Self, String> {
        if configured.is_empty() {
            return Err("readers: none is named, so nothing would be heard".to_owned());
        }
        let entries = configured.iter().map(Entry::new).collect::<Result<Vec<_>, _>>()?;
        for (at, entry) in entries.iter().enumerate() {
            if let Some(shared) = entries[..at].iter().find_map(|other| other.shared_with(entry)) {
                return Err(format!("readers: {shared}, whose messages would count twice"));
            }
        }
        let topics = Self(entries);
        match topics.echoed_by(&topics) {
            Some(echo) => Err(format!("readers: {echo}")),
            None => Ok(topics),
        }
    }

    /// Which topics both listen to.
    #[must_use]
    pub fn shared_with(&self, other: &Self) -> Option<String> {
        self.0.iter().find_map(|one| other.0.iter().find_map(|two| one.shared_with(two)))
    }

    /// Which of these results the other would take for scans.
    #[must_use]
    pub fn echoed_by(&self, other: &Self) -> Option<String> {
        self.0.iter().find_map(|one| {
            let results = one.results.as_ref()?;
            let scans = other.0.iter().map(|entry| &entry.scans).find(|scans| results.overlaps(scans))?;
            Some(format!("results on '{}' would come back as scans of '{}'", results.filter(), scans.filter()))
        })
    }

    /// What is subscribed to.
    pub fn filters(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|entry| entry.scans.filter())
    }

    /// Whose a topic is; `None`: nobody's that could be.
    pub fn find(&self, topic: &str) -> Option<Found> {
        // The broker's own: wildcards do not mean them [MQTT-4.7.2-1].
        if topic.starts_with('$') {
            return None;
        }
        self.0.iter().find_map(|entry| {
            let named = entry.scans.name_in(topic)?;
            let reader = entry.reader.clone().or_else(|| uid_of(named))?;
            let name = if named.is_empty() { reader.as_str() } else { named };
            let result = entry.results.as_ref().map(|results| results.with(name));
            Some(Found { reader, result })
        })
    }
}

impl Entry {
    fn shared_with(&self, other: &Self) -> Option<String> {
        let shared = || format!("'{}' and '{}' have topics in common", self.scans.filter(), other.scans.filter());
        self.scans.overlaps(&other.scans).then(shared)
    }

    fn new(configured: &ReaderTopic) -> Result<Self, String> {
        let scans = Pattern::parse(&configured.topic)?;
        let results = configured.result.as_deref().map(Pattern::parse).transpose()?;
        let reader = match (&configured.reader, scans.names_reader()) {
            (Some(reader), false) => Some(Uid::parse(reader).map_err(|_| format!("reader: '{reader}' is not a uid"))?),
            (None, true) => None,
            (None, false) => return Err(format!("reader: whose '{}' is must be named, or {READER} be in it", configured.topic)),
            (Some(_), true) => return Err(format!("reader: '{}' names it already", configured.topic)),
        };
        if let Some(results) = results.as_ref().filter(|results| results.has_wildcards()) {
            return Err(format!("result: '{}' is no topic that can be published to", results.filter()));
        }
        Ok(Self { scans, reader, results })
    }
}

/// A device's uid from what makers call it: `DVES_1A2B3C` is `dves_1a2b3c`.
fn uid_of(name: &str) -> Option<Uid> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c.to_ascii_lowercase() } else { '-' };
    let text: String = name.chars().map(plain).collect();
    let text = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    Uid::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use hallway_broker::mqtt::topic::matches;
    use proptest::prelude::*;

    use super::*;

    fn topics(of: &[(&str, Option<&str>, Option<&str>)]) -> Result<Topics, String> {
        let entry = |(topic, reader, result): &(&str, Option<&str>, Option<&str>)| ReaderTopic {
            topic: (*topic).to_owned(),
            reader: reader.map(str::to_owned),
            result: result.map(str::to_owned),
        };
        Topics::new(&of.iter().map(entry).collect::<Vec<_>>())
    }

    #[test]
    fn whose_a_topic_is() {
        let topics = topics(&[
            ("springcard/springcore/{reader}/rdr/evt", None, Some("hallway/{reader}/result")),
            ("tele/tasmota_{reader}/SENSOR", None, None),
            ("RFID/#", Some("hub-1"), Some("hallway/{reader}/result")),
        ])
        .unwrap();
        let found = |topic: &str| topics.find(topic).map(|found| (found.reader.to_string(), found.result.unwrap_or_default()));
        assert_eq!(found("springcard/springcore/DA1275B0/rdr/evt"), Some(("da1275b0".to_owned(), "hallway/DA1275B0/result".to_owned())));
        assert_eq!(found("tele/tasmota_1A2B3C/SENSOR"), Some(("1a2b3c".to_owned(), String::new())));
        assert_eq!(found("RFID/data/continue"), Some(("hub-1".to_owned(), "hallway/hub-1/result".to_owned())));
        for topic in
            ["springcard/springcore/DA1275B0/rdr", "springcard/springcore//rdr/evt", "tele/tasmota_/SENSOR", "tele/other/SENSOR", "x"]
        {
            assert_eq!(found(topic), None, "{topic}");
        }
        assert_eq!(topics.filters().collect::<Vec<_>>(), ["springcard/springcore/+/rdr/evt", "tele/+/SENSOR", "RFID/#"]);
        assert_eq!(uid_of("Gate 1 Nörd"), Uid::parse("gate-1-n-rd").ok());
        assert_eq!(uid_of("__"), None);
        let long = "gate-1".repeat(10) + "gate";
        assert_eq!(uid_of(&long).map(|uid| uid.to_string()), Some(long.clone()));
        assert_eq!(uid_of(&(long + "s")), None, "not the device whose name it begins with");
    }

    #[test]
    fn what_a_broker_says_of_itself_is_nobodys() {
        let topics = topics(&[("#", Some("gate"), None)]).unwrap();
        assert!(topics.find("gate").is_some());
        for topic in ["$SYS/broker/uptime", "$SYS", "$aws/things/gate/shadow"] {
            assert_eq!(topics.find(topic), None, "{topic}");
        }
    }

    /// Two links at one broker hear each other.
    #[test]
    fn links_at_one_broker_are_compared() {
        let one = topics(&[("tele/{reader}/SENSOR", None, Some("hallway/{reader}/result"))]).unwrap();
        let same = topics(&[("tele/gate/+", Some("gate"), Some("results/gate"))]).unwrap();
        let other = topics(&[("RFID/#", Some("hub"), Some("results/hub"))]).unwrap();
        let echo = topics(&[("hallway/+/result", Some("echo"), None)]).unwrap();
        assert_eq!(one.shared_with(&same).as_deref(), Some("'tele/+/SENSOR' and 'tele/gate/+' have topics in common"));
        assert_eq!(one.shared_with(&other), None);
        let comes_back = "results on 'hallway/+/result' would come back as scans of 'hallway/+/result'";
        assert_eq!(one.echoed_by(&echo).as_deref(), Some(comes_back));
        assert_eq!((echo.echoed_by(&one), one.echoed_by(&other)), (None, None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (of, why) in [
            (vec![], "none is named"),
            (vec![("a/+", None, None)], "must be named"),
            (vec![("a/{reader}", Some("gate"), None)], "names it already"),
            (vec![("a/{reader}/{reader}", None, None)], "twice"),
            (vec![("a/b+", Some("gate"), None)], "stand alone"),
            (vec![("a/#/b", Some("gate"), None)], "at the end"),
            (vec![("$SYS/#", Some("gate"), None)], "broker itself"),
            (vec![("a/{gate}", None, None)], "in braces"),
            (vec![("a", Some("Gate!"), None)], "not a uid"),
            (vec![("a", Some("gate"), Some("b/+"))], "published"),
            (vec![("a/{reader}", None, None), ("a/gate", Some("gate"), None)], "count twice"),
            (vec![("a/{reader}", None, Some("a/result"))], "come back"),
            (vec![("a/{reader}", None, Some("b/{reader}")), ("#", Some("gate"), None)], "count twice"),
            (vec![("a/{reader}", None, Some("b/{reader}")), ("b/gate", Some("gate"), None)], "come back"),
        ] {
            let error = topics(&of).unwrap_err();
            assert!(error.contains(why), "{of:?}: {error}");
        }
    }

    fn level() -> impl Strategy<Value = String> {
        prop_oneof![4 => "[ab]", 1 => Just("+".to_owned()), 1 => Just("{reader}".to_owned()), 1 => Just("a{reader}".to_owned())]
    }

    fn pattern() -> impl Strategy<Value = String> {
        (prop::collection::vec(level(), 1..4), any::<bool>()).prop_map(|(levels, rest)| levels.join("/") + if rest { "/#" } else { "" })
    }

    proptest! {
        #[test]
        fn a_topic_that_has_an_owner_is_subscribed_to(pattern in pattern(), topic in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                prop_assert!(pattern.name_in(&topic).is_none() || matches(&pattern.filter(), &topic));
            }
        }

        #[test]
        fn topics_that_are_of_two_are_noticed(one in pattern(), two in pattern(), topic in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
            if let (Ok(one), Ok(two)) = (Pattern::parse(&one), Pattern::parse(&two)) {
                let is_of_both = matches(&one.filter(), &topic) && matches(&two.filter(), &topic);
                prop_assert!(!is_of_both || (one.overlaps(&two) && two.overlaps(&one)));
            }
        }

        #[test]
        fn no_pattern_is_too_strange(text in "\\PC{0,40}", topic in "\\PC{0,40}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                let _ = pattern.name_in(&topic);
            }
            let _ = uid_of(&topic);
        }
    }
}
