//! The grammar: a line of a scenario to a [`Sentence`]. `conformance/scenarios/README.md` is its user's guide.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::deed::{self, Deed};
use super::sight::{self, Sight};
use super::words::Words;

/// One line of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub enum Sentence {
    /// `given KEY = VALUE`: a setting, before the server starts.
    Setting(String, String),
    /// `given ROLE UID [of CONFERENCE]`: an account made by the operator.
    Account { role: String, uid: String, conference: String },
    /// Something is done to the server.
    Server(ServerDeed),
    /// `the server starts from the backup FILE`: restored into a new data directory.
    StartFromBackup(String),
    /// `operator runs ARGS`, `operator fails to run ARGS`.
    Operator { args: Vec<String>, succeeds: bool },
    /// `http METHOD PATH [with "Header: value"] [body] -> STATUS [pattern]`.
    Http(HttpCall),
    /// `everyone agrees on history CONV`.
    Agree(Value),
    /// People do or see something. Nobody named means everyone who is signed in.
    People(Vec<String>, Act),
}

/// What happens to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerDeed {
    /// SIGKILL and start.
    KilledAndRestarted,
    /// SIGTERM, exit 0, start.
    Restarted,
    /// SIGTERM.
    ToldToStop,
    /// Has exited with 0.
    Stopped,
    /// Starts.
    Started,
}

/// A raw HTTP request and what it must give.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCall {
    /// GET, POST, …
    pub method: String,
    /// The path.
    pub path: String,
    /// Header names and values, maybe with `${names}`.
    pub headers: Vec<(String, String)>,
    /// The body: JSON, or exactly this text.
    pub body: Option<Body>,
    /// The expected status.
    pub status: u16,
    /// What the JSON in the answer must match.
    pub answer: Option<Value>,
}

/// A request's body.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// JSON, with its content type.
    Json(Value),
    /// A text, without a content type unless given.
    Text(String),
}

/// How a call should end.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// With a result, maybe matching a pattern.
    Result(Option<Value>),
    /// With an error of this reason, its `data` maybe matching a pattern.
    Refusal(String, Option<Value>),
}

/// What people do or see.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// `signs in [over PROTOCOL]`.
    SignIn(String),
    /// `is not let in because REASON`.
    NotLetIn(String),
    /// `connects [with "Header: value"] [-> STATUS]`: an upgrade without a hello, maybe refused.
    Connect(Vec<(String, String)>, Option<u16>),
    /// `says TEXT`: a raw text message.
    Say(String),
    /// `hears PATTERN`: the next message that answers no call of this program.
    Hear(Value),
    /// `goes away`: the connection ends without a word.
    GoAway,
    /// `comes back`: connects and signs in again; follows nothing.
    ComeBack,
    /// `is closed with CODE ["text"]`.
    Closed(u16, Option<String>),
    /// `sees SIGHT`.
    See(Sight),
    /// `sees COUNT messages CONV from USER "text"`: texts `text 1` to `text COUNT`.
    SeeMany { count: usize, conversation: Value, from: String, text: String },
    /// `sees nothing more [in CONV]`.
    SeeNothing(Option<Value>),
    /// `finds in CONV` and the entries on the lines below, indented; or `finds nothing in CONV`.
    Find(Value, Vec<Sight>),
    /// `sends CONV COUNT messages "text"`.
    SendMany { count: usize, conversation: Value, text: String },
    /// A verb, and how it should end.
    Do(Deed, Expected),
}

/// Parses a sentence with the indented lines that belong to it.
///
/// # Errors
/// What the grammar expected, and what it found.
pub fn parse(line: &str, indented: &[String]) -> Result<Sentence> {
    let mut words = Words::cut(line)?;
    let sentence = if words.accept("given") {
        given(&mut words)?
    } else if words.accept("the server") {
        if words.accept("starts from the backup") {
            Sentence::StartFromBackup(words.word("a file")?)
        } else {
            Sentence::Server(server(&mut words)?)
        }
    } else if words.accept("operator") {
        let succeeds = words.accept("runs");
        if !succeeds {
            words.expect("fails to run")?;
        }
        Sentence::Operator { args: words.all(), succeeds }
    } else if words.accept("http") {
        Sentence::Http(http(&mut words)?)
    } else if words.accept("everyone agrees on history") {
        Sentence::Agree(words.value("a conversation")?)
    } else {
        let who = if words.accept("everyone") { Vec::new() } else { words.names()? };
        Sentence::People(who, act(&mut words, indented)?)
    };
    words.end()?;
    let takes_lines = matches!(&sentence, Sentence::People(_, Act::Find(..)));
    ensure!(takes_lines || indented.is_empty(), "indented lines belong under 'finds in'");
    Ok(sentence)
}

