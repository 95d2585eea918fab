use std::rc::Rc;
use std::sync::Arc;

use hallway_broker::command::{Action, Actor};
use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::model::{Kind, MemberRole, Standing, UserRole, Via};
use hallway_broker::recent::WIRES;
use hallway_broker::session::Session;
use hallway_broker::shard::Shard;
use hallway_broker::view::Found;
use minidom::Element;
use xmpp_parsers::data_forms::DataForm;
use xmpp_parsers::disco::{DiscoInfoResult, DiscoItemsResult};

use super::{Asking, MUC_ADMIN, MUC_OWNER, answer, info};
use crate::xmpp::disco;
use crate::xmpp::names::Names;
use crate::xmpp::rooms::{Entering, Rooms, standing_of};
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::testing::{self, Story};

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn conversation(text: &str) -> ConversationId {
    ConversationId::parse(text).unwrap()
}

/// The lobby, a channel, and the crew, a group; alice owns the crew, moderates the lobby, bob is a member of both, and carol of neither.
struct Rooming {
    story: Story,
    shard: Rc<Shard>,
    names: Names,
    rooms: Rooms,
}

impl Rooming {
    async fn begin() -> Self {
        let story = Story::begin().await;
        for who in ["bob", "carol"] {
            story.register(who).await;
        }
        let shard = Shard::new(0, Arc::clone(&story.hub), Arc::default(), Arc::new([const { None }; WIRES]));
        let rooming = Self { story, shard, names: Names::new("chat.example").unwrap(), rooms: Rooms::new(10) };
        let create = |kind, id, title: &str, members: &[&str]| {
            let members = members.iter().map(|who| uid(who)).collect();
            Action::Create { kind, id: conversation(id), title: title.into(), members }
        };
        rooming.system(create(Kind::Channel, "lobby", "The <Lobby>", &["alice", "bob"])).await;
        rooming.system(create(Kind::Announcements, "news", "News", &[])).await;
        rooming.session("alice").call(create(Kind::Group, "crew", "Crew", &["bob"])).await.unwrap();
        let role = Action::SetRole { conversation: conversation("lobby"), user: uid("alice"), role: MemberRole::Moderator };
        rooming.system(role).await;
        rooming
    }

    async fn system(&self, action: Action) {
        self.story.hub.call(self.story.conf(), Actor::system(), action).await.unwrap();
    }

    fn session(&self, who: &str) -> Session {
        testing::session(&self.shard, who, Via::Xmpp)
    }

    fn found(&self, room: &str) -> Found {
        self.story.hub.reader().conversation(self.story.conf(), &conversation(room)).unwrap().unwrap()
    }

    fn standing(&self, room: &str, who: &str) -> Option<Standing> {
        self.story.hub.reader().standing(&self.found(room), &uid(who)).unwrap()
    }

    fn enter(&self, room: &str, session: u64, who: &str) {
        let found = self.found(room);
        let (affiliation, role) = standing_of(found.record.kind, UserRole::Attendee, self.standing(room, who));
        let name = self.session(who).who.name.clone();
        let jid = format!("{who}@chat.example/x").into();
        let entering = Entering { session, shard: 0, uid: uid(who), name, affiliation, role, pos: 0, jid, presence: Arc::default() };
        self.rooms.enter((found.conf, found.record.no), entering);
    }

