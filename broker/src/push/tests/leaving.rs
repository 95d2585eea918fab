//! Who was there when it was decided, and goes without having read it.

use super::*;

const DIRECT: &str = "dm~alice~bob";
const ACTIVE_MS: u64 = 60_000;

/// Alice says something while Bob is active; when he last was can be changed. Nobody is pushed anything.
fn said_to_who_is_there(story: &Story) -> (u64, Arc<AtomicU64>) {
    let active_ms = story.is_there("bob", START_MS);
    let (seq, pos) = story.names("alice", DIRECT, "see you at the bar", &[]);
    story.passes(GRACE_MS);
    story.is_over(pos);
    story.has_rows(1);
    assert_eq!(story.fake.count(), 0);
    (seq, active_ms)
}

#[test]
fn who_goes_without_reading_is_told_a_while_later() {
    let story = Story::of(&["alice", "bob"]);
    said_to_who_is_there(&story);
    story.goes("bob");
    story.passes(ACTIVE_MS - 1);
    let pos = story.names("alice", "lobby", "nobody is named", &[]).1;
    story.passes(1);
    let pushes = story.fake.wait_for(1);
    assert_eq!((&*pushes[0].1.text, pushes[0].1.unread), ("see you at the bar", 1));
    story.has_rows(0);
    story.passes(GRACE_MS);
    story.is_over(pos);
    assert_eq!(story.fake.count(), 1);
}

#[test]
fn who_only_leaves_the_desktop_on_is_told_and_who_stays_is_not() {
    for stays in [false, true] {
        let story = Story::of(&["alice", "bob"]);
        let (_, active_ms) = said_to_who_is_there(&story);
        if stays {
            active_ms.store(START_MS + GRACE_MS, Relaxed);
        }
        story.passes(ACTIVE_MS);
        story.has_rows(0);
        assert_eq!(story.fake.count(), usize::from(!stays));
        // Once is enough.
        story.passes(10 * ACTIVE_MS);
        story.is_over(story.says("alice", "lobby", "and on it goes") - 1);
        assert_eq!(story.fake.count(), usize::from(!stays));
    }
}

#[test]
fn who_reads_before_it_is_looked_at_again_is_not_told() {
    let story = Story::of(&["alice", "bob"]);
    let (seq, _) = said_to_who_is_there(&story);
    story.by("bob", Action::Read { conversation: id(DIRECT), seq });
    story.goes("bob");
    story.passes(ACTIVE_MS);
    story.has_rows(0);
    assert_eq!(story.fake.count(), 0);
}

#[test]
fn it_is_looked_at_again_after_a_restart() {
    let mut story = Story::of(&["alice", "bob"]);
    said_to_who_is_there(&story);
    story.restart();
    story.passes(ACTIVE_MS);
    assert_eq!(&*story.fake.wait_for(1)[0].1.text, "see you at the bar");
    story.has_rows(0);
}

#[test]
fn the_next_message_after_they_went_comes_at_once_and_for_both() {
    let story = Story::of(&["alice", "bob"]);
    said_to_who_is_there(&story);
    story.goes("bob");
    story.says("alice", DIRECT, "where are you?");
    story.passes(GRACE_MS);
    let pushes = story.fake.wait_for(1);
    assert_eq!((&*pushes[0].1.text, pushes[0].1.unread), ("where are you?", 2));
    story.has_rows(0);
    story.passes(2 * ACTIVE_MS);
    story.is_over(story.says("alice", "lobby", "and on it goes") - 1);
    assert_eq!(story.fake.count(), 1);
}