fn given(words: &mut Words) -> Result<Sentence> {
    let first = words.word("a setting or a role")?;
    if words.accept("=") {
        let value = words.quoted_maybe().map_or_else(|| words.word("a value"), Ok)?;
        return Ok(Sentence::Setting(first, value));
    }
    let uid = words.word("a uid")?;
    let conference = if words.accept("of") { words.word("a conference")? } else { "demo".into() };
    Ok(Sentence::Account { role: first, uid, conference })
}

fn server(words: &mut Words) -> Result<ServerDeed> {
    [
        ("is killed and restarted", ServerDeed::KilledAndRestarted),
        ("is restarted", ServerDeed::Restarted),
        ("is told to stop", ServerDeed::ToldToStop),
        ("stops", ServerDeed::Stopped),
        ("starts", ServerDeed::Started),
    ]
    .into_iter()
    .find_map(|(phrase, deed)| words.accept(phrase).then_some(deed))
    .context("nobody can do that to the server")
}

fn http(words: &mut Words) -> Result<HttpCall> {
    let (method, path) = (words.word("an HTTP method")?, words.word("a path")?);
    let headers = headers(words)?;
    let body = if words.at_json() { Some(Body::Json(words.json()?)) } else { words.quoted_maybe().map(Body::Text) };
    words.expect("->")?;
    let status = words.number("a status")?;
    let answer = if words.at_json() { Some(words.json()?) } else { None };
    Ok(HttpCall { method, path, headers, body, status, answer })
}

fn headers(words: &mut Words) -> Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    while words.accept("with") {
        let header = words.quoted()?;
        let Some((name, value)) = header.split_once(": ") else { bail!("not 'Header: value': {header:?}") };
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(headers)
}

fn act(words: &mut Words, indented: &[String]) -> Result<Act> {
    if words.accept("is") || words.accept("are") {
        return happens(words);
    }
    if words.accept("may not") {
        let verb = words.word("a verb")?;
        let deed = deed::parse(&verb, words)?;
        return Ok(Act::Do(deed, refusal(words)?));
    }
    let verb = plain(&words.word("a verb")?);
    match verb.as_str() {
        "sign" => {
            words.expect("in")?;
            Ok(Act::SignIn(if words.accept("over") { words.word("a protocol")? } else { "ws".into() }))
        }
        "connect" => {
            let headers = headers(words)?;
            Ok(Act::Connect(headers, if words.accept("->") { Some(words.number("a status")?) } else { None }))
        }
        "say" => Ok(Act::Say(words.raw()?)),
        "hear" => Ok(Act::Hear(words.json()?)),
        "goe" | "go" => words.expect("away").map(|()| Act::GoAway),
        "come" => words.expect("back").map(|()| Act::ComeBack),
        "see" => see(words),
        "find" => find(words, indented),
        "send" => send(words),
        verb => deed_and_end(verb, words),
    }
}

/// `sends` → `send`.
fn plain(verb: &str) -> String {
    verb.strip_suffix('s').unwrap_or(verb).to_owned()
}

fn happens(words: &mut Words) -> Result<Act> {
    if words.accept("not let in because") {
        return Ok(Act::NotLetIn(words.word("a reason")?));
    }
    if words.accept("closed with") {
        return Ok(Act::Closed(words.number("a close code")?, words.quoted_maybe()));
    }
    words.expect("refused")?;
    let deed = deed::parse("call", words)?;
    Ok(Act::Do(deed, refusal(words)?))
}

fn refusal(words: &mut Words) -> Result<Expected> {
    words.expect("because")?;
    let reason = words.word("a reason")?;
    let data = if words.accept("->") { Some(words.json()?) } else { None };
    Ok(Expected::Refusal(reason, data))
}

fn see(words: &mut Words) -> Result<Act> {
    if words.accept("nothing more") {
        return Ok(Act::SeeNothing(if words.accept("in") { Some(words.value("a conversation")?) } else { None }));
    }
    let mut ahead = words.clone();
    if let Ok(count) = ahead.number("a count") {
        *words = ahead;
        words.expect("messages")?;
        let conversation = words.value("a conversation")?;
        words.expect("from")?;
        return Ok(Act::SeeMany { count, conversation, from: words.word("a user")?, text: words.quoted()? });
    }
    Ok(Act::See(sight::parse(words, false)?))
}

