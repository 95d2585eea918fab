//! Blocks and kept items, command by command on a state in memory.

mod badges;

mod files;

mod push;

mod stored;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;
use crate::command::Demanded;
use crate::ids::ConferenceId;
use crate::limits::{MAX_BLOCKED, MAX_ITEM_BYTES, MAX_ITEMS, MAX_ITEMS_BYTES, MAX_NODES};
use crate::model::{Access, Belongings, NodeSettings, SignIn, Via};
use crate::reader::Reader;
use crate::recent::Recent;
use crate::state::memory::{MemoryState, MemoryStore};
use crate::state::{Direction, State};
use crate::view::{Kept, SCHEMA, StoreHead};

const CONF: ConfNo = ConfNo(1);
const OPEN: NodeSettings = NodeSettings { access: Access::Open, max_items: 3 };

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

/// A store with alice and bob.
struct World {
    store: MemoryStore,
    state: Arc<MemoryState>,
    kept: Kept,
    head: StoreHead,
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new();
        let state = Arc::new(store.open().unwrap());
        let head = StoreHead { schema: SCHEMA, applied: 0, secret: [1; 16], conferences: 0 };
        let mut world = Self { store, state, kept: Kept::default(), head };
        let demo = ConferenceId::parse("demo").unwrap();
        world.system(Action::AddConference { id: demo, title: String::new(), sign_in: SignIn::Open, epoch: 1 });
        for name in ["alice", "bob"] {
            world.add_user(name);
        }
        world
    }

    fn add_user(&mut self, name: &str) {
        self.system(Action::AddUser { uid: uid(name), name: None, role: UserRole::Attendee, credentials: None });
    }

    fn system(&mut self, action: Action) {
        self.batch(vec![(Actor::system(), action)]).pop().unwrap().unwrap();
    }

    /// Carries commands out as one batch.
    fn batch(&mut self, commands: Vec<(Actor, Action)>) -> Vec<Result<Outcome, Reason>> {
        let mut view = View::new(&*self.state, &mut self.kept, self.head.clone());
        let mut answers = Vec::new();
        for (actor, action) in commands {
            view.head.applied += 1;
            let command = Command { conf: CONF, actor, at_ms: 1000, action };
            answers.push(apply(&mut view, &command).unwrap().map_err(|reject| reject.reason));
        }
        let (batch, head, _) = view.finish();
        self.state.commit(&batch).unwrap();
        self.head = head;
        answers
    }

    fn by(&mut self, who: &str, action: Action) -> Result<Outcome, Reason> {
        self.batch(vec![(actor(who), action)]).pop().unwrap()
    }

    fn keep(&mut self, node: &str, id: &str, payload: &str) -> Result<Outcome, Reason> {
        self.by("alice", keep(node, id, payload))
    }

    fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.state) as _, Arc::new(Recent::default()), [1; 16])
    }

    fn ids(&self, node: &str) -> Vec<String> {
        self.reader().items(CONF, &uid("alice"), node, 99).unwrap().into_iter().map(|(id, _)| id.to_string()).collect()
    }

    /// Records of these kinds.
    fn count(&self, kinds: &[u8]) -> usize {
        let mut count = 0;
        for kind in kinds {
            let visit = &mut |_: &[u8], _: &[u8]| {
                count += 1;
                ControlFlow::Continue(())
            };
            self.state.scan(&[*kind], &keys::end_of(&[*kind]), Direction::Ascending, visit).unwrap();
        }
        count
    }
}

fn actor(who: &str) -> Actor {
    Actor { uid: uid(who), via: Via::Xmpp, session: 1 }
}

fn keep(node: &str, id: &str, payload: &str) -> Action {
    Action::KeepItem { node: node.into(), id: id.into(), payload: payload.into(), settings: OPEN, demanded: Demanded::default() }
}

fn drop_item(node: &str, id: &str) -> Action {
    Action::DropItem { node: node.into(), id: id.into() }
}

fn drop_node(node: &str, keep: bool) -> Action {
    Action::DropNode { node: node.into(), keep }
}

#[test]
fn the_oldest_items_make_room() {
    let mut world = World::new();
    for id in ["a", "b", "c", "a", "d"] {
        world.keep("n", id, "x").unwrap();
    }
    assert_eq!(world.ids("n"), ["d", "a", "c"], "b was the oldest: a was kept again");
    world.by("alice", drop_item("n", "a")).unwrap();
    assert_eq!(world.by("alice", drop_item("n", "a")), Err(Reason::UnknownItem));
    assert_eq!(world.by("bob", drop_item("n", "c")), Err(Reason::UnknownItem), "everybody has nodes of their own");
    let settings = NodeSettings { access: Access::Private, max_items: 1 };
    world.by("alice", Action::SetNode { node: "n".into(), settings }).unwrap();
    assert_eq!(world.ids("n"), ["d"]);
    assert_eq!(world.reader().item_node(CONF, &uid("alice"), "n").unwrap().unwrap().settings, settings);
    world.by("alice", drop_node("n", true)).unwrap();
    assert_eq!((world.ids("n").len(), world.count(b"kKo")), (0, 1));
    world.by("alice", drop_node("n", false)).unwrap();
    assert_eq!(world.count(b"kKo"), 0);
    assert_eq!(world.by("alice", drop_node("n", false)), Err(Reason::UnknownItem));
}

