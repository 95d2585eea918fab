//! How the shards of a hub tell a room who follows its conversation.

use std::time::Duration;

use hallway_broker::command::{Action, Actor};
use hallway_broker::ids::ConversationId;
use hallway_broker::recent::WIRES;
use hallway_broker::session::CatchUp;
use hallway_broker::topic::How;
use tokio::sync::oneshot;

use super::*;
use crate::xmpp::testing::{self, Story};

/// Somebody who follows the lobby on the next shard, until told to go.
async fn follow(story: &Story, who: &'static str, via: Via) -> oneshot::Sender<()> {
    let ((follows, followed), (go, gone)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
    story.hub.run_on_next_shard(Box::new(move |shard| {
        let session = testing::session(shard, who, via);
        tokio::task::spawn_local(async move {
            session.subscribe(&ConversationId::parse("lobby").unwrap(), CatchUp::Live, How::default()).await.map(drop).unwrap();
            follows.send(()).unwrap();
            gone.await.ok();
        });
    }));
    followed.await.unwrap();
    go
}

async fn until(mut is_so: impl FnMut() -> bool) {
    tokio::time::timeout(Duration::from_secs(20), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_room_knows_the_followers_of_all_shards_while_it_is_open() {
    let story = Story::begin().await;
    for who in ["bob", "carol", "dave"] {
        story.register(who).await;
    }
    let lobby = ConversationId::parse("lobby").unwrap();
    let create = Action::Create { kind: Kind::Channel, id: lobby.clone(), title: "Lobby".into(), members: vec![] };
    story.hub.call(story.conf(), Actor::system(), create).await.unwrap();
    story.hub.start_shards(&Arc::new([const { None }; WIRES])).unwrap();
    let rooms = Arc::new(Rooms::new(10));
    assert!(story.hub.set_audience(Arc::clone(&rooms) as _));
    let key = (story.conf(), story.hub.reader().conversation(story.conf(), &lobby).unwrap().unwrap().record.no);
    let topic = Topic::Chat(key.0, key.1);

    // Two who are there before anybody is in the room, on two shards; one of them in a way that does not count.
    let bob = follow(&story, "bob", Via::Ws).await;
    let _dave = follow(&story, "dave", Via::Mqtt).await;
    rooms.enter(key, entering(1, "alice"));
    story.hub.watch(&topic);
    until(|| rooms.count(key) == 2).await;
    // Two who come while it is watched.
    let carol = follow(&story, "carol", Via::Socketio).await;
    let bob_again = follow(&story, "bob", Via::Ws).await;
    until(|| rooms.count(key) == 3).await;
    assert_eq!(rooms.tick(0)[0].strangers, [uid("bob"), uid("carol")]);
    carol.send(()).unwrap();
    until(|| rooms.count(key) == 2).await;
    bob.send(()).unwrap();
    bob_again.send(()).unwrap();
    until(|| rooms.count(key) == 1).await;

    // The room is closed and opened again: whoever follows by then is in it.
    rooms.leave(key, 1, Departure::Left);
    story.hub.watch(&topic);
    let _bob = follow(&story, "bob", Via::Ws).await;
    rooms.enter(key, entering(2, "alice"));
    story.hub.watch(&topic);
    until(|| rooms.count(key) == 2).await;
}
