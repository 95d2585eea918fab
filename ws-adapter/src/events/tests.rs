//! Cursors, and the pipe.

use std::io::ErrorKind;
use std::task::{Context, Poll, Waker};

use hallway_broker::outbox::Link;
use proptest::prelude::*;

use super::*;

#[test]
fn a_stream_goes_on_where_its_client_is() {
    for (last, begin) in [
        (None, Begin::After(50)),
        (Some("7.40"), Begin::After(40)),
        (Some("7.50"), Begin::After(50)),
        (Some("7.51"), Begin::Anew(50)),
        (Some("8.40"), Begin::Anew(50)),
        (Some("40"), Begin::Anew(50)),
        (Some("7.-1"), Begin::Anew(50)),
        (Some("7.99999999999999999999999"), Begin::Anew(50)),
        (Some("x"), Begin::Anew(50)),
    ] {
        assert_eq!(Begin::of(last, 7, 50), begin, "{last:?}");
    }
}

proptest! {
    #[test]
    fn any_cursor_can_be_presented(last in "\\PC{0,40}", epoch: u64, end: u64) {
        prop_assert!(Begin::of(Some(&last), epoch, end).pos() <= end);
    }

    /// Whatever is written and taken when: nothing is lost or doubled, and the pipe holds no more than its bound.
    #[test]
    fn a_pipe_carries_all_in_order(steps in prop::collection::vec(prop::option::of(0..90_000usize), 1..40)) {
        let pipe = Rc::new(Pipe::default());
        let mut body = EventsBody::new(Rc::clone(&pipe));
        let mut cx = Context::from_waker(Waker::noop());
        let (mut written, mut read) = (Vec::new(), Vec::new());
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Some(length) => {
                    let bytes = vec![u8::try_from(at % 251).unwrap(); length];
                    match pipe.try_write(&bytes) {
                        Ok(took) => written.extend_from_slice(&bytes[..took]),
                        Err(error) => prop_assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                }
                None => match body.poll_frame(&mut cx) {
                    Poll::Ready(bytes) => {
                        let bytes = bytes.unwrap();
                        prop_assert!(bytes.len() <= 64 << 10);
                        read.extend_from_slice(&bytes);
                    }
                    Poll::Pending => prop_assert_eq!(written.len(), read.len()),
                },
            }
        }
        pipe.finish();
        while let Poll::Ready(Some(bytes)) = body.poll_frame(&mut cx) {
            read.extend_from_slice(&bytes);
        }
        prop_assert_eq!(written, read);
        drop(body);
        prop_assert_eq!(pipe.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
