use hallway_broker::files::Capability;
use hallway_broker::ids::{ConfNo, ConversationId};
use minidom::Element;

use super::{names, uid};
use crate::xmpp::stanza::{
    BadMessage, Condition, Draft, IdKind, Incoming, Mention, MessageType, Said, Target, read_message, read_moderation,
};

fn element(xml: &str) -> Element {
    xml.parse().unwrap_or_else(|error| panic!("{error}: {xml}"))
}

fn try_read(kind: &str, children: &str) -> Result<Incoming, BadMessage> {
    let xml = format!("<message xmlns='jabber:client' type='{kind}' id='m1' to='lobby@rooms.demo.example'>{children}</message>");
    read_message(&element(&xml), &names())
}

fn read(kind: &str, children: &str) -> Vec<Said> {
    try_read(kind, children).unwrap_or_else(|error| panic!("{error}: {children}")).said
}

fn draft(text: &str) -> Draft {
    Draft { text: text.into(), ..Draft::default() }
}

fn target(id: &str, kind: IdKind) -> Target {
    Target { id: id.into(), kind }
}

#[test]
fn a_body_is_a_draft_in_every_type() {
    for kind in ["chat", "groupchat", "normal", "headline", "unheard-of"] {
        assert_eq!(read(kind, "<body>hi &amp; bye</body>"), [Said::Draft(draft("hi & bye"))], "{kind}");
    }
    let incoming = try_read("groupchat", "<body>hi</body><origin-id xmlns='urn:xmpp:sid:0' id='o1'/>").unwrap();
    assert_eq!((incoming.kind, incoming.client_id()), (MessageType::Groupchat, "m1"));
    assert_eq!(incoming.origin_id.as_deref(), Some("o1"));
    let no_id = "<message xmlns='jabber:client'><body>hi</body><origin-id xmlns='urn:xmpp:sid:0' id='o1'/></message>";
    let incoming = read_message(&element(no_id), &names()).unwrap();
    assert_eq!((incoming.kind, incoming.client_id()), (MessageType::Normal, "o1"));
}

#[test]
fn nothing_is_read_of_errors_and_of_what_is_not_known() {
    let bounced = "<body>hi</body><retract xmlns='urn:xmpp:message-retract:1'/><error type='cancel'/>";
    assert_eq!(read("error", bounced), []);
    for nothing in [
        "",
        "<body/>",
        "<body xmlns='urn:other'>hi</body>",
        "<retract xmlns='urn:xmpp:message-retract:99' id='x'/>",
        "<x xmlns='http://jabber.org/protocol/muc#user'/><event xmlns='urn:x'><body xmlns='jabber:client'>in</body></event>",
    ] {
        assert_eq!(read("chat", nothing), [], "{nothing}");
    }
}

#[test]
fn what_clients_may_not_say_of_themselves_is_passed_over() {
    let forged = "<body>hi</body><stanza-id xmlns='urn:xmpp:sid:0' id='x' by='lobby@rooms.demo.example'/>\
        <occupant-id xmlns='urn:xmpp:occupant-id:0' id='y'/><delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/>";
    assert_eq!(read("groupchat", forged), [Said::Draft(draft("hi"))]);
}

#[test]
fn a_correction_names_the_senders_own_id() {
    let correction = "<body>window</body><replace xmlns='urn:xmpp:message-correct:0' id='bad1'/>";
    for kind in ["chat", "groupchat"] {
        let edit = Said::Edit { target: target("bad1", IdKind::OwnMessageId), text: "window".into() };
        assert_eq!(read(kind, correction), [edit]);
    }
    assert_eq!(try_read("chat", "<replace xmlns='urn:xmpp:message-correct:0' id='bad1'/>"), Err(BadMessage::EmptyCorrection));
}

#[test]
fn a_retraction_names_the_rooms_id_in_rooms() {
    let retraction = "<retract xmlns='urn:xmpp:message-retract:1' id='r1'/><fallback xmlns='urn:xmpp:fallback:0' \
        for='urn:xmpp:message-retract:1'/><body>took something back</body><store xmlns='urn:xmpp:hints'/>";
    assert_eq!(read("groupchat", retraction), [Said::Retract { target: target("r1", IdKind::StanzaId) }]);
    assert_eq!(read("chat", retraction), [Said::Retract { target: target("r1", IdKind::OwnMessageId) }]);
}

