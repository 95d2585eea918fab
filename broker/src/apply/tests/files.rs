//! Files, command by command: who may have how much, who is attached to what, and when they go.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::command::{Draft, NewFile, Reuse};
use crate::files::{Capability, path};
use crate::limits::MAX_FILES;
use crate::model::{FileId, MediaType, Uploads};

fn capability(which: u8) -> Capability {
    Capability::new(CONF, [which; 16])
}

fn id(which: u8) -> FileId {
    capability(which).id()
}

fn url(which: u8) -> Arc<str> {
    path(&capability(which), "a.png").into()
}

fn bring(which: u8, bytes: u64) -> Action {
    let file =
        NewFile { name: "a.png".into(), media: MediaType::Png, bytes, crc: 1, size: Some((3, 2)), quota_bytes: 100, conference_bytes: 150 };
    Action::KeepFile { id: id(which), file }
}

fn lobby() -> ConversationId {
    ConversationId::parse("lobby").unwrap()
}

fn send(attachments: &[Arc<str>]) -> Action {
    Action::Send(Draft {
        conversation: lobby(),
        client_id: "".into(),
        reuse: Reuse::NewMessage,
        text: "look".into(),
        reply_to: None,
        mentions: vec![],
        attachments: attachments.to_vec(),
    })
}

fn delete(target: u64) -> Action {
    Action::Delete { conversation: lobby(), target }
}

fn world() -> World {
    let mut world = World::new();
    world.system(Action::Create { kind: Kind::Channel, id: lobby(), title: "".into(), members: vec![] });
    world
}

impl World {
    fn seq(&mut self, who: &str, action: Action) -> u64 {
        match self.by(who, action) {
            Ok(Outcome::Added { seq, .. }) => seq,
            other => panic!("{other:?}"),
        }
    }

    fn uses(&self, which: u8) -> Option<u32> {
        self.reader().file(CONF, id(which)).unwrap().map(|file| file.uses)
    }

    fn uploads(&self, who: &str) -> Uploads {
        self.reader().uploads(CONF, &uid(who)).unwrap()
    }
}

#[test]
fn a_message_holds_its_files_until_it_is_deleted() {
    let mut world = world();
    world.by("alice", bring(1, 60)).unwrap();
    assert_eq!(world.by("alice", bring(1, 1)), Err(Reason::Taken));
    assert_eq!(world.uploads("alice"), Uploads { files: 1, bytes: 60 });
    let said = "https://chat.example".to_owned() + &url(1) + "#type=text/html&bytes=0";
    let first = world.seq("bob", send(&[url(1), said.as_str().into()]));
    let found = world.reader().conversation(CONF, &lobby()).unwrap().unwrap();
    let Body::Message(message) = world.reader().entry(&found, first).unwrap().unwrap().body else { panic!("no message") };
    // The server alone says what it is.
    assert_eq!(message.attachments, [Arc::from(format!("{}#type=image/png&bytes=60&width=3&height=2", url(1)))]);
    let second = world.seq("alice", send(&[url(1)]));
    assert_eq!(world.uses(1), Some(2));
    world.system(Action::CollectFiles { before_ms: u64::MAX });
    world.seq("bob", delete(first));
    assert_eq!(world.by("bob", delete(first)).map(drop), Ok(()));
    assert_eq!(world.uses(1), Some(1));
    world.seq("alice", delete(second));
    world.system(Action::CollectFiles { before_ms: 999 });
    assert_eq!(world.uses(1), Some(0));
    world.system(Action::CollectFiles { before_ms: 1000 });
    assert_eq!((world.uses(1), world.uploads("alice"), world.count(b"fFg")), (None, Uploads::default(), 0));
    assert_eq!(world.by("bob", send(&[url(1)])), Err(Reason::UnknownFile));
}

#[test]
fn only_files_of_the_conference_are_attached_and_only_so_many_are_kept() {
    let mut world = world();
    world.by("alice", bring(1, 60)).unwrap();
    assert_eq!(world.by("alice", bring(2, 41)), Err(Reason::FilesFull));
    world.by("alice", bring(2, 40)).unwrap();
    world.by("bob", bring(3, 41)).unwrap();
    assert_eq!(world.by("bob", bring(4, 10)), Err(Reason::FilesFull), "the conference has as much as it may");
    assert_eq!(world.reader().uploads_of_all(CONF).unwrap(), Uploads { files: 3, bytes: 141 });
    world.by("bob", bring(4, 9)).unwrap();
    let elsewhere: Arc<str> = path(&Capability::new(ConfNo(2), [1; 16]), "a.png").into();
    for bad in ["https://evil.example/a.png", "", "/files/x/y", "javascript:alert(1)", &elsewhere, &url(9)] {
        assert_eq!(world.by("bob", send(&[url(1), bad.into()])), Err(Reason::UnknownFile), "{bad}");
    }
    assert_eq!(world.uses(1), Some(0), "a refused message leaves no trace");
    let mut many = World::new();
    for which in 0..MAX_FILES {
        let file =
            NewFile { name: "a".into(), media: MediaType::Binary, bytes: 1, crc: 0, size: None, quota_bytes: 0, conference_bytes: 0 };
        let id = Capability::new(CONF, u128::from(which).to_be_bytes()).id();
        let answer = many.by("alice", Action::KeepFile { id, file });
        assert_eq!(answer, Ok(Outcome::Done));
    }
    assert_eq!(many.by("alice", bring(1, 1)), Err(Reason::FilesFull));
    while let Ok(Outcome::Continue(_)) = many.batch(vec![(Actor::system(), Action::CollectFiles { before_ms: 1000 })]).pop().unwrap() {}
    assert_eq!((many.uploads("alice"), many.count(b"fFg")), (Uploads::default(), 0));
}

