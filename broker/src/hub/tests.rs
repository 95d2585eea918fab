//! What memory holds beside the store.

use tokio::runtime::Builder;

use super::*;
use crate::clock::SystemClock;
use crate::command::{Draft, Reuse};
use crate::ids::{ConferenceId, ConversationId, Uid};
use crate::model::{SignIn, UserRole, Via};

/// A session that lags is refilled from memory, and must be told what the store tells others: XMPP looks up by its seq who took a message back.
#[test]
fn what_was_taken_back_is_in_memory_as_it_is_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
    let options = HubOptions { limits, shards: 1, ..HubOptions::new(dir.path()) };
    let hub = Hub::open(options, Arc::new(SystemClock::start())).unwrap();
    let demo = ConferenceId::parse("demo").unwrap();
    housekeeping::call(&hub, ConfNo(0), Action::AddConference { id: demo, title: "".into(), sign_in: SignIn::Open, epoch: 1 }).unwrap();
    let [alice, bob] = ["alice", "bob"].map(|uid| Uid::parse(uid).unwrap());
    for uid in [alice.clone(), bob.clone()] {
        housekeeping::call(&hub, ConfNo(1), Action::AddUser { uid, name: None, role: UserRole::Attendee, credentials: None }).unwrap();
    }
    let runtime = Builder::new_current_thread().build().unwrap();
    let by_alice = |action| {
        let actor = Actor { uid: alice.clone(), via: Via::Ws, session: 0 };
        match runtime.block_on(hub.call(ConfNo(1), actor, action)).unwrap() {
            Outcome::Added { seq, pos, .. } => (seq, pos),
            other => panic!("{other:?}"),
        }
    };
    by_alice(Action::Open { with: bob.clone() });
    let conversation = ConversationId::direct(&alice, &bob).unwrap();
    let (target, said) = by_alice(Action::Send(Draft {
        conversation: conversation.clone(),
        client_id: "m1".into(),
        reuse: Reuse::Conflict,
        text: "a secret".into(),
        reply_to: None,
        mentions: Vec::new(),
        attachments: Vec::new(),
    }));
    let (_, edited) = by_alice(Action::Edit { conversation: conversation.clone(), target, text: "the secret".into() });
    by_alice(Action::Delete { conversation: conversation.clone(), target });
    let found = hub.reader().conversation(ConfNo(1), &conversation).unwrap().unwrap();
    for (seq, pos) in [(target, said), (target + 1, edited)] {
        let stored = hub.reader().entry_of(ConfNo(1), found.record.no, seq).unwrap().unwrap();
        assert_eq!(hub.recent.get(ConfNo(1), pos).unwrap().event.entry, stored);
    }
    hub.close();
}
