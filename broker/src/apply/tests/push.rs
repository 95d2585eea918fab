//! Where people are reached, command by command on a state in memory.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;
use crate::command::{Draft, Reuse};
use crate::ids::ConversationId;
use crate::model::{Kind, Provider, Target};
use crate::state::watched::{Watch, Watched};

fn target(provider: Provider, address: &str) -> Target {
    let (topic, options, device) = ("".into(), "".into(), "phone".into());
    Target { provider, address: address.into(), secret: vec![7; 81], topic, is_sandbox: false, options, device, since_ms: 0 }
}

fn register(target: &Target) -> Action {
    Action::RegisterTarget { target: Box::new(target.clone()) }
}

#[test]
fn nobody_takes_anothers_by_its_address_alone() {
    for provider in [Provider::WebPush, Provider::UnifiedPush] {
        let mut world = World::new();
        let browser = target(provider, "https://push.example.org/1");
        let guessed = Target { secret: vec![8; 81], ..browser.clone() };
        let has = |world: &World, who: &str| world.reader().targets(CONF, &uid(who)).unwrap().len();
        world.by("alice", register(&browser)).unwrap();
        assert_eq!(world.by("bob", register(&guessed)), Err(Reason::Taken));
        assert_eq!((has(&world, "alice"), has(&world, "bob")), (1, 0));
        // Bob signed in with the same browser; then it makes other keys.
        world.by("bob", register(&browser)).unwrap();
        world.by("bob", register(&guessed)).unwrap();
        assert_eq!((has(&world, "alice"), has(&world, "bob")), (0, 1));
    }
}

#[test]
fn a_url_is_a_webhook_of_everybody_who_gives_it() {
    let mut world = World::new();
    let webhook = target(Provider::Webhook, "https://hook.example.org/");
    for _ in 0..2 {
        for who in ["alice", "bob"] {
            world.by(who, register(&webhook)).unwrap();
        }
    }
    for who in ["alice", "bob"] {
        assert_eq!(world.reader().targets(CONF, &uid(who)).unwrap().len(), 1);
    }
    let report = crate::backup::check::checked(&*world.state);
    assert!(report.is_good(), "{report}");
}

#[test]
fn signed_out_everywhere_is_out_of_everywhere() {
    let mut world = World::new();
    // More than one may have.
    let mut view = View::new(&*world.state, &mut world.kept, world.head.clone());
    for n in 0..40 {
        let target = target(Provider::Fcm, &n.to_string());
        view.put(keys::target(CONF, &uid("bob"), &target.id(&uid("bob"))), &target);
        view.put(keys::target_owner(CONF, &target.id(&uid("bob"))), &uid("bob"));
    }
    let (batch, head, _) = view.finish();
    world.state.commit(&batch).unwrap();
    world.head = head;
    assert_eq!(world.count(b"P9"), 80);
    world.system(Action::Erase { uid: uid("bob") });
    assert_eq!(world.count(b"P9"), 0);
}

/// Counts the records that are read.
#[derive(Default)]
struct Count(AtomicUsize);

impl Watch for Count {
    fn record_read(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn the_number_on_the_apps_icon_takes_no_history() {
    let mut world = World::new();
    let lobby = ConversationId::parse("lobby").unwrap();
    world.system(Action::Create { kind: Kind::Channel, id: lobby.clone(), title: "".into(), members: vec![uid("alice"), uid("bob")] });
    for n in 0..60 {
        let (client_id, text) = ("".into(), n.to_string().into());
        let reuse = Reuse::NewMessage;
        let draft = Draft { conversation: lobby.clone(), client_id, reuse, text, reply_to: None, mentions: vec![], attachments: vec![] };
        world.by("alice", Action::Send(draft)).unwrap();
    }
    let World { state, .. } = world;
    let watched = Arc::new(Watched { state, watch: Count::default() });
    let reader = Reader::new(Arc::clone(&watched) as _, Arc::new(Recent::default()), [1; 16]);
    assert_eq!(reader.unread_in_all(CONF, &uid("bob"), 1000).unwrap(), 60);
    let read = watched.watch.0.load(Relaxed);
    assert!(read < 20, "{read} records were read");
}
