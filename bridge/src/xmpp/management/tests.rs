//! Counts in both directions.

use proptest::prelude::*;

use super::*;

#[test]
fn only_what_is_done_in_order_is_handled() {
    let mut received = Received::default();
    let numbers: Vec<u32> = (0..4).map(|_| received.begin()).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    received.done(1);
    received.done(3);
    assert_eq!((received.handled(), received.under_way()), (0, 4));
    received.done(0);
    assert_eq!((received.handled(), received.under_way()), (2, 2));
    received.done(2);
    assert_eq!((received.handled(), received.under_way(), received.begin()), (4, 0, 4));
    // What is not under way changes nothing.
    received.done(4);
    received.done(4);
    received.done(99);
    assert_eq!((received.handled(), received.under_way()), (5, 0));
}

#[test]
fn what_was_not_sent_cannot_be_acknowledged() {
    let mut sent = Unacknowledged::default();
    sent.push(Sent::Event(7));
    sent.push(Sent::Own(b"<iq/>"[..].into()));
    assert_eq!(sent.acknowledge(3, 9), Err(TooHigh { handled: 3, sent: 2 }));
    assert_eq!((sent.len(), sent.own_bytes(), sent.cursor(9)), (2, 5, 6));
    sent.acknowledge(1, 9).unwrap();
    assert_eq!((sent.len(), sent.cursor(9)), (1, 9));
    // Fewer than before is nothing new.
    sent.acknowledge(0, 9).unwrap();
    assert_eq!((sent.len(), sent.cursor(9)), (1, 9));
    sent.acknowledge(2, 9).unwrap();
    assert!(sent.is_empty() && sent.own_bytes() == 0);
}

#[test]
fn what_is_acknowledged_out_of_order_is_not_sent_again() {
    let mut sent = Unacknowledged::default();
    for pos in [9, 7, 12] {
        sent.push(Sent::Event(pos));
    }
    // 9 was had, 7 was not: from 6 on it is all read again, but 9.
    sent.acknowledge(1, 12).unwrap();
    assert_eq!(sent.cursor(12), 6);
    assert_eq!(sent.take_up(), (Vec::new(), vec![9]));
    assert!(sent.is_empty());
}

proptest! {
    /// Wherever the counts begin, over 2³² too: what is sent again is what was not acknowledged, in order.
    #[test]
    fn what_is_sent_again_is_what_was_not_acknowledged(
        start: u32,
        steps in prop::collection::vec((any::<bool>(), 0..20u32), 1..100),
    ) {
        let mut sent = Unacknowledged { acknowledged: start, ..Unacknowledged::default() };
        let (mut count, mut acknowledged) = (0u32, 0u32);
        for (sends, number) in steps {
            if sends {
                for _ in 0..number {
                    count += 1;
                    sent.push(if count.is_multiple_of(3) { Sent::Own(vec![0; count as usize].into()) } else { Sent::Event(count.into()) });
                }
            } else {
                let handled = acknowledged + number;
                let took = sent.acknowledge(start.wrapping_add(handled), u64::MAX).is_ok();
                prop_assert_eq!(took, handled <= count);
                acknowledged = if took { handled } else { acknowledged };
            }
            let again: Vec<u64> = sent.stanzas.iter().map(|one| match one {
                Sent::Event(pos) => *pos,
                Sent::Own(bytes) => bytes.len() as u64,
            }).collect();
            prop_assert_eq!(again, (u64::from(acknowledged) + 1..=count.into()).collect::<Vec<_>>());
            let own: usize = (acknowledged + 1..=count).filter(|number| number.is_multiple_of(3)).map(|number| number as usize).sum();
            prop_assert_eq!(sent.own_bytes(), own);
        }
    }

    #[test]
    fn handled_is_the_longest_prefix_that_is_done(start: u32, done in prop::collection::vec(0..30usize, 0..60)) {
        let mut received = Received { handled: start, ..Received::default() };
        let numbers: Vec<u32> = (0..30).map(|_| received.begin()).collect();
        let mut is_done = [false; 30];
        for at in done {
            is_done[at] = true;
            received.done(numbers[at]);
            let prefix = is_done.iter().take_while(|done| **done).count();
            prop_assert_eq!(received.handled(), start.wrapping_add(u32::try_from(prefix).unwrap()));
            prop_assert_eq!(received.under_way(), 30 - prefix);
        }
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let mut unacknowledged = Unacknowledged::default();
    (0..MOST_STANZAS).for_each(|_| unacknowledged.push(Sent::Event(1)));
    assert!(!unacknowledged.is_too_much());
    unacknowledged.push(Sent::Event(1));
    assert!(unacknowledged.is_too_much());
    unacknowledged.acknowledge(1, 1).unwrap();
    assert!(!unacknowledged.is_too_much());
    unacknowledged.push(Sent::Own(vec![0; MOST_OWN_BYTES + 1].into()));
    assert!(unacknowledged.is_too_much());
}
