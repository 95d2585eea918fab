//! Invitations, as stories.

use super::super::invites;
use super::*;
use crate::model::{Invite, UserRole};

const DAY_MS: u64 = 24 * 3600 * 1000;

impl Story {
    async fn invites(&self, uses: u32) -> String {
        let code = invites::make();
        let invite = Invite { uses, used: 0, expires_ms: self.watch.now_ms() + DAY_MS, role: UserRole::Staff };
        let conf = self.hub.reader().conference("club").unwrap().unwrap().no;
        self.hub.call(conf, Actor::system(), Action::AddInvite { code: invites::hash(&code).unwrap(), invite }).await.unwrap();
        code
    }

    async fn comes(&self, uid: &str, invite: Option<&str>) -> Result<SignedIn, Reject> {
        self.accounts.register(&self.hub, &Wish { invite, ..Wish::new("club", uid, "pencil") }, HERE).await
    }
}

async fn begin() -> Story {
    let story = story(|_| ()).await;
    add_conference(&story.hub, "club", SignIn::Invite).await;
    story
}

#[tokio::test]
async fn nobody_comes_in_without_one() {
    let story = begin().await;
    let code = story.invites(1).await;
    assert_eq!(reason(story.comes("alice", None).await), Some(Reason::BadInvite));
    for wrong in ["", "x", &invites::make()] {
        assert_eq!(reason(story.comes("alice", Some(wrong)).await), Some(Reason::BadInvite), "{wrong}");
    }
    let alice = story.comes("alice", Some(&code.to_uppercase())).await.unwrap();
    assert_eq!(story.shows(&alice.token).unwrap().user.role, UserRole::Staff);
    assert_eq!(reason(story.comes("bob", Some(&code)).await), Some(Reason::BadInvite), "used");
    let closed = Wish { invite: Some(&code), ..Wish::new("closed", "bob", "pencil") };
    assert_eq!(reason(story.accounts.register(&story.hub, &closed, HERE).await), Some(Reason::SignInClosed));
    story.hub.close();
}

#[tokio::test]
async fn a_name_that_is_taken_uses_nothing_up() {
    let story = begin().await;
    let code = story.invites(2).await;
    assert!(story.comes("alice", Some(&code)).await.is_ok());
    assert_eq!(reason(story.comes("alice", Some(&code)).await), Some(Reason::Taken));
    assert!(story.comes("bob", Some(&code)).await.is_ok());
    story.hub.close();
}

#[tokio::test]
async fn all_at_once_no_more_come_in_than_are_invited() {
    let story = Arc::new(begin().await);
    let code = story.invites(3).await;
    let mut all = tokio::task::JoinSet::new();
    for n in 0..12 {
        let (story, code) = (Arc::clone(&story), code.clone());
        all.spawn(async move { reason(story.comes(&format!("guest{n}"), Some(&code)).await) });
    }
    let outcomes = all.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_none()).count(), 3, "{outcomes:?}");
    assert!(outcomes.iter().flatten().all(|refused| *refused == Reason::BadInvite), "{outcomes:?}");
    story.hub.close();
}

#[tokio::test]
async fn they_expire_and_are_taken_back() {
    let story = begin().await;
    let (late, gone, any) = (story.invites(1).await, story.invites(1).await, story.invites(0).await);
    let conf = story.hub.reader().conference("club").unwrap().unwrap().no;
    let remove = async || story.hub.call(conf, Actor::system(), Action::RemoveInvite { code: invites::hash(&gone).unwrap() }).await;
    assert!(remove().await.is_ok());
    assert_eq!(reason(remove().await), Some(Reason::BadInvite));
    assert_eq!(reason(story.comes("alice", Some(&gone)).await), Some(Reason::BadInvite));
    for uid in ["a", "b", "c"] {
        assert!(story.comes(uid, Some(&any)).await.is_ok());
    }
    story.watch.advance(DAY_MS);
    assert_eq!(reason(story.comes("alice", Some(&late)).await), Some(Reason::BadInvite));
    assert_eq!(story.hub.reader().invites(conf).unwrap().len(), 2);
    story.invites(1).await;
    assert_eq!(story.hub.reader().invites(conf).unwrap().len(), 1, "expired ones are forgotten");
    story.hub.close();
}
