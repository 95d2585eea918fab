//! A connection that ends in this process, on this shard: what is on its other end puts many such connections on one link, or takes them
//! from it. Bounded in both directions: towards the far end by what the pipe takes, from it by what the far end puts in after it has asked
//! [`FarEnd::waiting`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use tokio::io::{Interest, Ready};
use tokio::sync::Notify;

#[derive(Default)]
struct Ends {
    /// Towards the near end.
    inward: RefCell<VecDeque<u8>>,
    /// Towards the far end.
    outward: RefCell<VecDeque<u8>>,
    near_is_gone: Cell<bool>,
    far_is_gone: Cell<bool>,
    /// Something changed for the near end.
    changed: Notify,
}

/// The end that is a [`super::Transport`].
pub struct Pipe {
    ends: Rc<Ends>,
    most: usize,
    /// Called when there is something for the far end.
    told: Box<dyn Fn()>,
}

/// The other end.
pub struct FarEnd {
    ends: Rc<Ends>,
}

/// Both ends of a pipe that takes `most` bytes towards its far end; `told` is called whenever there is something to take there, or the end.
#[must_use]
pub fn pipe(most: usize, told: Box<dyn Fn()>) -> (Pipe, FarEnd) {
    let ends = Rc::new(Ends::default());
    (Pipe { ends: Rc::clone(&ends), most, told }, FarEnd { ends })
}

/// Moves bytes out of a queue into a buffer; how many.
fn take(from: &mut VecDeque<u8>, buffer: &mut [u8]) -> usize {
    let taken = from.len().min(buffer.len());
    for (to, byte) in buffer.iter_mut().zip(from.drain(..taken)) {
        *to = byte;
    }
    if from.is_empty() {
        // An idle connection holds no room.
        *from = VecDeque::new();
    }
    taken
}

impl Pipe {
    /// See [`super::Transport::try_read`].
    ///
    /// # Errors
    /// `WouldBlock`.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = take(&mut self.ends.inward.borrow_mut(), buffer);
        if read == 0 && !buffer.is_empty() && !self.ends.far_is_gone.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(read)
    }

    /// See [`super::Transport::try_write`].
    ///
    /// # Errors
    /// `WouldBlock` when it is full, `BrokenPipe` when nobody takes it any more.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.ends.far_is_gone.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut outward = self.ends.outward.borrow_mut();
        let taken = bytes.len().min(self.most.saturating_sub(outward.len()));
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        outward.extend(&bytes[..taken]);
        drop(outward);
        (self.told)();
        Ok(taken)
    }

    fn now(&self) -> Ready {
        let is_over = self.ends.far_is_gone.get();
        let mut ready = Ready::EMPTY;
        if is_over || !self.ends.inward.borrow().is_empty() {
            ready |= Ready::READABLE;
        }
        if is_over || self.ends.outward.borrow().len() < self.most {
            ready |= Ready::WRITABLE;
        }
        if is_over {
            ready |= Ready::ERROR;
        }
        ready
    }

    /// Waits until it can be read, or written.
    pub async fn ready(&self, interest: Interest) -> Ready {
        let mut wanted = if interest.is_error() { Ready::ERROR } else { Ready::EMPTY };
        if interest.is_readable() {
            wanted |= Ready::READABLE;
        }
        if interest.is_writable() {
            wanted |= Ready::WRITABLE;
        }
        loop {
            let ready = self.now() & wanted;
            if !ready.is_empty() {
                return ready;
            }
            self.ends.changed.notified().await;
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.ends.near_is_gone.set(true);
        (self.told)();
    }
}

impl FarEnd {
    /// Bytes that the near end has not read.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ends.inward.borrow().len()
    }

    /// Puts bytes in.
    pub fn write(&self, bytes: &[u8]) {
        self.ends.inward.borrow_mut().extend(bytes);
        self.ends.changed.notify_one();
    }

    /// Takes bytes out; how many.
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        let read = take(&mut self.ends.outward.borrow_mut(), buffer);
        if read > 0 {
            self.ends.changed.notify_one();
        }
        read
    }

    /// Whether the near end is gone and everything that it wrote was taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ends.near_is_gone.get() && self.ends.outward.borrow().is_empty()
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.ends.far_is_gone.set(true);
        self.ends.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked<T: std::fmt::Debug>(result: io::Result<T>) -> bool {
        matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    #[tokio::test]
    async fn both_ways_bounded_and_to_the_end() {
        let told = Rc::new(Cell::new(0));
        let count = Rc::clone(&told);
        let (near, far) = pipe(4, Box::new(move || count.set(count.get() + 1)));
        let mut buffer = [0; 8];
        assert!(blocked(near.try_read(&mut buffer)));
        assert_eq!(near.try_write(b"abcdef").unwrap(), 4);
        assert!(blocked(near.try_write(b"ef")));
        assert_eq!(told.get(), 1);
        assert_eq!((far.read(&mut buffer), &buffer[..4]), (4, &b"abcd"[..]));
        assert!(near.ready(Interest::WRITABLE).await.is_writable());
        far.write(b"xyz");
        assert!(near.ready(Interest::READABLE).await.is_readable());
        assert_eq!(near.try_read(&mut buffer).unwrap(), 3);
        drop(far);
        assert!(near.ready(Interest::ERROR).await.is_error());
        assert_eq!(near.try_read(&mut buffer).unwrap(), 0);
        assert_eq!(near.try_write(b"g").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        drop(near);
        assert_eq!(told.get(), 2);
    }
}
