//! Stories of removal that seeds meet too seldom: a reader who lags is put out before the walk says so.

use std::sync::Arc;

use hallway_broker::ids::{ConfNo, ConvNo, ConversationId, Uid};
use hallway_broker::model::{Body, Change, Entry, Event, Kind, Message, Place, Via};
use hallway_broker::outbox::{Bounds, Budget};
use hallway_broker::recent::{Published, WIRES};
use hallway_broker::registry::{Registry, Scope, Wire, Wires};
use hallway_broker::topic::{How, Source, Topic};

use crate::link::{Frame, SimLink, SimWire};

const CREW: Topic = Topic::Chat(ConfNo(1), ConvNo(1));

fn ann() -> Uid {
    Uid::parse("ann").unwrap()
}

fn event(pos: u64, body: Body) -> Arc<Published> {
    event_in(Kind::Group, pos, body)
}

/// The crew's conversation, of this kind.
fn event_in(kind: Kind, pos: u64, body: Body) -> Arc<Published> {
    let place = Place { conf: ConfNo(1), conv: ConvNo(1), conversation: ConversationId::parse("crew").unwrap(), kind, seq: pos };
    let entry = Entry { pos, n: 0, ts_ms: 0, from: Uid::parse("ben").unwrap(), name: "Ben".into(), via: Via::Ws, body };
    Published::new(Event { place, entry, origin: 0 })
}

fn said(pos: u64) -> Arc<Published> {
    event(pos, Body::Message(Message { text: format!("said at {pos}").into(), ..Message::default() }))
}

fn put_out(pos: u64) -> Arc<Published> {
    event(pos, Body::Member { user: ann(), change: Change::Removed })
}

/// A registry with ann's session.
fn registry() -> (Registry<SimLink>, SimLink, u32) {
    let mut wires: Wires = [const { None }; WIRES];
    wires[0] = Some(Arc::new(SimWire { padding: 0 }) as Arc<dyn Wire>);
    let bounds = Bounds { events: 100, bytes: 10_000, budget: Budget::new(100_000) };
    let (mut registry, link) = (Registry::new(Arc::new(wires), bounds, 10), SimLink::default());
    link.0.room.set(10_000);
    let slot = registry.add(7, ConfNo(1), ann(), Via::Ws, link.clone());
    (registry, link, slot)
}

/// A registry in which ann follows the crew; her catch-up covered `covered` of what was there up to `until`.
fn following(covered: u64, until: u64) -> (Registry<SimLink>, SimLink, u32) {
    let (mut registry, link, slot) = registry();
    let source = Source { id: ConversationId::parse("crew").unwrap(), kind: Kind::Group };
    assert!(registry.register(slot, &CREW, Some(source), How::plain(true)));
    assert!(registry.settle(slot, &CREW, covered, until));
    (registry, link, slot)
}

fn seen(link: &SimLink) -> Vec<u64> {
    let frames = Frame::decode_all(&mut link.0.arrived.borrow_mut());
    frames.iter().filter_map(|frame| if let Frame::Event(seen) = frame { Some(seen.pos) } else { None }).collect()
}

fn walk(registry: &mut Registry<SimLink>, batch: &[Arc<Published>]) {
    let mut walk = registry.begin(batch);
    while !registry.step(&mut walk, 1) {}
}

#[test]
fn a_refill_ends_where_the_reader_was_put_out() {
    let (mut registry, link, slot) = following(1, 2);
    let refill = registry.wants_refill(slot).unwrap();
    assert_eq!(refill.after, 1);
    registry.refill(slot, 7, &[said(2), put_out(3), said(4), said(5)], 5);
    assert_eq!(seen(&link), [2, 3]);
    walk(&mut registry, &[said(2), put_out(3), said(4), said(5), said(6)]);
    assert!(seen(&link).is_empty());
}

#[test]
fn who_has_come_back_is_not_put_out_by_the_past() {
    // Put out at 3 and in again at 5, before ann subscribed; the walk is only there now.
    let (mut registry, link, slot) = following(2, 5);
    let walked = [said(2), put_out(3), said(4), said(5)];
    walk(&mut registry, &walked);
    assert!(registry.wants_refill(slot).is_some());
    registry.refill(slot, 7, &walked, 5);
    assert_eq!(seen(&link), [3, 4, 5]);
    walk(&mut registry, &[said(6), put_out(7), said(8)]);
    assert_eq!(seen(&link), [6, 7]);
}

#[test]
fn who_is_put_out_during_the_catch_up_is_told_when_it_is_settled() {
    let (mut registry, _, slot) = following(2, 2);
    assert!(registry.unsubscribe(slot, &CREW));
    let source = Source { id: ConversationId::parse("crew").unwrap(), kind: Kind::Group };
    assert!(registry.register(slot, &CREW, Some(source), How::plain(true)));
    walk(&mut registry, &[put_out(3), said(4)]);
    assert!(!registry.settle(slot, &CREW, 2, 2));
}

#[test]
fn who_lagged_when_put_out_still_gets_what_came_before() {
    let (mut registry, link, slot) = following(1, 2);
    // The walk is there before the refill: events 2 and 3 pass ann by.
    walk(&mut registry, &[said(2), put_out(3), said(4)]);
    assert!(seen(&link).is_empty());
    assert!(registry.wants_refill(slot).is_some());
    registry.refill(slot, 7, &[said(2), put_out(3), said(4)], 4);
    assert_eq!(seen(&link), [2, 3]);
    walk(&mut registry, &[said(5)]);
    assert!(seen(&link).is_empty() && !registry.lags(slot));
}

