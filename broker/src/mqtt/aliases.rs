//! Topic aliases towards a client (MQTT 5 §3.3.2.3.4): the first topics of a connection get the numbers that the client takes.

use super::codec::Alias;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Aliases {
    /// How many there may be.
    pub most: u16,
    /// How many topics had a number before what may be taken back.
    pub mark: usize,
    topics: Vec<Box<str>>,
}

/// Topic aliases that are used towards a client at most.
const MAX_ALIASES: u16 = 16;

impl Aliases {
    /// For a client that takes so many [MQTT-3.1.2-26].
    #[must_use]
    pub fn new(most: u16) -> Self {
        Self { most: most.min(MAX_ALIASES), ..Self::default() }
    }

    /// The number of a topic; it gets one if there is one left.
    pub fn of(&mut self, topic: &str) -> Option<Alias> {
        if self.most == 0 {
            return None;
        }
        let known = self.topics.iter().position(|known| **known == *topic);
        let at = known.or_else(|| {
            let is_free = self.topics.len() < usize::from(self.most);
            is_free.then(|| self.topics.push(topic.into())).map(|()| self.topics.len() - 1)
        })?;
        Some(Alias { number: u16::try_from(at + 1).ok()?, is_known: known.is_some() })
    }

    /// How many topics have a number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Takes numbers back that the client was not told.
    pub fn truncate(&mut self, len: usize) {
        self.topics.truncate(len);
    }
}
