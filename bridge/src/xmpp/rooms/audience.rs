//! How people who follow a conversation over other protocols get into its room: the shards tell.

use hallway_broker::model::Via;
use hallway_broker::registry::Follower;
use hallway_broker::shard::Audience;
use hallway_broker::topic::Topic;

use super::{RoomKey, Rooms};

fn room_of(topic: &Topic) -> Option<RoomKey> {
    match topic {
        Topic::Chat(conf, conv) => Some((*conf, *conv)),
        _ => None,
    }
}

impl Audience for Rooms {
    fn wants(&self, topic: &Topic) -> bool {
        room_of(topic).is_some_and(|key| self.is_open(key))
    }

    /// Of other protocols than these, who speaks is there, and who only listens is not.
    fn came(&self, topic: &Topic, follower: &Follower) {
        if let Some(key) = room_of(topic).filter(|_| matches!(follower.via, Via::Ws | Via::Socketio)) {
            self.follow(key, &follower.uid, follower.session);
        }
    }

    fn went(&self, topic: &Topic, follower: &Follower) {
        if let Some(key) = room_of(topic) {
            self.unfollow(key, &follower.uid, follower.session);
        }
    }
}