    async fn answer(&self, who: &str, room: &str, is_set: bool, payload: &str) -> Result<String, StanzaError> {
        let session = self.session(who);
        let asking = Asking { session: &session, names: &self.names, rooms: &self.rooms };
        let payload: Element = payload.parse().unwrap();
        let bytes = answer(&asking, &self.found(room), is_set, &payload).await.unwrap()?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    /// What became of changes by muc#admin.
    async fn change(&self, who: &str, room: &str, items: &str) -> Result<(), Condition> {
        let query = format!("<query xmlns='{MUC_ADMIN}'>{items}</query>");
        let answer = self.answer(who, room, true, &query).await.map_err(|error| error.condition)?;
        assert_eq!(answer, "");
        Ok(())
    }

    /// The JIDs' users of a list by muc#admin, with `*` for one with a role.
    async fn list(&self, who: &str, room: &str, wanted: &str) -> Result<Vec<String>, Condition> {
        let query = format!("<query xmlns='{MUC_ADMIN}'><item {wanted}/></query>");
        let answer: Element = self.answer(who, room, false, &query).await.map_err(|error| error.condition)?.parse().unwrap();
        let name = |item: &Element| {
            let user = item.attr("jid").unwrap().strip_suffix("@chat.example").unwrap().to_owned();
            if item.attr("role").is_some() { format!("{user}*") } else { user }
        };
        Ok(answer.children().map(name).collect())
    }

    async fn configure(&self, who: &str, room: &str, form: &str) -> Result<String, Condition> {
        let query = format!("<query xmlns='{MUC_OWNER}'>{form}</query>");
        self.answer(who, room, true, &query).await.map_err(|error| error.condition)
    }
}

#[tokio::test]
async fn lists_are_by_affiliation_and_role() {
    let rooming = Rooming::begin().await;
    let member = "affiliation='member'";
    assert_eq!(rooming.list("bob", "lobby", member).await.unwrap(), ["bob"]);
    assert_eq!(rooming.list("bob", "lobby", "affiliation='admin'").await.unwrap(), ["alice"]);
    assert_eq!(rooming.list("bob", "crew", "affiliation='owner'").await.unwrap(), ["alice"]);
    assert_eq!(rooming.list("bob", "lobby", "affiliation='outcast'").await, Err(Condition::Forbidden));
    assert_eq!(rooming.list("bob", "lobby", "role='moderator'").await, Err(Condition::Forbidden));
    assert!(rooming.list("alice", "lobby", "affiliation='outcast'").await.unwrap().is_empty());
    rooming.enter("lobby", 1, "alice");
    rooming.enter("lobby", 2, "bob");
    assert_eq!(rooming.list("alice", "lobby", "role='moderator'").await.unwrap(), ["alice*"]);
    assert_eq!(rooming.list("alice", "lobby", "role='participant'").await.unwrap(), ["bob*"]);
    for (wanted, condition) in [
        ("", Condition::BadRequest),
        ("role='moderator' affiliation='owner'", Condition::BadRequest),
        ("role='king'", Condition::BadRequest),
        ("role='none'", Condition::NotAcceptable),
        ("affiliation='none'", Condition::NotAcceptable),
    ] {
        assert_eq!(rooming.list("alice", "lobby", wanted).await, Err(condition), "{wanted}");
    }
}

#[tokio::test]
async fn a_moderator_kicks_bans_and_takes_back() {
    let rooming = Rooming::begin().await;
    rooming.enter("lobby", 1, "bob");
    let nick = rooming.session("bob").who.name.clone();
    let kick = format!("<item nick='{nick}' role='none'><reason>Avaunt!</reason></item>");
    assert_eq!(rooming.change("bob", "lobby", "<item jid='alice@chat.example' role='none'/>").await, Err(Condition::Forbidden));
    assert_eq!(rooming.change("alice", "lobby", "<item nick='nobody' role='none'/>").await, Err(Condition::ItemNotFound));
    assert_eq!(rooming.change("alice", "lobby", "<item jid='alice@chat.example' role='none'/>").await, Err(Condition::Conflict));
    assert_eq!(rooming.change("alice", "lobby", &kick).await, Ok(()));
    assert_eq!(rooming.standing("lobby", "bob"), Some(Standing::Removed));
    let ban = "<item jid='carol@chat.example/phone' affiliation='outcast'/>";
    assert_eq!(rooming.change("alice", "lobby", ban).await, Ok(()));
    assert_eq!(rooming.standing("lobby", "carol"), Some(Standing::Banned));
    assert_eq!(rooming.list("alice", "lobby", "affiliation='outcast'").await.unwrap(), ["carol"]);
    let unban = "<item jid='carol@chat.example' affiliation='none'/>";
    assert_eq!(rooming.change("bob", "lobby", unban).await, Err(Condition::Forbidden));
    assert_eq!(rooming.change("alice", "lobby", unban).await, Ok(()));
    assert_eq!(rooming.standing("lobby", "carol"), Some(Standing::Invited));
    assert!(rooming.list("alice", "lobby", "affiliation='outcast'").await.unwrap().is_empty());
    // Somebody above oneself.
    let role = Action::SetRole { conversation: conversation("crew"), user: uid("bob"), role: MemberRole::Moderator };
    rooming.session("alice").call(role).await.unwrap();
    assert_eq!(rooming.change("bob", "crew", "<item jid='alice@chat.example' role='none'/>").await, Err(Condition::NotAllowed));
}

#[tokio::test]
async fn owners_give_affiliations() {
    let rooming = Rooming::begin().await;
    let (bob, carol) = ("jid='bob@chat.example'", "jid='carol@chat.example'");
    // A moderator is not an owner.
    assert_eq!(rooming.change("alice", "lobby", &format!("<item {bob} affiliation='admin'/>")).await, Err(Condition::NotAllowed));
    for (change, role) in [("affiliation='admin'", MemberRole::Moderator), ("role='participant'", MemberRole::Member)] {
        assert_eq!(rooming.change("alice", "crew", &format!("<item {bob} {change}/>")).await, Ok(()));
        assert_eq!(rooming.standing("crew", "bob"), Some(Standing::In(role)), "{change}");
    }
    let invite = format!("<item {carol} affiliation='member'/>");
    assert_eq!(rooming.change("alice", "crew", &format!("<item {carol} affiliation='owner'/>")).await, Err(Condition::NotAcceptable));
    assert_eq!(rooming.change("alice", "crew", &format!("<item {bob} role='visitor'/>")).await, Err(Condition::NotAllowed));
    assert_eq!(rooming.change("alice", "crew", &invite).await, Ok(()));
    assert_eq!(rooming.standing("crew", "carol"), Some(Standing::Invited));
    // A request that is wrong in part changes nothing.
    let out = format!("<item {bob} affiliation='none'/>");
    assert_eq!(rooming.change("alice", "crew", &format!("{out}<item {carol} affiliation='x'/>")).await, Err(Condition::BadRequest));
    assert_eq!(rooming.standing("crew", "bob"), Some(Standing::In(MemberRole::Member)));
    assert_eq!(rooming.change("alice", "crew", &out).await, Ok(()));
    assert_eq!(rooming.standing("crew", "bob"), Some(Standing::Removed));
    for (items, condition) in [
        ("", Condition::BadRequest),
        ("<item affiliation='none'/>", Condition::BadRequest),
        ("<item jid='lobby@rooms.chat.example' affiliation='none'/>", Condition::ItemNotFound),
        ("<item jid='bob@elsewhere.example' affiliation='none'/>", Condition::RemoteServerNotFound),
        ("<item jid='nobody@chat.example' affiliation='member'/>", Condition::ItemNotFound),
    ] {
        assert_eq!(rooming.change("alice", "crew", items).await, Err(condition), "{items}");
    }
    assert_eq!(rooming.change("alice", "crew", &"<item nick='x' role='none'/>".repeat(101)).await, Err(Condition::BadRequest));
}

#[tokio::test]
async fn only_the_title_is_configured() {
    let rooming = Rooming::begin().await;
    let query = format!("<query xmlns='{MUC_OWNER}'/>");
    assert_eq!(rooming.answer("bob", "lobby", false, &query).await.unwrap_err().condition, Condition::Forbidden);
    let answer: Element = rooming.answer("alice", "lobby", false, &query).await.unwrap().parse().unwrap();
    let form = DataForm::try_from(answer.children().next().unwrap().clone()).unwrap();
    assert_eq!(form.form_type(), Some("http://jabber.org/protocol/muc#roomconfig"));
    let value = |name: &str| form.fields.iter().find(|field| field.var.as_deref() == Some(name)).unwrap().values[0].clone();
    assert_eq!((value("muc#roomconfig_roomname"), value("muc#roomconfig_membersonly")), ("The <Lobby>".into(), "0".into()));
    let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let submit = |fields: &str| format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    let kept = field("muc#roomconfig_membersonly", "false") + &field("muc#roomconfig_of_another_server", "7");
    for (form, expected) in [
        (submit(""), Ok(String::new())),
        ("<x xmlns='jabber:x:data' type='cancel'/>".into(), Ok(String::new())),
        ("<x xmlns='jabber:x:data' type='result'/>".into(), Err(Condition::BadRequest)),
        (String::new(), Err(Condition::BadRequest)),
        ("<destroy/>".into(), Err(Condition::NotAllowed)),
        (submit(&field("FORM_TYPE", "another")), Err(Condition::BadRequest)),
        (submit(&(field("muc#roomconfig_roomname", "Hall") + &field("muc#roomconfig_membersonly", "1"))), Err(Condition::NotAcceptable)),
        (submit(&field("muc#roomconfig_roomname", &"x".repeat(257))), Err(Condition::NotAcceptable)),
        (submit(&(field("muc#roomconfig_roomname", "The &lt;Lobby>") + &kept)), Ok(String::new())),
    ] {
        assert_eq!(rooming.configure("alice", "lobby", &form).await, expected, "{form}");
        assert_eq!(rooming.found("lobby").record.title, "The <Lobby>");
    }
    let hall = submit(&(field("muc#roomconfig_roomname", "Hall") + &kept));
    assert_eq!(rooming.configure("bob", "lobby", &hall).await, Err(Condition::Forbidden));
    assert_eq!(rooming.configure("alice", "lobby", &hall).await, Ok(String::new()));
    assert_eq!(rooming.found("lobby").record.title, "Hall");
}

#[tokio::test]
async fn a_room_says_what_it_is() {
    let rooming = Rooming::begin().await;
    rooming.enter("lobby", 1, "alice");
    let query = |node: &str| format!("<query xmlns='{}' {node}/>", disco::INFO);
    for (room, features, title, occupants) in [
        ("lobby", ["muc_public", "muc_open", "muc_unmoderated"], "The <Lobby>", "1"),
        ("crew", ["muc_hidden", "muc_membersonly", "muc_unmoderated"], "Crew", "0"),
        ("news", ["muc_public", "muc_open", "muc_moderated"], "News", "0"),
    ] {
        let answer: Element = rooming.answer("bob", room, false, &query("")).await.unwrap().parse().unwrap();
        let read = DiscoInfoResult::try_from(answer).unwrap();
        let vars: Vec<&str> = read.features.iter().map(String::as_str).collect();
        assert!(features.iter().chain(&["urn:xmpp:mam:2", "urn:xmpp:sid:0"]).all(|feature| vars.contains(feature)), "{vars:?}");
        assert_eq!((read.identities[0].category.as_str(), read.identities[0].name.as_deref()), ("conference", Some(title)));
        let form = &read.extensions[0];
        assert_eq!(form.form_type(), Some("http://jabber.org/protocol/muc#roominfo"));
        let count = form.fields.iter().find(|field| field.var.as_deref() == Some("muc#roominfo_occupants")).unwrap();
        assert_eq!(count.values, [occupants]);
    }
    let nick = rooming.answer("bob", "lobby", false, &query("node='x-roomuser-item'")).await.unwrap();
    let expected = rooming.session("bob").who.name.clone();
    let read = DiscoInfoResult::try_from(nick.parse::<Element>().unwrap()).unwrap();
    assert_eq!((read.node.as_deref(), read.identities[0].name.as_deref()), (Some("x-roomuser-item"), Some(&*expected)));
    let unknown = rooming.answer("bob", "lobby", false, &query("node='x'")).await.unwrap_err();
    assert_eq!(unknown.condition, Condition::ItemNotFound);
    let items = format!("<query xmlns='{}'/>", disco::ITEMS);
    let read = DiscoItemsResult::try_from(rooming.answer("bob", "lobby", false, &items).await.unwrap().parse::<Element>().unwrap());
    assert!(read.unwrap().items.is_empty());
}

#[tokio::test]
async fn the_service_lists_the_rooms_that_one_may_enter() {
    let rooming = Rooming::begin().await;
    let all = async |who: &str, set: &str| {
        let session = rooming.session(who);
        let asking = Asking { session: &session, names: &rooming.names, rooms: &rooming.rooms };
        let query: Element = format!("<query xmlns='{}'>{set}</query>", disco::ITEMS).parse().unwrap();
        let bytes = info::rooms(&asking, &query).await.map_err(|error| error.condition)?;
        let read: Element = String::from_utf8(bytes).unwrap().parse().unwrap();
        let ids = read.children().filter_map(|item| Some(item.attr("jid")?.split_once('@')?.0.to_owned())).collect::<Vec<_>>();
        let set = read.children().find(|child| child.name() == "set");
        Ok::<_, Condition>((ids.join(" "), set.map(|set| set.children().map(Element::text).collect::<Vec<_>>().join(" "))))
    };
    let set = |inner: &str| format!("<set xmlns='http://jabber.org/protocol/rsm'>{inner}</set>");
    assert_eq!(all("bob", "").await, Ok(("crew lobby news".into(), None)));
    assert_eq!(all("carol", "").await, Ok(("lobby news".into(), None)));
    assert_eq!(all("bob", &set("<max>2</max>")).await, Ok(("crew lobby".into(), Some("crew lobby".into()))));
    assert_eq!(all("bob", &set("<max>2</max><after>lobby</after>")).await, Ok(("news".into(), Some("news news".into()))));
    assert_eq!(all("bob", &set("<max>0</max>")).await, Ok((String::new(), Some("3".into()))));
    assert_eq!(all("bob", &set("<max>2</max><before/>")).await, Err(Condition::FeatureNotImplemented));
    assert_eq!(all("bob", &set("<max>many</max>")).await, Err(Condition::BadRequest));
    // Who was put out of a group does not see it any more.
    let out = Action::Remove { conversation: conversation("crew"), user: uid("bob"), ban: false };
    rooming.session("alice").call(out).await.unwrap();
    assert_eq!(all("bob", "").await, Ok(("lobby news".into(), None)));
}

#[tokio::test]
async fn what_is_not_known_is_for_others() {
    let rooming = Rooming::begin().await;
    let (session, found) = (rooming.session("bob"), rooming.found("lobby"));
    let asking = Asking { session: &session, names: &rooming.names, rooms: &rooming.rooms };
    let info_set = format!("<query xmlns='{}'/>", disco::INFO);
    for (is_set, payload) in [(false, "<query xmlns='jabber:iq:version'/>"), (false, "<ping xmlns='urn:xmpp:ping'/>"), (true, &info_set)] {
        assert!(answer(&asking, &found, is_set, &payload.parse().unwrap()).await.is_none(), "{payload}");
    }
}