#[test]
fn what_is_demanded_of_a_node_must_be_so() {
    let mut world = World::new();
    let demanding = |access, max_items| Action::KeepItem {
        node: "n".into(),
        id: "a".into(),
        payload: "x".into(),
        settings: OPEN,
        demanded: Demanded { access, max_items },
    };
    assert_eq!(world.by("alice", demanding(Some(Access::Private), None)), Err(Reason::OtherSettings), "not even a new one");
    world.by("alice", demanding(Some(Access::Open), Some(3))).unwrap();
    assert_eq!(world.by("alice", demanding(None, Some(4))), Err(Reason::OtherSettings));
    assert_eq!(world.ids("n"), ["a"]);
}

#[test]
fn the_bounds_of_kept_items_hold() {
    let mut world = World::new();
    let long = "x".repeat(MAX_ITEM_BYTES + 1);
    for (node, id, payload, reason) in [
        ("n", "a", long.as_str(), Reason::TooLarge),
        ("n", &"i".repeat(161), "x", Reason::TooLarge),
        (&"n".repeat(129), "a", "x", Reason::TooLarge),
        ("", "a", "x", Reason::InvalidParams),
        ("n", "", "x", Reason::InvalidParams),
        ("n\0", "a", "x", Reason::InvalidParams),
    ] {
        assert_eq!(world.keep(node, id, payload), Err(reason), "{node:.9} {id:.9}");
    }
    let none = NodeSettings { access: Access::Open, max_items: 0 };
    assert_eq!(world.by("alice", Action::SetNode { node: "n".into(), settings: none }), Err(Reason::InvalidParams));
    let most = &long[1..];
    for n in 0..MAX_ITEMS_BYTES as usize / (MAX_ITEM_BYTES + 2) {
        world.keep(&format!("n{n}"), "id", most).unwrap();
    }
    assert_eq!(world.keep("one-more", "id", most), Err(Reason::TooManyItems));
    world.keep("n0", "id", most).unwrap();
    let mut world = World::new();
    for n in 0..MAX_NODES {
        world.keep(&n.to_string(), "id", "x").unwrap();
    }
    assert_eq!(world.keep("one-more", "id", "x"), Err(Reason::TooManyItems));
    let all = NodeSettings { access: Access::Open, max_items: MAX_ITEMS };
    world.by("alice", Action::SetNode { node: "0".into(), settings: all }).unwrap();
    for n in MAX_NODES..MAX_ITEMS {
        world.keep("0", &n.to_string(), "x").unwrap();
    }
    assert_eq!(world.keep("0", "one-more", "x"), Err(Reason::TooManyItems));
    // In steps, since it has many.
    assert_eq!(world.by("alice", drop_node("0", false)), Ok(Outcome::Continue(Vec::new())));
    while world.by("alice", drop_node("0", false)) != Ok(Outcome::Done) {}
    assert_eq!(world.count(b"k") as u32, MAX_NODES - 1);
}

#[test]
fn blocking_is_bounded_and_taken_back() {
    let mut world = World::new();
    let block = |user: &str, on| Action::Block { user: uid(user), on };
    assert_eq!(world.by("alice", block("alice", true)), Err(Reason::InvalidParams));
    for on in [false, true, true, false] {
        world.by("alice", block("bob", on)).unwrap();
        assert_eq!(world.reader().has_blocked(CONF, &uid("alice"), &uid("bob")).unwrap(), on);
    }
    for n in 0..=MAX_BLOCKED {
        world.add_user(&format!("u{n}"));
        let expected = if n < MAX_BLOCKED { Ok(Outcome::Done) } else { Err(Reason::TooManyBlocked) };
        assert_eq!(world.by("alice", block(&format!("u{n}"), true)), expected);
    }
    let (first, complete) = world.reader().blocked(CONF, &uid("alice"), None, 600).unwrap();
    let (rest, all) = world.reader().blocked(CONF, &uid("alice"), first.last(), 600).unwrap();
    assert_eq!((first.len(), complete, rest.len(), all), (600, false, 400, true));
}

