//! Streams that are resumed as nobody should (XEP-0198 §5).

use anyhow::{Context, Result, bail, ensure};

use super::{is_served, sign_in};
use crate::script::password;
use crate::suite::Report;
use crate::xmpp::client::{Client, Endpoints, Over};
use crate::xmpp::element::Element;
use crate::xmpp::sasl::Mechanism;

const SM: &str = "urn:xmpp:sm:3";
/// Who tries at once.
const AT_ONCE: usize = 8;

/// All of them.
pub fn run(to: &Endpoints, report: &mut Report) {
    report.check("hostile XMPP: a stream resumed by eight at once", || at_once(to));
    report.check("hostile XMPP: resumed with an h that is too high", || with_h(to, "7"));
    report.check("hostile XMPP: resumed with an h that is no number", || with_h(to, "seven"));
    report.check("hostile XMPP: resumed with an h of 2^32", || with_h(to, "4294967296"));
    report.check("hostile XMPP: resumed with an id of 100 KB", || long_id(to));
}

/// A stream that may be resumed, cut off; its id.
fn cut_stream(to: &Endpoints) -> Result<String> {
    let mut client = sign_in(to, "mallory", "resumes")?;
    client.send(&format!("<enable xmlns='{SM}' resume='true'/>"))?;
    let enabled = client.expect_where("<enabled/>", |element| element.is("enabled", SM))?;
    let id = enabled.attr("id").context("no id to resume by")?.to_owned();
    client.cut();
    Ok(id)
}

fn knock(to: &Endpoints) -> Result<Client> {
    let mut client = Client::greet(to, Over::Tcp)?;
    client.authenticate(Mechanism::Plain, "mallory", &password("mallory"))?;
    Ok(client)
}

fn answer(client: &mut Client) -> Result<Element> {
    client.expect("an answer to <resume/>")
}

/// One has the stream at the end; all are answered, and none is left hanging.
fn at_once(to: &Endpoints) -> Result<String> {
    let id = cut_stream(to)?;
    let mut clients = (0..AT_ONCE).map(|_| knock(to)).collect::<Result<Vec<_>>>()?;
    for client in &mut clients {
        client.throw(format!("<resume xmlns='{SM}' previd='{id}' h='0'/>").as_bytes());
    }
    let mut failed = 0;
    let mut resumed = Vec::new();
    for mut client in clients {
        let answer = answer(&mut client)?;
        match answer.name.as_str() {
            "resumed" | "error" => resumed.push(client),
            "failed" => failed += 1,
            _ => bail!("<resume/> was answered by {answer}"),
        }
    }
    // All have been answered: whoever had it before another came has lost it by now.
    let (mut holders, mut ended) = (0, 0);
    for client in &mut resumed {
        client.throw(b"<iq type='get' id='mine' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
        match client.expect_where("an answer or the end", |element| element.name == "error" || element.attr("id") == Some("mine")) {
            Ok(element) if element.name == "iq" => holders += 1,
            _ => ended += 1,
        }
    }
    ensure!(holders == 1, "{holders} have the stream, {ended} lost it, {failed} were refused");
    is_served(to)?;
    Ok(format!("one has it, {ended} lost it again, {failed} were refused"))
}

/// A stream error or a refusal; and the connection is not taken for what it is not.
fn with_h(to: &Endpoints, h: &str) -> Result<String> {
    let id = cut_stream(to)?;
    let mut client = knock(to)?;
    client.throw(format!("<resume xmlns='{SM}' previd='{id}' h='{h}'/>").as_bytes());
    let answer = answer(&mut client)?;
    ensure!(answer.name != "resumed", "it was resumed: {answer}");
    is_served(to)?;
    Ok(answer.to_string())
}

fn long_id(to: &Endpoints) -> Result<String> {
    let mut client = knock(to)?;
    client.throw(format!("<resume xmlns='{SM}' previd='{}' h='0'/>", "x".repeat(100_000)).as_bytes());
    let answer = answer(&mut client)?;
    ensure!(matches!(answer.name.as_str(), "failed" | "error"), "it was answered by {answer}");
    is_served(to)?;
    Ok(answer.name)
}