#[test]
fn an_erased_person_leaves_no_files() {
    let mut world = world();
    world.by("alice", bring(1, 10)).unwrap();
    world.by("alice", bring(2, 10)).unwrap();
    world.by("bob", bring(3, 10)).unwrap();
    world.seq("bob", send(&[url(1)]));
    world.seq("alice", send(&[url(2), url(3)]));
    while let Outcome::Continue(_) = world.batch(vec![(Actor::system(), Action::Erase { uid: uid("alice") })]).pop().unwrap().unwrap() {}
    assert_eq!([1, 2, 3].map(|which| world.uses(which)), [None, None, Some(0)], "what bob brought is bob's");
    assert_eq!((world.count(b"fFg"), world.count(b"G")), (3, 2));
    assert_eq!(world.reader().uploads_of_all(CONF).unwrap(), world.uploads("bob"));
    assert!(crate::backup::check::checked(&*world.state).is_good());
}

/// What a person does with files.
fn deed() -> impl Strategy<Value = Action> {
    let which = || 0..4u8;
    prop_oneof![
        3 => (which(), 0..60u64).prop_map(|(which, bytes)| bring(which, bytes)),
        4 => prop::collection::vec(which(), 0..3).prop_map(|all| send(&all.into_iter().map(url).collect::<Vec<_>>())),
        3 => (1..12u64).prop_map(delete),
        1 => (999..1001u64).prop_map(|before_ms| Action::CollectFiles { before_ms }),
    ]
}

/// What there should be: of each file its bytes, and the messages with it.
#[derive(Default)]
struct Shelf {
    files: BTreeMap<u8, (u64, BTreeSet<u64>)>,
    seq: u64,
}

proptest! {
    #[test]
    fn uses_and_quotas_are_as_a_list_would_have_them_whatever_the_batches(deeds in prop::collection::vec(deed(), 1..60), cut in 1..60usize) {
        let mut world = world();
        world.seq("alice", Action::Join { conversation: lobby() });
        let mut shelf = Shelf { seq: 1, ..Shelf::default() };
        let by = |action: &Action| if matches!(action, Action::CollectFiles { .. }) { Actor::system() } else { actor("alice") };
        for deed in &deeds {
            let answer = world.batch(vec![(by(deed), deed.clone())]).pop().unwrap();
            match (deed, answer) {
                (Action::KeepFile { id: brought, file }, Ok(_)) => {
                    let which = (0..4).find(|which| id(*which) == *brought).unwrap();
                    prop_assert!(shelf.files.insert(which, (file.bytes, BTreeSet::new())).is_none());
                }
                (Action::KeepFile { file, .. }, Err(Reason::FilesFull)) => {
                    prop_assert!(shelf.files.values().map(|(bytes, _)| bytes).sum::<u64>() + file.bytes > 100);
                }
                (Action::Send(draft), Ok(_)) => {
                    shelf.seq += 1;
                    for (which, (_, messages)) in &mut shelf.files {
                        if draft.attachments.contains(&url(*which)) {
                            messages.insert(shelf.seq);
                        }
                    }
                }
                (Action::Delete { target, .. }, Ok(Outcome::Added { fresh: true, .. })) => {
                    shelf.seq += 1;
                    for (_, messages) in shelf.files.values_mut() {
                        messages.remove(target);
                    }
                }
                (Action::CollectFiles { before_ms: 1000 }, Ok(_)) => shelf.files.retain(|_, (_, messages)| !messages.is_empty()),
                _ => {}
            }
        }
        for which in 0..4 {
            prop_assert_eq!(world.uses(which), shelf.files.get(&which).map(|(_, messages)| messages.len() as u32));
        }
        let bytes = shelf.files.values().map(|(bytes, _)| bytes).sum();
        prop_assert_eq!(world.reader().uploads_of_all(CONF).unwrap(), world.uploads("alice"));
        prop_assert_eq!(world.uploads("alice"), Uploads { files: shelf.files.len() as u32, bytes });
        prop_assert_eq!(world.count(b"g"), shelf.files.values().filter(|(_, messages)| messages.is_empty()).count());
        let report = crate::backup::check::checked(&*world.state);
        prop_assert!(report.is_good(), "{}", report);
        // A replay has other batches.
        let mut again = self::world();
        again.seq("alice", Action::Join { conversation: lobby() });
        for batch in deeds.chunks(cut) {
            again.batch(batch.iter().map(|deed| (by(deed), deed.clone())).collect());
        }
        prop_assert_eq!(again.store.snapshot(), world.store.snapshot());
    }
}
