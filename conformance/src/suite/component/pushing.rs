//! A push service of another server (XEP-0357), reached over the component's link.

use super::*;

const PUSH: &str = "urn:xmpp:push:0";
const SERVICE: &str = "push.third.example";

/// Somebody enables the service, and goes.
fn enable(hallway: &Server, who: &str, node: &str) -> Result<()> {
    register(hallway.http(), who, PASSWORD)?;
    let (mut client, _) = Client::sign_in(&hallway.xmpp_endpoints()?, Over::Tcp, who, PASSWORD, "desk")?;
    let enable = format!("<iq type='set' id='e'><enable xmlns='{PUSH}' jid='{SERVICE}' node='{node}'/></iq>");
    let answer = client.ask("e", &enable)?;
    ensure!(answer.attr("type") == Some("result"), "{answer}");
    client.close()
}

fn is_of_node(element: &Element, node: &str) -> bool {
    let text = element.to_string();
    element.name == "iq" && ["'", "\""].iter().any(|quote| text.contains(&format!("node={quote}{node}{quote}")))
}

/// Who is away is told by it, until it says that the node is gone; nobody else can say so.
pub fn of_another_server() -> Result<String> {
    let server = server::Server::listen()?;
    let hallway = Server::start(Options::new().xmpp().config(&configuration(server.address(), SECRET)))?;
    let mut component = server.accept()?;
    enable(&hallway, "alice", "n1")?;
    register(hallway.http(), "bob", PASSWORD)?;
    let (mut bob, _) = Client::sign_in(&hallway.xmpp_endpoints()?, Over::Tcp, "bob", PASSWORD, "desk")?;
    let mut say =
        |to: &str, text: &str| bob.send(&format!("<message to='{to}@localhost' type='chat' id='{text}'><body>{text}</body></message>"));
    say("alice", "one")?;
    let push = component.ask("", |element| is_of_node(element, "n1"))?;
    let sender = format!("~bob@{COMPONENT}");
    ensure!(push.attr("from") == Some(COMPONENT) && push.attr("to") == Some(SERVICE), "{push}");
    ensure!(push.to_string().contains(&sender) && push.to_string().contains(">one<"), "{push}");
    let id = push.attr("id").context("no id")?;
    let gone = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let answer = |from: &str, kind: &str, inside: &str| format!("<iq from='{from}' to='{COMPONENT}' id='{id}' type='{kind}'>{inside}</iq>");
    component.send(&answer("push.fourth.example", "error", gone))?;
    component.send(&answer(SERVICE, "result", ""))?;
    say("alice", "two")?;
    let push = component.ask("", |element| is_of_node(element, "n1"))?;
    ensure!(push.to_string().contains(">two<"), "{push}");
    let id = push.attr("id").context("no id")?;
    component.send(&format!("<iq from='{SERVICE}' to='{COMPONENT}' id='{id}' type='error'>{gone}</iq>"))?;
    // Carol is told after alice would have been.
    enable(&hallway, "carol", "n2")?;
    say("alice", "three")?;
    say("carol", "four")?;
    let push = component.ask("", |element| is_of_node(element, "n1") || is_of_node(element, "n2"))?;
    ensure!(is_of_node(&push, "n2"), "a node that is gone is published to: {push}");
    Ok("two pushes, a forged answer, a node that is gone".into())
}
