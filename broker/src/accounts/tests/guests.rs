//! Guests of an open conference.

use super::*;

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

#[tokio::test]
async fn a_guest_is_let_back_in_by_their_token_alone() {
    let story = story(|_| {}).await;
    let add = |id: &'static str, name: Option<&'static str>| {
        let (hub, accounts) = (&story.hub, &story.accounts);
        async move { accounts.add_guest(hub, "demo", &uid(id), name, HERE).await.map_err(|reject| reject.reason) }
    };
    let guest = add("ada", Some("Ada L.")).await.unwrap();
    assert_eq!((guest.uid.as_str(), &*guest.name, guest.conference.as_str()), ("ada", "Ada L.", "demo"));
    let identity = story.accounts.by_token(story.hub.reader(), &guest.token).unwrap();
    assert_eq!(identity.uid, guest.uid);
    // Nobody else comes in by their uid or name, and no password is right for them.
    assert_eq!(add("ada", None).await.unwrap_err(), Reason::Taken);
    assert_eq!(add("ada2", Some("Ada L.")).await.unwrap_err(), Reason::Taken);
    let login = story.accounts.login(&story.hub, "demo", "ada", "", HERE).await;
    assert_eq!(login.unwrap_err().reason, Reason::BadCredentials);
    // Nor by the name of somebody with an account.
    story.registers("bob", "correct horse").await.unwrap();
    assert_eq!(add("bob", None).await.unwrap_err(), Reason::Taken);
    assert_eq!(add("robert", Some("bob")).await.unwrap_err(), Reason::Taken);
    assert_eq!(add("admin", None).await.unwrap_err(), Reason::Reserved);
    assert_eq!(add("x", Some("Staff")).await.unwrap_err(), Reason::Reserved);
    story.hub.close();
}

#[tokio::test]
async fn only_where_everybody_may_come_and_not_without_end() {
    let story = story(|limits| limits.users_per_conference = 1).await;
    let add = |conference: &'static str, id: &'static str| {
        let (hub, accounts) = (&story.hub, &story.accounts);
        async move { accounts.add_guest(hub, conference, &uid(id), None, HERE).await.map(drop).map_err(|reject| reject.reason) }
    };
    assert_eq!(add("closed", "ada").await, Err(Reason::SignInClosed));
    assert_eq!(add("nowhere", "ada").await, Err(Reason::UnknownConference));
    assert_eq!(add("demo", "ada").await, Ok(()));
    assert_eq!(add("demo", "bob").await, Err(Reason::Quota));
    story.hub.close();
}