#[test]
fn a_moderator_retracts_by_iq() {
    let request = "<moderate xmlns='urn:xmpp:message-moderate:1' id='s1'><retract xmlns='urn:xmpp:message-retract:1'/>\
        <reason>not here</reason></moderate>";
    let said = Said::Moderate { target: target("s1", IdKind::StanzaId), reason: Some("not here".into()) };
    assert_eq!(read_moderation(&element(request)), Ok(Some(said)));
    assert_eq!(read_moderation(&element("<query xmlns='urn:x'/>")), Ok(None));
    let no_id = "<moderate xmlns='urn:xmpp:message-moderate:1'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>";
    assert_eq!(read_moderation(&element(no_id)), Err(BadMessage::NoId("moderate")));
    let other = read_moderation(&element("<moderate xmlns='urn:xmpp:message-moderate:1' id='s1'><edit xmlns='urn:x'/></moderate>"));
    assert_eq!(other.unwrap_err().condition(), Condition::FeatureNotImplemented);
}

#[test]
fn reactions_are_a_set() {
    let reactions = "<reactions xmlns='urn:xmpp:reactions:0' id='s1'><reaction>👋</reaction><reaction> 🐢 </reaction>\
        <reaction>👋</reaction><reaction/></reactions>";
    let emojis = vec!["👋".to_owned(), "🐢".to_owned()];
    let react = |kind| Said::React { target: target("s1", kind), emojis: emojis.clone() };
    assert_eq!(read("groupchat", reactions), [react(IdKind::StanzaId)]);
    assert_eq!(read("chat", reactions), [react(IdKind::MessageId)]);
    let none = Said::React { target: target("s1", IdKind::StanzaId), emojis: Vec::new() };
    assert_eq!(read("groupchat", "<reactions xmlns='urn:xmpp:reactions:0' id='s1'/>"), [none]);
    let with_fallback = format!("{reactions}<body>👋</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reactions:0'/>");
    assert_eq!(read("chat", &with_fallback), [react(IdKind::MessageId)]);

    let many: String = (0..65).map(|i| format!("<reaction>{i}</reaction>")).collect();
    let long = "🎉".repeat(9);
    for refused in [many, format!("<reaction>{long}</reaction>")] {
        let refused = try_read("chat", &format!("<reactions xmlns='urn:xmpp:reactions:0' id='s1'>{refused}</reactions>"));
        assert_eq!(refused.map_err(BadMessage::condition), Err(Condition::NotAcceptable));
    }
}

#[test]
fn an_answer_loses_its_quotation() {
    let body = "&gt; Zoë 🎩:\n&gt; a cake?\nGreat 👍";
    let quotation = "> Zoë 🎩:\n> a cake?\n".chars().count();
    let answer = format!(
        "<body>{body}</body><reply xmlns='urn:xmpp:reply:0' to='anna@demo.example' id='m0'/>\
        <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='{quotation}'/></fallback>"
    );
    let said = Said::Draft(Draft { reply_to: Some(target("m0", IdKind::MessageId)), ..draft("Great 👍") });
    assert_eq!(read("chat", &answer), [said]);
    let said = Said::Draft(Draft { reply_to: Some(target("m0", IdKind::StanzaId)), ..draft("Great 👍") });
    assert_eq!(read("groupchat", &answer), [said]);
}

#[test]
fn fallback_is_only_stripped_for_what_is_understood() {
    let reply = "<reply xmlns='urn:xmpp:reply:0' id='m0'/>";
    let strip = |body: &str, rest: &str| match read("chat", &format!("<body>{body}</body>{rest}")).into_iter().next() {
        Some(Said::Draft(draft)) => draft.text,
        other => format!("{other:?}"),
    };
    let fallback = |of: &str, inside: &str| format!("<fallback xmlns='urn:xmpp:fallback:0' {of}>{inside}</fallback>");
    let of_reply = |inside: &str| format!("{reply}{}", fallback("for='urn:xmpp:reply:0'", inside));
    let whole = "🎉x👩‍👧y";
    for (rest, text) in [
        (fallback("for='urn:xmpp:reply:0'", "<body end='2'/>"), whole), // no reply that it stands in for
        (format!("{reply}{}", fallback("for='urn:other'", "<body/>")), whole),
        (of_reply("<subject/>"), whole),
        (of_reply("<body xmlns='urn:other'/>"), whole),
        (of_reply("<body start='0' end='1'/>"), "x👩‍👧y"),
        (of_reply("<body start='1' end='2'/><body start='0' end='2'/>"), "👩‍👧y"),
        (of_reply("<body start='5' end='999'/>"), "🎉x👩‍👧"),
        (of_reply("<body start=' 1 '/>"), "🎉"),
        (of_reply("<body start='3' end='2'/>"), whole),
        (of_reply("<body start='4' end='5'/><body end='1'/>"), "x👩\u{200D}y"),
        (format!("{reply}{}", fallback("", "<body end='1'/>")), "x👩‍👧y"),
        (of_reply(""), "None"),
        (of_reply("<body/>"), "None"),
    ] {
        assert_eq!(strip(whole, &rest), text, "{rest}");
    }
    for bad in ["start='x'", "end='-1'", "start='4294967296'", "end=''"] {
        assert_eq!(try_read("chat", &format!("<body>hi</body>{}", of_reply(&format!("<body {bad}/>")))), Err(BadMessage::Region), "{bad}");
    }
}