fn find(words: &mut Words, indented: &[String]) -> Result<Act> {
    if words.accept("nothing in") {
        return Ok(Act::Find(words.value("a conversation")?, Vec::new()));
    }
    words.expect("in")?;
    let conversation = words.value("a conversation")?;
    ensure!(!indented.is_empty(), "'finds in' needs indented lines that say what; or say 'finds nothing in'");
    let entries = indented.iter().map(|line| {
        let mut words = Words::cut(line)?;
        let entry = sight::parse(&mut words, true)?;
        words.end()?;
        Ok(entry)
    });
    Ok(Act::Find(conversation, entries.collect::<Result<_>>()?))
}

fn send(words: &mut Words) -> Result<Act> {
    let mut ahead = words.clone();
    let conversation = ahead.value("a conversation")?;
    if let Ok(count) = ahead.number("a count") {
        *words = ahead;
        words.expect("messages")?;
        return Ok(Act::SendMany { count, conversation, text: words.quoted()? });
    }
    deed_and_end("send", words)
}

fn deed_and_end(verb: &str, words: &mut Words) -> Result<Act> {
    let deed = deed::parse(verb, words)?;
    let result = if words.accept("->") { Some(words.json()?) } else { None };
    Ok(Act::Do(deed, Expected::Result(result)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn people(line: &str) -> (Vec<String>, Act) {
        match parse(line, &[]).expect("a sentence") {
            Sentence::People(who, act) => (who, act),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sending_and_being_refused() {
        let (who, act) = people(r#"alice sends lobby "hi" as a1 mentioning bob,carol"#);
        assert_eq!(who, ["alice"]);
        let params = json!({"conversation": "lobby", "text": "hi", "id": "a1", "mentions": ["bob", "carol"]});
        let deed = Deed { method: "message.send".into(), params, name: Some("a1".into()) };
        assert_eq!(act, Act::Do(deed, Expected::Result(None)));

        let (_, act) = people(r#"carol may not send group-x "no" because not_a_member"#);
        let Act::Do(deed, Expected::Refusal(reason, None)) = act else { panic!("{act:?}") };
        assert_eq!((deed.method.as_str(), reason.as_str()), ("message.send", "not_a_member"));

        let (_, act) = people(r#"carol is refused people.get {"user": "x"} because unknown_user"#);
        assert!(matches!(act, Act::Do(deed, Expected::Refusal(..)) if deed.method == "people.get"));
    }

    #[test]
    fn seeing() {
        let (who, act) = people(r#"bob,carol see message lobby from alice "hi" with {"seq": $a1}"#);
        assert_eq!(who.len(), 2);
        let Act::See(sight) = act else { panic!("{act:?}") };
        assert_eq!((sight.method, sight.pattern["from"].as_str()), ("message", Some("alice")));
        assert!(matches!(people("bob sees nothing more in lobby").1, Act::SeeNothing(Some(_))));
        assert!(matches!(people(r#"bob sees 600 messages lobby from alice "m""#).1, Act::SeeMany { count: 600, .. }));
        assert!(matches!(people(r#"alice sends lobby 600 messages "m""#).1, Act::SendMany { count: 600, .. }));
    }

    #[test]
    fn the_rest_of_the_grammar() {
        for line in [
            "given limits.messages_per_second = 1",
            "given staff sam",
            "given attendee zoe of other",
            "the server is killed and restarted",
            "operator runs backup ${scratch}/b",
            "operator fails to run restore /nowhere",
            r#"http POST /rpc with "Host: evil.example" {"a": 1} -> 403 {"error": *}"#,
            r#"http POST /rpc "not json" -> 400"#,
            "everyone agrees on history lobby",
            "alice signs in over http",
            "alice/9 is not let in because too_many_sessions",
            r#"mallory connects with "Origin: http://evil.example" -> 403"#,
            r#"mallory says "{{{""#,
            r#"mallory hears {"id": null, "error": {"code": -32700}}"#,
            "bob goes away",
            "bob comes back",
            "bob is closed with 4001",
            "everyone sees notice draining",
            "alice makes bob moderator of lobby",
            "alice shows away \"lunch\"",
        ] {
            parse(line, &[]).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn what_is_no_sentence_is_an_error() {
        for line in [
            "alice",
            "alice dances",
            "alice sends lobby",
            "the server sleeps",
            "bob finds in lobby",
            "alice joins lobby twice",
            "bob may not join lobby",
        ] {
            assert!(parse(line, &[]).is_err(), "{line}");
        }
        assert!(parse("alice joins lobby", &["message from bob".into()]).is_err());
    }
}