#[test]
fn who_is_put_out_twice_while_lagging_gets_nothing_from_between() {
    let (mut registry, link, slot) = following(1, 2);
    walk(&mut registry, &[said(2), put_out(3), said(4), put_out(5)]);
    assert!(registry.wants_refill(slot).is_some());
    // The store was read while she was asked in again: it had nothing for her.
    registry.refill(slot, 7, &[], 3);
    registry.wants_refill(slot);
    registry.refill(slot, 7, &[said(4), put_out(5)], 5);
    assert!(seen(&link).is_empty());
}

#[test]
fn who_lagged_when_put_out_and_has_come_back_stays() {
    let (mut registry, link, slot) = following(1, 2);
    walk(&mut registry, &[said(2), put_out(3), said(4)]);
    // In again at 5, and subscribed anew before the refill.
    let source = Source { id: ConversationId::parse("crew").unwrap(), kind: Kind::Group };
    assert!(registry.register(slot, &CREW, Some(source), How::plain(true)));
    assert!(registry.settle(slot, &CREW, 5, 5));
    while let Some(refill) = registry.wants_refill(slot) {
        assert!(refill.after < 5);
        registry.refill(slot, 7, &[], 5);
    }
    walk(&mut registry, &[said(6)]);
    assert_eq!(seen(&link), [6]);
}

#[test]
fn following_presence_makes_nobody_lag() {
    let (mut registry, _, slot) = following(5, 5);
    assert!(registry.register(slot, &Topic::Presence(ConfNo(1), ann()), None, How::plain(true)));
    assert!(!registry.lags(slot));
    walk(&mut registry, &[said(6)]);
    assert!(!registry.lags(slot));
}

#[test]
fn an_ended_session_is_given_nothing() {
    let (mut registry, link, slot) = following(5, 5);
    registry.silence(slot, 7);
    walk(&mut registry, &[said(6)]);
    assert!(seen(&link).is_empty());
}

/// A registry in which ann follows everything, and by name the crew, which is open to all.
fn following_all() -> (Registry<SimLink>, SimLink, u32) {
    let (mut registry, link, slot) = registry();
    assert!(registry.follow_all(slot, 0, How::plain(true), Scope::All));
    registry.follow_known(slot, Vec::new());
    registry.settle_all(slot, 0);
    let source = Source { id: ConversationId::parse("crew").unwrap(), kind: Kind::Channel };
    assert!(registry.name(slot, &CREW, &source, How::plain(true), 0));
    (registry, link, slot)
}

fn said_openly(pos: u64) -> Arc<Published> {
    event_in(Kind::Channel, pos, Body::Message(Message::default()))
}

fn changed(pos: u64, change: Change) -> Arc<Published> {
    event_in(Kind::Channel, pos, Body::Member { user: ann(), change })
}

#[test]
fn who_is_banned_and_let_in_at_once_goes_on() {
    let story = [said_openly(1), changed(2, Change::Banned), changed(3, Change::Invited), said_openly(4)];
    for at_once in [1, 2, 3, 4] {
        let (mut registry, link, _) = following_all();
        story.chunks(at_once).for_each(|batch| walk(&mut registry, batch));
        walk(&mut registry, &[said_openly(5)]);
        assert_eq!(seen(&link), [1, 2, 3, 4, 5], "{at_once} at once");
    }
}

#[test]
fn who_is_banned_and_let_in_while_lagging_goes_on() {
    for (walked, refilled) in [(13, 13), (10, 13)] {
        let (mut registry, link, slot) = following_all();
        link.0.room.set(0);
        let mut events: Vec<_> = (1..=10).map(said_openly).collect();
        events.extend([changed(11, Change::Banned), changed(12, Change::Invited), said_openly(13)]);
        for event in &events[..walked] {
            walk(&mut registry, std::slice::from_ref(event));
        }
        link.0.room.set(10_000);
        registry.flush(slot);
        while let Some(wanted) = registry.wants_refill(slot) {
            registry.refill(slot, 7, &events[wanted.after as usize..refilled], refilled as u64);
        }
        for event in &events[walked..] {
            walk(&mut registry, std::slice::from_ref(event));
        }
        walk(&mut registry, &[said_openly(14)]);
        assert_eq!(seen(&link), (1..=14).collect::<Vec<_>>(), "walked to {walked}");
    }
}

#[test]
fn a_session_goes_on_from_what_a_refill_gave_that_was_ahead_of_the_walk() {
    let (mut registry, link, slot) = following(1, 2);
    assert!(registry.wants_refill(slot).is_some());
    registry.refill(slot, 7, &[said(2), said(3), said(4)], 4);
    assert_eq!((seen(&link), registry.lags(slot), registry.cursor(slot)), (vec![2, 3, 4], false, 4));
}

#[test]
fn conversations_named_one_after_the_other_leave_nothing_behind() {
    let (mut registry, link, slot) = following_all();
    walk(&mut registry, &[said_openly(1)]);
    assert!(registry.unsubscribe(slot, &CREW) && !registry.reads(slot, &CREW));
    walk(&mut registry, &[said_openly(2)]);
    assert_eq!(seen(&link), [1, 2]);
    for number in 2..100 {
        let topic = Topic::Chat(ConfNo(1), ConvNo(number));
        let source = Source { id: ConversationId::parse("crew").unwrap(), kind: Kind::Channel };
        assert!(registry.name(slot, &topic, &source, How::plain(true), 2) && registry.unsubscribe(slot, &topic), "{number}");
    }
}