#[test]
fn many_regions_cost_no_more_than_their_bytes() {
    let regions = "<body start='1' end='2'/>".repeat(10_000);
    let body = "x".repeat(60_000);
    let xml =
        format!("<body>{body}</body><reply xmlns='urn:xmpp:reply:0' id='m0'/><fallback xmlns='urn:xmpp:fallback:0'>{regions}</fallback>");
    let Some(Said::Draft(draft)) = read("chat", &xml).into_iter().next() else { panic!("no draft") };
    assert_eq!(draft.text.len(), 59_999);
}

#[test]
fn markers_and_receipts_name_a_message() {
    let displayed = "<displayed xmlns='urn:xmpp:chat-markers:0' id='d1'/>";
    assert_eq!(read("groupchat", displayed), [Said::Read { target: target("d1", IdKind::StanzaId) }]);
    assert_eq!(read("chat", displayed), [Said::Read { target: target("d1", IdKind::MessageId) }]);
    let received = "<received xmlns='urn:xmpp:receipts' id='d1'/>";
    assert_eq!(read("chat", received), [Said::Receipt { target: target("d1", IdKind::MessageId) }]);
    let asks = try_read("chat", "<body>hi</body><request xmlns='urn:xmpp:receipts'/>").unwrap();
    assert!(asks.wants_receipt && !asks.no_copy);
}

#[test]
fn chat_states_come_alone_or_with_a_message() {
    let state = |name: &str| format!("<{name} xmlns='http://jabber.org/protocol/chatstates'/>");
    assert_eq!(read("chat", &state("composing")), [Said::Typing { on: true }]);
    for name in ["active", "paused", "inactive", "gone"] {
        assert_eq!(read("groupchat", &state(name)), [Said::Typing { on: false }], "{name}");
    }
    let with_body = format!("{}<body>hi</body>", state("active"));
    assert_eq!(read("chat", &with_body), [Said::Draft(draft("hi")), Said::Typing { on: false }]);
}

#[test]
fn a_subject_alone_is_the_rooms() {
    assert_eq!(read("groupchat", "<subject>Cake</subject>"), [Said::Subject { text: "Cake".into() }]);
    assert_eq!(read("groupchat", "<subject/>"), [Said::Subject { text: String::new() }]);
    assert_eq!(read("groupchat", "<subject>Cake</subject><body>hi</body>"), [Said::Draft(draft("hi"))]);
    assert_eq!(read("groupchat", "<subject>Cake</subject><thread>t</thread>"), []);
    assert_eq!(read("chat", "<subject>Cake</subject>"), []);
}

#[test]
fn mentions_are_of_people_here() {
    let reference = |attrs: &str| format!("<reference xmlns='urn:xmpp:reference:0' {attrs}/>");
    let body: String = [
        "type='mention' begin='0' end='3' uri='xmpp:bob@demo.example'",
        "type='mention' uri='XMPP:bob@demo.example/phone?message'",
        "type='mention' uri='xmpp:lobby@rooms.demo.example/Zo%c3%ab%20B'",
        "type='mention' uri='xmpp:lobby@rooms.demo.example/Zo%C3%AB%20(zoe)'",
        "type='mention' uri='xmpp:eve@elsewhere.example'",
        "type='mention' uri='xmpp:lobby@rooms.demo.example'",
        "type='mention' uri='xmpp:%ff@demo.example'",
        "type='mention' uri='xmpp:bob%4'",
        "type='mention' uri='mailto:bob@demo.example'",
        "type='mention' anchor='xmpp:x@y' uri='xmpp:carol@demo.example'",
        "type='data' uri='xmpp:carol@demo.example'",
        "type='mention'",
    ]
    .map(reference)
    .concat();
    let mentions = vec![Mention::User(uid("bob")), Mention::Name("Zoë B".into()), Mention::User(uid("zoe"))];
    assert_eq!(read("chat", &format!("<body>bob</body>{body}")), [Said::Draft(Draft { mentions, ..draft("bob") })]);
}

