//! The grammar of a script's sentences; `conformance/xmpp/README.md` teaches it.

use anyhow::{Context, Result, bail, ensure};

use crate::xmpp::client::Over;
use crate::xmpp::sasl::Mechanism;

/// What a sentence says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sentence {
    /// The servers differ here, and why.
    Differs(String),
    /// An account of the operator's making.
    Staff(String),
    /// People do or see something.
    Deed(Vec<String>, Deed),
}

/// What people do and see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// TCP, TLS or an upgrade; no header.
    OpensConnection(Over),
    /// A header, and what is offered.
    OpensStream(Over),
    /// Signs in on the open stream, and starts it again.
    LogsIn(Mechanism),
    /// Binds the resource.
    Binds,
    /// All of it.
    Connects(Over, Mechanism),
    /// All of it, and initial presence.
    ComesOnline(Over),
    /// Enters a room with the own name, and waits for its subject.
    Joins(String),
    /// Sends XML.
    Sends(String),
    /// The next ones of their kind.
    Gets(String),
    /// The next ones, whatever their kind.
    GetsInOrder(String),
    /// Others before are passed over.
    EventuallyGets(String),
    /// Within the stream's features.
    IsOffered(String),
    /// What was sent last comes back with this error.
    IsRefused {
        /// `cancel`, `modify`, …; `*` for any.
        kind: String,
        /// The condition; `*` for any.
        condition: String,
    },
    /// After everybody's round trip nothing is unread, of that kind or any.
    GetsNothingMore(Option<String>),
    /// After everybody's round trip, what is unread is dropped.
    Forgets,
    /// The connection is cut.
    IsCutOff,
    /// The stream is closed.
    GoesAway,
    /// The server ends the stream; `None`: without an error.
    StreamEnds(Option<String>),
}

/// Reads a sentence with the lines that belong to it.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str, indented: &str) -> Result<Sentence> {
    if let Some(why) = text.strip_prefix("differs:") {
        ensure!(why.trim().ends_with('.'), "a difference is explained by a sentence");
        return Ok(Sentence::Differs(why.trim().to_owned()));
    }
    if let Some(name) = text.strip_prefix("given staff ") {
        return Ok(Sentence::Staff(name.trim().to_owned()));
    }
    let (who, deed) = text.split_once(' ').context("a sentence is WHO DOES …")?;
    let xml = || if indented.is_empty() { bail!("XML is missing below") } else { Ok(indented.to_owned()) };
    let mut who: Vec<String> = who.split(',').map(str::to_owned).collect();
    let deed = match deed {
        "sends" => Deed::Sends(xml()?),
        "gets" => Deed::Gets(xml()?),
        "gets in order" => Deed::GetsInOrder(xml()?),
        "eventually gets" => Deed::EventuallyGets(xml()?),
        "is offered" => Deed::IsOffered(xml()?),
        _ => {
            ensure!(indented.is_empty(), "'{deed}' has no lines below");
            without_xml(deed, &mut who)?
        }
    };
    for person in &who {
        let good = |part: &str| !part.is_empty() && part.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        ensure!(person.split('/').count() <= 2 && person.split('/').all(good), "'{person}' is no name");
    }
    Ok(Sentence::Deed(who, deed))
}

fn without_xml(deed: &str, who: &mut [String]) -> Result<Deed> {
    let words: Vec<&str> = deed.split(' ').collect();
    Ok(match words.as_slice() {
        ["opens", "a", "connection", rest @ ..] => Deed::OpensConnection(over(rest)?),
        ["opens", "a", "stream", rest @ ..] => Deed::OpensStream(over(rest)?),
        ["logs", "in"] => Deed::LogsIn(Mechanism::ScramSha1),
        ["logs", "in", "with", name] => Deed::LogsIn(mechanism(name)?),
        ["binds"] => Deed::Binds,
        ["connects", rest @ .., "with", name] => Deed::Connects(over(rest)?, mechanism(name)?),
        ["connects", rest @ ..] => Deed::Connects(over(rest)?, Mechanism::ScramSha1),
        ["comes", "online", rest @ ..] => Deed::ComesOnline(over(rest)?),
        ["joins", room] => Deed::Joins((*room).to_owned()),
        ["is", "refused", kind, condition] => Deed::IsRefused { kind: (*kind).to_owned(), condition: (*condition).to_owned() },
        ["gets", "nothing", "more"] => Deed::GetsNothingMore(None),
        ["gets", "no", "more", kind @ ("message" | "presence" | "iq")] => Deed::GetsNothingMore(Some((*kind).to_owned())),
        ["forgets"] => Deed::Forgets,
        ["is", "cut", "off"] => Deed::IsCutOff,
        ["goes", "away"] => Deed::GoesAway,
        ["stream", "ends"] | ["stream", "ends", "with", _] => {
            let [owner] = who else { bail!("one stream at a time") };
            *owner = owner.strip_suffix("'s").context("whose stream?")?.to_owned();
            Deed::StreamEnds(words.get(3).map(|condition| (*condition).to_owned()))
        }
        _ => bail!("'{deed}' is nothing that somebody does"),
    })
}

fn over(words: &[&str]) -> Result<Over> {
    match words {
        [] => Ok(Over::Tcp),
        ["over", name] => Over::named(name).with_context(|| format!("nobody connects over '{name}'")),
        _ => bail!("'{}' is not understood", words.join(" ")),
    }
}

fn mechanism(name: &str) -> Result<Mechanism> {
    Mechanism::named(name).with_context(|| format!("there is no mechanism '{name}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_read() {
        let deed = |text| match parse(text, "").expect("a sentence") {
            Sentence::Deed(who, deed) => (who.join("+"), deed),
            other => panic!("{other:?}"),
        };
        assert_eq!(deed("alice,bob/phone comes online over tls"), ("alice+bob/phone".into(), Deed::ComesOnline(Over::Tls)));
        assert_eq!(deed("alice connects with PLAIN").1, Deed::Connects(Over::Tcp, Mechanism::Plain));
        assert_eq!(deed("alice's stream ends with conflict"), ("alice".into(), Deed::StreamEnds(Some("conflict".into()))));
        for bad in ["alice", "alice flies", "alice sends", "alice connects over pigeon", "a/b/c joins lobby", "differs: because"] {
            assert!(parse(bad, "").is_err(), "{bad}");
        }
        assert!(parse("alice joins lobby", "<x/>").is_err());
    }
}