#[test]
fn an_erasure_leaves_nothing_and_is_good_at_every_step() {
    let mut world = World::new();
    let all = NodeSettings { access: Access::Open, max_items: MAX_ITEMS };
    world.by("alice", Action::SetNode { node: "n".into(), settings: all }).unwrap();
    for n in 0..600 {
        world.keep("n", &n.to_string(), "x").unwrap();
    }
    world.by("alice", Action::Block { user: uid("bob"), on: true }).unwrap();
    world.by("bob", Action::Block { user: uid("alice"), on: true }).unwrap();
    let mut steps = 0;
    loop {
        let report = crate::backup::check::checked(&*world.state);
        assert!(report.is_good(), "{report}");
        steps += 1;
        match world.batch(vec![(Actor::system(), Action::Erase { uid: uid("alice") })]).pop().unwrap().unwrap() {
            Outcome::Continue(_) => {}
            _ => break,
        }
    }
    assert!(steps > 5, "{steps}");
    assert_eq!((world.count(b"kKo"), world.count(b"b"), world.count(b"B")), (0, 1, 1), "bob's block is his");
    assert_eq!(world.keep("n", "a", "x"), Err(Reason::SessionEnded));
    world.by("bob", Action::Block { user: uid("alice"), on: false }).unwrap();
    assert_eq!(world.count(b"b"), 0);
}

/// What alice may do, as small numbers.
fn action() -> impl Strategy<Value = Action> {
    let name = |prefix: &'static str| (0..4u8).prop_map(move |n| format!("{prefix}{n}"));
    let settings = (0..3u8, 1..4u32).prop_map(|(access, max_items)| NodeSettings {
        access: [Access::Open, Access::Presence, Access::Private][usize::from(access)],
        max_items,
    });
    prop_oneof![
        6 => (name("n"), name("i"), "[a-z]{0,9}").prop_map(|(node, id, payload)| keep(&node, &id, &payload)),
        2 => (name("n"), name("i")).prop_map(|(node, id)| drop_item(&node, &id)),
        1 => (name("n"), any::<bool>()).prop_map(|(node, keep)| drop_node(&node, keep)),
        1 => (name("n"), settings).prop_map(|(node, settings)| Action::SetNode { node: node.into(), settings }),
        1 => any::<bool>().prop_map(|on| Action::Block { user: uid("bob"), on }),
    ]
}

/// The same by hand: nodes with their bound and items, oldest first.
#[derive(Default)]
struct Model(BTreeMap<String, (usize, Vec<(String, String)>)>);

impl Model {
    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::KeepItem { node, id, payload, settings, .. } => {
                let (max, items) = self.0.entry(node.to_string()).or_insert((settings.max_items as usize, Vec::new()));
                items.retain(|(known, _)| **known != **id);
                items.push((id.to_string(), payload.to_string()));
                items.drain(..items.len().saturating_sub(*max));
            }
            Action::DropItem { node, id } => {
                if let Some((_, items)) = self.0.get_mut(&**node) {
                    items.retain(|(known, _)| **known != **id);
                }
            }
            Action::DropNode { node, keep: false } => drop(self.0.remove(&**node)),
            Action::DropNode { node, .. } => {
                if let Some((_, items)) = self.0.get_mut(&**node) {
                    items.clear();
                }
            }
            Action::SetNode { node, settings } => {
                let (max, items) = self.0.entry(node.to_string()).or_default();
                *max = settings.max_items as usize;
                items.drain(..items.len().saturating_sub(*max));
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn items_are_as_a_list_would_have_them_whatever_the_batches(actions in prop::collection::vec(action(), 1..60), cut in 1..60usize) {
        let mut world = World::new();
        let mut model = Model::default();
        for action in &actions {
            drop(world.by("alice", action.clone()));
            model.carry_out(action);
        }
        let (mut total, mut bytes) = (0, 0);
        for (node, (_, items)) in &model.0 {
            let found = world.reader().items(CONF, &uid("alice"), node, 99).unwrap();
            let found: Vec<_> = found.into_iter().rev().map(|(id, item)| (id.to_string(), item.payload.to_string())).collect();
            prop_assert_eq!(&found, items);
            total += items.len() as u32;
            bytes += items.iter().map(|(id, payload)| (id.len() + payload.len()) as u32).sum::<u32>();
        }
        let belongings: Belongings = world.state.get(&keys::belongings(CONF, &uid("alice"))).unwrap().map(|bytes| crate::view::decode(&bytes).unwrap()).unwrap_or_default();
        prop_assert_eq!((belongings.nodes as usize, belongings.items, belongings.bytes), (model.0.len(), total, bytes));
        prop_assert_eq!(belongings.blocked as usize, world.count(b"b"));
        let report = crate::backup::check::checked(&*world.state);
        prop_assert!(report.is_good(), "{}", report);
        // A replay has other batches.
        let mut again = World::new();
        for batch in actions.chunks(cut) {
            again.batch(batch.iter().map(|action| (actor("alice"), action.clone())).collect());
        }
        prop_assert_eq!(again.store.snapshot(), world.store.snapshot());
    }
}