#[test]
fn files_are_urls() {
    let key = Capability::new(ConfNo(1), [3; 16]);
    let url = &format!("https://chat.demo.example/files/{key}/a.png");
    let x = format!("<x xmlns='jabber:x:oob'><url>{url}</url><desc>cat</desc></x>");
    let with_file = |text: &str| [Said::Draft(Draft { attachments: vec![url.clone()], ..draft(text) })];
    assert_eq!(read("chat", &format!("<body>{url}</body>{x}")), with_file(url));
    assert_eq!(read("chat", &format!("<body>look</body>{x}")), with_file("look"));
    assert_eq!(read("chat", &x), with_file(url));
    let fallback = "<fallback xmlns='urn:xmpp:fallback:0' for='jabber:x:oob'><body start='4'/></fallback>";
    assert_eq!(read("chat", &format!("<body>look\n{url}</body>{x}{fallback}")), with_file("look"));
    assert_eq!(read("chat", "<body>x</body><x xmlns='jabber:x:oob'><url>javascript:alert(1)</url></x>"), [Said::Draft(draft("x"))]);
    // A file elsewhere is a link, and its URL stays in the text.
    let elsewhere = "<x xmlns='jabber:x:oob'><url>https://files.example/a.png</url></x>";
    let text = "look\nhttps://files.example/a.png";
    assert_eq!(read("chat", &format!("<body>{text}</body>{elsewhere}{fallback}")), [Said::Draft(draft(text))]);
    assert_eq!(read("chat", elsewhere), [Said::Draft(draft("https://files.example/a.png"))]);
}

#[test]
fn ill_formed_extensions_are_bad_requests() {
    let long = "x".repeat(129);
    let long_origin = format!("<body>x</body><origin-id xmlns='urn:xmpp:sid:0' id='{long}'/>");
    for (children, text) in [
        ("<retract xmlns='urn:xmpp:message-retract:1'/>", "<retract/> needs an id"),
        ("<retract xmlns='urn:xmpp:message-retract:1' id=''/>", "<retract/> needs an id"),
        ("<body>x</body><replace xmlns='urn:xmpp:message-correct:0'/>", "<replace/> needs an id"),
        ("<reactions xmlns='urn:xmpp:reactions:0'/>", "<reactions/> needs an id"),
        ("<displayed xmlns='urn:xmpp:chat-markers:0'/>", "<displayed/> needs an id"),
        ("<received xmlns='urn:xmpp:receipts'/>", "<received/> needs an id"),
        ("<body>x</body><reply xmlns='urn:xmpp:reply:0' to='a@b'/>", "<reply/> needs an id"),
        ("<body>x</body><origin-id xmlns='urn:xmpp:sid:0'/>", "<origin-id/> needs an id"),
        (&long_origin, "the id of <origin-id/> is over 128 bytes"),
        ("<reactions xmlns='urn:xmpp:reactions:0' id='1'/><reactions xmlns='urn:xmpp:reactions:0' id='2'/>", "more than one <reactions/>"),
        (
            "<body>x</body><retract xmlns='urn:xmpp:message-retract:1' id='1'/><replace xmlns='urn:xmpp:message-correct:0' id='2'/>",
            "<replace/> and <retract/> in one message",
        ),
    ] {
        let refused = try_read("chat", children).unwrap_err();
        assert_eq!((refused.condition(), refused.to_string().as_str()), (Condition::BadRequest, text), "{children}");
    }
}

#[test]
fn people_are_invited_by_the_room_or_directly() {
    let mediated = |invites: &str| format!("<x xmlns='http://jabber.org/protocol/muc#user'>{invites}</x><body>come!</body>");
    let two =
        "<invite to='bob@demo.example/desk'><reason>cake</reason></invite><invite to='eve@demo.example'/><invite to='bob@demo.example'/>";
    assert_eq!(read("normal", &mediated(two)), [Said::Invite { users: vec![uid("bob"), uid("eve")], reason: "cake".into() }]);
    assert_eq!(read("normal", &mediated("<decline to='bob@demo.example'/>")), [Said::Draft(draft("come!"))]);
    let direct = |jid: &str| format!("<x xmlns='jabber:x:conference' jid='{jid}' reason='cake'/>");
    let lobby = ConversationId::parse("lobby").unwrap();
    assert_eq!(read("normal", &direct("lobby@rooms.demo.example")), [Said::InviteInto { conversation: lobby }]);
    for bad in [
        mediated("<invite to='eve@elsewhere.example'/>"),
        mediated("<invite/>"),
        direct("lobby@rooms.elsewhere.example"),
        direct("lobby@rooms.demo.example/Bob"),
        direct("alice@demo.example"),
    ] {
        assert_eq!(try_read("normal", &bad).map_err(BadMessage::condition), Err(Condition::ItemNotFound), "{bad}");
    }
}

#[test]
fn a_sender_can_ask_for_no_copies() {
    for hint in ["<private xmlns='urn:xmpp:carbons:2'/>", "<no-copy xmlns='urn:xmpp:hints'/>"] {
        assert!(try_read("chat", hint).unwrap().no_copy, "{hint}");
    }
}
